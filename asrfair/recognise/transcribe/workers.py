"""What runs in worker processes: whole work for engines that live in processes, preparing and feeding for the others.

``processes``: every worker decodes, renders and recognises (:func:`whole_worker`).
``device`` and ``threads``: a worker a device holds the engine and feeders of its own, which decode and render
(:func:`fed_worker`, :func:`feeder`). Prepared batches wait in a short queue, so that the engine finds the next one
ready when it is done with the last.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from asrfair.data.audio import load_clip
from asrfair.recognise.engines import create
from asrfair.recognise.transcribe.channel import Channel, Finished
from asrfair.recognise.transcribe.pool import Pool
from asrfair.recognise.transcribe.work import (
    Done,
    Job,
    Lost,
    Prepared,
    Preparer,
    Ready,
    Setup,
    recognise,
    rendered_on_device,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from asrfair.recognise.engines import Engine
    from asrfair.types import Clip, Utterance

Waiting: TypeAlias = "queue.Queue[Prepared | Lost | _Woken | BaseException | None]"

AHEAD_OF_ENGINE = 4
"""Prepared batches that wait for an engine, beside those that its feeders hold."""
FEEDER_AHEAD = 2
"""Jobs that a feeder holds, the one under work included."""


class _Woken:
    """Wakes who waits for a batch, to look whether a thread has failed."""


class Lookup:
    """Finds the utterances that are being transcribed, for ``EngineContext.utterance``; forgets old ones."""

    def __init__(self, size: int = 4096) -> None:
        self._known: OrderedDict[str, Utterance] = OrderedDict()
        self._size = size
        self._lock = threading.Lock()

    def add(self, utterances: Iterable[Utterance]) -> None:
        """Remember utterances."""
        with self._lock:
            for utterance in utterances:
                self._known[utterance.utterance_id] = utterance
                self._known.move_to_end(utterance.utterance_id)
            while len(self._known) > self._size:
                self._known.popitem(last=False)

    def __call__(self, utterance_id: str) -> Utterance:
        """Return an utterance that was added lately."""
        return self._known[utterance_id]


def start_engine(setup: Setup, lookup: Lookup) -> Engine:
    """Start the engine of a setup, with a lookup for its context."""
    return create(setup.spec, replace(setup.context, utterance=lookup))


def statistics_of(engine: Engine) -> dict[str, float]:
    """Return what an engine counted; one that counts nothing has nothing to say."""
    count = getattr(engine, "statistics", None)
    return {} if count is None else {str(name): float(value) for name, value in count().items()}


def whole_worker(channel: Channel, setup: Setup) -> None:
    """Decode, render and recognise: the worker of an engine that lives in processes."""
    preparer = Preparer(setup)
    lookup = Lookup()
    engine = start_engine(setup, lookup)
    try:
        channel.send(Ready(fingerprint=engine.fingerprint()))
        for job in channel.jobs():
            lookup.add(job.utterances)
            batches = preparer.prepare(job)
            for condition in job.conditions:
                channel.begin(job.number, condition, paid=setup.traits.paid)
                channel.send(recognise(engine, next(batches)))
        channel.send(Finished(statistics=statistics_of(engine)))
    finally:
        engine.close()


def feeder(channel: Channel, setup: Setup) -> None:
    """Decode and render for an engine that lives elsewhere."""
    preparer = feeding(setup)
    channel.send(Ready(fingerprint=None))
    for job in channel.jobs():
        batches = preparer.prepare(job)
        for condition in job.conditions:
            channel.begin(job.number, condition)
            channel.send(next(batches))


def fed_worker(channel: Channel, setup: Setup) -> None:
    """Hold an engine and its feeders: recognise what they have prepared.

    Raises:
        EngineError: The engine cannot start, has failed, or feeders die again and again.
    """
    waiting: Waiting = queue.Queue(maxsize=AHEAD_OF_ENGINE)
    lookup = Lookup()
    thread = threading.Thread(target=_feed, args=(channel, setup, waiting, lookup), daemon=True)
    thread.start()  # feeders start while the engine loads
    engine = start_engine(setup, lookup)
    render = device_rendering(setup)
    try:
        channel.send(Ready(fingerprint=engine.fingerprint()))
        if setup.traits.concurrency > 1:
            _recognise_in_threads(
                engine, channel, waiting, setup.traits.concurrency, render=render, paid=setup.traits.paid
            )
        else:
            for batch in _until_end(waiting, channel, lambda: False):
                channel.begin(batch.job, batch.condition, paid=setup.traits.paid)
                render(batch)
                channel.send(recognise(engine, batch))
        channel.send(Finished(statistics=statistics_of(engine)))
    finally:
        engine.close()
    thread.join()


def device_rendering(setup: Setup, load: Callable[[Utterance, int], Clip] = load_clip) -> Callable[[Prepared], None]:
    """Return what renders the conditions that feeders leave to the engine's device."""
    if setup.traits.parallel != "device" or not rendered_on_device(setup):
        return lambda _: None
    return Preparer(setup, device=setup.context.device, load=load).finish


