"""Gap over conditions: how much more a group loses than the reference group (difference in differences)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from asrfair.report.fontset import widest
from asrfair.report.plots.layout import axes_at, captions, headed_figure, rows_of
from asrfair.report.style import (
    ACCENT,
    INK,
    WARN,
    group_name,
    group_names,
    of_all,
    shortened,
    style,
    wrapped,
)
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS: Final = 5
MAX_ROWS: Final = 80


def gap_over_conditions(interactions: pd.DataFrame, *, attribute: str, engine: str, confidence: float = 0.95) -> Figure:
    """Draw the widening of each group's gap in each condition, in percentage points; right of zero it widens.

    Args:
        interactions: Rows of ``interactions.csv``.
        attribute: The attribute (or intersection) to show.
        engine: The engine's label.
        confidence: Coverage of the intervals, for the caption.

    Raises:
        ValueError: There is no such row.
    """
    rows = interactions[(interactions["attribute"] == attribute) & (interactions["engine"] == engine)]
    rows = rows[rows["difference_in_differences"].notna()]
    if rows.empty:
        raise ValueError(f"no rows for attribute {attribute!r} and engine {engine!r}")
    means = rows.groupby("condition", sort=False)["difference_in_differences"].apply(lambda values: values.abs().max())
    conditions = [name for name in means.index if name in set(means.nlargest(MAX_PANELS).index)]
    every, rows = rows, rows[rows["condition"].isin(conditions)]
    order = rows.groupby("group", sort=False)["difference_in_differences"].mean()
    groups = list(order.sort_values(ascending=False, kind="stable").index[:MAX_ROWS])
    left_out = len(means) - len(conditions)
    with style():
        title = _title(every, engine)
        some = of_all(len(groups), len(order), "group")
        return _draw(rows, groups, conditions, f"{title} ({some})" if some else title, confidence, left_out)


def _title(rows: pd.DataFrame, engine: str) -> str:
    top = rows.sort_values("difference_in_differences", ascending=False, kind="stable").iloc[0]
    moved = float(top["difference_in_differences"])
    versus = group_name(top["reference_group"])
    if moved <= 0:
        return f"{engine}: no condition widens a gap to {versus}"
    unsure = "ci_low" in rows and not float(top["ci_low"]) > 0
    tail = " (its interval includes zero)" if unsure else ""
    return (
        f"{engine}: {words.condition_words(top['condition'])} costs {group_name(top['group'])} "
        f"{words.points(moved)} more than {versus}{tail}"
    )


def _draw(
    rows: pd.DataFrame, groups: list[str], conditions: list[str], title: str, confidence: float, left_out: int
) -> Figure:
    names = group_names(groups)
    left_in = min(0.075 * widest(names) + 0.3, 4.0)
    panel_in = 4.2 if len(conditions) == 1 else 2.1
    width = max(left_in + len(conditions) * (panel_in + 0.2) + 0.25, 7.0)
    body_in = max(0.27 * len(groups), 0.5)
    figure = headed_figure(title, width=width, body=body_in, above=0.75)
    ends = _ends(rows)
    positions = np.arange(len(groups))[::-1]
    for index, condition in enumerate(conditions):
        left = left_in + index * (panel_in + 0.2)
        axes = axes_at(figure, left=left, bottom=0.75, width=panel_in, height=body_in)
        part = rows[rows["condition"] == condition].drop_duplicates("group").set_index("group")
        for group, y in zip(groups, positions, strict=True):
            if group in part.index:
                _row(axes, part.loc[group], float(y), ends)
        rows_of(axes, names if index == 0 else [], positions, ends, ticks=4)
        axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
        heading = wrapped(shortened(words.condition_words(condition), 52), 27)
        axes.set_title(heading, fontsize=8.5, fontweight="normal", pad=4)
    bar = f"bar: {confidence * 100:g} % interval over speakers"
    caption = f"Widening of the gap against clean audio, percentage points · {bar}"
    reference = group_name(rows["reference_group"].iloc[0])
    note = f"reference group: {reference}" + (
        f" · {left_out} conditions that move less are not drawn" if left_out else ""
    )
    captions(figure, caption, note)
    return figure


def _ends(rows: pd.DataFrame) -> tuple[float, float]:
    values = 100 * rows["difference_in_differences"].to_numpy(float)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    span = max(high - low, 1.0)
    bounds = [100 * rows[name].to_numpy(float) for name in ("ci_low", "ci_high") if name in rows]
    every = np.concatenate([values, *bounds]) if bounds else values
    every = every[np.isfinite(every)]
    reach = 2.0 * span
    return max(every.min(), low - reach) - 0.05 * span, min(every.max(), high + reach) + 0.05 * span


def _row(axes: Axes, row: Any, y: float, ends: tuple[float, float]) -> None:
    value, low, high = (
        100 * float(row[name]) if name in row else np.nan for name in ("difference_in_differences", "ci_low", "ci_high")
    )
    known = bool(np.isfinite(low) and np.isfinite(high))
    colour = ACCENT if known else WARN
    if known:
        axes.plot(
            [max(low, ends[0]), min(high, ends[1])],
            [y, y],
            color=colour,
            linewidth=1.6,
            solid_capstyle="butt",
            zorder=2,
        )
        for beyond, at, marker in ((low < ends[0], ends[0], "<"), (high > ends[1], ends[1], ">")):
            if beyond:
                axes.plot([at], [y], marker=marker, color=colour, markersize=4.5, clip_on=False, zorder=3)
    axes.plot([value], [y], marker="o", color=colour, markerfacecolor=colour if known else "white", zorder=4)
