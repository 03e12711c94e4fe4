"""The tables beyond the core: differences, comparisons, interactions, and what they may rest on."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from asrfair.stats.attribute_rates import AttributeRates
from asrfair.stats.compare.conditions import interaction_table
from asrfair.stats.compare.engines import comparison_table
from asrfair.stats.compare.groups import difference_table
from asrfair.stats.core_tables import in_run_order
from asrfair.stats.explain.achieved_acoustics import achieved_by_group, selected
from asrfair.stats.explain.adjusted import adjusted_table
from asrfair.stats.explain.faas import faas_table
from asrfair.stats.explain.influence import influence_table
from asrfair.stats.explain.normalizer_sensitivity import normalizer_table
from asrfair.stats.explain.subgroups import searchable_attributes, subgroup_table
from asrfair.stats.explain.voice_sensitivity import sensitivity_table
from asrfair.stats.frame import Frame
from asrfair.stats.measure.table import metric_table
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings


def secondary_tables(
    frame: Frame,
    attributes: Sequence[AttributeRates],
    groups: GroupSettings,
    statistics: StatisticsSettings,
    ledger: pd.DataFrame,
    scoring: ScoringSettings,
) -> dict[str, pd.DataFrame]:
    """Make them all, by name.

    Args:
        frame: The scores.
        attributes: The attributes; the first is everybody.
        groups: Whom to compare.
        statistics: Confidence, draws, and which tables are asked for.
        ledger: Columns engine, condition, utterance_id, reason.
        scoring: How text was compared.
    """
    groupings = [one.grouping for one in attributes]
    named = groupings[1:]
    tables = {
        "differences": in_run_order(frame, difference_table(frame, attributes[1:], groups, statistics)),
        "comparisons": comparison_table(frame, groupings, groups, statistics),
        "interactions": interaction_table(frame, named, groups, statistics),
        "metrics": metric_table(frame, groupings, groups, statistics, ledger, names=statistics.metrics),
        "influence": influence_table(frame, named, groups, ledger),
    }
    if frame.has_table("achieved"):
        tables["achieved_by_group"] = achieved_by_group(
            frame.table("achieved"), selected(frame.table("utterances"), groups.where), groups.by
        )
    sensitivity = sensitivity_table(frame, groupings, groups, statistics)
    if len(sensitivity):
        tables["sensitivity"] = sensitivity
    if statistics.adjust:
        tables["adjusted"] = adjusted_table(frame, named, groups, statistics)
    if statistics.normalizers:
        tables["normalizers"] = normalizer_table(frame, named, groups, statistics, scoring)
    if statistics.subgroups:
        searchable = searchable_attributes(frame, allow_inferred=groups.allow_inferred)
        tables["subgroups"] = subgroup_table(frame, statistics, attributes=searchable, min_speakers=groups.min_speakers)
    if statistics.faas:
        tables["faas"] = faas_table(frame, named, groups)
    return tables
