"""Noise with a pitch: mains hum, rotating machines, fans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pydantic

from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.sources.base import Request, Source, SourceParams
from asrfair.acoustics.sources.spectrum import LOWEST_HZ, fluctuation, shaped_noise

if TYPE_CHECKING:
    import numpy.typing as npt

    from asrfair.acoustics.effects.base import Achieved, Samples

Frequency = Annotated[Number, within(10, 20000)]
Slope = Annotated[Number, within(-48, 12)]


def harmonic_tone(
    size: int,
    sample_rate_hz: int,
    frequency_hz: float,
    levels_db: npt.NDArray[np.float64],
    phases: npt.NDArray[np.float64],
    *,
    wobble: npt.NDArray[np.float64] | None = None,
) -> Samples:
    """Return a tone of unit power: harmonics at multiples of a fundamental, those beyond half the sample rate left out.

    Args:
        size: Number of samples.
        sample_rate_hz: Their rate.
        frequency_hz: Fundamental.
        levels_db: Relative level of each harmonic, the first being the fundamental; minus infinity leaves one out.
        phases: Their phases in radians, same shape.
        wobble: Phase modulation of the fundamental in radians, shape (size,).
    """
    base = 2 * np.pi * frequency_hz / sample_rate_hz * np.arange(size)
    if wobble is not None:
        base = base + wobble
    turn = np.exp(1j * base)
    power_of_turn = np.ones(size, dtype=np.complex128)
    tone = np.zeros(size)
    power = 0.0
    for order, (level, phase) in enumerate(zip(levels_db, phases, strict=True), start=1):
        if order * frequency_hz >= sample_rate_hz / 2:
            break
        power_of_turn *= turn
        gain = 10 ** (level / 20)
        # The imaginary part of gain · exp(i phase) · exp(i order base).
        tone += (gain * np.sin(phase)) * power_of_turn.real
        tone += (gain * np.cos(phase)) * power_of_turn.imag
        power += gain**2 / 2
    return tone / np.sqrt(power) if power > 0 else tone


def slope_levels(count: int, slope_db_per_octave: float) -> npt.NDArray[np.float64]:
    """Return the levels of ``count`` harmonics that fall (or rise) by so many dB an octave."""
    levels: npt.NDArray[np.float64] = slope_db_per_octave * np.log2(np.arange(1, count + 1))
    return levels


class HumParams(SourceParams):
    """Mains hum or any steady machine tone.

    ``even_harmonics_db`` sets the even harmonics against the odd ones (a transformer hums at even multiples of the
    mains, a motor driver buzzes at odd ones). ``wander_percent`` is the slow deviation of the pitch.
    """

    frequency_hz: Frequency = 50.0
    harmonics: int = pydantic.Field(default=6, ge=1, le=200)
    slope_db: Slope = -6.0
    even_harmonics_db: Annotated[Number, within(-80, 40)] = 0.0
    wander_percent: Annotated[Number, within(0, 5)] = 0.0


class Hum(Source):
    """A tone at a fixed pitch with harmonics in random phases."""

    params = HumParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the hum. Achieved: ``frequency_hz``."""
        frequency = number(params.frequency_hz)
        levels = slope_levels(params.harmonics, number(params.slope_db))
        levels[1::2] += number(params.even_harmonics_db)
        phases = request.generator("phases").uniform(0, 2 * np.pi, params.harmonics)
        tone = harmonic_tone(
            request.size,
            request.sample_rate_hz,
            frequency,
            levels,
            phases,
            wobble=_wander(request, frequency, number(params.wander_percent)),
        )
        return tone, {"frequency_hz": frequency}


def _wander(request: Request, frequency_hz: float, percent: float) -> Samples | None:
    if percent <= 0:
        return None
    # Reuse the slow Gaussian level curve: its logarithm has mean zero and the wanted deviation.
    deviation_db = 3.0
    curve = fluctuation(request.size, request.sample_rate_hz, 0.3, deviation_db, request.generator("wander"))
    relative = (20 * np.log10(curve) + 10 * np.log10(np.exp((deviation_db * np.log(10) / 10) ** 2 / 2))) / deviation_db
    step = 2 * np.pi * frequency_hz / request.sample_rate_hz * percent / 100 * relative
    wobble: Samples = np.cumsum(step)
    return wobble


