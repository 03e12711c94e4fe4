"""Pitch and formants measured another way than the effects do: YIN, and the roots of a linear predictor."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_toeplitz


def pitches(samples: np.ndarray, rate: int, low: float = 60.0, high: float = 600.0) -> np.ndarray:
    """Return the fundamental of every 10 ms by YIN, NaN where there is none (de Cheveigné & Kawahara 2002, *JASA* 111, 1917–1930)."""
    shortest, longest = int(rate / high), int(rate / low)
    size, found = 2 * longest, []
    loud = 0.05 * np.max(np.abs(samples))
    for start in range(0, samples.size - size - longest, rate // 100):
        frame = samples[start : start + size + longest]
        if np.max(np.abs(frame)) < loud:
            found.append(np.nan)
            continue
        first = frame[:size]
        power = np.convolve(frame**2, np.ones(size), "valid")[: longest + 1]
        cross = np.correlate(frame, first, "valid")[: longest + 1]
        distance = power[0] + power - 2 * cross
        distance[0] = 0
        mean = distance[1:] * np.arange(1, longest + 1) / np.maximum(np.cumsum(distance[1:]), 1e-12)
        below = np.flatnonzero(mean[shortest:] < 0.12)
        if below.size == 0:
            found.append(np.nan)
            continue
        lag = shortest + int(below[0])
        while lag + 1 < mean.size and mean[lag + 1] < mean[lag]:
            lag += 1
        if not 0 < lag < mean.size - 1:
            found.append(np.nan)
            continue
        left, middle, right = mean[lag - 1 : lag + 2]
        bend = left - 2 * middle + right
        found.append(rate / (lag + 1 + (0.5 * (left - right) / bend if bend > 0 else 0)))
    return np.array(found)


def formants(samples: np.ndarray, rate: int, count: int = 3) -> np.ndarray:
    """Return the lowest resonances of a steady vowel: roots of its linear predictor, at least 200 Hz and sharp."""
    from scipy.signal import resample_poly

    narrow = resample_poly(samples, 10_000, rate)
    emphasised = np.append(narrow[0], narrow[1:] - 0.97 * narrow[:-1]) * np.hamming(narrow.size)
    order = 12
    correlation = np.correlate(emphasised, emphasised, "full")[emphasised.size - 1 :][: order + 1]
    predictor = solve_toeplitz(correlation[:order], correlation[1:])
    roots = np.roots(np.concatenate([[1], -predictor]))
    roots = roots[roots.imag > 0]
    frequency = np.angle(roots) * 10_000 / (2 * np.pi)
    width = -np.log(np.abs(roots)) * 10_000 / np.pi
    return np.sort(frequency[(frequency > 200) & (width < 400)])[:count]


def vowel(
    seconds: float = 1.0,
    *,
    pitch_hz: float = 120.0,
    resonances: tuple[float, ...] = (700, 1220, 2600),
    rate: int = 16_000,
) -> np.ndarray:
    """Return a vowel: pulses through resonances of 80 Hz width, its pitch moving a little, as a voice's does."""
    from scipy.signal import lfilter

    time = np.arange(round(seconds * rate)) / rate
    phase = np.cumsum(pitch_hz * (1 + 0.03 * np.sin(2 * np.pi * 3 * time))) / rate
    samples = np.diff(np.floor(phase), prepend=0.0) + 1e-4 * np.random.default_rng(1).standard_normal(time.size)
    for frequency in resonances:
        radius = np.exp(-np.pi * 80 / rate)
        samples = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * frequency / rate), radius**2], samples)
    samples -= samples.mean()
    return 0.1 * samples / np.std(samples)
