"""Scores a run folder: utterances and hypotheses in, ``scores.parquet`` and ``ledger.csv`` out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.runfile import changing
from asrfair.data.tablefile import PARQUET
from asrfair.data.trust import name_code
from asrfair.data.wholefile import open_whole
from asrfair.errors import InputError
from asrfair.scoring.blocks import HYPOTHESES_FILE, Block, Hypotheses, HypothesesFile, HypothesesTable, iterate_blocks
from asrfair.scoring.ledger import COLUMNS as LEDGER_COLUMNS
from asrfair.scoring.ledger import LedgerWriter
from asrfair.scoring.metric import QUANTITIES
from asrfair.scoring.normalize import TextNormalizer, get_normalizer
from asrfair.scoring.references import References, as_text, read_references, references_of
from asrfair.scoring.scorer import quantities_of
from asrfair.types import STATUSES, ErrorCounts, ScoringSettings

SCORES_FILE = "scores.parquet"
LEDGER_FILE = "ledger.csv"
READINGS_FILE = "readings.parquet"

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
        files: The files written; none where the scores are in memory.
    """

    normalizer: str
    utterances: int
    rows: int
    statuses: Mapping[str, int]
    reasons: Mapping[str, int]
    counts: Mapping[tuple[str, str], ErrorCounts]
    insertions_without_reference: Mapping[tuple[str, str], int]
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class ScoredTables:
    """Scores in memory.

    Args:
        scores: As ``scores.parquet``; engine, condition and status are dictionaries.
        ledger: As ``ledger.csv``.
        summary: What was scored.
    """

    scores: pa.Table
    ledger: pd.DataFrame
    summary: ScoreSummary


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
    name_code([settings.normalizer])
    with changing(run, "its transcripts are being scored"):
        return _score(run, settings, workers)


def _score(run: Path, settings: ScoringSettings, workers: int | None) -> ScoreSummary:
    normalizer = get_normalizer(settings.normalizer)
    references = read_references(run, normalizer)
    tally = _Tally(normalizer)
    files = [run / SCORES_FILE, run / LEDGER_FILE]
    schema = _schema(quantities_of(settings.metrics))
    hypotheses = HypothesesFile(run / HYPOTHESES_FILE)
    with ExitStack() as open_files:
        scores = _parquet(open_files, run / SCORES_FILE, schema)
        readings = None
        if references.alternatives or normalizer.variants:
            readings = _parquet(open_files, run / READINGS_FILE, _READINGS)
            files.append(run / READINGS_FILE)
        ledger = open_files.enter_context(LedgerWriter(run / LEDGER_FILE))
        for block in iterate_blocks(hypotheses, references, settings, workers=workers):
            tally.add(block)
            scores.write_table(_score_table(block, references).cast(schema))
            if readings is not None and block.readings:
                readings.write_table(_reading_table(block, references))
            ledger.write(block.engine, block.condition, block.ledger)
        if not tally.counts:
            raise InputError("there are no hypotheses", file=run / HYPOTHESES_FILE, remedy="Make the run again")
    if readings is None:
        (run / READINGS_FILE).unlink(missing_ok=True)
    return tally.summary(references, ledger.counts, files)


def score_tables(utterances: pa.Table, hypotheses: pa.Table, settings: ScoringSettings) -> ScoredTables:
    """Score hypotheses in memory, by the same steps as :func:`score_run`, and write nothing.

    Args:
        utterances: ``utterance_id``, ``speaker_id``, ``reference``, ``exclude``; nulls are empty.
        hypotheses: The columns of ``hypotheses.parquet``: engine, condition, utterance_id, status, hypothesis, error.
        settings: How text is compared.

    Raises:
        InputError: The normalizer or a metric is not known, or two rows of one utterance contradict each other.
    """
    normalizer = get_normalizer(settings.normalizer)
    references = references_of(as_text(utterances), normalizer)
    return _in_memory(HypothesesTable(hypotheses), references, normalizer, settings, None)


