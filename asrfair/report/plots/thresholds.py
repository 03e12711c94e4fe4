"""WER against the level of one parameter, by group, with the level at which each reaches the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asrfair.report.fontset import widest
from asrfair.report.style import COLOURS, DASHES, INK, MARKERS, MUTED, group_labels, new_figure, style, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
MOST_GROUPS = len(COLOURS)


@dataclass(frozen=True, kw_only=True)
class GroupCurve:
    """One group.

    Args:
        name: As tables show it.
        speakers: How many.
        levels: Heard, as values of the parameter, shape (levels,).
        rates: WER there, a fraction.
        curve_x: Values at which the fitted curve is drawn.
        curve_y: The curve.
        threshold: Where it reaches the target; NaN where it does not.
        low: Interval; NaN where there is none.
        high: Interval.
    """

    name: str
    speakers: int
    levels: Floats
    rates: Floats
    curve_x: Floats
    curve_y: Floats
    threshold: float
    low: float
    high: float


def draw_thresholds(
    groups: Sequence[GroupCurve],
    *,
    title: str,
    x_label: str,
    target: float,
    usual: tuple[float, float] | None,
    by_factors: bool,
    harder_right: bool,
    confidence: float = 0.95,
) -> Figure:
    """Draw the groups' curves and thresholds, harder to the left.

    Args:
        groups: At most :data:`MOST_GROUPS` are drawn.
        title: The finding.
        x_label: The parameter, with its unit.
        target: The rate (a fraction) at which thresholds are drawn.
        usual: What the place usually has, shaded.
        by_factors: Whether the axis is logarithmic.
        harder_right: Whether larger values are harder: the axis is then turned round.
        confidence: Coverage of the intervals, for the caption.
    """
    from matplotlib.lines import Line2D

    groups = groups[:MOST_GROUPS]
    labels = group_labels([g.name for g in groups], [g.speakers for g in groups])
    with style():
        legend_in = min(0.078 * widest(labels) + 0.65, 4.4)
        width, body = 5.4 + legend_in, max(3.3, 0.26 * len(labels) + 0.4)
        heading = wrapped(title, int(width * 10.4))
        top = 0.5 + 0.2 * heading.count("\n")
        height = top + body + 0.95
        figure = new_figure(width, height)
        figure.text(
            0.12 / width, 1 - 0.14 / height, heading, fontsize=11, fontweight="bold", va="top", linespacing=1.25
        )
        axes = figure.add_axes((0.75 / width, 0.95 / height, 4.5 / width, body / height))
        if by_factors:
            axes.set_xscale("log")
        if usual is not None:
            axes.axvspan(*usual, color="#e6ebf0", zorder=0, linewidth=0)
        axes.axhline(100 * target, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        for i, group in enumerate(groups):
            colour = COLOURS[i]
            axes.plot(group.curve_x, 100 * group.curve_y, color=colour, linestyle=DASHES[i], linewidth=1.4, zorder=3,
                      label=labels[i])  # fmt: skip
            axes.plot(
                group.levels, 100 * group.rates, color=colour, marker=MARKERS[i], linestyle="", markersize=4.5, zorder=4
            )
            if math.isfinite(group.threshold):
                offset = 100 * target + (i - (len(groups) - 1) / 2) * 1.6
                if math.isfinite(group.low):
                    axes.hlines(offset, group.low, group.high, color=colour, linewidth=2.2, alpha=0.65, zorder=5)
                axes.plot(
                    [group.threshold], [offset], marker="|", markersize=11, markeredgewidth=2, color=colour, zorder=6
                )
        highest = max((float(np.nanmax(g.rates)) for g in groups), default=1.0)
        axes.set_ylim(0, 100 * max(1.02, min(highest * 1.05, 1.6)))
        every = np.concatenate([g.levels for g in groups])
        pad = 0.03 * float(np.ptp(every))
        axes.set_xlim(
            (every.min() * 0.93, every.max() * 1.07) if by_factors else (every.min() - pad, every.max() + pad)
        )
        if harder_right:
            axes.invert_xaxis()
        axes.grid(axis="y")
        axes.set_xlabel(x_label, labelpad=4)
        axes.set_ylabel("Word error rate, %")
        handles = [
            Line2D([], [], color=COLOURS[i], linestyle=DASHES[i], marker=MARKERS[i], markersize=4.5)
            for i in range(len(groups))
        ]
        legend = axes.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0,
                             handlelength=2.6, labelspacing=0.55)  # fmt: skip
        for text in legend.get_texts():
            text.set_color(INK)
        caption = f"bars at the dashed line: threshold and its {confidence * 100:g} % interval over speakers"
        caption += " · shaded: usual here" if usual is not None else ""
        figure.text(0.75 / width, 0.16 / height, caption, fontsize=8, color=MUTED, va="center")
    return figure
