"""Two runs on the same speakers: which makes fewer errors, for whom, and is it more than chance.

Only utterances that both runs have with the same speaker and the same reference, and that were scored in both, are
compared; what is left out is counted, told by group, and bounded (:mod:`.left_out`). Text must have been normalized by
the same rules, or the rules would be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.data.runfile import read_run_file
from asrfair.errors import InputError
from asrfair.stats.claims.collect import comparison_questions, decided
from asrfair.stats.claims.question import Question
from asrfair.stats.compare.engines import comparison_table
from asrfair.stats.compare.left_out import left_out_table
from asrfair.stats.estimate.group_rates import group_rates
from asrfair.stats.frame import Frame, frame_of
from asrfair.stats.groups import Grouping, make_grouping
from asrfair.stats.measure.capped import for_claims
from asrfair.types import NOT_STATED, GroupSettings, StatisticsSettings

NO_LEDGER = pd.DataFrame(columns=["engine", "condition", "utterance_id", "reason"], dtype=str)
"""Loops are told from the scores here: the ledgers of the two runs are not at hand."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two runs have in common and how they differ.

    Args:
        table: The columns of ``comparisons.csv`` and wer_a, wer_b; ``difference`` is first run minus second, p-values
            are corrected over the whole table.
        pairs: Engines compared, first run's label and second's.
        shared: Utterances of both, whether scored or not.
        only_first: Utterances that only the first run has.
        only_second: Utterances that only the second run has.
        changed: Utterances of both whose speaker or reference differs; not compared.
        claims: What the two runs show (:mod:`asrfair.stats.claims.table`), all pairs and conditions as one family.
        left_out: Who of them is compared and who is not, for each pair, condition and group
            (:func:`asrfair.stats.compare.left_out.left_out_table`).
        where: The attribute values to which all of this, every count included, is limited.
    """

    table: pd.DataFrame
    pairs: tuple[tuple[str, str], ...]
    shared: int
    only_first: int
    only_second: int
    changed: int
    claims: pd.DataFrame
    left_out: pd.DataFrame
    where: Mapping[str, str]


def compare_runs(
    first: Path,
    second: Path,
    groups: GroupSettings,
    statistics: StatisticsSettings,
    *,
    pairs: Sequence[tuple[str, str]] = (),
) -> Comparison:
    """Compare two scored runs.

    Args:
        first: A run folder.
        second: Another.
        groups: For whom; attributes are read from the first run.
        statistics: Confidence, draws, seed.
        pairs: Which engine of the first run is compared with which of the second. By default those of the same label,
            or the two engines of two runs that have one each.

    Raises:
        InputError: A folder is no scored run, the runs were normalized by different rules or share no utterance,
            condition or engine.
    """
    about = [read_run_file(run) for run in (first, second)]
    _same_rules(about, second)
    _groupable(about[0], first, groups)
    utterances, kept = _shared_utterances(first, second, groups.where)
    shared = _attributes_of(utterances, groups)
    scores = [_read(run / "scores.parquet").to_pandas() for run in (first, second)]
    chosen = _pairs(scores, pairs)
    conditions = [c for c in dict.fromkeys(scores[0]["condition"]) if c in set(scores[1]["condition"])]
    if not conditions:
        raise InputError("the two runs share no condition", file=second, remedy="Compare runs of the same suite")
    names = _names(first, second)
    tables: list[pd.DataFrame] = []
    lost: list[pd.DataFrame] = []
    questions: list[Question] = []
    for a, b in chosen:
        labels = (f"{a} ({names[0]})", f"{b} ({names[1]})")
        merged = _merge(scores, (a, b), labels, conditions, kept.ids)
        frame = frame_of(utterances, merged, groups)
        groupings = [make_grouping(frame, by) for by in dict.fromkeys([(), *groups.by])]
        lost.append(left_out_table(scores, shared, groups.by, (a, b), labels, conditions))
        tables.append(_compare(frame, groupings, groups, statistics))
        questions += comparison_questions(for_claims(frame, NO_LEDGER), groupings[1:], groups, statistics)
    table = pd.concat(tables, ignore_index=True)
    return Comparison(
        table=table,
        pairs=chosen,
        shared=len(kept.ids),
        only_first=kept.only_first,
        only_second=kept.only_second,
        changed=kept.changed,
        claims=decided(questions, statistics),
        left_out=pd.concat(lost, ignore_index=True),
        where=dict(groups.where),
    )


def _compare(
    frame: Frame, groupings: list[Grouping], groups: GroupSettings, statistics: StatisticsSettings
) -> pd.DataFrame:
    table = comparison_table(frame, groupings, groups, statistics)
    rates: dict[tuple[str, str, str, str], float] = {}
    for grouping in groupings:
        found = group_rates(frame, grouping).rate
        for run, (engine, condition) in enumerate(frame.runs()):
            for g, name in enumerate(grouping.names):
                rates[engine, condition, grouping.attribute, name] = float(found[run, g])
    keys = list(zip(table["condition"], table["attribute"], table["group"], strict=True))
    for column, engine in (("wer_a", "engine_a"), ("wer_b", "engine_b")):
        table[column] = [rates[name, *key] for name, key in zip(table[engine], keys, strict=True)]
    return table


def _same_rules(about: Sequence[dict[str, Any]], second: Path) -> None:
    rules = [part.get("scoring", {}) for part in about]
    for key, words in (("normalizer", "normalizer"), ("normalizer_version", "normalizer"), ("errors_as", "errors_as")):
        one, other = rules[0].get(key), rules[1].get(key)
        if one is not None and other is not None and one != other:
            raise InputError(
                f"the two runs were scored by different rules: {words} {one!r} and {other!r}",
                file=second,
                remedy=f"Score one again first: asrfair score RUN --{words.replace('_', '-')} …",
            )


def _groupable(about: dict[str, Any], run: Path, groups: GroupSettings) -> None:
    known = about.get("manifest", {}).get("attributes", {})
    guessed = [name for by in groups.by for name in by if known.get(name, {}).get("provenance") == "inferred"]
    if guessed and not groups.allow_inferred:
        raise InputError(
            "this attribute was guessed, not stated by the speakers",
            file=run,
            value=guessed[0],
            remedy="Group by another, or give --allow-inferred",
        )


@dataclass(frozen=True, kw_only=True)
class _Shared:
    ids: pd.Index
    only_first: int
    only_second: int
    changed: int


def _attributes_of(utterances: pa.Table, groups: GroupSettings) -> pd.DataFrame:
    """Ids, speakers and the attributes grouped by, as text; ``not_stated`` where missing."""
    names = list(dict.fromkeys(["utterance_id", "speaker_id", *(name for by in groups.by for name in by)]))
    known = [name for name in names if name in utterances.column_names]
    found: pd.DataFrame = utterances.select(known).to_pandas().fillna(NOT_STATED).astype(str)
    return found


def _shared_utterances(first: Path, second: Path, where: Mapping[str, str]) -> tuple[pa.Table, _Shared]:
    """Return the first run's rows of the utterances that both runs have alike, of those that are looked at."""
    tables = [_only(_read(run / "utterances.parquet"), where) for run in (first, second)]
    ids = [pd.Index(table.column("utterance_id").to_pandas()) for table in tables]
    index = ids[1].get_indexer(ids[0])
    in_both = index >= 0
    same = in_both.copy()
    for column in ("speaker_id", "reference"):
        one = tables[0].column(column).to_pandas().to_numpy()
        other = tables[1].column(column).to_pandas().to_numpy()
        same &= one == other[np.where(in_both, index, 0)]
    if not same.any():
        raise InputError("the two runs share no utterance", file=second, remedy="Compare runs of the same manifest")
    shared = int(in_both.sum())
    return tables[0].filter(pa.array(same)), _Shared(
        ids=ids[0][same],
        only_first=len(ids[0]) - shared,
        only_second=len(ids[1]) - shared,
        changed=shared - int(same.sum()),
    )


