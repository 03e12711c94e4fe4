"""Thresholds in words: where a group's rate reaches the target, and how much more one group needs than another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asrfair.say.numbers import SPACE
from asrfair.stats.thresholds.axis import by_factors, key_of, less_is_harder, named

if TYPE_CHECKING:
    from asrfair.say.claims import Claim


def difference_sentence(claim: Claim, end: str) -> str:
    """Say a claim about two groups' thresholds.

    Args:
        claim: The group that needs more stands first; ``estimate`` in the claim's unit, or a ratio.
        end: What is said after it where it is not affirmed (``; this may be chance``).
    """
    same = f"for the same word error rate ({target_words(claim.target)}) in {claim.condition} ({claim.engine})"
    amount = _amount(claim.estimate, claim.ci_low, claim.ci_high, claim.unit, factor=by_factors(claim.parameter))
    name = named(claim.parameter)
    easy_is_more = less_is_harder(claim.parameter)
    if by_factors(claim.parameter):
        what = f"need {amount} the {name} of" if easy_is_more else f"bear {name} only {amount} smaller than"
        text = f"{claim.group} speakers {what} {claim.versus} speakers {same}"
    else:
        signal = "signal" if key_of(claim.parameter) == "snr_db" else name
        what = f"need {amount} more {signal}" if easy_is_more else f"bear {amount} less {signal}"
        text = f"{claim.group} speakers {what} than {claim.versus} speakers {same}"
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
    unit = f" {row['unit']}" if row["unit"] else ""
    best, worst = row["heard_high"], row["heard_low"]
    if not less_is_harder(row["parameter"]):
        best, worst = worst, best
    if row["censored"] == "clean":
        return "above the target on clean recordings"
    if row["censored"] == "better":
        return f"better than {worst:g}{unit}".replace("-", "−")
    if row["censored"] == "worse":
        return f"worse than {best:g}{unit}".replace("-", "−")
    digits = _digits(row)
    text = f"{row['threshold']:.{digits}f}{unit}"
    if math.isfinite(row["ci_low"]):
        text += f" ({row['ci_low']:.{digits}f} to {row['ci_high']:.{digits}f})"
    return text.replace("-", "−")


def _digits(row: Mapping[Any, Any]) -> int:
    """A tenth of a decibel, three digits of everything else."""
    if str(row["unit"]).startswith("dB"):
        return 1
    return max(0, 2 - math.floor(math.log10(max(abs(float(row["threshold"])), 1e-9))))


def censored_words(censored: str) -> str:
    """Return why a threshold has no number; empty where it has one."""
    return {
        "clean": "above the target on clean recordings",
        "better": "better than the hardest level heard",
        "worse": "worse than the easiest level heard",
    }.get(censored, "")
