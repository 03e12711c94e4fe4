"""Scores a run folder: utterances and hypotheses in, ``scores.parquet`` and ``ledger.csv`` out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.tablefile import PARQUET
from asrfair.data.wholefile import open_whole
from asrfair.errors import InputError
from asrfair.score.blocks import HYPOTHESES_FILE, STATUSES, Block, iterate_blocks
from asrfair.score.ledger import LedgerWriter
from asrfair.score.normalize import get_normalizer
from asrfair.score.references import References, read_references
from asrfair.types import ErrorCounts, ScoringSettings

SCORES_FILE = "scores.parquet"
LEDGER_FILE = "ledger.csv"
READINGS_FILE = "readings.parquet"

COUNT_COLUMNS = (
    "hits",
    "substitutions",
    "deletions",
    "insertions",
    "char_hits",
    "char_substitutions",
    "char_deletions",
    "char_insertions",
    "key_terms",
    "key_term_hits",
)
_SCORES = pa.schema(
    [("engine", pa.string()), ("condition", pa.string()), ("utterance_id", pa.string()), ("status", pa.string())]
    + [(name, pa.int32()) for name in COUNT_COLUMNS]
)
_READINGS = pa.schema(
    [
        ("engine", pa.string()),
        ("condition", pa.string()),
        ("utterance_id", pa.string()),
        ("reading", pa.int32()),
        ("source", pa.string()),
        ("reference", pa.large_string()),
        ("ref_words", pa.int32()),
        ("errors", pa.int32()),
        ("chosen", pa.bool_()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """What was scored.

    Args:
        normalizer: The rules with their version, such as ``whisper-english@0.1.1``.
        utterances: Utterances of the manifest.
        rows: Utterances times engines and conditions.
        statuses: Rows by status.
        reasons: Ledger rows by reason.
        counts: Pooled word counts by (engine, condition).
        insertions_without_reference: Words recognised where the reference has none, by (engine, condition).
        files: The files written.
    """

    normalizer: str
    utterances: int
    rows: int
    statuses: Mapping[str, int]
    reasons: Mapping[str, int]
    counts: Mapping[tuple[str, str], ErrorCounts]
    insertions_without_reference: Mapping[tuple[str, str], int]
    files: tuple[Path, ...]


def score_run(run: Path, settings: ScoringSettings, *, workers: int | None = None) -> ScoreSummary:
    """Score a run folder; no audio is needed, and it may be done again with other settings.

    Writes ``scores.parquet`` and ``ledger.csv``, and ``readings.parquet`` where references have several readings. The
    files are the same bytes for any number of workers.

    Args:
        run: The run folder.
        settings: How text is compared.
        workers: Processes; ``None`` uses all cores where there is enough to do.

    Raises:
        InputError: A file is missing or damaged, or the normalizer is not known.
    """
    normalizer = get_normalizer(settings.normalizer)
    references = read_references(run, normalizer)
    counts: dict[tuple[str, str], ErrorCounts] = {}
    insertions: dict[tuple[str, str], int] = {}
    statuses = np.zeros(len(STATUSES), np.int64)
    files = [run / SCORES_FILE, run / LEDGER_FILE]
    readings = _Table(run / READINGS_FILE, _READINGS)
    scores = _Table(run / SCORES_FILE, _SCORES)
    try:
        with LedgerWriter(run / LEDGER_FILE) as ledger:
            for block in iterate_blocks(run, references, settings, workers=workers):
                key = (block.engine, block.condition)
                totals = block.words.sum(axis=0, dtype=np.int64).tolist()
                names = ("hits", "substitutions", "deletions", "insertions")
                counts[key] = ErrorCounts(**dict(zip(names, totals, strict=True)))
                insertions[key] = block.insertions_without_reference
                statuses += np.bincount(block.status, minlength=len(STATUSES))
                scores.write(_score_table(block, references))
                if block.readings:
                    readings.write(_reading_table(block, references))
                ledger.write(block.engine, block.condition, block.ledger)
            if not counts:
                raise InputError("there are no hypotheses", file=run / HYPOTHESES_FILE, remedy="Make the run again")
            scores.finish()
        if references.alternatives or normalizer.variants:
            readings.finish()
            files.append(run / READINGS_FILE)
        else:
            (run / READINGS_FILE).unlink(missing_ok=True)
    finally:
        scores.discard()
        readings.discard()
    return ScoreSummary(
        normalizer=normalizer.label,
        utterances=len(references.utterance_ids),
        rows=int(statuses.sum()),
        statuses={name: int(number) for name, number in zip(STATUSES, statuses, strict=True)},
        reasons=dict(ledger.counts),
        counts=counts,
        insertions_without_reference=insertions,
        files=tuple(files),
    )


def rescore_frame(
    run: Path,
    normalizer: str,
    *,
    characters: bool = False,
    errors_as: str = "excluded",
    empty_references: str = "insertions",
    key_terms: tuple[str, ...] = (),
    workers: int | None = None,
) -> pd.DataFrame:
    """Score a run with another normalizer in memory and write nothing.

    Args:
        run: The run folder.
        normalizer: Its name, with variants if any.
        characters: Whether characters are counted (zeros if not).
        errors_as: ``excluded`` or ``deletions``, as in the scoring settings.
        empty_references: ``insertions`` or ``excluded``, as in the scoring settings.
        key_terms: Words or phrases whose recall is counted.
        workers: As for :func:`score_run`.

    Returns:
        The columns of ``scores.parquet``, in its order; engine, condition and status are categories.

    Raises:
        InputError: A file is missing or damaged, or the normalizer is not known.
    """
    if errors_as not in {"excluded", "deletions"}:
        raise InputError("errors_as is excluded or deletions", value=errors_as)
    if empty_references not in {"insertions", "excluded"}:
        raise InputError("empty_references is insertions or excluded", value=empty_references)
    settings = ScoringSettings(
        normalizer=normalizer,
        characters=characters,
        errors_as="deletions" if errors_as == "deletions" else "excluded",
        empty_references="excluded" if empty_references == "excluded" else "insertions",
        key_terms=key_terms,
    )
    references = read_references(run, get_normalizer(normalizer))
    blocks = iterate_blocks(run, references, settings, workers=workers)
    tables = [_score_table(block, references) for block in blocks]
    if not tables:
        raise InputError("there are no hypotheses", file=run / HYPOTHESES_FILE, remedy="Make the run again")
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas(categories=["engine", "condition", "status"])
    return frame


def _score_table(block: Block, references: References) -> pa.Table:
    size = len(references.utterance_ids)
    numbers = np.hstack([block.words, block.characters, block.terms])
    return pa.table(
        [
            pa.repeat(block.engine, size),
            pa.repeat(block.condition, size),
            pa.array(references.utterance_ids, pa.string()),
            pa.DictionaryArray.from_arrays(pa.array(block.status), pa.array(STATUSES)).cast(pa.string()),
            *(pa.array(np.ascontiguousarray(numbers[:, column])) for column in range(len(COUNT_COLUMNS))),
        ],
        schema=_SCORES,
    )


def _reading_table(block: Block, references: References) -> pa.Table:
    rows = [
        (references.utterance_ids[position], number, *reading)
        for position, readings in sorted(block.readings.items())
        for number, reading in enumerate(readings)
    ]
    columns = list(zip(*rows, strict=True))
    fixed = [pa.repeat(block.engine, len(rows)), pa.repeat(block.condition, len(rows))]
    kinds = [item.type for item in list(_READINGS)[2:]]
    return pa.table(
        [*fixed, *(pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True))], schema=_READINGS
    )


class _NotFinishedError(Exception):
    """A table is thrown away."""


class _Table:
    """A Parquet file that is written block by block and appears whole or not at all."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = open_whole(path, private=True)
        self._writer: pq.ParquetWriter | None = None
        self._open = False

    def _begun(self) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file.__enter__(), self._schema, **PARQUET)
            self._open = True
        return self._writer

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self._begun().write_table(table)

    def finish(self) -> None:
        """Put the file in its place."""
        self._begun().close()
        self._open = False
        self._file.__exit__(None, None, None)

    def discard(self) -> None:
        """Remove what was not finished."""
        if self._writer is not None and self._open:
            self._writer.close()
            self._open = False
            with suppress(_NotFinishedError):
                self._file.__exit__(_NotFinishedError, _NotFinishedError(), None)