def feeding(setup: Setup, load: Callable[[Utterance, int], Clip] = load_clip) -> Preparer:
    """Return what decodes and renders for an engine elsewhere; what its device is to render, that engine's process renders."""
    return Preparer(setup, device=None if setup.traits.parallel == "device" else "cpu", load=load)


def _feed(channel: Channel, setup: Setup, waiting: Waiting, lookup: Lookup) -> None:
    """Run the feeders; a full queue holds them back."""
    try:
        with Pool(feeder, [setup] * max(setup.feeders, 1), ahead=FEEDER_AHEAD) as pool:
            for message in pool.run(_Noting(channel, lookup)):
                if isinstance(message, Prepared | Lost):
                    waiting.put(message)
        waiting.put(None)
    except BaseException as error:  # noqa: BLE001 -- handed to the engine's thread, which raises it
        waiting.put(error)


class _Noting:
    """The channel as a source of jobs, with a note of each job's utterances for the engine."""

    def __init__(self, channel: Channel, lookup: Lookup) -> None:
        self._channel = channel
        self._lookup = lookup
        self.waitable = channel.waitable

    @property
    def exhausted(self) -> bool:
        """Whether there will be no more jobs."""
        return self._channel.exhausted

    def take(self) -> Job | None:
        """Return the next job, or ``None`` if there is none (yet)."""
        job = self._channel.take()
        if job is not None:
            self._lookup.add(job.utterances)
        return job


def _until_end(waiting: Waiting, channel: Channel, failed: Callable[[], bool]) -> Iterator[Prepared]:
    while True:
        start = time.perf_counter()
        item = waiting.get()
        if item is None or failed():
            return
        if isinstance(item, _Woken):
            continue
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, Lost):
            channel.send(item)
            continue
        item.times.wait_s += time.perf_counter() - start
        yield item


def _recognise_in_threads(
    engine: Engine,
    channel: Channel,
    waiting: Waiting,
    concurrency: int,
    *,
    render: Callable[[Prepared], None] = lambda _: None,
    paid: bool = False,
) -> None:
    """Call the engine from several threads at once, and hold no more batches than there are threads.

    When a call fails, no other begins; those that are under way are waited for, and their answers recorded, before the
    failure is raised: somebody has paid for them.

    Raises:
        EngineError: What the first call that failed has raised.
    """
    free = threading.Semaphore(concurrency)
    failed: list[BaseException] = []

    def work(batch: Prepared) -> None:
        try:
            channel.begin(batch.job, batch.condition, paid=paid)
            render(batch)
            done: Done = recognise(engine, batch)
            channel.send(done)
        except BaseException as error:  # noqa: BLE001 -- raised by the main thread
            failed.append(error)
            with suppress(queue.Full):  # then there is something to wake for already
                waiting.put_nowait(_Woken())
        finally:
            free.release()

    with ThreadPoolExecutor(max_workers=concurrency) as threads:
        for batch in _until_end(waiting, channel, lambda: bool(failed)):
            free.acquire()
            if failed:
                free.release()
                break
            threads.submit(work, batch)
    if failed:
        raise failed[0]
