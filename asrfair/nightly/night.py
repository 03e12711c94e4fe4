"""One night, from the suite to the verdict: transcribe what is new, score, judge, commit."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from asrfair.acoustics import Condition, parse_condition
from asrfair.data.manifest import read_manifest
from asrfair.data.runfile import read_run_file
from asrfair.data.tablefile import read_result, write_parquet
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError
from asrfair.nightly.absolute import absolute_gates, threshold_gates
from asrfair.nightly.baseline import (
    Baseline,
    alike_before,
    changes_of,
    find_baseline,
    gates_of,
    last_judged,
    measured_movements,
    same_inputs,
    scored,
)
from asrfair.nightly.cache import Cache, key_of
from asrfair.nightly.cache_fill import keep, prefill
from asrfair.nightly.changes import Change, changes_between, inputs_of
from asrfair.nightly.gate_outcome import gates_table
from asrfair.nightly.history import History, Night, room_needed, write_json
from asrfair.nightly.keys import Keys, hash_recordings
from asrfair.nightly.message import make_message
from asrfair.nightly.notify import notify
from asrfair.nightly.outage import LOST, coverage_gates, failed_gates
from asrfair.nightly.paired_nights import Scored
from asrfair.nightly.relative import relative_gates
from asrfair.nightly.verdict import Verdict, to_junit, to_markdown
from asrfair.nightly.workfolder import WorkFolder, remove, work_folder
from asrfair.nightly.write_trend import write_trend
from asrfair.recognise.engines import EngineContext
from asrfair.recognise.journal import Journal
from asrfair.runs.invariance_table import INVARIANCE_FILE
from asrfair.runs.notify_settings import NotifySettings
from asrfair.runs.pipeline import RunResult, run_suite
from asrfair.runs.suite import Suite
from asrfair.say.answer import make_answer
from asrfair.scoring.metric import WER, get_metric
from asrfair.stats import Analysis, named
from asrfair.stats.thresholds.tables import TABLES
from asrfair.types import EngineSpec
from asrfair.version import __version__


@dataclass(frozen=True, kw_only=True)
class NightResult:
    """A committed night and what came of it."""

    night: Night
    verdict: Verdict
    trend: tuple[Path, ...]
    removed: tuple[int, ...] = ()
    untold: tuple[str, ...] = ()
    """What of ``[notify]`` did not work, in sentences."""


def run_night(
    suite: Suite,
    folder: Path,
    *,
    baseline: str = "accepted",
    keep_nights: int | None = None,
    thin: int = 0,
    cache: bool = True,
    report: bool = False,
    workers: int | None = None,
    on: str = "",
    progress: bool = True,
) -> NightResult:
    """Run a suite as the next night of a history.

    A night that was cut off is resumed by the same call. The first night of a suite that is no outage is accepted as its
    baseline.

    Args:
        suite: The suite, with its gates.
        folder: The history.
        baseline: What to compare with; see :func:`asrfair.nightly.baseline.find_baseline`.
        keep_nights: Remove all but the newest of this suite afterwards; accepted nights stay.
        thin: Of the older ones, keep the last of each so many instead.
        cache: Whether what an earlier night transcribed may be used.
        report: Whether the night also gets the full report of a run.
        workers: Worker processes.
        on: Where to transcribe; see :func:`asrfair.recognise.transcribe.transcribe`.
        progress: Whether to show progress.

    Raises:
        InputError: The suite or the baseline is wrong.
        EnvironmentFailedError: The history cannot be written; it is as it was.
        EngineError: An engine failed as a whole; the next call goes on where this one stopped.
    """
    history = History(folder)
    history.accepted(suite.name)  # what is damaged, and a wrong name, is an error now, not after hours of transcribing
    find_baseline(history, suite.name, baseline)
    manifest = read_manifest(suite.manifest, allow_outside=suite.allow_outside, allow_remote=suite.allow_remote)
    conditions = [parse_condition(name, profiles=suite.profiles, render=suite.render) for name in suite.conditions]
    base = suite.path.resolve().parent
    context = EngineContext(seed=suite.seed, conditions=tuple(c.name for c in conditions), base=base)
    recordings = hash_recordings(manifest, suite.engines, context)
    identity = json.dumps(
        [
            __version__,
            suite.seed,
            manifest.fingerprint,
            key_of(sorted(recordings.items())),
            [condition.fingerprint for condition in conditions],
            [[spec.label, spec.name, dict(spec.options)] for spec in suite.engines],
        ],
        default=str,
    )
    with room_needed(folder), work_folder(history, suite.name, identity) as work:
        store = Cache(folder / "cache.sqlite")
        held = store if cache else _empty(work)
        keys, counts = prefill(suite, manifest, conditions, work.run, held, context, recordings)
        number = next(reversed(history.numbers()), 0) + 1
        steps: Counter[str] = Counter()

        @contextmanager
        def from_cache(spec: EngineSpec, heard: list[Condition], run: Path) -> Iterator[None]:
            """Fill a step of a search for thresholds from the cache, and keep what it made."""
            names = tuple(item.name for item in heard)
            about = EngineContext(seed=suite.seed, conditions=names, base=base)
            alone = replace(suite, engines=(spec,))
            own, known = prefill(alone, manifest, heard, run, held, about, recordings)
            steps.update(known)
            yield
            keep(run, own, store, number)
            with Journal(run) as journal:
                steps["transcribed"] += sum(journal.counts().values()) - sum(known.values())

        result = run_suite(
            suite, work.run, workers=workers, on=on, progress=progress, report=report, invariance=suite.gates.invariance,
            around=from_cache,
        )  # fmt: skip
        if result.transcribe is None:
            raise InputError("the suite transcribed nothing", file=suite.path)
        counts["transcribed"] = sum(item.results for item in result.transcribe.engines.values())
        counts = {name: counts.get(name, 0) + steps[name] for name in {**counts, **steps}}
        keep(work.run, keys, store, number)
        claim = make_answer(result.analysis.tables, read_run_file(work.run)).lead
        night, verdict = _commit(history, suite, work, result, conditions, keys, counts, baseline)
        remove(work)
    removed: list[int] = []
    if keep_nights is not None:
        removed = history.retain(keep_nights, suite.name, thin)
        store.forget(_oldest_in_use(history, keep_nights))
    trend = write_trend(history, suite.name)
    untold: list[str] = []
    if suite.notify != NotifySettings():
        link = suite.notify.link.replace("{night}", str(night.number)).replace("{suite}", quote(suite.name))
        message = make_message(verdict, result.analysis.tables["disparity"], claim, link or str(trend[0]))
        untold = notify(suite.notify, history, message)
    return NightResult(night=night, verdict=verdict, trend=tuple(trend), removed=tuple(removed), untold=tuple(untold))


def _oldest_in_use(history: History, keep_nights: int) -> int:
    """Return the night before which no suite's newest nights have used the cache."""
    by_suite: dict[str, list[int]] = {}
    for night in history.nights():
        by_suite.setdefault(night.suite, []).append(night.number)
    return min(numbers[-max(keep_nights, 1) :][0] for numbers in by_suite.values())


