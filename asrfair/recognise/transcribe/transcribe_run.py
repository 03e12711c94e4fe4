"""Transcribes a manifest with several engines under several conditions, into a run folder; resumes what was cut off."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asrfair.acoustics import RenderContext, needs_manifest
from asrfair.data.provenance import usable_cores
from asrfair.progress import Progress
from asrfair.recognise.engines import EngineContext, EngineTraits, create, traits_of
from asrfair.recognise.journal import Event, Journal, begin_anew, row_of
from asrfair.recognise.transcribe.crew import Crew, Machines, Message, ThisMachine
from asrfair.recognise.transcribe.finalise import finalise
from asrfair.recognise.transcribe.identity import check_settings, fingerprints, public_options
from asrfair.recognise.transcribe.plan import Plan, Roster, ShardOrder, make_roster, pending, plan_batches
from asrfair.recognise.transcribe.recordings import check_recordings
from asrfair.recognise.transcribe.summary import EngineSummary, TranscribeSummary
from asrfair.recognise.transcribe.work import Begun, Done, Job, Lost, Ready, Setup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from asrfair.acoustics import Condition
    from asrfair.data.manifest import Manifest
    from asrfair.types import EngineSpec, Utterance

ROWS_AT_A_TIME = 512
"""Rows of the manifest that are turned into utterances at a time: what is in flight stays bounded."""


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
    on: str = "",
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
        on: Where to work: this machine, or ``ray`` or ``ray://HOST:PORT``, a cluster that Ray runs.

    Raises:
        InputError: The folder holds another run (or is in use), a recording was replaced since it began, or a name or
            option is wrong.
        EngineError: An engine cannot start or has failed as a whole. What was recorded stays and is resumed.
        KeyboardInterrupt: Ctrl-C, or a termination signal; likewise.
    """
    start = time.monotonic()
    check_settings(engines, conditions, workers=workers, shard=shard)
    context = EngineContext(
        seed=seed, conditions=tuple(condition.name for condition in conditions), base=base or Path.cwd()
    )
    traits = {spec.label: traits_of(spec, context) for spec in engines}
    if alone is not None:
        traits = {label: replace(stated, max_batch=1) for label, stated in traits.items()}
    if fresh:
        begin_anew(run)
    with _machines(on, workers) as machines, Journal(run) as journal, _terminable():
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
            machines=machines,
            shard=shard,
            alone=alone,
            roster=roster,
            corpus=RenderContext.of(manifest.utterances()) if mixed else RenderContext(),
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
            workers=machines.workers,
            events=tuple(journal.events()),
            on=machines.volatile(),
            where=machines.words(),
        )


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What the engines of one run share.

    The way of an utterance: the manifest's row → a batch of the plan (:meth:`_jobs`) → decoded and put into its
    conditions (``work.Preparer``) → the engine (``work.recognise``) → a message of the crew (:meth:`_take`) → the journal.

    Args:
        manifest: The manifest.
        journal: Where results go; nobody else writes there.
        conditions: The run's conditions, in order.
        context: What every engine is told.
        machines: Where the work is done.
        shard: ``(i, n)``: only every n-th batch, from the i-th on.
        alone: Only these utterances, if given.
        roster: The utterances and their lengths.
        corpus: What babble and speech-shaped noise are made from; empty where no condition is.
        progress: Whether to show progress.
        measured: The engine whose workers also measure what was achieved: the first that hears anything.
    """

    manifest: Manifest
    journal: Journal
    conditions: tuple[Condition, ...]
    context: EngineContext
    machines: Machines
    shard: tuple[int, int]
    alone: frozenset[str] | None
    roster: Roster
    corpus: RenderContext
    progress: bool
    measured: str | None

    def engine(self, spec: EngineSpec, traits: EngineTraits) -> EngineSummary:
        """Do what is left to do for one engine."""
        started = time.monotonic()
        plan = plan_batches(self.roster.durations_s, max_batch=traits.max_batch, max_padded_s=traits.max_padded_s)
        summary = EngineSummary(
            label=spec.label,
            name=spec.name,
            options=public_options(spec, self.context.base),
            batches=len(plan),
            padding_efficiency=plan.padding_efficiency(self.roster.durations_s),
            paid=traits.paid,
        )
        left = self._left(spec.label, plan)
        if left.any():
            setup = self._setup(spec, traits)
            display = Progress(
                int(left.sum()),
                total_s=float((left.sum(axis=1) * self.roster.durations_s).sum()) if traits.needs_audio else 0.0,
                description=spec.label,
                enabled=self.progress,
            )
            with display, self.machines.crew(setup, int(left.any(axis=1).sum())) as crew:
                summary.workers, summary.engines = crew.processes, crew.engines
                for message in crew.run(self._jobs(plan, left)):
                    if isinstance(message, Ready):
                        summary.start_s = summary.start_s or time.monotonic() - started
                    self._take(message, crew, summary, display)
            summary.replaced_workers, summary.statistics, summary.gpu = crew.replaced, crew.statistics, crew.gpu
            self.journal.flush()
        elif traits.parallel == "inline":  # cheap to start: notice even now that what it reads has changed
            engine = create(spec, replace(self.context, table=self.manifest.table))
            self.journal.check_engine(spec.label, engine.fingerprint())
            engine.close()
        summary.asked_again = self.journal.asked_again(spec.label) if traits.paid else 0
        summary.fingerprint = self.journal.engine_fingerprint(spec.label)
        summary.wall_s = time.monotonic() - started
        return summary

    def _left(self, label: str, plan: Plan) -> npt.NDArray[np.bool_]:
        """Return what an engine has left to do of this shard, shape (utterances of the roster, conditions)."""
        left = np.stack([pending(self.roster, self.journal.done(label, c.name)) for c in self.conditions], axis=1)
        mine = np.concatenate([plan[n] for n in range(self.shard[0], len(plan), self.shard[1])] or [plan.order[:0]])
        left[np.setdiff1d(np.arange(len(left)), mine)] = False
        if self.alone is not None:
            left[[utterance_id not in self.alone for utterance_id in self.roster.ids]] = False
        return left

    def _setup(self, spec: EngineSpec, traits: EngineTraits) -> Setup:
        """Return what an engine's workers need to begin; the manifest's table stays in this process."""
        table = self.manifest.table if traits.parallel == "inline" else None
        return Setup(
            spec=spec,
            context=replace(self.context, table=table),
            traits=traits,
            conditions=self.conditions,
            seed=self.context.seed,
            corpus=self.corpus if traits.needs_audio else RenderContext(),
            measure=spec.label == self.measured,
        )

    def _take(self, message: Message, crew: Crew, summary: EngineSummary, display: Progress) -> None:
        """Record one message of a crew."""
        if isinstance(message, Ready):
            self.journal.check_engine(summary.label, message.fingerprint or {})
            return
        condition = self.conditions[message.condition].name
        if isinstance(message, Done):
            self.journal.record(summary.label, condition, message.rows, message.achieved, paid=summary.paid)
            for split in message.splits:
                self._note(summary.label, condition, message.rows[0].utterance_id, "batch_split", split)
            summary.results += len(message.rows)
            summary.audio_s += message.audio_s
            summary.stages.add(message.times)
            display.advance(len(message.rows), message.audio_s)
        elif isinstance(message, Begun):
            if summary.paid:  # a run that is cut off knows what may be paid for again
                self.journal.ask(summary.label, condition, [u.utterance_id for u in message.job.utterances])
        elif isinstance(message, Lost):
            self._lost(message, condition, crew, summary, display)
        elif not self.shard[0]:
            seen: Counter[str] = Counter()
            rows = []
            for hypothesis in message.hypotheses:
                seen[hypothesis.utterance_id] += 1
                rows.append(row_of(hypothesis, copy=seen[hypothesis.utterance_id]))
            self.journal.record(summary.label, condition, rows)

    def _lost(self, lost: Lost, condition: str, crew: Crew, summary: EngineSummary, display: Progress) -> None:
        """Give up an utterance whose worker died again; of a batch, find the one to blame first."""
        utterances = lost.job.utterances
        kind = "worker_timed_out" if lost.late else "worker_killed"
        self._note(summary.label, condition, utterances[0].utterance_id, kind, lost.how)
        if len(utterances) == 1:
            self.journal.record(summary.label, condition, [lost.row(utterances[0].utterance_id)])
            summary.results += 1
            display.advance(1)
            return
        for utterance in utterances:
            summary.singles += 1
            crew.push(Job(number=-summary.singles, utterances=(utterance,), conditions=(lost.condition,)))

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
        """Turn batches (number, positions in the roster, conditions) into jobs with their utterances."""
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


def _machines(on: str, workers: int | None) -> Machines:
    """Return where to work; Ray is imported only where it is asked for."""
    if not on:
        return ThisMachine(usable_cores() if workers is None else workers)
    from asrfair.recognise.transcribe.on_ray import RayCluster

    return RayCluster(on, workers)


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
