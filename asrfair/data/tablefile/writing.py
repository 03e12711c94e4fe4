"""Write tables: the same bytes for the same frame, whole or not at all, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.tablefile.formats import PARQUET
from asrfair.data.tablefile.numbers import to_numbers
from asrfair.data.tablefile.reading import read_table
from asrfair.data.wholefile import open_whole, open_whole_text

TEXT_COLUMNS: Final = frozenset(
    (
        *("engine", "condition", "attribute", "group", "best_group", "worst_group", "versus", "versus_group", "other"),
        *(
            "engine_a",
            "engine_b",
            "reference_group",
            "normalizer",
            "kind",
            "id",
            "reason",
            "quantity",
            "metric",
            "flag",
        ),
        *("covariates", "utterance_id", "speaker_id", "detail", "subgroup", "rank_flip", "scales_disagree", "caution"),
        *("change", "asked", "achieved", "against", "closest_group", "farthest_group", "place", "parameter", "unit"),
        *("target", "censored", "affirmed", "text", "table", "among", "question", "basis"),
    )
)
"""Columns of results whose cells are text, whatever they look like: a group named "1" or "NA" stays that text."""

_LEADING_FORMULA = re.compile(r"^'*[=+\-@\t\r]")
_ESCAPED_FORMULA = re.compile(r"^'+[=+\-@\t\r]")
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


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


def write_csv(frame: pd.DataFrame, path: Path, *, safe: bool = True, private: bool = False) -> None:
    """Write a CSV that is the same bytes for the same frame: UTF-8, LF, shortest exact floats, missing as empty cells.

    Args:
        frame: Any columns; the index is not written.
        path: The file; it appears whole or not at all.
        safe: Whether text cells are made harmless for spreadsheets (:func:`spreadsheet_safe`). Only a table that must
            come back exactly, such as a manifest, is written without.
        private: Whether only the owner may read it.
    """
    columns = [_cells(frame.iloc[:, position], safe=safe) for position in range(frame.shape[1])]
    names = [str(name) for name in frame.columns]
    with open_whole_text(path, private=private) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([spreadsheet_safe(name) for name in names] if safe else names)
        if columns:
            writer.writerows(zip(*columns, strict=True))


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


def read_result(path: Path) -> pd.DataFrame:
    """Read a CSV that :func:`write_csv` wrote: apostrophes taken away, columns of numbers as numbers.

    :data:`TEXT_COLUMNS` stay text even where every cell looks like a number (a group called ``1``).
    """
    frame = read_table(path, kind="csv")
    for name in frame.columns:
        column = frame[name]
        if name not in TEXT_COLUMNS:
            numbers = to_numbers(column)
            if numbers.notna().eq(column != "").all() and (column != "").any():
                frame[name] = column.astype("int64") if column.str.fullmatch(r"-?\d{1,18}").all() else numbers
                continue
        escaped = column.str.startswith("'")
        if escaped.any():
            frame.loc[escaped, name] = [spreadsheet_raw(value) for value in column[escaped]]
    return frame


def write_parquet(frame: pd.DataFrame, path: Path, *, private: bool = False) -> None:
    """Write a Parquet file that is the same bytes for the same frame (and pyarrow); it appears whole or not at all.

    Args:
        frame: Any columns that Parquet can hold; the index is not written.
        path: The file.
        private: Whether only the owner may read it.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with open_whole(path, private=private) as stream:
        pq.write_table(table, stream, **PARQUET, row_group_size=1 << 20)
