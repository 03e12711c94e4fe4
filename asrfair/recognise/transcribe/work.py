"""What is done to one batch: decode, put into a condition, recognise. The same code in every kind of worker."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from asrfair.data.audio import TruncatedAudioError, load_clip
from asrfair.data.stored.reading import ReadAhead
from asrfair.errors import AsrfairError, EngineError
from asrfair.recognise.journal import Achieved, Row, clean_text, row_of
from asrfair.recognise.transcribe.tries import ATTEMPTS
from asrfair.types import UNREADABLE_AUDIO, Clip, EngineSpec, Hypothesis, Utterance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from asrfair.acoustics import Condition, RenderContext, Rendered
    from asrfair.recognise.engines import Engine, EngineContext, EngineTraits

TRUNCATED_AUDIO = "truncated_audio:"
"""How the error of an utterance begins whose audio was cut short."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a worker needs to begin. Picklable, so that a process can be started with it.

    Args:
        spec: The engine.
        context: What the engine is told.
        traits: What the engine said of itself.
        conditions: The run's conditions, in order.
        seed: The run's seed.
        corpus: What babble and speech-shaped noise are made from.
        measure: Whether achieved values are wanted (of one engine a run).
        feeders: Processes that prepare audio for this engine, where it does not do so itself.
    """

    spec: EngineSpec
    context: EngineContext
    traits: EngineTraits
    conditions: tuple[Condition, ...]
    seed: int
    corpus: RenderContext
    measure: bool = False
    feeders: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One batch under the conditions that it still lacks (positions in ``Setup.conditions``).

    ``soon`` are the remote stores that the batches after it are in, so that they can be fetched meanwhile.
    """

    number: int
    utterances: tuple[Utterance, ...]
    conditions: tuple[int, ...]
    soon: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class StageTimes:
    """Seconds spent, summed over workers. ``wait_s`` is an engine's time without anything to do."""

    decode_s: float = 0.0
    condition_s: float = 0.0
    engine_s: float = 0.0
    wait_s: float = 0.0

    def add(self, other: StageTimes) -> None:
        """Add the times of another piece of work."""
        self.decode_s += other.decode_s
        self.condition_s += other.condition_s
        self.engine_s += other.engine_s
        self.wait_s += other.wait_s


@dataclass(kw_only=True, slots=True)
class Prepared:
    """A batch in a condition, ready for the engine, and the rows of the utterances that did not get that far."""

    job: int
    condition: int
    clips: list[Clip] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    achieved: list[Achieved] = field(default_factory=list)
    times: StageTimes = field(default_factory=StageTimes)
    unrendered: list[str] = field(default_factory=list)
    """Who speaks in each clip, where the clips are yet to be rendered on the engine's device."""


