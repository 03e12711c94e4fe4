"""The crash-safe record of a run: one SQLite file in WAL mode, a transaction per 64 rows, one writer.

Every result is keyed by (engine label, condition, utterance id). Beside the results stand the fingerprints of what
they depend on, so that a resume with another manifest, engine or condition is refused instead of mixed in.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from asrfair.errors import (
    AsrfairError,
    EnvironmentFailedError,
    RunChangedError,
    RunDamagedError,
    RunInUseError,
)
from asrfair.recognise.journal.rows import Achieved, Event, Row, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType


FILE_NAME = "journal.sqlite"
FORMAT = "1"
ROWS_PER_TRANSACTION = 64
SECONDS_PER_TRANSACTION = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fingerprints (component TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hypotheses (
    engine TEXT NOT NULL, condition TEXT NOT NULL, utterance_id TEXT NOT NULL, copy INTEGER NOT NULL,
    status TEXT NOT NULL, hypothesis TEXT NOT NULL, error TEXT NOT NULL, confidence REAL, language TEXT NOT NULL,
    words TEXT NOT NULL, latency_s REAL,
    PRIMARY KEY (engine, condition, utterance_id, copy)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS achieved (
    condition TEXT NOT NULL, utterance_id TEXT NOT NULL, quantity TEXT NOT NULL, value REAL, text TEXT NOT NULL,
    PRIMARY KEY (condition, utterance_id, quantity)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS durations (utterance_id TEXT PRIMARY KEY, duration_s REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recordings (
    utterance_id TEXT PRIMARY KEY, size INTEGER, changed_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, engine TEXT NOT NULL, condition TEXT NOT NULL, utterance_id TEXT NOT NULL,
    kind TEXT NOT NULL, detail TEXT NOT NULL);
"""


