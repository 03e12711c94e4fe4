"""Somebody leaves a kit: recordings, answers, agreement, session, rows and counts go; what others may read is made again.

The ledger of exports keeps what was shown of somebody who left, since that bounds what may leave next; but under a code
drawn by chance, so that nobody can say any more whose it was.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.data.manifest import read_manifest
from asrfair.data.plainread import read_bytes
from asrfair.data.provenance import sha256_file
from asrfair.data.runfile import RUN_FILE, read_content
from asrfair.data.runlock import writing
from asrfair.data.sealed import read_object
from asrfair.data.tablefile import read_table, write_csv, write_parquet
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError
from asrfair.lastmile.check import CHECK_FILE
from asrfair.lastmile.export import FORMAT
from asrfair.lastmile.export_ledger import read_ledger, releasing, rename_person
from asrfair.lastmile.kit import SPEAKERS_FILE
from asrfair.lastmile.plain_report import plain_report
from asrfair.lastmile.recorder.session import CONSENTS_FILE, SESSIONS
from asrfair.lastmile.run_kit import BENCHMARK, ROOM, heard_state
from asrfair.lastmile.settings import Kit
from asrfair.lastmile.site_key import LEDGER_FILE, SITE_KEY_FILE, pseudonym, site_key
from asrfair.runs.forget import Person, forget_in_run, known_in, manifest_of, person_of, runs_below, without
from asrfair.runs.suite import read_suite

_PAGES = (CHECK_FILE, "CHECK.md", "CHECK.html", "SIGN-OFF.md", "SIGN-OFF.html")
EXAMPLES = ("INSTRUCTIONS.md", "INSTRUCTIONS.html", "sheets.toml")
"""Sheets that show where a recording belongs by a code such as ``speaker-01``; nothing in them comes from people."""
_LEAST_ANSWER = 8
"""A shorter answer is many people's."""


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What ``lastmile run`` made of people's recordings before it sent them through the recogniser."""

    folder: Path

    @property
    def table(self) -> Path:
        return self.folder / "room.csv"

    @property
    def suite(self) -> Path:
        return self.folder / "room-suite.toml"

    @property
    def state_file(self) -> Path:
        return self.folder / "room-state.txt"

    def utterances(self, speaker: str) -> list[str]:
        """Return the ids of what somebody said."""
        if not self.table.is_file():
            return []
        table = read_table(self.table)
        return [str(name) for name in table.loc[table["speaker_id"] == speaker, "utterance_id"]]

    def fingerprint(self) -> str:
        """Return what the manifest is called; empty where there is none that can be read."""
        try:
            return read_manifest(self.folder / "room.toml", allow_outside=True).fingerprint
        except InputError:
            return ""

    def state(self) -> str:
        """Return the state that ``run`` compares, so that it does not begin anew."""
        try:
            suite = read_suite(self.suite)
            return heard_state(self.suite, suite, read_manifest(suite.manifest, allow_outside=True))
        except InputError:
            return ""


def person_in_kit(kit: Kit, speaker: str) -> Person:
    """Gather what names somebody in a kit, and what must be remembered until they have left it.

    Raises:
        InputError: The name is none that a folder of recordings can have, or the kit is damaged.
    """
    if not speaker or speaker.startswith(".") or set(speaker) & set("/\\\0"):
        raise InputError("nobody in a kit can have this name", value=speaker, remedy="Look into speakers.csv")
    work = _Work(folder=kit.folder / "work")
    person = person_of(runs_below(kit.folder / "runs"), speaker, known=work.utterances(speaker))
    table = _speakers(kit)
    mine = table[table["speaker_id"] == speaker]
    others = table[table["speaker_id"] != speaker]
    known = {value for values in kit.values.values() for value in values} | set(others.to_numpy().ravel())
    answers = {value for value in mine.to_numpy().ravel() if len(value) >= _LEAST_ANSWER and value not in known}
    codes = _codes(kit, speaker)
    room = kit.run_folder(ROOM)
    old = manifest_of(room)
    state = work.state_file.read_text(encoding="ascii", errors="replace") if work.state_file.is_file() else ""
    extra: dict[str, Any] = {
        "codes": {code: secrets.token_hex(8) for code in codes},
        "lines": len(read_ledger(kit)),
        "old": old,
        "same": bool(old) and old == work.fingerprint(),
        "state": bool(state) and state == work.state(),
        "files": {str(path.relative_to(kit.folder)): sha256_file(path) for path in _transcripts(kit) if path.is_file()},
    }
    beside = frozenset(name for name in others["speaker_id"] if speaker in name)
    return replace(
        person, texts=person.texts | answers | set(codes), others=person.others | beside, extra=extra,
    )  # fmt: skip


