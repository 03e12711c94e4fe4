"""Somebody leaves a history: every night is scored and judged again without them, the oldest first, as if they never came.

A night's files are replaced one by one, ``night.json`` with their checksums last: a night that was cut off in between is
refused by whoever reads it until the same command has gone on. What cannot be told apart by person is removed: the cache,
whose rows bear no names, messages that were not sent, nights in the making.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.data.locks import lock
from asrfair.data.manifest import read_manifest
from asrfair.data.provenance import sha256_file
from asrfair.data.runfile import read_content, settings_from_json, write_run_file
from asrfair.data.sealed import sealed
from asrfair.data.wholefile import sync_folder, write_whole
from asrfair.errors import InputError
from asrfair.nightly.baseline import Baseline, find_baseline, plain
from asrfair.nightly.history import History, Night, write_json
from asrfair.nightly.night import judge, write_tables, write_verdict
from asrfair.nightly.outage import LOST
from asrfair.nightly.paired_nights import Scored
from asrfair.nightly.verdict import Verdict
from asrfair.nightly.write_trend import write_trend
from asrfair.recognise.engines import EngineContext, traits_of
from asrfair.recognise.engines.table import load_class
from asrfair.runs.forget import Person, without
from asrfair.runs.pipeline import rescore
from asrfair.runs.suite import Suite
from asrfair.stats.thresholds.tables import TABLES
from asrfair.types import EngineSpec

NOTE = "made again without somebody who left"
_GONE = ("rescored", "bisect", "unsent")
_HELD = re.compile(r"the (\d+) nights up to \d+ that held")


class _Until(History):
    """A history as it was before one of its nights."""

    def __init__(self, history: History, night: Night) -> None:
        self.folder = history.folder
        self._night = night

    def numbers(self) -> list[int]:
        return [number for number in super().numbers() if number < self._night.number]

    def accepted(self, suite: str) -> int | None:
        """Return which night was the accepted one then."""
        finished = str(self._night.content.get("finished", ""))
        for index in range(self._acceptances(), 0, -1):
            record = self._record(index)
            if record["suite"] == suite and record["night"] < self._night.number and str(record["when"]) <= finished:
                return int(record["night"])
        return None


def nights_with(history: History) -> list[Path]:
    """Return the folders of all nights."""
    return [history.path(number) for number in history.numbers()]


def plan_history(history: History, person: Person, suites: Sequence[Suite]) -> tuple[list[str], list[str]]:
    """Return what would be done to a history, and what cannot be, in sentences.

    Raises:
        InputError: A suite is not given, still has the person, or somebody's nights hold nobody else.
    """
    nights = [night for night in history.nights() if _in(night, person)]
    known = {suite.name for suite in suites}
    for night in nights:
        if night.suite not in known:
            raise InputError(
                "the nights of this suite are judged again, by its gates",
                file=night.path,
                value=night.suite,
                remedy="Give its file: --suite SUITE.toml",
            )
        if not set(plain(night.path / "utterances.parquet")["speaker_id"]) - {person.speaker_id}:
            raise InputError("nobody else is in this night", file=night.path, remedy="Remove the history")
    for suite in suites:
        _manifest_of(suite, person.speaker_id)
    done = [f"{night.path}: scored and judged again without their utterances" for night in nights]
    for name in ("cache.sqlite", "work", *_GONE):
        path = history.folder / name
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            done.append(f"{path}: {_WHY[name]}")
    if any((night.path / f"{TABLES[0]}.parquet").is_file() for night in nights):
        done.append(
            f"{history.folder}: thresholds in decibels, and their gates, leave these nights; what was heard at each level is "
            "not kept, so that only the next night has them again"
        )
    done.append(f"{history.folder / 'trend'}: drawn again")
    missed = ["messages of nights that were sent, and copies of nights and pages that lie elsewhere"]
    runs = sorted({night.content["baseline"] for night in nights if str(night.content["baseline"]).startswith("run ")})
    if runs:
        missed.append(f"gates that were held against {', '.join(runs)}: they cannot be judged again, and are left out")
    return done, missed


_WHY = {
    "cache.sqlite": "removed, because its rows bear no names; the next night transcribes everything",
    "work": "nights in the making are removed",
    "rescored": "removed; asrfair nightly SUITE --rescore makes it again",
    "bisect": "removed; asrfair nightly SUITE --bisect makes it again",
    "unsent": "messages that were not sent are removed",
}


def _in(night: Night, person: Person) -> bool:
    """Whether somebody is in a night, or was when the same command began."""
    if person.extra.get("nights") is not None:
        return night.number in person.extra["nights"]
    ids = plain(night.path / "utterances.parquet")["utterance_id"]
    return not person.utterance_ids.isdisjoint(ids)


def begun_with(history: History, person: Person, suites: Sequence[Suite]) -> dict[str, Any]:
    """Return what must be remembered until all is done: which nights, their counts and their manifests' names by then."""
    nights = [night for night in history.nights() if _in(night, person)]
    hashes: dict[str, str] = {}
    for night in nights:
        old = str(night.content["inputs"]["manifest"].get("fingerprint", ""))
        hashes[old] = without(old)
    for suite in suites:
        own = [night for night in nights if night.suite == suite.name]
        manifest = _manifest_of(suite, person.speaker_id)
        if own and manifest is not None:
            hashes[str(own[-1].content["inputs"]["manifest"].get("fingerprint", ""))] = manifest
    firsts = {night.suite: night.number for night in reversed(nights)}
    counts = {str(night.number): _counts(night, person, first=night.number == firsts[night.suite]) for night in nights}
    return {
        "nights": [night.number for night in nights],
        "fingerprints": {k: v for k, v in hashes.items() if k},
        "counts": counts,
    }


