"""The crash-safe record of a run: one SQLite file in WAL mode, a transaction per 64 rows, one writer.

Every result is keyed by (engine label, condition, utterance id). Beside the results stand the fingerprints of what
they depend on, so that a resume with another manifest, engine or condition is refused instead of mixed in.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from asrfair.data.wholefile import OWNER_FILE, own_folder
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
FORMAT = "2"
ROWS_PER_TRANSACTION = 64
SECONDS_PER_TRANSACTION = 2.0

_TABLES = {
    "fingerprints": ("component TEXT", "value TEXT"),
    "hypotheses": (
        "engine TEXT", "condition TEXT", "utterance_id TEXT", "copy INTEGER", "status TEXT", "hypothesis TEXT",
        "error TEXT", "confidence REAL", "language TEXT", "words TEXT", "latency_s REAL",
    ),
    "achieved": ("condition TEXT", "utterance_id TEXT", "quantity TEXT", "value REAL", "text TEXT"),
    "durations": ("utterance_id TEXT", "duration_s REAL"),
    "recordings": ("utterance_id TEXT", "size INTEGER", "changed_ns INTEGER"),
    "events": ("number INTEGER", "engine TEXT", "condition TEXT", "utterance_id TEXT", "kind TEXT", "detail TEXT"),
    "asked": ("engine TEXT", "condition TEXT", "utterance_id TEXT", "times INTEGER"),
}  # fmt: skip
"""Every table with its columns; each has one more, ``checksum``: SQLite has checksums for its log and none for its rows."""
_KEYS = {"fingerprints": 1, "hypotheses": 4, "achieved": 3, "durations": 1, "recordings": 1, "events": 1, "asked": 3}
"""How many of the first columns are a table's key."""


def _columns(table: str) -> list[str]:
    return [column.split()[0] for column in _TABLES[table]]


def _create(table: str) -> str:
    columns = ", ".join([*_TABLES[table], "checksum INTEGER NOT NULL DEFAULT 0"])
    key = ", ".join(_columns(table)[: _KEYS[table]])
    return f"CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"


def _insert(table: str, verb: str = "INSERT") -> str:
    marks = ", ".join(f"?{number}" for number in range(1, len(_TABLES[table]) + 1))
    return f"{verb} INTO {table} VALUES ({marks}, row_checksum({marks}))"


