"""JSON Lines, a flat object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.tablefile.formats import (
    BLOCK_BYTES,
    MAX_COLUMNS,
    TEXT,
    open_table,
)
from asrfair.errors import InputError, printable

_JSON_BATCH = 50_000
_REMEDY = "One flat JSON object a line"


def jsonl_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line, bytes) of every line that is not blank."""
    with open_table(path) as stream:
        number = 0
        while line := stream.readline(BLOCK_BYTES):
            number += 1
            if len(line) >= BLOCK_BYTES:
                raise InputError(f"the line is longer than {BLOCK_BYTES} bytes", file=path, line=number)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line


def read_jsonl(path: Path) -> pa.Table:
    """Read JSON Lines into text columns; a key that a line lacks is an empty cell."""
    parts: list[pa.Table] = []
    names: dict[str, None] = {}
    batch: list[tuple[int, dict[str, Any]]] = []
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    for number, line in jsonl_lines(path):
        try:
            text = line.decode("utf-8")
            record = decoder.decode(text)
            if isinstance(record, dict) and ("[" in text or text.count("{") > 1):
                record = _with_nested_numbers(record, text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"the line is not JSON: {printable(str(error), limit=120)}",
                file=path,
                line=number,
                remedy=_REMEDY,
            ) from error
        if not isinstance(record, dict):
            raise InputError("the line is not a JSON object", file=path, line=number, remedy=_REMEDY)
        if not record.keys() <= names.keys():
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
        raise InputError("the table is empty", file=path, remedy=_REMEDY)
    whole = pa.concat_tables(parts, promote_options="default")
    return pa.table({name: pc.fill_null(whole[name], "") for name in names})


def _json_part(path: Path, batch: list[tuple[int, dict[str, Any]]], names: list[str]) -> pa.Table:
    try:
        return pa.table({name: _column([record.get(name) for _, record in batch]) for name in names})
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


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, TEXT)
    except pa.ArrowException:
        return pa.array([_json_text(value) for value in values], TEXT)


def _with_nested_numbers(record: dict[str, Any], text: str) -> dict[str, Any]:
    """Give lists and objects their numbers back, which the decoder keeps as text so that ``1.50`` stays ``1.50``."""
    if not any(isinstance(value, dict | list) for value in record.values()):
        return record
    whole = json.loads(text)
    return {key: whole[key] if isinstance(value, dict | list) else value for key, value in record.items()}


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
