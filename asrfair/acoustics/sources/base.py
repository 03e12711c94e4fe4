"""What a source of noise is, and the table of sources.

A source makes noise of unit *expected* power: its level does not depend on what happens to fall into this clip, so that
layers keep their relation. The ``noise`` effect sums the layers and sets the SNR.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pydantic

from asrfair.acoustics.effects.base import Achieved, EffectContext, Inspection, Samples
from asrfair.acoustics.effects.parameters import Number, within
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from asrfair.acoustics.speech_material import Corpus

SOURCES: dict[str, str] = {
    "white": "asrfair.acoustics.sources.coloured:White",
    "pink": "asrfair.acoustics.sources.coloured:Pink",
    "brown": "asrfair.acoustics.sources.coloured:Brown",
    "shaped": "asrfair.acoustics.sources.coloured:Shaped",
    "speech_shaped": "asrfair.acoustics.sources.coloured:SpeechShaped",
    "hum": "asrfair.acoustics.sources.tonal:Hum",
    "machine": "asrfair.acoustics.sources.tonal:Machine",
    "fan": "asrfair.acoustics.sources.tonal:Fan",
    "knock": "asrfair.acoustics.sources.pulses:Knock",
    "beep": "asrfair.acoustics.sources.pulses:Beep",
    "gradient": "asrfair.acoustics.sources.pulses:Gradient",
    "wind": "asrfair.acoustics.sources.weather:Wind",
    "babble": "asrfair.acoustics.sources.people:Babble",
    "file": "asrfair.acoustics.sources.recorded:Recorded",
}
"""Name → ``module:attribute`` of a ``Source`` class, imported on use."""


class SourceParams(pydantic.BaseModel):
    """Base of every source's parameters.

    ``source`` is its name; ``level_db`` its level beside the other layers of the same noise.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    source: str
    level_db: Annotated[Number, within(-80, 80)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """How much noise is wanted, and for whom.

    Args:
        size: Number of samples.
        sample_rate_hz: Their rate.
        context: The utterance, the corpus, the profile's folder.
        facts: What the source's ``inspect`` measured.
        generator: Independent generators by purpose, for this layer of this utterance.
    """

    size: int
    sample_rate_hz: int
    context: EffectContext
    facts: Any
    generator: Callable[..., np.random.Generator]


class Source(ABC):
    """One kind of noise."""

    params: ClassVar[type[SourceParams]]

    def inspect(self, params: Any, folder: Path) -> Inspection:  # noqa: ARG002 -- for those that read files
        """Look once at what the parameters name, before anything is rendered.

        Raises:
            AsrfairError: It could not work.
        """
        return Inspection()

    def check_corpus(self, params: Any, corpus: Corpus) -> None:  # noqa: B027 -- most need no corpus
        """Refuse a corpus that cannot give what the source needs.

        Raises:
            InputError: It cannot.
        """

    @abstractmethod
    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return noise of unit expected power, shape (size,), and what is worth recording about it."""


def source_of(name: str) -> Source:
    """Import and return a source by name.

    Raises:
        InputError: There is none of that name.
    """
    if name not in SOURCES:
        raise InputError("unknown noise source", value=name, remedy=did_you_mean(name, SOURCES))
    module, attribute = SOURCES[name].split(":")
    source: Source = getattr(importlib.import_module(module), attribute)()
    return source
