"""The stages put together: a suite, or somebody else's transcripts, to tables, plots and a report in one folder."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from asrfair.acoustics import Condition, parse_condition
from asrfair.data.manifest import AttributeCard, Manifest, check_groupable, read_manifest
from asrfair.data.provenance import collect, sha256_file
from asrfair.data.runfile import (
    RUN_FILE,
    changing,
    read_run_file,
    refuse_night,
    settings_from_json,
    settings_to_json,
    write_run_file,
)
from asrfair.data.runlock import writing
from asrfair.data.wholefile import open_whole
from asrfair.errors import InputError
from asrfair.recognise.transcribe import TranscribeSummary, transcribe
from asrfair.recognise.transcribe.finalise import write_utterances
from asrfair.report import write_report
from asrfair.report.recordings import recordings
from asrfair.runs.invariance_table import INVARIANCE_FILE, check_invariance
from asrfair.runs.suite import Suite
from asrfair.runs.threshold import Around, check_search, find_thresholds, forget_thresholds
from asrfair.runs.threshold_again import DROPPED, NONE_HERE, OTHER_RULES, copy_levels, steps_of, thresholds_again
from asrfair.runs.transcripts import HypothesisFile, write_hypotheses
from asrfair.say.record import say_run
from asrfair.scoring import ScoreSummary, score_run
from asrfair.scoring.metric import WER, counted_by, get_metric
from asrfair.stats import Analysis, analyse_run
from asrfair.stats.explain.covariates import check_covariates
from asrfair.stats.frame import load_frame
from asrfair.stats.thresholds.tables import TABLES
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings
from asrfair.version import __version__

_TRANSCRIPTS: Final = (
    "utterances.parquet",
    "hypotheses.parquet",
    "timings.parquet",
    "achieved.parquet",
    INVARIANCE_FILE,
    *(f"{name}.csv" for name in TABLES),
)
"""What a run folder holds before it is scored; everything else is made from it."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run left behind, and what the command line prints of it; ``notes`` say in words what its tables lack."""

    run: Path
    score: ScoreSummary
    analysis: Analysis
    written: tuple[Path, ...]
    transcribe: TranscribeSummary | None = None
    notes: tuple[str, ...] = ()


def run_suite(
    suite: Suite,
    run: Path,
    *,
    workers: int | None = None,
    on: str = "",
    fresh: bool = False,
    progress: bool = True,
    html: bool = True,
    report: bool = True,
    retry_errors: bool = False,
    invariance: int = 0,
    around: Around | None = None,
) -> RunResult:
    """Transcribe, score, analyse and report a suite; resume if the folder holds the same run, cut off.

    Where the suite has a ``[threshold]`` table, its search is part of the run.

    Args:
        suite: What to do.
        run: The run folder; made if need be.
        workers: Worker processes; ``None`` is one a core.
        on: Where to transcribe; see :func:`asrfair.recognise.transcribe.transcribe`.
        fresh: Throw away what the folder's journal holds.
        progress: Whether to show a progress bar.
        html: Whether to write ``report.html``.
        report: Whether to write a report and plots at all.
        retry_errors: On a resume, try those utterances again that ended in an error.
        invariance: So many utterances are transcribed again one at a time (``invariance.csv``); 0 is none.
        around: What to do around each step of a search for thresholds.

    Raises:
        InputError: The suite, its manifest or a condition is wrong, or the folder holds another run.
        EngineError: An engine cannot start or has failed as a whole.
    """
    refuse_night(run)
    manifest, conditions = _inputs(suite)
    with writing(run):
        with changing(run, "a suite is being run"):
            content, summary = _transcribed(
                suite,
                manifest,
                conditions,
                run,
                workers=workers,
                on=on,
                fresh=fresh,
                progress=progress,
                retry_errors=retry_errors,
                shard=(0, 1),
            )
            (run / INVARIANCE_FILE).unlink(missing_ok=True)
            if invariance:
                content["invariance"] = check_invariance(
                    manifest, suite.engines, conditions, run, count=invariance, groups=suite.groups,
                    scoring=suite.scoring, seed=suite.seed, workers=workers, on=on, progress=progress,
                    base=suite.path.resolve().parent,
                )  # fmt: skip
            here = None if on else workers  # of the cluster's processors none are used for tables
            search = None if suite.threshold is None else partial(
                find_thresholds, suite, suite.threshold, run, workers=workers, on=on, fresh=fresh, progress=progress,
                around=around,
            )  # fmt: skip
            score, analysis = _tables(run, content, suite.groups, suite.scoring, suite.statistics, here, search)
        audio = recordings(manifest, conditions, seed=suite.seed) if suite.audio and html else None
        written = write_report(run, html=html, audio=audio) if report else []
    return RunResult(run=run, score=score, analysis=analysis, written=tuple(written), transcribe=summary)


