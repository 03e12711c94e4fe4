"""Parquet, every column turned into text."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.data.tablefile.formats import (
    MAX_BYTES,
    TEXT,
    check_header,
)
from asrfair.errors import InputError, printable


def read_parquet(path: Path) -> pa.Table:
    """Read a Parquet file into text columns; bytes are refused."""
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            total = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
            if total > MAX_BYTES:
                raise InputError(f"the table is larger than {MAX_BYTES} bytes", file=path, remedy="Split it")
            check_header(path, list(file.schema_arrow.names))
            table = file.read()
            table.validate(full=True)  # text that is no UTF-8 would fail whoever touches it next
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
