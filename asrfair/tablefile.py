"""Tables in files: CSV, TSV, JSON Lines and Parquet in, every cell as text; deterministic CSV and Parquet out.

Nothing is guessed on the way in: ``NA``, ``None``, ``1.0`` and ``007`` stay what the file says, and an empty cell, a
JSON ``null`` and a missing key are the empty string. What cannot be read is an :class:`InputError` with the line.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from asrfair.errors import InputError, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

Kind = Literal["csv", "tsv", "jsonl", "parquet"]

MAX_BYTES = 8_000_000_000
"""Largest table that is read, in bytes (for Parquet: uncompressed)."""
MAX_CELL_BYTES = 2_000_000
"""Longest cell. A reference of an hour of speech has about 60,000 bytes."""
MAX_COLUMNS = 500
MAX_JSON_DEPTH_REMEDY = "One flat JSON object a line"

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

_BLOCK_BYTES = 16_000_000
_JSON_BATCH = 50_000
_LEADING_FORMULA = re.compile(r"^'*[=+\-@\t\r]")
_ESCAPED_FORMULA = re.compile(r"^'+[=+\-@\t\r]")
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


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
        size = path.stat().st_size
        if not path.is_file():
            raise InputError("the table is not a file", file=path, remedy="Give the path of a file")
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
            table = _read_parquet(path)
        elif kind == "jsonl":
            table = _read_jsonl(path)
        else:
            table = _read_delimited(path, kind)
    except OSError as error:
        raise InputError(
            f"the table cannot be read: {error}", file=path, remedy="Check the path and its permissions"
        ) from error
    table = table.rename_columns([name.strip() for name in table.column_names])
    _check_header(path, table.column_names)
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
        for line, _ in _jsonl_lines(path) if kind == "jsonl" else _delimited_lines(path, kind):
            row += 1
            if row in wanted:
                found[row] = line
                if len(found) == len(wanted):
                    break
    except (csv.Error, UnicodeDecodeError):
        pass
    return found


# --- delimited text -----------------------------------------------------------------------------------------------


def _read_delimited(path: Path, kind: Kind) -> pa.Table:
    names = _header(path, kind)
    _check_header(path, names)
    try:
        table = pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=_parse_options(kind),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False),
        )
    except (pa.ArrowException, ValueError) as error:
        raise _diagnose(path, kind, str(error)) from error
    if table.column_names != names:
        raise InputError("the header cannot be read", file=path, line=1, remedy="Write plain names, no line breaks")
    return table


def _parse_options(kind: Kind) -> pa_csv.ParseOptions:
    if kind == "tsv":
        return pa_csv.ParseOptions(delimiter="\t", quote_char=False, newlines_in_values=False)
    return pa_csv.ParseOptions(delimiter=",", newlines_in_values=True)


def _header(path: Path, kind: Kind) -> list[str]:
    with path.open("rb") as stream:
        start = stream.read(4)
        if start[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise InputError("the file is UTF-16, not UTF-8", file=path, line=1, remedy="Save it as UTF-8")
    try:
        for _, cells in _delimited_lines(path, kind):
            return cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise _diagnose(path, kind, str(error)) from error
    raise InputError("the table is empty", file=path, remedy="The first line holds the column names")


def _delimited_lines(path: Path, kind: Kind) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of every record that is not blank; slow, for headers and for pointing at errors."""
    csv.field_size_limit(max(csv.field_size_limit(), _BLOCK_BYTES))
    with path.open(encoding="utf-8-sig", newline="") as stream:
        if kind == "tsv":
            reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        else:
            reader = csv.reader(stream, strict=False)
        before = 0
        for cells in reader:
            first, before = before + 1, reader.line_num
            if cells:
                yield first, cells


