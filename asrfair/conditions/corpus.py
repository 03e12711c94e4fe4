"""The rest of the manifest, as conditions need it: other people's speech for babble, the long-term spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from asrfair.conditions.level import active_level
from asrfair.errors import AsrfairError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from asrfair.types import Clip, Utterance

SPECTRUM_UTTERANCES = 200
"""How many utterances the corpus's spectrum is measured on."""

CACHED_CLIPS = 64
"""How many clips of other speakers stay in memory: babble asks for the same ones again and again."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Spectrum:
    """Relative power density over frequency, both shape (bins,)."""

    frequencies_hz: npt.NDArray[np.float64]
    density: npt.NDArray[np.float64]

    def at(self, frequencies_hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Interpolate the density; zero below 20 Hz."""
        density: npt.NDArray[np.float64] = np.interp(frequencies_hz, self.frequencies_hz, self.density)
        return np.where(frequencies_hz >= 20, density, 0.0)


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
        self._by_id = {u.utterance_id: u for u in self._audible}
        self._cached = lru_cache(maxsize=CACHED_CLIPS)(self._read)
        self._spectra: dict[int, Spectrum] = {}

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

    def spectrum(self, sample_rate_hz: int) -> Spectrum:
        """Return the long-term average spectrum of the corpus's active speech at a sample rate.

        At most 200 utterances are measured, taken from the speakers in turn, so that none dominates; which ones
        depends on ids only. Each utterance counts with the same weight, whatever its level and length.
        """
        if sample_rate_hz not in self._spectra:
            chosen: list[Utterance] = []
            rounds = max((len(v) for v in self._by_speaker.values()), default=0)
            for turn in range(rounds):
                chosen += [self._by_speaker[s][turn] for s in self._speakers if turn < len(self._by_speaker[s])]
                if len(chosen) >= SPECTRUM_UTTERANCES:
                    break
            self._spectra[sample_rate_hz] = _average_spectrum(
                [self.load(u, sample_rate_hz) for u in chosen[:SPECTRUM_UTTERANCES]], sample_rate_hz
            )
        return self._spectra[sample_rate_hz]

    def load(self, utterance: Utterance, sample_rate_hz: int) -> Clip | None:
        """Read the audio of an utterance, or ``None`` where it cannot be read; a few clips are kept in memory."""
        return self._cached(utterance.utterance_id, sample_rate_hz)

    def _read(self, utterance_id: str, sample_rate_hz: int) -> Clip | None:
        try:
            return self._load(self._by_id[utterance_id], sample_rate_hz)
        except AsrfairError:
            return None


def _average_spectrum(clips: Iterable[Clip | None], sample_rate_hz: int) -> Spectrum:
    size = 2 ** math.ceil(math.log2(sample_rate_hz * 0.032))
    total = np.zeros(size // 2 + 1)
    for clip in clips:
        level = None if clip is None else active_level(clip.samples, sample_rate_hz)
        if clip is None or level is None:
            continue
        speech = clip.samples.astype(np.float64)[level.mask]
        if speech.size < size:
            continue
        from scipy.signal import welch

        _, density = welch(speech, sample_rate_hz, nperseg=size, detrend=False)
        total += density / density.sum()
    if not total.any():
        raise InputError(
            "the long-term spectrum of the corpus cannot be measured: no utterance holds speech",
            remedy='Write spectrum = "international" in the profile',
        )
    return Spectrum(frequencies_hz=np.arange(total.size) * (sample_rate_hz / size), density=total)
