"""One dot a speaker, in a row a group: is a group's rate everybody's, or a few speakers'?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from asrfair.report.fontset import widest
from asrfair.report.plots.axis import axis_end
from asrfair.report.plots.layout import axes_at, captions, headed_figure, rows_of
from asrfair.report.style import (
    ACCENT,
    INK,
    WARN,
    group_labels,
    group_name,
    of_all,
    stated_groups,
    style,
)
from asrfair.say import words
from asrfair.scoring.metric import WER, Metric, summed
from asrfair.types import INTERSECTION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS: Final = 40


def speaker_rates(
    scores: pd.DataFrame, utterances: pd.DataFrame, *, attribute: str, metric: Metric = WER
) -> pd.DataFrame:
    """Return a row an engine, condition, group and speaker: ``errors``, ``ref_words`` and ``rate`` (a fraction).

    Args:
        scores: Rows of ``scores.parquet``; only scored ones count.
        utterances: Rows of ``utterances.parquet``.
        attribute: An attribute, or an intersection such as ``accent × gender``.
        metric: Which rate; ``errors`` and ``ref_words`` are its numerator and denominator.

    Raises:
        KeyError: The utterances lack the attribute.
    """
    parts = attribute.split(INTERSECTION)
    group = utterances[parts[0]].astype(str)
    for part in parts[1:]:
        group = group + INTERSECTION + utterances[part].astype(str)
    who = pd.DataFrame(
        {"utterance_id": utterances["utterance_id"], "speaker_id": utterances["speaker_id"], "group": group}
    )
    scored = scores[scores["status"] == "scored"].merge(who, on="utterance_id")
    for side, names in (("errors", metric.numerator), ("ref_words", metric.denominator)):
        scored[side] = summed(names, scored)
    keys = ["engine", "condition", "group", "speaker_id"]
    pooled = scored.groupby(keys, sort=False, observed=True)[["errors", "ref_words"]].sum().reset_index()
    pooled = pooled[pooled["ref_words"] > 0]
    return pooled.assign(rate=pooled["errors"] / pooled["ref_words"])


def speaker_strip(rates: pd.DataFrame, *, attribute: str, engine: str, condition: str, min_speakers: int = 5) -> Figure:
    """Draw each speaker as a dot in the row of their group, and the median speaker of the group as a line.

    Rows are sorted by the median, small groups below; where there are many, the first are drawn.

    Args:
        rates: What :func:`speaker_rates` returned.
        attribute: The attribute's name, for the labels.
        engine: The engine's label.
        condition: The condition to show.
        min_speakers: Groups with fewer are drawn hollow, without a median, and the title does not speak of them.

    Raises:
        ValueError: There is no such row.
    """
    rows = rates[(rates["engine"] == engine) & (rates["condition"] == condition)]
    if rows.empty:
        raise ValueError(f"no speakers for engine {engine!r} in condition {condition!r}")
    table = rows.groupby("group", sort=False)["rate"].agg(["median", "size"])
    table = table.assign(small=table["size"] < min_speakers)
    table = table.sort_values(["small", "median"], ascending=[True, False], kind="stable")
    large = table[~table["small"] & stated_groups(table.index.to_series())]
    where = words.condition_words(condition)
    title = f"One dot a speaker, {where} ({engine})"
    if len(large):
        first, last = large.index[0], large.index[-1]
        title = f"Median speaker's WER, {where}: {words.percent(large['median'].iloc[0])} for {group_name(first)}"
        if len(large) > 1:
            title += f", {words.percent(large['median'].iloc[-1])} for {group_name(last)}"
        title += f" ({engine})"
    drawn = table.head(MAX_ROWS)
    some = of_all(len(drawn), len(table), "group")
    with style():
        return _draw(rows, drawn, f"{title}, {some}" if some else title, attribute, min_speakers)


def _draw(rows: pd.DataFrame, table: pd.DataFrame, title: str, attribute: str, min_speakers: int) -> Figure:
    names = group_labels(list(table.index), table["size"].tolist())
    left_in, body_in = min(0.075 * widest(names) + 0.3, 4.6), max(0.27 * len(names), 0.5)
    width = max(left_in + 4.6 + 0.3, 7.0)
    figure = headed_figure(title, width=width, body=body_in)
    axes = axes_at(figure, left=left_in, bottom=0.75, width=width - left_in - 0.3, height=body_in)
    end = axis_end(rows[rows["group"].isin(table.index)]["rate"])
    positions = np.arange(len(names))[::-1].astype(float)
    cut = False
    for (group, row), y in zip(table.iterrows(), positions, strict=True):
        mine = np.sort(rows.loc[rows["group"] == group, "rate"].to_numpy(float))
        cut |= _strip(axes, mine, y, end, known=int(row["size"]) >= min_speakers, median=float(row["median"]))
    rows_of(axes, names, positions, (0, 100 * end))
    label = f"Word error rate of a speaker, % · by {words.attribute_words(attribute)} · a dot is a speaker"
    note = f"line: median speaker · hollow: fewer than {min_speakers} speakers"
    note += " · arrow: speakers beyond the axis, and the highest rate" if cut else ""
    captions(figure, label, note)
    return figure


def _strip(
    axes: Axes, wer: np.ndarray[tuple[int], np.dtype[np.float64]], y: float, end: float, *, known: bool, median: float
) -> bool:
    colour = ACCENT if known else WARN
    inside = wer[wer <= end]
    # Equal rates of neighbours stand a little above each other, in an order that is the same every time.
    lift = 0.16 * ((np.arange(len(inside)) % 3) - 1) if len(inside) > 12 else np.zeros(len(inside))
    face = colour if known else "white"
    look: dict[str, Any] = {
        "marker": "o",
        "markersize": 4,
        "markerfacecolor": face,
        "markeredgecolor": colour,
        "alpha": 0.65,
    }
    axes.plot(100 * inside, y + lift, linestyle="", zorder=3, **look)
    if known and median <= end:
        axes.plot([100 * median] * 2, [y - 0.36, y + 0.36], color=INK, linewidth=2, zorder=4)
    outside = wer[wer > end]
    if not len(outside):
        return False
    axes.plot([100 * end], [y], marker=">", color=colour, markersize=6, clip_on=False, zorder=5)
    text = words.number(float(outside.max()), "percent")
    axes.annotate(
        f"{len(outside)}: {text}" if len(outside) > 1 else text,
        (100 * end, y), xytext=(-7, 0), textcoords="offset points", ha="right", va="center", fontsize=7.5, color=INK,
        zorder=6, bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
    )  # fmt: skip
    return True
