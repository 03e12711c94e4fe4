"""Whose gap is it: the gap without each speaker, without the worst utterances, and without failures of the engine.

A gap that one speaker or two hallucinated loops carry is another finding than one that is spread over the group.
Figures are recomputed exactly (counts are subtracted); the set of groups that are compared stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.scoring.ledger import LOOKS_WRONG
from asrfair.stats.estimate.gaps import comparable
from asrfair.stats.estimate.group_rates import Rates, group_rates
from asrfair.stats.frame import Floats, Frame, Ints
from asrfair.stats.groups import Grouping
from asrfair.types import SCORED, GroupSettings

COLUMNS = (
    "engine",
    "condition",
    "attribute",
    "group",
    "kind",
    "id",
    "utterances",
    "errors",
    "ref_words",
    "share_of_errors",
    "reason",
    "gap_with",
    "gap_without",
    "rate_with",
    "rate_without",
)

ANY_FAILURE = "any"

TOP = 5
"""Speakers and utterances listed for a gap; besides, the first of every group."""

NOTICEABLE = 0.001
"""An utterance is listed only where it moves its group's WER by a tenth of a point or more."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One engine, condition and attribute. U utterances, G groups."""

    errors: Floats
    words: Floats
    group: npt.NDArray[np.int64]
    compared: npt.NDArray[np.bool_]
    group_errors: Floats
    group_words: Floats

    @property
    def rate(self) -> Floats:
        return self.group_errors / np.maximum(self.group_words, 1)

    def gap(self, rate: Floats) -> float:
        kept = rate[self.compared & np.isfinite(rate)]
        return float(kept.max() - kept.min()) if len(kept) > 1 else float("nan")


def influence_table(
    frame: Frame, groupings: Sequence[Grouping], groups: GroupSettings, ledger: pd.DataFrame
) -> pd.DataFrame:
    """Make ``influence.csv``.

    Args:
        frame: The scores.
        groupings: The attributes; those with fewer than two groups that can be compared are left out.
        groups: How small is too small.
        ledger: Columns engine, condition, utterance_id, reason.
    """
    reasons = _Reasons(frame, ledger)
    rows: list[dict[str, object]] = []
    for grouping in groupings:
        rates = group_rates(frame, grouping)
        compared = comparable(rates, min_speakers=groups.min_speakers, min_words=groups.min_words)
        for run, (engine, condition) in enumerate(frame.runs()):
            if compared[run].sum() < 2:
                continue
            case = _case(frame, grouping, rates, run, compared[run])
            where = {"engine": engine, "condition": condition, "attribute": grouping.attribute}
            found = [
                *_speakers(case, frame, grouping, rates, run),
                *_utterances(case, frame, grouping, reasons, run),
                *_failures(case, grouping, reasons, run),
            ]
            rows.extend({**where, **row} for row in found)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _case(frame: Frame, grouping: Grouping, rates: Rates, run: int, compared: npt.NDArray[np.bool_]) -> _Case:
    engine, condition = divmod(run, len(frame.conditions))
    return _Case(
        errors=frame.numerator[engine, condition].astype(np.float64),
        words=frame.denominator[engine, condition].astype(np.float64),
        group=grouping.utterance_group,
        compared=compared,
        group_errors=rates.errors[run].astype(np.float64),
        group_words=rates.words[run].astype(np.float64),
    )


