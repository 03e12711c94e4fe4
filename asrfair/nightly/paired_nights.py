"""Nights side by side: the same utterances of a baseline and of the newest nights, as one table of counts.

A *look* is the mean of the newest w nights, w = 1, 2, 4, …, held against the baseline. Nights are pooled by adding the
counts of every utterance; only utterances that every night of both sides has scored, with the same speaker and the same
reference, are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.scoring.metric import QUANTITIES, WER, Metric
from asrfair.stats.frame import Frame, frame_of
from asrfair.types import GroupSettings

_KEY = ["engine", "condition", "utterance_id"]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What is compared of one night.

    Args:
        utterances: ``utterance_id``, ``speaker_id``, ``reference`` and attributes.
        scores: As in ``scores.parquet``, by the rules of tonight.
    """

    utterances: pd.DataFrame
    scores: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Look:
    """Pairs of runs in :attr:`frame`, one for each engine and condition that both sides have.

    Args:
        nights: How many nights are pooled.
        frame: All runs; labels are ``engine`` + a mark of the side.
        pairs: Indices of (newest, baseline) among ``frame.runs()``.
        named: Engine and condition of each pair.
        utterances: How many utterances are compared.
        baselines: How many nights the other side pools.
    """

    nights: int
    frame: Frame
    pairs: tuple[tuple[int, int], ...]
    named: tuple[tuple[str, str], ...]
    utterances: int
    baselines: int = 1


def widths(nights: int, window: int) -> list[int]:
    """Return how many nights the looks pool: powers of two, up to what there is and what is wanted."""
    found = [1]
    while 2 * found[-1] <= min(nights, window):
        found.append(2 * found[-1])
    return found


def make_look(
    newest: Sequence[Scored], baseline: Sequence[Scored], groups: GroupSettings, metric: Metric = WER
) -> Look | None:
    """Pool two sets of nights and put them into one frame; ``None`` where they share nothing.

    Args:
        newest: The nights to be judged; attributes are those of the first.
        baseline: The nights they are held against.
        groups: For whom.
        metric: What is compared.
    """
    first = newest[0].utterances
    ids = _alike([night.utterances for night in (*newest, *baseline)])
    sides = [_pooled([night.scores for night in nights], ids) for nights in (newest, baseline)]
    there = set(_runs(sides[1]))
    named = [run for run in _runs(sides[0]) if run in there]
    if not named or not len(ids):
        return None
    parts = [side.assign(engine=side["engine"] + mark) for side, mark in zip(sides, _MARKS, strict=True)]
    conditions = {name: place for place, name in enumerate(dict.fromkeys(condition for _, condition in named))}
    merged = pd.concat(parts, ignore_index=True)
    merged = merged[merged["condition"].isin(conditions)]
    engines = {name: place for place, name in enumerate(merged["engine"].unique())}
    order = pd.DataFrame(
        {"e": merged["engine"].map(engines), "c": merged["condition"].map(conditions), "u": merged["utterance_id"]}
    )
    merged = merged.loc[order.sort_values(["e", "c", "u"], kind="stable").index]
    kept = first[_within(first, ids)]
    frame = frame_of(kept, merged, groups, metric=metric)
    place = {run: index for index, run in enumerate(frame.runs())}
    wanted = [(e + _MARKS[0], e + _MARKS[1], e, c) for e, c in named]
    wanted = [item for item in wanted if (item[0], item[3]) in place and (item[1], item[3]) in place]
    return Look(
        nights=len(newest),
        frame=frame,
        pairs=tuple((place[a, c], place[b, c]) for a, b, _, c in wanted),
        named=tuple((e, c) for _, _, e, c in wanted),
        utterances=len(kept),
        baselines=len(baseline),
    )


