"""Group × condition as a table whose cells are coloured: darker is worse, and every cell says its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from asrfair.report.figures import slug
from asrfair.report.loading import RunData
from asrfair.say import words

STEPS: Final = 9
MAX_GROUPS: Final = 200


@dataclass(frozen=True, kw_only=True)
class HeatRow:
    """A group: its name, speakers, and a cell (text, colour step) a condition; step ``-1`` has no number."""

    group: str
    speakers: str
    cells: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """One engine and attribute. ``legend`` holds the lower end of each colour step in percent."""

    anchor: str
    engine: str
    attribute: str
    conditions: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    legend: tuple[str, ...]
    hidden: int


def heat_maps(run: RunData) -> list[HeatMap]:
    """Return a heat map an attribute and engine; none where the run has one condition only."""
    if len(run.conditions) < 2:
        return []
    found = []
    for attribute in run.attributes:
        part = run.disparity[run.disparity["attribute"] == attribute]
        low, high = float(part["wer"].min()), float(part["wer"].max())
        if not low <= high:
            continue
        for engine in run.engines:
            rows = part[part["engine"] == engine]
            if len(rows):
                found.append(_heat_map(run, rows, engine, attribute, low, high))
    return found


def _heat_map(run: RunData, rows: pd.DataFrame, engine: str, attribute: str, low: float, high: float) -> HeatMap:
    conditions = [name for name in run.conditions if (rows["condition"] == name).any()]
    wide = rows.pivot_table(index="group", columns="condition", values="wer", aggfunc="first", sort=False, dropna=False)
    wide = wide.reindex(columns=conditions)
    wide = wide.loc[wide.mean(axis=1).sort_values(ascending=False, kind="stable", na_position="last").index]
    speakers = rows.groupby("group", sort=False)["speakers"].max()
    span = (high - low) or 1.0

    def step(wer: float) -> int:
        return -1 if words.missing(wer) else min(int((wer - low) / span * STEPS), STEPS - 1)

    return HeatMap(
        anchor=slug(f"heat {attribute} {engine}"),
        engine=engine,
        attribute=words.attribute_words(attribute),
        conditions=tuple(words.condition_words(name) for name in conditions),
        rows=tuple(
            HeatRow(
                group=words.group_words(group),
                speakers=words.number(int(speakers[group]), "count"),
                cells=tuple((words.number(float(wer), "percent"), step(float(wer))) for wer in values),
            )
            for group, values in zip(wide.index[:MAX_GROUPS], wide.to_numpy()[:MAX_GROUPS], strict=True)
        ),
        legend=tuple(words.number(low + span * index / STEPS, "percent") for index in range(STEPS)),
        hidden=max(len(wide) - MAX_GROUPS, 0),
    )
