"""Heat map: WER of each group in each condition; darker is worse, and every cell says its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from asrfair.report.fontset import widest
from asrfair.report.plots.axis import CUT
from asrfair.report.plots.layout import axes_at, captions, headed_figure
from asrfair.report.style import (
    INK,
    group_labels,
    group_name,
    of_all,
    shortened,
    style,
    worst_row,
)
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MAX_ROWS: Final = 80

Cells = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Flags = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
_STEPS: Final = ("#f3f7fb", "#c6dbef", "#7fb5dd", "#3d80b8", "#0f4f8a", "#08306b")


def heat_map(disparity: pd.DataFrame, *, attribute: str, engine: str) -> Figure:
    """Draw group × condition; the group with the highest mean WER is on top.

    Args:
        disparity: Rows of ``disparity.csv``.
        attribute: The attribute (or intersection) to show.
        engine: The engine's label.

    Raises:
        ValueError: There is no such row.
    """
    rows = disparity[(disparity["attribute"] == attribute) & (disparity["engine"] == engine)]
    if not rows["rate"].notna().any():
        raise ValueError(f"no rows for attribute {attribute!r} and engine {engine!r}")
    conditions = list(dict.fromkeys(rows["condition"]))
    wide = rows.pivot_table(
        index="group", columns="condition", values="rate", aggfunc="first", sort=False, dropna=False
    )
    wide = wide.reindex(columns=conditions)
    order = wide.mean(axis=1).sort_values(ascending=False, kind="stable", na_position="last").index
    some = of_all(min(len(order), MAX_ROWS), len(order), "group")
    wide = wide.loc[order[:MAX_ROWS]]
    speakers = rows.groupby("group", sort=False)["speakers"].max()
    names = group_labels(list(wide.index), [int(speakers[group]) for group in wide.index])
    worst = worst_row(rows)
    title = (
        f"{engine} is worst for {group_name(worst['group'])} in {words.condition_words(worst['condition'])}: "
        f"{words.percent(worst['rate'])} of words wrong"
    )
    if some:
        title += f" ({some})"
    known = rows.assign(small=rows["ci_low"].isna() if "ci_low" in rows else False)
    small = known.pivot_table(index="group", columns="condition", values="small", aggfunc="first", sort=False)
    small = small.reindex(index=wide.index, columns=conditions)
    caption = "Word error rate, % · darker is worse · rows sorted by their mean over conditions"
    with style():
        return draw_heat(
            100 * wide.to_numpy(dtype=float),
            names,
            [words.condition_words(c) for c in conditions],
            title,
            caption=caption,
            hatched=small.to_numpy(dtype=bool),
            notes="hatched: too small for an interval" if small.to_numpy(dtype=bool).any() else "",
        )


def draw_heat(
    values: Cells,
    names: list[str],
    labels: list[str],
    title: str,
    *,
    caption: str,
    hatched: Flags | None = None,
    sure: Flags | None = None,
    notes: str = "",
) -> Figure:
    """Draw a table of percentages as coloured cells with their numbers.

    Args:
        values: Percent, shape (rows, columns); NaN is an empty cell.
        names: Label of each row.
        labels: Label of each column.
        title: The heading.
        caption: What the colours mean.
        hatched: Cells of groups that are too small for an interval.
        sure: Cells that are marked with a dot.
        notes: What hatching and dots mean.
    """
    from matplotlib.patches import Rectangle

    left_in = min(0.075 * widest(names) + 0.3, 4.6)
    labels = [shortened(name, 30) for name in labels]
    head_in = min(0.06 * widest(labels) + 0.25, 1.9)
    cell_in = 0.62 if len(labels) <= 12 else 0.5
    body_w, body_h = cell_in * len(labels), max(0.26 * len(names), 0.4)
    width = max(left_in + body_w + 1.3, 0.24 + 0.076 * max(len(caption), len(notes)), 6.0)
    figure = headed_figure(title, width=width, body=body_h, above=0.4 + head_in, below=0.65)
    axes = axes_at(figure, left=left_in, bottom=0.65, width=body_w, height=body_h)
    shown = np.ma.masked_invalid(values)
    low, high = float(shown.min()), min(float(shown.max()), max(100 * CUT, float(np.median(shown.compressed()))))
    axes.imshow(
        shown, cmap=colour_map(), vmin=low, vmax=high if high > low else low + 1, aspect="auto", interpolation="none"
    )
    middle = (low + high) / 2
    for (row, column), value in np.ndenumerate(values):
        text = words.number(value / 100, "percent") if np.isfinite(value) else words.ABSENT
        dark = bool(np.isfinite(value) and value > middle)
        if hatched is not None and hatched[row, column] and np.isfinite(value):
            corner = (column - 0.5, row - 0.5)
            edge = "#9fb0c0" if dark else "#8b97a3"
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor=edge, linewidth=0))
        box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        plain = hatched is not None and bool(hatched[row, column])
        axes.text(
            column, row, text, ha="center", va="center", fontsize=7.5, color="white" if dark and not plain else INK,
            bbox=box if plain else None,
        )  # fmt: skip
        if sure is not None and sure[row, column]:
            axes.plot([column + 0.38], [row - 0.3], marker="o", markersize=2.8, color="white" if dark else INK)
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_xticks(range(len(labels)), labels=labels, rotation=40, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    captions(figure, caption, notes)
    return figure


def colour_map() -> Colormap:
    """Return white to dark blue in even steps of lightness, which every kind of colour vision can order."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("asrfair", _STEPS)
