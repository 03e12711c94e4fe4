"""Noise in time: knocks at a beat, alarms that beep, the gradient bursts of an imaging scanner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pydantic

from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.sources.base import Request, Source, SourceParams
from asrfair.acoustics.sources.spectrum import LOWEST_HZ
from asrfair.acoustics.sources.tonal import Frequency, Slope, harmonic_tone, slope_levels

if TYPE_CHECKING:
    import numpy.typing as npt

    from asrfair.acoustics.effects.base import Achieved, Samples


def place(
    size: int, sample_rate_hz: int, times_s: npt.NDArray[np.float64], pulse: Samples, gains: npt.NDArray[np.float64]
) -> Samples:
    """Add a pulse at each time (seconds, may be negative: its tail is then heard), rounded to samples."""
    out = np.zeros(size)
    for start, gain in zip(np.round(times_s * sample_rate_hz).astype(np.int64), gains, strict=True):
        low, high = max(0, -start), min(pulse.size, size - start)
        if low < high:
            out[start + low : start + high] += gain * pulse[low:high]
    return out


def beat(duration_s: float, rate_hz: float, before_s: float, rng: np.random.Generator) -> Samples:
    """Return the times of a steady beat with a random start, from ``before_s`` before zero to the end."""
    phase = rng.uniform(0, 1)
    first, last = -int(np.ceil(before_s * rate_hz)) - 1, int(np.ceil(duration_s * rate_hz)) + 1
    times: Samples = (np.arange(first, last + 1).astype(np.float64) + phase) / rate_hz
    return times


class KnockParams(SourceParams):
    """Impulses that ring: a pump's knock, hammering, dishes, keys.

    ``rate_hz`` knocks a second, at a steady beat or, with ``regular = false``, at random; ``jitter_percent`` of the
    period; ``resonance_hz`` what rings, ``decay_s`` how long until it has fallen by 60 dB; ``rattle_db`` the level of
    a noise burst beside the ringing; ``spread_db`` how much the knocks differ in level. ``again_s`` are further knocks
    after each one: the second axle over the same rail joint, the second stroke of a pump.
    """

    rate_hz: Annotated[Number, within(0.05, 100)] = 1.0
    regular: bool = True
    jitter_percent: Annotated[Number, within(0, 50)] = 0.0
    resonance_hz: tuple[float, ...] = pydantic.Field(default=(180.0, 420.0, 950.0), min_length=1, max_length=32)
    slope_db: Slope = -3.0
    decay_s: Annotated[Number, within(0.005, 5)] = 0.15
    rattle_db: Annotated[Number, within(-60, 30)] = -10.0
    spread_db: Annotated[Number, within(0, 20)] = 1.0
    again_s: tuple[Annotated[float, pydantic.Field(gt=0, le=10)], ...] = pydantic.Field(default=(), max_length=8)

    @pydantic.field_validator("resonance_hz")
    @classmethod
    def _audible(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 10 <= v <= 20000 for v in values):
            raise ValueError("resonances lie between 10 and 20000 Hz")
        return values


class Knock(Source):
    """Damped resonances with a burst of noise, at a beat or at random."""

    params = KnockParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the knocks. Achieved: ``rate_hz``."""
        rate, decay, spread = number(params.rate_hz), number(params.decay_s), number(params.spread_db)
        duration = request.size / request.sample_rate_hz
        rng = request.generator("times")
        if params.regular:
            times = beat(duration, rate, decay + max((0.0, *params.again_s)), rng)
            times = times + rng.standard_normal(times.size) * number(params.jitter_percent) / 100 / rate
        else:
            count = int(rng.poisson(rate * (duration + decay)))
            times = np.sort(rng.uniform(-decay, duration, count))
        later = np.concatenate([[0.0], params.again_s])
        times = (times[:, None] + later[None, :]).ravel()
        gains = 10 ** (spread * request.generator("gains").standard_normal(times.size) / 20)
        pulse = _ringing(request, params, decay)
        energy = float(np.einsum("i,i->", pulse, pulse)) / request.sample_rate_hz
        mean_gain = np.exp((spread * np.log(10) / 20) ** 2 * 2)
        out = place(request.size, request.sample_rate_hz, times, pulse, gains)
        return out / np.sqrt(energy * rate * later.size * mean_gain), {"rate_hz": rate}


def _ringing(request: Request, params: Any, decay_s: float) -> Samples:
    """Return one knock: its resonances begin in phase zero, the rattle is a fresh burst for every utterance."""
    rate = request.sample_rate_hz
    time = np.arange(max(2, round(decay_s * rate))) / rate
    fall = 10 ** (-3 * time / decay_s)
    frequencies = sorted(f for f in params.resonance_hz if f < 0.45 * rate) or [
        min(params.resonance_hz[0], 0.45 * rate)
    ]
    slope = number(params.slope_db)
    ring = np.zeros(time.size)
    for frequency in frequencies:
        gain = 10 ** (slope * np.log2(frequency / frequencies[0]) / 20)
        ring += gain * np.sin(2 * np.pi * frequency * time)
    ring *= fall
    burst = request.generator("rattle").standard_normal(time.size) * fall**2
    share = 10 ** (number(params.rattle_db) / 10)
    power = [float(np.einsum("i,i->", x, x)) for x in (ring, burst)]
    pulse: Samples = ring / np.sqrt(power[0]) + np.sqrt(share / power[1]) * burst
    attack = max(1, round(0.001 * rate))
    pulse[:attack] *= np.arange(1, attack + 1) / attack
    return pulse


