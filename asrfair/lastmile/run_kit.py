"""Runs a kit: people's recordings as they are, and benchmark speech put into their room, through their recogniser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.acoustics import parse_condition
from asrfair.data.manifest import Manifest, read_manifest
from asrfair.data.provenance import sha256_file
from asrfair.data.resources import shipped
from asrfair.data.tablefile import write_csv
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError
from asrfair.lastmile.check import Checked, check_kit, listens
from asrfair.lastmile.kit import read_speakers, recordings_of
from asrfair.lastmile.prompts import VOCABULARY_FILE, read_prompts, read_vocabulary
from asrfair.lastmile.recorder.session import PROCESSING, sound_processing
from asrfair.lastmile.settings import DEMO, Kit
from asrfair.lastmile.sheets import consent_statement
from asrfair.recognise.journal import FILE_NAME as JOURNAL
from asrfair.recognise.journal import begin_anew
from asrfair.runs.pipeline import RunResult, run_suite
from asrfair.runs.suite import Suite, read_suite
from asrfair.types import CLEAN
from asrfair.version import __version__

ROOM = "room"
BENCHMARK = "benchmark"
_SOURCES = {ROOM: "The people who read here", BENCHMARK: "Benchmark speech, in quiet and put into your room"}


@dataclass(frozen=True, kw_only=True)
class KitRun:
    """What was run, by source (``room``, ``benchmark``), and what the check before it left out."""

    results: Mapping[str, RunResult]
    checked: Checked
    notes: tuple[str, ...]


def run_kit(
    kit: Kit,
    *,
    workers: int | None = None,
    progress: bool = True,
    benchmark: bool = True,
    fresh: bool = False,
    html: bool = True,
    say: Callable[[str], None] = lambda _text: None,
) -> KitRun:
    """Check the recordings, then run what there is; go on where the same run was cut off.

    Where recordings, the room, the benchmark or the recogniser changed since, what they concern is run anew.

    Args:
        kit: The kit.
        workers: Worker processes; ``None`` is one a core.
        progress: Whether to show a progress bar.
        benchmark: Whether benchmark speech is run too.
        fresh: Begin anew, whatever was done before.
        html: Whether to write the full reports as HTML.
        say: Told, in a sentence, what comes next.

    Raises:
        InputError: There is neither a usable recording nor a room to put benchmark speech into.
    """
    say("Listening to the recordings first.")
    checked = check_kit(kit, progress=progress)
    suites: dict[str, Path] = {}
    notes: list[str] = [item.text for item in checked.findings if item.kind == "merged_words"]
    table = _table(kit, checked)
    if (table["exclude"] == "").any():
        suites[ROOM] = _room_suite(kit, table)
    else:
        notes.append("There is no usable recording of people yet: only benchmark speech was run.")
    if benchmark and (kit.profiles / f"{kit.room}.toml").is_file():
        suites[BENCHMARK] = _benchmark_suite(kit)
    elif benchmark:
        notes.append(
            "The room has no noise profile yet (asrfair lastmile noise): benchmark speech was not put into it."
        )
    if not suites:
        raise InputError(
            "there is nothing to run yet",
            file=kit.folder,
            remedy="Record people (see INSTRUCTIONS.html) or the room, then run: asrfair lastmile check, noise",
        )
    results: dict[str, RunResult] = {}
    for source, path in suites.items():
        suite = read_suite(path)
        manifest = read_manifest(suite.manifest, allow_outside=True)
        usable = int((manifest.table["exclude"] == "").sum()) * len(suite.conditions)
        say(f"{_SOURCES[source]}: {usable} recordings for the recogniser. Ctrl-C stops; the same command goes on.")
        state = heard_state(path, suite, manifest)
        noted = kit.folder / "work" / f"{source}-state.txt"
        run = kit.run_folder(source)
        if fresh or not noted.is_file() or noted.read_text(encoding="ascii", errors="replace") != state:
            if (run / JOURNAL).exists():
                say("It begins anew." if fresh else "Something changed since the last run: it begins anew.")
                begin_anew(run)
            write_whole(noted, state)
        results[source] = run_suite(suite, run, workers=workers, progress=progress, html=html, retry_errors=True)
    return KitRun(results=results, checked=checked, notes=tuple(notes))


def heard_state(path: Path, suite: Suite, manifest: Manifest) -> str:
    """Hash what transcripts depend on: the suite's text but for groups and scoring, the manifest, every audio file's bytes, the room."""
    heard = path.read_text(encoding="utf-8").partition("\n[groups]\n")[0]  # what follows only counts what was heard
    found = hashlib.sha256(__version__.encode() + heard.encode())
    found.update(manifest.fingerprint.encode())
    for name in suite.conditions:
        found.update(parse_condition(name, profiles=suite.profiles).fingerprint.encode())
    for name in sorted(set(manifest.table["audio"])):
        found.update(sha256_file(Path(name)).encode() if Path(name).is_file() else b"missing")
    return found.hexdigest()


def _table(kit: Kit, checked: Checked) -> pd.DataFrame:
    """One row a recording; those that must be made again stay in, excluded with the reason.

    Where the recogniser hears nothing, because transcripts come from files, one row a sentence and person.
    """
    speakers = read_speakers(kit)
    prompts = {prompt.prompt_id: prompt.text for prompt in read_prompts(kit.folder)}
    unusable = checked.unusable()
    rows: list[dict[str, str]] = []
    heard = listens(kit)
    for person in speakers.to_dict("records"):
        speaker = str(person["speaker_id"])
        processing = sound_processing(kit, speaker)
        files = recordings_of(kit, speaker)
        for name in files if heard else prompts:
            if name in prompts:
                rows.append(
                    {
                        "utterance_id": f"{speaker}/{name}",
                        "speaker_id": speaker,
                        "reference": prompts[name],
                        "audio": str(files[name].resolve()) if name in files else "",
                        "language": kit.language,
                        "exclude": unusable.get((speaker, name), ""),
                        **{attribute: str(person[attribute]) for attribute in kit.questions},
                        **processing,
                    }
                )
    columns = ["utterance_id", "speaker_id", "reference", "audio", "language", "exclude", *kit.questions]
    columns += [name for name in PROCESSING if any(name in row for row in rows) and name not in columns]
    return pd.DataFrame(rows, columns=columns).fillna("")


def _room_suite(kit: Kit, table: pd.DataFrame) -> Path:
    work = kit.folder / "work"
    write_csv(table, work / "room.csv", safe=False)
    lines = [
        "[manifest]",
        f"name = {toml(kit.name)}",
        'version = "1"',
        'table = "room.csv"',
        f"consent = {toml(consent_statement(kit))}",
    ]
    for name, question in kit.questions.items():
        lines += [f"[attributes.{toml(name)}]", f"description = {toml(question)}", 'provenance = "self-reported"']
    for name in PROCESSING:
        if name in table.columns and name not in kit.questions:
            lines += [f"[attributes.{name}]", 'description = "what the browser did"', 'provenance = "recorded"']
    write_whole(work / "room.toml", "\n".join(lines) + "\n")
    return _suite(kit, ROOM, manifest="room.toml", conditions=[CLEAN], by=[list(item) for item in kit.by])


def _benchmark_suite(kit: Kit) -> Path:
    path = (
        shipped("manifests") / "demo" / "demo.toml" if kit.benchmark == DEMO else (kit.folder / kit.benchmark).resolve()
    )
    known = set(read_manifest(path, allow_outside=True).attributes)
    by = [list(item) for item in kit.by if set(item) <= known]
    conditions = [CLEAN, *(f"{kit.room}@{severity}" for severity in kit.severities)]
    return _suite(kit, BENCHMARK, manifest=str(path), conditions=conditions, by=by)


def _suite(kit: Kit, name: str, *, manifest: str, conditions: list[str], by: list[list[str]]) -> Path:
    """Write the suite that is run, so that everybody can see and repeat it with ``asrfair run``."""
    work = kit.folder / "work"
    work.mkdir(exist_ok=True)
    options = {
        key: str((kit.folder / value).resolve())
        if isinstance(value, str) and (key in {"path", "file"} or key.endswith(("_file", "_dir")))
        else value
        for key, value in kit.options.items()
    }
    lines = [
        "# Made by `asrfair lastmile run` from kit.toml.",
        "[suite]",
        f"name = {toml(f'{kit.name}: {name}')}",
        f"manifest = {toml(manifest)}",
        "allow_outside = true",
        f"conditions = {toml(conditions)}",
        *(['profiles = "../profiles"'] if kit.profiles.is_dir() else []),
        "[[engine]]",
        f"name = {toml(kit.engine)}",
        f"options = {toml(options)}",
        "[groups]",
        f"by = {toml(by)}",
        f"min_speakers = {kit.group_speakers}",
        "[scoring]",
        f"normalizer = {toml(kit.normalizer)}",
        *([f'key_terms_file = "../{VOCABULARY_FILE}"'] if read_vocabulary(kit.folder) else []),
    ]
    path = work / f"{name}-suite.toml"
    write_whole(path, "\n".join(lines) + "\n")
    return path


def toml(value: Any) -> str:
    """Return a value as TOML writes it on one line."""
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise InputError("an option that TOML cannot hold", value=value)