def run_shard(
    suite: Suite,
    run: Path,
    *,
    shard: tuple[int, int],
    workers: int | None = None,
    on: str = "",
    fresh: bool = False,
    progress: bool = True,
    retry_errors: bool = False,
) -> TranscribeSummary:
    """Transcribe one of n parts of a suite and score nothing: ``asrfair merge`` puts the parts together.

    Args:
        suite: What to do.
        run: The shard's own folder; made if need be, resumed if it holds this shard.
        shard: ``(i, n)``, counted from 0: every n-th batch of the plan from the i-th on.
        workers: Worker processes; ``None`` is one a core.
        on: Where to transcribe; see :func:`asrfair.recognise.transcribe.transcribe`.
        fresh: Throw away what the folder's journal holds.
        progress: Whether to show a progress bar.
        retry_errors: On a resume, try those utterances again that ended in an error.

    Raises:
        InputError: The suite, its manifest or a condition is wrong, or the folder holds another run or shard.
        EngineError: An engine cannot start or has failed as a whole.
    """
    refuse_night(run)
    manifest, conditions = _inputs(suite)
    with changing(run, "a part of a suite is being transcribed"):
        content, summary = _transcribed(
            suite,
            manifest,
            conditions,
            run,
            workers=workers,
            on=on,
            fresh=fresh,
            progress=progress,
            retry_errors=retry_errors,
            shard=shard,
        )
        content["shard"] = list(shard)
        content["volatile"]["finished"] = _now()
        write_run_file(run, content)
    return summary


def _inputs(suite: Suite) -> tuple[Manifest, list[Condition]]:
    """Read what a suite names; whatever is wrong is said before anything is made."""
    manifest = read_manifest(suite.manifest, allow_outside=suite.allow_outside, allow_remote=suite.allow_remote)
    _check_groups(manifest, suite.groups)
    check_covariates(suite.statistics.adjust, manifest.attributes, file=suite.path)
    if suite.threshold is not None:
        check_search(suite, suite.threshold)
    return manifest, [parse_condition(name, profiles=suite.profiles, render=suite.render) for name in suite.conditions]


def _transcribed(
    suite: Suite,
    manifest: Manifest,
    conditions: list[Condition],
    run: Path,
    *,
    workers: int | None,
    on: str,
    fresh: bool,
    progress: bool,
    retry_errors: bool,
    shard: tuple[int, int],
) -> tuple[dict[str, Any], TranscribeSummary]:
    """Transcribe a suite, or a part of it, and return what ``run.json`` will say."""
    started = _now()
    summary = transcribe(
        manifest,
        suite.engines,
        conditions,
        run,
        seed=suite.seed,
        workers=workers,
        on=on,
        fresh=fresh,
        progress=progress,
        base=suite.path.resolve().parent,
        retry_errors=retry_errors,
        shard=shard,
    )
    content = _provenance(manifest, suite.groups, suite.scoring, suite.statistics)
    content["suite"] = {
        "name": suite.name,
        "description": suite.description,
        "file": suite.path.name,
        "sha256": suite.sha256,
        "title": suite.title,
        "audio": suite.audio,
    }
    if suite.threshold is not None:
        content["suite"]["threshold"] = suite.threshold.model_dump()
    content["seed"] = suite.seed
    content["engines"] = [
        {
            "label": spec.label,
            "name": spec.name,
            "options": summary.engines[spec.label].options,
            "fingerprint": summary.engines[spec.label].fingerprint,
        }
        for spec in suite.engines
    ]
    content["conditions"] = [{"name": item.name, "fingerprint": item.fingerprint} for item in conditions]
    content["volatile"].update({"started": started, "transcribe": summary.volatile()})
    return content, summary


