"""Many engines at once: groups against engines as a heat map, and engines ranked as dots with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from asrfair.report.fontset import widest
from asrfair.report.plots.axis import axis_end
from asrfair.report.plots.forest import worst_title
from asrfair.report.plots.heat import draw_heat
from asrfair.report.plots.layout import axes_at, captions, headed_figure, rate_in_row, rows_of
from asrfair.report.style import (
    ACCENT,
    INK,
    WARN,
    group_labels,
    group_name,
    of_all,
    shortened,
    style,
    worst_row,
)
from asrfair.say import words
from asrfair.types import OVERALL_ATTRIBUTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS: Final = 40
MAX_ENGINES: Final = 40


def engine_heat_map(
    disparity: pd.DataFrame, *, attribute: str, condition: str, claims: pd.DataFrame | None = None
) -> Figure:
    """Draw groups × engines, both sorted by WER: the worst group on top, the engine with the fewest errors on the left.

    Groups that are too small for an interval stand below the others, hatched.

    Args:
        disparity: Rows of ``disparity.csv``.
        attribute: The attribute (or intersection) to show.
        condition: The condition to show.
        claims: Rows of ``claims.csv``; a cell whose group claim was affirmed is marked.

    Raises:
        ValueError: There is no such row.
    """
    rows, everybody = _rows(disparity, attribute, condition)
    order = _engine_order(rows, everybody)
    table = rows.assign(small=rows["ci_low"].isna() if "ci_low" in rows else False)
    mean = table.groupby("group", sort=False).agg({"small": "mean", "rate": "mean"})
    mean = mean.assign(small=mean["small"] > 0.5)
    mean = mean.sort_values(["small", "rate"], ascending=[True, False], kind="stable")
    groups, engines = list(mean.index[:MAX_ROWS]), order[:MAX_ENGINES]
    wide = _wide(rows, "rate", groups, engines)
    small = np.isnan(_wide(rows, "ci_low", groups, engines)) if "ci_low" in rows else np.zeros(wide.shape, dtype=bool)
    sure = _affirmed(claims, attribute, condition, groups, engines)
    speakers = rows.groupby("group", sort=False)["speakers"].max()
    shown = (of_all(len(engines), len(order), "engine"), of_all(len(groups), len(mean), "group"))
    notes = []
    if small.any():
        notes.append("hatched: too small for an interval")
    if sure is not None and sure.any():
        notes.append("dot: the claim about this group holds (claims.csv)")
    with style():
        return draw_heat(
            100 * wide,
            group_labels(groups, [int(speakers[group]) for group in groups]),
            engines,
            worst_title(rows, attribute, condition, shown),
            caption="Word error rate, % · darker is worse · highest mean on top, small groups below · fewest errors on the left",
            hatched=small,
            sure=sure,
            notes=" · ".join(notes),
        )


def ranked_engines(
    disparity: pd.DataFrame, *, attribute: str, condition: str, min_speakers: int = 5, confidence: float = 0.95
) -> Figure:
    """Draw each engine's WER over everybody and of its worst group, with intervals; the fewest errors on top.

    Args:
        disparity: Rows of ``disparity.csv``.
        attribute: The attribute whose worst group is shown.
        condition: The condition to show.
        min_speakers: Speakers that a worst group has at least.
        confidence: Coverage of the intervals, for the caption.

    Raises:
        ValueError: There is no such row.
    """
    rows, everybody = _rows(disparity, attribute, condition)
    order = _engine_order(rows, everybody)
    whole = everybody.drop_duplicates("engine").set_index("engine")
    large = rows[rows["speakers"] >= min_speakers]
    worst = {str(engine): worst_row(part) for engine, part in large.groupby("engine", sort=False)}
    engines = order[:MAX_ENGINES]
    some = of_all(len(engines), len(order), "engine")
    with style():
        return _draw(engines, whole, worst, _title(order, whole, condition, some), attribute, confidence)


def _rows(disparity: pd.DataFrame, attribute: str, condition: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    here = disparity[(disparity["condition"] == condition) & disparity["rate"].notna()]
    rows = here[here["attribute"] == attribute]
    if rows.empty:
        raise ValueError(f"no rows for attribute {attribute!r} in condition {condition!r}")
    return rows, here[here["attribute"] == OVERALL_ATTRIBUTE]


def _engine_order(rows: pd.DataFrame, everybody: pd.DataFrame) -> list[str]:
    """Return the engines by their WER over everybody (over the groups, where there is no such row)."""
    table = everybody if set(rows["engine"]) <= set(everybody["engine"]) else rows
    rates = table[table["engine"].isin(rows["engine"])].groupby("engine", sort=False)["rate"].mean()
    return [str(name) for name in rates.sort_values(kind="stable").index]


def _wide(
    rows: pd.DataFrame, value: str, groups: list[str], engines: list[str]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    table = rows.pivot_table(index="group", columns="engine", values=value, aggfunc="first", sort=False, dropna=False)
    return table.reindex(index=groups, columns=engines).to_numpy(dtype=float)


def _affirmed(
    claims: pd.DataFrame | None, attribute: str, condition: str, groups: list[str], engines: list[str]
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]] | None:
    if claims is None:
        return None
    mine = claims[(claims["kind"] == "group") & (claims["attribute"] == attribute) & (claims["condition"] == condition)]
    holds = mine[mine["affirmed"].astype(str).str.lower().isin({"true", "1", "1.0", "yes"})]
    pairs = set(zip(holds["group"].astype(str), holds["engine"].astype(str), strict=True))
    return np.array([[(str(group), engine) in pairs for engine in engines] for group in groups], dtype=bool)


def _title(order: list[str], whole: pd.DataFrame, condition: str, some: str) -> str:
    known = [name for name in order if name in whole.index]
    if not known:
        return f"Worst group of each engine, {words.condition_words(condition)}"
    first, last = known[0], known[-1]
    title = f"Everybody, {words.condition_words(condition)}: {words.percent(whole.loc[first, 'rate'])} with {first}"
    if len(known) > 1:
        title += f", {words.percent(whole.loc[last, 'rate'])} with {last}"
    return f"{title} ({some})" if some else title


def _draw(
    engines: list[str],
    whole: pd.DataFrame,
    worst: dict[str, pd.Series[Any]],
    title: str,
    attribute: str,
    confidence: float,
) -> Figure:
    names = [shortened(name, 34) for name in engines]
    tails = [_tail(worst.get(engine)) for engine in engines]
    left_in, right_in = min(0.075 * widest(names) + 0.3, 3.6), min(0.07 * widest(tails) + 0.3, 3.4)
    body_in = max(0.3 * len(names), 0.5)
    width = max(left_in + 4.4 + right_in, 7.6)
    figure = headed_figure(title, width=width, body=body_in)
    axes = axes_at(figure, left=left_in, bottom=0.75, width=4.4, height=body_in)
    drawn = pd.DataFrame(
        [*(whole.loc[name] for name in engines if name in whole.index), *(worst[n] for n in engines if n in worst)]
    )
    end = axis_end(drawn["rate"], drawn.get("ci_high", ()))
    positions = np.arange(len(names))[::-1].astype(float)
    for engine, tail, y in zip(engines, tails, positions, strict=True):
        if engine in whole.index:
            rate_in_row(axes, whole.loc[engine], y + 0.14, end, ACCENT)
        if engine in worst:
            rate_in_row(axes, worst[engine], y - 0.14, end, WARN, marker="D")
        place = (
            (left_in + 4.4 + 0.12) / width,
            (0.75 + body_in * (y + 0.7) / (len(names) + 0.4)) / figure.get_size_inches()[1],
        )
        figure.text(*place, tail, fontsize=8, color=INK, va="center")
    rows_of(axes, names, positions, (0, 100 * end))
    label = f"Word error rate, % · bar: {confidence * 100:g} % interval over speakers · hollow: no interval"
    note = f"round: everybody · diamond: the worst {words.attribute_words(attribute)}, named on the right · fewest errors on top"
    captions(figure, label, note)
    return figure


def _tail(row: pd.Series[Any] | None) -> str:
    return "no group is large enough" if row is None else shortened(group_name(row["group"]), 28)
