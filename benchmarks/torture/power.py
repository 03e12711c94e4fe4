"""Power cuts under a journal: the log is cut where the disk may have stopped, and opened again."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from torture.faults import POWER, in_child


def cut_histories(folder: Path, count: int, seed: int) -> tuple[int, list[str]]:
    """Cut the power at calls of a commit to a history: nights that were there stay whole, and the same commit mends it.

    What was not forced to disk is lost, in part, and names with it (:class:`torture.faults.Shim`).
    """
    from asrfair.nightly.history import History

    def commit(place: Path, number: int) -> int:
        def fill(aside: Path, night: int) -> dict[str, object]:
            for name in ("groups", "scores"):
                (aside / f"{name}.txt").write_text(f"{name} of attempt {number}, night {night}\n" * 50)
            return {"suite": "s", "verdict": "pass", "finished": f"2026-01-0{number}"}

        history = History(place)
        night = history.commit(f"attempt-{number}", fill)
        if number == 2:
            history.accept(night.number, "looked at", "2026-01-02")
        return 0

    base = folder / "history"
    commit(base, 1)
    aside = folder / "aside-of-cuts"
    aside.mkdir()
    work = folder / "work"

    def fresh() -> None:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(base, work)

    fresh()
    calls = in_child(lambda: commit(work, 2), aside).calls
    wrong: list[str] = []
    dice = random.Random(seed)
    for _ in range(count):
        at = dice.randint(1, calls)
        fresh()
        in_child(lambda: commit(work, 2), aside, kind=POWER, at=at)
        try:
            history = History(work)
            problems = [error.message for error in history.verify()]
            numbers = history.numbers()
            if problems or 1 not in numbers or history.accepted("s") not in numbers:
                wrong.append(f"power cut at call {at} of {calls}: nights {numbers}, {problems}")
            commit(work, 2)
            if history.numbers() != [1, 2] or list(history.verify()) or history.accepted("s") != 2:
                wrong.append(f"power cut at call {at} of {calls}: the same command does not mend it")
        except Exception as error:  # noqa: BLE001 -- a defect
            wrong.append(f"power cut at call {at} of {calls}: {type(error).__name__}: {error}")
    return count, wrong


def cut_journals(folder: Path, count: int, seed: int) -> tuple[int, list[str]]:
    """Cut a journal's log ``count`` times at random places that were not forced to disk; return cuts and what was lost.

    SQLite forces the log to disk at the end of a transaction with ``synchronous=FULL``: what stood there then must be
    there after any cut. Later bytes may be gone, whole or in part.
    """
    from asrfair.recognise.journal import Journal, Row

    wrong: list[str] = []
    dice = random.Random(seed)
    for number in range(count):
        run = folder / "power"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        log = run / "journal.sqlite-wal"
        paid: set[str] = set()
        synced = 0
        journal = Journal(run)
        journal.check({"what": "a test"})
        for i in range(dice.randint(1, 12)):
            costs = dice.random() < 0.5
            rows = [Row(f"u{number}-{i}-{j}", "ok", "x" * dice.randrange(300)) for j in range(dice.randint(1, 4))]
            journal.record("e", "c", rows, paid=costs)
            if costs:
                paid |= {row.utterance_id for row in rows} | paid
                synced = log.stat().st_size
            elif dice.random() < 0.5:
                journal.flush()
        after = folder / "after"
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(run, after)
        journal.close()
        cut = after / "journal.sqlite-wal"
        content = bytearray(cut.read_bytes())
        end = dice.randint(synced, len(content))
        kept = content[:end] + bytes(len(content) - end if dice.random() < 0.5 else 0)  # gone, or never written
        cut.write_bytes(kept)
        (after / "journal.sqlite-shm").unlink(missing_ok=True)
        try:
            with Journal(after) as again:
                there = {row.utterance_id for row in again.results("e", "c")}
        except Exception as error:  # noqa: BLE001 -- a defect
            wrong.append(f"cut {number}: {type(error).__name__}: {error}")
            continue
        if not paid <= there:
            wrong.append(f"cut {number}: {len(paid - there)} paid rows are gone")
    return count, wrong