class BeepParams(SourceParams):
    """A tone that is switched on and off: a monitor's pulse tone, an alarm, a reversing lorry.

    ``sweep_percent`` is how far the pitch rises (or falls) during a beep: a cold head's chirp, a siren. ``turns_hz`` are
    further pitches that take turns with the first, one a beep: a two-tone horn.
    """

    frequency_hz: Frequency = 660.0
    rate_hz: Annotated[Number, within(0.02, 50)] = 1.2
    length_s: Annotated[Number, within(0.01, 10)] = 0.12
    harmonics: int = pydantic.Field(default=4, ge=1, le=50)
    slope_db: Slope = -9.0
    sweep_percent: Annotated[Number, within(-90, 400)] = 0.0
    turns_hz: tuple[Annotated[float, pydantic.Field(ge=LOWEST_HZ, le=20_000)], ...] = pydantic.Field(
        default=(), max_length=8
    )


class Beep(Source):
    """A tone of fixed length at a steady beat."""

    params = BeepParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the beeps. Achieved: ``rate_hz`` and ``frequency_hz``."""
        rate = number(params.rate_hz)
        pitches = (number(params.frequency_hz), *params.turns_hz)
        length = min(number(params.length_s), 1 / rate)
        duration = request.size / request.sample_rate_hz
        times = beat(duration, rate, length, request.generator("times"))
        turn = int(request.generator("turn").integers(len(pitches))) if len(pitches) > 1 else 0
        out, energy = np.zeros(request.size), 0.0
        for i, pitch in enumerate(pitches):
            pulse = _beep(request, params, pitch, length)
            energy += float(np.einsum("i,i->", pulse, pulse)) / request.sample_rate_hz / len(pitches)
            mine = times[(np.arange(times.size) + turn) % len(pitches) == i]
            out += place(request.size, request.sample_rate_hz, mine, pulse, np.ones(mine.size))
        return out / np.sqrt(energy * rate) if energy > 0 else out, {"rate_hz": rate, "frequency_hz": pitches[0]}


def _beep(request: Request, params: Any, frequency_hz: float, length_s: float) -> Samples:
    """Return one beep, shape (samples,)."""
    size = max(2, round(length_s * request.sample_rate_hz))
    time = np.arange(size) / request.sample_rate_hz
    sweep = number(params.sweep_percent) / 100
    wobble = 2 * np.pi * frequency_hz * sweep * time**2 / (2 * length_s) if sweep else None
    top = max(1.0, 1 + sweep) * frequency_hz
    count = max(1, min(params.harmonics, int(request.sample_rate_hz / 2 / top)))
    levels = slope_levels(count, number(params.slope_db))
    tone = harmonic_tone(size, request.sample_rate_hz, frequency_hz, levels, np.zeros(count), wobble=wobble)
    return np.asarray(tone * _ramp(size, round(0.005 * request.sample_rate_hz)), dtype=np.float64)


class GradientParams(SourceParams):
    """The gradient coils of a magnetic resonance scanner.

    Every ``tr_s`` (repetition time) a train of ``bursts`` sounds at ``frequency_hz`` (one over twice the echo
    spacing) with harmonics, filling ``duty`` of the repetition.
    """

    tr_s: Annotated[Number, within(0.02, 10)] = 1.0
    bursts: int = pydantic.Field(default=8, ge=1, le=200)
    duty: Annotated[Number, within(0.02, 1)] = 0.6
    frequency_hz: Frequency = 600.0
    harmonics: int = pydantic.Field(default=8, ge=1, le=100)
    slope_db: Slope = -4.0


class Gradient(Source):
    """Bursts of a tone rich in harmonics, in trains that repeat."""

    params = GradientParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the bursts. Achieved: ``tr_s`` and ``frequency_hz``."""
        tr, duty, frequency = number(params.tr_s), number(params.duty), number(params.frequency_hz)
        rate = request.sample_rate_hz
        period = tr / params.bursts
        size = max(4, round(duty * period * rate))
        phases = request.generator("phases").uniform(0, 2 * np.pi, params.harmonics)
        tone = harmonic_tone(size, rate, frequency, slope_levels(params.harmonics, number(params.slope_db)), phases)
        # The first burst of a repetition is stronger: the excitation. Envelope and repetition can be told apart.
        pulse = tone * _ramp(size, min(round(0.003 * rate), size // 4))
        starts = beat(request.size / rate, 1 / tr, tr, request.generator("times"))
        times = (starts[:, None] + period * np.arange(params.bursts)[None, :]).ravel()
        gains = np.tile(np.where(np.arange(params.bursts) == 0, 1.5, 1.0), starts.size)
        energy = float(np.einsum("i,i->", pulse, pulse)) / rate
        out = place(request.size, rate, times, pulse, gains)
        mean_power = energy * (params.bursts - 1 + 1.5**2) / tr
        return out / np.sqrt(mean_power) if mean_power > 0 else out, {"tr_s": tr, "frequency_hz": frequency}


def _ramp(size: int, edge: int) -> Samples:
    """Return a window of ones with raised-cosine edges of ``edge`` samples."""
    window = np.ones(size)
    edge = min(edge, size // 2)
    if edge > 0:
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
        window[:edge] = rise
        window[-edge:] = rise[::-1]
    return window
