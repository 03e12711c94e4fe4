"""Turns what was measured in a room into layers of generated noise, so that no sound of the room itself is kept.

For rooms in which people always talk: hum is what three quarters of the time exceed, steady noise likewise, and trains
of pulses are averaged over their interval, against which talk spreads evenly. What is left is the machine without the
people. Talk that never pauses, and machines without hum or beat, cannot be told apart so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr
from scipy import fft
from scipy.ndimage import minimum_filter1d

from asrfair.acoustics.room.beats import LINES_FROM_HZ
from asrfair.acoustics.room.noise_analysis import RATE_HZ
from asrfair.acoustics.room.usable_noise import Heard, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asrfair.acoustics.room.beats import Beat

Array: TypeAlias = npt.NDArray[np.float64]

_WINDOW, _HOP = 256, 40
_FRAMES_HZ = RATE_HZ / _HOP
_BIN_HZ = RATE_HZ / _WINDOW
_BLOCK_S = 10.0
_OFTEN = 60
_LEAST_DB = -40.0
_MOST_RESONANCES = 4
_THIRDS = 1000 * 2 ** (np.arange(-15, 9) / 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """What a train of pulses is like on average.

    Args:
        rate_hz: Pulses a second.
        power: Mean square over time, relative to full scale.
        spectrum: Share of its power in bins of 62.5 Hz, shape (129,).
        decay_s: Until it has fallen by 60 dB.
    """

    rate_hz: float
    power: float
    spectrum: Array
    decay_s: float


def layers(heard: Heard) -> list[dict[str, Any]]:
    """Return the layers of a noise that is like the room: a hum for each tone, a knock for each beat, the steady rest.

    Keys are those of a profile's ``[[effect.layer]]``.
    """
    noise = heard.noise
    total = 10 ** (noise.level_dbfs / 10)
    pulses = [pulse for beat in noise.beats for pulse in [_pulse(heard, beat)] if pulse is not None]
    rest = _steady(heard, pulses)
    made: list[tuple[float, dict[str, Any]]] = [
        (
            total * 10 ** (tone.level_db / 10),
            {"source": "hum", "frequency_hz": round(tone.frequency_hz, 2), "harmonics": 1},
        )
        for tone in noise.tones
    ]
    made += [(pulse.power, _knock(pulse)) for pulse in pulses]
    points = [
        [round(float(hz), 1), round(10 * math.log10(max(density, 1e-20)), 1)]
        for hz in _THIRDS
        for density in [_density(rest, hz)]
    ]
    made.append((float(rest.sum()), {"source": "shaped", "spectrum_db": points}))
    loudest = max(power for power, _ in made)
    levels = [10 * math.log10(max(power, 1e-20) / loudest) for power, _ in made]
    return [
        {**layer, "level_db": round(level, 1)}
        for level, (_, layer) in zip(levels, made, strict=True)
        if level > _LEAST_DB
    ]


def _windows(heard: Heard) -> Iterator[Array]:
    """Yield what is used, at the rate at which everything is measured, in windows of at most half a minute."""
    for stretch in heard.usable:
        recording = heard.recordings[stretch.recording]
        for samples in read(recording, stretch.start_s, stretch.end_s):
            wide = samples.astype(np.float64)
            yield soxr.resample(wide, recording.sample_rate_hz, RATE_HZ, quality="HQ")


def _pulse(heard: Heard, beat: Beat) -> Pulse | None:
    """Average the short-time spectrum over a beat's interval, and take out what does not follow it."""
    folded = _folded(heard, beat.rate_hz)
    if folded is None:
        return None
    loud = folded.sum(axis=1)
    floor = float(np.median(loud))
    peak = int(np.argmax(loud))
    turned = np.roll(folded, len(folded) // 4 - peak, axis=0)
    rise = turned.sum(axis=1) - floor
    start = stop = len(folded) // 4
    least = 0.1 * rise[start]
    while start > 0 and rise[start - 1] > least:
        start -= 1
    while stop < len(folded) - 1 and rise[stop + 1] > least:
        stop += 1
    outside = np.ones(len(folded), dtype=bool)
    outside[start : stop + 1] = False
    if rise[len(folded) // 4] <= 0:
        return None
    base = turned[outside].mean(axis=0) if outside.sum() >= 3 else turned.min(axis=0)
    energy = np.maximum((turned[start : stop + 1] - base).sum(axis=0), 0.0)
    if energy.sum() <= 0:
        return None
    falling = 10 * np.log10(np.maximum(rise[len(folded) // 4 : stop + 1], 1e-20))
    seconds = 1 / beat.rate_hz / len(folded)
    slope = float(np.polyfit(np.arange(falling.size) * seconds, falling, 1)[0]) if falling.size > 2 else -1e9
    return Pulse(
        rate_hz=beat.rate_hz, power=float(energy.sum()) / len(folded), spectrum=energy / energy.sum(),
        decay_s=float(np.clip(-60 / slope if slope < 0 else 0.15, 0.02, 2.0)),
    )  # fmt: skip


def _folded(heard: Heard, rate_hz: float) -> Array | None:
    """Return mean power by phase and bin, shape (phases, 129); blocks are turned so that they lie upon each other."""
    phases = int(np.clip(round(_FRAMES_HZ / rate_hz), 8, 1000))
    taper = np.hanning(_WINDOW)
    scale = 2 / (_WINDOW * float((taper**2).sum()))
    total: Array | None = None
    count = 0
    for samples in _windows(heard):
        frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
        size = round(max(_BLOCK_S, 8 / rate_hz) * _FRAMES_HZ)
        for begin in range(0, len(frames) - size + 1, size):
            power = np.abs(fft.rfft(frames[begin : begin + size] * taper, axis=1)) ** 2 * scale
            phase = np.floor((np.arange(size) * rate_hz / _FRAMES_HZ) % 1.0 * phases).astype(np.int64)
            block = _by_phase(power, phase, phases)
            if total is None:
                total = block
            else:
                here, so_far = (np.log(x.sum(axis=1) + 1e-20) for x in (block, total))
                match = fft.irfft(fft.rfft(so_far - so_far.mean()) * np.conj(fft.rfft(here - here.mean())), phases)
                total = total + np.roll(block, int(np.argmax(match)), axis=0)
            count += 1
    return None if total is None else total / count


def _by_phase(power: Array, phase: npt.NDArray[np.int64], phases: int) -> Array:
    """Return what is usual at each phase, shape (phases, bins).

    The mean; of a fast train, which comes often, the median: slower knocks then do not count as part of it.
    """
    counts = np.bincount(phase, minlength=phases)
    if counts.min() >= _OFTEN:
        return np.stack([np.median(power[phase == index], axis=0) for index in range(phases)])
    block = np.zeros((phases, power.shape[1]))
    np.add.at(block, phase, power)
    mean: Array = block / np.maximum(counts, 1)[:, None]
    return mean


def _knock(pulse: Pulse) -> dict[str, Any]:
    """Return the source that rings where the pulse is strongest, with the rest of it as rattle."""
    spectrum = pulse.spectrum
    inner = spectrum[1:-1]
    peaks = 1 + np.flatnonzero((inner >= spectrum[:-2]) & (inner > spectrum[2:]) & (inner > 3 * np.median(spectrum)))
    # One slope joins the resonances: what is far below the strongest would bend it.
    strong = peaks[spectrum[peaks] >= 0.1 * spectrum.max()].tolist() or [int(np.argmax(spectrum))]
    chosen = sorted(sorted(strong, key=lambda place: -spectrum[place])[:_MOST_RESONANCES])
    near = np.zeros(spectrum.size, dtype=bool)
    for at in chosen:
        near[max(at - 1, 0) : at + 2] = True
    ringing = max(float(spectrum[near].sum()), 1e-6)
    octaves = np.log2(np.maximum(chosen, 1) / max(chosen[0], 1))
    levels = 10 * np.log10(np.maximum(spectrum[chosen], 1e-12))
    slope = float(np.polyfit(octaves, levels, 1)[0]) if len(chosen) > 1 else -3.0
    return {
        "source": "knock",
        "rate_hz": round(pulse.rate_hz, 4),
        "resonance_hz": [round(max(at, 1) * _BIN_HZ, 1) for at in chosen],
        "slope_db": round(float(np.clip(slope, -24, 12)), 1),
        "decay_s": round(pulse.decay_s, 3),
        "rattle_db": round(float(np.clip(10 * math.log10(max(1 - ringing, 1e-6) / ringing), -40, 20)), 1),
    }


def _steady(heard: Heard, pulses: list[Pulse]) -> Array:
    """Return the power spectrum of what is always there, without tones and without pulses that are always there."""
    spectrum = heard.noise.steady.copy()
    width = RATE_HZ / 2 / (spectrum.size - 1)
    for tone in heard.noise.tones:
        at = round(tone.frequency_hz / width)
        low, high = max(0, at - 4), min(spectrum.size, at + 5)
        around = np.concatenate([spectrum[max(0, low - 8) : low], spectrum[high : high + 8]])
        spectrum[low:high] = np.median(around) if around.size else 0.0
    for pulse in pulses:
        if pulse.rate_hz >= LINES_FROM_HZ:  # a quarter of a second always holds some: between its lines is the rest
            spectrum = minimum_filter1d(spectrum, math.ceil(pulse.rate_hz / width) + 1)
    return spectrum


def _density(spectrum: Array, hz: float) -> float:
    """Return the mean power in a hertz within a third of an octave."""
    width = RATE_HZ / 2 / (spectrum.size - 1)
    low, high = (round(hz * 2**side / width) for side in (-1 / 6, 1 / 6))
    part = spectrum[max(low, 1) : max(high, low + 1, 2)]
    return float(part.mean()) / width if part.size else 0.0
