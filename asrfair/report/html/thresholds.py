"""Error rates over the level of one parameter, by group, with the level at which each reaches the target."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from asrfair.report.figures import threshold_title
from asrfair.report.html.drawing import CUT, ticks
from asrfair.report.loading import RunData
from asrfair.report.plots.thresholds import GroupCurve, curve_of
from asrfair.say import words
from asrfair.say.thresholds import target_words, threshold_words
from asrfair.stats.thresholds.axis import Axis, named, shown
from asrfair.types import OVERALL_ATTRIBUTE

MAX_LINES: Final = 4
"""Groups drawn beside everybody: those that need most, and the one that needs least."""
LEFT: Final = 8.0
WIDE: Final = 54.0
TOP: Final = 14
HEIGHT: Final = 190
FOOT: Final = 44


def threshold_charts(run: RunData, *, by: str, engine: str) -> Markup:
    """Return a picture for each place of one engine's search; widths are in percent, so that it fits any screen."""
    table, levels = run.tables["thresholds"], run.tables["threshold_levels"]
    parts = []
    for place, rows in table[table["engine"] == engine].groupby("place", sort=False):
        heard = levels[(levels["engine"] == engine) & (levels["place"] == place)]
        title = threshold_title(run.tables.get("claims"), engine=engine, place=str(place), attribute=by)
        parts.append(Markup('<p class="chart-title">{}</p>').format(title))
        parts.append(_chart(rows[rows["target"] == rows["target"].iloc[0]], heard, by))
    return Markup("").join(parts) if parts else Markup('<p class="caption">Not searched with this engine.</p>')


def _chart(rows: pd.DataFrame, levels: pd.DataFrame, by: str) -> Markup:
    first = rows.iloc[0]
    axis = Axis(
        place=str(first["place"]), parameter=str(first["parameter"]), unit=str(first["unit"]),
        low=float(first["heard_low"]), high=float(first["heard_high"]), usual=None,
    )  # fmt: skip
    groups = _drawn(rows, by, axis)
    curves = [curve_of(row, levels, axis) for row in groups]
    top = min(max(float(np.nanmax(curve.rates, initial=0.3)) for curve in curves) * 1.05, CUT)
    ends = sorted((_across(axis, axis.low), _across(axis, axis.high)))
    scale = _Scale(low=ends[0], high=ends[1], top=top, axis=axis)
    drawn, labels = [], []
    for number, (row, curve) in enumerate(zip(groups, curves, strict=True)):
        name = "everybody" if row["attribute"] == OVERALL_ATTRIBUTE else words.group_words(row["group"])
        text = f"{name}: {threshold_words(row)}"
        drawn.append(scale.group(curve, number, text))
        labels.append((scale.y(min(float(curve.curve_y[-1 if axis.sign > 0 else 0]), top)), text, number))
    body = "".join([scale.frame(first, rows), *drawn, *_labels(labels)])
    said = f"Words wrong in 100 against {named(axis.parameter)} in {axis.place}: " + "; ".join(t for _, t, _ in labels)
    caption = f"Bars: level at which {target_words(str(first['target']))} of words are wrong, with its interval over speakers."
    if not math.isnan(float(first["usual_low"])):
        caption += " Shaded: usual here."
    total = len(rows[(rows["attribute"] == by) & (rows["flag"] == "")])
    if total > len(groups) - 1 and by != OVERALL_ATTRIBUTE:
        caption += f" {len(groups) - 1} of {total} groups drawn; all are in the table of thresholds below."
    svg = f'<svg class="lines" height="{TOP + HEIGHT + FOOT}" role="img" aria-label="{escape(said)}">{body}</svg>'
    return Markup(svg) + Markup('<p class="caption">{}</p>').format(caption)  # noqa: S704 -- texts are escaped


def _drawn(rows: pd.DataFrame, by: str, axis: Axis) -> list[dict[str, Any]]:
    """Return everybody's row and those of the groups that are drawn, the one that needs most first."""
    records = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    everybody = [row for row in records if row["attribute"] == OVERALL_ATTRIBUTE]
    known = [row for row in records if row["attribute"] == by and row["flag"] == "" and by != OVERALL_ATTRIBUTE]

    def need(row: dict[str, Any]) -> float:
        if math.isfinite(row["threshold"]):
            return -axis.easier(row["threshold"])
        return math.inf if row["censored"] == "better" else -math.inf

    known.sort(key=need)
    return everybody + (known if len(known) <= MAX_LINES else [*known[: MAX_LINES - 1], known[-1]])


def _across(axis: Axis, value: float) -> float:
    return math.log(value) if axis.by_factors else value


