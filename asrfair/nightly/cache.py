"""What was transcribed once is not transcribed again: hypotheses by the content that they depend on.

A key is a hash over everything that decides a transcript: the engine (name, options, traits, its fingerprint once
started, the packages that read and render audio), the bytes of the recording and the segment cut out of it, the
condition (its fingerprint holds noise files) and, where something is drawn or mixed in, the seed, the ids and the
corpus; for an engine that works in batches, the whole batch. So a night with one changed profile transcribes what that
profile touches, and nothing else.

Not cached: engines that are not deterministic (a service may change without saying so), a program or function of the
user's without a stated version, engines that look up files (``precomputed``), and failures.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from asrfair.data.wholefile import OWNER_FILE
from asrfair.errors import EnvironmentFailedError
from asrfair.recognise.journal import Achieved, Row

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checked_entries (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, content TEXT NOT NULL, night INTEGER NOT NULL, checksum TEXT NOT NULL)
    WITHOUT ROWID
"""
_UNUSABLE = (sqlite3.Error, ValueError)  # ValueError: names that are no text come out of a damaged file
_CHUNK = 500
_ROWS_PER_TRANSACTION = 50_000


def key_of(*parts: object) -> str:
    """Hash anything that JSON can hold, unambiguously."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A store of rows by key, one SQLite file; several processes may use it at once.

    Args:
        path: The file.

    Raises:
        EnvironmentFailedError: It cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), OWNER_FILE))
            with self._open() as db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(_SCHEMA)
        except (*_UNUSABLE, OSError) as error:
            raise self._failed(error) from error

    def _open(self) -> closing[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        db.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last entries, never the file
        return closing(db)

    def get(self, keys: Iterable[str]) -> dict[str, list[object]]:
        """Return what is held, by key; an entry that is not what was written is not held."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, list[object]] = {}
        try:
            with self._open() as db:
                for start in range(0, len(wanted), _CHUNK):
                    part = wanted[start : start + _CHUNK]
                    marks = ",".join("?" * len(part))
                    query = f"SELECT key, content, checksum FROM checked_entries WHERE key IN ({marks})"  # noqa: S608 -- question marks only
                    for key, content, checksum in db.execute(query, part):
                        if _checksum(key, content) == checksum:
                            found[key] = json.loads(content)
        except _UNUSABLE as error:
            raise self._failed(error) from error
        return found

    def put(self, kind: str, entries: Iterable[tuple[str, list[object]]], night: int) -> int:
        """Hold entries, a transaction per 50,000 of them; return how many there were.

        Those that are there already are the same, unless the file was damaged, and get the night of their last use.
        """
        texts = ((key, json.dumps(content, ensure_ascii=False)) for key, content in entries)
        rows = ((key, kind, text, night, _checksum(key, text)) for key, text in texts)
        count = 0
        try:
            with self._open() as db:
                while block := list(itertools.islice(rows, _ROWS_PER_TRANSACTION)):
                    db.execute("BEGIN IMMEDIATE")
                    db.executemany(
                        "INSERT INTO checked_entries VALUES (?, ?, ?, ?, ?) ON CONFLICT(key) DO UPDATE SET "
                        "content = excluded.content, checksum = excluded.checksum, night = max(night, excluded.night)",
                        block,
                    )
                    db.execute("COMMIT")
                    count += len(block)
        except _UNUSABLE as error:
            raise self._failed(error) from error
        return count

    def forget(self, before: int) -> int:
        """Drop what no night from ``before`` on has used; return how many entries went."""
        try:
            with self._open() as db:
                gone = db.execute("DELETE FROM checked_entries WHERE night < ?", (before,)).rowcount
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except _UNUSABLE as error:
            raise self._failed(error) from error
        return gone

    def verify(self) -> tuple[int, int]:
        """Return how many entries there are, and how many of them are not what was written.

        Raises:
            EnvironmentFailedError: The file cannot be read.
        """
        count = wrong = 0
        try:
            with self._open() as db:
                for (found,) in db.execute("PRAGMA integrity_check(1)"):
                    if found != "ok":
                        raise self._failed(ValueError(str(found).splitlines()[0]))
                for key, content, checksum in db.execute("SELECT key, content, checksum FROM checked_entries"):
                    count += 1
                    wrong += _checksum(key, content) != checksum
        except _UNUSABLE as error:
            raise self._failed(error) from error
        return count, wrong

    def _failed(self, error: Exception) -> EnvironmentFailedError:
        return EnvironmentFailedError(
            f"the cache of transcripts cannot be used: {error}",
            file=self.path,
            remedy="Make room on the disk, or remove the file: it costs one night's transcription and nothing else",
        )


def _checksum(key: str, content: str) -> str:
    return hashlib.blake2b(f"{key}\n{content}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def pack_row(row: Row) -> list[object]:
    """Return a row without its id: the same audio may have another name tomorrow."""
    return list(row[1:8])


def unpack_row(utterance_id: str, content: list[object]) -> Row:
    """Return the row of an utterance."""
    return Row(utterance_id, *content)  # type: ignore[arg-type]


def pack_achieved(items: Iterable[Achieved]) -> list[object]:
    """Return measured quantities without the id."""
    return [list(item[1:]) for item in items]


def unpack_achieved(utterance_id: str, content: list[object]) -> list[Achieved]:
    """Return the measured quantities of an utterance."""
    return [Achieved(utterance_id, *item) for item in content]  # type: ignore[misc]
