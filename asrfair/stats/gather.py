"""Reads a table of scores, from a file or from memory, block by block into arrays; ten million rows need no more room."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.errors import InputError
from asrfair.scoring.metric import QUANTITIES, WORDS, Metric
from asrfair.types import MISSING, SCORED, STATUSES

BLOCK_ROWS = 1 << 18
_KEYS = ("engine", "condition", "utterance_id", "status")


class Scores(Protocol):
    """A table of scores, wherever it is."""

    names: Sequence[str]
    path: Path | None
    """Where it is, for messages."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield its rows."""


class ScoresFile:
    """``scores.parquet`` of a run."""

    def __init__(self, path: Path) -> None:
        self.path: Path | None = path
        self.names: Sequence[str] = columns_of(path)
        self._file = pq.ParquetFile(path, read_dictionary=["engine", "condition", "status"])

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield its rows."""
        yield from self._file.iter_batches(batch_size=BLOCK_ROWS, columns=list(columns))


class ScoresTable:
    """A table of scores in memory."""

    def __init__(self, table: pa.Table) -> None:
        self.path: Path | None = None
        self.names: Sequence[str] = table.column_names
        self._table = table

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield its rows."""
        yield from self._table.select(list(columns)).to_batches(max_chunksize=BLOCK_ROWS)


@dataclass(kw_only=True)
class Gathered:
    """Scores as arrays; see :class:`asrfair.stats.frame.Frame`."""

    engines: tuple[str, ...]
    conditions: tuple[str, ...]
    quantities: tuple[str, ...]
    status: npt.NDArray[np.int8]
    numerator: npt.NDArray[np.integer[Any]]
    denominator: npt.NDArray[np.integer[Any]]
    words: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]
    scored: npt.NDArray[np.int64]
    excess: npt.NDArray[np.int64]


def columns_of(path: Path) -> list[str]:
    """Return the names of the columns of a run's Parquet file.

    Raises:
        InputError: It is missing or damaged.
    """
    if not path.is_file():
        raise InputError(
            "the table is missing",
            file=path,
            remedy="Is this a run folder? 'asrfair score' and 'asrfair run' write one",
        )
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"the table cannot be read: {error}", file=path, remedy="Score the run again") from error


def gather(
    source: Scores, metric: Metric, ids: pa.Array, new_row: npt.NDArray[np.int64], atom: npt.NDArray[np.int32]
) -> Gathered:
    """Read the scores of the utterances that are let in.

    Args:
        source: The scores.
        metric: What numerator and denominator of every utterance are of.
        ids: Ids of all utterances.
        new_row: Row of each of them among those that are let in, -1 for the others.
        atom: Atom of each utterance that is let in.

    Raises:
        InputError: A column is lacking, an utterance unknown or scored twice, or a status unknown.
    """
    for name in (*_KEYS, *WORDS, *metric.quantities):
        if name not in source.names and not (name in QUANTITIES and name not in WORDS):
            raise InputError(
                "the table lacks a column", file=source.path, column=name, remedy="Score the run again with this metric"
                if name in metric.quantities
                else "Score the run again",
            )  # fmt: skip
    quantities = [name for name in source.names if name not in _KEYS]
    every = (*QUANTITIES, *(name for name in quantities if name not in QUANTITIES))
    engines, conditions = _names_in_order(source)
    shape = (len(engines), len(conditions), len(atom))
    atoms = int(atom.max(initial=-1)) + 1
    small = np.int32 if metric.events else np.int64  # ten million rows: half the memory
    found = Gathered(
        engines=engines,
        conditions=conditions,
        quantities=every,
        status=np.full(shape, MISSING, dtype=np.int8),
        numerator=np.zeros(shape, dtype=small),
        denominator=np.zeros(shape, dtype=small),
        words=np.zeros(shape[2], dtype=np.int32),
        counts=np.zeros((*shape[:2], atoms, len(every)), dtype=np.int64),
        scored=np.zeros((*shape[:2], atoms), dtype=np.int64),
        excess=np.zeros((0, 3), dtype=np.int64),
    )
    excess = [found.excess]
    seen = np.zeros(shape, dtype=bool)
    pointers = np.zeros(shape[:2], dtype=np.int64)
    for batch in source.batches([*_KEYS, *quantities]):
        engine = _codes(batch.column(0), engines)
        condition = _codes(batch.column(1), conditions)
        status = _codes(batch.column(3), STATUSES)
        if (status < 0).any():
            value = batch.column(3)[int(np.flatnonzero(status < 0)[0])].as_py()
            raise InputError(
                "an unknown status", file=source.path, column="status", value=value, remedy="Score the run again"
            )
        values = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in quantities}
        cells = engine * len(conditions) + condition
        starts = np.concatenate([[0], np.flatnonzero(np.diff(cells)) + 1, [len(cells)]])
        for start, stop in itertools.pairwise(starts.tolist()):
            e, c = divmod(int(cells[start]), len(conditions))
            block_ids = batch.column(2).slice(start, stop - start)
            where = _rows_of(block_ids, ids, int(pointers[e, c]))
            if (where < 0).any():
                value = block_ids[int(np.flatnonzero(where < 0)[0])].as_py()
                raise InputError("a score for an utterance that the run does not have", file=source.path, value=value)
            pointers[e, c] = where[-1] + 1
            where = new_row[where]
            inside = where >= 0
            target = where[inside]
            if seen[e, c, target].any() or len(np.unique(target)) != len(target):
                raise InputError("an utterance is scored twice", file=source.path, remedy="Score the run again")
            seen[e, c, target] = True
            found.status[e, c, target] = status[start:stop][inside]
            block = {name: value[start:stop][inside] for name, value in values.items()}
            excess.append(_add(found, e, c, target, block, metric, atom))
    found.excess = np.concatenate(excess)
    return found