class Journal:
    """Opens (or makes) a run folder's journal and holds its lock until it is closed.

    Raises:
        InputError: Another process is writing this run, or the file is damaged or of another version.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / FILE_NAME
        self._rows: list[tuple[object, ...]] = []
        self._achieved: list[tuple[object, ...]] = []
        self._oldest = 0.0
        with self._explained():
            run.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            with self._explained():
                # Exclusive mode: the lock is the database's own, needs no lock file, and dies with the process.
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT OR IGNORE INTO fingerprints VALUES ('journal', ?)", (FORMAT,))
                self._db.execute("COMMIT")
            self._check_format()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is pending, and give the lock back."""
        try:
            self.flush()
        finally:
            self._db.close()

    def _check_format(self) -> None:
        if self.fingerprints().get("journal") != FORMAT:
            raise RunChangedError(
                "the journal was written by another version of asrfair",
                file=self.path,
                remedy="Give another --out, or --fresh to begin anew",
            )

    # --- what the results depend on ----------------------------------------------------------------------------

    def fingerprints(self) -> dict[str, str]:
        """Return the recorded fingerprints by component."""
        with self._explained():
            return dict(self._db.execute("SELECT component, value FROM fingerprints ORDER BY component").fetchall())

    def check(self, wanted: Mapping[str, str]) -> bool:
        """Compare with what was recorded, or record it if the journal is new.

        Args:
            wanted: Component → fingerprint. Components of started engines (:meth:`check_engine`) do not stand in it.

        Returns:
            Whether this is a resume.

        Raises:
            RunChangedError: Something changed; the message lists what, and nothing was written.
        """
        recorded = {k: v for k, v in self.fingerprints().items() if k != "journal" and not k.startswith("started ")}
        if not recorded:
            with self._transaction():
                self._db.executemany("INSERT INTO fingerprints VALUES (?, ?)", list(wanted.items()))
            return False
        changed = [name for name in wanted if name in recorded and recorded[name] != wanted[name]]
        added = [name for name in wanted if name not in recorded]
        removed = [name for name in recorded if name not in wanted]
        if changed or added or removed:
            parts = [
                f"{', '.join(names)} {verb}"
                for names, verb in ((changed, "changed"), (added, "added"), (removed, "removed"))
                if names
            ]
            raise RunChangedError(
                f"the folder holds another run, and its results cannot be mixed with this one: {'; '.join(parts)}",
                file=self.path,
                remedy="Give another --out, go back to what the run began with, or begin anew with --fresh",
            )
        return True

    def check_engine(self, label: str, fingerprint: Mapping[str, str]) -> None:
        """Compare a started engine (its versions and model files) with the one that the run began with.

        Raises:
            RunChangedError: It is not the same; the message names what differs.
        """
        key = f"started {label}"
        text = json.dumps(dict(sorted(fingerprint.items())), ensure_ascii=False)
        recorded = self.fingerprints().get(key)
        if recorded is None:
            with self._transaction():
                self._db.execute("INSERT INTO fingerprints VALUES (?, ?)", (key, text))
        elif recorded != text:
            old = json.loads(recorded)
            differs = sorted(name for name in {*old, *fingerprint} if old.get(name) != fingerprint.get(name))
            raise RunChangedError(
                f"the engine {label!r} is not the one that this run began with: {', '.join(differs)} changed",
                file=self.path,
                remedy="Install what it was (run.json lists it), give another --out, or begin anew with --fresh",
            )

    def engine_fingerprint(self, label: str) -> dict[str, str]:
        """Return the fingerprint of a started engine, or an empty mapping."""
        text = self.fingerprints().get(f"started {label}")
        return {} if text is None else dict(json.loads(text))

    # --- results -----------------------------------------------------------------------------------------------

    def record(self, engine: str, condition: str, rows: Iterable[Row], achieved: Iterable[Achieved] = ()) -> None:
        """Add results. They are on disk after the next transaction; what is already there is kept as it is.

        The rows of one call are never split over two transactions, so a batch is there as a whole or not at all.
        """
        if not self._rows and not self._achieved:
            self._oldest = time.monotonic()
        self._rows.extend((engine, condition, r.utterance_id, r.copy, *r[1:8]) for r in rows)
        self._achieved.extend((condition, *item) for item in achieved)
        if len(self._rows) >= ROWS_PER_TRANSACTION or time.monotonic() - self._oldest > SECONDS_PER_TRANSACTION:
            self.flush()

    def flush(self) -> None:
        """Write what is pending in one transaction."""
        if not self._rows and not self._achieved:
            return
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO hypotheses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._rows
            )
            self._db.executemany("INSERT OR IGNORE INTO achieved VALUES (?, ?, ?, ?, ?)", self._achieved)
        self._rows.clear()
        self._achieved.clear()

    def note(self, event: Event) -> None:
        """Add an event at once."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO events (engine, condition, utterance_id, kind, detail) VALUES (?, ?, ?, ?, ?)",
                (event.engine, event.condition, event.utterance_id, event.kind, event.detail),
            )

    def events(self) -> list[Event]:
        """Return all events in the order in which they happened."""
        with self._explained():
            found = self._db.execute(
                "SELECT engine, condition, utterance_id, kind, detail FROM events ORDER BY number"
            ).fetchall()
        return [Event(engine=e, condition=c, utterance_id=u, kind=k, detail=d) for e, c, u, k, d in found]

    def forget_errors(self) -> int:
        """Remove rows with status ``error``, so that they are tried again. Returns how many there were."""
        self.flush()
        with self._transaction():
            return self._db.execute("DELETE FROM hypotheses WHERE status = 'error'").rowcount

    def done(self, engine: str, condition: str) -> Iterator[str]:
        """Yield the ids that have a result, in ascending order."""
        self.flush()
        query = (
            "SELECT utterance_id FROM hypotheses WHERE engine = ? AND condition = ? AND copy = 0 ORDER BY utterance_id"
        )
        with self._explained():
            for (utterance_id,) in self._db.execute(query, (engine, condition)):
                yield utterance_id

    def results(self, engine: str, condition: str) -> Iterator[Row]:
        """Yield the results of one engine under one condition in ascending order of utterance id."""
        self.flush()
        query = (
            "SELECT utterance_id, status, hypothesis, error, confidence, language, words, latency_s, copy "
            "FROM hypotheses WHERE engine = ? AND condition = ? ORDER BY utterance_id, copy"
        )
        with self._explained():
            for found in self._db.execute(query, (engine, condition)):
                yield Row(*found)

    def achieved(self, condition: str) -> Iterator[Achieved]:
        """Yield what was measured under a condition, by utterance id and quantity."""
        self.flush()
        query = (
            "SELECT utterance_id, quantity, value, text FROM achieved WHERE condition = ? "
            "ORDER BY utterance_id, quantity"
        )
        with self._explained():
            for found in self._db.execute(query, (condition,)):
                yield Achieved(*found)

    def counts(self) -> dict[str, int]:
        """Return the number of rows by status."""
        self.flush()
        with self._explained():
            return dict(
                self._db.execute("SELECT status, count(*) FROM hypotheses GROUP BY status ORDER BY status").fetchall()
            )

    # --- durations, probed once --------------------------------------------------------------------------------

    def durations(self) -> dict[str, float]:
        """Return probed lengths in seconds by utterance id."""
        with self._explained():
            return dict(self._db.execute("SELECT utterance_id, duration_s FROM durations").fetchall())

    def remember_durations(self, durations: Sequence[tuple[str, float]]) -> None:
        """Keep probed lengths, so that a resume plans the same batches without opening the files again."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO durations VALUES (?, ?)", durations)

    # --- what the recordings were ------------------------------------------------------------------------------

    def stamps(self) -> Iterator[Stamp]:
        """Yield what was remembered of the recordings, in ascending order of utterance ids."""
        query = "SELECT utterance_id, size, changed_ns FROM recordings ORDER BY utterance_id"
        with self._explained():
            for found in self._db.execute(query):
                yield Stamp(*found)

    def remember_stamps(self, stamps: Sequence[Stamp]) -> None:
        """Keep what recordings are, in place of what was remembered of the same utterances."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO recordings VALUES (?, ?, ?)", stamps)

    def heard(self) -> set[str]:
        """Return the ids of all utterances with a result, errors aside, of any engine under any condition."""
        self.flush()
        query = "SELECT DISTINCT utterance_id FROM hypotheses WHERE status <> 'error'"
        with self._explained():
            return {name for (name,) in self._db.execute(query)}

    # --- inside ------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's and the file system's errors into ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise RunInUseError(
                    "another process is writing this run",
                    file=self.path,
                    remedy="Wait for it, stop it, or give another --out",
                ) from error
            raise EnvironmentFailedError(
                f"the journal cannot be written: {error}",
                file=self.path,
                remedy="Check that the folder is writable and the disk has room, then start the same command again",
            ) from error
        except sqlite3.DatabaseError as error:
            raise RunDamagedError(
                f"the journal is damaged or no journal: {error}",
                file=self.path,
                remedy="Give another --out, or begin anew with --fresh",
            ) from error
        except OSError as error:
            if isinstance(error, AsrfairError):
                raise
            raise EnvironmentFailedError(
                f"the run folder cannot be used: {error.strerror or error}",
                file=self.path.parent,
                remedy="Check the path, its permissions and the disk",
            ) from error


def begin_anew(run: Path) -> None:
    """Empty a run folder's journal (``--fresh``); a damaged one is removed.

    Raises:
        RunInUseError: Another process is writing this run.
    """
    path = run / FILE_NAME
    if not path.exists():
        return
    with suppress(RunChangedError, RunDamagedError), Journal(run):
        pass  # nobody else has it open
    for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
        (run / name).unlink(missing_ok=True)
