"""Finds speech in recordings meant to be noise: syllables, known by a pitch that moves and a level that swings.

Hum has a pitch that stands still, knocks and dishes have level that swings and no pitch; a voice has both, and its
pitch glides. The detector is made to catch a talker who stands out of the noise by some decibels; a far crowd is
noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from scipy import fft
from scipy.ndimage import binary_closing, label, percentile_filter

if TYPE_CHECKING:
    import numpy.typing as npt

_RATE_HZ = 8000
_FRAME = 320
_HOP = 80
_LOWEST_PITCH_HZ, _HIGHEST_PITCH_HZ = 75.0, 400.0
_PERIODIC = 0.55
_ABOVE_FLOOR_DB = 5.0
_FLOOR_WINDOW_S = 4.0
_LEAST_S, _MOST_S = 0.05, 0.8
_BRIDGE_S = 0.6


def speech_share(samples: npt.NDArray[Any], sample_rate_hz: int) -> float:
    """Return the share of a recording, 0 to 1, in which somebody seems to speak."""
    mask = speech_mask(samples, sample_rate_hz)
    return float(np.mean(mask)) if mask.size else 0.0


def speech_stretches(samples: npt.NDArray[Any], sample_rate_hz: int) -> list[tuple[float, float]]:
    """Return where somebody seems to speak, as (start, end) in seconds; stretches under 0.3 s do not count."""
    marks, count = label(speech_mask(samples, sample_rate_hz))
    hop_s = _HOP / _RATE_HZ
    found = []
    for i in range(1, count + 1):
        at = np.flatnonzero(marks == i)
        if at.size * hop_s >= 0.3:
            found.append((float(at[0]) * hop_s, float(at[-1] + 1) * hop_s + _FRAME / _RATE_HZ))
    return found


def speech_mask(samples: npt.NDArray[Any], sample_rate_hz: int) -> npt.NDArray[np.bool_]:
    """Return for every 10 ms frame whether it belongs to speech.

    Args:
        samples: Mono, shape (samples,).
        sample_rate_hz: Sampling rate.
    """
    wide = samples.astype(np.float64, copy=False)
    narrow = soxr.resample(wide, sample_rate_hz, _RATE_HZ, quality="HQ") if sample_rate_hz != _RATE_HZ else wide
    if narrow.size < 4 * _FRAME:
        return np.zeros(0, dtype=bool)
    level, periodicity, pitch = _features(narrow)
    floor_frames = min(level.size, round(_FLOOR_WINDOW_S * _RATE_HZ / _HOP))
    floor = percentile_filter(level, 15, size=max(3, floor_frames), mode="nearest")
    voiced = (periodicity > _PERIODIC) & (level > floor + _ABOVE_FLOOR_DB)
    # A gliding pitch: neighbours are close, or the run ends.
    jumps = np.abs(np.diff(np.log2(pitch), prepend=np.log2(pitch[0]))) > 0.12
    runs, count = label(voiced & ~jumps)
    syllables = np.zeros(level.size, dtype=bool)
    hop_s = _HOP / _RATE_HZ
    for i, place in enumerate(_slices(runs, count), start=1):
        inside = place.start + np.flatnonzero(runs[place] == i)
        length = inside.size * hop_s
        if not _LEAST_S <= length <= _MOST_S:
            continue
        octaves = np.log2(pitch[inside])
        if float(octaves.max() - octaves.min()) > 0.008 * min(1.0, length / 0.1):
            syllables[inside] = True
    return _dense(syllables)


def _slices(runs: npt.NDArray[np.int32], count: int) -> list[slice]:
    from scipy.ndimage import find_objects

    return [place[0] for place in find_objects(runs, count)]


def _dense(syllables: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Keep syllables that come in company (at least three within about a second), and bridge the gaps between them."""
    bridge = round(_BRIDGE_S * _RATE_HZ / _HOP)
    bridged = binary_closing(np.pad(syllables, bridge), structure=np.ones(bridge | 1, dtype=bool))[
        bridge : bridge + syllables.size
    ]
    groups, count = label(bridged)
    keep = np.zeros(syllables.size, dtype=bool)
    for i, place in enumerate(_slices(groups, count), start=1):
        inside = groups[place] == i
        _, parts = label(syllables[place] & inside)
        voiced_share = int(np.count_nonzero(syllables[place])) / max(1, int(np.count_nonzero(inside)))
        if parts >= 3 and voiced_share > 0.15:
            keep[place] |= inside
    return keep


def _features(
    narrow: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return level in dB, height of the pitch peak (0 to 1) and pitch in Hz of every frame, 60 s at a time."""
    windows = np.lib.stride_tricks.sliding_window_view(narrow, _FRAME)[::_HOP]
    shortest, longest = int(_RATE_HZ / _HIGHEST_PITCH_HZ), int(_RATE_HZ / _LOWEST_PITCH_HZ)
    taper = np.hanning(_FRAME)
    size = fft.next_fast_len(2 * _FRAME, real=True)
    bias = fft.irfft(np.abs(fft.rfft(taper, size)) ** 2, size)[: longest + 2]
    frequencies = fft.rfftfreq(size, 1 / _RATE_HZ)
    band = ((frequencies > 90) & (frequencies < 2000)).astype(np.float64)
    level = np.empty(len(windows))
    height = np.empty(len(windows))
    pitch = np.empty(len(windows))
    for start in range(0, len(windows), 6000):
        part = windows[start : start + 6000] * taper
        power = np.abs(fft.rfft(part, size, axis=1)) ** 2 * band
        correlation = fft.irfft(power, size, axis=1)[:, : longest + 2]
        energy = np.maximum(correlation[:, 0], 1e-12)
        normal = correlation / energy[:, None] * (bias[0] / bias)
        region = normal[:, shortest : longest + 1]
        best = np.argmax(region, axis=1)
        rows = np.arange(len(region))
        lag = best + shortest
        left, middle, right = normal[rows, lag - 1], normal[rows, lag], normal[rows, lag + 1]
        curve = left - 2 * middle + right
        shift = np.where(np.abs(curve) > 1e-9, 0.5 * (left - right) / np.where(np.abs(curve) > 1e-9, curve, 1.0), 0.0)
        stop = start + len(part)
        level[start:stop] = 10 * np.log10(energy)
        height[start:stop] = middle
        pitch[start:stop] = _RATE_HZ / (lag + np.clip(shift, -0.5, 0.5))
    return level, height, pitch
