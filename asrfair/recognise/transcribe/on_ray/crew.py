"""The driver's side of a crew of Ray actors: who has what to do, what becomes of it when an actor or a node dies.

Every actor is given one condition of one batch at a time, and the next while it works. What an actor says last may be lost
with it, so of two calls nobody knows which it died of: both are tried again one at a time, and only a death at a single
call counts. Prepared batches go from actor to actor through the object store; only results come here.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from asrfair.errors import AsrfairError, EngineError, EnvironmentFailedError
from asrfair.recognise.transcribe.crew import Crew
from asrfair.recognise.transcribe.on_ray.actors import Briefing, NodeWorker
from asrfair.recognise.transcribe.on_ray.parcels import Sender, Wanted, pack
from asrfair.recognise.transcribe.tries import Tries, limit_s
from asrfair.recognise.transcribe.work import Begun, Done, Job, Lost, Ready
from asrfair.recognise.transcribe.workers import AHEAD_OF_ENGINE, FEEDER_AHEAD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from asrfair.recognise.transcribe.crew import Message
    from asrfair.recognise.transcribe.work import Setup
    from asrfair.types import Utterance

AHEAD = 2
"""Calls that an actor holds, the one under work included: the next one's audio travels meanwhile."""
LOOK_S = 2.0
"""How often actors are looked after."""
PLACE_S = 300.0
"""How long nobody may have a place on the cluster, because others use it or nodes are gone."""
PATIENCE_S = 60.0
"""How long an actor that has no more work may take to close its engine."""


class ClusterLostError(EnvironmentFailedError):
    """The cluster no longer answers: there is nobody to say goodbye to, and Ray would wait for an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What an actor needs of a node."""

    cpus: int = 0
    gpus: int = 0
    memory_bytes: int = 0


@dataclass(kw_only=True, slots=True, eq=False)
class _Task:
    """One condition of one batch: on its way from preparing to its result."""

    job: Job
    condition: int
    batch: Any = None
    """Where it lies in the object store, once it is prepared."""
    wanted: list[Utterance] = field(default_factory=list)
    """What else its rendering needs to hear."""
    began: float = 0.0


@dataclass(kw_only=True, slots=True, eq=False)
class _Actor:
    """An actor and what it has to do. ``starting`` is what it was last asked on its way to being ready."""

    prepares: bool
    recognises: bool
    handle: Any = None
    starting: Any = None
    node: str = ""
    ready: bool = False
    start_attempts: int = 0
    stuck: str = ""
    late: _Task | None = None
    calls: dict[Any, _Task] = field(default_factory=dict)
    todo: deque[_Task] = field(default_factory=deque)