def _diagnose(path: Path, kind: Kind, message: str) -> InputError:
    """Find the line at which a delimited file goes wrong."""
    number = 0
    with path.open("rb") as stream:
        while line := stream.readline(_BLOCK_BYTES):
            number += 1
            if len(line) >= _BLOCK_BYTES:
                return InputError(
                    f"the line is longer than {_BLOCK_BYTES} bytes",
                    file=path,
                    line=number,
                    remedy="Is a quote unclosed?",
                )
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return InputError("the text is not UTF-8", file=path, line=number, remedy="Save the table as UTF-8")
    width, last = None, 0
    try:
        for first, cells in _delimited_lines(path, kind):
            last = first
            width = len(cells) if width is None else width
            if len(cells) != width:
                return InputError(
                    f"the row has {len(cells)} cells, the header has {width}",
                    file=path,
                    line=first,
                    remedy="Put cells that hold the delimiter into quotes, and close every quote",
                )
    except (csv.Error, UnicodeDecodeError) as error:
        return InputError(f"the row cannot be read: {error}", file=path, line=last + 1, remedy="Close every quote")
    return InputError(f"the table cannot be read: {printable(message)}", file=path, remedy="Save it again as UTF-8 CSV")


# --- JSON Lines ---------------------------------------------------------------------------------------------------


def _jsonl_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(_BLOCK_BYTES):
            number += 1
            if len(line) >= _BLOCK_BYTES:
                raise InputError(f"the line is longer than {_BLOCK_BYTES} bytes", file=path, line=number)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line


def _read_jsonl(path: Path) -> pa.Table:
    parts: list[pa.Table] = []
    names: dict[str, None] = {}
    batch: list[tuple[int, dict[str, Any]]] = []
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    for number, line in _jsonl_lines(path):
        try:
            record = decoder.decode(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"the line is not JSON: {printable(str(error), limit=120)}",
                file=path,
                line=number,
                remedy=MAX_JSON_DEPTH_REMEDY,
            ) from error
        if not isinstance(record, dict):
            raise InputError("the line is not a JSON object", file=path, line=number, remedy=MAX_JSON_DEPTH_REMEDY)
        names.update(dict.fromkeys(record))
        if len(names) > MAX_COLUMNS:
            raise InputError(f"more than {MAX_COLUMNS} different keys", file=path, line=number)
        batch.append((number, record))
        if len(batch) == _JSON_BATCH:
            parts.append(_json_part(path, batch, list(names)))
            batch = []
    if batch:
        parts.append(_json_part(path, batch, list(names)))
    if not parts or not names:
        raise InputError("the table is empty", file=path, remedy=MAX_JSON_DEPTH_REMEDY)
    whole = pa.concat_tables(parts, promote_options="default")
    return pa.table({name: pc.fill_null(whole[name], "") for name in names})


def _json_part(path: Path, batch: list[tuple[int, dict[str, Any]]], names: list[str]) -> pa.Table:
    try:
        return pa.table({n: pa.array([_json_text(r.get(n)) for _, r in batch], TEXT) for n in names})
    except UnicodeEncodeError:
        for number, record in batch:
            for name, value in record.items():
                try:
                    (name + _json_text(value)).encode()
                except UnicodeEncodeError as error:
                    raise InputError(
                        "the text has half a surrogate pair, which is no character",
                        file=path,
                        line=number,
                        remedy="Write the whole character, in UTF-8",
                    ) from error
        raise


def _json_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# --- Parquet ------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            total = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
            if total > MAX_BYTES:
                raise InputError(f"the table is larger than {MAX_BYTES} bytes", file=path, remedy="Split it")
            _check_header(path, list(file.schema_arrow.names))
            table = file.read()
        return pa.table({name: _as_text(path, name, table[name]) for name in table.column_names})
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"the Parquet file cannot be read: {printable(str(error))}", file=path, remedy="Write it again"
        ) from error


