"""The spectral envelope of speech: what the vocal tract does, the voice's harmonics smoothed away."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

FRAME_S, HOP_S = 0.032, 0.008
SHORTEST_PERIOD_S = 0.0012
"""Cepstrum beyond this is the voice's pitch (up to about 800 Hz) and not its vocal tract."""

_LOW_HZ, _HIGH_HZ = 300.0, 5000.0
_STEP, _MOST = 0.005, 0.4


def frame_size(sample_rate_hz: int) -> int:
    """Return the samples of a frame: even, about 32 ms."""
    return max(16, 2 * round(FRAME_S * sample_rate_hz / 2))


def spectrogram(samples: Array, sample_rate_hz: int) -> npt.NDArray[np.complex128]:
    """Return a short-time Fourier transform that :func:`resynthesis` inverts, shape (frames, bins).

    Args:
        samples: Mono, shape (samples,).
        sample_rate_hz: Its rate.
    """
    size = frame_size(sample_rate_hz)
    hop = size // 4
    count = -(-(samples.size + size) // hop)
    padded = np.zeros(count * hop + size)
    padded[size : size + samples.size] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][: count + 1]
    return np.asarray(np.fft.rfft(frames * np.hanning(size + 1)[:-1], axis=1), dtype=np.complex128)


def resynthesis(spectra: npt.NDArray[np.complex128], size: int, sample_rate_hz: int) -> Array:
    """Return samples of a short-time spectrum by weighted overlap and add, shape (size,)."""
    frame = frame_size(sample_rate_hz)
    hop = frame // 4
    window = np.hanning(frame + 1)[:-1]
    frames = np.fft.irfft(spectra, frame, axis=1) * window
    count = len(frames)
    out, weight = np.zeros((count - 1) * hop + frame), np.zeros((count - 1) * hop + frame)
    for part in range(count):
        place = slice(part * hop, part * hop + frame)
        out[place] += frames[part]
        weight[place] += window**2
    found: Array = (out / np.maximum(weight, 1e-3))[frame : frame + size]
    return found


def envelopes(spectra: npt.NDArray[np.complex128], sample_rate_hz: int) -> Array:
    """Return the amplitude envelope of every frame by a low-pass of its cepstrum, shape (frames, bins)."""
    size = 2 * (spectra.shape[1] - 1)
    logarithm = np.log(np.abs(spectra) + 1e-12)
    cepstrum = np.fft.irfft(logarithm, size, axis=1)
    kept = max(2, round(SHORTEST_PERIOD_S * sample_rate_hz))
    cepstrum[:, kept : size - kept + 1] = 0.0
    found: Array = np.exp(np.fft.rfft(cepstrum, axis=1).real)
    return found


def envelope_shift_percent(before: Array, after: Array, sample_rate_hz: int) -> float | None:
    """Return by how many per cent the envelope moved up in frequency, its timing kept.

    The log envelopes of the loud half of the frames, on a logarithmic axis from 300 Hz to 5 kHz, are shifted against
    those at the same time until they agree best.

    Args:
        before: Shape (samples,).
        after: Shape (samples,).
        sample_rate_hz: Of both.

    Returns:
        ``None`` where one is silent.
    """
    scale = float(np.max(np.abs(before), initial=0.0)), float(np.max(np.abs(after), initial=0.0))
    if min(scale) <= 0 or not np.isfinite(max(scale)):
        return None
    axis = np.exp(np.arange(np.log(_LOW_HZ), np.log(min(_HIGH_HZ, 0.45 * sample_rate_hz)), _STEP))
    spectra = [spectrogram(part / most, sample_rate_hz) for part, most in zip((before, after), scale, strict=True)]
    power = (np.abs(spectra[0]) ** 2).sum(axis=1)
    loud = np.flatnonzero(power >= np.median(power[power > 0]))
    if loud.size < 4:
        return None
    bins = axis / (sample_rate_hz / frame_size(sample_rate_hz))
    low = np.floor(bins).astype(np.int64)
    share = bins - low
    lines = []
    for part in spectra:
        logs = np.log(envelopes(part[loud], sample_rate_hz) + 1e-12)
        lines.append(logs[:, low] * (1 - share) + logs[:, low + 1] * share)
    reach = min(round(_MOST / _STEP), axis.size // 2)
    scores = np.empty(2 * reach + 1)
    for lag in range(-reach, reach + 1):
        first = lines[0][:, max(0, -lag) : axis.size - max(0, lag)]
        second = lines[1][:, max(0, lag) : axis.size - max(0, -lag)]
        first, second = (part - part.mean(axis=1, keepdims=True) for part in (first, second))
        spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
        scores[lag + reach] = float((first * second).sum()) / spread if spread > 0 else 0.0
    best = int(np.argmax(scores))
    peak = float(best)
    if 0 < best < 2 * reach:
        left, middle, right = scores[best - 1 : best + 2]
        bend = left - 2 * middle + right
        peak += 0.5 * float((left - right) / bend) if bend < 0 else 0.0
    return 100 * float(np.expm1((peak - reach) * _STEP))