def _manifest_of(suite: Suite, speaker: str) -> str | None:
    """Return the fingerprint of a suite's manifest; the person must have left it first.

    Raises:
        InputError: They are still in it.
    """
    if not suite.manifest.exists():
        return None
    manifest = read_manifest(suite.manifest, allow_outside=True)
    if (manifest.table["speaker_id"] == speaker).any():
        raise InputError(
            "the manifest still has this person, and the next night would bring them back",
            file=manifest.table_path,
            value=speaker,
            remedy="Take their rows and their recordings out of it first",
        )
    return manifest.fingerprint


def forget_in_history(
    history: History, person: Person, suites: Sequence[Suite], *, say: Callable[[str], None] = lambda _text: None
) -> None:
    """Make every night again without somebody; may be done again.

    Raises:
        InputError: A night is being made now, or a file of the history is damaged.
    """
    with history.lock():
        _no_night_now(history)
        for name in ("cache.sqlite", "cache.sqlite-wal", "cache.sqlite-shm"):
            (history.folder / name).unlink(missing_ok=True)
        for name in _GONE:
            shutil.rmtree(history.folder / name, ignore_errors=True)
        for folder in ("work", "incoming"):
            for path in (history.folder / folder).iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.suffix != ".lock":
                    path.unlink()
        for suite in suites:
            nights = history.nights(suite.name)
            mine = [night.number for night in nights if night.number in person.extra["nights"]]
            for night in nights:
                if mine and night.number >= mine[0]:  # later ones are held against them
                    say(f"{night.path}: made again.")
                    _again(history, night, person, suite)
    for suite in suites:
        if history.nights(suite.name):
            write_trend(history, suite.name)


def _no_night_now(history: History) -> None:
    for path in (history.folder / "work").glob("*.lock"):
        descriptor = os.open(path, os.O_RDWR)
        try:
            lock(descriptor, wait=False)
        except BlockingIOError as error:
            raise InputError("a night is being made", file=history.folder, remedy="Wait for it, or stop it") from error
        finally:
            os.close(descriptor)


