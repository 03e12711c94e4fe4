"""Forest plot: each group's WER with its interval, one panel an engine, the same groups in the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from asrfair.report.fontset import widest
from asrfair.report.plots.axis import axis_end
from asrfair.report.plots.layout import axes_at, captions, headed_figure, rate_in_row, rows_of
from asrfair.report.style import (
    ACCENT,
    INK,
    MUTED,
    WARN,
    group_labels,
    group_name,
    of_all,
    shortened,
    style,
    worst_row,
)
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS: Final = 4
"""Engines side by side; more are a heat map (:func:`asrfair.report.plots.engine_heat_map`)."""
MAX_ROWS: Final = 80


def forest_plot(
    disparity: pd.DataFrame,
    *,
    attribute: str,
    condition: str,
    engines: Sequence[str] = (),
    confidence: float = 0.95,
    max_rows: int = MAX_ROWS,
) -> Figure:
    """Draw WER by group with intervals; groups are sorted by their mean WER over the engines, the worst on top.

    Args:
        disparity: Rows of ``disparity.csv``.
        attribute: The attribute (or intersection) to show.
        condition: The condition to show.
        engines: Labels to show; all of them (:data:`MAX_PANELS` at most) when empty. The title speaks of every engine.
        confidence: Coverage of the intervals, for the caption.
        max_rows: Groups to draw at most, those with the highest WER.

    Raises:
        ValueError: There is no such row.
    """
    rows = disparity[(disparity["attribute"] == attribute) & (disparity["condition"] == condition)]
    rows = rows[rows["rate"].notna()]
    every = rows
    labels = list(engines or dict.fromkeys(rows["engine"]))[:MAX_PANELS]
    rows = rows[rows["engine"].isin(labels)]
    if rows.empty:
        raise ValueError(f"no rows for attribute {attribute!r} in condition {condition!r}")
    mean = rows.groupby("group", sort=False)["rate"].mean().sort_values(ascending=False, kind="stable")
    groups = list(mean.index[:max_rows])
    everybody = disparity[(disparity["attribute"] == "overall") & (disparity["condition"] == condition)]
    limit = axis_end(rows["rate"], rows.get("ci_high", ()))
    shown = (
        of_all(len(labels), every["engine"].nunique(), "engine"),
        of_all(len(groups), every["group"].nunique(), "group"),
    )
    with style():
        return _draw(
            rows, groups, labels, everybody, limit, worst_title(every, attribute, condition, shown), confidence
        )


def worst_title(rows: pd.DataFrame, attribute: str, condition: str, shown: Sequence[str] = ()) -> str:
    """Return a title that names the worst group over all rows, and what is not drawn."""
    worst = worst_row(rows)
    who = f"{group_name(worst['group'])}: {words.percent(worst['rate'])} of words wrong"
    using = f" with {worst['engine']}" if len(set(rows["engine"])) > 1 else ""
    some = ", ".join(filter(None, shown))
    tail = f" ({some})" if some else ""
    return f"Worst {words.attribute_words(attribute)}, {words.condition_words(condition)} – {who}{using}{tail}"


def _draw(
    rows: pd.DataFrame,
    groups: list[str],
    labels: list[str],
    everybody: pd.DataFrame,
    limit: float,
    title: str,
    confidence: float,
) -> Figure:
    panels = len(labels)
    speakers = rows.groupby("group")["speakers"].max()
    names = group_labels(groups, [int(speakers[group]) for group in groups])
    left_in = min(0.075 * widest(names) + 0.3, 4.6)
    panel_in = 4.2 if panels == 1 else 2.5 if panels == 2 else 2.0
    gap_in, right_in, bottom_in = 0.2, 0.25, 0.75
    width = max(left_in + panels * panel_in + (panels - 1) * gap_in + right_in, 7.0)
    body_in = max(0.27 * len(groups), 0.5)
    figure = headed_figure(title, width=width, body=body_in, above=0.74, below=bottom_in)
    positions = np.arange(len(groups))[::-1]
    any_cut = False
    for index, engine in enumerate(labels):
        left = left_in + index * (panel_in + gap_in)
        axes = axes_at(figure, left=left, bottom=bottom_in, width=panel_in, height=body_in)
        mine = rows[rows["engine"] == engine].drop_duplicates("group").set_index("group")
        whole = everybody[everybody["engine"] == engine]["rate"]
        if len(whole):
            axes.axvline(100 * float(whole.iloc[0]), color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        for group, y in zip(groups, positions, strict=True):
            if group in mine.index:
                row = mine.loc[group]
                colour = ACCENT if np.isfinite(row.get("ci_low", np.nan)) else WARN
                any_cut |= rate_in_row(axes, row, float(y), limit, colour)
        rows_of(axes, names if index == 0 else [], positions, (0, 100 * limit), ticks=5)
        if panels > 1:
            axes.set_title(shortened(engine, 28), fontsize=9, fontweight="normal", color=INK, pad=4)
    axis_label = f"Word error rate, % · bar: {confidence * 100:g} % interval over speakers · dashed: everybody together"
    legend = "hollow: too small for an interval" if rows.get("ci_low", pd.Series(dtype=float)).isna().any() else ""
    legend = " · ".join(filter(None, (legend, "arrow: goes on beyond the axis" if any_cut else "")))
    captions(figure, axis_label, legend)
    return figure
