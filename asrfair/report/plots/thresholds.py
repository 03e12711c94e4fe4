"""WER against the level of one parameter, by group, with the level at which each reaches the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asrfair.report.fontset import widest
from asrfair.report.style import COLOURS, DASHES, INK, MARKERS, MUTED, group_labels, new_figure, style, wrapped
from asrfair.stats.thresholds.axis import Axis, named, shown

if TYPE_CHECKING:
    import pandas as pd
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
        target: Rate at which the threshold is taken.
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
    target: float


def threshold_figure(
    thresholds: pd.DataFrame, levels: pd.DataFrame, *, title: str, attribute: str, target: str, confidence: float = 0.95
) -> Figure:
    """Draw what a run's tables say of one engine, place, attribute and target.

    Args:
        thresholds: Rows of ``thresholds.csv`` of one engine, place and parameter; one group at least is large enough.
        levels: Rows of ``threshold_levels.csv`` of the same.
        title: The finding.
        attribute: Whose groups.
        target: Which target, as the table writes it.
        confidence: Coverage of the intervals.
    """
    rows = thresholds[(thresholds["attribute"] == attribute) & (thresholds["target"] == target)]
    rows = rows[rows["flag"] == ""]
    first = rows.iloc[0]
    unit = str(first["unit"])
    axis = Axis(
        place=str(first["place"]), parameter=str(first["parameter"]), unit=unit, low=float(first["heard_low"]),
        high=float(first["heard_high"]), usual=None,
    )  # fmt: skip
    curves = [curve_of(row, levels, axis) for _, row in rows.iterrows()]
    curves.sort(key=lambda c: -axis.sign * (c.threshold if math.isfinite(c.threshold) else -axis.sign * math.inf))
    usual = (float(first["usual_low"]), float(first["usual_high"]))
    times, plain = shown(axis.parameter)
    label = f"{_capital(named(axis.parameter))}, {axis.place}" + (f", {unit or plain}" if unit or plain else "")
    marks = {value: f"{times * value:g}" for value in axis.marks()} if axis.by_factors else None
    same = bool((rows["target_wer"] == first["target_wer"]).all())
    return draw_thresholds(
        curves, title=title, usual=usual if math.isfinite(usual[0]) else None, x_label=label, marks=marks,
        target=float(first["target_wer"]) if same else math.nan, harder_right=axis.sign < 0, confidence=confidence,
    )  # fmt: skip


def curve_of(row: Mapping[Any, Any] | pd.Series[Any], levels: pd.DataFrame, axis: Axis) -> GroupCurve:
    """Return one group's curve from its row of thresholds and its levels."""
    mine = levels[(levels["attribute"] == row["attribute"]) & (levels["group"] == row["group"])]
    mine = mine[mine["level"].notna() & (mine["words"] > 0)].sort_values("level")
    values = mine["level"].to_numpy(float)
    low, high = sorted((axis.easier(axis.low), axis.easier(axis.high)))
    easier = np.linspace(low, high, 121)
    shape = [float(row[f"curve_{name}"]) for name in ("low", "high", "middle", "slope")]
    return GroupCurve(
        name=str(row["group"]), speakers=int(row["speakers"]), levels=values, rates=mine["wer"].to_numpy(float),
        curve_x=np.array([axis.value(x) for x in easier]),
        curve_y=shape[0] + (shape[1] - shape[0]) / (1 + np.exp(shape[3] * (easier - shape[2]))),
        threshold=float(row["threshold"]), low=float(row["ci_low"]), high=float(row["ci_high"]),
        target=float(row["target_wer"]),
    )  # fmt: skip


def _capital(text: str) -> str:
    """Begin with a capital, and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def draw_thresholds(
    groups: Sequence[GroupCurve],
    *,
    title: str,
    x_label: str,
    target: float,
    usual: tuple[float, float] | None,
    harder_right: bool,
    marks: Mapping[float, str] | None = None,
    confidence: float = 0.95,
) -> Figure:
    """Draw the groups' curves and thresholds, harder to the left.

    Args:
        groups: At most :data:`MOST_GROUPS` are drawn.
        title: The finding.
        x_label: The parameter, with its unit.
        target: The rate (a fraction) at which thresholds are drawn; NaN where groups have targets of their own.
        usual: What the place usually has, shaded.
        harder_right: Whether larger values are harder: the axis is then turned round.
        marks: What is written at which level of a logarithmic axis; without them the axis is a plain one.
        confidence: Coverage of the intervals, for the caption.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

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
        if marks is not None:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(list(marks)))
            axes.xaxis.set_major_formatter(FixedFormatter(list(marks.values())))
            axes.xaxis.set_minor_locator(NullLocator())
        if usual is not None:
            axes.axvspan(*usual, color="#e6ebf0", zorder=0, linewidth=0)
        if math.isfinite(target):
            axes.axhline(100 * target, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        for i, group in enumerate(groups):
            colour = COLOURS[i]
            axes.plot(group.curve_x, 100 * group.curve_y, color=colour, linestyle=DASHES[i], linewidth=1.4, zorder=3,
                      label=labels[i])  # fmt: skip
            axes.plot(
                group.levels, 100 * group.rates, color=colour, marker=MARKERS[i], linestyle="", markersize=4.5, zorder=4
            )
            if math.isfinite(group.threshold):
                offset = 100 * group.target + (i - (len(groups) - 1) / 2) * 1.6
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
            (every.min() * 0.93, every.max() * 1.07) if marks is not None else (every.min() - pad, every.max() + pad)
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
        where = "at the dashed line" if math.isfinite(target) else "at each group's own target"
        caption = f"bars {where}: threshold and its {confidence * 100:g} % interval over speakers"
        caption += " · shaded: usual here" if usual is not None else ""
        caption += " · harder to the left" if harder_right else ""
        figure.text(0.75 / width, 0.16 / height, caption, fontsize=8, color=MUTED, va="center")
    return figure
