"""The tables beyond rates and gaps, made in one call: what else differs, whose gap it is, and by which measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from asrfair.disparity.achieved import achieved_by_group
from asrfair.disparity.adjusted import adjusted_table
from asrfair.disparity.frame import Frame
from asrfair.disparity.groups import Grouping
from asrfair.disparity.influence import influence_table
from asrfair.disparity.metric_table import metric_table
from asrfair.disparity.sensitivity import normalizer_table
from asrfair.disparity.subgroups import subgroup_table
from asrfair.runfile import RUN_FILE, read_run_file, settings_from_json
from asrfair.types import OVERALL_ATTRIBUTE, GroupSettings, ScoringSettings, StatisticsSettings

FIXED = frozenset(("utterance_id", "speaker_id", "reference", "reference_raw", "exclude", "duration_s", "language"))
"""Columns of ``utterances.parquet`` that are no attributes."""


def further_tables(
    frame: Frame,
    groupings: Sequence[Grouping],
    groups: GroupSettings,
    statistics: StatisticsSettings,
    ledger: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    """Make the tables adjusted, normalizers, influence, subgroups, metrics and achieved_by_group.

    What the settings do not ask for (covariates, further normalizers, subgroups) is an empty table.

    Args:
        frame: The scores.
        groupings: All attributes shown, ``overall`` among them.
        groups: For whom.
        statistics: How.
        ledger: Columns engine, condition, utterance_id, reason.

    Raises:
        InputError: A covariate, normalizer or metric of the settings is not known.
    """
    shown = [grouping for grouping in groupings if grouping.attribute != OVERALL_ATTRIBUTE]
    achieved = frame.run / "achieved.parquet"
    subgroups = pd.DataFrame()
    if statistics.subgroups:
        names = searchable_attributes(frame.run, allow_inferred=groups.allow_inferred)
        subgroups = subgroup_table(frame, statistics, attributes=names, min_speakers=groups.min_speakers)
    return {
        "adjusted": adjusted_table(frame, shown, groups, statistics),
        "normalizers": normalizer_table(frame, shown, groups, statistics, scoring_settings(frame.run)),
        "influence": influence_table(frame, shown, groups, ledger),
        "subgroups": subgroups,
        "metrics": metric_table(frame, groupings, groups, statistics, ledger, names=statistics.metrics),
        "achieved_by_group": achieved_by_group(frame.run, groups.by) if achieved.is_file() else pd.DataFrame(),
    }


def searchable_attributes(run: Path, *, allow_inferred: bool) -> list[str]:
    """Return the attributes of a run that a search may combine: all, but those that were guessed unless allowed."""
    names = [name for name in pq.read_schema(run / "utterances.parquet").names if name not in FIXED]
    if allow_inferred or not (run / RUN_FILE).is_file():
        return names
    known = read_run_file(run).get("manifest", {}).get("attributes", {})
    return [name for name in names if known.get(name, {}).get("provenance") != "inferred"]


def scoring_settings(run: Path) -> ScoringSettings:
    """Return how the run was scored, from ``run.json``; the defaults where there is none."""
    if not (run / RUN_FILE).is_file():
        return ScoringSettings()
    return settings_from_json(read_run_file(run))[1]
