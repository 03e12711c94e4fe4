"""Finds speech in recordings meant to be noise: harmonics that stand out of what is always there, and glide.

A voice has three things at once that machines have one at a time. Its harmonics are not always there: the spectrum is
therefore held against its own median over half a minute, which takes out hum, whatever its pitch. They come as a
series: four or more of them must rise above the gaps between them, which a knock, a dish or a beep with its few
resonances does not show. And they glide: within a syllable a voice's pitch moves by a quarter of a semitone or more,
while trains of tone bursts (a scanner, a ringing phone, an alarm) hold theirs. A pitch that glides for seconds without
a pause is an engine.

What it finds and misses, measured on real speech in real noise, is in docs/profile-make.md. It does not hear
whispering, nor a crowd in which no voice stands out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from scipy import fft
from scipy.ndimage import binary_closing, binary_dilation, find_objects, label

if TYPE_CHECKING:
    import numpy.typing as npt

HOP_S = 0.01
"""Time between frames."""

_RATE_HZ = 16_000
_HOP = 160
_WINDOW = 1024
_SIZE = 2048
_BIN_HZ = _RATE_HZ / _SIZE
_LOWEST_PITCH_HZ, _HIGHEST_PITCH_HZ = 75.0, 410.0
_STEPS_PER_OCTAVE = 36
_HARMONICS = 10
_HIGHEST_HARMONIC_HZ = 2600.0
_BINS = 360
_BLOCK = 3000
"""Frames over which the always-there is measured."""

_MOST_DB = 25.0
_STANDS_OUT_DB = 5.0
_LEAST_SCORE_DB = 6.0
_LEAST_HARMONICS = 4
_LARGEST_STEP = 0.08
_LEAST_RUN = 6
_LEAST_GLIDE_SEMITONES = 0.25
_LONGEST_RUN = 500
_LEAST_FRAMES = 10
_BRIDGE = 100
_MARGIN = 25


def speech_share(samples: npt.NDArray[Any], sample_rate_hz: int) -> float:
    """Return the share of a recording, 0 to 1, in which somebody seems to speak."""
    mask = speech_mask(samples, sample_rate_hz)
    return float(np.mean(mask)) if mask.size else 0.0


def speech_stretches(samples: npt.NDArray[Any], sample_rate_hz: int) -> list[tuple[float, float]]:
    """Return where somebody seems to speak, as (start, end) in seconds."""
    mask = speech_mask(samples, sample_rate_hz)
    marks, count = label(mask)
    duration = samples.size / sample_rate_hz
    return [
        (max(0.0, (place[0].start - 0.5) * HOP_S), min(duration, (place[0].stop - 0.5) * HOP_S))
        for place in find_objects(marks, count)
    ]


def speech_mask(samples: npt.NDArray[Any], sample_rate_hz: int) -> npt.NDArray[np.bool_]:
    """Return for every frame, 10 ms apart and the first at time 0, whether it belongs to speech.

    Args:
        samples: Mono, shape (samples,).
        sample_rate_hz: Sampling rate.
    """
    wide = samples.astype(np.float32, copy=False)
    narrow = soxr.resample(wide, sample_rate_hz, _RATE_HZ, quality="HQ") if sample_rate_hz != _RATE_HZ else wide
    if narrow.size < _WINDOW:
        return np.zeros(0, dtype=bool)
    pitch, voiced = _voicing(narrow)
    syllables = _gliding(pitch, voiced)
    bridged = binary_closing(np.pad(syllables, _BRIDGE), structure=np.ones(_BRIDGE | 1, dtype=bool))[_BRIDGE:-_BRIDGE]
    marks, count = label(bridged)
    keep = np.zeros(syllables.size, dtype=bool)
    for i, place in enumerate(find_objects(marks, count), start=1):
        inside = marks[place] == i
        if np.count_nonzero(syllables[place] & inside) >= _LEAST_FRAMES:
            keep[place] |= inside
    # Speech begins and ends with sounds that have no pitch.
    return np.asarray(binary_dilation(keep, structure=np.ones(2 * _MARGIN + 1, dtype=bool))) if keep.any() else keep


def _gliding(pitch: npt.NDArray[np.float64], voiced: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the frames of runs of voicing whose pitch is continuous, glides, and does not go on for seconds."""
    endless = np.zeros(voiced.size, dtype=bool)
    dense, count = label(binary_closing(np.pad(voiced, 4), structure=np.ones(7, dtype=bool))[4:-4])
    for place in find_objects(dense, count):
        if place[0].stop - place[0].start > _LONGEST_RUN:
            endless[place] = True
    octaves = np.log2(pitch)
    jumps = np.abs(np.diff(octaves, prepend=octaves[:1])) > _LARGEST_STEP
    syllables = np.zeros(voiced.size, dtype=bool)
    start = 0
    # A run ends where voicing ends or where the pitch jumps; the frame after the jump starts the next one.
    for stop in (*np.flatnonzero(~voiced | jumps | endless).tolist(), voiced.size):
        if stop - start >= _LEAST_RUN and voiced[start:stop].all():
            low, high = np.percentile(octaves[start:stop], [10, 90])
            if 12 * (high - low) >= _LEAST_GLIDE_SEMITONES:
                syllables[start:stop] = True
        start = stop if stop < voiced.size and voiced[stop] and not endless[stop] else stop + 1
    return syllables


