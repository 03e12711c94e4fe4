"""Engine against engine: each group's WER under one engine and under another; below the line the second is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from asrfair.report.fontset import widest
from asrfair.report.plots.axis import axis_end
from asrfair.report.plots.layout import axes_at, headed_figure
from asrfair.report.style import ACCENT, INK, MUTED, WARN, group_labels, shortened, style
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NUMBERED: Final = 14
MAX_BARS: Final = 24
"""With more groups, intervals are left to the tables: the bars would hide the points."""


def engine_against_engine(
    disparity: pd.DataFrame, *, attribute: str, condition: str, engine_a: str, engine_b: str, confidence: float = 0.95
) -> Figure:
    """Draw each group as a numbered point, WER with ``engine_a`` to the right and with ``engine_b`` upward.

    The groups that the two engines serve most differently are numbered and named beside the plot.

    Args:
        disparity: Rows of ``disparity.csv``.
        attribute: The attribute (or intersection) to show.
        condition: The condition to show.
        engine_a: Label of the engine on the horizontal axis.
        engine_b: Label of the engine on the vertical axis.
        confidence: Coverage of the intervals, for the caption.

    Raises:
        ValueError: The two engines share no group.
    """
    rows = disparity[(disparity["attribute"] == attribute) & (disparity["condition"] == condition)]
    pair = [rows[rows["engine"] == name].drop_duplicates("group").set_index("group") for name in (engine_a, engine_b)]
    both = pair[0].merge(pair[1], how="inner", left_index=True, right_index=True, suffixes=("", "_b"))
    both = both[both["rate"].notna() & both["rate_b"].notna()]
    if both.empty:
        raise ValueError(f"{engine_a!r} and {engine_b!r} share no group of {attribute!r} in {condition!r}")
    order = (both["rate_b"] - both["rate"]).abs().sort_values(ascending=False, kind="stable").index
    both = both.loc[order]
    mine = rows[rows["engine"].isin([engine_a, engine_b])]
    limit = 100 * axis_end(mine["rate"], mine.get("ci_high", ()))
    with style():
        return _draw(both, engine_a, engine_b, limit, words.condition_words(condition), confidence)


def _draw(both: pd.DataFrame, engine_a: str, engine_b: str, limit: float, condition: str, confidence: float) -> Figure:
    better = int((both["rate_b"] < both["rate"]).sum())
    which = f"{better} of {words.counted(len(both), 'group')}"
    title = f"{engine_b} makes fewer errors than {engine_a} for {which}, {condition}"
    numbered = min(len(both), MAX_NUMBERED)
    names = [
        f"{rank}  {label}"
        for rank, label in enumerate(
            group_labels(list(both.index[:numbered]), both["speakers"].astype(int).tolist()[:numbered]), start=1
        )
    ]
    list_in = min(0.075 * widest(names) + 0.4, 4.6)
    width = 0.8 + 3.9 + 0.3 + list_in
    figure = headed_figure(title, width=width, body=3.9, below=0.9)
    height = figure.get_size_inches()[1]
    axes = axes_at(figure, left=0.8, bottom=0.9, width=3.9, height=3.9)
    axes.plot([0, limit], [0, limit], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
    for rank, (_, row) in enumerate(both.iterrows(), start=1):
        _point(axes, row, rank if rank <= numbered else 0, limit, bars=len(both) <= MAX_BARS)
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    axes.grid(visible=True)
    axes.set_xlabel(f"WER with {shortened(engine_a, 40)}, %")
    axes.set_ylabel(f"WER with {shortened(engine_b, 40)}, %")
    axes.text(0.97 * limit, 0.03 * limit, "second engine better", ha="right", fontsize=8, color=MUTED)
    axes.text(0.03 * limit, 0.97 * limit, "first engine better", va="top", fontsize=8, color=MUTED)
    step = min(0.2, 4.1 / max(len(names), 1))
    for rank, name in enumerate(names):
        y = 0.9 + 3.85 - rank * step
        figure.text(5.0 / width, y / height, name, fontsize=8 if step > 0.17 else 7, color=INK, va="top")
    more = f"{len(both) - numbered} more groups without number · " if len(both) > numbered else ""
    bars = f"bars: {confidence * 100:g} % intervals over speakers · " if len(both) <= MAX_BARS else ""
    caption = f"{more}sorted by difference · {bars}hollow: too small for an interval"
    figure.text(0.8 / width, 0.14 / height, caption, fontsize=8, color=MUTED, va="center")
    return figure


def _point(axes: Axes, row: pd.Series[Any], rank: int, limit: float, *, bars: bool) -> None:
    x, y = 100 * float(row["rate"]), 100 * float(row["rate_b"])
    bounds = [
        100 * float(row[name]) if name in row else np.nan for name in ("ci_low", "ci_high", "ci_low_b", "ci_high_b")
    ]
    known = bool(np.isfinite(bounds).all())
    colour = ACCENT if known else WARN
    if known and bars:
        axes.plot([bounds[0], min(bounds[1], limit)], [y, y], color=colour, linewidth=0.7, alpha=0.45, zorder=2)
        axes.plot([x, x], [bounds[2], min(bounds[3], limit)], color=colour, linewidth=0.7, alpha=0.45, zorder=2)
    # What lies beyond an end stands on it, as an arrow with the number.
    marker = "^" if y > limit else ">" if x > limit else "o"
    far = [words.number(value / 100, "percent") for value in (x, y) if value > limit]
    x, y = min(x, limit), min(y, limit)
    face = colour if known else "white"
    axes.plot([x], [y], marker=marker, markersize=4.5, color=colour, markerfacecolor=face, zorder=4, clip_on=False)
    label = " ".join(filter(None, (str(rank) if rank else "", f"({' | '.join(far)})" if far else "")))
    if label:
        at_end = x == limit
        axes.annotate(
            label, (x, y), xytext=(-5 if at_end else 4, 3), textcoords="offset points", fontsize=8, color=INK, zorder=5,
            ha="right" if at_end else "left",
        )  # fmt: skip