class MachineParams(SourceParams):
    """A rotating machine.

    ``rotation_hz`` turns a second; ``order`` the multiple at which it sounds (blades, teeth, poles); ``broadband_db``
    the broadband part beside the tonal one; ``unevenness_db`` by how much it swells once a turn.
    """

    rotation_hz: Annotated[Number, within(0.5, 500)] = 25.0
    order: int = pydantic.Field(default=1, ge=1, le=200)
    harmonics: int = pydantic.Field(default=12, ge=1, le=200)
    slope_db: Slope = -4.0
    broadband_db: Annotated[Number, within(-60, 40)] = -6.0
    broadband_slope_db: Annotated[Number, within(-24, 12)] = -3.0
    unevenness_db: Annotated[Number, within(0, 20)] = 2.0
    wander_percent: Annotated[Number, within(0, 5)] = 0.3


class Machine(Source):
    """Tones at multiples of a rotation, broadband noise, and a swell with every turn."""

    params = MachineParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the machine. Achieved: ``rotation_hz``."""
        rotation = number(params.rotation_hz)
        pitch = rotation * params.order
        tone = harmonic_tone(
            request.size,
            request.sample_rate_hz,
            pitch,
            slope_levels(params.harmonics, number(params.slope_db)),
            request.generator("phases").uniform(0, 2 * np.pi, params.harmonics),
            wobble=_wander(request, pitch, number(params.wander_percent)),
        )
        sound = _with_broadband(request, tone, number(params.broadband_db), number(params.broadband_slope_db))
        depth = number(params.unevenness_db)
        if depth > 0:
            phase = request.generator("turn").uniform(0, 2 * np.pi)
            turn = np.sin(2 * np.pi * rotation / request.sample_rate_hz * np.arange(request.size) + phase)
            # The mean of 10^(d/20 · sin) is a modified Bessel function of order zero.
            sound = sound * 10 ** (depth / 40 * turn) / np.sqrt(np.i0(depth / 20 * np.log(10)))
        return sound, {"rotation_hz": rotation}


class FanParams(SourceParams):
    """A fan or a ventilation outlet.

    ``slope_db`` per octave of the broadband part (comfort criteria for ventilation fall by about 5); ``blade_hz`` the
    blade-pass tone, ``tone_db`` its level beside the broadband part; ``unsteadiness_db`` the slow change of level.
    """

    slope_db: Annotated[Number, within(-24, 6)] = -5.0
    corner_hz: Annotated[Number, within(LOWEST_HZ, 5000)] = 60.0
    blade_hz: Frequency = 120.0
    tone_db: Annotated[Number, within(-80, 30)] = -12.0
    harmonics: int = pydantic.Field(default=4, ge=1, le=100)
    unsteadiness_db: Annotated[Number, within(0, 10)] = 0.5


class Fan(Source):
    """Broadband air noise with a weak tone at the blade rate."""

    params = FanParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the fan. Achieved: ``blade_hz``."""
        slope, corner, blade = number(params.slope_db), number(params.corner_hz), number(params.blade_hz)
        air = shaped_noise(request.size, request.sample_rate_hz, _octave_slope(slope, corner), request.generator("air"))
        tone = harmonic_tone(
            request.size,
            request.sample_rate_hz,
            blade,
            slope_levels(params.harmonics, -6.0),
            request.generator("phases").uniform(0, 2 * np.pi, params.harmonics),
        )
        share = 10 ** (number(params.tone_db) / 10)
        sound = (air + np.sqrt(share) * tone) / np.sqrt(1 + share)
        slow = fluctuation(
            request.size, request.sample_rate_hz, 0.5, number(params.unsteadiness_db), request.generator("unsteadiness")
        )
        return sound * slow, {"blade_hz": blade}


def _octave_slope(slope_db: float, corner_hz: float) -> Any:
    """Return a density whose *octave-band levels* are equal up to a corner, then change by ``slope_db`` an octave."""

    def density(f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        level = slope_db * np.log2(np.maximum(f / corner_hz, 1.0)) - 10 * np.log10(f)
        result: npt.NDArray[np.float64] = np.where(f >= LOWEST_HZ, 10 ** (level / 10), 0.0)
        return result

    return density


def _with_broadband(request: Request, tone: Samples, broadband_db: float, slope_db: float) -> Samples:
    air = shaped_noise(
        request.size, request.sample_rate_hz, _octave_slope(slope_db, 100.0), request.generator("broadband")
    )
    share = 10 ** (broadband_db / 10)
    result: Samples = (tone + np.sqrt(share) * air) / np.sqrt(1 + share)
    return result
