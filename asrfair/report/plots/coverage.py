"""Coverage: how many speakers stand behind each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from asrfair.report.fontset import widest
from asrfair.report.plots.layout import axes_at, headed_figure
from asrfair.report.style import ACCENT, INK, MUTED, WARN, group_names, of_all, style
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS: Final = 80


def coverage_plot(coverage: pd.DataFrame, *, attribute: str, min_speakers: int = 5) -> Figure:
    """Draw the speakers of each group as bars, most first; groups below the smallest size stand out.

    Args:
        coverage: Rows of ``coverage.csv``.
        attribute: The attribute (or intersection) to show.
        min_speakers: The run's smallest group with an interval.

    Raises:
        ValueError: There is no such row.
    """
    rows = coverage[coverage["attribute"] == attribute].sort_values("speakers", ascending=False, kind="stable")
    if rows.empty:
        raise ValueError(f"no rows for attribute {attribute!r}")
    small = int((rows["speakers"] < min_speakers).sum())
    some = of_all(min(len(rows), MAX_ROWS), len(rows), "group")
    verb = "has" if small == 1 or len(rows) == 1 else "have"
    which = f"{words.counted(len(rows), 'group')} by {words.attribute_words(attribute)}"
    title = f"{small} of {which} {verb} fewer than {min_speakers} speakers"
    if some:
        title += f" ({some})"
    with style():
        return _draw(rows.head(MAX_ROWS), title, min_speakers)


def _counts(row: pd.Series[Any]) -> str:
    parts = [words.counted(int(row["speakers"]), "speaker"), words.counted(int(row["utterances"]), "utterance")]
    if "hours" in row and float(row["hours"]) > 0:
        parts.append(f"{float(row['hours']):.2f} h")
    return ", ".join(parts)


def _draw(rows: pd.DataFrame, title: str, min_speakers: int) -> Figure:
    from matplotlib.ticker import MaxNLocator

    names = group_names(list(rows["group"]))
    texts = [_counts(row) for _, row in rows.iterrows()]
    left_in = min(0.075 * widest(names) + 0.3, 4.0)
    width, body_in = left_in + 3.7 + 0.068 * max(map(len, texts)), max(0.25 * len(rows), 0.5)
    figure = headed_figure(title, width=width, body=body_in, below=0.7)
    height = figure.get_size_inches()[1]
    axes = axes_at(figure, left=left_in, bottom=0.7, width=3.4, height=body_in)
    positions = np.arange(len(rows))[::-1]
    speakers = rows["speakers"].to_numpy(float)
    enough = speakers >= min_speakers
    axes.barh(
        positions,
        speakers,
        height=0.62,
        color=np.where(enough, ACCENT, "white"),
        edgecolor=np.where(enough, ACCENT, WARN),
    )
    axes.axvline(min_speakers, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    for y, text, enough_here in zip(positions, texts, enough, strict=True):
        where = ((left_in + 3.55) / width, (0.7 + body_in * (y + 0.7) / (len(rows) + 0.4)) / height)
        figure.text(*where, text, va="center", fontsize=8, color=INK if enough_here else WARN)
    axes.set_xlim(0, max(float(speakers.max()), min_speakers) * 1.02)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_yticks(positions, labels=names)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"Speakers (dashed: {min_speakers}, the fewest for an interval)")
    return figure
