"""How much noise each group can bear: the level of one parameter at which its WER reaches a target, adaptively found.

Every engine hears each place at three coarse levels, then where the groups' curves cross the target. Each step is a run
of its own in ``levels/``, with its journal, so that a search that was cut off goes on, and the same suite ends with the
same bytes: which level comes next depends on nothing but what was heard. Levels of a place share its noise, drawn for
the profile and the utterance, so that only the level differs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.acoustics import Condition, parse_condition
from asrfair.data.manifest import Manifest, check_groupable, read_manifest
from asrfair.data.tablefile import write_csv
from asrfair.errors import InputError
from asrfair.recognise.transcribe import transcribe
from asrfair.runs.suite import Suite
from asrfair.runs.threshold_settings import ThresholdTable, axis_of
from asrfair.say.claims import claims_of, worded, write_claims
from asrfair.say.thresholds import target_words, threshold_words
from asrfair.scoring import score_run
from asrfair.stats.analyse import read_thresholds
from asrfair.stats.claims.collect import decided
from asrfair.stats.claims.thresholds import threshold_questions
from asrfair.stats.estimate.psychometric import coarse_levels, next_level
from asrfair.stats.frame import Frame, load_frame
from asrfair.stats.thresholds.axis import Axis
from asrfair.stats.thresholds.tables import TABLES, Counts, Search, Target, threshold_tables
from asrfair.types import CLEAN, INTERSECTION, OVERALL_ATTRIBUTE, OVERALL_GROUP, EngineSpec

COARSE = 3
LEVELS = "levels"
"""Folder of what was heard."""

FILE = "threshold.json"
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
    axes, targets = check_search(suite, table), targets_of(table)
    searches = []
    for number, spec in enumerate(suite.engines):
        hear = _Ear(
            suite=suite, manifest=manifest, spec=spec, folder=run / LEVELS / f"engine-{number + 1}", workers=workers,
            fresh=fresh, progress=progress, around=around, on=on,
        )  # fmt: skip
        if scored is not None and CLEAN in scored.conditions:
            clean, own = scored, _counts(scored, scored.conditions.index(CLEAN), number)
        else:
            clean = hear([CLEAN], "clean")
            own = _counts(clean, 0)
        for index, axis in enumerate(axes):
            profile = parse_condition(
                axis.condition(axis.rounded(axis.easier(axis.high))), profiles=suite.profiles, render=suite.render
            )
            search = Search(
                engine=spec.label, axis=axis, clean=own, groups=_groups(clean, suite),
                speaker=clean.speaker.astype(np.int64),
                asymptote=axis.parameter.endswith("snr_db") and len(profile.steps) == 1,
            )  # fmt: skip
            _listen(search, hear, table, targets[0], f"place-{index + 1}")
            searches.append(search)
    tables = threshold_tables(searches, targets, suite.groups, suite.statistics.confidence)
    for name, frame in tables.items():
        write_csv(frame, run / f"{name}.csv")
    content = {"suite": suite.name, "sha256": suite.sha256, "manifest": manifest.fingerprint, "seed": suite.seed}
    text = json.dumps({**content, "threshold": table.model_dump()}, indent=2) + "\n"
    (run / FILE).write_text(text, encoding="utf-8")
    return Thresholds(run=run, tables=read_thresholds(run))


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
    axes = [axis_of(table, place, suite.profiles, file=suite.path) for place in places]
    for axis in axes:
        for value in (axis.low, axis.high):
            parse_condition(
                axis.condition(axis.rounded(axis.easier(value))), profiles=suite.profiles, render=suite.render
            )
    return axes


def targets_of(table: ThresholdTable) -> list[Target]:
    """Return the rates at which thresholds are taken; the search aims at the first."""
    stated = ((table.wer, False), (table.times_clean, True))
    return [Target(value=value, relative=relative) for value, relative in stated if value is not None]


def forget_thresholds(run: Path) -> None:
    """Remove the tables of a search and what was heard: they belong to other groups or rules than the run now has."""
    for name in (*(f"{table}.csv" for table in TABLES), FILE):
        (run / name).unlink(missing_ok=True)
    shutil.rmtree(run / LEVELS, ignore_errors=True)


def say_thresholds(suite: Suite, found: Thresholds) -> pd.DataFrame:
    """Decide what a search by itself says, as one family, and write ``claims.csv``; a run has its own family."""
    questions = list(threshold_questions(found.tables["threshold_gaps"], found.thresholds))
    claims = worded(decided(questions, suite.statistics))
    write_claims(claims, found.run)
    return claims


def failed_gates(thresholds: pd.DataFrame, claims: pd.DataFrame, table: ThresholdTable) -> list[str]:
    """Return the gates of a search that failed, in sentences."""
    failed = []
    if table.max_threshold_db is not None:
        for row in thresholds[thresholds["flag"] == ""].to_dict("records"):
            if row["threshold"] > table.max_threshold_db or row["censored"] in {"worse", "clean"}:
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
    fresh: bool
    progress: bool
    around: Around | None
    on: str

    def __call__(self, names: list[str], name: str) -> Frame:
        run = self.folder / name
        run.mkdir(parents=True, exist_ok=True)
        conditions = [parse_condition(c, profiles=self.suite.profiles, render=self.suite.render) for c in names]
        with self.around(self.spec, conditions, run) if self.around else nullcontext():
            transcribe(
                self.manifest, [self.spec], conditions, run, seed=self.suite.seed, workers=self.workers,
                fresh=self.fresh, progress=self.progress, base=self.suite.path.resolve().parent, on=self.on,
            )  # fmt: skip
        score_run(run, self.suite.scoring, workers=None if self.on else self.workers)
        return load_frame(run, self.suite.groups)


def _listen(search: Search, hear: _Ear, table: ThresholdTable, target: Target, name: str) -> None:
    """Hear the coarse levels together, then one level after another where the groups' curves cross the target."""
    axis = search.axis
    low, high = sorted((axis.easier(axis.low), axis.easier(axis.high)))
    first = list(dict.fromkeys(axis.rounded(x) for x in coarse_levels(low, high, COARSE)))
    frame = hear([axis.condition(v) for v in first], f"{name}-coarse")
    for place, value in enumerate(first):
        search.levels[value] = _counts(frame, place)
    while len(search.levels) < table.levels:
        found = []
        for _, _, mask in search.groups:
            one = search.threshold(mask, target, confidence=0.95)
            found.append(float(one.curve.reaches(np.array([one.target]))[0]))
        tried = [axis.easier(v) for v in search.levels]
        value = axis.rounded(next_level(sorted(tried), found, low, high))
        if value in search.levels:
            break
        frame = hear([axis.condition(value)], f"{name}-{len(search.levels) + 1}")
        search.levels[value] = _counts(frame, 0)


def _counts(frame: Frame, place: int, engine: int = 0) -> Counts:
    """Return the counts of one engine in one condition of a frame."""
    return Counts(
        errors=frame.numerator[engine, place].astype(float), words=frame.denominator[engine, place].astype(float)
    )


def _groups(frame: Frame, suite: Suite) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    everybody = np.ones(len(frame.utterances), dtype=bool)
    groups = [(OVERALL_ATTRIBUTE, OVERALL_GROUP, everybody)]
    for names in suite.groups.by:
        labels = frame.utterances[names[0]].astype(str)
        for name in names[1:]:
            labels = labels + INTERSECTION + frame.utterances[name].astype(str)
        groups += [(INTERSECTION.join(names), g, (labels == g).to_numpy()) for g in sorted(labels.unique())]
    return groups
