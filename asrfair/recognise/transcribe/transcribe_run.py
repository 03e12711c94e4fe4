"""Transcribes a manifest with several engines under several conditions, into a run folder; resumes what was cut off."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asrfair.acoustics import RenderContext, needs_manifest
from asrfair.data.gpu import watched
from asrfair.data.provenance import free_memory_bytes, usable_cores
from asrfair.progress import Progress
from asrfair.recognise.engines import Engine, EngineContext, EngineTraits, create, traits_of
from asrfair.recognise.journal import Event, Journal, begin_anew, row_of
from asrfair.recognise.transcribe.channel import Ready
from asrfair.recognise.transcribe.finalise import finalise
from asrfair.recognise.transcribe.identity import check_settings, fingerprints, public_options
from asrfair.recognise.transcribe.plan import Plan, Roster, ShardOrder, make_roster, pending, plan_batches
from asrfair.recognise.transcribe.pool import IteratorSource, Pool
from asrfair.recognise.transcribe.recordings import check_recordings
from asrfair.recognise.transcribe.summary import EngineSummary, TranscribeSummary
from asrfair.recognise.transcribe.work import Begun, Done, Job, Lost, Preparer, Setup, lost_row, recognise
from asrfair.recognise.transcribe.workers import (
    AHEAD_OF_ENGINE,
    FEEDER_AHEAD,
    Lookup,
    fed_worker,
    start_engine,
    statistics_of,
    whole_worker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from asrfair.acoustics import Condition
    from asrfair.data.manifest import Manifest
    from asrfair.types import EngineSpec, Utterance

ROWS_AT_A_TIME = 512
"""Rows of the manifest that are turned into utterances at a time: what is in flight stays bounded."""

MEMORY_SHARE = 0.8
"""How much of the free memory the workers of an engine may be expected to take."""


def transcribe(
    manifest: Manifest,
    engines: Sequence[EngineSpec],
    conditions: Sequence[Condition],
    run: Path,
    *,
    seed: int = 1,
    workers: int | None = None,
    fresh: bool = False,
    progress: bool = True,
    base: Path | None = None,
    retry_errors: bool = False,
    shard: tuple[int, int] = (0, 1),
    alone: frozenset[str] | None = None,
) -> TranscribeSummary:
    """Transcribe every utterance that is not excluded, with every engine, under every condition.

    Writes the journal while it works and ``utterances``, ``hypotheses``, ``achieved`` and ``timings`` (``.parquet``)
    at the end. All but ``timings`` are the same bytes for the same work, whatever the number of workers, the order of
    the manifest's rows, kills and resumes.

    Args:
        manifest: The manifest.
        engines: Engines with labels of their own.
        conditions: Conditions with names of their own.
        run: The run folder; made if need be, resumed if it holds this run.
        seed: Seed of everything that is drawn.
        workers: Worker processes; ``None`` is one a core.
        fresh: Throw away what the journal holds.
        progress: Whether to show progress on standard error.
        base: The folder that relative paths in engine options start from; the current one by default.
        retry_errors: On a resume, try those again that ended in an error.
        shard: ``(i, n)``: only every n-th batch, from the i-th on, counted from 0.
        alone: Only these utterances, each in a batch of its own; the corpus that noise is made from stays whole.

    Raises:
        InputError: The folder holds another run (or is in use), a recording was replaced since it began, or a name or
            option is wrong.
        EngineError: An engine cannot start or has failed as a whole. What was recorded stays and is resumed.
        KeyboardInterrupt: Ctrl-C, or a termination signal; likewise.
    """
    start = time.monotonic()
    workers = workers if workers is not None else usable_cores()
    check_settings(engines, conditions, workers=workers, shard=shard)
    context = EngineContext(
        seed=seed, conditions=tuple(condition.name for condition in conditions), base=base or Path.cwd()
    )
    traits = {spec.label: traits_of(spec, context) for spec in engines}
    if alone is not None:
        traits = {label: replace(stated, max_batch=1) for label, stated in traits.items()}
    if fresh:
        begin_anew(run)
    with Journal(run) as journal, _terminable():
        journal.check(fingerprints(manifest, engines, traits, conditions, context, shard))
        if retry_errors:
            journal.forget_errors()
        resumed = sum(journal.counts().values())
        listens = any(stated.needs_audio for stated in traits.values())
        roster = make_roster(manifest, journal, audio=listens)
        mixed = listens and any(needs_manifest(condition) for condition in conditions)
        if listens:
            check_recordings(manifest, roster, journal, mixed=mixed)
        todo = _Run(
            manifest=manifest,
            journal=journal,
            conditions=tuple(conditions),
            context=context,
            seed=seed,
            workers=workers,
            shard=shard,
            alone=alone,
            roster=roster,
            mixed=mixed,
            progress=progress,
            measured=next((spec.label for spec in engines if traits[spec.label].needs_audio), None),
        )
        summaries = {spec.label: todo.engine(spec, traits[spec.label]) for spec in engines}
        finalise(
            journal, manifest, run, engines=[spec.label for spec in engines], conditions=[c.name for c in conditions]
        )
        return TranscribeSummary(
            engines=summaries,
            counts=journal.counts(),
            resumed=resumed,
            wall_s=time.monotonic() - start,
            workers=workers,
            events=tuple(journal.events()),
        )


class _Run:
    """What the engines of one run share."""

    def __init__(
        self,
        *,
        manifest: Manifest,
        journal: Journal,
        conditions: tuple[Condition, ...],
        context: EngineContext,
        seed: int,
        workers: int,
        shard: tuple[int, int],
        alone: frozenset[str] | None,
        roster: Roster,
        mixed: bool,
        progress: bool,
        measured: str | None,
    ) -> None:
        self.manifest = manifest
        self.journal = journal
        self.conditions = conditions
        self.context = context
        self.seed = seed
        self.workers = workers
        self.shard = shard
        self.alone = alone
        self.roster = roster
        self.mixed = mixed
        self.progress = progress
        self.measured = measured
        self.started = time.monotonic()
        self._open: dict[int, Job] = {}

    def engine(self, spec: EngineSpec, traits: EngineTraits) -> EngineSummary:
        """Do what is left to do for one engine."""
        started = self.started = time.monotonic()
        plan = plan_batches(self.roster.durations_s, max_batch=traits.max_batch, max_padded_s=traits.max_padded_s)
        summary = EngineSummary(
            label=spec.label,
            name=spec.name,
            options=public_options(spec, self.context.base),
            batches=len(plan),
            padding_efficiency=plan.padding_efficiency(self.roster.durations_s),
            paid=traits.paid,
        )
        left = np.stack([pending(self.roster, self.journal.done(spec.label, c.name)) for c in self.conditions], axis=1)
        mine = np.concatenate([plan[n] for n in range(self.shard[0], len(plan), self.shard[1])] or [plan.order[:0]])
        left[np.setdiff1d(np.arange(len(left)), mine)] = False
        if self.alone is not None:
            left[[utterance_id not in self.alone for utterance_id in self.roster.ids]] = False
        rows = int(left.sum())
        if rows:
            setup = self._setup(spec, traits)
            display = Progress(
                rows,
                total_s=float((left.sum(axis=1) * self.roster.durations_s).sum()) if traits.needs_audio else 0.0,
                description=spec.label,
                enabled=self.progress,
            )
            with display:
                self._work(setup, plan, left, summary, display)
            self.journal.flush()
        elif traits.parallel == "inline":  # cheap to start: notice even now that what it reads has changed
            engine = create(spec, replace(self.context, table=self.manifest.table))
            self.journal.check_engine(spec.label, engine.fingerprint())
            engine.close()
        summary.asked_again = self.journal.asked_again(spec.label) if traits.paid else 0
        summary.fingerprint = self.journal.engine_fingerprint(spec.label)
        summary.wall_s = time.monotonic() - started
        return summary

    def _setup(self, spec: EngineSpec, traits: EngineTraits) -> Setup:
        mixed = self.mixed and traits.needs_audio
        return Setup(
            spec=spec,
            context=self.context,
            traits=traits,
            conditions=self.conditions,
            seed=self.seed,
            corpus=RenderContext.of(self.manifest.utterances()) if mixed else RenderContext(),
            measure=spec.label == self.measured,
        )

    def _work(
        self, setup: Setup, plan: Plan, left: npt.NDArray[np.bool_], summary: EngineSummary, display: Progress
    ) -> None:
        label = setup.spec.label
        jobs = self._jobs(plan, left)
        if setup.traits.parallel == "inline":
            for answer in self._inline(setup, jobs, summary):
                self._take(label, answer, None, summary, display)
            return
        count = max(1, min(self.workers, int(left.any(axis=1).sum())))
        target: Callable[..., None]
        if setup.traits.parallel == "processes":
            threads = setup.traits.threads
            count = _bounded(max(1, count // threads), setup.traits.memory_bytes)
            setups = [replace(setup, context=replace(setup.context, threads=threads)) for _ in range(count)]
            target, ahead, engines = whole_worker, 2, count
        else:
            devices = setup.traits.devices if setup.traits.parallel == "device" else ("",)
            feeders = max(1, -(-count // len(devices)))
            threads = max(1, usable_cores() // len(devices))
            setups = [
                replace(setup, feeders=feeders, context=replace(setup.context, device=device, threads=threads))
                for device in devices
            ]
            target, ahead = fed_worker, feeders * FEEDER_AHEAD + AHEAD_OF_ENGINE + setup.traits.concurrency
            engines = len(setups) * setup.traits.concurrency
        fed = target is fed_worker
        summary.workers = len(setups) * (feeders + 1) if fed else count
        summary.engines = engines
        with (
            watched(() if not fed else setup.traits.devices) as summary.gpu,
            Pool(
                target,
                setups,
                ahead=ahead,
                one_thread=not fed,
                daemon=not fed,
                batch_s=setup.traits.patience_s,
                paid=setup.traits.paid,
            ) as pool,  # fmt: skip
        ):
            source = IteratorSource(_noted(jobs, self._open) if setup.traits.paid else jobs)
            for message in pool.run(source):
                self._take(label, message, pool, summary, display)
        summary.replaced_workers = pool.replaced
        summary.statistics = pool.statistics

    def _inline(self, setup: Setup, jobs: Iterator[Job], summary: EngineSummary) -> Iterator[Ready | Done]:
        """Work in this process, without any worker."""
        lookup = Lookup()
        context = replace(setup.context, table=self.manifest.table)
        engine = start_engine(replace(setup, context=context), lookup)
        try:
            yield Ready(payload=engine.fingerprint())
            self._leftovers(setup.spec.label, engine)  # first: on a resume, nothing else may be left to do
            preparer = Preparer(setup)
            for job in jobs:
                lookup.add(job.utterances)
                for batch in preparer.prepare(job):
                    yield recognise(engine, batch)
            summary.statistics = statistics_of(engine)
        finally:
            engine.close()

    def _leftovers(self, label: str, engine: Engine) -> None:
        """Record what an engine has beyond what it was asked for: rows of a file for unknown or repeated ids."""
        leftovers = getattr(engine, "leftovers", None)
        if leftovers is None or self.shard[0]:
            return
        for condition in self.conditions:
            seen: dict[str, int] = {}
            rows = []
            for hypothesis in leftovers(condition.name):
                seen[hypothesis.utterance_id] = seen.get(hypothesis.utterance_id, 0) + 1
                rows.append(row_of(hypothesis, copy=seen[hypothesis.utterance_id]))
            self.journal.record(label, condition.name, rows)

    def _take(self, label: str, message: object, pool: Pool | None, summary: EngineSummary, display: Progress) -> None:
        """Record one message of a worker."""
        if isinstance(message, Ready):
            summary.start_s = summary.start_s or time.monotonic() - self.started
            self.journal.check_engine(label, message.payload)
        elif isinstance(message, Begun):
            if summary.paid:
                self._asked(label, message)
        elif isinstance(message, Done):
            condition = self.conditions[message.condition].name
            self.journal.record(label, condition, message.rows, message.achieved, paid=summary.paid)
            for split in message.splits:
                self._note(label, condition, message.rows[0].utterance_id, "batch_split", split)
            summary.results += len(message.rows)
            summary.audio_s += message.audio_s
            summary.stages.add(message.times)
            display.advance(len(message.rows), message.audio_s)
        elif isinstance(message, Lost):
            condition = self.conditions[message.condition].name
            utterances = message.job.utterances
            kind = "worker_timed_out" if message.late else "worker_killed"
            self._note(label, condition, utterances[0].utterance_id, kind, message.reason)
            if len(utterances) == 1 or pool is None:
                self.journal.record(label, condition, [lost_row(u.utterance_id, message) for u in utterances])
                summary.results += len(utterances)
                display.advance(len(utterances))
                return
            for utterance in utterances:  # one of them is to blame; the others shall not suffer for it
                job = Job(number=self._fresh_number(), utterances=(utterance,), conditions=(message.condition,))
                if summary.paid:
                    self._open[job.number] = job
                pool.push(job)

    def _asked(self, label: str, begun: Begun) -> None:
        """Note that a service is being asked, so that a run that is cut off knows what may be paid for again."""
        job = self._open.get(begun.job)
        if job is not None:
            ids = [utterance.utterance_id for utterance in job.utterances]
            self.journal.ask(label, self.conditions[begun.condition].name, ids)

    _singles = 0

    def _fresh_number(self) -> int:
        self._singles += 1
        return -self._singles

    def _note(self, engine: str, condition: str, utterance_id: str, kind: str, detail: str) -> None:
        self.journal.note(
            Event(engine=engine, condition=condition, utterance_id=utterance_id, kind=kind, detail=detail)
        )

    def _jobs(self, plan: Plan, left: npt.NDArray[np.bool_]) -> Iterator[Job]:
        """Yield what is left to do, whole batches only, in the plan's order, or shard by shard."""
        block: list[tuple[int, npt.NDArray[np.int64], tuple[int, ...]]] = []
        size = 0
        order = ShardOrder(self.manifest, self.roster, plan)
        for number in order.numbers.tolist():
            if number % self.shard[1] != self.shard[0]:
                continue
            positions = plan[number]
            open_ = np.flatnonzero(left[positions].any(axis=0))
            if len(open_):
                block.append((number, positions, tuple(open_.tolist())))
                size += len(positions)
            if size >= ROWS_AT_A_TIME:
                yield from self._built(block, order)
                block, size = [], 0
        yield from self._built(block, order)

    def _built(
        self, block: list[tuple[int, npt.NDArray[np.int64], tuple[int, ...]]], order: ShardOrder
    ) -> Iterator[Job]:
        if not block:
            return
        rows = self.roster.rows[np.concatenate([positions for _, positions, _ in block])]
        utterances: Iterator[Utterance] = replace(self.manifest, table=self.manifest.table.iloc[rows]).utterances()
        for number, positions, conditions in block:
            yield Job(
                number=number,
                utterances=tuple(next(utterances) for _ in positions),
                conditions=conditions,
                soon=order.soon(number),
            )


def _noted(jobs: Iterator[Job], noted: dict[int, Job]) -> Iterator[Job]:
    """Yield jobs and keep them by number."""
    for job in jobs:
        noted[job.number] = job
        yield job


def _bounded(count: int, memory_bytes: int) -> int:
    """Return how many workers there is memory for; one at least."""
    free = free_memory_bytes() if memory_bytes else None
    return count if free is None else max(1, min(count, int(MEMORY_SHARE * free / memory_bytes)))


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a termination signal (a batch system's, say) end the run as Ctrl-C does: resumable."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001 -- a signal handler's arguments
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if previous is None else previous)