def gaps_without(case_rate: Floats, compared: npt.NDArray[np.bool_], group: Ints, new_rate: Floats) -> Floats:
    """Return the gap (largest minus smallest rate of the compared groups) after one group's rate is replaced.

    Args:
        case_rate: Rate of each group, shape (G,).
        compared: Which groups count, shape (G,).
        group: The group that changes, shape (n,).
        new_rate: Its rate then, shape (n,); NaN where the group is gone.
    """
    high = np.where(compared, case_rate, -np.inf)
    low = np.where(compared, case_rate, np.inf)
    highest, lowest = np.empty_like(high), np.empty_like(low)
    for g in range(len(case_rate)):
        others = np.arange(len(case_rate)) != g
        highest[g] = high[others].max(initial=-np.inf)
        lowest[g] = low[others].min(initial=np.inf)
    gone = np.isnan(new_rate)
    top = np.maximum(highest[group], np.where(gone, -np.inf, new_rate))
    bottom = np.minimum(lowest[group], np.where(gone, np.inf, new_rate))
    gap: Floats = np.where(np.isfinite(top - bottom), top - bottom, np.nan)
    return gap


def _record(
    case: _Case,
    grouping: Grouping,
    *,
    group: int,
    kind: str,
    name: str,
    utterances: int,
    errors: float,
    words: float,
    reason: str,
    gap_without: float,
    wer_without: float,
) -> dict[str, object]:
    total = case.group_errors[group]
    return {
        "group": grouping.names[group],
        "kind": kind,
        "id": name,
        "utterances": utterances,
        "errors": int(errors),
        "ref_words": int(words),
        "share_of_errors": errors / total if total > 0 else np.nan,
        "reason": reason,
        "gap_with": case.gap(case.rate),
        "gap_without": gap_without,
        "rate_with": case.rate[group],
        "rate_without": wer_without,
    }


def _speakers(case: _Case, frame: Frame, grouping: Grouping, rates: Rates, run: int) -> list[dict[str, object]]:
    """The gap without each speaker: the most influential of all, and the first of every group."""
    cells = np.flatnonzero(case.compared[grouping.cell_group] & (rates.cell_words[run] > 0))
    group = grouping.cell_group[cells]
    errors = rates.cell_errors[run][cells].astype(np.float64)
    words = rates.cell_words[run][cells].astype(np.float64)
    new_rate = _without(case, group, errors, words)
    gap = gaps_without(case.rate, case.compared, group, new_rate)
    moved = np.abs(np.nan_to_num(gap - case.gap(case.rate)))
    shifted = np.abs(np.nan_to_num(new_rate - case.rate[group]))
    engine, condition = divmod(run, len(frame.conditions))
    per_cell = grouping.cells(frame.scored[engine, condition][None, :])[0][cells]
    return [
        _record(
            case,
            grouping,
            group=int(group[i]),
            kind="speaker",
            name=frame.speakers[grouping.cell_speaker[cells[i]]],
            utterances=int(per_cell[i]),
            errors=errors[i],
            words=words[i],
            reason="",
            gap_without=gap[i],
            wer_without=new_rate[i],
        )
        for i in _leaders(moved, shifted, group)
    ]


def _utterances(case: _Case, frame: Frame, grouping: Grouping, reasons: _Reasons, run: int) -> list[dict[str, object]]:
    """The gap without single utterances, where one matters at all."""
    engine, condition = divmod(run, len(frame.conditions))
    rows = np.flatnonzero((frame.status[engine, condition] == SCORED) & case.compared[case.group])
    new_rate = _without(case, case.group[rows], case.errors[rows], case.words[rows])
    shifted = np.abs(np.nan_to_num(new_rate - case.rate[case.group[rows]]))
    rows = rows[shifted >= NOTICEABLE]
    new_rate, shifted = new_rate[shifted >= NOTICEABLE], shifted[shifted >= NOTICEABLE]
    group = case.group[rows]
    gap = gaps_without(case.rate, case.compared, group, new_rate)
    moved = np.abs(np.nan_to_num(gap - case.gap(case.rate)))
    names = frame.utterances["utterance_id"].to_numpy()
    return [
        _record(
            case,
            grouping,
            group=int(group[i]),
            kind="utterance",
            name=str(names[rows[i]]),
            utterances=1,
            errors=case.errors[rows[i]],
            words=case.words[rows[i]],
            reason=reasons.of(run, int(rows[i])),
            gap_without=gap[i],
            wer_without=new_rate[i],
        )
        for i in _leaders(moved, shifted, group, each=3)
    ]