@dataclass(frozen=True, kw_only=True, slots=True)
class _Combs:
    """For every candidate pitch: bins of its harmonics and of the gaps below them, which of them count, and weights."""

    teeth: npt.NDArray[np.int64]
    gaps: npt.NDArray[np.int64]
    counts: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float32]


@lru_cache(maxsize=1)
def _combs() -> _Combs:
    octaves = np.log2(_HIGHEST_PITCH_HZ / _LOWEST_PITCH_HZ)
    pitches = _LOWEST_PITCH_HZ * 2 ** (np.arange(round(octaves * _STEPS_PER_OCTAVE) + 1) / _STEPS_PER_OCTAVE)
    order = np.arange(1, _HARMONICS + 1)
    teeth = np.rint(pitches[:, None] * order / _BIN_HZ).astype(np.int64)
    gaps = np.rint(pitches[:, None] * (order - 0.5) / _BIN_HZ).astype(np.int64)
    counts = pitches[:, None] * order < _HIGHEST_HARMONIC_HZ
    weights = np.zeros((_BINS, pitches.size), dtype=np.float32)
    for c in range(pitches.size):
        share = 1 / np.count_nonzero(counts[c])
        np.add.at(weights[:, c], teeth[c, counts[c]], share)
        np.add.at(weights[:, c], gaps[c, counts[c]], -share)
    return _Combs(teeth=np.clip(teeth, 1, _BINS - 2), gaps=np.clip(gaps, 1, _BINS - 2), counts=counts, weights=weights)


def _voicing(narrow: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return pitch in Hz, and whether there is a voice-like series of harmonics, for every frame."""
    padded = np.pad(narrow, (_WINDOW // 2, _WINDOW // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    taper = np.hanning(_WINDOW).astype(np.float32)
    blocks = max(1, round(len(windows) / _BLOCK))
    pitches, voices = [], []
    for part in np.array_split(np.arange(len(windows)), blocks):
        spectrum = fft.rfft(windows[part[0] : part[-1] + 1] * taper, _SIZE, axis=1)[:, :_BINS]
        level = 10 * np.log10(np.abs(spectrum) ** 2 + 1e-20)
        pitch, voiced = _series(level)
        pitches.append(pitch)
        voices.append(voiced)
    return np.concatenate(pitches), np.concatenate(voices)


def _series(level: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Look for the best harmonic series in every frame of a block; ``level`` in dB, shape (frames, bins)."""
    combs = _combs()
    always = np.median(level, axis=0)
    above = np.clip(level - np.maximum(always, always.max() - 90), 0, _MOST_DB).astype(np.float32)
    scores = above @ combs.weights
    best = np.argmax(scores, axis=1)
    rows = np.arange(len(level))[:, None]
    teeth = combs.teeth[best]
    stands_out = (above[rows, teeth] - above[rows, combs.gaps[best]] > _STANDS_OUT_DB) & combs.counts[best]
    # The candidate pitches are coarse; the harmonics say exactly: the top of each, by a parabola through three bins.
    near = np.clip(teeth[:, :, None] + np.arange(-2, 3), 1, _BINS - 2)
    top = np.take_along_axis(near, np.argmax(level[rows[:, :, None], near], axis=2)[:, :, None], axis=2)[:, :, 0]
    left, middle, right = level[rows, top - 1], level[rows, top], level[rows, top + 1]
    curve = left - 2 * middle + right
    shift = np.clip(np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, -1.0), 0.0), -0.5, 0.5)
    order = np.arange(1, _HARMONICS + 1)
    weight = np.where(stands_out, order, 0)
    total = weight.sum(axis=1)
    exact = ((top + shift) * _BIN_HZ / order * weight).sum(axis=1) / np.maximum(total, 1)
    pitch = np.where(total > 0, exact, _LOWEST_PITCH_HZ)
    enough = np.count_nonzero(stands_out, axis=1) >= _LEAST_HARMONICS
    return np.maximum(pitch, 1.0), np.asarray((scores.max(axis=1) > _LEAST_SCORE_DB) & enough)