def _empty(work: WorkFolder) -> Cache:
    work.run.mkdir(parents=True, exist_ok=True)
    return Cache(work.run.parent / "no-cache.sqlite")


def noise_files(conditions: Sequence[Condition]) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of every file that a condition mixes in or convolves with, by the file's name."""
    return {
        condition.name: {
            Path(path).name: sha256 for step in condition.steps for path, sha256 in step.inspection.files.items()
        }
        for condition in conditions
    }


def _commit(
    history: History,
    suite: Suite,
    work: WorkFolder,
    result: RunResult,
    conditions: Sequence[Condition],
    keys: Keys,
    counts: dict[str, int],
    wanted: str,
) -> tuple[Night, Verdict]:
    """Judge a finished run against the history, and add it."""
    run = work.run
    content = read_run_file(run)
    inputs = inputs_of(content, noise_files(conditions))
    utterances = pd.read_parquet(run / "utterances.parquet")
    if keys.recordings:
        utterances["recording"] = utterances["utterance_id"].map(keys.recordings).fillna("")
    tonight = Scored(utterances=utterances, scores=pd.read_parquet(run / "scores.parquet"))
    counts["lost"] = int(tonight.scores["status"].isin(LOST).sum())
    found = find_baseline(history, suite.name, wanted)
    checked = read_result(run / INVARIANCE_FILE) if (run / INVARIANCE_FILE).is_file() else None
    verdict = judge(history, suite, tonight, result.analysis, inputs, found, counts, checked, set(keys.fingerprints))
    final: list[Verdict] = []

    def fill(folder: Path, number: int) -> Mapping[str, Any]:
        numbered = Verdict(**{**vars(verdict), "night": number})
        final.append(numbered)
        write_tables(
            folder, numbered, utterances=utterances, hypotheses=pd.read_parquet(run / "hypotheses.parquet"),
            scores=tonight.scores, analysis=result.analysis, checked=checked,
        )  # fmt: skip
        for name in ("run.json", "report.md", "report.html"):
            if (run / name).is_file():
                shutil.copyfile(run / name, folder / name)
        write_verdict(folder, numbered)
        return {
            "suite": suite.name,
            "verdict": numbered.word,
            "finished": _now(),
            "baseline": numbered.baseline,
            "counts": counts,
            "inputs": inputs,
            "measure": get_metric(suite.statistics.metric).as_errors().label,
        }

    night = history.commit(work.token, fill)
    return night, final[0] if final else verdict


def write_tables(
    folder: Path,
    verdict: Verdict,
    *,
    utterances: pd.DataFrame,
    hypotheses: pd.DataFrame,
    scores: pd.DataFrame,
    analysis: Analysis,
    checked: pd.DataFrame | None = None,
) -> None:
    """Write the tables of a night, each with its number and its suite."""
    tables = {
        "utterances": utterances,
        "hypotheses": hypotheses,
        "scores": scores,
        "groups": named(analysis.tables["disparity"], WER),
        "gaps": named(analysis.tables["gaps"], WER),
        "gates": gates_table(verdict.gates),
        "changes": pd.DataFrame([vars(change) for change in verdict.since_last], columns=_CHANGE, dtype="str"),
    }
    if checked is not None:
        tables["invariance"] = checked
    tables |= {name: analysis.tables[name] for name in TABLES if name in analysis.tables}
    for name, table in tables.items():
        write_parquet(_marked(table, {"night": verdict.night, "suite": verdict.suite}), folder / f"{name}.parquet")


