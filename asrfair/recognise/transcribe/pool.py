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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from asrfair.errors import AsrfairError, EngineError
from asrfair.recognise.engines.programs import end_all
from asrfair.recognise.transcribe.channel import Alive, Begins, Channel, Failed, Finished, Noted, receive
from asrfair.recognise.transcribe.tries import Tries, limit_s
from asrfair.recognise.transcribe.work import Begun, Done, Job, Lost, Prepared, Ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.process import BaseProcess
    from types import TracebackType

PATIENCE_S = 60.0
"""How long a worker that has no more work may take to close its engine."""
SILENCE_S = 60.0
"""How long a worker may give no sign of life, and use no processor, before it counts as dead (stopped, deadlocked)."""
LOOK_S = 2.0
"""How often workers are looked after."""
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
    signal.signal(signal.SIGTERM, _leave)
    channel = Channel(connection)
    try:
        target(channel, setup)
    except AsrfairError as error:
        channel.send(Failed(error=error))
    except MemoryError:
        channel.send(Failed(error=EngineError("a worker ran out of memory", remedy="Use fewer workers")))
    except Exception as error:  # noqa: BLE001 -- a worker's last words
        channel.send(Failed(error=EngineError(f"a worker failed: {type(error).__name__}: {error}")))


def _leave(number: int, frame: object) -> None:  # noqa: ARG001 -- a signal handler's arguments
    """End at once, and the user's programs with this process."""
    end_all()
    os._exit(128 + number)


@dataclass(kw_only=True)
class _Worker:
    setup: Any
    process: BaseProcess | None = None
    connection: Connection | None = None
    ready: bool = False
    start_attempts: int = 0
    jobs: dict[int, tuple[Job, set[int]]] = field(default_factory=dict)
    begun: dict[tuple[int, int], float] = field(default_factory=dict)
    heard: float = 0.0
    worked: float = 0.0
    stuck: str = ""


class Pool:
    """Workers and what each of them is doing.

    Args:
        target: What a worker runs, ``target(channel, setup)``; a module-level function.
        setups: One a worker.
        ahead: Most jobs that a worker holds at once.
        one_thread: Whether the workers' numerical libraries are held to one thread.
        daemon: Whether the processes are killed with the parent by Python; false for those with children of their own.
        patience_s: How long a batch may take beyond what its audio allows (:func:`~.tries.limit_s`).
        silence_s: How long a worker may give no sign of life; ``SILENCE_S`` if not given.
        paid: Whether a worker waits, before each batch, until it is told that its beginning was noted.
        clock: Seconds; another one in tests.
    """

    def __init__(
        self,
        target: Callable[[Channel, Any], None],
        setups: Sequence[Any],
        *,
        ahead: int = 2,
        one_thread: bool = True,
        daemon: bool = True,
        patience_s: float | None = None,
        silence_s: float | None = None,
        paid: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._patience_s = patience_s
        self._silence_s = SILENCE_S if silence_s is None else silence_s
        self._paid = paid
        self._clock = clock
        self._looked = clock()
        self._ahead = ahead
        self._one_thread = one_thread
        self._daemon = daemon
        self._workers = [_Worker(setup=setup) for setup in setups]
        self._again: deque[Job] = deque()
        self._tries = Tries()
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

    def run(self, source: Source) -> Iterator[Ready | Begun | Done | Prepared | Lost]:
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
            heard = wait([*by_connection, *bell], timeout=LOOK_S)
            self._look(heard)
            for connection in heard:
                if connection is source.waitable:
                    continue
                worker = by_connection[connection]  # type: ignore[index]
                if worker.connection is not connection:  # replaced a moment ago
                    continue
                try:
                    message = self._receive(worker)
                except (EOFError, OSError, pickle.UnpicklingError):
                    yield from self._bury(worker)
                    continue
                if isinstance(message, Failed):
                    raise message.error
                worker.heard = self._clock()
                if isinstance(message, Alive):
                    continue
                if isinstance(message, Begins):
                    worker.begun[message.job, message.condition] = self._clock()
                    yield Begun(job=worker.jobs[message.job][0], condition=message.condition)  # to whoever notes it
                    if self._paid:
                        with suppress(BrokenPipeError, ConnectionError):
                            connection.send(Noted(job=message.job, condition=message.condition))
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

    def _look(self, heard: Sequence[object]) -> None:
        """Look after the workers: kill one that gives no sign of life, or is at a batch for too long.

        Its death is then noticed like any other. Time in which this very process was stopped, or busy with results,
        counts against nobody.
        """
        now = self._clock()
        pause = now - self._looked - 2 * LOOK_S
        self._looked = now
        for worker in self._workers:
            if worker.process is None or worker.connection is None or worker.stuck:
                continue
            if pause > 0:
                worker.heard += pause
                worker.begun = {key: start + pause for key, start in worker.begun.items()}
            if worker.connection in heard:
                continue
            if now - worker.heard > self._silence_s:
                worked = processor_seconds(worker.process.pid)
                if worked is None or worked > worker.worked:  # at work in a library that lets no other thread run
                    worker.worked, worker.heard = worked or 0.0, now
                else:
                    worker.stuck = f"gave no sign of life for {self._silence_s:g} s"
            for (number, _), start in worker.begun.items():
                limit = limit_s(worker.jobs[number][0].utterances, self._patience_s)
                if now - start > limit:
                    worker.stuck = f"was at one batch for more than {limit:.0f} s"
            if worker.stuck:
                worker.process.kill()

    def _settle(self, worker: _Worker, message: Done | Prepared | Lost) -> None:
        number = message.job.number if isinstance(message, Lost) else message.job
        self._tries.settled(number, message.condition)
        worker.begun.pop((number, message.condition), None)
        open_ = worker.jobs[number][1]
        open_.discard(message.condition)
        if not open_:
            del worker.jobs[number]

    def _bury(self, worker: _Worker) -> Iterator[Lost]:
        """Replace a dead worker; its jobs go back, and what it died of is tried once more or given up."""
        how = self._last_words(worker)
        if not worker.ready:
            worker.start_attempts += 1
        self._tries.died(how, starting=worker.start_attempts)
        lost: list[Lost] = []
        back: list[Job] = []
        for number, (job, open_) in worker.jobs.items():
            for condition in sorted(open_):
                if (number, condition) in worker.begun and self._tries.given_up(number, condition):
                    open_.discard(condition)
                    lost.append(Lost(job=job, condition=condition, how=how, late=bool(worker.stuck)))
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
        if worker.stuck:
            worker.process.kill()  # a stopped process minds no other signal
            worker.process.join()
            return worker.stuck
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
        worker.connection, worker.ready, worker.stuck = ours, False, ""
        worker.heard, worker.worked = self._clock(), 0.0
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


def processor_seconds(pid: int | None) -> float | None:
    """Return the processor time that a process has used; ``None`` where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


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