def _only(table: pa.Table, where: Mapping[str, str]) -> pa.Table:
    for name, value in where.items():
        if name in table.column_names:
            table = table.filter(pc.equal(pc.fill_null(table.column(name), NOT_STATED), value))
    return table


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"the table cannot be read: {error}", file=path, remedy="Is it a run folder? Make one with 'asrfair score'"
        ) from error


def _pairs(scores: Sequence[pd.DataFrame], wanted: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    labels = [list(dict.fromkeys(table["engine"])) for table in scores]
    for pair in wanted:
        for name, known in zip(pair, labels, strict=True):
            if name not in known:
                raise InputError("the run has no such engine", value=name, remedy=f"It has: {', '.join(known)}")
    if wanted:
        return tuple(wanted)
    same = [(name, name) for name in labels[0] if name in labels[1]]
    if same:
        return tuple(same)
    if len(labels[0]) == len(labels[1]) == 1:
        return ((labels[0][0], labels[1][0]),)
    raise InputError(
        "the two runs have no engine of the same label",
        remedy=f"Say which to compare: --pair {labels[0][0]}={labels[1][0]}",
    )


def _names(first: Path, second: Path) -> tuple[str, str]:
    names = first.resolve().name, second.resolve().name
    return names if names[0] != names[1] else ("A", "B")


def _merge(
    scores: Sequence[pd.DataFrame],
    engines: tuple[str, str],
    labels: tuple[str, str],
    conditions: Sequence[str],
    ids: pd.Index,
) -> pd.DataFrame:
    """Put the scores of two engines into one table, as of one run; only what was scored in both."""
    key = ["condition", "utterance_id"]
    parts = []
    for table, engine in zip(scores, engines, strict=True):
        rows = table[(table["engine"] == engine) & table["condition"].isin(list(conditions))]
        parts.append(rows[(rows["status"] == "scored") & rows["utterance_id"].isin(ids)])
    both = parts[0][key].merge(parts[1][key], on=key)
    if both.empty:
        raise InputError("no utterance was scored in both runs", value=" and ".join(engines))
    merged = [part.merge(both, on=key).assign(engine=label) for part, label in zip(parts, labels, strict=True)]
    table = pd.concat(merged, ignore_index=True)
    order = table["condition"].map({name: index for index, name in enumerate(conditions)})
    side = np.repeat([0, 1], [len(part) for part in merged])
    return table.iloc[np.lexsort((table["utterance_id"].to_numpy().astype(str), order, side))]
