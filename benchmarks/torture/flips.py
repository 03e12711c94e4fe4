"""A flipped bit in each kind of stored file: it is noticed, or what is read is the same."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asrfair.errors import AsrfairError


def _run(folder: Path, name: str) -> object:
    from asrfair.data.runfile import check_tables, read_content

    content = read_content(folder / "run")
    tables = content["volatile"]["tables"]
    if name != "run.json":
        check_tables(folder / "run", {name: tables[name]}, remember=False)
    return {**content, "volatile": tables}


def _journal(folder: Path) -> object:
    from asrfair.recognise.journal import Journal

    with Journal(folder / "run") as journal:
        journal.verify()
        rows = [tuple(row) for row in journal.results("fake", "clean")]
        return rows, journal.fingerprints(), journal.durations(), journal.events()


def _cache(folder: Path) -> object:
    from asrfair.nightly.cache import Cache

    found = Cache(folder / "history" / "cache.sqlite").get(KEYS)
    return {key: value for key, value in found.items() if GOOD.get(key) != value}  # what is missing is made again


def _history(folder: Path) -> object:
    from asrfair.nightly import History

    history = History(folder / "history")
    for error in history.verify():
        raise error
    return [dict(night.content) for night in history.nights()], history.accepted("small"), history._highest()  # noqa: SLF001 -- what no other call tells


def _ledger(folder: Path) -> object:
    from asrfair.lastmile.export_ledger import spent_epsilon
    from asrfair.lastmile.settings import read_kit

    return spent_epsilon(read_kit(folder / "kit"))


KEYS: list[str] = []
GOOD: dict[str, Any] = {}


def targets(folder: Path) -> list[tuple[str, Path, Callable[[], object]]]:
    """Return each kind of stored file with how it is read."""
    import sqlite3

    run, history = folder / "run", folder / "history"
    night = history / "nights" / "night-000001"
    with sqlite3.connect(history / "cache.sqlite") as db:
        KEYS[:] = [key for (key,) in db.execute("SELECT key FROM checked_entries")]
    db.close()
    from asrfair.nightly.cache import Cache

    GOOD.update(Cache(history / "cache.sqlite").get(KEYS))
    kinds: list[tuple[str, Path, Callable[[], object]]] = [
        (name, run / name, lambda name=name: _run(folder, name))
        for name in (
            "run.json",
            "utterances.parquet",
            "hypotheses.parquet",
            "scores.parquet",
            "disparity.csv",
            "ledger.csv",
        )
    ]
    kinds += [
        ("journal.sqlite", run / "journal.sqlite", lambda: _journal(folder)),
        ("cache.sqlite", history / "cache.sqlite", lambda: _cache(folder)),
        ("exports.jsonl", folder / "kit" / "exports.jsonl", lambda: _ledger(folder)),
    ]
    kinds += [
        (name, path, lambda: _history(folder))
        for name, path in (
            ("night.json", night / "night.json"),
            ("night's scores.parquet", night / "scores.parquet"),
            ("accepted/000001.json", history / "accepted" / "000001.json"),
            ("highest.json", history / "highest.json"),
        )
    ]
    return kinds


def flip_all(folder: Path, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Flip ``count`` bits in each kind of file, one at a time; return outcomes, and what was neither noticed nor harmless."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    aside = folder / "whole"
    for name, path, read in targets(folder):
        dice = random.Random(f"{seed} {name}")
        content = path.read_bytes()
        expected = read()
        content = path.read_bytes()  # a journal that was opened may have been tidied up
        shutil.copyfile(path, aside)
        for _ in range(count):
            place, bit = dice.randrange(len(content)), dice.randrange(8)
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            try:
                found = read()
            except AsrfairError:
                counts["noticed"] += 1
            except Exception as error:  # noqa: BLE001 -- counted as a defect
                wrong.append(f"{name}: byte {place}, bit {bit}: {type(error).__name__}: {error}")
            else:
                if found == expected:
                    counts["harmless"] += 1
                else:
                    wrong.append(f"{name}: byte {place}, bit {bit}: read back wrong")
            for extra in (f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(extra).unlink(missing_ok=True)
        path.write_bytes(content)
        counts["kinds"] += 1
    return counts, wrong
