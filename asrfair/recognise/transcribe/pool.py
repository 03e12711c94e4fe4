"""Processes that are fed with jobs over a pipe each; one that dies is noticed, replaced, and its job tried again.

A pipe a worker, and no queue that they share: a process that is killed while it holds the lock of a shared queue would
stop all others. Processes are spawned, never forked, so that it makes no difference what the parent had loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol, Self

from asrfair.errors import AsrfairError, EngineError
from asrfair.recognise.transcribe.channel import Channel, Failed, Finished, Ready, receive
from asrfair.recognise.transcribe.work import Begun, Done, Job, Lost, Prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.process import BaseProcess
    from types import TracebackType


ATTEMPTS = 2
"""How often a batch is begun before it is given up because its process died each time."""
START_ATTEMPTS = 2
PATIENCE_S = 60.0
"""How long a worker that has no more work may take to close its engine."""
DEATHS_IN_A_ROW = 20
"""So many deaths without one result between them mean that the engine, not the audio, is at fault."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Source(Protocol):
    """Where a pool's jobs come from."""

    @property
    def waitable(self) -> Connection | None:
        """What becomes readable when there may be another job; ``None`` if :meth:`take` always knows."""

    @property
    def exhausted(self) -> bool:
        """Whether there will be no more jobs."""

    def take(self) -> Job | None:
        """Return the next job, or ``None`` if there is none (yet)."""


class IteratorSource:
    """Jobs from an iterator, drawn one by one."""

    waitable: Connection | None = None

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self.exhausted = False

    def take(self) -> Job | None:
        """Return the next job, or ``None`` at the end."""
        job = next(self._jobs, None)
        self.exhausted = job is None
        return job


