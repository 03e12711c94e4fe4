"""The formats of tables, their limits, and what their headers must be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

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


def kind_of(path: Path) -> Kind:
    """Return the format that a file's suffix names.

    Raises:
        InputError: The suffix is none of the known ones.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"the table's format {path.suffix!r} is not known",
            file=path,
            remedy=f"Use one of {', '.join(SUFFIXES)}",
        )
    return kind


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