def replaced(text: str, hashes: Mapping[str, str]) -> str:
    """Return a text with hashes replaced by others."""
    for old, new in hashes.items():
        text = text.replace(old, new) if old else text
    return text


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
        self._synced = False
        with self._explained():
            own_folder(run)
            new = _make_private(self.path)
            self._db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            with self._explained():
                # Exclusive mode: the lock is the database's own, needs no lock file, and dies with the process.
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.create_function("row_checksum", -1, lambda *values: _checksum(values), deterministic=True)
                self._db.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    self._db.execute(_create(table))
                if not self._db.execute("SELECT 1 FROM fingerprints WHERE component = 'journal'").fetchone():
                    self._db.execute(_insert("fingerprints"), ("journal", FORMAT))
                self._db.execute("COMMIT")
            self._check_format()
            if not new:
                self.verify()
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
                self._db.executemany(_insert("fingerprints"), list(wanted.items()))
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
                self._db.execute(_insert("fingerprints"), (key, text))
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

    def record(
        self, engine: str, condition: str, rows: Iterable[Row], achieved: Iterable[Achieved] = (), *, paid: bool = False
    ) -> None:
        """Add results. They are on disk after the next transaction; what is already there is kept as it is.

        Answers that cost money (``paid``) are forced to disk at once, so that a kill or a power cut costs none of them.

        The rows of one call are never split over two transactions, so a batch is there as a whole or not at all.
        """
        if not self._rows and not self._achieved:
            self._oldest = time.monotonic()
        self._rows.extend((engine, condition, r.utterance_id, r.copy, *r[1:8]) for r in rows)
        self._achieved.extend((condition, *item) for item in achieved)
        late = time.monotonic() - self._oldest > SECONDS_PER_TRANSACTION
        if paid or late or len(self._rows) >= ROWS_PER_TRANSACTION:
            self.flush(sync=paid)

    def flush(self, *, sync: bool = False) -> None:
        """Write what is pending in one transaction; with ``sync`` it also survives a power cut."""
        if not self._rows and not self._achieved:
            return
        with self._transaction(sync=sync):
            self._db.executemany(_insert("hypotheses", "INSERT OR IGNORE"), self._rows)
            self._db.executemany(_insert("achieved", "INSERT OR IGNORE"), self._achieved)
        self._rows.clear()
        self._achieved.clear()

    def ask(self, engine: str, condition: str, utterance_ids: Iterable[str]) -> None:
        """Note, on disk, that a service that costs money is about to be asked."""
        with self._transaction(sync=True):
            self._db.executemany(
                f"{_insert('asked')} ON CONFLICT DO UPDATE SET times = times + 1, "
                "checksum = row_checksum(engine, condition, utterance_id, times + 1)",
                [(engine, condition, utterance_id, 1) for utterance_id in utterance_ids],
            )

    def asked_again(self, engine: str) -> int:
        """Return how many requests to a service were sent again because an earlier answer never got here."""
        query = "SELECT coalesce(sum(times - 1), 0) FROM asked WHERE engine = ?"
        with self._explained():
            return int(self._db.execute(query, (engine,)).fetchone()[0])

    def note(self, event: Event) -> None:
        """Add an event at once."""
        with self._transaction():
            number = self._db.execute("SELECT coalesce(max(number), 0) + 1 FROM events").fetchone()[0]
            row = (number, event.engine, event.condition, event.utterance_id, event.kind, event.detail)
            self._db.execute(_insert("events"), row)

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
            self._db.execute(
                "DELETE FROM asked WHERE (engine, condition, utterance_id) IN "
                "(SELECT engine, condition, utterance_id FROM hypotheses WHERE status = 'error')"
            )
            return self._db.execute("DELETE FROM hypotheses WHERE status = 'error'").rowcount

    def forget(self, utterance_ids: Iterable[str], hashes: Mapping[str, str]) -> None:
        """Remove all that is recorded of utterances, from free pages and the log too; may be done again.

        Args:
            utterance_ids: Whose.
            hashes: Fingerprints that change with that, the old one → the new one.
        """
        self.flush()
        with self._explained():
            self._db.execute("PRAGMA secure_delete=ON")
        gone = [(name,) for name in utterance_ids]
        with self._transaction(sync=True):
            for table, columns in _TABLES.items():
                if "utterance_id TEXT" in columns:
                    self._db.executemany(f"DELETE FROM {table} WHERE utterance_id = ?", gone)  # noqa: S608 -- our own names
            for component, value in self._db.execute("SELECT component, value FROM fingerprints").fetchall():
                changed = replaced(value, hashes)
                if changed != value:
                    self._db.execute(_insert("fingerprints", "INSERT OR REPLACE"), (component, changed))
        with self._explained():
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

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
            "SELECT utterance_id, status, hypothesis, error, confidence, language, words, latency_s, copy, "
            "checksum FROM hypotheses WHERE engine = ? AND condition = ? ORDER BY utterance_id, copy"
        )
        with self._explained():
            for *found, checksum in self._db.execute(query, (engine, condition)):
                row = Row(*found)
                if _checksum((engine, condition, row.utterance_id, row.copy, *row[1:8])) != checksum:
                    raise self._damaged(f"the result of {row.utterance_id!r} is not what was written")
                yield row

    def achieved(self, condition: str) -> Iterator[Achieved]:
        """Yield what was measured under a condition, by utterance id and quantity."""
        self.flush()
        query = (
            "SELECT utterance_id, quantity, value, text, checksum FROM achieved WHERE condition = ? "
            "ORDER BY utterance_id, quantity"
        )
        with self._explained():
            for *found, checksum in self._db.execute(query, (condition,)):
                if _checksum((condition, *found)) != checksum:
                    raise self._damaged(f"what was measured of {found[0]!r} is not what was written")
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
            self._db.executemany(_insert("durations", "INSERT OR REPLACE"), durations)

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
            self._db.executemany(_insert("recordings", "INSERT OR REPLACE"), stamps)

    def utterances(self) -> set[str]:
        """Return the ids of all utterances that the journal knows anything of."""
        self.flush()
        tables = [name for name, columns in _TABLES.items() if "utterance_id TEXT" in columns]
        query = " UNION ".join(f"SELECT utterance_id FROM {name}" for name in tables)  # noqa: S608 -- our own names
        with self._explained():
            return {name for (name,) in self._db.execute(query)}

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield utterance id and transcript of all that was heard, in no order that matters."""
        self.flush()
        with self._explained():
            yield from self._db.execute("SELECT utterance_id, hypothesis FROM hypotheses")

    def heard(self) -> set[str]:
        """Return the ids of all utterances with a result, errors aside, of any engine under any condition."""
        self.flush()
        query = "SELECT DISTINCT utterance_id FROM hypotheses WHERE status <> 'error'"
        with self._explained():
            return {name for (name,) in self._db.execute(query)}

    # --- inside ------------------------------------------------------------------------------------------------

    def verify(self) -> int:
        """Read everything and compare it with its checksums; return the number of results.

        Raises:
            InputError: The file, or a row in it, is not what was written.
        """
        self.flush()
        with self._explained():
            for (found,) in self._db.execute("PRAGMA integrity_check(1)"):
                if found != "ok":
                    raise self._damaged(str(found).splitlines()[0])
            count = 0
            for table in _TABLES:
                for *row, checksum in self._db.execute(f"SELECT * FROM {table}"):  # noqa: S608 -- our own names
                    count += table == "hypotheses"
                    if _checksum(row) != checksum:
                        raise self._damaged(f"a row of {table} is not what was written")
        return count

    def _damaged(self, reason: str) -> RunDamagedError:
        return RunDamagedError(
            f"the journal is damaged: {reason}",
            file=self.path,
            remedy="Restore it from a copy, give another --out, or begin anew with --fresh",
        )

    @contextmanager
    def _transaction(self, *, sync: bool = False) -> Iterator[None]:
        with self._explained():
            if sync != self._synced:
                self._db.execute(f"PRAGMA synchronous={'FULL' if sync else 'NORMAL'}")
                self._synced = sync
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
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # SQLite gives bytes that are no text as they are
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


def _make_private(path: Path) -> bool:
    """Make the file for its owner only, if it is not there; return whether it was made. A link is not followed."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    new = not path.exists()
    os.close(os.open(path, flags, OWNER_FILE))
    return new


def _checksum(values: Sequence[object]) -> int:
    """Return 63 bits of a hash over a row as SQLite gives it back: no number that is none, no negative zero."""
    plain = ((None if math.isnan(v) else v + 0.0) if isinstance(v, float) else v for v in values)
    text = "\x1f".join(map(repr, plain))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1


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