def worker_main(connection: Connection, target: Callable[[Channel, Any], None], setup: Any) -> None:
    """Run a worker: the entry point of every process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    channel = Channel(connection)
    try:
        target(channel, setup)
    except AsrfairError as error:
        channel.send(Failed(error=error))
    except MemoryError:
        channel.send(Failed(error=EngineError("a worker ran out of memory", remedy="Use fewer workers")))
    except Exception as error:  # noqa: BLE001 -- a worker's last words
        channel.send(Failed(error=EngineError(f"a worker failed: {type(error).__name__}: {error}")))


@dataclass(kw_only=True)
class _Worker:
    setup: Any
    process: BaseProcess | None = None
    connection: Connection | None = None
    ready: bool = False
    start_attempts: int = 0
    jobs: dict[int, tuple[Job, set[int]]] = field(default_factory=dict)
    begun: set[tuple[int, int]] = field(default_factory=set)


class Pool:
    """Workers and what each of them is doing.

    Args:
        target: What a worker runs, ``target(channel, setup)``; a module-level function.
        setups: One a worker.
        ahead: Most jobs that a worker holds at once.
        one_thread: Whether the workers' numerical libraries are held to one thread.
        daemon: Whether the processes are killed with the parent by Python; false for those with children of their own.
    """

    def __init__(
        self,
        target: Callable[[Channel, Any], None],
        setups: Sequence[Any],
        *,
        ahead: int = 2,
        one_thread: bool = True,
        daemon: bool = True,
    ) -> None:
        self._target = target
        self._ahead = ahead
        self._one_thread = one_thread
        self._daemon = daemon
        self._workers = [_Worker(setup=setup) for setup in setups]
        self._again: deque[Job] = deque()
        self._attempts: dict[tuple[int, int], int] = {}
        self._deaths = 0
        self.replaced = 0
        self.statistics: dict[str, float] = {}

    def __enter__(self) -> Self:
        try:
            for worker in self._workers:
                self._start(worker)
        except BaseException:
            self._abort()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._stop()
        else:
            self._abort()

    def push(self, job: Job) -> None:
        """Add a job that was not among those given to :meth:`run`; it is done next."""
        self._again.append(job)

    def run(self, source: Source) -> Iterator[Ready | Done | Prepared | Lost]:
        """Hand out jobs as workers become free, and yield what comes back, in the order in which it does.

        ``source`` is drawn from only when a worker is free, so that what is in flight stays bounded.

        Raises:
            EngineError: Workers cannot start, or die again and again.
            AsrfairError: What a worker could not go on with.
        """
        while True:
            self._hand_out(source)
            if source.exhausted and not self._again and not any(worker.jobs for worker in self._workers):
                return
            by_connection = {w.connection: w for w in self._workers if w.connection is not None}
            bell = [] if source.waitable is None or source.exhausted else [source.waitable]
            for connection in wait([*by_connection, *bell], timeout=5.0):
                if connection is source.waitable:
                    continue
                worker = by_connection[connection]  # type: ignore[index]
                try:
                    message = self._receive(worker)
                except (EOFError, OSError, pickle.UnpicklingError):
                    yield from self._bury(worker)
                    continue
                if isinstance(message, Failed):
                    raise message.error
                if isinstance(message, Begun):
                    worker.begun.add((message.job, message.condition))
                    continue
                if isinstance(message, Ready):
                    worker.ready, worker.start_attempts = True, 0
                else:
                    self._settle(worker, message)
                yield message

    def _hand_out(self, source: Source) -> None:
        for depth in range(self._ahead):  # everybody gets a first job before anybody gets a second
            for worker in self._workers:
                if len(worker.jobs) > depth or worker.connection is None:
                    continue
                job = self._again.popleft() if self._again else None
                if job is None and not source.exhausted:
                    job = source.take()
                if job is None:
                    return
                worker.jobs[job.number] = (job, set(job.conditions))
                with suppress(BrokenPipeError, ConnectionError):  # its death is noticed when it is listened to
                    worker.connection.send(job)

    @staticmethod
    def _receive(worker: _Worker) -> Any:
        assert worker.connection is not None
        return receive(worker.connection)

    def _settle(self, worker: _Worker, message: Done | Prepared | Lost) -> None:
        number = message.job.number if isinstance(message, Lost) else message.job
        self._deaths = 0
        worker.begun.discard((number, message.condition))
        self._attempts.pop((number, message.condition), None)
        open_ = worker.jobs[number][1]
        open_.discard(message.condition)
        if not open_:
            del worker.jobs[number]

    def _bury(self, worker: _Worker) -> Iterator[Lost]:
        """Replace a dead worker; its jobs go back, and what it died of is tried once more or given up."""
        how = self._last_words(worker)
        self._deaths += 1
        if not worker.ready:
            worker.start_attempts += 1
        if worker.start_attempts >= START_ATTEMPTS or self._deaths >= DEATHS_IN_A_ROW:
            when = "while starting" if not worker.ready else f"{self._deaths} times in a row"
            raise EngineError(
                f"a worker process {how} {when}",
                remedy="If memory ran out, use fewer workers. A script that calls asrfair needs "
                "`if __name__ == '__main__':` around its work",
            )
        lost: list[Lost] = []
        back: list[Job] = []
        for number, (job, open_) in worker.jobs.items():
            for condition in sorted(open_):
                if (number, condition) in worker.begun:
                    attempts = self._attempts.get((number, condition), 0) + 1
                    self._attempts[number, condition] = attempts
                    if attempts >= ATTEMPTS:
                        del self._attempts[number, condition]
                        open_.discard(condition)
                        lost.append(Lost(job=job, condition=condition, reason=f"its process {how}, {attempts} times"))
            if open_:
                back.append(replace(job, conditions=tuple(c for c in job.conditions if c in open_)))
        self._again.extendleft(reversed(back))
        worker.jobs.clear()
        worker.begun.clear()
        self.replaced += 1
        self._start(worker)
        yield from lost

    def _last_words(self, worker: _Worker) -> str:
        assert worker.process is not None
        assert worker.connection is not None
        worker.connection.close()
        worker.process.join(5.0)
        code = worker.process.exitcode
        if code is None:
            worker.process.kill()
            worker.process.join()
            return "stopped answering"
        if code < 0:
            with suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
            return f"was killed by signal {-code}"
        return f"ended with exit code {code}"

    def _start(self, worker: _Worker) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        worker.process = context.Process(
            target=worker_main, args=(theirs, self._target, worker.setup), daemon=self._daemon
        )
        worker.connection, worker.ready = ours, False
        try:
            with _environment(one_thread=self._one_thread):
                worker.process.start()
        except OSError as error:
            raise EngineError(
                f"a worker process cannot be started: {error}",
                remedy="Use fewer workers; check the limits on processes",
            ) from error
        finally:
            theirs.close()

    def _stop(self) -> None:
        for worker in self._workers:
            if worker.connection is not None:
                with suppress(OSError):
                    worker.connection.send(None)
        deadline = time.monotonic() + PATIENCE_S
        speaking = [worker.connection for worker in self._workers if worker.connection is not None]
        while speaking and time.monotonic() < deadline:
            for connection in wait(speaking, timeout=1.0):
                try:
                    self._note(receive(connection))  # type: ignore[arg-type]
                except (EOFError, OSError):
                    speaking.remove(connection)  # type: ignore[arg-type]
        for worker in self._workers:
            if worker.process is not None:
                worker.process.join(max(deadline - time.monotonic(), 0.1))
        self._abort()

    def _note(self, message: object) -> None:
        """Take a worker's last words."""
        if isinstance(message, Finished):
            for name, value in message.statistics.items():
                self.statistics[name] = self.statistics.get(name, 0.0) + value

    def _abort(self) -> None:
        for worker in self._workers:
            if worker.process is not None and worker.process.is_alive():
                worker.process.terminate()
        for worker in self._workers:
            if worker.process is not None and worker.process.pid is not None:
                worker.process.join(2.0)
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
            if worker.connection is not None:
                worker.connection.close()


@contextmanager
def _environment(*, one_thread: bool) -> Iterator[None]:
    """Start a process with Ctrl-C ignored from its first instruction on, and its libraries held to one thread."""
    saved = {name: os.environ.get(name) for name in _ONE_THREAD}
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        if one_thread:
            os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