def _again(history: History, night: Night, person: Person, suite: Suite) -> None:
    """Score, judge and write a night again; its verdict and its figures are those of a history without the person."""
    content = read_content(night.path)
    content["manifest"]["fingerprint"] = _renamed(content["manifest"].get("fingerprint", ""), person)
    content.pop("invariance", None)
    content["volatile"] = {k: v for k, v in content["volatile"].items() if k not in {"tables", "transcribe", "sha256"}}
    groups, scoring, statistics = settings_from_json(content, file=night.path / "run.json")
    suite = replace(suite, groups=groups, scoring=scoring, statistics=statistics)
    utterances = _left(plain(night.path / "utterances.parquet", marks=("night", "suite")), person)
    hypotheses = _left(plain(night.path / "hypotheses.parquet"), person)
    content["manifest"]["rows"] = len(utterances)
    with tempfile.TemporaryDirectory(prefix="asrfair-forget-") as name:
        run = Path(name)
        utterances.drop(columns="recording", errors="ignore").to_parquet(run / "utterances.parquet", index=False)
        hypotheses.to_parquet(run / "hypotheses.parquet", index=False)
        write_run_file(run, content)
        html, markdown = ((night.path / f"report.{ending}").exists() for ending in ("html", "md"))
        result = rescore(run, html=html, report=html or markdown)
        scores = pd.read_parquet(run / "scores.parquet")
        tonight = Scored(utterances=utterances, scores=scores)
        # counted when the leaving began: a night that was cut off half made again has the rows no longer
        counts = {**person.extra["counts"].get(str(night.number), night.content["counts"])}
        counts["lost"] = int(scores["status"].isin(LOST).sum())
        inputs = {**night.content["inputs"]}
        inputs["manifest"] = {
            **inputs["manifest"], "fingerprint": _renamed(inputs["manifest"].get("fingerprint", ""), person),
        }  # fmt: skip
        before = _Until(history, night)
        verdict = judge(
            before,
            suite,
            tonight,
            result.analysis,
            inputs,
            _baseline(before, night),
            counts,
            None,
            _still(content, suite),
        )
        numbered = Verdict(**{**vars(verdict), "night": night.number})
        write_tables(
            night.path, numbered, utterances=utterances, hypotheses=hypotheses, scores=scores, analysis=result.analysis
        )
        for file in ("run.json", "report.md", "report.html"):
            if (run / file).is_file():
                write_whole(night.path / file, (run / file).read_bytes())
    for name in ("invariance", *TABLES):  # what only the recogniser can make again
        (night.path / f"{name}.parquet").unlink(missing_ok=True)
    write_verdict(night.path, numbered)
    changed = {
        **night.content, "verdict": numbered.word, "baseline": numbered.baseline, "counts": counts, "inputs": inputs,
        "note": NOTE,
    }  # fmt: skip
    for path in night.path.glob(".*.tmp"):
        path.unlink()
    files = [path for path in sorted(night.path.iterdir()) if path.is_file() and path.name != "night.json"]
    changed["files"] = {path.name: sha256_file(path) for path in files}
    write_json(night.path / "night.json", sealed(changed))
    sync_folder(night.path)


def _left(table: pd.DataFrame, person: Person) -> pd.DataFrame:
    """Return a table without somebody's rows."""
    return table[~table["utterance_id"].isin(person.utterance_ids)].reset_index(drop=True)


def _renamed(fingerprint: str, person: Person) -> str:
    return str(person.extra["fingerprints"].get(fingerprint, fingerprint))


def _counts(night: Night, person: Person, *, first: bool) -> dict[str, int]:
    """Return a night's counts without somebody's rows: transcribed on their first night, from the cache on others."""
    ids = plain(night.path / "hypotheses.parquet")["utterance_id"]
    rows, counts = int(ids.isin(person.utterance_ids).sum()), dict(night.content["counts"])
    for name in ("transcribed", "cached", "resumed") if first else ("cached", "transcribed", "resumed"):
        taken = min(rows, int(counts.get(name, 0)))
        if taken:
            counts[name] -= taken
            rows -= taken
    return counts


def _baseline(before: History, night: Night) -> Baseline | None:
    """Return what a night was held against, read from its words; ``None`` for a run folder, which may be anywhere."""
    words = str(night.content.get("baseline", ""))
    if not words or words.startswith("run "):
        return None
    held = _HELD.fullmatch(words)
    if held:
        return find_baseline(before, night.suite, f"window:{held[1]}")
    number = int(words.rpartition(" ")[2])
    return Baseline(name=words, nights=(before.night(number),))


def _still(content: Mapping[str, Any], suite: Suite) -> set[str]:
    """Return the engines that say that they always give the same answer, as they did that night."""
    found = set()
    specs: dict[str, EngineSpec] = {spec.label: spec for spec in suite.engines}
    for item in content["engines"]:
        spec = specs.get(item["label"])
        if spec is None or item["fingerprint"].get("version") == "":
            continue
        with suppress(InputError):
            traits = traits_of(spec, EngineContext(base=suite.path.resolve().parent))
            if traits.deterministic and not hasattr(load_class(spec.name), "leftovers"):
                found.add(spec.label)
    return found
