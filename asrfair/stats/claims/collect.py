"""Collect the questions of a run and decide them as one family: the table of claims."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from asrfair.stats.attribute_rates import AttributeRates, attribute_rates, generator
from asrfair.stats.claims.conditions import questions_of_conditions
from asrfair.stats.claims.dealt import Dealt, deal
from asrfair.stats.claims.extreme_pairs import Extreme, compare_extremes
from asrfair.stats.claims.family import decide
from asrfair.stats.claims.group_questions import group_question, group_test
from asrfair.stats.claims.question import Question
from asrfair.stats.claims.sign_flips import Paired, sign_flips
from asrfair.stats.claims.table import (
    ADJUSTED,
    CONDITION,
    ENGINE,
    GAP_ENGINE,
    SUBGROUP,
    THRESHOLD,
    THRESHOLD_RATIO,
    WORST_ENGINE,
    Row,
    claim_frame,
)
from asrfair.stats.claims.thresholds import threshold_questions
from asrfair.stats.compare.multiplicity import holm
from asrfair.stats.compare.prompt_inflation import change_inflation, rest_inflation
from asrfair.stats.estimate.extremes import GapTest
from asrfair.stats.estimate.paired import paired_change, paired_sums
from asrfair.stats.estimate.two_way import paired_readings
from asrfair.stats.frame import Floats, Frame, Ints
from asrfair.stats.groups import Grouping, make_grouping
from asrfair.stats.measure.capped import capped, loops_in_sight
from asrfair.types import CLEAN, OVERALL_ATTRIBUTE, GroupSettings, StatisticsSettings

SIGN_PATTERNS = 10_000
"""So many at least: they are cheap, and many pairs ask for small p-values."""

DEALINGS = 1000
"""So many dealings at least."""

NOT_CAPPED = (ADJUSTED, SUBGROUP, THRESHOLD, THRESHOLD_RATIO)
"""Kinds whose tables are made from the counts as they are."""

_MOST_DEALT = 50_000_000


def claim_table(
    frame: Frame,
    parts: Sequence[AttributeRates],
    tables: Mapping[str, pd.DataFrame],
    groups: GroupSettings,
    statistics: StatisticsSettings,
    ledger: pd.DataFrame,
) -> pd.DataFrame:
    """Make the table of claims of a run.

    Where loops are in sight, claims rest on rates with the insertions of an utterance capped, and say so (``basis``).

    Args:
        frame: The scores.
        parts: The attributes, without everybody.
        tables: Tables of the run; of those that are absent nothing is claimed.
        groups: How small is too small.
        statistics: Confidence, family, primary claims, seed.
        ledger: Columns engine, condition, utterance_id, reason.
    """
    loops = loops_in_sight(frame, ledger)
    resting_on = capped(frame, loops) if loops.any() else frame
    if resting_on is not frame or statistics.interval != "jackknife":
        by_speaker = replace(statistics, interval="jackknife")
        parts = [attribute_rates(resting_on, part.grouping, groups, by_speaker) for part in parts]
    dealings = [_dealt(part.grouping, statistics) for part in parts]
    questions = [
        *_group_questions(resting_on, parts, dealings, tables),
        *_engine_questions(resting_on, parts, statistics),
        *_condition_questions(resting_on, parts, dealings, statistics),
        *_subgroup_questions(tables),
        *threshold_questions(tables.get("threshold_gaps", pd.DataFrame()), tables.get("thresholds", pd.DataFrame())),
    ]
    table = decided(questions, statistics)
    if loops.any():
        cut = {pair for pair, looped in zip(frame.runs(), loops.tolist(), strict=True) if looped}
        pairs = zip(table["engine"], table["versus"], table["condition"], strict=True)
        basis = [
            bool({(engine, condition), (versus, condition), (engine, versus)} & cut)
            for engine, versus, condition in pairs
        ]
        table["basis"] = np.where(np.array(basis) & ~table["kind"].isin(NOT_CAPPED).to_numpy(), "capped", "")
    return table


def comparison_questions(
    frame: Frame, groupings: Sequence[Grouping], groups: GroupSettings, statistics: StatisticsSettings
) -> list[Question]:
    """What a comparison of two engines asks: everybody, then each group, their gaps and worst groups.

    Args:
        frame: The scores of both on what both were scored on.
        groupings: The attributes, without everybody.
        groups: How small is too small.
        statistics: Seed and draws.
    """
    by_speaker = replace(statistics, interval="jackknife")
    attributes = [attribute_rates(frame, grouping, groups, by_speaker) for grouping in groupings]
    return list(_engine_questions(frame, attributes, statistics, by_group=True))


def decided(questions: Sequence[Question], statistics: StatisticsSettings) -> pd.DataFrame:
    """Decide questions as one family and make the table of claims."""
    rows = decide(
        questions,
        alpha=1.0 - statistics.confidence,
        strict=statistics.family == "strict",
        primary=statistics.primary,
    )
    return claim_frame(rows)


def _dealt(grouping: Grouping, statistics: StatisticsSettings) -> Dealt:
    """The labels dealt out, fewer times where speakers are very many."""
    draws = int(min(max(statistics.draws, DEALINGS), max(500, _MOST_DEALT // max(len(grouping.cell_group), 1))))
    return deal(grouping, draws, generator(statistics, "claims", grouping.attribute))


def _group_questions(
    frame: Frame, attributes: Sequence[AttributeRates], dealings: Sequence[Dealt], tables: Mapping[str, pd.DataFrame]
) -> Iterator[Question]:
    adjusted = _blocks(tables, "adjusted")
    for attribute, dealt in zip(attributes, dealings, strict=True):
        rates, compared = attribute.rates, attribute.compared
        if compared.sum(axis=1).max(initial=0) < 2:
            continue
        test = group_test(dealt, rates, compared, rest_inflation(rates))
        gap = GapTest(rates=rates, compared=compared, largest=attribute.largest)
        for run, (engine, condition) in enumerate(frame.runs()):
            name = (engine, condition, rates.grouping.attribute)
            question = group_question(name, run, test, rates, compared, gap)
            children = [_adjusted_question(name, adjusted[name])] if name in adjusted else []
            yield Question(name=question.name, p=question.p, rows=question.rows, children=tuple(children))


def _blocks(tables: Mapping[str, pd.DataFrame], name: str) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    table = tables.get(name, pd.DataFrame())
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        found.setdefault((row["engine"], row["condition"], row["attribute"]), []).append(
            {str(key): value for key, value in row.items()}
        )
    return found


def _adjusted_question(name: tuple[str, str, str], block: list[dict[str, Any]]) -> Question:
    """With other differences held fixed: Holm over the groups; refused where a covariate goes with the groups."""
    p = np.array([row["p"] for row in block], dtype=np.float64)
    corrected = holm(p)
    question = ":".join((ADJUSTED, *name))

    def rows(error: float) -> Iterator[Row]:
        for row, raw, value in zip(block, p.tolist(), corrected.tolist(), strict=True):
            if not np.isfinite(value):
                continue
            # the level at which Holm's procedure decides about this row, so that the interval says the same
            each = error * raw / value if value > 0 else error
            log, df = np.log(row["adjusted_ratio"]), row["df"]
            half = -special.stdtrit(df, each / 2.0) * row["se_log"]
            confounded = any(flag.startswith("confounded") for flag in str(row["flag"]).split(";"))
            yield Row(
                kind=ADJUSTED, engine=name[0], condition=name[1], attribute=name[2], group=str(row["group"]),
                versus=str(row["reference_group"]), p=float(value), estimate=float(row["adjusted_ratio"]),
                ci_low=float(np.exp(log - half)), ci_high=float(np.exp(log + half)), level=1.0 - each,
                table="adjusted", rate=float(row["raw_ratio"]), among=str(row["covariates"]), question=question,
                flag="confounded" if confounded else "",
            )  # fmt: skip

    joint = float(np.nanmin(corrected)) if np.isfinite(corrected).any() else np.nan
    return Question(name=question, p=joint, rows=rows)


def _by_speaker(frame: Frame, sums: Ints) -> Ints:
    """Sums over atoms (2, 2, P, A), errors and words, to sums over speakers (2, 2, P, K)."""
    found = np.zeros((len(frame.speakers), *sums.shape[:3]), dtype=np.int64)
    np.add.at(found, frame.atom_speaker, np.moveaxis(sums, -1, 0))
    moved: Ints = np.moveaxis(found, 0, -1)
    return moved


def _flips(frame: Frame, pairs: Sequence[tuple[int, int]], statistics: StatisticsSettings, *purpose: str) -> Paired:
    atoms = paired_sums(frame, pairs)
    sums = _by_speaker(frame, atoms[:2])
    kept = sums[1, 0].any(axis=0)
    grown = _inflation(frame, make_grouping(frame, ()), atoms, pairs)
    return sign_flips(
        sums[0][..., kept],
        sums[1][..., kept],
        max(statistics.draws, SIGN_PATTERNS),
        generator(statistics, *purpose),
        None if grown is None else grown[:, 0],
    )


def _inflation(frame: Frame, grouping: Grouping, sums: Ints, pairs: Sequence[tuple[int, int]]) -> Floats | None:
    """What shared sentences add to the variance of the differences of pairs of runs, shape (P, G)."""
    shared = paired_readings(frame, grouping, list(pairs))
    if shared is None:
        return None
    factors = change_inflation(paired_change(grouping, sums, shared))
    return None if factors is None else factors[1]


def _paired_question(
    paired: Paired, name: str, rows: Sequence[dict[str, str]], children: tuple[Question, ...]
) -> Question:
    p = paired.p

    def make(error: float) -> Iterator[Row]:
        low, high = paired.bounds(error)
        for index, about in enumerate(rows):
            if np.isfinite(p[index]):
                yield Row(
                    **about,  # type: ignore[arg-type]
                    p=float(p[index]), estimate=float(paired.difference[index]), ci_low=float(low[index]),
                    ci_high=float(high[index]), level=1.0 - error, rate=float(paired.first[index]),
                    versus_rate=float(paired.second[index]), question=name,
                )  # fmt: skip

    return Question(name=name, p=float(np.nanmin(p)) if np.isfinite(p).any() else np.nan, rows=make, children=children)


def _engine_questions(
    frame: Frame, attributes: Sequence[AttributeRates], statistics: StatisticsSettings, *, by_group: bool = False
) -> Iterator[Question]:
    """Engine against engine on the same speakers, in each condition; then their gaps and their worst groups."""
    conditions = len(frame.conditions)
    pairs = list(itertools.combinations(range(len(frame.engines)), 2))
    if not pairs:
        return
    for c, condition in enumerate(frame.conditions):
        runs = [(a * conditions + c, b * conditions + c) for a, b in pairs]
        paired = _flips(frame, runs, statistics, "engines", condition)
        about = [
            {"kind": ENGINE, "engine": frame.engines[a], "versus": frame.engines[b], "condition": condition}
            | {"table": "comparisons"}
            for a, b in pairs
        ]
        children = tuple(
            question
            for attribute in attributes
            for question in _extreme_questions(frame, attribute, pairs, condition)
            if np.isfinite(question.p)
        )
        if by_group:
            children += tuple(_group_flips(frame, attribute, pairs, c, statistics) for attribute in attributes)
        yield _paired_question(paired, f"{ENGINE}:{condition}", about, children)


def _group_flips(
    frame: Frame, attribute: AttributeRates, pairs: Sequence[tuple[int, int]], c: int, statistics: StatisticsSettings
) -> Question:
    """Engine against engine within each compared group of an attribute, all of them together."""
    conditions, grouping = len(frame.conditions), attribute.rates.grouping
    runs = [(a * conditions + c, b * conditions + c) for a, b in pairs]
    sums = paired_sums(frame, runs)
    cells = [[grouping.cells(part) for part in side] for side in sums[:2]]
    errors, words, about, where = [], [], [], []
    for index, (a, b) in enumerate(pairs):
        both = attribute.compared[runs[index][0]] & attribute.compared[runs[index][1]]
        for group in np.flatnonzero(both):
            inside = grouping.cell_group == group
            by_speaker = np.zeros((2, 2, len(frame.speakers)), dtype=np.int64)
            for quantity in (0, 1):
                for side in (0, 1):
                    np.add.at(
                        by_speaker[quantity, side], grouping.cell_speaker[inside], cells[quantity][side][index, inside]
                    )
            where.append((index, group))
            errors.append(by_speaker[0])
            words.append(by_speaker[1])
            about.append(
                {"kind": ENGINE, "engine": frame.engines[a], "versus": frame.engines[b], "table": "comparisons"}
                | {"condition": frame.conditions[c], "attribute": grouping.attribute, "group": grouping.names[group]}
            )
    name = f"{ENGINE}:{frame.conditions[c]}:{grouping.attribute}"
    if not about:
        return Question(name=name, p=np.nan, rows=lambda _: iter(()))
    rng = generator(statistics, "engines", frame.conditions[c], grouping.attribute)
    flipped = sign_flips(np.stack(errors, axis=1), np.stack(words, axis=1), max(statistics.draws, SIGN_PATTERNS), rng)
    return _paired_question(flipped, name, about, ())


def _extreme_questions(
    frame: Frame, attribute: AttributeRates, pairs: Sequence[tuple[int, int]], condition: str
) -> Iterator[Question]:
    """Do the gaps of two engines differ, and their worst groups?"""
    conditions, c = len(frame.conditions), frame.conditions.index(condition)
    rates, compared = attribute.rates, attribute.compared
    runs = [(a * conditions + c, b * conditions + c) for a, b in pairs]
    grown = _inflation(frame, rates.grouping, paired_sums(frame, runs), runs) if frame.prompt is not None else None
    inflation = np.ones(len(runs)) if grown is None else grown.max(axis=1)
    for kind in (GAP_ENGINE, WORST_ENGINE):
        found = [
            compare_extremes(rates, compared, *pair, gap=kind == GAP_ENGINE, inflation=float(factor))
            for pair, factor in zip(runs, inflation, strict=True)
        ]
        yield _extreme_question(frame, attribute.grouping.attribute, pairs, (kind, condition), found)


def _extreme_question(
    frame: Frame, attribute: str, pairs: Sequence[tuple[int, int]], about: tuple[str, str], found: Sequence[Extreme]
) -> Question:
    kind, condition = about
    corrected = holm(np.array([item.p for item in found]))
    name = f"{kind}:{condition}:{attribute}"

    def rows(error: float) -> Iterator[Row]:
        for (a, b), item, p in zip(pairs, found, corrected.tolist(), strict=True):
            if np.isfinite(p):
                each = error * item.p / p if p > 0 else error
                low, high = item.bounds(each)
                yield Row(
                    kind=kind, engine=frame.engines[a], versus=frame.engines[b], condition=condition,
                    attribute=attribute, p=p, estimate=item.difference, ci_low=low, ci_high=high,
                    level=1.0 - each, table="gaps", question=name,
                )  # fmt: skip

    return Question(name=name, p=float(np.nanmin(corrected)) if np.isfinite(corrected).any() else np.nan, rows=rows)


def _condition_questions(
    frame: Frame, attributes: Sequence[AttributeRates], dealings: Sequence[Dealt], statistics: StatisticsSettings
) -> Iterator[Question]:
    """What each condition costs everybody, then what it costs one group more than the others."""
    conditions = len(frame.conditions)
    baseline = frame.conditions.index(CLEAN) if CLEAN in frame.conditions else 0
    others = [c for c in range(conditions) if c != baseline]
    if not others:
        return
    asked = {
        engine: tuple(
            question
            for attribute, dealt in zip(attributes, dealings, strict=True)
            for question in questions_of_conditions(frame, dealt, attribute.rates, attribute.compared, e, baseline)
        )
        for e, engine in enumerate(frame.engines)
    }
    for e, engine in enumerate(frame.engines):
        runs = [(e * conditions + c, e * conditions + baseline) for c in others]
        paired = _flips(frame, runs, statistics, "conditions", engine)
        about = [
            {"kind": CONDITION, "engine": engine, "condition": frame.conditions[c], "table": "disparity"}
            | {"versus": frame.conditions[baseline], "attribute": OVERALL_ATTRIBUTE}
            for c in others
        ]
        yield _paired_question(paired, f"{CONDITION}:{engine}", about, asked[engine])


def _subgroup_questions(tables: Mapping[str, pd.DataFrame]) -> Iterator[Question]:
    table = tables.get("subgroups", pd.DataFrame())
    if table.empty:
        return
    for (engine, condition), block in table.groupby(["engine", "condition"], sort=False):
        records = [row for row in block.to_dict("records") if np.isfinite(row["p_held_out_holm"])]
        if records:
            name = f"{SUBGROUP}:{engine}:{condition}"
            rows = partial(_subgroup_rows, records, (str(engine), str(condition)), name)
            yield Question(name=name, p=min(float(row["p_held_out_holm"]) for row in records), rows=rows)


def _subgroup_rows(
    records: Sequence[Mapping[Any, Any]], where: tuple[str, str], question: str, error: float
) -> Iterator[Row]:
    """One-sided in the direction found in the first half: the interval has one bound, at Holm's level of the row."""
    for row in records:
        value, raw = float(row["p_held_out_holm"]), float(row["p_held_out"])
        each = error * raw / value if value > 0 else error
        log = np.log(row["held_out_ratio"])
        reach = -special.stdtrit(row["held_out_df"], each) * row["held_out_se_log"]
        up = row["found_ratio"] > 1
        yield Row(
            kind=SUBGROUP, engine=where[0], condition=where[1], group=str(row["subgroup"]), p=value,
            estimate=float(row["held_out_ratio"]), ci_low=float(np.exp(log - reach)) if up else 0.0,
            ci_high=float("inf") if up else float(np.exp(min(log + reach, 700.0))), level=1.0 - each, table="subgroups",
            rate=float(row["held_out_rate"]), versus_rate=float(row["held_out_rate_rest"]), question=question,
        )  # fmt: skip
