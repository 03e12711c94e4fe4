"""What runs on a cluster's nodes: a worker that prepares audio, recognises it, or both. The work itself is ``work``'s."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from asrfair.errors import AsrfairError, EngineError
from asrfair.recognise.transcribe.on_ray.parcels import Receiver, Wanted, unpack
from asrfair.recognise.transcribe.work import Done, Job, Prepared, Preparer, Ready, Setup, recognise
from asrfair.recognise.transcribe.workers import Lookup, device_rendering, feeding, start_engine, statistics_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from asrfair.types import Utterance


Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Briefing:
    """What a worker on a node needs to begin.

    Args:
        setup: As for every worker, but for the conditions.
        conditions: Those, packed.
        files: Their files, as references by path.
        prepares: Whether this worker decodes and renders.
        recognises: Whether it holds an engine.
    """

    setup: Setup
    conditions: bytes
    files: Mapping[str, Any]
    prepares: bool
    recognises: bool


class NodeWorker:
    """A worker on a node. Methods return what went wrong as a value: Ray prints and wraps what is raised."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="asrfair-", ignore_cleanup_errors=True)
        self._lookup = Lookup()
        self._under_way: tuple[int, tuple[int, ...], Iterator[Prepared]] | None = None

    def place(self) -> str:
        """Return the id of the node that this worker was given room on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def start(self, briefing: Briefing) -> Ready | AsrfairError:
        """Begin: lay out files, start the engine."""
        return _said(lambda: self._start(briefing))

    def _start(self, briefing: Briefing) -> Ready:
        import ray

        folder = Path(self._folder.name)
        conditions = unpack(briefing.conditions, briefing.files, ray.get, folder / "conditions")
        self._receiver = Receiver(ray.get, folder / "recordings")
        load = self._receiver.load
        corpus = replace(briefing.setup.corpus, load=load)
        setup = replace(briefing.setup, conditions=conditions, corpus=corpus)
        if briefing.prepares:
            self._preparer = Preparer(setup, load=load) if briefing.recognises else feeding(setup, load)
        if not briefing.recognises:
            return Ready(fingerprint=None)
        self._engine = start_engine(setup, self._lookup)
        self._render = device_rendering(setup, load)
        return Ready(fingerprint=self._engine.fingerprint())

    def prepare(
        self, job: Job, condition: int, parcels: Mapping[str, Any]
    ) -> tuple[Wanted | AsrfairError | None, Prepared | None]:
        """Return a batch in a condition, and beside it, in a few bytes, what is in the way."""
        found = _said(lambda: self._prepare(job, condition, parcels))
        return (None, found) if isinstance(found, Prepared) else (found, None)

    def recognise(
        self, batch: Prepared, utterances: tuple[Utterance, ...], parcels: Mapping[str, Any]
    ) -> Done | Wanted | AsrfairError:
        """Recognise a batch that another worker has prepared, and render before what is left to the engine's device."""
        self._lookup.add(utterances)
        clips = [replace(clip, samples=clip.samples.copy()) for clip in batch.clips]  # those in the store are read-only
        return _said(lambda: self._recognise(replace(batch, clips=clips), parcels))

    def _recognise(self, batch: Prepared, parcels: Mapping[str, Any]) -> Done:
        self._receiver.take(parcels)
        self._render(batch)
        return recognise(self._engine, batch)

    def work(self, job: Job, condition: int, parcels: Mapping[str, Any]) -> Done | Wanted | AsrfairError:
        """Prepare and recognise."""
        self._lookup.add(job.utterances)
        return _said(lambda: recognise(self._engine, self._prepare(job, condition, parcels)))

    def finish(self) -> dict[str, float]:
        """Close the engine, remove what lies on the disk, and return what the engine counted."""
        counted = statistics_of(self._engine)
        self._engine.close()
        self.leave()
        return counted

    def leave(self) -> None:
        """Remove what lies on the disk."""
        self._folder.cleanup()

    def _prepare(self, job: Job, condition: int, parcels: Mapping[str, Any]) -> Prepared:
        """Go on with a job whose next condition this is, with what was decoded for the last; else begin it here."""
        self._receiver.take(parcels)
        under_way, self._under_way = self._under_way, None
        if under_way is None or under_way[0] != job.number or under_way[1][:1] != (condition,):
            conditions = job.conditions[job.conditions.index(condition) :]
            batches = self._preparer.prepare(replace(job, conditions=conditions))
        else:
            _, conditions, batches = under_way
        batch = next(batches)
        self._under_way = (job.number, conditions[1:], batches)
        return batch


def _said(what: Callable[[], Result]) -> Result | Any:
    """Do something, and return what ends the run, or what is wanted first, as a value."""
    try:
        return what()
    except (AsrfairError, Wanted) as said:
        return said
    except MemoryError:
        return EngineError("a worker ran out of memory", remedy="Use fewer workers")
    except Exception as error:  # noqa: BLE001 -- a worker's last words
        return EngineError(f"a worker failed: {type(error).__name__}: {error}")
