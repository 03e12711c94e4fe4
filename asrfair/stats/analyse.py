"""From a run's scores to its tables of disparity, written beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from asrfair.data.runfile import RUN_FILE, changing, settings_of
from asrfair.data.tablefile import TEXT_COLUMNS, read_result, write_csv
from asrfair.data.tomlfile import did_you_mean
from asrfair.data.trust import name_code
from asrfair.errors import InputError
from asrfair.scoring.metric import WER, Metric, column_of
from asrfair.stats.attribute_rates import attribute_rates
from asrfair.stats.core_tables import (
    coverage_table,
    disparity_table,
    gaps_table,
    in_run_order,
    ledger_table,
    read_ledger,
)
from asrfair.stats.frame import Frame, load_frame
from asrfair.stats.groups import Grouping, make_grouping
from asrfair.stats.measure.prompt_overlap import prompt_table
from asrfair.stats.thresholds.tables import TABLES
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What an analysis found: tables by name (without ``.csv``), as written into the run folder.

    ``claims`` among them has no sentences yet and is no file: :mod:`asrfair.say` makes them.
    """

    run: Path
    frame: Frame
    tables: Mapping[str, pd.DataFrame]


def analyse_run(
    run: Path, groups: GroupSettings, statistics: StatisticsSettings, *, full: bool = False, metric: Metric = WER
) -> Analysis:
    """Write the tables of disparity of a scored run.

    Args:
        run: A folder with ``utterances.parquet``, ``scores.parquet`` and, optionally, ``ledger.csv``.
        groups: Whom to compare.
        statistics: Which intervals.
        full: Whether to make all tables; otherwise only disparity, gaps, coverage and the ledger by group.
        metric: What is measured.

    Raises:
        InputError: A table is missing or damaged, or an attribute or reference group unknown.
    """
    name_code(statistics.normalizers)
    with changing(run, "its tables are being made"):
        frame = load_frame(run, groups, metric=metric)
        scoring = settings_of(run, unfinished=True)[1] if (run / RUN_FILE).is_file() else ScoringSettings()
        given = read_thresholds(run)
        tables = analyse_frame(frame, read_ledger(run), groups, statistics, scoring=scoring, full=full, given=given)
        write_tables({name: table for name, table in tables.items() if name not in given}, run, frame.metric)
    return Analysis(run=run, frame=frame, tables=tables)


def read_thresholds(run: Path) -> dict[str, pd.DataFrame]:
    """Read the tables of a search for thresholds that lie in a run folder; empty where it has none."""
    paths = {name: run / f"{name}.csv" for name in TABLES}
    if not all(path.is_file() for path in paths.values()):
        return {}
    tables = {name: read_result(path) for name, path in paths.items()}
    for table in tables.values():  # a column in which nothing was reached holds no number to tell it by
        for column in table.columns.difference(list(TEXT_COLUMNS)):
            table[column] = pd.to_numeric(table[column].replace("", None))
    return tables


def write_tables(tables: Mapping[str, pd.DataFrame], run: Path, metric: Metric = WER) -> None:
    """Write the tables of an analysis, but for the claims, which have no sentences yet (:mod:`asrfair.say.record`)."""
    if "prompts" not in tables:
        (run / "prompts.csv").unlink(missing_ok=True)  # of an earlier analysis, with other settings
    for name, table in tables.items():
        if name != "claims":
            write_csv(named(table, metric), run / f"{name}.csv")


def named(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Call a table's columns by the metric that they hold."""
    return table.rename(columns=lambda column: column_of(str(column), metric))


def analyse_frame(
    frame: Frame,
    ledger: pd.DataFrame,
    groups: GroupSettings,
    statistics: StatisticsSettings,
    *,
    scoring: ScoringSettings | None = None,
    full: bool = True,
    given: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, pd.DataFrame]:
    """Make the tables of disparity of a frame, and write nothing.

    Args:
        frame: The scores.
        ledger: Columns engine, condition, utterance_id, reason.
        groups: Whom to compare.
        statistics: Which intervals.
        scoring: How text was compared; for the tables that compare other normalizers.
        full: Whether to make all tables, the claims among them.
        given: Tables that were made already, which claims may rest on (thresholds).

    Raises:
        InputError: A reference group is unknown, or a covariate or metric cannot be had.
    """
    groupings = [make_grouping(frame, by) for by in dict.fromkeys([(), *groups.by])]
    # the percentile bootstrap is that of published audits, which draws speakers
    fixed = statistics.prompts == "fixed" or statistics.interval == "percentile"
    prompts = prompt_table(frame, groupings, fixed=fixed)
    frame = replace(frame, prompt=None) if fixed else frame
    _check_reference(groupings, groups)
    attributes = [attribute_rates(frame, grouping, groups, statistics) for grouping in groupings]
    overall = attributes[0]
    disparity = [
        disparity_table(frame, one.grouping, one.rates, groups, statistics, ledger, flags=one.flags, draws=one.draws)
        for one in attributes
    ]
    gaps = [
        gaps_table(
            frame,
            one.rates,
            one.compared,
            overall.rates,
            statistics,
            one.largest if one.draws is None else one.draws,
            overall_draws=overall.draws,
            ledger=ledger,
        )
        for one in attributes
    ]
    tables = {
        "disparity": in_run_order(frame, disparity),
        "gaps": in_run_order(frame, gaps[1:] or [gaps[0].iloc[:0]]),
        "coverage": coverage_table(frame, groupings),
        "ledger_by_group": ledger_table(frame, groupings, ledger),
    }
    if len(prompts):
        tables["prompts"] = prompts
    if full:
        from asrfair.stats.claims.collect import claim_table
        from asrfair.stats.secondary_tables import secondary_tables

        tables |= dict(given or {})
        tables |= secondary_tables(frame, attributes, groups, statistics, ledger, scoring or ScoringSettings())
        tables["claims"] = claim_table(frame, attributes[1:], tables, groups, statistics, ledger)
    return tables


def _check_reference(groupings: Sequence[Grouping], groups: GroupSettings) -> None:
    """Refuse a reference group that nothing would be compared with."""
    names = {grouping.attribute: grouping.names for grouping in groupings[1:]}
    for attribute, group in groups.reference.items():
        if attribute not in names:
            raise InputError(
                "a reference group is named for an attribute that is not grouped by",
                column="reference",
                value=attribute,
                remedy=did_you_mean(attribute, names),
            )
        if group not in names[attribute]:
            raise InputError(
                f"the reference group of {attribute} is not in the data",
                column="reference",
                value=group,
                remedy=did_you_mean(group, names[attribute]),
            )
