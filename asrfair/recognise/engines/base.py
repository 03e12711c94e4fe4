"""What an engine is: a class made from a spec and a context, that turns clips into hypotheses, in order.

A whole engine::

    class Shouting(EngineBase):
        traits = EngineTraits(sample_rate_hz=16_000)

        def transcribe(self, clips):
            return [Hypothesis(utterance_id=clip.utterance_id, text="HELLO") for clip in clips]

Everything else (workers, batches, decoding, conditions, the journal, errors) is the run's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

import pydantic

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from asrfair.types import Clip, EngineSpec, Hypothesis, Utterance

Parallel = Literal["processes", "threads", "device", "inline"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineTraits:
    """What the run must know about an engine before it starts one. Small and picklable.

    Args:
        sample_rate_hz: The rate at which clips are handed over.
        needs_audio: If false, clips arrive without samples (text from a file, say), and no condition is rendered.
        parallel: How work is spread. ``processes``: one engine in each worker process, which also decodes and
            renders its audio. ``device``: one engine process a device, fed with prepared batches by worker
            processes. ``threads``: likewise fed, and ``transcribe`` is called from ``concurrency`` threads at once
            (services behind HTTP). ``inline``: so cheap that it is called in the run's own process.
        deterministic: Whether the same clips give the same text every time.
        max_batch: Most clips in one call. 1 means that batches cannot change transcripts.
        max_padded_s: Budget of a batch: its clips times its longest clip, in seconds; ``None`` is no budget.
        concurrency: Calls of ``transcribe`` at once, each from a thread of its own (``threads``, and ``device`` for
            engines that prepare one batch while they compute another).
        devices: Names handed to the engines as ``context.device``, one process each (``device`` only).
        threads: Processor threads of each worker (``processes`` only): so many fewer workers are started.
        memory_bytes: What each worker is expected to hold beyond the audio (``processes`` only): no more workers are
            started than there is memory for.
        paid: Whether answers cost money: each is then forced to disk as it arrives, and what a run that was cut off
            asked for and never got is counted.
        patience_s: How long a batch may take, beyond what its audio's length allows (the run's limit if ``None``).
    """

    sample_rate_hz: int = 16_000
    needs_audio: bool = True
    parallel: Parallel = "processes"
    deterministic: bool = True
    max_batch: int = 1
    max_padded_s: float | None = None
    concurrency: int = 1
    devices: tuple[str, ...] = ("cpu",)
    threads: int = 1
    memory_bytes: int = 0
    paid: bool = False
    patience_s: float | None = None

    def __post_init__(self) -> None:
        if min(self.sample_rate_hz, self.max_batch, self.concurrency, self.threads) < 1 or not self.devices:
            raise EngineError(f"an engine states impossible traits: {self}")
        if self.max_padded_s is not None and not self.max_padded_s > 0:
            raise EngineError(f"an engine states impossible traits: {self}")


def _no_utterance(utterance_id: str) -> Utterance:
    raise KeyError(utterance_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineContext:
    """What a run tells its engines beside their spec.

    Args:
        seed: The run's seed.
        conditions: Names of the run's conditions, in order.
        base: The folder that relative paths in options start from (the suite's).
        device: Which device this process is to use; one of ``traits.devices``.
        threads: Processor threads that this engine may use.
        utterance: Looks up an utterance that is being transcribed: for engines that need its reference or
            attributes (``fake``). A recogniser has no business with it.
        table: The manifest's table, for ``inline`` engines only.
    """

    seed: int = 1
    conditions: tuple[str, ...] = ("clean",)
    base: Path = Path()
    device: str = "cpu"
    threads: int = 1
    utterance: Callable[[str], Utterance] = _no_utterance
    table: pd.DataFrame | None = None

    def path(self, value: str | Path) -> Path:
        """Return an option's path, taken from ``base`` if it is relative."""
        return (self.base / Path(value).expanduser()).resolve()


@runtime_checkable
class Engine(Protocol):
    """The protocol. ``EngineBase`` supplies everything but ``traits`` and ``transcribe``.

    The class is called with ``(spec, context)``. Before that the run asks for its traits: the class attribute
    ``traits``, or the class method ``traits_for(spec, context)`` where they depend on options. That must be cheap:
    it happens in the run's own process, and loads no model.
    """

    traits: EngineTraits

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Return one hypothesis a clip, in the same order.

        What fails for one clip is a ``Hypothesis(status="error", error=...)``. An exception that escapes becomes
        such a row for every clip of the call; an ``EngineError`` ends the run (the engine as a whole is gone).
        """
        ...

    def fingerprint(self) -> dict[str, str]:
        """Return what the transcripts depend on (versions, hashes of model files), without secrets or machine paths."""
        ...

    def close(self) -> None:
        """Give back what the engine holds. Called once, after its last batch."""
        ...


class EngineBase:
    """Keeps the spec and the context, and has plain answers to everything but ``transcribe``.

    Beyond the protocol, a run calls two methods if an engine has them: ``recover(error)`` before a batch that failed is
    tried again in halves (free memory there), and ``leftovers(condition)`` of ``inline`` engines, for hypotheses that
    belong to no utterance of the manifest.
    """

    traits: EngineTraits
    secret_options: ClassVar[frozenset[str]] = frozenset()
    """Options that are never written anywhere (prefer the name of an environment variable as the option)."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        self.spec = spec
        self.context = context
        self.traits = type(self).traits_for(spec, context)

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:  # noqa: ARG003 -- for subclasses
        """Return the traits that an engine of this spec will have, without loading a model."""
        return cls.traits

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Return one hypothesis a clip, in the same order."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        """Return what the transcripts depend on, beyond the options."""
        return {}

    def statistics(self) -> dict[str, float]:
        """Return counts of what happened (retries, split batches); workers' counts are added up into ``run.json``."""
        return {}

    def close(self) -> None:
        """Give back what the engine holds."""


Options = TypeVar("Options", bound=pydantic.BaseModel)


def read_options(model: type[Options], spec: EngineSpec) -> Options:
    """Check an engine's options against a pydantic model.

    Raises:
        InputError: An option is unknown (the nearest known one is named) or has a wrong value.
    """
    known = sorted(field.alias or name for name, field in model.model_fields.items())
    for key in spec.options:
        if key not in known:
            raise InputError(
                f"engine {spec.label!r} ({spec.name}) has no option {str(key)!r}",
                remedy=did_you_mean(str(key), known) if known else "It takes no options",
                column=str(key),
            )
    try:
        return model.model_validate(dict(spec.options))
    except pydantic.ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"engine {spec.label!r} ({spec.name}): {first['msg']}",
            column=where or None,
            value=first.get("input"),
            remedy="See docs/engines.md for the options of each engine",
        ) from error
