"""The smallest and largest value that a parameter may take, for checks between parameters."""

from __future__ import annotations

from asrfair.conditions.effects.base import Choice, Range


def bounds(value: float | Choice | Range) -> tuple[float, float]:
    """Return the smallest and the largest possible value of a ``Number``."""
    if isinstance(value, Choice):
        numbers = [float(v) for v in value.values]
        return min(numbers), max(numbers)
    if isinstance(value, Range):
        return value.low, value.high
    return float(value), float(value)
