"""Pools of workers: nothing hangs, whatever ends, fails or stops, in whatever order."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transcribe_child import go, make_manifest, spec

from asrfair.errors import EngineError
from asrfair.recognise.transcribe import pool as pools
from asrfair.recognise.transcribe import tries, workers
from asrfair.recognise.transcribe.channel import Begins, Failed
from asrfair.recognise.transcribe.pool import IteratorSource, Pool
from asrfair.recognise.transcribe.work import Done, Job, Lost, Prepared, Ready, StageTimes
from asrfair.types import Clip, Hypothesis, Utterance


def refusing(name: str, ids: list[str], **options: object) -> Any:
    """An engine of threads that refuses, as a whole, when it gets to certain utterances."""
    return spec("torture_engines:Refusing", name, ids=ids, **options)


def test_a_failure_after_the_last_batch_ends_the_run(tmp_path: Path) -> None:
    """The engine refuses its last four utterances of 30 when every batch is taken already: the run ends with its error."""
    manifest = make_manifest(tmp_path, 30)
    last = [f"u{number:04}" for number in range(26, 30)]
    outcome: list[BaseException] = []

    def attempt() -> None:
        try:
            go(manifest, tmp_path / "run", [refusing("r", last, concurrency=4)], workers=1)
        except BaseException as error:  # noqa: BLE001 -- looked at below
            outcome.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the run hangs"
    assert isinstance(outcome[0], EngineError)
    assert "refused" in str(outcome[0])


@pytest.mark.slow
def test_a_stopped_worker_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that gets SIGSTOP in the middle of its work is noticed, killed, replaced; every row is there."""
    monkeypatch.setattr(pools, "SILENCE_S", 4.0)
    monkeypatch.setattr(pools, "LOOK_S", 0.5)
    manifest = make_manifest(tmp_path, 12)
    summary = go(manifest, tmp_path / "run", [spec("torture_engines:Stopping", "s", once=str(tmp_path))], workers=2)
    assert summary.counts == {"ok": 12}
    assert summary.engines["s"].replaced_workers >= 1


@pytest.mark.slow
def test_a_batch_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that sleeps for ever over one utterance costs that utterance, and the ledger knows why."""
    monkeypatch.setattr(pools, "LOOK_S", 0.3)
    monkeypatch.setattr(tries, "BATCH_FACTOR", 0.0)
    manifest = make_manifest(tmp_path, 6)
    summary = go(manifest, tmp_path / "run", [spec("torture_engines:Sleeping", "s", ids=["u0003"])], workers=2)
    assert summary.counts == {"error": 1, "ok": 5}
    assert "worker_timed_out" in {event.kind for event in summary.events}


class FakeWorker:
    """Both ends of a worker's pipe, and its process, without a process: steps when the scheduler says so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.inbox: deque[Job] = deque()
        self.outbox: deque[object] = deque([Ready(fingerprint=None)])
        self.alive = True
        self.silent = False
        self.pid = -1
        self.exitcode: int | None = None
        world.fakes.append(self)

    # what the pool sees of a connection
    def send(self, message: object) -> None:
        if not self.alive:
            raise BrokenPipeError
        if isinstance(message, Job):
            self.inbox.append(message)

    def close(self) -> None:
        """Nothing to give back."""

    # what the pool sees of a process
    def join(self, timeout: float | None = None) -> None:
        """It is dead at once."""

    def kill(self) -> None:
        self.alive = False
        self.exitcode = -9

    terminate = kill

    def is_alive(self) -> bool:
        return self.alive

    # what the scheduler does
    def step(self) -> None:
        """Go on with the work by one message, or die, or fail, or fall silent."""
        random_ = self.world.random
        if not self.inbox or self.silent:
            return
        fate = random_.random()
        if fate < self.world.deadly:
            self.kill()
            return
        if fate < self.world.deadly + self.world.stopping:
            self.silent = True
            return
        job = self.inbox[0]
        condition = job.conditions[0]
        if fate > 1 - self.world.failing:
            self.outbox.append(Failed(error=EngineError("refused")))
            self.inbox.clear()
            return
        self.outbox.append(Begins(job=job.number, condition=condition))
        if random_.random() < self.world.deadly:
            self.kill()
            return
        done = Done(job=job.number, condition=condition, rows=[], achieved=[], times=StageTimes(), audio_s=0.0)
        self.outbox.append(done)
        rest = job.conditions[1:]
        self.inbox.popleft()
        if rest:
            self.inbox.appendleft(replace(job, conditions=rest))


class World:
    """A deterministic scheduler: who goes on next is drawn from a seed, and time passes only when nobody can."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.fakes: list[FakeWorker] = []
        self.deadly = self.random.choice([0.0, 0.05, 0.2])
        self.stopping = self.random.choice([0.0, 0.05])
        self.failing = self.random.choice([0.0, 0.0, 0.02])
        self.idle = 0

    def wait(self, connections: list[FakeWorker], timeout: float) -> list[FakeWorker]:
        """Stand in for multiprocessing's: some workers step, those with something to say are returned."""
        for _ in range(self.random.randint(1, 6)):
            self.random.choice(connections).step()
        ready = [c for c in connections if c.outbox or not c.alive]
        if ready:
            self.idle = 0
            return self.random.sample(ready, self.random.randint(1, len(ready)))
        self.now += timeout
        self.idle += 1
        assert self.idle < 200, "nobody can go on, and nobody is looked after"
        return []


