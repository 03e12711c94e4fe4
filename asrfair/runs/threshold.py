"""How much noise each group can bear: the level of one parameter at which its WER reaches a target, adaptively found.

Every engine hears each place at three coarse levels, then where the groups' curves cross the target. Each step is a run
of its own in ``levels/``, with its journal, so that a search that was cut off goes on, and the same suite ends with the
same bytes: which level comes next depends on nothing but what was heard. Levels of a place share its noise, drawn for
the profile and the utterance, so that only the level differs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from asrfair.acoustics import Condition, parse_condition
from asrfair.data.manifest import Manifest, check_groupable, read_manifest
from asrfair.data.runlock import writing
from asrfair.data.tablefile import write_csv
from asrfair.errors import InputError
from asrfair.recognise.transcribe import transcribe
from asrfair.runs.suite import Suite
from asrfair.runs.threshold_search import (
    LEVELS,
    Hear,
    Rules,
    engine_folder,
    searches_of,
    targets_of,
    write_rules,
)
from asrfair.runs.threshold_settings import ThresholdTable, axis_of
from asrfair.say.claims import claims_of, worded, write_claims
from asrfair.say.thresholds import target_words, threshold_words
from asrfair.scoring import score_run
from asrfair.stats.analyse import read_thresholds
from asrfair.stats.claims.collect import decided
from asrfair.stats.claims.thresholds import threshold_questions
from asrfair.stats.frame import Frame, load_frame
from asrfair.stats.thresholds.axis import Axis
from asrfair.stats.thresholds.tables import TABLES, Search, threshold_tables
from asrfair.types import CLEAN, EngineSpec, StatisticsSettings

Around: TypeAlias = Callable[[EngineSpec, list[Condition], Path], AbstractContextManager[None]]
"""Called around each step: which engine hears what, in which run folder; nights fill it from their cache."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The tables by name (:data:`asrfair.stats.thresholds.tables.TABLES`) and the gates that failed (sentences)."""

    run: Path
    tables: dict[str, pd.DataFrame]

    @property
    def thresholds(self) -> pd.DataFrame:
        """Where each group's rate reaches the target."""
        return self.tables["thresholds"]


def find_thresholds(
    suite: Suite, table: ThresholdTable, run: Path, *, workers: int | None = None, fresh: bool = False,
    progress: bool = True, around: Around | None = None, scored: Frame | None = None, on: str = "",
) -> Thresholds:  # fmt: skip
    """Search every engine and place, and write the tables; resume if the folder holds the same search, cut off.

    Args:
        suite: Manifest, engines, groups, scoring and statistics.
        table: What to look for.
        run: The folder; made if need be.
        workers: Worker processes; ``None`` is one a core.
        fresh: Throw away what was heard.
        progress: Whether to show progress.
        around: What to do around each step.
        on: Where to transcribe; see :func:`asrfair.recognise.transcribe.transcribe`.
        scored: A run of the suite; where it has the recordings themselves, they are not heard again.

    Raises:
        InputError: The suite or a place is wrong, or the folder holds another search.
        EngineError: An engine cannot start or has failed as a whole.
    """
    manifest = read_manifest(suite.manifest, allow_outside=suite.allow_outside, allow_remote=suite.allow_remote)
    check_groupable(manifest, suite.groups.by, suite.groups.allow_inferred)
    rules = rules_of(suite, table)

    def hear_with(number: int) -> Hear:
        return _Ear(
            suite=suite, manifest=manifest, spec=suite.engines[number], folder=engine_folder(run, number),
            workers=workers, progress=progress, around=around, on=on,
        )  # fmt: skip

    about = {"suite": suite.name, "sha256": suite.sha256, "manifest": manifest.fingerprint, "seed": suite.seed}
    with writing(run):
        if fresh:
            shutil.rmtree(run / LEVELS, ignore_errors=True)
        write_rules(run, rules, about)
        searches = searches_of(rules, run, hear_with, scored)
        return write_thresholds(run, rules, [search for search in searches if search is not None])


def write_thresholds(run: Path, rules: Rules, searches: Sequence[Search]) -> Thresholds:
    """Write the tables of searches that have ended, and read them as others will."""
    tables = threshold_tables(searches, targets_of(rules.table), rules.groups, rules.statistics.confidence)
    for name, frame in tables.items():
        write_csv(frame, run / f"{name}.csv")
    return Thresholds(run=run, tables=read_thresholds(run))


def rules_of(suite: Suite, table: ThresholdTable) -> Rules:
    """Return what a search of a suite depends on, beside what is heard.

    Raises:
        InputError: As :func:`check_search`.
    """
    axes = check_search(suite, table)
    asymptotes = []
    for axis in axes:
        profile = parse_condition(
            axis.condition(axis.rounded(axis.easier(axis.high))), profiles=suite.profiles, render=suite.render
        )
        asymptotes.append(axis.parameter.endswith("snr_db") and len(profile.steps) == 1)
    return Rules(
        engines=tuple(spec.label for spec in suite.engines), axes=tuple(axes), asymptotes=tuple(asymptotes), table=table,
        groups=suite.groups, scoring=suite.scoring, statistics=suite.statistics,
    )  # fmt: skip


