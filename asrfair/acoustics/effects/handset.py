"""``handset``: what a cheap microphone makes of speech: its band, its resonances, its overload, its own noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pydantic

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, bounds, number, within
from asrfair.acoustics.filters import convolve_centred, from_magnitude
from asrfair.acoustics.level import NOMINAL_LEVEL_DBFS, active_level, amplitude, decibels, mean_power

if TYPE_CHECKING:
    from collections.abc import Sequence


class Resonance(pydantic.BaseModel):
    """A bell in the response: the cavity of a handset, a plastic housing, a hole in front of the capsule."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    frequency_hz: Annotated[Number, within(20, 24_000)]
    gain_db: Annotated[Number, within(-30, 30)]
    q: Annotated[Number, within(0.1, 20)] = 2.0


class HandsetParams(EffectParams):
    """The microphone.

    ``low_hz``, ``high_hz`` and ``slope_db_per_octave`` are its band (−3 dB edges, Butterworth flanks);
    ``saturation_db`` is how far above the active speech level the capsule's ceiling lies (less is more distortion);
    ``self_noise_db`` how far below the active speech level its own white noise lies. Both are off when not given.
    """

    low_hz: Annotated[Number, within(0, 10_000)] = 150.0
    high_hz: Annotated[Number, within(500, 100_000)] = 7000.0
    slope_db_per_octave: Annotated[Number, within(6, 48)] = 12.0
    resonances: tuple[Resonance, ...] = pydantic.Field(default=(), max_length=16)
    saturation_db: Annotated[Number, within(-10, 60)] | None = None
    self_noise_db: Annotated[Number, within(15, 120)] | None = None

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> HandsetParams:
        if bounds(self.low_hz)[1] >= bounds(self.high_hz)[0]:
            raise ValueError("low_hz must lie below high_hz")
        return self


def bell(frequencies_hz: Samples, centre_hz: float, gain_db: float, q: float) -> Samples:
    """Return the gain of the analogue peaking filter ``(s² + sA/Q + 1) / (s² + s/(AQ) + 1)``, A = 10^(gain/40).

    Args:
        frequencies_hz: Where, shape (frequencies,).
        centre_hz: The resonance, at which the gain is ``gain_db``.
        gain_db: Height (negative for a notch).
        q: Quality: centre over bandwidth.
    """
    peak = 10 ** (gain_db / 40)
    s = 1j * frequencies_hz / centre_hz
    return np.asarray(np.abs((s**2 + s * peak / q + 1) / (s**2 + s / (peak * q) + 1)), dtype=np.float64)


def response(
    frequencies_hz: Samples,
    *,
    low_hz: float,
    high_hz: float,
    slope_db_per_octave: float,
    resonances: Sequence[tuple[float, float, float]],
) -> Samples:
    """Return the microphone's gain at frequencies: Butterworth flanks times bells.

    Args:
        frequencies_hz: Shape (frequencies,).
        low_hz: Lower −3 dB edge; zero for none.
        high_hz: Upper −3 dB edge.
        slope_db_per_octave: Steepness of both flanks (6 dB for each order).
        resonances: (frequency_hz, gain_db, q) of each bell.
    """
    order = slope_db_per_octave / 6
    gain = 1 / np.sqrt(1 + (frequencies_hz / high_hz) ** (2 * order))
    if low_hz > 0:
        ratio = (np.maximum(frequencies_hz, 1e-3) / low_hz) ** (2 * order)
        gain = gain * np.sqrt(ratio / (1 + ratio))
    for centre_hz, gain_db, q in resonances:
        gain = gain * bell(frequencies_hz, centre_hz, gain_db, q)
    return np.asarray(gain, dtype=np.float64)


class HandsetEffect(Effect):
    """Band and resonances (linear phase, so alignment holds), then the ceiling, then the noise."""

    params: ClassVar[type[EffectParams]] = HandsetParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored")

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Send the samples through the microphone; see ``Effect.apply``."""
        low, high = number(params.low_hz), number(params.high_hz)
        slope = number(params.slope_db_per_octave)
        bells = [(number(r.frequency_hz), number(r.gain_db), number(r.q)) for r in params.resonances]
        taps = from_magnitude(
            lambda f: response(f, low_hz=low, high_hz=high, slope_db_per_octave=slope, resonances=bells),
            sample_rate_hz,
        )
        result = convolve_centred(samples, taps)
        achieved: Achieved = {"low_hz": low, "high_hz": min(high, sample_rate_hz / 2)}
        if params.saturation_db is None and params.self_noise_db is None:
            return result, achieved
        measured = active_level(convolve_centred(context.speech, taps), sample_rate_hz)
        level = NOMINAL_LEVEL_DBFS if measured is None else measured.level_dbfs
        if params.saturation_db is not None:
            ceiling = amplitude(level + number(params.saturation_db))
            achieved["saturated_fraction"] = float(np.mean(np.abs(result) > ceiling)) if result.size else 0.0
            result = ceiling * np.tanh(result / ceiling)
        if params.self_noise_db is not None:
            noise = rng.standard_normal(result.size) * amplitude(level - number(params.self_noise_db))
            result = result + noise
            achieved["self_noise_dbfs"] = decibels(mean_power(noise))
        return result, achieved
