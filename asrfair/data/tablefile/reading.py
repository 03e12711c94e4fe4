"""Read a table of any known format, every cell as text, and find the line of a row."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.tablefile.delimited import delimited_lines, read_delimited
from asrfair.data.tablefile.formats import (
    MAX_BYTES,
    MAX_CELL_BYTES,
    STRING_DTYPE,
    TEXT,
    Kind,
    check_header,
    kind_of,
    size_of,
)
from asrfair.data.tablefile.jsonlines import jsonl_lines, read_jsonl
from asrfair.data.tablefile.parquetfile import read_parquet
from asrfair.errors import InputError


def read_table(path: Path, *, kind: Kind | None = None) -> pd.DataFrame:
    """Read a table with every cell as text (missing is the empty string) and rows in the file's order.

    A TSV is read without quoting, as IANA's text/tab-separated-values says: a quotation mark is a character.

    Args:
        path: The file.
        kind: Its format where the suffix does not tell it.

    Raises:
        InputError: The file is missing, too large, not UTF-8, malformed, or holds a NUL or a cell that is too long.
    """
    return to_frame(read_arrow(path, kind=kind))


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert a table of text columns to pandas without making a Python object a cell."""
    return table.to_pandas(types_mapper={TEXT: STRING_DTYPE}.get)  # type: ignore[no-any-return]


def read_arrow(path: Path, *, kind: Kind | None = None) -> pa.Table:
    """Read like :func:`read_table`, as a pyarrow table of ``large_string`` columns without nulls."""
    path = Path(path)
    kind = kind or kind_of(path)
    try:
        if path.exists() and not path.is_file():
            raise InputError("the table is not a file", file=path, remedy="Give the path of a file")
        size = size_of(path)
    except OSError as error:
        raise InputError(
            f"the table cannot be read: {error.strerror or error}",
            file=path,
            remedy="Check the path and its permissions",
        ) from error
    except ValueError as error:
        raise InputError(f"not a usable path: {error}", file=path) from error
    if size > MAX_BYTES:
        raise InputError(f"the table is larger than {MAX_BYTES} bytes", file=path, remedy="Split it")
    try:
        if kind == "parquet":
            table = read_parquet(path)
        elif kind == "jsonl":
            table = read_jsonl(path)
        else:
            table = read_delimited(path, kind)
    except OSError as error:
        raise InputError(
            f"the table cannot be read: {error}", file=path, remedy="Check the path and its permissions"
        ) from error
    table = table.rename_columns([name.strip() for name in table.column_names])
    check_header(path, table.column_names)
    _check_cells(path, kind, table)
    return table.combine_chunks()


def lines_of(path: Path, rows: Collection[int], *, kind: Kind | None = None) -> dict[int, int]:
    """Return the one-based line on which each data row starts (for Parquet: the one-based row).

    Blank lines and line breaks inside quotes are taken into account, so the number is what an editor shows.

    Args:
        path: The file that :func:`read_table` has read.
        rows: Zero-based data rows.
        kind: The format where the suffix does not tell it.
    """
    kind = kind or kind_of(path)
    wanted = set(rows)
    if not wanted:
        return {}
    if kind == "parquet":
        return {row: row + 1 for row in wanted}
    found: dict[int, int] = {}
    row = -1 if kind == "jsonl" else -2
    try:
        for line, _ in jsonl_lines(path) if kind == "jsonl" else delimited_lines(path, kind):
            row += 1
            if row in wanted:
                found[row] = line
                if len(found) == len(wanted):
                    break
    except (csv.Error, UnicodeDecodeError):
        pass
    return found


def _check_cells(path: Path, kind: Kind, table: pa.Table) -> None:
    for name in table.column_names:
        column = table[name]
        lengths = pc.binary_length(column)
        longest = pc.max(lengths).as_py() or 0
        if longest > MAX_CELL_BYTES:
            row = pc.index(lengths, longest).as_py()
            raise InputError(
                f"the cell is longer than {MAX_CELL_BYTES} bytes",
                file=path,
                line=lines_of(path, [row], kind=kind).get(row),
                column=name,
                remedy="Is a quote unclosed?",
            )
        nul = pc.match_substring(column, "\0")
        if pc.any(nul).as_py():
            row = pc.index(nul, value=True).as_py()
            raise InputError(
                "the cell holds a NUL character",
                file=path,
                line=lines_of(path, [row], kind=kind).get(row),
                column=name,
                remedy="Remove it; is the file UTF-16, or not a table?",
            )
