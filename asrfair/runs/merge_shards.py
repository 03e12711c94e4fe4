"""Puts the shards of one suite together: a run folder as if it had been made in one go, byte for byte in its tables."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from asrfair.data.provenance import sha256_file
from asrfair.data.runfile import read_run_file, write_run_file
from asrfair.data.runlock import writing
from asrfair.data.wholefile import open_whole
from asrfair.errors import InputError
from asrfair.recognise.journal import FILE_NAME, Journal
from asrfair.recognise.transcribe.finalise import write_results
from asrfair.runs.pipeline import RunResult, rescore

SHARD = "the shard"
"""Under which name a journal holds which shard it is."""


def merge_runs(shards: Sequence[Path], run: Path, *, workers: int | None = None, html: bool = True) -> RunResult:
    """Join shards (``asrfair run --shard``) into a new run folder, then score, analyse and report it.

    The new folder has a journal of its own, so ``asrfair run SUITE --out RUN --retry-errors`` works on it.

    Args:
        shards: The folders of all n shards of one suite, in any order.
        run: The run folder; must not hold a run.
        workers: Processes for scoring.
        html: Whether to write ``report.html``.

    Raises:
        InputError: The shards do not belong together, one is missing, given twice or not finished, or ``run`` is
            not empty.
    """
    contents = _in_order(shards)
    _check_same([content for _, content in contents], [folder for folder, _ in contents])
    if (run / FILE_NAME).exists() or (run / "run.json").exists():
        raise InputError("the folder already holds a run", file=run, remedy="Give another --out")
    with writing(run):
        return _merge(contents, run, workers, html=html)


def _merge(contents: list[tuple[Path, dict[str, Any]]], run: Path, workers: int | None, *, html: bool) -> RunResult:
    try:
        _join([folder for folder, _ in contents], contents[0][1], run)
    except BaseException:
        for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "utterances.parquet"):
            (run / name).unlink(missing_ok=True)
        raise
    merged = {key: value for key, value in contents[0][1].items() if key != "shard"}
    for position, engine in enumerate(merged["engines"]):
        known = (content["engines"][position]["fingerprint"] for _, content in contents)
        engine["fingerprint"] = next((fingerprint for fingerprint in known if fingerprint), {})
    merged["volatile"] = {**merged["volatile"], "shards": [content["volatile"] for _, content in contents]}
    for name in ("transcribe", "tables"):
        merged["volatile"].pop(name, None)
    merged["volatile"]["unfinished"] = "its shards are being joined"
    write_run_file(run, merged)
    return rescore(run, workers=workers, html=html)


def _in_order(shards: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Return folders and ``run.json`` by shard number; all of them, each once."""
    found: dict[int, tuple[Path, dict[str, Any]]] = {}
    count = 0
    for folder in shards:
        content = read_run_file(folder)
        shard = content.get("shard")
        if not (isinstance(shard, list) and len(shard) == 2 and all(isinstance(part, int) for part in shard)):
            raise InputError("this is no shard", file=folder, remedy="Make shards with: asrfair run --shard I/N")
        number, count = shard[0], count or shard[1]
        if shard[1] != count:
            raise InputError(f"this is a shard of {shard[1]}, others are of {count}", file=folder)
        if number in found:
            raise InputError(f"shard {number + 1}/{count} is given twice: {found[number][0]}", file=folder)
        found[number] = (folder, content)
    missing = [f"{number + 1}/{count}" for number in range(count) if number not in found]
    if missing or not found:
        raise InputError(f"shards are missing: {', '.join(missing)}", remedy="Give the folders of all shards")
    return [found[number] for number in range(count)]


def _check_same(contents: Sequence[dict[str, Any]], folders: Sequence[Path]) -> None:
    """Refuse shards that differ in anything but their number and what may differ between equal runs."""
    for content, folder in zip(contents[1:], folders[1:], strict=True):
        differs = [
            key
            for key in dict.fromkeys((*contents[0], *content))
            if key not in {"shard", "volatile", "engines"} and contents[0].get(key) != content.get(key)
        ]
        if _engines(contents[0]) != _engines(content):
            differs.append("engines")
        if differs:
            raise InputError(
                f"the shards do not belong together: {', '.join(differs)} differ(s) from {folders[0]}",
                file=folder,
                remedy="Make all shards from one suite, with the same versions and model files",
            )
        if sha256_file(folder / "utterances.parquet") != sha256_file(folders[0] / "utterances.parquet"):
            raise InputError("the shards have different utterances", file=folder)


def _engines(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the engines without what only a started one knows (the journals compare that: a shard may lack work)."""
    return [{key: value for key, value in engine.items() if key != "fingerprint"} for engine in content["engines"]]


def _join(folders: Sequence[Path], content: dict[str, Any], run: Path) -> None:
    engines = [engine["label"] for engine in content["engines"]]
    conditions = [condition["name"] for condition in content["conditions"]]
    with (
        (folders[0] / "utterances.parquet").open("rb") as source,
        open_whole(run / "utterances.parquet", private=True) as out,
    ):
        shutil.copyfileobj(source, out)
    table = pq.read_table(run / "utterances.parquet", columns=["utterance_id", "exclude"]).to_pydict()
    wanted = {u for u, reason in zip(table["utterance_id"], table["exclude"], strict=True) if not reason}
    with Journal(run) as journal:
        seen: dict[tuple[str, str], set[str]] = {(e, c): set() for e in engines for c in conditions}
        for folder in folders:
            if not (folder / FILE_NAME).exists():
                raise InputError("the shard has no journal", file=folder, remedy="Make the shard again")
            with Journal(folder) as shard:
                _take_fingerprints(journal, shard, engines, folder)
                _take_results(journal, shard, seen, folder)
                journal.remember_durations(list(shard.durations().items()))
                for event in shard.events():
                    journal.note(event)
        for (engine, condition), ids in seen.items():
            if ids != wanted:
                raise InputError(
                    f"{len(wanted - ids)} utterance(s) of {engine!r} under {condition!r} are in no shard",
                    remedy="A shard was cut off: start its command again, then merge",
                )
        write_results(journal, run, engines=engines, conditions=conditions)


def _take_fingerprints(journal: Journal, shard: Journal, engines: Sequence[str], folder: Path) -> None:
    recorded = shard.fingerprints()
    wanted = {k: v for k, v in recorded.items() if k != "journal" and not k.startswith("started ")}
    wanted[SHARD] = "0/1"
    try:
        journal.check(wanted)
        for label in engines:
            if shard.engine_fingerprint(label):
                journal.check_engine(label, shard.engine_fingerprint(label))
    except InputError as error:
        raise InputError(f"the shards do not belong together: {error.message}", file=folder) from error


def _take_results(journal: Journal, shard: Journal, seen: dict[tuple[str, str], set[str]], folder: Path) -> None:
    for (engine, condition), known in seen.items():
        rows = list(shard.results(engine, condition))
        ids = {row.utterance_id for row in rows if row.copy == 0}
        twice = ids & known
        if twice:
            raise InputError(f"{len(twice)} utterance(s), such as {min(twice)!r}, are in two shards", file=folder)
        seen[engine, condition] = known | ids
        journal.record(engine, condition, rows)
    for condition in dict.fromkeys(condition for _, condition in seen):
        journal.record("", condition, [], shard.achieved(condition))