def _as_text(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or "binary" in str(kind):
        raise InputError(
            "the column holds bytes, not text", file=path, column=name, remedy="Leave audio bytes out; name audio files"
        )
    if pa.types.is_nested(kind):
        return pa.chunked_array([pa.array([_nested_text(v) for v in column.to_pylist()], TEXT)])
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    try:
        return pc.fill_null(column.cast(TEXT), "")
    except pa.ArrowException as error:
        raise InputError(
            f"the column's type {kind} cannot be read as text", file=path, column=name, remedy="Write it as text"
        ) from error


def _nested_text(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


# --- checks -------------------------------------------------------------------------------------------------------


def _check_header(path: Path, names: Sequence[str]) -> None:
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


# --- writing ------------------------------------------------------------------------------------------------------


def spreadsheet_safe(text: str) -> str:
    r"""Return a cell that no spreadsheet runs as a formula and no terminal obeys.

    Text that starts with ``=``, ``+``, ``-``, ``@``, tab or carriage return (after any apostrophes) gets one apostrophe
    in front, which :func:`spreadsheet_raw` takes away again; control and bidirectional characters become ``\x1b`` etc.
    """
    if _UNSHOWABLE.search(text):
        text = _UNSHOWABLE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)
    return "'" + text if _LEADING_FORMULA.match(text) else text


def spreadsheet_raw(text: str) -> str:
    """Undo the apostrophe of :func:`spreadsheet_safe`."""
    return text[1:] if _ESCAPED_FORMULA.match(text) else text


def write_csv(frame: pd.DataFrame, path: Path, *, safe: bool = True) -> None:
    """Write a CSV that is the same bytes for the same frame: UTF-8, LF, shortest exact floats, missing as empty cells.

    Args:
        frame: Any columns; the index is not written.
        path: The file; it appears whole or not at all.
        safe: Whether text cells are made harmless for spreadsheets (:func:`spreadsheet_safe`). Only a table that must
            come back exactly, such as a manifest, is written without.
    """
    columns = [_cells(frame.iloc[:, position], safe=safe) for position in range(frame.shape[1])]
    names = [str(name) for name in frame.columns]
    temporary = _temporary(path)
    with temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([spreadsheet_safe(name) for name in names] if safe else names)
        if columns:
            writer.writerows(zip(*columns, strict=True))
    temporary.replace(path)


def _cells(column: pd.Series[Any], *, safe: bool) -> Iterable[str]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return ["" if value is pd.NA else str(bool(value)).lower() for value in column.tolist()]
    if pd.api.types.is_float_dtype(column.dtype):
        return ["" if math.isnan(value) else repr(value) for value in column.to_numpy(float, na_value=np.nan).tolist()]
    if pd.api.types.is_integer_dtype(column.dtype):
        return ["" if value is pd.NA else str(value) for value in column.tolist()]
    return [_cell(value, safe=safe) for value in column.tolist()]


def _cell(value: object, *, safe: bool) -> str:
    if isinstance(value, str):
        return spreadsheet_safe(value) if safe else value
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    return spreadsheet_safe(str(value)) if safe else str(value)


def read_result(path: Path, *, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV that :func:`write_csv` wrote: apostrophes taken away, columns of numbers as numbers.

    Args:
        path: The file.
        text: Columns that stay text even where every cell looks like a number (a group called ``1``).
    """
    frame = read_table(path, kind="csv")
    for name in frame.columns:
        column = frame[name]
        if name not in text:
            numbers = pd.to_numeric(column.where(column != "", np.nan), errors="coerce")
            if numbers.notna().eq(column != "").all() and (column != "").any():
                frame[name] = (
                    numbers.astype("int64") if column.str.fullmatch(r"-?\d{1,18}").all() else numbers.astype(float)
                )
                continue
        escaped = column.str.startswith("'")
        if escaped.any():
            frame.loc[escaped, name] = [spreadsheet_raw(value) for value in column[escaped]]
    return frame


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a Parquet file that is the same bytes for the same frame (and pyarrow); it appears whole or not at all."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    temporary = _temporary(path)
    pq.write_table(table, temporary, compression="zstd", version="2.6", row_group_size=1 << 20)
    temporary.replace(path)


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