def _failures(case: _Case, grouping: Grouping, reasons: _Reasons, run: int) -> list[dict[str, object]]:
    """Rates and gap without all utterances of a kind of failure, for every group that has some."""
    records: list[dict[str, object]] = []
    for reason in (*LOOKS_WRONG, ANY_FAILURE):
        rows = reasons.rows(run, reason)
        if len(rows) == 0:
            continue
        groups = len(grouping.names)
        count = np.bincount(case.group[rows], minlength=groups)
        errors = np.bincount(case.group[rows], weights=case.errors[rows], minlength=groups)
        words = np.bincount(case.group[rows], weights=case.words[rows], minlength=groups)
        left = case.group_words - words
        rate = np.where(left > 0, (case.group_errors - errors) / np.maximum(left, 1), np.nan)
        gap = case.gap(rate)
        records.extend(
            _record(
                case,
                grouping,
                group=int(g),
                kind="failures",
                name=reason,
                utterances=int(count[g]),
                errors=errors[g],
                words=words[g],
                reason=reason,
                gap_without=gap,
                wer_without=rate[g],
            )
            for g in np.flatnonzero((count > 0) & case.compared)
        )
    return records


def _without(case: _Case, group: npt.NDArray[np.int64], errors: Floats, words: Floats) -> Floats:
    left = case.group_words[group] - words
    return np.where(left > 0, (case.group_errors[group] - errors) / np.maximum(left, 1), np.nan)


def _leaders(moved: Floats, shifted: Floats, group: npt.NDArray[np.int64], *, each: int = 1) -> list[int]:
    """Pick the rows that move the gap most, and of every group those that move its rate most; largest first."""
    order = np.lexsort((-shifted, -moved))
    chosen = set(order[:TOP].tolist())
    by_group = np.lexsort((-shifted, group))
    ranks = np.arange(len(group)) - np.searchsorted(group[by_group], group[by_group])
    chosen.update(by_group[ranks < each].tolist())
    return [i for i in order.tolist() if i in chosen]


class _Reasons:
    """Reasons of the ledger by run and row of the frame, for scored utterances."""

    def __init__(self, frame: Frame, ledger: pd.DataFrame) -> None:
        numbers = {pair: index for index, pair in enumerate(frame.runs())}
        pairs = zip(ledger["engine"], ledger["condition"], strict=True)
        run = np.array([numbers.get(pair, -1) for pair in pairs], dtype=np.int64)
        row = pd.Index(frame.utterances["utterance_id"]).get_indexer(pd.Index(ledger["utterance_id"])).astype(np.int64)
        reason = ledger["reason"].to_numpy(dtype=object)
        known = (run >= 0) & (row >= 0)
        run, row, reason = run[known], row[known], reason[known]
        status = frame.status.reshape(len(numbers), -1)
        scored = status[run, row] == SCORED
        self._table = pd.DataFrame({"run": run, "row": row, "reason": reason})[scored].drop_duplicates()
        self._by_row = {
            (int(key[0]), int(key[1])): ";".join(sorted(found))
            for key, found in self._table.groupby(["run", "row"])["reason"]
        }

    def of(self, run: int, row: int) -> str:
        """Return all reasons of one utterance, joined by semicolons."""
        return self._by_row.get((run, row), "")

    def rows(self, run: int, reason: str) -> npt.NDArray[np.int64]:
        """Return the rows of one reason (or of any failure) in one run, ascending."""
        table = self._table[self._table["run"] == run]
        wanted = LOOKS_WRONG if reason == ANY_FAILURE else (reason,)
        found: npt.NDArray[np.int64] = np.unique(
            table.loc[table["reason"].isin(wanted), "row"].to_numpy(dtype=np.int64)
        )
        return found
