"""``distance``: farther from the microphone: quieter by 6 dB each time the distance doubles, and duller by the air.

A room answers as well; that is ``room`` or ``impulse_response``. Behind this effect, noise given as an SNR follows the
speech down: where the noise of the place stays while the talker steps back, give the noise a ``level_dba`` and its
``talker`` the distance.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.filters import convolve_centred, from_magnitude


class DistanceParams(EffectParams):
    """``distance_m`` from mouth to microphone; ``reference_m`` is the distance at which the corpus was recorded."""

    distance_m: Annotated[Number, within(0.02, 200)]
    reference_m: Annotated[Number, within(0.02, 10)] = 0.3
    temperature_c: Annotated[Number, within(-20, 50)] = 20.0
    humidity_percent: Annotated[Number, within(10, 100)] = 50.0


def air_absorption_db_per_m(
    frequencies_hz: Samples, *, temperature_c: float = 20.0, humidity_percent: float = 50.0
) -> Samples:
    """Return what air takes from a pure tone, after ISO 9613-1:1993, equations 3 to 5 and B.1 to B.3, at 101.325 kPa.

    Args:
        frequencies_hz: Shape (frequencies,).
        temperature_c: Of the air.
        humidity_percent: Relative humidity.
    """
    kelvin = temperature_c + 273.15
    ratio = kelvin / 293.15
    saturation = 10 ** (-6.8346 * (273.16 / kelvin) ** 1.261 + 4.6151)
    vapour = humidity_percent * saturation
    oxygen = 24 + 4.04e4 * vapour * (0.02 + vapour) / (0.391 + vapour)
    nitrogen = ratio**-0.5 * (9 + 280 * vapour * math.exp(-4.170 * (ratio ** (-1 / 3) - 1)))
    squared = np.asarray(frequencies_hz, dtype=np.float64) ** 2
    molecules = ratio**-2.5 * (
        0.01275 * math.exp(-2239.1 / kelvin) / (oxygen + squared / oxygen)
        + 0.1068 * math.exp(-3352.0 / kelvin) / (nitrogen + squared / nitrogen)
    )
    return np.asarray(8.686 * squared * (1.84e-11 * math.sqrt(ratio) + molecules), dtype=np.float64)


class DistanceEffect(Effect):
    """The inverse-distance law and the absorption of air. The travel time is left out, so that alignment holds."""

    params: ClassVar[type[EffectParams]] = DistanceParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="sets", linear=True)

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,  # noqa: ARG002 -- nothing else is needed
    ) -> tuple[Samples, Achieved]:
        """Step back; see ``Effect.apply``."""
        taps, achieved = distance_taps(params, sample_rate_hz)
        return convolve_centred(samples, taps), achieved


def distance_taps(params: Any, sample_rate_hz: int) -> tuple[Samples, Achieved]:
    """Return the linear-phase filter of a (drawn) distance, and what it achieves."""
    distance, reference = number(params.distance_m), number(params.reference_m)
    gain_db = 20 * math.log10(reference / distance)
    farther = max(distance - reference, 0.0)

    def magnitude(frequencies_hz: Samples) -> Samples:
        loss = air_absorption_db_per_m(
            frequencies_hz,
            temperature_c=number(params.temperature_c),
            humidity_percent=number(params.humidity_percent),
        )
        return np.asarray(10 ** ((gain_db - farther * loss) / 20), dtype=np.float64)

    taps = from_magnitude(magnitude, sample_rate_hz, duration_s=0.01)
    return taps, {"distance_m": distance, "distance_gain_db": gain_db}