def plan_kit(kit: Kit, person: Person) -> tuple[list[str], list[str]]:
    """Return what would be done to a kit, and what cannot be, in sentences; nothing where nobody of that name is in it."""
    done = [f"{path}: removed" for path in _own_files(kit, person.speaker_id)]
    folder = kit.recordings / person.speaker_id
    done += [f"{folder}: removed"] if folder.is_symlink() or folder.is_dir() else []
    for path, rows in _rows(kit, person).items():
        done.append(f"{path}: {rows:,} {'row leaves' if rows == 1 else 'rows leave'} it")
    for run in _runs_with(kit, person):
        done.append(
            f"{run}: {len(person.utterance_ids):,} utterances leave its tables and its journal; all else is made again"
        )
    missed = []
    for entry in read_ledger(kit):
        name = f"release {entry['number']} of {entry['time'][:10]} ({entry.get('file', '')})"
        if entry["kind"] == "counts" and any(who.partition("/")[2] in person.extra["codes"] for who in entry["shown"]):
            done.append(
                f"{kit.folder / LEDGER_FILE}: in line {entry['number']}, their code becomes one drawn by chance"
            )
            missed.append(f"{name}: their counts left, SHA-256 {entry['sha256']}; ask its receiver to remove it")
        elif entry["kind"] == "private":
            missed.append(f"{name}: sums with noise, which cannot be taken apart")
    if not done:
        return [], []
    done += [f"{kit.folder / name}: removed; it can be made again" for name in _PAGES if (kit.folder / name).is_file()]
    if (kit.folder / "REPORT.md").is_file():
        done.append(f"{kit.folder / 'REPORT.md'}: made again")
    outside = [path for path in _transcripts(kit) if not path.is_relative_to(kit.folder.resolve())]
    missed += [f"{path}: your own transcripts, outside the kit: take their rows out" for path in outside]
    if list(kit.profiles.glob("*.toml")):
        missed.append(
            f"{kit.profiles}: how far voices stand above the room is a median over everybody's recordings; to measure it "
            "anew: asrfair lastmile noise --overwrite, then run"
        )
    missed.append(
        "signed sheets of paper; backups and snapshots of this disk; copies of the kit and its pages elsewhere"
    )
    return done, missed


def forget_in_kit(kit: Kit, person: Person, *, say: Callable[[str], None] = lambda _text: None) -> None:
    """Take somebody out of a kit; may be done again.

    Raises:
        InputError: The kit is damaged, or another process is writing there.
    """
    with writing(kit.folder), releasing(kit):
        for path in [*_own_files(kit, person.speaker_id), *(kit.folder / name for name in _PAGES)]:
            path.unlink(missing_ok=True)
        folder = kit.recordings / person.speaker_id
        if folder.is_symlink():
            folder.unlink()  # what it points at is not the kit's
        elif folder.is_dir():
            shutil.rmtree(folder)
        for path in _rows(kit, person):
            _leave(path, person)
        work = _Work(folder=kit.folder / "work")
        manifest = work.fingerprint() if person.extra["same"] else ""
        hashes = {person.extra["old"]: manifest or without(person.extra["old"])} if person.extra["old"] else {}
        hashes |= {old: sha256_file(kit.folder / name) for name, old in person.extra["files"].items()}
        for run in _runs_with(kit, person):
            if known_in(run) - person.utterance_ids:
                forget_in_run(run, replace(person, extra={**person.extra, "fingerprints": hashes}), say=say)
            else:
                shutil.rmtree(run)  # nobody else was in it
        if person.extra["state"] and work.state():
            write_whole(work.state_file, work.state())
        else:
            work.state_file.unlink(missing_ok=True)
        rename_person(kit, person.extra["codes"], person.extra["lines"])
        report = kit.folder / "REPORT.md"
        if report.is_file() and any((kit.run_folder(source) / RUN_FILE).is_file() for source in (ROOM, BENCHMARK)):
            plain_report(kit)
        else:
            for path in (report, report.with_suffix(".html")):
                path.unlink(missing_ok=True)