class RayCrew(Crew):
    """Actors that work for one engine: such that do everything, or engines, and feeders that prepare for them.

    Args:
        ray: The connected module.
        setup: What workers need to begin.
        engines: How many actors hold an engine.
        room: What each of them needs of a node.
        feeders: How many actors prepare for them; 0: they do so themselves.
        threads: Processor threads of an engine.
        device: What an engine is told to use.
    """

    def __init__(
        self,
        ray: Any,
        setup: Setup,
        *,
        engines: int,
        room: Room,
        feeders: int = 0,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self._ray = ray
        self._traits = setup.traits
        self._room = room
        self._setup = replace(setup, context=replace(setup.context, device=device, threads=threads))
        self._sender = Sender(ray.put, setup.traits.sample_rate_hz)
        self._fed = bool(feeders)
        self._abreast = setup.traits.concurrency if feeders else 1
        self._actors = [_Actor(prepares=not feeders, recognises=True) for _ in range(engines)]
        self._actors += [_Actor(prepares=True, recognises=False) for _ in range(feeders)]
        self._again: deque[Job] = deque()
        self._prepared: deque[_Task] = deque()
        self._open: dict[int, set[int]] = {}
        self._tries = Tries()
        self._suspects: set[tuple[int, int]] = set()
        self._fingerprint: dict[str, str] | None = None
        self._placed = time.monotonic()
        self.processes = engines + feeders
        self.engines = engines * self._abreast

    def __enter__(self) -> Self:
        packed, files = pack(self._setup.conditions, self._ray.put)
        setup = replace(self._setup, conditions=())
        self._briefings = {
            actor.recognises: self._ray.put(
                Briefing(
                    setup=setup, conditions=packed, files=files, prepares=actor.prepares, recognises=actor.recognises
                )
            )
            for actor in self._actors
        }
        for actor in self._actors:
            self._hire(actor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, ClusterLostError):
            return
        if kind is None:
            self._part()
        for actor in self._actors:
            with suppress(Exception):  # whatever Ray says of an actor that is gone already
                self._ray.kill(actor.handle)

    def push(self, job: Job) -> None:
        """See ``Crew.push``."""
        self._again.append(job)

    def run(self, jobs: Iterator[Job]) -> Iterator[Message]:
        """See ``Crew.run``.

        Raises:
            EngineError: Engines cannot start, differ between nodes, fail as a whole, or die again and again.
            EnvironmentFailedError: For minutes no node had room.
        """
        self._jobs: Iterator[Job] | None = jobs
        while True:
            yield from self._hand_out()
            if self._jobs is None and not self._open and not self._again:
                return
            asked = {ref: actor for actor in self._actors for ref in (*actor.calls, actor.starting) if ref is not None}
            try:
                done, _ = self._ray.wait(list(asked), timeout=LOOK_S, fetch_local=False)
            except Exception as error:  # its own errors, gRPC's, the operating system's
                raise ClusterLostError(
                    f"the connection to the Ray cluster is lost: {type(error).__name__}",
                    remedy="When the cluster is there again, the same command resumes this run",
                ) from error
            for ref in done:
                yield from self._hear(asked[ref], ref)
            self._look()

    # --- handing out ---------------------------------------------------------------------------------------------

    def _hand_out(self) -> Iterator[Begun]:
        """Give everybody who is ready something to do; everybody a first call before anybody a second."""
        paid = self._traits.paid
        ahead = 1 if self._suspects else self._abreast if self._abreast > 1 or paid else AHEAD
        for depth in range(ahead):
            for actor in self._actors:
                if actor.ready and len(actor.calls) <= depth and (task := self._next(actor, depth)) is not None:
                    if actor.recognises and paid:
                        yield Begun(job=task.job, condition=task.condition)
                    self._call(actor, task)

    def _next(self, actor: _Actor, depth: int) -> _Task | None:
        """Return what an actor does next; a full queue before the engines holds those back who prepare."""
        if not actor.prepares:
            return self._prepared.popleft() if self._prepared else None
        if self._fed and (depth >= FEEDER_AHEAD or len(self._prepared) >= AHEAD_OF_ENGINE * self.engines):
            return None
        if not actor.todo and (job := self._take()) is not None:
            self._open.setdefault(job.number, set()).update(job.conditions)
            actor.todo.extend(_Task(job=job, condition=condition) for condition in job.conditions)
        return actor.todo.popleft() if actor.todo else None

    def _take(self) -> Job | None:
        if self._again:
            return self._again.popleft()
        job = None if self._jobs is None else next(self._jobs, None)
        if job is None:
            self._jobs = None
        return job

    def _call(self, actor: _Actor, task: _Task) -> None:
        if not actor.calls or self._abreast > 1:
            task.began = time.monotonic()
        if not actor.prepares:
            heard = self._sender.parcels(task.wanted)
            actor.calls[actor.handle.recognise.remote(task.batch, task.job.utterances, heard)] = task
            return
        hears = (*task.job.utterances, *task.wanted) if self._traits.needs_audio else ()
        arguments = (task.job, task.condition, self._sender.parcels(hears))
        if actor.recognises:
            actor.calls[actor.handle.work.remote(*arguments)] = task
        else:
            said, task.batch = actor.handle.prepare.options(num_returns=2).remote(*arguments)
            actor.calls[said] = task

    # --- what comes back -----------------------------------------------------------------------------------------

    def _hear(self, actor: _Actor, ref: Any) -> Iterator[Message]:
        """Take what an actor says: that it is ready, a result, or nothing any more."""
        errors = self._ray.exceptions
        if (
            ref != actor.starting and ref not in actor.calls
        ):  # it was replaced a moment ago; through a client, a reference comes back as another object
            return
        try:
            said = self._ray.get(ref)
        except errors.RayActorError as error:
            yield from self._bury(actor, error)
            return
        except errors.RayError:  # what was prepared went with its node
            self._tries.died("lost what it was given")
            self._prepare_again(actor.calls.pop(ref))
            return
        if ref == actor.starting:
            yield from self._started(actor, said)
        else:
            yield from self._returned(actor, actor.calls.pop(ref), said)

    def _started(self, actor: _Actor, said: Any) -> Iterator[Ready]:
        self._placed = time.monotonic()
        if isinstance(said, str):
            actor.node = said
            actor.starting = actor.handle.start.remote(self._briefings[actor.recognises])
            return
        if isinstance(said, AsrfairError):
            raise said
        actor.ready, actor.starting, actor.start_attempts = True, None, 0
        if said.fingerprint is not None:
            self._compare(actor, said.fingerprint)
            yield said

    def _compare(self, actor: _Actor, fingerprint: dict[str, str]) -> None:
        """Refuse an engine that is not the one that the first actor started."""
        first = self._fingerprint = self._fingerprint or fingerprint
        differs = [
            f"{name} {fingerprint.get(name, 'missing')} (first: {first.get(name, 'missing')})"
            for name in sorted({*first, *fingerprint})
            if first.get(name) != fingerprint.get(name)
        ]
        if differs:
            raise EngineError(
                f"the engine on the node {self._name(actor)} is not that of the first node: {', '.join(differs)}",
                remedy="Install the same packages and models on every node",
            )

    def _returned(self, actor: _Actor, task: _Task, said: Any) -> Iterator[Done]:
        for following in actor.calls.values():  # an actor works in the order of its calls
            following.began = time.monotonic() if self._abreast == 1 else following.began
            break
        if isinstance(said, AsrfairError):
            raise said
        if isinstance(said, Wanted):
            if said.lost:
                self._sender.forget(said.utterance)
            task.wanted.append(said.utterance)
            (actor.todo if actor.prepares else self._prepared).appendleft(task)
        elif isinstance(said, Done):
            self._tries.settled(task.job.number, task.condition)
            self._settle(task)
            yield said
        else:
            self._prepared.append(task)

    def _settle(self, task: _Task) -> None:
        self._suspects.discard((task.job.number, task.condition))
        conditions = self._open[task.job.number]
        conditions.discard(task.condition)
        if not conditions:
            del self._open[task.job.number]

    def _prepare_again(self, *tasks: _Task) -> None:
        """Put tasks back, before all others, as jobs with those conditions that they lack."""
        jobs: dict[int, tuple[Job, list[int]]] = {}
        for task in tasks:
            jobs.setdefault(task.job.number, (task.job, []))[1].append(task.condition)
        for job, conditions in reversed(jobs.values()):
            self._again.appendleft(replace(job, conditions=tuple(sorted(conditions))))

    # --- deaths --------------------------------------------------------------------------------------------------

    def _bury(self, actor: _Actor, error: Exception) -> Iterator[Message]:
        """Replace an actor that is gone; what its process died of is tried once more or given up.

        If its node is gone, nothing that it did is to blame.
        """
        calls, starting = actor.calls, actor.starting
        actor.calls, actor.starting = {}, None
        if starting is not None and getattr(error, "_actor_init_failed", False):
            raise EnvironmentFailedError(f"the node {self._name(actor)} cannot load asrfair's worker: {error}")
        left: list[_Task] = []
        for ref, task in calls.items():  # what it had finished before counts
            try:
                yield from self._returned(actor, task, self._ray.get(ref, timeout=PATIENCE_S))
            except self._ray.exceptions.RayError:
                left.append(task)
        gone = bool(actor.node) and not any(n["Alive"] and n["NodeID"] == actor.node for n in self._ray.nodes())
        how = actor.stuck or ("was lost with its node" if gone else "died")
        if not actor.ready and not gone:
            actor.start_attempts += 1
        self._tries.died(how, starting=actor.start_attempts)
        lost: list[Lost] = []
        blamed = [] if gone else [task for task in left if actor.late is None or actor.late is task]
        if len(blamed) > 1:
            self._suspects.update((task.job.number, task.condition) for task in blamed)
            blamed = []
        for task in blamed:
            if self._tries.given_up(task.job.number, task.condition):
                left.remove(task)
                self._settle(task)
                lost.append(Lost(job=task.job, condition=task.condition, how=how, late=bool(actor.stuck)))
        self._prepare_again(*left, *actor.todo)
        actor.todo.clear()
        self.replaced += 1
        self._hire(actor)
        yield from lost

    def _hire(self, actor: _Actor) -> None:
        """Ask for an actor; it is placed when a node has room."""
        room = self._room if actor.recognises else Room(cpus=1)
        actor.handle = (
            self._ray.remote(NodeWorker)
            .options(
                num_cpus=room.cpus,
                num_gpus=room.gpus or None,
                memory=room.memory_bytes or None,
                max_concurrency=self._abreast if actor.recognises else 1,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote()
        )
        actor.starting = actor.handle.place.remote()
        actor.node, actor.ready, actor.stuck, actor.late = "", False, "", None

    def _look(self) -> None:
        """Look after the actors: kill one that is at a batch for too long, end a run that nobody has room for."""
        now = time.monotonic()
        for actor in self._actors:
            patience_s = self._traits.patience_s if actor.recognises else None
            for task in actor.calls.values():
                limit = limit_s(task.job.utterances, patience_s)
                if task.began and now - task.began > limit and not actor.stuck:
                    actor.late, actor.stuck = task, f"was at one batch for more than {limit:.0f} s"
                    self._ray.kill(actor.handle)
        for role in {actor.recognises for actor in self._actors}:
            if any(actor.node for actor in self._actors if actor.recognises == role):
                continue
            if now - self._placed > PLACE_S:
                raise EnvironmentFailedError(
                    f"no node of the Ray cluster had room for a worker for {PLACE_S / 60:.0f} minutes",
                    remedy="`ray status` shows who uses what; the same command resumes this run",
                )

    def _part(self) -> None:
        """Let the engines close, and take what they counted."""
        ready = [actor for actor in self._actors if actor.ready]
        last = [actor.handle.finish.remote() if actor.recognises else actor.handle.leave.remote() for actor in ready]
        done, _ = self._ray.wait(last, num_returns=len(last), timeout=PATIENCE_S) if last else ([], [])
        for ref in done:
            with suppress(self._ray.exceptions.RayError):
                for name, value in (self._ray.get(ref) or {}).items():
                    self.statistics[name] = self.statistics.get(name, 0.0) + value

    def _name(self, actor: _Actor) -> str:
        return next((n["NodeName"] for n in self._ray.nodes() if n["NodeID"] == actor.node), "?")
