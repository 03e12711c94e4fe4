"""Cumulative distribution of speakers' WER by group: is a group's rate everybody's, or a few speakers'?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from asrfair.report.plots.lines import Line, draw_lines
from asrfair.say import words
from asrfair.types import INTERSECTION

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def speaker_rates(scores: pd.DataFrame, utterances: pd.DataFrame, *, attribute: str) -> pd.DataFrame:
    """Return a row an engine, condition, group and speaker: ``errors``, ``ref_words`` and ``wer`` (a fraction).

    Args:
        scores: Rows of ``scores.parquet``; only scored ones count.
        utterances: Rows of ``utterances.parquet``.
        attribute: An attribute, or an intersection such as ``accent × gender``.

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
    scored["errors"] = scored["substitutions"] + scored["deletions"] + scored["insertions"]
    scored["ref_words"] = scored["hits"] + scored["substitutions"] + scored["deletions"]
    keys = ["engine", "condition", "group", "speaker_id"]
    summed = scored.groupby(keys, sort=False, observed=True)[["errors", "ref_words"]].sum().reset_index()
    summed = summed[summed["ref_words"] > 0]
    return summed.assign(wer=summed["errors"] / summed["ref_words"])


def speaker_distribution(
    rates: pd.DataFrame, *, attribute: str, engine: str, condition: str, min_speakers: int = 5
) -> Figure:
    """Draw, for each group, the share of its speakers with at most a given WER.

    Args:
        rates: What :func:`speaker_rates` returned.
        attribute: The attribute's name, for the labels.
        engine: The engine's label.
        condition: The condition to show.
        min_speakers: Groups with fewer are drawn, but the title does not speak of them.

    Raises:
        ValueError: There is no such row.
    """
    rows = rates[(rates["engine"] == engine) & (rates["condition"] == condition)]
    if rows.empty:
        raise ValueError(f"no speakers for engine {engine!r} in condition {condition!r}")
    right = 100 * min(float(rows["wer"].max()), max(1.0, float(rows["wer"].quantile(0.98))))
    lines = []
    for group, part in rows.groupby("group", sort=False):
        wer = np.sort(100 * part["wer"].to_numpy(float))
        x = np.concatenate([[0.0], wer, [max(right, wer[-1])]])
        y = np.concatenate([[0.0], 100 * np.arange(1, len(wer) + 1) / len(wer), [100.0]])
        lines.append((float(np.median(wer)), Line(name=words.group_words(group), speakers=len(wer), x=x, y=y)))
    lines.sort(key=lambda item: -item[0])
    sure = [item for item in lines if item[1].speakers >= min_speakers] or lines
    title = f"Median speaker's WER, {words.condition_words(condition)}: {sure[0][0]:.1f} % for {sure[0][1].name}"
    title += (f", {sure[-1][0]:.1f} % for {sure[-1][1].name}" if len(sure) > 1 else "") + f" ({engine})"
    figure = draw_lines(
        [line for _, line in lines],
        title=title,
        x_label="Word error rate of a speaker, %",
        y_label="Speakers with at most this WER, %",
        caption=f"by {words.attribute_words(attribute)} · a step is a speaker · groups further right are served worse",
        steps=True,
        y_top=103,
    )
    figure.axes[0].set_xlim(0, 1.02 * right if right else 1.0)
    return figure
