"""Lines with a name beside them: the drawing of curves over noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from asrfair.report.fontset import widest
from asrfair.report.plots.axis import axis_end
from asrfair.report.style import COLOURS, DASHES, INK, MARKERS, MUTED, group_labels, new_figure, style, wrapped
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED: Final = 7
"""Lines with a colour of their own; the others are grey and share one name."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One group: its points, in order of ``x``, and their intervals (NaN where there is none), shape (points,)."""

    name: str
    speakers: int
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


def draw_lines(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    caption: str = "",
    x_ticks: Sequence[tuple[float, str]] = (),
    gap_before: float | None = None,
) -> Figure:
    """Draw lines, the first on top of the legend.

    Args:
        lines: Worst first. Where there are more than :data:`MAX_NAMED`, the first ones and the last one are named.
        title: The finding.
        x_label: With its unit.
        y_label: With its unit.
        caption: What bars and grey mean.
        x_ticks: Positions and their labels; chosen by matplotlib when empty.
        gap_before: The position of a point that is not on the scale (clean audio); the line before it is dotted.
    """
    named = list(range(len(lines))) if len(lines) <= MAX_NAMED else [*range(MAX_NAMED - 1), len(lines) - 1]
    labels = group_labels([lines[index].name for index in named], [lines[index].speakers for index in named])
    rest = len(lines) - len(named)
    if rest:
        labels.append(f"{rest} other groups")
    with style():
        legend_in = min(0.078 * widest(labels) + 0.65, 4.4)
        width, body_h = 5.4 + legend_in, max(3.1, 0.23 * len(labels) + 0.4)
        heading = wrapped(title, int(width * 10.4))
        top_in = 0.5 + 0.2 * heading.count("\n")
        height = top_in + body_h + 0.95
        figure = new_figure(width, height)
        figure.text(
            0.12 / width, 1 - 0.14 / height, heading, fontsize=11, fontweight="bold", va="top", linespacing=1.25
        )
        axes = figure.add_axes((0.75 / width, 0.95 / height, 4.5 / width, body_h / height))
        for index, line in enumerate(lines):
            if index not in named:
                _draw(axes, line, "#c3cad2", "none", "-", gap_before, front=False)
        for rank, index in reversed(list(enumerate(named))):
            look = rank % len(COLOURS)
            _draw(axes, lines[index], COLOURS[look], MARKERS[look], DASHES[look], gap_before, front=True)
        cut = _dress(axes, lines, x_ticks, x_label, y_label)
        _legend(axes, labels, rest=rest)
        caption += " · arrow: beyond the axis" if cut else ""
        figure.text(0.75 / width, 0.16 / height, caption, fontsize=8, color=MUTED, va="center")
    return figure


def _draw(
    axes: Axes,
    line: Line,
    colour: str,
    marker: str,
    dash: object,
    gap_before: float | None,
    *,
    front: bool,
) -> None:
    order = 4 if front else 2
    inside = np.ones(len(line.x), bool) if gap_before is None else line.x < gap_before
    width = 1.4 if front else 0.7
    axes.plot(
        line.x[inside],
        line.y[inside],
        color=colour,
        linestyle=dash,
        marker=marker,
        markersize=4.5,
        linewidth=width,
        zorder=order,
    )
    if not inside.all():
        last = int(np.flatnonzero(inside)[-1]) if inside.any() else len(line.x) - 1
        axes.plot(line.x[last:], line.y[last:], color=colour, linestyle=":", linewidth=0.8, zorder=order)
        axes.plot(
            line.x[~inside], line.y[~inside], color=colour, linestyle="", marker=marker, markersize=4.5, zorder=order
        )
    if front and line.low is not None and line.high is not None:
        axes.vlines(line.x, line.low, line.high, color=colour, linewidth=0.8, alpha=0.55, zorder=3)


def _dress(
    axes: Axes,
    lines: Sequence[Line],
    x_ticks: Sequence[tuple[float, str]],
    x_label: str,
    y_label: str,
) -> bool:
    """Set the axes up; tell whether points lie above the upper end, where an arrow with the number is drawn."""
    every = np.concatenate([line.y for line in lines])
    end = 100 * axis_end(every / 100)
    top = end if np.nanmax(every, initial=0.0) > end else 1.18 * end
    axes.set_ylim(0, top)
    for line in lines:
        for x, y in zip(line.x, line.y, strict=True):
            if y > top:
                axes.plot([x], [top], marker="^", color=INK, markersize=5, clip_on=False, zorder=6)
                axes.annotate(
                    words.number(y / 100, "percent"), (x, top), xytext=(0, -11), textcoords="offset points",
                    ha="center", fontsize=7, color=INK, zorder=6,
                )  # fmt: skip
    axes.grid(axis="y")
    axes.set_xlabel(x_label, labelpad=4)
    axes.set_ylabel(y_label)
    if x_ticks:
        axes.set_xticks([position for position, _ in x_ticks], labels=[text for _, text in x_ticks])
    return bool(np.nanmax(every, initial=0.0) > top)


def _legend(axes: Axes, labels: Sequence[str], *, rest: int) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for rank, _ in enumerate(labels):
        if rest and rank == len(labels) - 1:
            handles.append(Line2D([], [], color="#c3cad2"))
            continue
        look = rank % len(COLOURS)
        handles.append(Line2D([], [], color=COLOURS[look], linestyle=DASHES[look], marker=MARKERS[look]))
    legend = axes.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.0,
        handlelength=2.6,
        labelspacing=0.55,
    )
    for text in legend.get_texts():
        text.set_color(INK)
