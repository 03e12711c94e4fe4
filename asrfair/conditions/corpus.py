"""The rest of the manifest, as conditions need it: other people's speech for babble, the long-term spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asrfair.types import Clip, Utterance


def _load(utterance: Utterance, sample_rate_hz: int) -> Clip:
    from asrfair.audio import load_clip

    return load_clip(utterance, sample_rate_hz)


@dataclass(frozen=True, kw_only=True)
class RenderContext:
    """The manifest's utterances and how to read their audio. Picklable.

    Give the *whole* manifest, not a shard of it: what an utterance sounds like must not depend on the shard.

    Args:
        utterances: All utterances; the order does not matter.
        load: Reads one as mono at a sample rate; a module-level function.
    """

    utterances: tuple[Utterance, ...] = ()
    load: Callable[[Utterance, int], Clip] = _load

    @classmethod
    def of(cls, utterances: Iterable[Utterance]) -> RenderContext:
        """Build a context from any iterable of utterances."""
        return cls(utterances=tuple(utterances))


class Corpus:
    """Looks things up in a ``RenderContext``, in an order that depends on ids only."""

    def __init__(self, context: RenderContext) -> None:
        self._load = context.load
        self._audible = sorted(
            (u for u in context.utterances if u.audio is not None and not u.exclude),
            key=lambda u: u.utterance_id,
        )
        self._by_speaker: dict[str, list[Utterance]] = {}
        for utterance in self._audible:
            self._by_speaker.setdefault(utterance.speaker_id, []).append(utterance)
        self._speakers = sorted(self._by_speaker)

    @property
    def utterances(self) -> list[Utterance]:
        """Utterances with audio that are not excluded, sorted by id."""
        return self._audible

    @property
    def speakers(self) -> list[str]:
        """Their speakers, sorted."""
        return self._speakers

    def others(self, speaker_id: str) -> list[str]:
        """Return all speakers but one, sorted."""
        return [s for s in self._speakers if s != speaker_id]

    def of_speaker(self, speaker_id: str) -> list[Utterance]:
        """Return the utterances of a speaker, sorted by id."""
        return self._by_speaker.get(speaker_id, [])

    def load(self, utterance: Utterance, sample_rate_hz: int) -> Clip:
        """Read the audio of an utterance."""
        return self._load(utterance, sample_rate_hz)