def write_verdict(folder: Path, verdict: Verdict) -> None:
    """Write a night's verdict for programs, for people and for CI."""
    write_json(folder / "verdict.json", verdict.to_json())
    write_whole(folder / "verdict.md", to_markdown(verdict), sync=False)
    write_whole(folder / "junit.xml", to_junit([verdict]), sync=False)


_CHANGE = ["kind", "name", "before", "after", "text"]


def _marked(table: pd.DataFrame, marks: Mapping[str, Any]) -> pd.DataFrame:
    plain = table.drop(columns=[name for name in marks if name in table])
    for index, (name, value) in enumerate(marks.items()):
        plain.insert(index, name, value)
    return plain


def judge(
    history: History,
    suite: Suite,
    tonight: Scored,
    analysis: Analysis,
    inputs: Mapping[str, Any],
    baseline: Baseline | None,
    counts: dict[str, int],
    checked: pd.DataFrame | None = None,
    still: Collection[str] = (),
) -> Verdict:
    """Hold a scored night against its limits, the baseline and the nights before.

    ``still`` are engines that say that they always give the same answer.
    """
    gates = absolute_gates(
        analysis.tables["disparity"],
        analysis.tables["gaps"],
        suite.groups,
        suite.gates,
        metric=analysis.frame.metric,
    )
    gates += failed_gates(tonight, suite.groups, suite.gates)
    if suite.threshold is not None and "thresholds" in analysis.tables:
        gates += threshold_gates(analysis.tables["thresholds"], analysis.tables["claims"], suite.threshold, suite.gates)
    before = history.nights(suite.name)
    warnings: list[str] = []
    changes: list[Change] = []
    wants = suite.gates.compares
    missing = sorted({f"{attribute} = {group}" for attribute, group in suite.gates.groups} - _named(analysis))
    if missing:
        warnings.append(f"[gates] has limits for groups that nobody is in: {', '.join(missing)}")
    if baseline is not None:
        rules = inputs["normalizer"]
        folders = [(night.path, night.content["inputs"]["normalizer"]) for night in baseline.nights]
        sides = [scored(path, rules, own, suite.scoring) for path, own in folders]
        if baseline.run is not None:
            sides = [scored(baseline.run, rules, None, suite.scoring)]
        if any(dict(own) != dict(rules) for _, own in folders):
            warnings.append("The baseline was scored again by tonight's rules, from its transcripts")
        if baseline.nights:
            rows = _rows(baseline.nights[-1])
            changes = changes_between(baseline.inputs or {}, inputs, rows, tonight.utterances)
        else:
            old = read_run_file(baseline.run or Path())
            changes = changes_between({**inputs_of(old, {}), "noise": inputs["noise"]}, inputs, sides[0].utterances,
                                      tonight.utterances.drop(columns="recording", errors="ignore"))  # fmt: skip
        after = max((night.number for night in baseline.nights), default=0)
        earlier = alike_before(before, inputs, after, suite.gates.window_nights - 1)
        newest = [tonight, *(scored(n.path, rules, n.content["inputs"]["normalizer"], suite.scoring) for n in earlier)]
        gates += coverage_gates(tonight, sides, suite.groups, suite.gates)
        if wants:
            last = last_judged(before, baseline.name)
            relative = relative_gates(
                newest,
                sides,
                suite.groups,
                suite.gates,
                movements=measured_movements(before, checked, still),
                same_inputs=same_inputs(baseline.inputs, inputs),
                metric=analysis.frame.metric,
                changes=changes_of(before, baseline.name),
                before=None if last is None else gates_of(last),
                last=None
                if last is None
                else scored(last.path, rules, last.content["inputs"]["normalizer"], suite.scoring),
            )
            gates += relative
            if not relative:
                warnings.append("Nothing could be compared: the baseline shares no scored utterance with tonight")
    elif wants:
        warnings.append("There is no baseline yet: relative gates begin with the next night")
    since = (
        changes_between(before[-1].content["inputs"], inputs, _rows(before[-1]), tonight.utterances) if before else []
    )
    return Verdict(
        suite=suite.name,
        night=0,
        baseline="" if baseline is None else baseline.name,
        gates=tuple(gates),
        changes=tuple(changes),
        since_last=tuple(since),
        counts=counts,
        warnings=tuple(warnings),
    )


def _named(analysis: Analysis) -> set[str]:
    rows = analysis.tables["disparity"][["attribute", "group"]].drop_duplicates()
    return {f"{attribute} = {group}" for attribute, group in rows.itertuples(index=False)}


def _rows(night: Night) -> pd.DataFrame:
    return pd.read_parquet(night.path / "utterances.parquet")


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
