"""Streams a run's hypotheses through the scorers, one engine under one condition after the other."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.errors import EnvironmentFailedError, InputError, printable
from asrfair.scoring.counts import Counts
from asrfair.scoring.ledger import LedgerRow
from asrfair.scoring.normalize import can_be_imported
from asrfair.scoring.references import References, open_parquet
from asrfair.scoring.scorer import (
    Reading,
    Scorer,
    Task,
    TaskResult,
    own_metrics,
    quantities_of,
    score_in_worker,
    start_worker,
)
from asrfair.types import ERROR, EXCLUDED, MISSING, NO_REFERENCE, SCORED, ScoringSettings

HYPOTHESES_FILE = "hypotheses.parquet"
_COLUMNS = ("engine", "condition", "utterance_id", "status", "hypothesis", "error")
_CHUNK = 4096
_ROWS_WORTH_A_POOL = 100_000
_NO_ROW = -1
_NOT_THE_ENGINE = ("unreadable_audio", "truncated_audio", "worker_timed_out")
"""How the error of an utterance begins (a colon follows) for which the ledger has a reason of its own."""


@dataclass(kw_only=True)
class Block:
    """One engine under one condition: a row for every utterance, in the order of the references.

    Args:
        engine: Its label.
        condition: Its name.
        status: Index into :data:`asrfair.types.STATUSES`, shape (utterances,).
        counts: What was counted; zeros unless scored.
        ledger: What was not scored or looks wrong.
        readings: Index of an utterance → the readings of its reference, where there are several.
        insertions_without_reference: Words recognised where the reference has none.
    """

    engine: str
    condition: str
    status: npt.NDArray[np.int8]
    counts: Counts
    ledger: list[LedgerRow] = field(default_factory=list)
    readings: dict[int, tuple[Reading, ...]] = field(default_factory=dict)
    insertions_without_reference: int = 0


class _Part(NamedTuple):
    """Rows of a block on their way to a scorer; ``given`` says whether the engine returned something."""

    block: Block
    positions: npt.NDArray[np.int64]
    given: npt.NDArray[np.bool_]
    task: Task
    last: bool


class HypothesesFile:
    """``hypotheses.parquet`` of a run, read chunk by chunk."""

    def __init__(self, path: Path) -> None:
        self.path: Path | None = path
        with open_parquet(path, _COLUMNS) as file:
            self.rows: int = file.metadata.num_rows

    def chunks(self) -> Iterator[pa.RecordBatch]:
        """Yield its rows."""
        assert self.path is not None
        with open_parquet(self.path, _COLUMNS) as file:
            try:
                yield from file.iter_batches(batch_size=_CHUNK, columns=list(_COLUMNS))
            except (pa.ArrowException, OSError) as error:
                raise InputError(
                    f"the file cannot be read: {printable(str(error))}", file=self.path, remedy="Make the run again"
                ) from error


class HypothesesTable:
    """Hypotheses in memory, with the columns of ``hypotheses.parquet``."""

    def __init__(self, table: pa.Table) -> None:
        self.path: Path | None = None
        self.rows: int = table.num_rows
        self._table = table.select(list(_COLUMNS))

    def chunks(self) -> Iterator[pa.RecordBatch]:
        """Yield its rows."""
        yield from self._table.to_batches(max_chunksize=_CHUNK)


Hypotheses = HypothesesFile | HypothesesTable


def iterate_blocks(
    hypotheses: Hypotheses, references: References, settings: ScoringSettings, *, workers: int | None = None
) -> Iterator[Block]:
    """Yield the scored blocks of a run in the order of its hypotheses.

    Args:
        hypotheses: What was recognised.
        references: The utterances of the run, normalized.
        settings: How text is compared.
        workers: Processes; ``None`` uses all cores where there are enough rows to make it worth their start.

    Raises:
        InputError: The file is damaged, its rows are not together by engine and condition, or two rows of one
            utterance contradict each other.
    """
    parts = _parts(hypotheses, references, settings)
    for part, result in _scored(parts, hypotheses.rows, settings, workers):
        _enter(part, result, references, settings)
        if part.last:
            yield part.block


def _scored(
    parts: Iterable[_Part], rows: int, settings: ScoringSettings, workers: int | None
) -> Iterator[tuple[_Part, TaskResult]]:
    if workers is None:
        workers = _cores() if rows >= _ROWS_WORTH_A_POOL else 1
    metrics = tuple(metric.source for metric in own_metrics(settings.metrics))
    options = (settings.normalizer, settings.characters, settings.key_terms, metrics)
    if workers <= 1 or not all(metrics) or not can_be_imported(settings.normalizer):
        scorer = Scorer(
            settings.normalizer,
            characters=settings.characters,
            key_terms=settings.key_terms,
            metrics=settings.metrics,
        )
        for part in parts:
            yield part, scorer.score(part.task)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker, options) as pool:
        waiting: deque[tuple[_Part, Future[TaskResult]]] = deque()
        try:
            for part in parts:
                with _without_main_module():  # a process may be started whenever there is work for it
                    waiting.append((part, pool.submit(score_in_worker, part.task)))
                if len(waiting) > 3 * workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        except BrokenProcessPool as error:
            raise EnvironmentFailedError(
                "a process that scores was killed, perhaps for lack of memory", remedy="Use fewer workers"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Start processes that do not run the caller's script again: they need nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Gatherer:
    """Collects the rows of one block; knows which utterances have a hypothesis, and in which row it stands."""

    def __init__(
        self, engine: str, condition: str, references: References, quantities: tuple[str, ...], path: Path | None
    ) -> None:
        size = len(references.utterance_ids)
        self.block = Block(
            engine=engine,
            condition=condition,
            status=np.full(size, MISSING, np.int8),
            counts=Counts.zero(quantities, size),
        )
        self._row = np.full(size, _NO_ROW, np.int64)
        self._contents = np.zeros(size, np.int64)
        self._path = path

    def is_new(self, position: int, row: int, utterance_id: str, speaker_id: str, content: tuple[str, str]) -> bool:
        """Register a row; the same row again is a note in the ledger, another content an error."""
        key = hash(content)
        before = int(self._row[position])
        if before == _NO_ROW:
            self._row[position], self._contents[position] = row, key
            return True
        if key != self._contents[position]:
            raise InputError(
                f"two hypotheses of one utterance contradict each other: rows {before + 1} and {row + 1} "
                f"({self.block.engine}, {self.block.condition})",
                file=self._path,
                line=row + 1,
                column="utterance_id",
                value=utterance_id,
                remedy="Leave one of them",
            )
        detail = f"rows {before + 1} and {row + 1} are the same"
        self.block.ledger.append(LedgerRow(utterance_id, speaker_id, "duplicate_hypothesis", detail))
        return False

    def forget(self, position: int) -> None:
        """Take back a row: one that says that there is no hypothesis is as good as none."""
        self._row[position] = _NO_ROW

    def without_hypothesis(self) -> list[int]:
        """The utterances of which nothing has come."""
        found: list[int] = np.flatnonzero(self._row == _NO_ROW).tolist()
        return found


def _parts(hypotheses: Hypotheses, references: References, settings: ScoringSettings) -> Iterator[_Part]:
    """Read the hypotheses and cut them into parts; what needs no scorer is entered into the block at once."""
    path = hypotheses.path
    quantities = quantities_of(settings.metrics)
    position_of = {utterance_id: index for index, utterance_id in enumerate(references.utterance_ids)}
    finished: set[tuple[str, str]] = set()
    gatherer: _Gatherer | None = None
    row = -1
    for batch in hypotheses.chunks():
        columns = [pc.fill_null(batch.column(name).cast(pa.large_string()), "").to_pylist() for name in _COLUMNS]
        builder = _Builder(references)
        for engine, condition, utterance_id, status, text, error in zip(*columns, strict=True):
            row += 1
            if gatherer is None or gatherer.block.engine != engine or gatherer.block.condition != condition:
                if gatherer is not None:
                    yield builder.part(gatherer.block)
                    builder = _Builder(references)
                    yield _rest(gatherer, references, settings)
                if (engine, condition) in finished:
                    raise InputError(
                        "the rows of one engine and condition are not together",
                        file=path,
                        line=row + 1,
                        value=f"{engine}, {condition}",
                        remedy="Sort the file by engine and condition",
                    )
                finished.add((engine, condition))
                gatherer = _Gatherer(engine, condition, references, quantities, path)
            block = gatherer.block
            position = position_of.get(utterance_id)
            if position is None:
                detail = "the manifest has no such utterance"
                block.ledger.append(LedgerRow(utterance_id, "", "unknown_utterance", detail))
                continue
            speaker = references.speaker_ids[position]
            if not gatherer.is_new(position, row, utterance_id, speaker, (status, text)):
                continue
            if references.exclude[position]:
                continue
            if status in {"ok", "empty"}:
                builder.add(position, text if status == "ok" else "", given=True)
            else:
                if status == "missing":
                    gatherer.forget(position)
                    continue
                reason = next((name for name in _NOT_THE_ENGINE if error.startswith(f"{name}:")), "engine_error")
                detail = error.removeprefix(f"{reason}:").strip()
                block.ledger.append(LedgerRow(utterance_id, speaker, reason, detail))
                block.status[position] = ERROR
                if settings.errors_as == "deletions":
                    builder.add(position, "", given=False)
        if gatherer is not None:
            yield builder.part(gatherer.block)
    if gatherer is not None:
        yield _rest(gatherer, references, settings)


class _Builder:
    """Gathers the rows of a part."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._positions: list[int] = []
        self._given: list[bool] = []
        self._texts: list[str] = []
        self._alternatives: dict[int, tuple[str, ...]] = {}

    def add(self, position: int, text: str, *, given: bool) -> None:
        """Add an utterance with what was recognised; ``given`` is false where that is nothing by decree."""
        others = self._references.alternatives.get(position)
        if others:
            self._alternatives[len(self._positions)] = others
        self._positions.append(position)
        self._given.append(given)
        self._texts.append(text)

    def part(self, block: Block, *, last: bool = False) -> _Part:
        """Return what was gathered."""
        texts = self._references.texts
        task = Task(
            references=[texts[position] for position in self._positions],
            hypotheses=self._texts,
            alternatives=self._alternatives,
        )
        positions = np.array(self._positions, np.int64)
        return _Part(block, positions, np.array(self._given, np.bool_), task, last)