def score_files(
    manifest_path: Path,
    files: Sequence[HypothesisFile],
    run: Path,
    *,
    groups: GroupSettings,
    scoring: ScoringSettings,
    statistics: StatisticsSettings,
    workers: int | None = None,
    html: bool = True,
    report: bool = True,
) -> RunResult:
    """Score transcripts that somebody else made; needs no audio.

    Raises:
        InputError: The manifest, a file or a setting is wrong, or the folder holds a transcribed run.
    """
    refuse_night(run)
    if (run / "journal.sqlite").exists():
        raise InputError(
            "the folder holds a run that was transcribed here",
            file=run,
            remedy="Give another --out, or score that run again: asrfair score RUN",
        )
    manifest = read_manifest(manifest_path, allow_outside=True, allow_remote=None)
    _check_groups(manifest, groups)
    with writing(run):
        with changing(run, "transcripts from files are being scored"):
            content = _from_files(manifest, files, run, groups, scoring, statistics)
            score, analysis = _tables(run, content, groups, scoring, statistics, workers)
        written = write_report(run, html=html) if report else []
    return RunResult(run=run, score=score, analysis=analysis, written=tuple(written))


def _from_files(
    manifest: Manifest,
    files: Sequence[HypothesisFile],
    run: Path,
    groups: GroupSettings,
    scoring: ScoringSettings,
    statistics: StatisticsSettings,
) -> dict[str, Any]:
    started = _now()
    write_utterances(manifest, run / "utterances.parquet")
    write_hypotheses(files, manifest, run)
    content = _provenance(manifest, groups, scoring, statistics)
    content["suite"] = {
        "name": manifest.card.name,
        "description": "transcripts from files",
        "title": "",
        "audio": False,
    }
    content["seed"] = statistics.seed
    content["engines"] = [
        {"label": label, "name": "precomputed", "options": {}, "fingerprint": fingerprint}
        for label, fingerprint in _file_fingerprints(files).items()
    ]
    content["conditions"] = [
        {"name": name, "fingerprint": ""} for name in dict.fromkeys(file.condition for file in files)
    ]
    content["volatile"]["started"] = started
    return content


def rescore(
    run: Path,
    *,
    out: Path | None = None,
    groups: GroupSettings | None = None,
    scoring: ScoringSettings | None = None,
    statistics: StatisticsSettings | None = None,
    workers: int | None = None,
    html: bool = True,
    report: bool = True,
    left: bool = False,
) -> RunResult:
    """Score and analyse a run folder again, with other settings if any are given; never touches audio.

    Args:
        run: The run folder.
        out: Where to; another folder leaves ``run`` as it is. The run folder itself if not given.
        groups: For whom; as the run had it if not given, and so for the other settings.
        scoring: How errors are counted.
        statistics: How sure.
        workers: Processes for normalizing; ``None`` is one a core.
        html: Whether to write ``report.html``.
        report: Whether to write a report and plots at all.
        left: Whether rows have left the folder, so that all that was made with them is made again.

    Raises:
        InputError: A folder is no run, holds another one, or a setting does not fit it.
    """
    refuse_night(out or run)
    content = read_run_file(run, unfinished=True)
    old_groups, old_scoring, old_statistics = settings_from_json(content, file=run / RUN_FILE)
    groups, scoring, statistics = groups or old_groups, scoring or old_scoring, statistics or old_statistics
    check_groupable(_attributes(content), groups.by, groups.allow_inferred)
    before = (old_groups, old_scoring, old_statistics.confidence)
    content.update(settings_to_json(groups, scoring, statistics))
    content.setdefault("volatile", {})["rescored"] = _now()
    target = run if out is None or out.resolve() == run.resolve() else out
    with writing(target):
        with changing(target, "it is being scored again"):
            if target is not run:
                _copy_transcripts(run, target)
            had = (target / f"{TABLES[0]}.csv").is_file()
            changed = before != (groups, scoring, statistics.confidence)
            if left or changed:
                forget_thresholds(target)
            search = None
            if steps_of(target) and (left or changed or not had):
                search = partial(thresholds_again, target, groups, scoring, statistics, workers=workers, left=left)
            score, analysis = _tables(target, content, groups, scoring, statistics, workers, search)
        written = write_report(target, html=html) if report else []
        notes: list[str] = []
        if TABLES[0] in analysis.tables:
            notes += [OTHER_RULES] if changed else []
        elif had or "threshold" in content.get("suite", {}):
            notes.append(DROPPED if had and changed else NONE_HERE)
    return RunResult(run=target, score=score, analysis=analysis, written=tuple(written), notes=tuple(notes))