def total(names: Sequence[str], values: dict[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[np.int64]:
    """Add the named quantities up row by row; one with a minus before its name is subtracted."""
    summed = np.zeros(rows, dtype=np.int64)
    for name in names:
        value = values.get(name.removeprefix("-"))
        if value is not None:
            summed += -value if name.startswith("-") else value
    return summed


def _add(
    found: Gathered,
    e: int,
    c: int,
    target: npt.NDArray[np.int64],
    values: dict[str, npt.NDArray[Any]],
    metric: Metric,
    atom: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """Add the rows of one block of one engine and condition; return the rows of :attr:`Gathered.excess`."""
    is_scored = found.status[e, c, target] == SCORED
    target = target[is_scored]
    values = {name: value[is_scored].astype(np.int64) for name, value in values.items()}
    found.numerator[e, c, target] = total(metric.numerator, values, len(target))
    found.denominator[e, c, target] = total(metric.denominator, values, len(target))
    words = total(WORDS[:3], values, len(target))
    found.words[target] = np.maximum(found.words[target], words)
    atoms = found.scored.shape[-1]
    cell = atom[target]
    found.scored[e, c] += np.bincount(cell, minlength=atoms)
    for name, value in values.items():
        sums = np.bincount(cell, weights=value, minlength=atoms)
        found.counts[e, c, :, found.quantities.index(name)] += np.rint(sums).astype(np.int64)
    over = np.flatnonzero(values["insertions"] > words)
    run = np.full(len(over), e * len(found.conditions) + c)
    return np.stack([run, target[over], (values["insertions"] - words)[over]], axis=1)


def _rows_of(block: pa.Array, ids: pa.Array, pointer: int) -> npt.NDArray[np.int64]:
    """Rows of the ids of a block. Tables are sorted alike, so the next rows are tried before a look-up."""
    block = block.cast(ids.type)
    guess = ids.slice(pointer, len(block))
    if len(guess) == len(block) and block.equals(guess):
        return np.arange(pointer, pointer + len(block), dtype=np.int64)
    found = pc.fill_null(pc.index_in(block, value_set=ids), -1)
    rows: npt.NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return rows


def _names_in_order(source: Scores) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Engines and conditions in the order in which they first appear, which is the order of the suite."""
    found: tuple[dict[str, None], dict[str, None]] = ({}, {})
    for batch in source.batches(["engine", "condition"]):
        for names, column in zip(found, batch.columns, strict=True):
            names.update(dict.fromkeys(column.unique().to_pylist()))
    return tuple(found[0]), tuple(found[1])


def _codes(column: pa.Array, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Index of each value in ``names``, -1 for a value that is not there."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    position = {name: index for index, name in enumerate(names)}
    table = np.array([position.get(value, -1) for value in coded.dictionary.to_pylist()], dtype=np.int64)
    codes: npt.NDArray[np.int64] = table[coded.indices.to_numpy(zero_copy_only=False)]
    return codes