def receive(fake: FakeWorker) -> object:
    """Stand in for reading a pipe."""
    if fake.outbox:
        return fake.outbox.popleft()
    raise EOFError


def start(world: World, pool: Pool, worker: Any) -> None:
    """Stand in for starting a process."""
    worker.process = worker.connection = FakeWorker(world)
    worker.ready, worker.stuck, worker.heard, worker.worked = False, "", world.now, 0.0


def play(seed: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run one interleaving to its end and check that every condition of every job is accounted for once."""
    world = World(seed)
    monkeypatch.setattr(pools, "wait", world.wait)
    monkeypatch.setattr(pools, "receive", receive)
    monkeypatch.setattr(pools, "processor_seconds", lambda pid: 0.0)
    monkeypatch.setattr(Pool, "_start", lambda self, worker: start(world, self, worker))
    monkeypatch.setattr(Pool, "_stop", lambda self: None)
    utterance = Utterance(utterance_id="u", speaker_id="s", reference="r", duration_s=1.0)
    jobs = [
        Job(number=number, utterances=(utterance,), conditions=tuple(range(world.random.randint(1, 3))))
        for number in range(world.random.randint(0, 8))
    ]
    seen: dict[tuple[int, int], int] = {}
    pool = Pool(
        lambda *_: None, [None] * world.random.randint(1, 3), ahead=world.random.randint(1, 3), clock=lambda: world.now
    )
    try:
        with pool:
            for message in pool.run(IteratorSource(iter(jobs))):
                if isinstance(message, Done):
                    seen[message.job, message.condition] = seen.get((message.job, message.condition), 0) + 1
                elif isinstance(message, Lost):
                    key = (message.job.number, message.condition)
                    seen[key] = seen.get(key, 0) + 1
    except EngineError as error:
        return "refused" if "refused" in str(error) else "gave up"
    assert seen == {(job.number, condition): 1 for job in jobs for condition in job.conditions}
    return "finished"


def test_no_interleaving_of_a_pool_hangs_or_loses_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 interleavings of steps, deaths, stops and failures: each ends, with every batch accounted for once."""
    outcomes = {play(seed, monkeypatch) for seed in range(500)}
    assert {"finished", "refused"} <= outcomes


@pytest.mark.slow
def test_ten_thousand_interleavings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same over 10,000 seeds."""
    for seed in range(10_000):
        play(seed, monkeypatch)


class _Channel:
    """What worker threads send into."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.lock = threading.Lock()

    def send(self, message: object) -> None:
        with self.lock:
            self.sent.append(message)

    def begin(self, job: int, condition: int, *, paid: bool = False) -> None:
        self.send(Begins(job=job, condition=condition))


class _Threaded:
    """An engine whose calls take a random moment and fail from a certain utterance on."""

    def __init__(self, fails_from: int, random_: random.Random) -> None:
        self.fails_from = fails_from
        self.random = random_

    def transcribe(self, clips: list[Clip]) -> list[Hypothesis]:
        time.sleep(self.random.random() * 0.002)
        if int(clips[0].utterance_id) >= self.fails_from:
            raise EngineError("refused")
        return [Hypothesis(utterance_id=clip.utterance_id, text="x") for clip in clips]


def play_threads(seed: int) -> bool:
    """Feed a threads engine in one interleaving; return whether it failed as told. Must not hang."""
    import numpy as np

    random_ = random.Random(seed)
    count, fails_from = random_.randint(1, 12), random_.choice([0, 5, 9, 100])
    waiting: Any = queue.Queue(maxsize=workers.AHEAD_OF_ENGINE)
    channel = _Channel()
    ends = fails_from >= count  # else no more comes: the parent waits for results of what it handed out

    def feed() -> None:
        for number in range(count):
            clip = Clip(utterance_id=str(number), samples=np.zeros(1, np.float32), sample_rate_hz=16_000)
            waiting.put(Prepared(job=number, condition=0, clips=[clip]))
        if ends:
            waiting.put(None)

    failed: list[BaseException] = []

    def recognise() -> None:
        try:
            workers._recognise_in_threads(_Threaded(fails_from, random_), channel, waiting, random_.randint(1, 4))
        except EngineError as error:
            failed.append(error)

    threads = [threading.Thread(target=target, daemon=True) for target in (feed, recognise)]
    for thread in threads:
        thread.start()
    threads[1].join(20)
    assert not threads[1].is_alive(), f"seed {seed} hangs"
    done = sum(isinstance(message, Done) for message in channel.sent)
    assert done == count if ends else failed
    return bool(failed)


def test_no_interleaving_of_threads_hangs() -> None:
    """200 interleavings of an engine's threads with its feeder: each ends, by its end or by its failure."""
    assert {play_threads(seed) for seed in range(200)} == {True, False}
