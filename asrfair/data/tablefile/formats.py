"""The formats of tables, their limits, and what their headers must be."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Literal, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from asrfair.errors import InputError

Kind = Literal["csv", "tsv", "jsonl", "parquet"]

MAX_BYTES = 8_000_000_000
"""Largest table that is read, in bytes (for Parquet: uncompressed)."""
MAX_CELL_BYTES = 2_000_000
"""Longest cell. A reference of an hour of speech has about 60,000 bytes."""
MAX_COLUMNS = 500

PARQUET: Final = {"compression": "zstd", "version": "2.6", "write_page_checksum": True}
"""How every Parquet file is written: a flipped bit in a page is noticed by whoever reads it with checksums on."""

TEXT = pa.large_string()
STRING_DTYPE = pd.StringDtype("pyarrow", na_value=np.nan)
"""The dtype of every column that :func:`read_table` returns (pandas' ``str``)."""

SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

BLOCK_BYTES = 16_000_000
GZIP = ".gz"


def suffix_of(path: Path) -> str:
    """Return what a file's name says of its format, in lower case: ``.csv`` of ``out.csv`` and of ``out.CSV.gz``."""
    inner = path.with_suffix("") if path.suffix.lower() == GZIP else path
    return inner.suffix.lower()


def kind_of(path: Path) -> Kind:
    """Return the format that a file's suffix names; text formats may be compressed (``.csv.gz``).

    Raises:
        InputError: The suffix is none of the known ones.
    """
    kind = SUFFIXES.get(suffix_of(path))
    if kind is None:
        raise InputError(
            f"the table's format {path.suffix!r} is not known",
            file=path,
            remedy=f"Use one of {', '.join(SUFFIXES)}, the text formats also with {GZIP}",
        )
    if kind == "parquet" and path.suffix.lower() == GZIP:
        raise InputError("Parquet is compressed inside", file=path, remedy="Give the .parquet file itself")
    return kind


def open_table(path: Path) -> IO[bytes]:
    """Open a text format for reading bytes, decompressed where the name ends with ``.gz``."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix.lower() == GZIP else path.open("rb")


def size_of(path: Path) -> int:
    """Return how many bytes a file holds, for ``.gz`` decompressed (counted no further than :data:`MAX_BYTES` + 1).

    Raises:
        InputError: The compressed file is damaged.
    """
    if path.suffix.lower() != GZIP:
        return path.stat().st_size
    size = 0
    try:
        with gzip.open(path, "rb") as stream:
            while size <= MAX_BYTES and (block := stream.read(BLOCK_BYTES)):
                size += len(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"the compressed file is damaged or cut off: {error}", file=path, remedy="Compress it again with gzip"
        ) from error
    return size


def check_header(path: Path, names: Sequence[str]) -> None:
    """Refuse headers with names that are missing, repeated, unreadable or too many."""
    if len(names) > MAX_COLUMNS:
        raise InputError(f"the table has more than {MAX_COLUMNS} columns", file=path, line=1)
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise InputError(
                f"column {position} has no name", file=path, line=1, remedy="Give every column a name in the header"
            )
        if name in seen:
            raise InputError("two columns have the same name", file=path, line=1, column=name, remedy="Rename one")
        if not name.isprintable() or len(name) > 200:
            raise InputError(
                "the column's name has control characters, or more than 200 characters",
                file=path,
                line=1,
                column=name,
                remedy="Rename it",
            )
        seen.add(name)
