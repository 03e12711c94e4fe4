"""Power cuts under a journal: the log is cut where the disk may have stopped, and opened again."""

from __future__ import annotations

import random
import shutil
from pathlib import Path


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
