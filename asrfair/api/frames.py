"""Tables of whoever calls: pandas, polars, pyarrow and everything else that speaks Arrow, as the two tables of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.types import CLEAN, NOT_STATED

OWN = ("utterance_id", "speaker_id", "reference", "exclude", "duration_s", "language")
"""Columns of ``utterances.parquet`` that are no attributes."""


def pandas_of(data: Any) -> pd.DataFrame:
    """Return any table as a pandas DataFrame with a fresh index.

    Args:
        data: A pandas DataFrame, or a table that offers the Arrow stream protocol (polars, pyarrow, duckdb) or the
            dataframe interchange protocol.

    Raises:
        InputError: It is no table.
    """
    if isinstance(data, pd.DataFrame):
        return data.reset_index(drop=True)
    if isinstance(data, pa.Table) or hasattr(data, "__arrow_c_stream__"):
        frame: pd.DataFrame = pa.table(data).to_pandas()
        return frame
    if hasattr(data, "__dataframe__"):
        return pd.api.interchange.from_dataframe(data)
    raise InputError(
        "this is no table", value=type(data).__name__, remedy="Give a DataFrame of pandas or polars, or an Arrow table"
    )


def text_of(column: pd.Series[Any]) -> list[str | None]:
    """Return cells as text, ``None`` where nothing stands; whole numbers without a decimal point."""
    return [_text(value) for value in column.tolist()]


def _text(value: Any) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def need(frame: pd.DataFrame, *names: str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: It does; the message names the nearest.
    """
    for name in names:
        if name not in frame.columns:
            raise InputError(
                "the table has no such column", value=name, remedy=did_you_mean(name, map(str, frame.columns))
            )


def two_tables(
    frame: pd.DataFrame,
    *,
    reference: str,
    hypotheses: Mapping[str, str],
    speaker: str,
    utterance: str | None,
    engine: str | None,
    condition: str | None,
    duration: str | None,
    exclude: str | None,
    attributes: Iterable[str],
) -> tuple[pa.Table, pa.Table]:
    """Make ``utterances`` and ``hypotheses`` of one table with a row an utterance (and engine, and condition).

    Args:
        frame: The table.
        reference: Column of what was said; where nothing stands, the utterance is excluded and says so.
        hypotheses: Label of an engine → column of what it recognised; where nothing stands, there is no hypothesis.
        speaker: Column of who spoke.
        utterance: Column of the utterance's id; rows are numbered if ``None``.
        engine: Column of the engine's label, where rows are of several.
        condition: Column of the condition, likewise.
        duration: Column of the length in seconds.
        exclude: Column of the reason for which a row is not to be scored.
        attributes: Columns that people are grouped by, or may be looked at by.

    Raises:
        InputError: A column is lacking, a speaker is not named, or rows of one utterance contradict each other.
    """
    optional = [name for name in (utterance, engine, condition, duration, exclude) if name is not None]
    attributes = list(dict.fromkeys(attributes))
    need(frame, reference, *hypotheses.values(), speaker, *optional, *attributes)
    if not len(frame):
        raise InputError("the table has no rows")
    if (engine is not None or condition is not None) and utterance is None:
        raise InputError(
            "with several engines or conditions in rows, it takes the utterance's id to tell which rows belong together",
            remedy="Give utterance=…, the name of that column",
        )
    speakers = text_of(frame[speaker])
    if None in speakers:
        raise InputError(
            "a speaker is not named; people are what intervals are over",
            line=speakers.index(None) + 1,
            column=speaker,
            remedy="Name the speaker of every row, or leave the row out",
        )
    said = text_of(frame[reference])
    ids = [f"u{row:07d}" for row in range(1, len(frame) + 1)] if utterance is None else _present(frame, utterance)
    reasons = text_of(frame[exclude]) if exclude is not None else [None] * len(frame)
    columns: dict[str, Any] = {
        "utterance_id": ids,
        "speaker_id": speakers,
        "reference": [text or "" for text in said],
        "exclude": [
            reason or ("no reference" if text is None else "") for reason, text in zip(reasons, said, strict=True)
        ],
        "duration_s": pd.to_numeric(frame[duration], errors="coerce").to_numpy(float)
        if duration is not None
        else np.full(len(frame), np.nan),
        "language": [""] * len(frame),
    }
    for name in attributes:
        if name in OWN:
            raise InputError("this name is asrfair's own", column=name, remedy="Rename the column to group by it")
        columns[name] = [NOT_STATED if value in {None, ""} else value for value in text_of(frame[name])]
    utterances = pd.DataFrame(columns).drop_duplicates(ignore_index=True)
    twice = utterances["utterance_id"].duplicated()
    if twice.any():
        raise InputError(
            "rows of one utterance differ in speaker, reference or attributes"
            if utterance is not None and (engine is not None or condition is not None)
            else "an utterance stands there twice",
            column=utterance,
            value=utterances["utterance_id"][int(twice.to_numpy().argmax())],
            remedy="Give every utterance an id of its own; engine=… and condition=… name what may differ between its rows",
        )
    labels = ["hypothesis"] * len(frame) if engine is None else _present(frame, engine)
    places = [CLEAN] * len(frame) if condition is None else _present(frame, condition)
    parts = [
        _rows(ids, text_of(frame[column]), labels if engine is not None else [label] * len(frame), places)
        for label, column in hypotheses.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    order = [pd.factorize(table[name])[0] for name in ("condition", "engine")]
    table = table.iloc[np.lexsort((np.arange(len(table)), *order))]
    schema = pa.schema([(name, pa.string()) for name in table.columns])
    people = pa.Table.from_pandas(utterances.sort_values("utterance_id", kind="stable"), preserve_index=False)
    return people, pa.Table.from_pandas(table, schema=schema, preserve_index=False)


def _rows(
    ids: Sequence[str], texts: Sequence[str | None], engines: Sequence[str], places: Sequence[str]
) -> pd.DataFrame:
    status = ["missing" if text is None else "ok" if text.strip() else "empty" for text in texts]
    heard = [text or "" for text in texts]
    return pd.DataFrame(
        {
            "engine": engines,
            "condition": places,
            "utterance_id": ids,
            "status": status,
            "hypothesis": heard,
            "error": "",
        }
    )


def _present(frame: pd.DataFrame, name: str) -> list[str]:
    found = text_of(frame[name])
    if None in found:
        raise InputError(
            "a cell is empty", line=found.index(None) + 1, column=name, remedy="Fill it, or leave the row out"
        )
    return [text for text in found if text is not None]