@dataclass(kw_only=True, slots=True)
class Done:
    """The results of a batch under a condition."""

    job: int
    condition: int
    rows: list[Row]
    achieved: list[Achieved]
    times: StageTimes
    audio_s: float
    splits: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """An engine has started; what it says that its transcripts depend on (``None``: it was no engine)."""

    fingerprint: dict[str, str] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A batch under a condition begins: from now on its answer may cost money, or its worker's life."""

    job: Job
    condition: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """A batch under a condition is given up: its process died, or was killed because it gave no answer (``late``)."""

    job: Job
    condition: int
    how: str
    late: bool = False

    def row(self, utterance_id: str) -> Row:
        """Return the row of an utterance of it. It does not say how: machines differ in what they can tell."""
        if self.late:
            error = f"worker_timed_out: it gave no answer in its time, {ATTEMPTS} times (events in run.json say more)"
        else:
            error = f"worker_killed: its process died, {ATTEMPTS} times (events in run.json say how)"
        return _error_row(utterance_id, error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """What an engine has under a condition for ids that nobody knows or that come again: rows of a file."""

    condition: int
    hypotheses: Iterable[Hypothesis]


def rendered_on_device(setup: Setup) -> bool:
    """Tell whether an engine hears any condition that a device renders."""
    return setup.traits.needs_audio and any(condition.renderer == "device" for condition in setup.conditions)


class Preparer:
    """Decodes a batch once and renders it into each of its conditions.

    Args:
        setup: The run's conditions, and what is to be measured.
        device: Where conditions with the renderer ``device`` are rendered; ``None`` leaves them to :meth:`finish` of the
            preparer that the engine's process has.
        load: Decodes an utterance; another one where recordings do not lie on this machine.
    """

    def __init__(
        self, setup: Setup, *, device: str | None = "cpu", load: Callable[[Utterance, int], Clip] = load_clip
    ) -> None:
        from asrfair.acoustics import Renderer

        self._setup = setup
        self._ahead = ReadAhead()
        self._load = load
        self._renderer = Renderer(setup.conditions, setup.seed, setup.corpus) if setup.traits.needs_audio else None
        self._tensors = None
        self._lock = threading.Lock()
        if device is not None and rendered_on_device(setup):
            from asrfair.acoustics.tensor import TensorRenderer

            conditions = [condition for condition in setup.conditions if condition.renderer == "device"]
            self._tensors = TensorRenderer(conditions, setup.seed, setup.corpus, device=device)

    def prepare(self, job: Job) -> Iterator[Prepared]:
        """Yield the batch in each of its conditions, in order."""
        if self._renderer is None:
            for number in job.conditions:
                yield Prepared(
                    job=job.number, condition=number, clips=[self._silent(u, number) for u in job.utterances]
                )
            return
        self._ahead.want(job.soon)
        start = time.perf_counter()
        clips: list[tuple[Utterance, Clip]] = []
        failed: list[Row] = []
        for utterance in job.utterances:
            try:
                clips.append((utterance, self._load(utterance, self._setup.traits.sample_rate_hz)))
            except Exception as error:  # noqa: BLE001 -- whatever a library makes of a broken file
                kind = TRUNCATED_AUDIO if isinstance(error, TruncatedAudioError) else UNREADABLE_AUDIO
                failed.append(_error_row(utterance.utterance_id, f"{kind} {_without_path(error)}"))
        decode_s = time.perf_counter() - start
        for number in job.conditions:
            batch = Prepared(job=job.number, condition=number, failed=list(failed))
            batch.times.decode_s, decode_s = decode_s, 0.0
            if self._setup.conditions[number].renderer == "device":
                batch.clips = [clip for _, clip in clips]
                batch.unrendered = [utterance.speaker_id for utterance, _ in clips]
                if self._tensors is not None:
                    self.finish(batch)
                yield batch
                continue
            start = time.perf_counter()
            for utterance, clip in clips:
                self._render(batch, clip, partial(self._renderer.render, speaker_id=utterance.speaker_id))
            batch.times.condition_s = time.perf_counter() - start
            yield batch

    def finish(self, batch: Prepared) -> None:
        """Render on the device what was left to it: a batch at once, or if that fails, to find out why, clip by clip."""
        if not batch.unrendered:
            return
        clips, speakers = batch.clips, batch.unrendered
        batch.clips, batch.unrendered = [], []
        condition, tensors = self._setup.conditions[batch.condition], self._tensors
        assert tensors is not None
        with self._lock:
            start = time.perf_counter()
            try:
                for rendered in tensors.render(clips, condition, speakers):
                    self._take(batch, rendered)
            except Exception:  # noqa: BLE001 -- said of the clips that it is true of
                for clip, speaker in zip(clips, speakers, strict=True):
                    self._render(batch, clip, partial(tensors.render_alone, speaker_id=speaker))
            batch.times.condition_s += time.perf_counter() - start

    def _render(self, batch: Prepared, clip: Clip, render: Callable[[Clip, Condition], Rendered]) -> None:
        try:
            rendered = render(clip, self._setup.conditions[batch.condition])
        except Exception as error:  # noqa: BLE001 -- one utterance must not end the run
            batch.failed.append(_error_row(clip.utterance_id, f"condition_failed: {_without_path(error)}"))
            return
        self._take(batch, rendered)

    def _take(self, batch: Prepared, rendered: Rendered) -> None:
        batch.clips.append(rendered.clip)
        if self._setup.measure:
            for quantity, value in rendered.achieved.items():
                number = None if isinstance(value, str) else float(value)
                text = clean_text(value) if isinstance(value, str) else ""
                batch.achieved.append(Achieved(rendered.clip.utterance_id, quantity, number, text))

    def _silent(self, utterance: Utterance, condition: int) -> Clip:
        return Clip(
            utterance_id=utterance.utterance_id,
            samples=np.zeros(0, np.float32),
            sample_rate_hz=self._setup.traits.sample_rate_hz,
            language=utterance.language,
            condition=self._setup.conditions[condition].name,
        )


def recognise(engine: Engine, batch: Prepared) -> Done:
    """Run the engine over a prepared batch.

    A batch that fails as a whole is halved and tried again, down to single utterances; each split is recorded. A
    single utterance that fails becomes an error row.

    Raises:
        EngineError: The engine as a whole has failed.
    """
    start = time.perf_counter()
    splits: list[str] = []
    answers = _answers(engine, batch.clips, splits) if batch.clips else []
    elapsed = time.perf_counter() - start
    each = elapsed / len(batch.clips) if batch.clips else 0.0
    batch.times.engine_s += elapsed
    return Done(
        job=batch.job,
        condition=batch.condition,
        rows=[*batch.failed, *(row_of(answer, latency_s=each) for answer in answers)],
        achieved=batch.achieved,
        times=batch.times,
        audio_s=sum(clip.duration_s for clip in batch.clips),
        splits=splits,
    )


def _answers(engine: Engine, clips: Sequence[Clip], splits: list[str]) -> list[Hypothesis]:
    try:
        return _in_order(clips, engine.transcribe(clips))
    except EngineError:
        raise
    except Exception as error:  # noqa: BLE001 -- an engine may raise anything
        reason = f"{type(error).__name__}: {error}"
        if len(clips) == 1:
            return [Hypothesis(utterance_id=clips[0].utterance_id, status="error", error=reason)]
        recover = getattr(engine, "recover", None)
        if recover is not None:
            recover(error)
    half = (len(clips) + 1) // 2
    splits.append(f"a batch of {len(clips)} was split into {half} and {len(clips) - half}: {clean_text(reason)[:300]}")
    return [*_answers(engine, clips[:half], splits), *_answers(engine, clips[half:], splits)]


def _in_order(clips: Sequence[Clip], answers: list[Hypothesis]) -> list[Hypothesis]:
    if [answer.utterance_id for answer in answers] != [clip.utterance_id for clip in clips]:
        raise TypeError(f"the engine gave {len(answers)} answers to {len(clips)} clips, or in another order")
    return answers


def _error_row(utterance_id: str, error: str) -> Row:
    return Row(utterance_id=utterance_id, status="error", error=clean_text(error)[:2000])


def _without_path(error: Exception) -> str:
    """Return what went wrong without the path, which differs between machines and stands in the manifest."""
    if isinstance(error, AsrfairError):
        return error.message
    return f"{type(error).__name__}: {error}"
