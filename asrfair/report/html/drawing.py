"""Small pictures in table cells: a value, its interval and its speakers on the scale that all rows of a table share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from markupsafe import Markup

from asrfair.report.tables import Column
from asrfair.say import words

WIDTH: Final = 132
HEIGHT: Final = 16
_MARGIN: Final = 5
CUT: Final = 1.5
"""A WER above this does not stretch the scale: an arrow points to it, and its number stands beside it."""
MAX_DOTS: Final = 120
"""Dots of speakers in one row; of more, every so-many-th by rank."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Where a value stands in a picture of ``width`` pixels.

    Args:
        low: Value at the left end, as shown (percent, points, ratio).
        high: Value at the right end.
        zero: Where the line of no difference stands, or ``None``.
        logarithmic: Whether equal distances are equal ratios.
        bar: Whether a bar from the left end is drawn instead of a point.
        width: Pixels.
    """

    low: float
    high: float
    zero: float | None = None
    logarithmic: bool = False
    bar: bool = False
    width: int = WIDTH

    def position(self, value: float) -> float:
        """Return the horizontal position in pixels, not cut to the picture."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-9))
        span = high - low or 1.0
        return _MARGIN + (value - low) / span * (self.width - 2 * _MARGIN)

    def draw(self, value: object, low: object, high: object, dots: Sequence[float] = ()) -> Markup:
        """Return the picture of one row, empty where there is no value; screen readers get the text instead.

        Args:
            value: What the row is about.
            low: Lower end of its interval.
            high: Upper end.
            dots: The speakers' values, one dot each; a tick stands at their median where there is an interval.
        """
        if words.missing(value) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return Markup("")
        middle = HEIGHT // 2
        parts = [f'<path class="a" d="M{_MARGIN} {middle}H{self.width - _MARGIN}"/>']
        if self.zero is not None:
            parts.append(f'<path class="z" d="M{self.position(self.zero):.1f} 0V{HEIGHT}"/>')
        parts += [self._dots(dots)] if len(dots) > 1 else []
        x = self.position(value)
        if self.bar:
            parts.append(f'<path class="b" d="M{_MARGIN} {middle}H{max(x, _MARGIN + 0.5):.1f}"/>')
        else:
            known = not words.missing(low) and not words.missing(high)
            if known and len(dots) > 1:
                place = min(max(self.position(median(dots)), _MARGIN), self.width - _MARGIN)
                parts.append(f'<path class="md" d="M{place:.1f} 1V{HEIGHT - 1}"/>')
            if known:
                parts.append(self._line(float(str(low)), float(str(high)), middle))
            x = min(max(x, _MARGIN), self.width - _MARGIN)
            parts.append(f'<circle{"" if known else " class=o"} cx="{x:.1f}" cy="{middle}" r="3.2"/>')
            if self.position(value) > self.width - 1:
                right = self.width - 1
                parts.append(
                    f'<path class="c" d="M{right - 4} {middle - 4}L{right} {middle}L{right - 4} {middle + 4}"/>'
                )
        return Markup(f'<svg class="iv" viewBox="0 0 {self.width} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>')  # noqa: S704 -- numbers only

    def _dots(self, values: Sequence[float]) -> str:
        """Return a dot a speaker, as lines of no length with round ends; those beyond the scale stand at its end."""
        every = sorted(values)
        shown = every if len(every) <= MAX_DOTS else [every[i * len(every) // MAX_DOTS] for i in range(MAX_DOTS)]
        places = [min(max(self.position(value), _MARGIN), self.width - _MARGIN) for value in shown]
        return f'<path class="k" d="{"".join(f"M{round(x)} {HEIGHT // 2}h0" for x in places)}"/>'

    def axis(self) -> Markup:
        """Return the numbers above a column of pictures, in percent."""
        marks = ticks(self.high)
        texts = "".join(
            f'<text x="{self.position(tick):.1f}" y="9" text-anchor="{"start" if not tick else "middle"}">{100 * tick:.0f}</text>'
            f'<path d="M{self.position(tick):.1f} 11v4"/>'
            for tick in marks
        )
        return Markup(f'<svg class="ax" viewBox="0 0 {self.width} 15" aria-hidden="true">{texts}</svg>')  # noqa: S704 -- numbers only

    def _line(self, low: float, high: float, middle: int) -> str:
        left, right = self.position(low), self.position(high)
        first, last = max(left, 1.0), min(right, self.width - 1.0)
        first, last = min(first, self.width - 2.0), max(last, 2.0)
        arrows = ""
        if left < 1:
            arrows += f"M5 {middle - 3}L1 {middle}L5 {middle + 3}"
        if right > self.width - 1:
            arrows += f"M{self.width - 5} {middle - 3}L{self.width - 1} {middle}L{self.width - 5} {middle + 3}"
        return f'<path d="M{first:.1f} {middle}H{last:.1f}{arrows}"/>'


def ticks(high: float) -> list[float]:
    """Return three to six round values from nought to ``high``."""
    step = next((s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if high / s < 6), 1.0)
    return [step * number for number in range(int(high / step + 1e-9) + 1)]


def wer_scale(values: Iterable[float], highs: Iterable[float], *, width: int) -> Scale:
    """Return a scale of error rates from nought: intervals may not flatten the values, nor a WER above :data:`CUT`."""
    top = max((v for v in values if math.isfinite(v)), default=0.0)
    reach = max((v for v in highs if math.isfinite(v)), default=top)
    return Scale(low=0.0, high=min(max(top, min(reach, 1.6 * top)) * 1.02, CUT) or 1.0, width=width)


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
