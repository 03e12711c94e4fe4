"""Small pictures in table cells: a value and its interval on the scale that all rows of the table share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from asrfair.report.tables import Column
from asrfair.say import words

WIDTH: Final = 132
HEIGHT: Final = 16
_MARGIN: Final = 5


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Where a value stands in a picture of :data:`WIDTH` pixels.

    Args:
        low: Value at the left end, as shown (percent, points, ratio).
        high: Value at the right end.
        zero: Where the line of no difference stands, or ``None``.
        logarithmic: Whether equal distances are equal ratios.
        bar: Whether a bar from the left end is drawn instead of a point.
    """

    low: float
    high: float
    zero: float | None = None
    logarithmic: bool = False
    bar: bool = False

    def position(self, value: float) -> float:
        """Return the horizontal position in pixels, not cut to the picture."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-9))
        span = high - low or 1.0
        return _MARGIN + (value - low) / span * (WIDTH - 2 * _MARGIN)

    def draw(self, value: object, low: object, high: object) -> Markup:
        """Return the picture of one row, empty where there is no value; screen readers get the text instead."""
        if words.missing(value) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return Markup("")
        middle = HEIGHT // 2
        parts = [f'<path class="a" d="M{_MARGIN} {middle}H{WIDTH - _MARGIN}"/>']
        if self.zero is not None:
            parts.append(f'<path class="z" d="M{self.position(self.zero):.1f} 0V{HEIGHT}"/>')
        x = self.position(value)
        if self.bar:
            parts.append(f'<path class="b" d="M{_MARGIN} {middle}H{max(x, _MARGIN + 0.5):.1f}"/>')
        else:
            known = not words.missing(low) and not words.missing(high)
            if known:
                parts.append(self._line(float(str(low)), float(str(high)), middle))
            x = min(max(x, _MARGIN), WIDTH - _MARGIN)
            parts.append(f'<circle{"" if known else " class=o"} cx="{x:.1f}" cy="{middle}" r="3.2"/>')
        return Markup(f'<svg class="iv" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>')  # noqa: S704 -- numbers only

    def _line(self, low: float, high: float, middle: int) -> str:
        left, right = self.position(low), self.position(high)
        first, last = max(left, 1.0), min(right, WIDTH - 1.0)
        first, last = min(first, WIDTH - 2.0), max(last, 2.0)
        arrows = ""
        if left < 1:
            arrows += f"M5 {middle - 3}L1 {middle}L5 {middle + 3}"
        if right > WIDTH - 1:
            arrows += f"M{WIDTH - 5} {middle - 3}L{WIDTH - 1} {middle}L{WIDTH - 5} {middle + 3}"
        return f'<path d="M{first:.1f} {middle}H{last:.1f}{arrows}"/>'


def scale_of(column: Column, rows: Iterable[Mapping[str, Any]]) -> Scale:
    """Return the scale that shows every value of a column, and intervals unless huge ones would flatten the rest."""
    rows = list(rows)
    values = [float(row[column.name]) for row in rows if _finite(row.get(column.name))]
    lows = [float(row[column.low]) for row in rows if column.low and _finite(row.get(column.low))]
    highs = [float(row[column.high]) for row in rows if column.high and _finite(row.get(column.high))]
    if not values:
        return Scale(low=0.0, high=1.0)
    if column.kind == "ratio":
        reach = max((max(abs(math.log(max(v, 1e-3))) for v in values) * 1.6), math.log(1.25))
        reach = min(max([abs(math.log(max(v, 1e-3))) for v in [*values, *lows, *highs]] + [math.log(1.25)]), reach)
        return Scale(low=math.exp(-reach), high=math.exp(reach), zero=1.0, logarithmic=True)
    if column.kind == "points":
        top, bottom = max(*values, 0.0), min(*values, 0.0)
        span = max(top - bottom, 0.01)
        high = min(max([*values, *highs, 0.0]), top + 1.2 * span)
        low = max(min([*values, *lows, 0.0]), bottom - 1.2 * span)
        return Scale(low=low, high=max(high, low + 0.01), zero=0.0)
    top = max(values)
    high = min(max([*values, *highs]), 2.2 * top) if top > 0 else 1.0
    bar = not column.low
    return Scale(low=0.0, high=high or 1.0, bar=bar)


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
