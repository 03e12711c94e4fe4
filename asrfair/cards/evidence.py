"""What the runs of a card support: their published numbers, found by name; nothing else may be claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from asrfair.cards.floors import F1, Floor, f1_of_counts, floors
from asrfair.cards.suppression import SUPPRESSED, Cell, hidden_cells, suppress
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.report.loading import RunData, load_run

SMALLEST: Final = 5
"""Speakers below which a group's numbers are not published, unless the author says otherwise."""
F1_COLUMNS: Final = {
    "value": "f1",
    "ci_low": "f1_ci_low",
    "ci_high": "f1_ci_high",
    "sim_low": "f1_sim_low",
    "sim_high": "f1_sim_high",
}


@dataclass(frozen=True, kw_only=True)
class RunEvidence:
    """One run of a card.

    Args:
        name: What the card calls it, unique in the card.
        raw: The run as it is; only floors look at it.
        shown: The run with what must not be published taken out.
        groups: ``disparity.csv`` and F1 of ``metrics.csv`` side by side, an engine × condition × attribute × group a
            row, numbers of suppressed rows gone.
        hidden: The suppressed cells.
        floors: What can be said of all groups.
    """

    name: str
    raw: RunData
    shown: RunData
    groups: pd.DataFrame
    hidden: frozenset[Cell]
    floors: tuple[Floor, ...]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All runs of a card, and the size below which cells were suppressed."""

    runs: tuple[RunEvidence, ...]
    smallest: int

    @property
    def groups(self) -> pd.DataFrame:
        """The groups of all runs, with a column ``run``."""
        return pd.concat([run.groups.assign(run=run.name) for run in self.runs], ignore_index=True)

    @property
    def floors(self) -> tuple[Floor, ...]:
        """The statements about all groups, of all runs."""
        return tuple(floor for run in self.runs for floor in run.floors)

    @property
    def engines(self) -> tuple[str, ...]:
        """Labels of the engines of all runs."""
        return tuple(dict.fromkeys(engine for run in self.runs for engine in run.raw.engines))

    def row(self, *, run: str, engine: str, condition: str, attribute: str, group: str) -> dict[str, Any]:
        """Return the one row with these names; ``run`` may be empty where only one run has it.

        Raises:
            InputError: No row, several, or a suppressed one.
        """
        wanted = {"run": run, "engine": engine, "condition": condition, "attribute": attribute, "group": group}
        found = self.groups
        for name, value in wanted.items():
            if name == "run" and not value:
                continue
            known = list(dict.fromkeys(found[name]))
            found = found[found[name] == value]
            if found.empty:
                raise InputError(f"the runs have no such {name}", value=value, remedy=did_you_mean(value, known))
        if len(found) > 1:
            names = ", ".join(found["run"])
            raise InputError(f"several runs have this number: {names}", remedy='Name one, such as run="…"')
        row: dict[str, Any] = {str(key): value for key, value in found.iloc[0].items()}
        if row["flag"] == SUPPRESSED:
            raise InputError(
                "the number is suppressed: the group is small, or would give a small one away",
                value=f"{attribute}: {group}",
                remedy="A card cannot say it; leave it out",
            )
        return row


def gather(paths: Sequence[Path], *, smallest: int = SMALLEST) -> Evidence:
    """Read the runs of a card, suppress small cells, work out the floors.

    Raises:
        InputError: A run cannot be read, or is too small to publish anything of it.
    """
    if not paths:
        raise InputError("a card needs at least one run")
    runs = [load_run(path) for path in paths]
    hidden = hidden_cells(runs, smallest)
    return Evidence(
        runs=tuple(
            _evidence(run, name, cells, smallest) for run, name, cells in zip(runs, _names(runs), hidden, strict=True)
        ),
        smallest=smallest,
    )


def _evidence(run: RunData, name: str, hidden: frozenset[Cell], smallest: int) -> RunEvidence:
    groups = suppress(_with_f1(run), hidden)
    tables = {"disparity": suppress(run.disparity, hidden)}
    gaps = run.tables.get("gaps")
    if gaps is not None:
        # Means and best groups are computed from all groups, hidden ones too: such a row would give them away.
        touched = {attribute for attribute, _ in hidden}
        kept = gaps[~gaps["attribute"].isin(touched)].reset_index(drop=True)
        if len(kept):
            tables["gaps"] = kept
    return RunEvidence(
        name=name,
        raw=run,
        shown=replace(run, tables=tables, findings=()),
        groups=groups,
        hidden=hidden,
        floors=tuple(floors(run, name, smallest=smallest)),
    )


def _with_f1(run: RunData) -> pd.DataFrame:
    keys = ["engine", "condition", "attribute", "group"]
    metrics = run.tables.get("metrics")
    mine = None if metrics is None else metrics[metrics["metric"] == F1]
    if mine is None or mine.empty:
        table = run.disparity.copy()
        counted = {"hits", "substitutions", "deletions", "insertions"} <= set(table.columns)
        return table.assign(f1=f1_of_counts(table)) if counted else table
    f1 = mine.rename(columns=F1_COLUMNS).reindex(columns=[*keys, *F1_COLUMNS.values()])
    return run.disparity.merge(f1, on=keys, how="left", validate="one_to_one")


def _names(runs: Sequence[RunData]) -> list[str]:
    names: list[str] = []
    for run in runs:
        name, number = run.name, 2
        while name in names:
            name, number = f"{run.name} ({number})", number + 1
        names.append(name)
    return names