def rescore_tables(run: Path, settings: ScoringSettings, *, workers: int | None = None) -> ScoredTables:
    """Score a run folder by other rules in memory and write nothing.

    Args:
        run: The run folder.
        settings: How text is compared.
        workers: As for :func:`score_run`.

    Raises:
        InputError: A file is missing or damaged, or the normalizer is not known.
    """
    normalizer = get_normalizer(settings.normalizer)
    hypotheses = HypothesesFile(run / HYPOTHESES_FILE)
    return _in_memory(hypotheses, read_references(run, normalizer), normalizer, settings, workers)


def _in_memory(
    hypotheses: Hypotheses,
    references: References,
    normalizer: TextNormalizer,
    settings: ScoringSettings,
    workers: int | None,
) -> ScoredTables:
    tally = _Tally(normalizer)
    tables: list[pa.Table] = []
    rows: list[tuple[str, ...]] = []
    for block in iterate_blocks(hypotheses, references, settings, workers=workers):
        tally.add(block)
        tables.append(_score_table(block, references))
        rows.extend((block.engine, block.condition, *row) for row in sorted(block.ledger))
    if not tables:
        raise InputError("there are no hypotheses", file=hypotheses.path, remedy="Make the run again")
    ledger = pd.DataFrame(rows, columns=list(LEDGER_COLUMNS), dtype=str)
    reasons = Counter(row[4] for row in rows)
    return ScoredTables(
        scores=pa.concat_tables(tables).unify_dictionaries(),
        ledger=ledger,
        summary=tally.summary(references, reasons, []),
    )


def _parquet(open_files: ExitStack, path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Begin a Parquet file that appears, whole, when the files are closed without an error."""
    stream = open_files.enter_context(open_whole(path, private=True))
    return open_files.enter_context(pq.ParquetWriter(stream, schema, **PARQUET))


class _Tally:
    """What the summary says, added up block by block."""

    def __init__(self, normalizer: TextNormalizer) -> None:
        self.counts: dict[tuple[str, str], ErrorCounts] = {}
        self._normalizer = normalizer.label
        self._insertions: dict[tuple[str, str], int] = {}
        self._statuses = np.zeros(len(STATUSES), np.int64)

    def add(self, block: Block) -> None:
        key = (block.engine, block.condition)
        self.counts[key] = block.counts.pooled(f"words, {self._normalizer}")
        self._insertions[key] = block.insertions_without_reference
        self._statuses += np.bincount(block.status, minlength=len(STATUSES))

    def summary(self, references: References, reasons: Mapping[str, int], files: Sequence[Path]) -> ScoreSummary:
        return ScoreSummary(
            normalizer=self._normalizer,
            utterances=len(references.utterance_ids),
            rows=int(self._statuses.sum()),
            statuses={name: int(number) for name, number in zip(STATUSES, self._statuses, strict=True)},
            reasons=dict(reasons),
            counts=self.counts,
            insertions_without_reference=self._insertions,
            files=tuple(files),
        )


def _schema(quantities: Sequence[str]) -> pa.Schema:
    """Columns of ``scores.parquet``; what metrics of one's own count may be in millionths, and needs more room."""
    keys = [(name, pa.string()) for name in ("engine", "condition", "utterance_id", "status")]
    return pa.schema([*keys, *((name, pa.int32() if name in QUANTITIES else pa.int64()) for name in quantities)])


def _score_table(block: Block, references: References) -> pa.Table:
    size = len(references.utterance_ids)

    def same(value: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), size), pa.array([value]))

    columns = {
        "engine": same(block.engine),
        "condition": same(block.condition),
        "utterance_id": pa.array(references.utterance_ids, pa.string()),
        "status": pa.DictionaryArray.from_arrays(pa.array(block.status, pa.int32()), pa.array(STATUSES)),
    }
    kinds = _schema(block.counts.names)
    for name in block.counts.names:
        columns[name] = pa.array(np.ascontiguousarray(block.counts[name]), pa.int64()).cast(kinds.field(name).type)
    return pa.table(columns)


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
