"""The journal becomes Parquet: sorted, streamed, whole or not at all, the same bytes for the same work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.tablefile import PARQUET
from asrfair.data.wholefile import open_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from asrfair.data.manifest import Manifest
    from asrfair.recognise.journal import Journal

ROWS_PER_GROUP = 1 << 16

HYPOTHESES = pa.schema(
    [
        ("engine", pa.string()),
        ("condition", pa.string()),
        ("utterance_id", pa.string()),
        ("status", pa.string()),
        ("hypothesis", pa.large_string()),
        ("error", pa.string()),
        ("confidence", pa.float64()),
        ("language", pa.string()),
        ("words", pa.large_string()),
    ]
)
TIMINGS = pa.schema(
    [("engine", pa.string()), ("condition", pa.string()), ("utterance_id", pa.string()), ("latency_s", pa.float64())]
)
ACHIEVED = pa.schema(
    [
        ("condition", pa.string()),
        ("utterance_id", pa.string()),
        ("quantity", pa.string()),
        ("value", pa.float64()),
        ("text", pa.string()),
    ]
)


def finalise(
    journal: Journal, manifest: Manifest, run: Path, *, engines: Sequence[str], conditions: Sequence[str]
) -> None:
    """Write ``utterances``, ``hypotheses``, ``achieved`` and ``timings`` (``.parquet``) from a complete journal.

    Rows are sorted by engine and condition as the suite lists them, then by utterance id. Memory holds one row group.

    Args:
        journal: The journal.
        manifest: The manifest.
        run: The run folder.
        engines: Labels in the suite's order.
        conditions: Names in the suite's order.
    """
    write_utterances(manifest, run / "utterances.parquet")
    write_results(journal, run, engines=engines, conditions=conditions)


def write_results(journal: Journal, run: Path, *, engines: Sequence[str], conditions: Sequence[str]) -> None:
    """Write ``hypotheses``, ``achieved`` and ``timings`` (``.parquet``): all but the manifest's rows."""
    _write(run / "hypotheses.parquet", HYPOTHESES, _hypotheses(journal, engines, conditions))
    _write(run / "timings.parquet", TIMINGS, _timings(journal, engines, conditions))
    _write(run / "achieved.parquet", ACHIEVED, ((c, *item) for c in conditions for item in journal.achieved(c)))


def _hypotheses(journal: Journal, engines: Sequence[str], conditions: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for engine in engines:
        for condition in conditions:
            for row in journal.results(engine, condition):
                yield (engine, condition, *row[:7])


def _timings(journal: Journal, engines: Sequence[str], conditions: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for engine in engines:
        for condition in conditions:
            for row in journal.results(engine, condition):
                if not row.copy:
                    yield (engine, condition, row.utterance_id, row.latency_s)


def write_utterances(manifest: Manifest, path: Path) -> None:
    """Write the manifest's rows, sorted by utterance id, without what only audio needs."""
    columns = ["utterance_id", "speaker_id", "reference", "exclude", "duration_s", "language", *manifest.attributes]
    columns += [name for name in ("alternative_references",) if name in manifest.table]
    frame = manifest.table[columns].sort_values("utterance_id", kind="stable")
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with open_whole(path, private=True) as stream:
        pq.write_table(table, stream, **PARQUET, row_group_size=ROWS_PER_GROUP)


def _write(path: Path, schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> None:
    with open_whole(path, private=True) as stream, pq.ParquetWriter(stream, schema, **PARQUET) as writer:
        block: list[tuple[Any, ...]] = []
        for row in rows:
            block.append(row)
            if len(block) == ROWS_PER_GROUP:
                writer.write_table(_table(block, schema))
                block = []
        if block:
            writer.write_table(_table(block, schema))


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
