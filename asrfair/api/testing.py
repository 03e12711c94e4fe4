"""For other people's tests."""

from __future__ import annotations

import math
from typing import Literal

from asrfair.api.result import Result
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.say import numbers as say


def assert_no_gap(
    result: Result,
    attribute: str,
    *,
    at_most: float,
    judge: Literal["estimate", "sure", "ruled-out"] = "estimate",
    engine: str | None = None,
    condition: str | None = None,
) -> None:
    """Fail a test where the worst group's rate lies too far above the best group's.

    Args:
        result: What was found.
        attribute: The attribute, or an intersection such as ``accent × gender``.
        at_most: The largest gap that is allowed, a fraction: 0.05 are five percentage points.
        judge: By what: ``estimate``, the gap that was found; ``sure``, which fails only where the whole interval of the
            gap lies above; ``ruled-out``, which fails unless the whole interval lies within.
        engine: Only this engine; all of them by default.
        condition: Only this condition; all of them by default.

    Raises:
        AssertionError: A gap is too large, or nothing can be said because fewer than two groups are large enough.
        InputError: Nothing is grouped by the attribute.

    Example:
        >>> import asrfair as af
        >>> result = af.disparity(getfixture("answers"), by="accent")
        >>> af.assert_no_gap(result, "accent", at_most=0.2)
        >>> af.assert_no_gap(result, "accent", at_most=0.05)
        Traceback (most recent call last):
            ...
        AssertionError: accent, hypothesis, clean: the gap from US to Scottish is 15.0 points, more than 5.0 points
    """
    if attribute not in result.attributes:
        raise InputError(
            "nothing is grouped by this attribute", value=attribute, remedy=did_you_mean(attribute, result.attributes)
        )
    rows = result.gaps[result.gaps["attribute"] == attribute]
    for name, wanted in (("engine", engine), ("condition", condition)):
        rows = rows if wanted is None else rows[rows[name] == wanted]
    wrong: list[str] = []
    for row in rows.to_dict("records"):
        where = f"{attribute}, {row['engine']}, {row['condition']}"
        gap, low, high = (float(row[name]) for name in ("gap", "gap_ci_low", "gap_ci_high"))
        judged = {"estimate": gap, "sure": low, "ruled-out": high}[judge]
        if not math.isfinite(judged):
            few = "fewer than two groups are large enough" if not math.isfinite(gap) else "the gap has no interval"
            wrong.append(f"{where}: nothing can be said, {few}")
        elif judged > at_most:
            interval = say.span(low, high, unit="points")
            found = f"{where}: the gap from {row['best_group']} to {row['worst_group']} is {say.points(gap)}"
            shown = f" ({interval})" if interval and judge != "estimate" else ""
            wrong.append(f"{found}{shown}, more than {say.points(at_most)}".replace(say.SPACE, " "))
    if not len(rows):
        wrong.append(f"{attribute}: there is no such engine or condition, or no group is large enough")
    if wrong:
        raise AssertionError("\n".join(wrong))
