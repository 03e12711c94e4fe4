"""What an engine lost: gates on failures, overall and where they fall on one group, and on what can be compared at all.

A night of which too much was lost is an *outage*, not a bad night: its figures are of whatever happened to survive. A
group is held against the same limit, but fails only if chance at that limit would hardly have taken so many of its
utterances: the binomial tail, so that one lost file of a small group is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.paired_nights import Scored
from asrfair.runs.gate_settings import GateSettings
from asrfair.types import INTERSECTION, NOT_STATED, OVERALL_ATTRIBUTE, OVERALL_GROUP, GroupSettings

LOST = ("error", "missing")
"""Statuses of utterances that were asked for and did not come back."""


def failed_gates(tonight: Scored, groups: GroupSettings, settings: GateSettings) -> list[Gate]:
    """Judge the share of utterances that were lost: of everybody always, of a group where it fails.

    Args:
        tonight: The night.
        groups: For whom.
        settings: The limits.
    """
    scores = tonight.scores
    lost = scores["status"].isin(LOST)
    rows = scores[lost | (scores["status"] == "scored")]
    found = []
    for (engine, condition), part in rows.groupby(["engine", "condition"], sort=False):
        gone = lost[part.index].to_numpy()
        for attribute, group, inside in _groups(tonight.utterances, part["utterance_id"], groups):
            limit = settings.of(str(condition), attribute, group).max_failed
            if limit is None:
                continue
            count, total = int(gone[inside].sum()), int(inside.sum())
            everybody = attribute == OVERALL_ATTRIBUTE
            fails = count > limit * total if everybody else _beyond(count, total, limit, settings)
            if everybody or fails:
                found.append(
                    Gate(
                        rule="max_failed",
                        engine=str(engine),
                        condition=str(condition),
                        attribute=attribute,
                        group=group,
                        status="fail" if fails else "pass",
                        limit=limit,
                        value=count / total,
                        note=f"{count:,} of {total:,} utterances",
                    )
                )
    return found


def coverage_gates(
    tonight: Scored, baseline: Sequence[Scored], groups: GroupSettings, settings: GateSettings
) -> list[Gate]:
    """Judge how much of what either side has scored the comparison covers: of everybody, and of a group where it fails.

    Args:
        tonight: The night.
        baseline: What it is held against.
        groups: For whom.
        settings: The limits.
    """
    found = []
    sides = [_scored_by_run(tonight), *map(_scored_by_run, baseline)]
    people = [night.utterances.set_index("utterance_id")[["speaker_id", "reference"]] for night in (tonight, *baseline)]
    known = pd.concat([night.utterances for night in (tonight, *baseline)]).drop_duplicates("utterance_id")
    for run in dict.fromkeys([*sides[1], *sides[0]]):
        engine, condition = run
        own = [side.get(run, pd.Index([])) for side in sides]
        both, either = own[0], own[0]
        for index, side in enumerate(own[1:], start=1):
            both = both.intersection(side)
            either = either.union(side)
            one, other = people[0].loc[both], people[index].loc[both]
            both = pd.Index(both.to_numpy(object)[(one.to_numpy(object) == other.to_numpy(object)).all(axis=1)])
        if not len(either):
            continue
        ids = pd.Series(either.to_numpy(object))
        missing = ~ids.isin(both).to_numpy()
        for attribute, group, inside in _groups(known, ids, groups):
            limit = settings.of(condition, attribute, group).min_coverage
            if limit is None:
                continue
            count, total = int(missing[inside].sum()), int(inside.sum())
            everybody = attribute == OVERALL_ATTRIBUTE
            fails = count > (1 - limit) * total if everybody else _beyond(count, total, 1 - limit, settings)
            if everybody or fails:
                found.append(
                    Gate(
                        rule="min_coverage",
                        engine=engine,
                        condition=condition,
                        attribute=attribute,
                        group=group,
                        status="fail" if fails else "pass",
                        limit=limit,
                        value=1 - count / total,
                        note=f"{count:,} of {total:,} utterances cannot be compared with the baseline",
                    )
                )
    return found


def _beyond(count: int, total: int, limit: float, settings: GateSettings) -> bool:
    """Whether more were lost than the limit allows, and more than chance at the limit would take."""
    level = settings.alpha / settings.horizon_nights
    return count > limit * total and float(special.bdtrc(count - 1, total, limit)) <= level


def _scored_by_run(night: Scored) -> dict[tuple[str, str], pd.Index]:
    rows = night.scores[night.scores["status"] == "scored"]
    return {
        (str(engine), str(condition)): pd.Index(part["utterance_id"].to_numpy(object))
        for (engine, condition), part in rows.groupby(["engine", "condition"], sort=False)
    }


def _groups(
    utterances: pd.DataFrame, ids: pd.Series, groups: GroupSettings
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Yield attribute, group and which of the ids are in it: first everybody, then the stated groups."""
    table = utterances.set_index("utterance_id")
    picked = table.loc[ids.to_numpy(object)]
    allowed = np.ones(len(picked), dtype=np.bool_)
    for name, value in groups.where.items():
        allowed &= (picked[name].fillna(NOT_STATED) == value).to_numpy()
    if not allowed.any():
        return
    yield OVERALL_ATTRIBUTE, OVERALL_GROUP, allowed
    for by in groups.by:
        if not all(name in picked for name in by):
            continue
        columns = [picked[name].fillna(NOT_STATED).astype(str).to_numpy(object) for name in by]
        names = np.array([INTERSECTION.join(parts) for parts in zip(*columns, strict=True)], dtype=object)
        stated = allowed & np.all([column != NOT_STATED for column in columns], axis=0)
        for name in sorted(set(names[stated])):
            yield INTERSECTION.join(by), str(name), stated & (names == name)
