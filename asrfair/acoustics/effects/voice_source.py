"""``breathiness`` and ``effort``: how a voice is made, not whose it is. Written out here; they need no extra."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.envelope import envelopes, frame_size, resynthesis, spectrogram
from asrfair.acoustics.filters import band_taps, convolve_centred, from_magnitude
from asrfair.acoustics.level import amplitude, decibels, mean_power

if TYPE_CHECKING:
    import numpy.typing as npt

ASPIRATION_HZ = 1000.0
"""Breath is heard above about this (Klatt & Klatt 1990, *JASA* 87, 820–857); below, the voice covers it."""

TILT_FROM_HZ, TILT_TO_HZ = 500.0, 4000.0
"""Between these a louder voice is flatter; beyond, the change stays what it is there."""


class BreathinessParams(EffectParams):
    """``noise_db``: the breath's level beside the voice's, over active speech (−10: a whispery voice; −30: hardly)."""

    noise_db: Annotated[Number, within(-60, 6)] = -15.0


class BreathinessEffect(Effect):
    """Breath that sounds with the voice: noise with the envelope of what is said, above 1 kHz."""

    params: ClassVar[type[EffectParams]] = BreathinessParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored")

    def apply(
        self, samples: Samples, sample_rate_hz: int, params: Any, rng: np.random.Generator, context: EffectContext
    ) -> tuple[Samples, Achieved]:
        """Add the breath; see ``Effect.apply``. Achieved: ``breath_db``, as asked. A clip without speech is left alone."""
        asked: Achieved = {"breath_db_asked": number(params.noise_db)}
        level = context.level
        scale = float(np.max(np.abs(samples), initial=0.0))
        if level is None or scale == 0 or level.size != samples.size or not np.all(np.isfinite(samples)):
            return samples.copy(), asked
        shape = envelopes(spectrogram(samples / scale, sample_rate_hz), sample_rate_hz)
        frequency = np.arange(shape.shape[1]) * (sample_rate_hz / frame_size(sample_rate_hz))
        shape *= frequency**2 / (frequency**2 + ASPIRATION_HZ**2)
        noise = spectrogram(rng.standard_normal(samples.size), sample_rate_hz)
        breath = resynthesis(noise * shape, samples.size, sample_rate_hz) * scale
        power, own = level.power(breath), level.power(samples)
        if power <= 0 or own <= 0:
            return samples.copy(), asked
        breath *= np.sqrt(own / power) * amplitude(number(params.noise_db))
        return samples + breath, {**asked, "breath_db": decibels(level.power(breath)) - decibels(own)}


class EffortParams(EffectParams):
    """``tilt_db_per_octave`` from 500 Hz to 4 kHz: above 0 a louder voice's spectrum, below 0 a softer one's.

    In noise people speak up: level, pitch and this tilt rise together (Lombard speech; Lu & Cooke 2009, *Speech
    Communication* 51, 1253–1262). Pitch is ``pitch``'s; level is that of ``noise`` with a talker, or ``gain``.
    """

    tilt_db_per_octave: Annotated[Number, within(-9, 9)] = 3.0


class EffortEffect(Effect):
    """The spectral tilt of a louder or softer voice, its level restored."""

    params: ClassVar[type[EffectParams]] = EffortParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored", linear=True)

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,  # noqa: ARG002 -- the same for everybody
    ) -> tuple[Samples, Achieved]:
        """Tilt the spectrum; see ``Effect.apply``.

        Achieved, beside what was asked: ``balance_change_db``, by how much the level from 1 to 5 kHz rose against that from 50 Hz to 1 kHz
        (the alpha ratio of voice research).
        """
        tilt = number(params.tilt_db_per_octave)
        achieved: Achieved = {"tilt_db_per_octave_asked": tilt}
        taps = _tilt(tilt, sample_rate_hz)
        result = convolve_centred(samples, taps)
        before, after = balance_db(samples, sample_rate_hz), balance_db(result, sample_rate_hz)
        if before is not None and after is not None:
            achieved["balance_change_db"] = after - before
        return result, achieved


@lru_cache(maxsize=64)
def _tilt(db_per_octave: float, sample_rate_hz: int) -> Samples:
    def magnitude(frequency: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        octaves = np.log2(np.clip(frequency, TILT_FROM_HZ, TILT_TO_HZ) / TILT_FROM_HZ)
        return np.asarray(10 ** (db_per_octave * octaves / 20), dtype=np.float64)

    return from_magnitude(magnitude, sample_rate_hz)


def balance_db(samples: Samples, sample_rate_hz: int) -> float | None:
    """Return the level from 1 to 5 kHz over that from 50 Hz to 1 kHz; ``None`` for silence."""
    low = band_taps(50, 1000, 50, sample_rate_hz)
    high = band_taps(1000, 5000, 50, sample_rate_hz)
    assert low is not None
    assert high is not None
    powers = [mean_power(convolve_centred(samples, taps)) for taps in (low, high)]
    return decibels(powers[1]) - decibels(powers[0]) if min(powers) > 0 else None
