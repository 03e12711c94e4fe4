"""Is somebody still in there? Looks for what names a person in every byte of a folder, packed tables and databases included.

Bytes are searched as they lie, free pages of SQLite and its logs among them, and what is packed is unpacked first:
Parquet's columns, SQLite's rows, gzip. A name of fewer than :data:`SHORT` characters, such as ``19``, stands everywhere by
chance; it is looked for as a whole cell of the columns that name people and utterances, and nowhere else.
"""

from __future__ import annotations

import gzip
import html
import json
import os
import sqlite3
import urllib.parse
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.plainread import is_text
from asrfair.data.tablefile import read_table
from asrfair.errors import AsrfairError

SHORT = 5
_NAMING = frozenset({"speaker_id", "speaker", "utterance_id", "name", "item"})
_BLOCK = 1 << 24
_MOST_UNPACKED = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a search went through and found.

    Args:
        files: How many files.
        size: Their bytes.
        found: The files that still name the person.
        unread: Files that could not be read whole.
    """

    files: int
    size: int
    found: tuple[Path, ...]
    unread: tuple[Path, ...] = ()


def search(folder: Path, names: Collection[str], others: Collection[str] = ()) -> Searched:
    """Look for names in all files below a folder, their own names included.

    Args:
        folder: The folder; links in it are not followed.
        names: What names the person: their id, their utterances' ids, what only they said.
        others: Names of those who stay; one that holds a name of the person's (``anna`` and ``anna-2``) is no trace.
    """
    look = _Look(names, others)
    found: list[Path] = []
    unread: list[Path] = []
    files = size = 0
    for path in _files(folder):
        files += 1
        size += path.lstat().st_size
        try:
            if look.in_text(str(path.relative_to(folder)).encode("utf-8", "surrogateescape")) or look.in_file(path):
                found.append(path)
        except OSError:
            unread.append(path)
    return Searched(files=files, size=size, found=tuple(found), unread=tuple(unread))


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


class _Look:
    """What is looked for, in every way in which a file may write it."""

    def __init__(self, names: Collection[str], others: Collection[str]) -> None:
        self._cells = {name for name in names if name}
        long = sorted((name for name in self._cells if len(name) >= SHORT), key=lambda name: (len(name), name))
        self._needles: list[tuple[bytes, list[tuple[bytes, int]]]] = []
        for name in long:
            if not self.in_text(name.encode("utf-8", "surrogatepass")):  # else it is found where a shorter one is
                self._needles += [(form, _around(form, name, others)) for form in _forms(name)]

    def in_file(self, path: Path) -> bool:
        with path.open("rb") as stream:
            head = stream.read(16)
            stream.seek(0)
            tail = b""
            overlap = max((len(needle) for needle, _ in self._needles), default=1) + 300
            while block := stream.read(_BLOCK):
                if self.in_text(tail + block):
                    return True
                tail = block[-overlap:]
        if head.startswith(b"PAR1"):
            return self._in_parquet(path)
        if head.startswith(b"SQLite format 3\0"):
            return self._in_database(path)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as packed:
                return self.in_text(packed.read(_MOST_UNPACKED))
        if path.suffix.lower() in {".csv", ".tsv"}:
            return self._in_cells(path)
        return False

    def in_text(self, text: bytes) -> bool:
        """Whether a name stands in bytes, as a word of its own, and not as a part of somebody else's name."""
        for needle, around in self._needles:
            at = text.find(needle)
            while at >= 0:
                end = at + len(needle)
                if (
                    not _joins(text[at - 1 : at])
                    and not _joins(text[end : end + 1])
                    and not any(text[max(at - k, 0) : at - k + len(one)] == one for one, k in around)
                ):
                    return True
                at = text.find(needle, at + 1)
        return False

    def _in_parquet(self, path: Path) -> bool:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    for name, column in zip(batch.schema.names, batch.columns, strict=True):
                        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                            values = [value for value in column.to_pylist() if value]
                            if name in _NAMING and not self._cells.isdisjoint(values):
                                return True
                            if self.in_text("\n".join(values).encode("utf-8", "surrogatepass")):
                                return True
        except pa.ArrowException:
            return False  # a damaged file: its bytes were searched
        return False

    def _in_database(self, path: Path) -> bool:
        """Look at the rows: a long text may lie over several pages, and is found whole only here."""
        try:
            with closing(sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro&immutable=1", uri=True)) as db:
                tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
                for table in tables:
                    quoted = table.replace('"', '""')
                    rows = db.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 -- a quoted name from the schema
                    naming = [place for place, item in enumerate(rows.description) if item[0] in _NAMING]
                    for row in rows:
                        if any(row[place] in self._cells for place in naming):
                            return True
                        if self.in_text("\n".join(v for v in row if isinstance(v, str)).encode("utf-8", "replace")):
                            return True
        except sqlite3.Error:
            return False
        return False

    def _in_cells(self, path: Path) -> bool:
        try:
            table = read_table(path)
        except AsrfairError:
            return False
        return any(not self._cells.isdisjoint(table[name]) for name in table.columns if name in _NAMING)


def _forms(name: str) -> Iterator[bytes]:
    """Yield a name as UTF-8, and as JSON, HTML and addresses write it where that differs."""
    texts = (
        name, json.dumps(name)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1], html.escape(name),
        urllib.parse.quote(name), urllib.parse.quote(name, safe=""),
    ) if is_text(name) else (name,)  # fmt: skip
    yield from dict.fromkeys(text.encode("utf-8", "surrogatepass") for text in texts)


def _around(form: bytes, name: str, others: Collection[str]) -> list[tuple[bytes, int]]:
    """Return the others' names that hold this one, and where in them it stands."""
    found: list[tuple[bytes, int]] = []
    if name not in "\n".join(others):
        return found
    for other in others:
        if len(other) > len(name) and name in other:
            for text in _forms(other):
                at = text.find(form)
                while at >= 0:
                    found.append((text, at))
                    at = text.find(form, at + 1)
    return found


def _joins(byte: bytes) -> bool:
    return byte.isalnum()