class _Scale:
    """Where levels (percent of the width) and rates (pixels) stand; harder is to the left."""

    def __init__(self, *, low: float, high: float, top: float, axis: Axis) -> None:
        pad = 0.03 * (high - low)
        self.low, self.high, self.top, self.axis = low - pad, high + pad, top, axis

    def share(self, value: float) -> float:
        """Return a level's place between the left (0) and the right end (1)."""
        at = (_across(self.axis, value) - self.low) / (self.high - self.low)
        return min(max(at if self.axis.sign > 0 else 1 - at, 0.0), 1.0)

    def x(self, value: float) -> str:
        return f"{LEFT + WIDE * self.share(value):.2f}%"

    def y(self, rate: float) -> float:
        return TOP + HEIGHT * (1 - min(max(rate, 0.0), self.top) / self.top)

    def frame(self, first: pd.Series[Any], rows: pd.DataFrame) -> str:
        """Return the axes, what is usual, and the target."""
        parts = []
        usual = [float(first["usual_low"]), float(first["usual_high"])]
        if all(map(math.isfinite, usual)):
            left, right = sorted(LEFT + WIDE * self.share(value) for value in usual)
            parts.append(
                f'<rect class="usual" x="{left:.2f}%" y="{TOP}" width="{right - left:.2f}%" height="{HEIGHT}"/>'
            )
        parts += [
            f'<line class="a" x1="{LEFT}%" x2="{LEFT + WIDE}%" y1="{self.y(tick):.1f}" y2="{self.y(tick):.1f}"/>'
            f'<text class="t" x="{LEFT - 1}%" text-anchor="end" y="{self.y(tick) + 4:.1f}">{100 * tick:.0f}</text>'
            for tick in ticks(self.top)
        ]
        if (rows["target_wer"] == first["target_wer"]).all():
            y = self.y(float(first["target_wer"]))
            parts.append(f'<line class="target" x1="{LEFT}%" x2="{LEFT + WIDE}%" y1="{y:.1f}" y2="{y:.1f}"/>')
        times, plain = shown(self.axis.parameter)
        for value in self.axis.marks():
            text = f"{times * value:g}"
            parts.append(
                f'<text class="t" text-anchor="middle" x="{self.x(value)}" y="{TOP + HEIGHT + 16}">{text}</text>'
            )
        unit = f", {self.axis.unit or plain}" if self.axis.unit or plain else ""
        name = escape(named(self.axis.parameter) + unit)
        parts.append(f'<text class="t" x="{LEFT}%" y="{TOP + HEIGHT + 36}">{name} (harder to the left)</text>')
        return "".join(parts)

    def group(self, curve: GroupCurve, number: int, text: str) -> str:
        """Return a group's curve, what was heard, and its threshold with its interval."""
        path = "M" + "L".join(
            f"{100 * self.share(float(x)):.1f} {self.y(float(y)) - TOP:.1f}"
            for x, y in zip(curve.curve_x[::3], curve.curve_y[::3], strict=True)
        )
        shape = (
            f'<svg x="{LEFT}%" y="{TOP}" width="{WIDE}%" height="{HEIGHT}" viewBox="0 0 100 {HEIGHT}" '
            f'preserveAspectRatio="none"><path d="{path}" vector-effect="non-scaling-stroke"/></svg>'
        )
        dots = "".join(
            f'<circle cx="{self.x(float(level))}" cy="{self.y(float(rate)):.1f}" r="3" data-tip="{escape(text)}"/>'
            for level, rate in zip(curve.levels, curve.rates, strict=True)
        )
        y = self.y(curve.target) + 3.5 * (number - 1)
        bar = ""
        if math.isfinite(curve.low):
            bar = f'<line class="band" x1="{self.x(curve.low)}" x2="{self.x(curve.high)}" y1="{y:.1f}" y2="{y:.1f}"/>'
        if math.isfinite(curve.threshold):
            at = self.x(curve.threshold)
            bar += f'<line x1="{at}" x2="{at}" y1="{y - 6:.1f}" y2="{y + 6:.1f}"/>'
        return f'<g class="s{number}">{shape}{dots}{bar}</g>'


def _labels(labels: list[tuple[float, str, int]]) -> list[str]:
    """Return the names at the right, moved apart so that none covers another."""
    placed: list[str] = []
    floor = TOP - 2.0
    room = TOP + HEIGHT - 17.0 * len(labels)
    for y, text, number in sorted(labels):
        floor = max(min(y + 4, room + 17 * (len(placed) + 1)), floor + 17)
        name, _, value = text.rpartition(": ")
        placed.append(
            f'<text class="s{number}" x="{LEFT + WIDE + 1.5}%" y="{floor:.1f}">{escape(_short(name))}: {escape(value)}</text>'
        )
    return placed


def _short(text: str, limit: int = 22) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
