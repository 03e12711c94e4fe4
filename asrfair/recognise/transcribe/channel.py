"""A pipe between a run and one of its workers: jobs one way, results and prepared audio the other."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

from asrfair.errors import AsrfairError
from asrfair.recognise.engines.programs import end_all
from asrfair.recognise.transcribe.work import Job, Prepared

SECONDS_PER_SIGN = 2.0
"""How often a worker gives a sign of life."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begins:
    """A worker begins with a batch under a condition: if it dies now, this is what it died of."""

    job: int
    condition: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A worker has no more work; ``statistics`` is what its engine counted."""

    statistics: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A worker cannot go on."""

    error: AsrfairError


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """The run has noted, on disk, that a worker begins with something that costs money: now it may."""

    job: int
    condition: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Alive:
    """A sign of life: the process runs, whatever its engine is doing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Packed:
    """A prepared batch on its way through a pipe: the samples follow as raw bytes, which saves two copies."""

    batch: Prepared
    lengths: tuple[int, ...]


class Channel:
    """A worker's end of its pipe. Jobs are read by a thread, so that neither side can block the other.

    If the parent goes away, however it does, the worker ends at once.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.waitable, self._bell = multiprocessing.Pipe(duplex=False)
        self.exhausted = False
        self._noted: dict[Noted, threading.Event] = {}
        self._lock_noted = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while True:
            time.sleep(SECONDS_PER_SIGN)
            try:
                self.send(Alive())
            except (OSError, ValueError):  # the worker is closing its pipe
                return

    def _read(self) -> None:
        try:
            while True:
                message = self._connection.recv()
                if isinstance(message, Noted):
                    self._may_begin(message).set()
                    continue
                self._jobs.put(message)
                self._bell.send_bytes(b"\0")
                if message is None:
                    return
        except (EOFError, OSError):
            end_all()
            os._exit(1)

    def _may_begin(self, what: Noted) -> threading.Event:
        with self._lock_noted:
            return self._noted.setdefault(what, threading.Event())

    def begin(self, job: int, condition: int, *, paid: bool = False) -> None:
        """Say that a batch begins under a condition; where that costs money, wait until the run has noted it."""
        self.send(Begins(job=job, condition=condition))
        if paid:
            key = Noted(job=job, condition=condition)
            self._may_begin(key).wait()
            with self._lock_noted:
                del self._noted[key]

    def jobs(self) -> Iterator[Job]:
        """Yield jobs until the parent says that there are no more."""
        while not self.exhausted:
            self.waitable.recv_bytes()
            job = self._jobs.get()
            if job is None:
                self.exhausted = True
            else:
                yield job

    def take(self) -> Job | None:
        """Return a job if there is one, without waiting. The same jobs as :meth:`jobs`: use one of the two."""
        if self.exhausted or not self.waitable.poll():
            return None
        self.waitable.recv_bytes()
        job = self._jobs.get()
        self.exhausted = job is None
        return job

    def send(self, message: object) -> None:
        """Send a message; a parent that is gone ends the process."""
        try:
            with self._lock:
                if isinstance(message, Prepared) and message.clips:
                    self._send_batch(message)
                else:
                    self._connection.send(message)
        except (BrokenPipeError, ConnectionError):
            end_all()
            os._exit(1)

    def _send_batch(self, batch: Prepared) -> None:
        samples = [clip.samples for clip in batch.clips]
        empty = np.zeros(0, np.float32)
        header = replace(batch, clips=[replace(clip, samples=empty) for clip in batch.clips])
        self._connection.send(_Packed(batch=header, lengths=tuple(len(s) for s in samples)))
        joined = samples[0] if len(samples) == 1 else np.concatenate(samples)
        self._connection.send_bytes(np.ascontiguousarray(joined, np.float32).view(np.uint8).data)


def receive(connection: Connection) -> Any:
    """Receive one message of a worker; a prepared batch is put together again.

    Raises:
        EOFError: The worker is gone.
    """
    message = connection.recv()
    return _unpack(message, connection) if isinstance(message, _Packed) else message


def _unpack(packed: _Packed, connection: Connection) -> Prepared:
    samples: npt.NDArray[np.float32] = np.empty(sum(packed.lengths), np.float32)
    if len(samples):
        connection.recv_bytes_into(samples.view(np.uint8).data)
    else:
        connection.recv_bytes()
    ends = np.cumsum(packed.lengths)
    parts = np.split(samples, ends[:-1])
    clips = [replace(clip, samples=part) for clip, part in zip(packed.batch.clips, parts, strict=True)]
    return replace(packed.batch, clips=clips)