def _codes(kit: Kit, speaker: str) -> list[str]:
    if not (kit.folder / SITE_KEY_FILE).is_file():
        return []
    key = site_key(kit)
    return [pseudonym(key, f"{source}\0{speaker}") for source in (ROOM, BENCHMARK)]


def _speakers(kit: Kit) -> pd.DataFrame:
    path = kit.folder / SPEAKERS_FILE
    return read_table(path) if path.is_file() else pd.DataFrame({"speaker_id": pd.Series(dtype=str)})


def _own_files(kit: Kit, speaker: str) -> list[Path]:
    """Return the files that are this person's alone, exports that lie in the kit and show them among them."""
    folder = kit.recordings / speaker
    inside = folder.rglob("*") if folder.is_dir() and not folder.is_symlink() else ()
    found = sorted(path for path in inside if path.is_file())
    session = kit.folder / SESSIONS / f"{speaker}.json"
    found += [session] if session.is_file() else []
    codes = _codes(kit, speaker)
    for path in sorted(kit.folder.glob("*.json")):
        try:
            content = read_object(path)
            rows = content["body"]["rows"] if content.get("format") == FORMAT else []
        except (InputError, KeyError, TypeError):
            continue
        if any(len(row) > 3 and row[3] in codes for row in rows):
            found.append(path)
    return found


def _rows(kit: Kit, person: Person) -> dict[Path, int]:
    """Return the tables with rows of a person, and how many."""
    found = {}
    for path in _tables(kit):
        rows = sum(1 for _ in _mine(path, person))
        if rows:
            found[path] = rows
    return found


def _tables(kit: Kit) -> Iterator[Path]:
    inside = [path for path in _transcripts(kit) if path.is_relative_to(kit.folder.resolve())]
    for path in (kit.folder / SPEAKERS_FILE, kit.folder / CONSENTS_FILE, kit.folder / "work" / "room.csv", *inside):
        if path.is_file():
            yield path


def _mine(path: Path, person: Person) -> Iterator[int]:
    """Yield the places of a person's rows in a table, or of their lines."""
    if path.name == CONSENTS_FILE:
        for index, line in enumerate(read_bytes(path).decode("utf-8", "replace").splitlines()):
            try:
                who = json.loads(line)["speaker_id"]
            except (ValueError, KeyError, TypeError):
                continue
            if who == person.speaker_id:
                yield index
        return
    table = read_table(path)
    for name in ("speaker_id", "utterance_id"):
        if name in table:
            wanted = {person.speaker_id} if name == "speaker_id" else person.utterance_ids
            yield from table.index[table[name].isin(wanted)].tolist()
            return


def _leave(path: Path, person: Person) -> None:
    gone = set(_mine(path, person))
    if path.name == CONSENTS_FILE:
        lines = read_bytes(path).decode("utf-8", "replace").splitlines()
        kept = "".join(f"{line}\n" for index, line in enumerate(lines) if index not in gone)
        write_whole(path, kept, private=True)
        return
    table = read_table(path).drop(index=sorted(gone)).reset_index(drop=True)
    if path.suffix.lower() == ".parquet":
        write_parquet(table, path)
    elif path.suffix.lower() in {".jsonl", ".ndjson"}:
        rows = (json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_dict("records"))
        write_whole(path, "".join(rows))
    elif path.suffix.lower() in {".tsv", ".tab"}:  # read without quoting, so written without
        cells: list[list[str]] = [[str(name) for name in table.columns], *table.to_numpy().tolist()]
        write_whole(path, "".join("\t".join(line) + "\n" for line in cells))
    else:
        write_csv(table, path, safe=False)


def _transcripts(kit: Kit) -> Sequence[Path]:
    """Return the files of transcripts that the kit's recogniser reads, where that is what it does."""
    if kit.engine != "precomputed":
        return []
    names = [kit.options.get("file"), *dict(kit.options.get("files", {})).values()]
    return [(kit.folder / name).resolve() for name in names if isinstance(name, str)]


def _runs_with(kit: Kit, person: Person) -> list[Path]:
    """Return the runs that a person is in, and those that were being changed when the command was cut off."""
    found = []
    for run in runs_below(kit.folder / "runs"):
        content = read_content(run) if (run / RUN_FILE).is_file() else {}
        unfinished = bool(content.get("volatile", {}).get("unfinished"))
        journal = person.extra.get("when") and run.name == ROOM
        if unfinished or journal or not person.utterance_ids.isdisjoint(known_in(run)):
            found.append(run)
    return found
