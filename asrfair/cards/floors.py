"""What a service card says of the groups: "for every one of N groups …, word recognition F1 was at least …".

The value is the worst group's. The bound is the worst *simultaneous* bound (``sim_low`` of F1 in ``metrics.csv``,
``sim_high`` of WER in ``disparity.csv``), so that it holds for all groups at once and not for each taken alone.

How sure: within one attribute every one-sided bound misses with at most (1 − c^(1/G))/2 over G groups (Šidák, as in
docs/statistics.md), which adds up to at most −ln(c)/2; over A attributes the claim holds with at least
1 − A · (−ln c)/2 (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from asrfair.report.loading import RunData, section
from asrfair.say import words
from asrfair.types import INTERSECTION, NOT_STATED, OVERALL_ATTRIBUTE

Measure = Literal["f1", "wer"]
F1 = "word_f1"
MEASURES: dict[Measure, str] = {"f1": "word recognition F1", "wer": "word error rate"}


@dataclass(frozen=True, kw_only=True)
class Floor:
    """One statement about all groups of a run under one engine and condition.

    Args:
        run: Name of the run in the card.
        engine: Label.
        condition: Name.
        measure: ``f1`` (at least) or ``wer`` (at most).
        groups: Groups of single attributes that it speaks of.
        intersections: Groups of intersections that it speaks of.
        value: The worst of them (a fraction); ``None`` where there is none.
        bound: The worst simultaneous bound; ``None`` unless every one of them has a bound.
        bounded: How many have a bound.
        too_small: Groups and intersections that have too few speakers or words to be spoken of.
        not_stated: Groups of those who did not state an attribute; they are no demographic group.
        attributes: Attributes and intersections that the statement spans.
        confidence: Of the simultaneous bounds within one attribute.
        min_speakers: Speakers that a group needs to be spoken of.
        min_words: Words likewise.
    """

    run: str
    engine: str
    condition: str
    measure: Measure
    groups: int
    intersections: int
    value: float | None
    bound: float | None
    bounded: int
    too_small: int
    not_stated: int
    attributes: int
    confidence: float
    min_speakers: int
    min_words: int

    @property
    def joint_confidence(self) -> float:
        """How surely the bound holds for all groups of all attributes together."""
        return max(0.0, 1.0 + self.attributes * math.log(self.confidence) / 2)

    @property
    def sentence(self) -> str:
        """The statement in words."""
        where = f"{self.engine}, {words.condition_words(self.condition)} ({self.run}): "
        size = f"{words.counted(self.min_speakers, 'speaker')} and {words.counted(self.min_words, 'word')}"
        if self.value is None:
            return f"{where}no group has the {size} that a statement needs. {self._left_out}"
        who = f"for every one of {words.counted(self.groups, 'group')}"
        if self.intersections:
            who += f" and every one of {words.counted(self.intersections, 'intersection')}"
        limit = "at least" if self.measure == "f1" else "at most"
        return (
            f"{where}{who} with at least {size}, {MEASURES[self.measure]} was {limit} {words.percent(self.value)} "
            f"({self._bound}). {self._left_out}"
        )

    @property
    def _bound(self) -> str:
        total = self.groups + self.intersections
        if self.bounded == 0:
            return "no simultaneous bound can be given"
        if self.bound is None:
            return f"no bound for all: only {self.bounded} of {total} have one"
        if self.measure == "wer" and self.bound > 1:
            return "the simultaneous upper bound is above 100 %: too few speakers to bound it"
        side = "lower" if self.measure == "f1" else "upper"
        return (
            f"simultaneous {side} bound {words.percent(self.bound)}, which holds for all of them together with "
            f"{100 * self.joint_confidence:.1f} % confidence or more"
        )

    @property
    def _left_out(self) -> str:
        verb = "was" if self.too_small == 1 else "were"
        few = f"{words.counted(self.too_small, 'group')} {verb}" if self.too_small else "No group was"
        text = f"{few} too small to say."
        if self.not_stated:
            text += f" Left out: {words.counted(self.not_stated, 'group')} of speakers who did not state it."
        return text


def floors(run: RunData, name: str, *, smallest: int) -> list[Floor]:
    """Return the statements of a run, F1 and WER, an engine and condition after the other.

    Args:
        run: The run as it is, nothing suppressed.
        name: What the card calls it.
        smallest: Speakers below which a group is not spoken of, even if the run's own limit is lower.
    """
    frame = run.disparity[run.disparity["attribute"] != OVERALL_ATTRIBUTE]
    blocks = frame.groupby(["engine", "condition"], sort=False)
    return [
        floor
        for (engine, condition), part in blocks
        for floor in _of_block(run, name, str(engine), str(condition), part, smallest)
    ]


def _of_block(
    run: RunData, name: str, engine: str, condition: str, part: pd.DataFrame, smallest: int
) -> Iterator[Floor]:
    min_speakers, min_words = max(smallest, run.min_speakers), _min_words(run)
    unstated = part["group"].map(lambda group: NOT_STATED in group.split(INTERSECTION))
    large = (part["speakers"] >= min_speakers) & (part["ref_words"] >= min_words)
    mine = part[large & ~unstated]
    crossed = mine["attribute"].str.contains(INTERSECTION, regex=False)
    values = {"wer": _of(mine, mine, "rate", "sim_high"), "f1": _f1(run, engine, condition, mine)}
    for measure in MEASURES:
        value, bound = values[measure]
        known = bound.dropna()
        ends = (value.min(), bound.min()) if measure == "f1" else (value.max(), bound.max())
        yield Floor(
            run=name,
            engine=engine,
            condition=condition,
            measure=measure,
            groups=int((~crossed).sum()),
            intersections=int(crossed.sum()),
            value=float(ends[0]) if len(value) and value.notna().all() else None,
            bound=float(ends[1]) if len(known) == len(mine) and len(mine) else None,
            bounded=len(known),
            too_small=int((~large & ~unstated).sum()),
            not_stated=int(unstated.sum()),
            attributes=mine["attribute"].nunique(),
            confidence=run.confidence,
            min_speakers=min_speakers,
            min_words=min_words,
        )


def f1_of_counts(counts: pd.DataFrame) -> pd.Series[float]:
    """Return word recognition F1, 2·hits/(2·hits + 2·substitutions + deletions + insertions), of each row."""
    hits = 2.0 * counts["hits"]
    return hits / (hits + 2.0 * counts["substitutions"] + counts["deletions"] + counts["insertions"])


def _f1(run: RunData, engine: str, condition: str, mine: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Return F1 and its bound, in the order of ``mine``; a run without ``metrics.csv`` has the value only."""
    table = run.tables.get("metrics")
    if table is not None:
        table = table[(table["engine"] == engine) & (table["condition"] == condition) & (table["metric"] == F1)]
    if table is None or table.empty:
        return f1_of_counts(mine), pd.Series(float("nan"), index=mine.index)
    return _of(mine, table, "value", "sim_low")


def _of(mine: pd.DataFrame, table: pd.DataFrame, value: str, bound: str) -> tuple[pd.Series[float], pd.Series[float]]:
    keyed = table.drop_duplicates(["attribute", "group"]).set_index(["attribute", "group"])
    wanted = pd.MultiIndex.from_frame(mine[["attribute", "group"]])
    keyed = keyed.reindex(wanted)
    missing = pd.Series(float("nan"), index=keyed.index)
    return keyed[value].astype(float), keyed.get(bound, missing).astype(float)


def _min_words(run: RunData) -> int:
    value = section(run.about, "groups").get("min_words", 100)
    return int(value) if isinstance(value, (int, float)) else 100
