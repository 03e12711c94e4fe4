"""Who does the work of one engine, as a run sees it: one interface, whether it is this process, this machine or a cluster.

A run hands over jobs and takes messages; what lies between (pipes, an object store, deaths and second tries) is the
crew's business. :class:`ThisMachine` is here, a Ray cluster in :mod:`asrfair.recognise.transcribe.on_ray`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from asrfair.data.gpu import watched
from asrfair.data.provenance import free_memory_bytes, usable_cores
from asrfair.recognise.transcribe.pool import IteratorSource, Pool
from asrfair.recognise.transcribe.work import (
    Begun,
    Done,
    Job,
    Leftover,
    Lost,
    Prepared,
    Preparer,
    Ready,
    Setup,
    recognise,
)
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
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

Message: TypeAlias = Ready | Begun | Done | Lost | Leftover

MEMORY_SHARE = 0.8
"""How much of the free memory the workers of an engine may be expected to take."""


class Crew(ABC):
    """Those who work for one engine of a run, for as long as the ``with`` block lasts.

    Attributes:
        processes: How many work, those that only prepare audio included.
        engines: How many recognise at once.
        replaced: How many died and were replaced.
        statistics: What the engines counted, added up; complete when the block has ended.
        gpu: Mean use and peak memory of the GPUs, where that is watched; complete when the block has ended.
    """

    processes = 1
    engines = 1
    replaced = 0

    def __init__(self) -> None:
        self.statistics: dict[str, float] = {}
        self.gpu: Mapping[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027 -- those that have nothing to end
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the workers: in peace if there is no error, at once if there is."""

    @abstractmethod
    def run(self, jobs: Iterator[Job]) -> Iterator[Message]:
        """Work, and yield what there is to record, in any order.

        ``jobs`` is drawn from only as workers become free. Every condition of every job comes back once, as ``Done`` or
        ``Lost``. Where answers cost money, ``Begun`` comes before each, and the work begins when the next message is
        asked for: whoever takes it has noted it by then.

        Raises:
            EngineError: Workers cannot start, fail as a whole, or die again and again.
        """

    def push(self, job: Job) -> None:
        """Add a job while :meth:`run` goes on; it is done next."""
        raise NotImplementedError


class Machines(ABC):
    """Where a run's crews work, for as long as the ``with`` block lasts.

    Attributes:
        workers: How many processes an engine gets, where processors are what it needs.
    """

    workers: int

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027 -- this machine has nothing to give back
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give back what was taken."""

    @abstractmethod
    def crew(self, setup: Setup, batches: int) -> Crew:
        """Return who works for an engine that has so many batches to do."""

    def volatile(self) -> dict[str, Any]:
        """Return, for ``run.json``, where the work was done; nothing is the machine that the run was started on."""
        return {}

    def words(self) -> str:
        """Return where the work is done, as the end of a sentence; empty for the machine that the run was started on."""
        return ""


class ThisMachine(Machines):
    """The machine that the run was started on: workers are processes of its own."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def crew(self, setup: Setup, batches: int) -> Crew:
        """Return who works for an engine; see ``Machines.crew``."""
        count = max(1, min(self.workers, batches))
        if setup.traits.parallel == "inline":
            return InThisProcess(setup)
        if setup.traits.parallel == "processes":
            return WholeWorkers(setup, count)
        return FedWorkers(setup, count)


class InThisProcess(Crew):
    """No worker at all: the engine is called in the run's own process."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self._setup = setup

    def run(self, jobs: Iterator[Job]) -> Iterator[Message]:
        """Work as messages are asked for; what an engine has beyond what it is asked for comes first."""
        lookup = Lookup()
        engine = start_engine(self._setup, lookup)
        try:
            yield Ready(fingerprint=engine.fingerprint())
            leftovers = getattr(engine, "leftovers", None)
            if leftovers is not None:  # before the jobs: on a resume, there may be none
                for number, condition in enumerate(self._setup.conditions):
                    yield Leftover(condition=number, hypotheses=leftovers(condition.name))
            preparer = Preparer(self._setup)
            for job in jobs:
                lookup.add(job.utterances)
                for batch in preparer.prepare(job):
                    yield recognise(engine, batch)
            self.statistics = statistics_of(engine)
        finally:
            engine.close()


class _Processes(Crew):
    """Processes of this machine, in a pool; while they work, the devices are watched."""

    def __init__(self, pool: Pool, devices: Sequence[str] = ()) -> None:
        super().__init__()
        self._pool = pool
        self._devices = devices
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            self.gpu = entered.enter_context(watched(self._devices))
            entered.enter_context(self._pool)
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, traceback)
        self.replaced, self.statistics = self._pool.replaced, self._pool.statistics

    def run(self, jobs: Iterator[Job]) -> Iterator[Message]:
        """See ``Crew.run``."""
        for message in self._pool.run(IteratorSource(jobs)):
            assert not isinstance(message, Prepared)  # only feeders send those
            yield message

    def push(self, job: Job) -> None:
        """See ``Crew.push``."""
        self._pool.push(job)


class WholeWorkers(_Processes):
    """Engines in processes, each of which decodes, renders and recognises: no more than there is memory for."""

    def __init__(self, setup: Setup, count: int) -> None:
        traits = setup.traits
        count = _bounded(max(1, count // traits.threads), traits.memory_bytes)
        own = replace(setup, context=replace(setup.context, threads=traits.threads))
        super().__init__(Pool(whole_worker, [own] * count, patience_s=traits.patience_s, paid=traits.paid))
        self.processes = self.engines = count


class FedWorkers(_Processes):
    """An engine a device (or one for all calls to a service), each fed by processes of its own, ``count`` together."""

    def __init__(self, setup: Setup, count: int) -> None:
        traits = setup.traits
        devices = traits.devices if traits.parallel == "device" else ("",)
        feeders = max(1, -(-count // len(devices)))
        threads = max(1, usable_cores() // len(devices))
        setups = [
            replace(setup, feeders=feeders, context=replace(setup.context, device=device, threads=threads))
            for device in devices
        ]
        ahead = feeders * FEEDER_AHEAD + AHEAD_OF_ENGINE + traits.concurrency
        super().__init__(
            Pool(
                fed_worker,
                setups,
                ahead=ahead,
                one_thread=False,
                daemon=False,
                patience_s=traits.patience_s,
                paid=traits.paid,
            ),
            devices,
        )
        self.processes = len(setups) * (feeders + 1)
        self.engines = len(setups) * traits.concurrency


def _bounded(count: int, memory_bytes: int) -> int:
    """Return how many workers there is memory for; one at least."""
    free = free_memory_bytes() if memory_bytes else None
    return count if free is None else max(1, min(count, int(MEMORY_SHARE * free / memory_bytes)))
