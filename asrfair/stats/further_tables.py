"""The tables beyond the core: differences and their tests, comparisons, interactions, and what they may rest on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from asrfair.stats.attribute_part import Part, generator
from asrfair.stats.compare.conditions import interaction_table
from asrfair.stats.compare.engines import comparison_table
from asrfair.stats.compare.groups import Differences, differences
from asrfair.stats.compare.multiplicity import benjamini_hochberg, holm
from asrfair.stats.compare.permutation import step_down
from asrfair.stats.core_tables import in_run_order
from asrfair.stats.estimate.gaps import comparable
from asrfair.stats.explain.achieved_acoustics import achieved_by_group, selected
from asrfair.stats.explain.adjusted import adjusted_table
from asrfair.stats.explain.faas import faas_table
from asrfair.stats.explain.influence import influence_table
from asrfair.stats.explain.normalizer_sensitivity import normalizer_table
from asrfair.stats.explain.subgroups import searchable_attributes, subgroup_table
from asrfair.stats.frame import Frame
from asrfair.stats.measure.table import metric_table
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

DIFFERENCES = [
    "engine",
    "condition",
    "attribute",
    "group",
    "versus",
    "versus_group",
    "difference",
    "ci_low",
    "ci_high",
    "sim_low",
    "sim_high",
    "ratio",
    "ratio_ci_low",
    "ratio_ci_high",
    "p_permutation",
    "p_holm",
    "q_bh",
    "p_max_t",
    "mdd",
    "mdd_corrected",
    "speakers_needed",
    "flag",
]
PERMUTATIONS_A_TEST = 40
"""So many permutations for each test of the family at least, as far as time allows: Holm divides the level by them."""

MOST_PERMUTATIONS = 50_000


def further_tables(
    frame: Frame,
    parts: Sequence[Part],
    groups: GroupSettings,
    statistics: StatisticsSettings,
    ledger: pd.DataFrame,
    scoring: ScoringSettings,
) -> dict[str, pd.DataFrame]:
    """Make all further tables, by name.

    Args:
        frame: The scores.
        parts: The attributes; the first is everybody.
        groups: Whom to compare.
        statistics: Confidence, draws, and which tables are asked for.
        ledger: Columns engine, condition, utterance_id, reason.
        scoring: How text was compared.
    """
    groupings = [part.grouping for part in parts]
    named = groupings[1:]
    tables = {
        "differences": difference_table(frame, parts[1:], groups, statistics),
        "comparisons": comparison_table(frame, groupings, groups, statistics, generator(statistics, "sign flips")),
        "interactions": interaction_table(frame, named, groups, statistics),
        "metrics": metric_table(frame, groupings, groups, statistics, ledger, names=statistics.metrics),
        "influence": influence_table(frame, named, groups, ledger),
    }
    if frame.has_table("achieved"):
        tables["achieved_by_group"] = achieved_by_group(
            frame.table("achieved"), selected(frame.table("utterances"), groups.where), groups.by
        )
    if statistics.adjust:
        tables["adjusted"] = adjusted_table(frame, named, groups, statistics)
    if statistics.normalizers:
        tables["normalizers"] = normalizer_table(frame, named, groups, statistics, scoring)
    if statistics.subgroups:
        attributes = searchable_attributes(frame, allow_inferred=groups.allow_inferred)
        tables["subgroups"] = subgroup_table(frame, statistics, attributes=attributes, min_speakers=groups.min_speakers)
    if statistics.faas:
        tables["faas"] = faas_table(frame, named, groups)
    return tables


def difference_table(
    frame: Frame, parts: Sequence[Part], groups: GroupSettings, statistics: StatisticsSettings
) -> pd.DataFrame:
    """Make ``differences.csv``; the family of the adjusted p-values is every row of the table.

    ``p_holm`` and ``q_bh`` adjust the permutation p-values (with Student's t where no permutation reached what was
    observed, since a large family would ask for more permutations than there is time for); ``p_max_t`` is the joint
    adjustment by step-down maxima of the same permutations, which knows that engines, conditions and comparisons of the
    same speakers are related.
    """
    if not parts:
        return pd.DataFrame(columns=DIFFERENCES)
    tests = sum(3 * part.rates.rate.size for part in parts)
    permutations = int(np.clip(PERMUTATIONS_A_TEST * tests, statistics.draws, MOST_PERMUTATIONS))
    looked_at = sum(
        int(comparable(part.rates, min_speakers=groups.min_speakers, min_words=groups.min_words).sum())
        for part in parts
    )
    found = [
        differences(
            frame,
            part.rates,
            groups,
            statistics,
            flags=part.flags,
            draws=part.draws,
            permutations=permutations,
            looked_at=looked_at,
            rng=generator(statistics, "differences", part.grouping.attribute),
        )
        for part in parts
    ]
    joint = _joint(found)
    tables = [item.table.assign(p_max_t=values) for item, values in zip(found, joint, strict=True)]
    table = in_run_order(frame, tables)
    p = table["p_fine"].to_numpy(dtype=np.float64)
    raw = table["p_permutation"].to_numpy(dtype=np.float64)
    table["p_holm"] = np.fmax(holm(p), raw)
    table["q_bh"] = np.fmax(benjamini_hochberg(p), raw)
    return table[DIFFERENCES]


def _joint(found: Sequence[Differences]) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Step-down maxima over the rows of all attributes."""
    adjusted = [np.full(len(item.table), np.nan) for item in found]
    made = [item for item in found if item.permuted is not None]
    if not made:
        return adjusted
    tests = [item.permuted for item in made if item.permuted is not None]
    count = min(len(permuted.draws) for permuted in tests)
    values = step_down(
        np.concatenate([permuted.observed.ravel() for permuted in tests]),
        np.concatenate([permuted.draws[:count].reshape(count, -1) for permuted in tests], axis=1),
    )
    start = 0
    for place, item in enumerate(found):
        if item.permuted is not None:
            rows = np.flatnonzero(item.test >= 0)
            adjusted[place][rows] = values[start + item.test[rows]]
            start += item.permuted.observed.size
    return adjusted