def news(nights: Sequence[Scored], metric: Metric = WER) -> dict[tuple[int, ...], list[tuple[str, str]]]:
    """Return which nights say something that the newer ones do not, by run: places among the nights, and the runs.

    A night on which a run's counts are those of the night after it, to the utterance, is no look of its own.

    Args:
        nights: Newest first.
        metric: What is compared.
    """
    found: dict[tuple[int, ...], list[tuple[str, str]]] = {}
    prints = [_prints(night.scores, metric) for night in nights]
    for run in prints[0]:
        places = [0]
        for index in range(1, len(nights)):
            if prints[index].get(run) != prints[places[-1]].get(run):
                places.append(index)
        found.setdefault(tuple(places), []).append(run)
    return found


def only(night: Scored, runs: Collection[tuple[str, str]]) -> Scored:
    """Return a night with the rows of some runs."""
    pairs = pd.MultiIndex.from_frame(night.scores[["engine", "condition"]])
    return Scored(utterances=night.utterances, scores=night.scores[pairs.isin(list(runs))].reset_index(drop=True))


def _prints(scores: pd.DataFrame, metric: Metric) -> dict[tuple[str, str], bytes]:
    """Return what names each run's counts."""
    counted = [name.lstrip("-") for name in (*metric.numerator, *metric.denominator)]
    rows = scores[
        ["utterance_id", "status", *[name for name in dict.fromkeys([*QUANTITIES, *counted]) if name in scores]]
    ]
    hashes = pd.util.hash_pandas_object(rows, index=False)
    keys = scores[["engine", "condition"]].astype(str)
    return {
        (str(engine), str(condition)): np.sort(part.to_numpy()).tobytes()
        for (engine, condition), part in hashes.groupby([keys["engine"], keys["condition"]], sort=False)
    }


_MARKS = ("\x1fnewest", "\x1fbaseline")


def _alike(tables: Sequence[pd.DataFrame]) -> pd.Index[Any]:
    """Return the ids of the utterances that all nights have with the same speaker and reference."""
    key = ["utterance_id", "speaker_id", "reference"]
    first = tables[0][key]
    same = np.ones(len(first), dtype=np.bool_)
    for table in tables[1:]:
        if table is tables[0] or (len(table) == len(first) and _equal(table, first, key)):
            continue
        other = table[key].set_index("utterance_id").reindex(first["utterance_id"])
        for name in key[1:]:
            same &= other[name].to_numpy(dtype=object) == first[name].to_numpy(dtype=object)
    found: pd.Index[Any] = pd.Index(first["utterance_id"].to_numpy(object)[same], dtype=object)
    return found


def _pooled(tables: Sequence[pd.DataFrame], ids: pd.Index[Any]) -> pd.DataFrame:
    first = tables[0]
    counted = [name for name in first.columns if name not in {*_KEY, "status"}]
    kept = (first["status"] == "scored").to_numpy() & _within(first, ids)
    if all(len(t) == len(first) and _equal(t, first, [*_KEY, "status"]) for t in tables[1:]):
        rows = first.loc[kept, [*_KEY, "status", *counted]].reset_index(drop=True)
        for name in counted if len(tables) > 1 else ():
            rows[name] = sum(t[name].to_numpy()[kept] for t in tables)
        return rows
    rows = pd.concat([t[(t["status"] == "scored").to_numpy() & _within(t, ids)] for t in tables], ignore_index=True)
    grouped = rows.groupby(_KEY, sort=False)
    sums = grouped[counted].sum()
    complete = sums[grouped.size() == len(tables)].reset_index()
    return complete.assign(status="scored")[[*_KEY, "status", *counted]]


def _runs(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Each engine and condition, in the order of their first rows."""
    rows = table[["engine", "condition"]].drop_duplicates()
    return [(str(engine), str(condition)) for engine, condition in rows.itertuples(index=False)]


def _within(table: pd.DataFrame, ids: pd.Index[Any]) -> npt.NDArray[np.bool_]:
    """Which rows are of these utterances."""
    there: npt.NDArray[np.bool_] = ids.get_indexer(pd.Index(table["utterance_id"].to_numpy(object))) >= 0
    return there


def _equal(one: pd.DataFrame, other: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Whether two tables of one length have the same values in the same places."""
    return all(
        one[name] is other[name] or bool((one[name].to_numpy(object) == other[name].to_numpy(object)).all())
        for name in columns
    )