def check_search(suite: Suite, table: ThresholdTable) -> list[Axis]:
    """Return what will be turned in each place; whatever is wrong is said before anything is heard.

    Raises:
        InputError: No place or target is named, or a place cannot be rendered at an end of its range.
    """
    places = table.places or list(dict.fromkeys(c.partition("@")[0] for c in suite.conditions if c != CLEAN))
    if not places:
        raise InputError("no place is named", file=suite.path, column="threshold.places", remedy='places = ["…"]')
    if not targets_of(table):
        raise InputError("no target is named", file=suite.path, column="threshold.wer", remedy="Write wer = 0.3")
    axes = []
    for place in places:
        axis = axis_of(table, place, suite.profiles, file=suite.path)
        _check_gates(table, axis, suite)
        axes.append(replace(axis, low=_end(axis, "low", table.low, suite), high=_end(axis, "high", table.high, suite)))
    return axes


def _end(axis: Axis, name: str, given: float | None, suite: Suite) -> float:
    """Return an end of the range that the place can be rendered at: as given, or as far from what is usual as can be.

    Raises:
        InputError: There is none.
    """
    wanted = axis.easier(axis.low if name == "low" else axis.high)
    near = wanted if given is not None or axis.usual is None else axis.easier(axis.usual[name == "high"])
    problem = ""
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        value = axis.rounded(near + share * (wanted - near))
        try:
            parse_condition(axis.condition(value), profiles=suite.profiles, render=suite.render)
        except InputError as error:
            problem = problem or error.message
        else:
            return (axis.low if name == "low" else axis.high) if share == 1.0 else value
        if near == wanted:
            break
    raise InputError(
        f"{axis.place} cannot be heard at {axis.parameter} = {axis.rounded(wanted):g}: {problem}", file=suite.path,
        column=f"threshold.{name}", remedy=f"Write another {name} = … under [threshold]",
    )  # fmt: skip


def _check_gates(table: ThresholdTable, axis: Axis, suite: Suite) -> None:
    """Refuse gates that a parameter cannot be held to: they would never fail, or fail the wrong way round.

    Raises:
        InputError: One is in decibels and the parameter is not, or its limit is of what people bear and not need.
    """
    decibels = axis.unit.startswith("dB")
    for name, fits in (("max_threshold_db", decibels and axis.sign > 0), ("max_threshold_gap_db", decibels)):
        if getattr(table, name) is not None and not fits:
            raise InputError(
                f"{axis.parameter} is no level in decibels that people need", file=suite.path,
                column=f"threshold.{name}", remedy="Leave the gate out, or turn an SNR",
            )  # fmt: skip


def forget_thresholds(run: Path) -> None:
    """Remove the tables of a search: they belong to other groups or rules than the run now has."""
    for table in TABLES:
        (run / f"{table}.csv").unlink(missing_ok=True)


def say_thresholds(statistics: StatisticsSettings, found: Thresholds) -> pd.DataFrame:
    """Decide what a search by itself says, as one family, and write ``claims.csv``; a run has its own family."""
    questions = list(threshold_questions(found.tables["threshold_gaps"], found.thresholds))
    claims = worded(decided(questions, statistics))
    write_claims(claims, found.run)
    return claims


def failed_gates(thresholds: pd.DataFrame, claims: pd.DataFrame, table: ThresholdTable) -> list[str]:
    """Return the gates of a search that failed, in sentences."""
    failed = []
    if table.max_threshold_db is not None:
        for row in thresholds[thresholds["flag"] == ""].to_dict("records"):
            if row["threshold"] > table.max_threshold_db or row["censored"] in {"worse", "clean", "reversed"}:
                failed.append(
                    f"{row['engine']}, {row['place']}: {row['group']} ({target_words(row['target'])}) "
                    f"{threshold_words(row)}, allowed {table.max_threshold_db:g} {row['unit']}"
                )
    if table.max_threshold_gap_db is not None:
        failed += [
            f"{claim.text} Allowed: {table.max_threshold_gap_db:g} {claim.unit}"
            for claim in claims_of(claims)
            if claim.kind == "threshold" and claim.affirmed and claim.estimate > table.max_threshold_gap_db
        ]
    return failed


@dataclass(frozen=True, kw_only=True)
class _Ear:
    """Hears conditions with one engine, each set in a run folder of its own."""

    suite: Suite
    manifest: Manifest
    spec: EngineSpec
    folder: Path
    workers: int | None
    progress: bool
    around: Around | None
    on: str

    def __call__(self, names: Sequence[str], name: str) -> Frame:
        run = self.folder / name
        run.mkdir(parents=True, exist_ok=True)
        conditions = [parse_condition(c, profiles=self.suite.profiles, render=self.suite.render) for c in names]
        with self.around(self.spec, conditions, run) if self.around else nullcontext():
            transcribe(
                self.manifest, [self.spec], conditions, run, seed=self.suite.seed, workers=self.workers,
                progress=self.progress, base=self.suite.path.resolve().parent, on=self.on,
            )  # fmt: skip
        score_run(run, self.suite.scoring, workers=None if self.on else self.workers)
        return load_frame(run, self.suite.groups)
