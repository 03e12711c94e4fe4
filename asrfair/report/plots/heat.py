"""Heat map: WER of each group in each condition; darker is worse, and every cell says its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from asrfair.report.style import INK, group_labels, new_figure, shortened, style, worst_row, wrapped
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MAX_ROWS: Final = 80
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
    if not rows["wer"].notna().any():
        raise ValueError(f"no rows for attribute {attribute!r} and engine {engine!r}")
    conditions = list(dict.fromkeys(rows["condition"]))
    wide = rows.pivot_table(index="group", columns="condition", values="wer", aggfunc="first", sort=False, dropna=False)
    wide = wide.reindex(columns=conditions)
    order = wide.mean(axis=1).sort_values(ascending=False, kind="stable", na_position="last").index
    hidden = max(len(order) - MAX_ROWS, 0)
    wide = wide.loc[order[:MAX_ROWS]]
    speakers = rows.groupby("group", sort=False)["speakers"].max()
    names = group_labels(list(wide.index), [int(speakers[group]) for group in wide.index])
    worst = worst_row(rows)
    title = (
        f"{engine} is worst for {words.group_words(worst['group'])} in {words.condition_words(worst['condition'])}: "
        f"{words.percent(worst['wer'])} of words wrong"
    )
    if hidden:
        title += f" ({hidden} groups with lower mean WER not drawn)"
    with style():
        return _draw(100 * wide.to_numpy(dtype=float), names, [words.condition_words(c) for c in conditions], title)


def _draw(
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]], names: list[str], conditions: list[str], title: str
) -> Figure:
    left_in = min(0.075 * max(map(len, names)) + 0.3, 4.6)
    labels = [shortened(name, 30) for name in conditions]
    head_in = min(0.06 * max(map(len, labels)) + 0.25, 1.9)
    cell_in = 0.62 if len(conditions) <= 12 else 0.5
    body_w, body_h = cell_in * len(conditions), max(0.26 * len(names), 0.4)
    width = max(left_in + body_w + 0.9, 6.0)
    heading = wrapped(title, int(width * 10.4))
    top_in = 0.4 + 0.2 * heading.count("\n") + head_in
    height = top_in + body_h + 0.5
    figure = new_figure(width, height)
    figure.text(0.12 / width, 1 - 0.14 / height, heading, fontsize=11, fontweight="bold", va="top", linespacing=1.25)
    axes = figure.add_axes((left_in / width, 0.5 / height, body_w / width, body_h / height))
    shown = np.ma.masked_invalid(values)
    low, high = float(shown.min()), float(shown.max())
    axes.imshow(
        shown, cmap=colour_map(), vmin=low, vmax=high if high > low else low + 1, aspect="auto", interpolation="none"
    )
    middle = (low + high) / 2
    for (row, column), value in np.ndenumerate(values):
        text = words.ABSENT if not np.isfinite(value) else f"{value:.1f}"
        colour = "white" if np.isfinite(value) and value > middle else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_xticks(range(len(labels)), labels=labels, rotation=40, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    caption = "Word error rate, % · darker is worse · rows sorted by their mean over conditions"
    figure.text(0.12 / width, 0.22 / height, caption, fontsize=8.5, color=INK, va="center")
    return figure


def colour_map() -> Colormap:
    """Return white to dark blue in even steps of lightness, which every kind of colour vision can order."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("asrfair", _STEPS)