def _rest(gatherer: _Gatherer, references: References, settings: ScoringSettings) -> _Part:
    """Close a block: the excluded utterances, and those without a hypothesis."""
    block = gatherer.block
    builder = _Builder(references)
    for position in gatherer.without_hypothesis():
        if references.exclude[position]:
            continue
        utterance_id, speaker = references.utterance_ids[position], references.speaker_ids[position]
        block.ledger.append(LedgerRow(utterance_id, speaker, "missing_hypothesis", ""))
        if settings.errors_as == "deletions":
            builder.add(position, "", given=False)
    for position, reason in enumerate(references.exclude):
        if reason:
            block.status[position] = EXCLUDED
            row = LedgerRow(references.utterance_ids[position], references.speaker_ids[position], "excluded", reason)
            block.ledger.append(row)
    return builder.part(block, last=True)


def _enter(part: _Part, result: TaskResult, references: References, settings: ScoringSettings) -> None:
    """Write the result of a part into its block."""
    block, positions = part.block, part.positions
    ref_words = result.counts.sum_of(("hits", "substitutions", "deletions"))
    hyp_words = result.counts.sum_of(("hits", "substitutions", "insertions"))
    notes = list(result.notes)
    refused = np.zeros(len(positions), np.bool_)
    refused[[row for row, reason, _ in notes if reason == "not_scorable"]] = True
    failed = np.array([position in references.failed for position in positions.tolist()], np.bool_)
    empty = (ref_words == 0) & ~refused & ~failed
    refused |= failed
    scored = ~refused & ~empty if settings.empty_references == "excluded" else ~refused
    target = positions[scored]
    block.status[target] = SCORED
    block.counts.values[target] = result.counts.values[scored]
    block.status[positions[refused]] = ERROR
    if settings.errors_as == "deletions":
        for row in np.flatnonzero(refused & ~failed).tolist():
            _delete_all(block, int(positions[row]), part.task.references[row], settings)
    notes += [(row, "not_scorable", references.failed[int(positions[row])]) for row in np.flatnonzero(failed).tolist()]
    for row in np.flatnonzero(empty).tolist():
        inserted = int(hyp_words[row])
        block.insertions_without_reference += inserted
        if not scored[row]:
            block.status[positions[row]] = NO_REFERENCE
        how = "counted as insertions" if scored[row] else "counted nowhere"
        notes.append((row, "empty_reference", f"{inserted} words were recognised: {how}"))
        if inserted:
            notes.append((row, "text_on_silence", f"{inserted} words"))
    for row in np.flatnonzero(scored & part.given & ~empty & (hyp_words == 0)).tolist():
        detail = "nothing was recognised" if not part.task.hypotheses[row].strip() else "no words after normalization"
        notes.append((row, "empty_hypothesis", f"{detail}: {int(ref_words[row])} deletions"))
    for row, reason, detail in notes:
        position = int(positions[row])
        block.ledger.append(
            LedgerRow(references.utterance_ids[position], references.speaker_ids[position], reason, detail)
        )
    for row, found in result.readings.items():
        block.readings[int(positions[row])] = found


def _delete_all(block: Block, position: int, reference: str, settings: ScoringSettings) -> None:
    """Count every word of a reference as a deletion."""
    block.status[position] = SCORED
    block.counts.values[position] = 0
    block.counts["deletions"][position] = len(reference.split())
    if settings.characters:
        block.counts["char_deletions"][position] = len(reference)