def _copy_transcripts(run: Path, out: Path) -> None:
    """Copy what scoring reads into another folder: a new one, or one that holds the same transcripts already."""
    if out.exists() and not out.is_dir():
        raise InputError("the output is not a folder", file=out, remedy="Give another --out")
    before = out / "hypotheses.parquet"
    same = before.is_file() and sha256_file(before) == sha256_file(run / before.name)
    if (out / "journal.sqlite").exists() or (out.is_dir() and any(out.iterdir()) and not same):
        raise InputError("the folder holds something else", file=out, remedy="Give a folder that is new or empty")
    for name in _TRANSCRIPTS:
        if (run / name).is_file():
            with (run / name).open("rb") as source, open_whole(out / name, private=True) as stream:
                shutil.copyfileobj(source, stream)
    copy_levels(run, out)


def _tables(
    run: Path,
    content: dict[str, Any],
    groups: GroupSettings,
    scoring: ScoringSettings,
    statistics: StatisticsSettings,
    workers: int | None,
    search: Callable[..., object] | None = None,
) -> tuple[ScoreSummary, Analysis]:
    """Score and analyse, and write ``run.json``; until the caller is done with the folder, it says that it is not.

    ``search`` looks for thresholds, once the run is scored.
    """
    content["volatile"] = {key: value for key, value in content["volatile"].items() if key not in {"tables", "sha256"}}
    content["volatile"]["unfinished"] = "its transcripts are being scored"
    metric = get_metric(statistics.metric).as_errors()
    scoring = replace(scoring, metrics=counted_by((statistics.metric, *statistics.metrics)))
    content.update(settings_to_json(groups, scoring, statistics))
    content.pop("metric", None)
    if metric != WER:
        content["metric"] = metric.to_json()
    write_run_file(run, content)
    score = score_run(run, scoring, workers=workers)
    content["scoring"]["normalizer_version"] = score.normalizer
    write_run_file(run, content)
    if search is not None:
        search(scored=load_frame(run, groups))
    analysis = analyse_run(run, groups, statistics, full=True, metric=metric)
    analysis = replace(analysis, tables=say_run(run, analysis.tables, content))
    content["volatile"]["finished"] = _now()
    write_run_file(run, content)
    return score, analysis


def _attributes(content: Mapping[str, Any]) -> dict[str, AttributeCard]:
    """Read the attributes' descriptions back out of ``run.json``."""
    try:
        return {
            name: AttributeCard(description=item["description"], provenance=item["provenance"])
            for name, item in content["manifest"]["attributes"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"run.json lacks the attributes: {error}", remedy="Run the suite again") from error


def _check_groups(manifest: Manifest, groups: GroupSettings) -> None:
    check_groupable(manifest, groups.by, groups.allow_inferred)
    known = set(manifest.attributes)
    for name in groups.where:
        if name not in known:
            check_groupable(manifest, ((name,),), allow_inferred=True)


def _provenance(
    manifest: Manifest, groups: GroupSettings, scoring: ScoringSettings, statistics: StatisticsSettings
) -> dict[str, Any]:
    about = {
        "name": manifest.card.name,
        "version": manifest.card.version,
        "licence": manifest.card.licence,
        "citation": manifest.card.citation,
        "fingerprint": manifest.fingerprint,
        "rows": len(manifest.table),
        "attributes": {
            name: {"description": card.description, "provenance": card.provenance}
            for name, card in manifest.card.attributes.items()
        },
    }
    return run_content(about, groups, scoring, statistics)


def run_content(
    manifest: Mapping[str, Any], groups: GroupSettings, scoring: ScoringSettings, statistics: StatisticsSettings
) -> dict[str, Any]:
    """What ``run.json`` says of any run; ``manifest`` is its part about where the utterances are from."""
    collected = collect()
    return {
        "asrfair": __version__,
        "suite": {},
        "seed": None,
        "manifest": dict(manifest),
        "engines": [],
        "conditions": [],
        **settings_to_json(groups, scoring, statistics),
        "packages": collected["packages"],
        "git": collected["git"],
        "volatile": {"hardware": collected["hardware"]},
    }


def _file_fingerprints(files: Sequence[HypothesisFile]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for file in files:
        for path in file.paths:
            found.setdefault(file.engine, {})[f"{file.condition}: {path.name}"] = sha256_file(path)
    return found


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
