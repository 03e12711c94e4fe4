"""What stands behind the numbers, read from the scores once: each speaker's error rate, and the worst utterances.

The worst are those with most *excess* errors: more than the engine makes in as many words over everybody. A long
utterance of ordinary quality is not among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.scoring.metric import summed
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE, OVERALL_GROUP

KEPT: Final = 10_000
"""Utterances that the page may hold; the first of each group of each engine, then the second, and so on."""
ERRORS: Final = ("substitutions", "deletions", "insertions")

Cell = tuple[str, str, str, str]
"""(engine, condition, attribute, group)."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Speakers' error rates by cell, the worst utterances, and how many utterances of each cell have errors.

    ``worst`` has the columns of :func:`error_rows`, the most excess errors first.
    """

    dots: Mapping[Cell, Sequence[float]] = field(default_factory=dict)
    worst: pd.DataFrame | None = None
    counts: Mapping[Cell, int] = field(default_factory=dict)


def attribute_column(attribute: str) -> str:
    """Return the column of :func:`error_rows` that holds the groups of an attribute."""
    return f"by {attribute}"


def who_spoke(run: RunData) -> pd.DataFrame | None:
    """Return the compared utterances with speaker and the groups of each attribute; ``None`` where nothing says."""
    utterances = run.utterances()
    if utterances is None:
        return None
    found = utterances[["utterance_id", "speaker_id"]].astype(str)
    found[attribute_column(OVERALL_ATTRIBUTE)] = OVERALL_GROUP
    for attribute in run.attributes:
        parts = attribute.split(INTERSECTION)
        if set(parts) <= set(utterances.columns):
            values = [utterances[part].astype(str) for part in parts]
            joined = values[0]
            for value in values[1:]:
                joined = joined + INTERSECTION + value
            found[attribute_column(attribute)] = joined
    return found


def scored_rows(run: RunData, people: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Return the scored rows of a condition: counts, ``errors``, ``ref_words``, ``excess``, speaker and groups.

    ``above`` and ``below`` are numerator and denominator of what the run compares groups by.
    """
    scores = run.scores(condition)
    if scores is None:
        return pd.DataFrame()
    scores = scores[scores["status"] == "scored"]
    rows = scores[["engine", "condition", "utterance_id", "hits", *ERRORS]].astype(
        {"engine": str, "condition": str, "utterance_id": str}
    )
    rows["above"] = summed(run.metric.numerator, scores)
    rows["below"] = summed(run.metric.denominator, scores)
    rows = rows.merge(people, on="utterance_id", how="inner", sort=False)
    rows["errors"] = rows[list(ERRORS)].sum(axis=1)
    rows["ref_words"] = rows[["hits", "substitutions", "deletions"]].sum(axis=1)
    totals = rows.groupby("engine", sort=False)[["errors", "ref_words"]].sum()
    rate = (totals["errors"] / totals["ref_words"].where(totals["ref_words"] > 0)).fillna(0.0)
    rows["excess"] = rows["errors"] - rows["ref_words"] * rows["engine"].map(rate).astype(float)
    return rows


def gather(run: RunData) -> Evidence:
    """Read the scores of a run, a condition at a time."""
    people = who_spoke(run)
    if people is None or not (run.path / "scores.parquet").is_file():
        return Evidence()
    attributes = [name for name in (OVERALL_ATTRIBUTE, *run.attributes) if attribute_column(name) in people]
    dots: dict[Cell, list[float]] = {}
    counts: dict[Cell, int] = {}
    kept = []
    for condition in run.conditions:
        rows = scored_rows(run, people, condition)
        if rows.empty:
            continue
        wrong = rows[rows["errors"] > 0].sort_values(["excess", "utterance_id"], ascending=[False, True], kind="stable")
        turn = pd.Series(KEPT, index=wrong.index)
        for attribute in attributes:
            column = attribute_column(attribute)
            dots |= _dots(rows, condition, attribute)
            sizes = wrong.groupby(["engine", column], sort=False).size()
            counts |= {(e, condition, attribute, g): int(n) for (e, g), n in zip(sizes.index, sizes, strict=True)}
            turn = turn.clip(upper=wrong.groupby(["engine", column], sort=False).cumcount())
        kept.append(wrong.assign(turn=turn))
    return Evidence(dots=dots, worst=_kept(kept), counts=counts)


def _dots(rows: pd.DataFrame, condition: str, attribute: str) -> dict[Cell, list[float]]:
    sums = rows.groupby(["engine", attribute_column(attribute), "speaker_id"], sort=False)[["above", "below"]].sum()
    rates = (sums["above"] / sums["below"])[sums["below"] > 0]
    found: dict[Cell, list[float]] = {}
    for (engine, group, _), rate in zip(rates.index, rates, strict=True):
        found.setdefault((str(engine), condition, attribute, str(group)), []).append(float(rate))
    return found


def _kept(parts: Iterable[pd.DataFrame]) -> pd.DataFrame | None:
    parts = list(parts)
    if not parts:
        return None
    every = pd.concat(parts, ignore_index=True)
    first = every.sort_values(["turn", "excess"], ascending=[True, False], kind="stable").head(KEPT)
    return first.sort_values("excess", ascending=False, kind="stable").reset_index(drop=True)


def group_names(row: Mapping[str, object], attributes: Iterable[str]) -> str:
    """Return the groups of whoever spoke, in words."""
    single = [name for name in attributes if INTERSECTION not in name and attribute_column(name) in row]
    return ", ".join(words.group_words(row[attribute_column(name)]) for name in single)


def ledger_reasons(run: RunData, engine: str = "", condition: str = "") -> dict[tuple[str, str, str], str]:
    """Return why utterances stand in the ledger, in words, by (engine, condition, utterance)."""
    ledger = run.ledger()
    if ledger is None:
        return {}
    if engine:
        ledger = ledger[(ledger["engine"] == engine) & (ledger["condition"] == condition)]
    keys = zip(ledger["engine"], ledger["condition"], ledger["utterance_id"], strict=True)
    return {key: words.reason_words(reason) for key, reason in zip(keys, ledger["reason"], strict=True)}
