"""Thresholds in words: where a group's rate reaches the target, and how much more one group needs than another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asrfair.say.numbers import SPACE
from asrfair.stats.thresholds.axis import by_factors, key_of, less_is_harder, named, shown

if TYPE_CHECKING:
    from asrfair.say.claims import Claim


CLEAN_ABOVE = "above the target on clean recordings"
REVERSED = "none: errors do not rise as it gets harder"


def none_affirmed(tested: int) -> str:
    """Say that nothing was found, which is not the same as that nothing could be looked for."""
    if not tested:
        return "No two groups are large enough, and reach the target, to be compared."
    return f"No difference between groups is beyond chance ({tested} tested)."


def difference_sentence(claim: Claim, end: str) -> str:
    """Say a claim about two groups' thresholds.

    Args:
        claim: The group that needs more stands first; ``estimate`` in the claim's unit, or a ratio.
        end: What is said after it where it is not affirmed (``; this may be chance``).
    """
    same = f"for the same word error rate ({target_words(claim.target)}) in {claim.condition} ({claim.engine})"
    factor, more_is_easier = by_factors(claim.parameter), less_is_harder(claim.parameter)
    amount = _amount(claim.estimate, claim.ci_low, claim.ci_high, claim.unit, factor=factor)
    name = named(claim.parameter)
    who, other = f"{claim.group} speakers", f"{claim.versus} speakers"
    if key_of(claim.parameter) == "snr_db":
        text = f"{who} need {amount} more signal than {other} {same}"
    elif factor and more_is_easier:
        text = f"{who} need {amount} the {name} that {other} need, {same}"
    elif factor:  # who bears more comes first, so that the factor is above one
        text = f"{other} bear {amount} the {name} that {who} bear, {same}"
    else:
        verb, side = ("need", "above") if more_is_easier else ("bear", "below")
        text = f"{who} {verb} a {name} {amount} {side} what {other} {verb}, {same}"
    return f"{text}{end}."


def _amount(value: float, low: float, high: float, unit: str, *, factor: bool) -> str:
    digits = 2 if factor else 1
    numbers = [f"{x:.{digits}f}".replace("-", "−") for x in (value, low, high)]
    joint = " to " if low < 0 else "–"
    inside = f" ({numbers[1]}{joint}{numbers[2]})" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{numbers[0]}{SPACE}{'times' if factor else unit}{inside}"


def target_words(target: str) -> str:
    """Return a target for people: ``30 %``, ``2 times the clean rate``."""
    return target.replace(" x clean", " times the clean rate").replace(" %", f"{SPACE}%")


def threshold_words(row: Mapping[Any, Any]) -> str:
    """Return a threshold as a table shows it: ``7.1 dB (5.0 to 9.2)``, or where it lies when it was not reached."""
    times, plain = shown(row["parameter"])
    unit = f" {row['unit'] or plain}" if row["unit"] or plain else ""
    best, worst = row["heard_high"], row["heard_low"]
    if not less_is_harder(row["parameter"]):
        best, worst = worst, best
    if row["censored"] == "clean":
        return CLEAN_ABOVE
    if row["censored"] == "reversed":
        return REVERSED
    if row["censored"] == "better":
        return f"better than {times * worst:g}{unit}".replace("-", "−")
    if row["censored"] == "worse":
        return f"worse than {times * best:g}{unit}".replace("-", "−")
    digits = _digits(times * float(row["threshold"]), unit)

    def shown_as(value: float) -> str:
        return f"{round(times * value, digits):.{max(digits, 0)}f}"

    text = f"{shown_as(row['threshold'])}{unit}"
    if math.isfinite(row["ci_low"]):  # what lies beyond the levels that were heard was not seen
        low = f"<{times * row['heard_low']:g}" if row["ci_low"] < row["heard_low"] else shown_as(row["ci_low"])
        high = f">{times * row['heard_high']:g}" if row["ci_high"] > row["heard_high"] else shown_as(row["ci_high"])
        text += f" ({low} to {high})"
    return text.replace("-", "−")


def _digits(value: float, unit: str) -> int:
    """Return decimals: a tenth of a decibel or a per cent, three digits of everything else."""
    if unit.startswith((" dB", " %")):
        return 1
    return 2 - math.floor(math.log10(max(abs(value), 1e-9)))


def censored_words(censored: str) -> str:
    """Return why a threshold has no number; empty where it has one."""
    return {
        "clean": CLEAN_ABOVE,
        "better": "better than the hardest level heard",
        "worse": "worse than the easiest level heard",
        "reversed": REVERSED,
    }.get(censored, "")
