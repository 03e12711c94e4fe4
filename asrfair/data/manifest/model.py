"""A manifest in memory: its card and its table, one row an utterance, in the file's order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.stored.address import as_audio
from asrfair.types import Utterance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from asrfair.data.manifest.card import Card

_CHUNK_ROWS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with a manifest, and what to do about it.

    ``row`` is the one-based line of the table as an editor shows it (Parquet: the one-based row), or ``None`` where the
    problem is not in a row. An ``error`` makes the manifest unusable, a ``warning`` makes its results doubtful.
    """

    file: Path
    row: int | None
    column: str
    value: str
    message: str
    remedy: str
    severity: Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest:
    """Who spoke, what was said, where the audio is.

    Attributes:
        card: The card; every attribute of the table stands in ``card.attributes``.
        table: One row an utterance. Text: ``utterance_id``, ``speaker_id``, ``reference`` (mark-up removed),
            ``reference_raw`` (only where removing changed anything), ``audio`` (absolute path, address, or ""), ``language`` (""
            where nobody said), ``exclude`` ("" means scored), one column an attribute (``not_stated`` where missing).
            Numbers: ``start_s``, ``end_s``, ``duration_s`` (float, NaN), ``channel`` (nullable integer, zero-based).
        attributes: Names of the attribute columns, in the table's order.
        fingerprint: SHA-256 over the content, independent of row order and of where the files lie.
        path: The file that was named: the card, or the bare table.
        table_path: The table's file.
        columns: Our column name → the table's own.
        structural: Problems that were met while reading; :func:`asrfair.data.manifest.read_manifest` returns a manifest only
            where none of them is an error.
    """

    card: Card
    table: pd.DataFrame
    attributes: tuple[str, ...]
    fingerprint: str
    path: Path
    table_path: Path
    columns: Mapping[str, str]
    structural: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    def utterances(self) -> Iterator[Utterance]:
        """Yield one :class:`Utterance` a row, in the table's order, converting a few thousand rows at a time."""
        for start in range(0, len(self.table), _CHUNK_ROWS):
            part = self.table.iloc[start : start + _CHUNK_ROWS]
            values = [part[name].tolist() for name in self.attributes]
            named = zip(*values, strict=True) if values else iter([()] * len(part))
            numbers = (
                _or_none(part[name].to_numpy(float, na_value=np.nan)) for name in ("start_s", "end_s", "duration_s")
            )
            channels = _or_none(part["channel"].to_numpy(float, na_value=np.nan))
            for row in zip(
                part["utterance_id"].tolist(),
                part["speaker_id"].tolist(),
                part["reference"].tolist(),
                part["audio"].tolist(),
                *numbers,
                channels,
                part["language"].tolist(),
                part["exclude"].tolist(),
                named,
                strict=True,
            ):
                yield Utterance(
                    utterance_id=row[0],
                    speaker_id=row[1],
                    reference=row[2],
                    audio=as_audio(row[3]) if row[3] else None,
                    start_s=row[4],
                    end_s=row[5],
                    duration_s=row[6],
                    channel=None if row[7] is None else int(row[7]),
                    language=row[8] or None,
                    exclude=row[9],
                    attributes=dict(zip(self.attributes, row[10], strict=True)),
                )


def _or_none(numbers: np.ndarray) -> list[float | None]:
    return [None if np.isnan(number) else number for number in numbers.tolist()]


def fingerprint_of(columns: Mapping[str, pa.ChunkedArray | pa.Array]) -> str:
    """Return a SHA-256 over named columns that does not depend on the order of rows or columns.

    Args:
        columns: Text or number columns without nulls (NaN is one value); ``utterance_id`` gives the order.
    """
    order = pc.sort_indices(columns["utterance_id"])
    digest = hashlib.sha256(b"asrfair manifest 1")
    for name in sorted(columns):
        column = columns[name].take(order)
        digest.update(f"\0{name}\0{len(column)}\0".encode())
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            if pa.types.is_large_string(chunk.type):
                digest.update(_buffer_of(chunk))
        if pa.types.is_large_string(column.type):
            digest.update(np.asarray(pc.binary_length(column), dtype="<i8").tobytes())
        else:
            digest.update(np.asarray(column, dtype="<f8").tobytes())
    return digest.hexdigest()


def _buffer_of(chunk: pa.Array) -> memoryview:
    offsets = np.frombuffer(chunk.buffers()[1], dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    data = chunk.buffers()[2]
    if data is None or not len(chunk):
        return memoryview(b"")
    return memoryview(data)[offsets[0] : offsets[-1]]
