"""Filters that leave speech where it was: linear-phase FIR, its delay taken out.

A telephone's own filters delay and smear by a millisecond or so. A benchmark wants the same magnitude response without
the delay: references with times, and the comparison of conditions, then need no correction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.signal import firwin

Array: TypeAlias = npt.NDArray[np.float64]

MAX_TAPS = 16_385


def convolve(samples: Array, taps: Array) -> Array:
    """Convolve in full, by overlap and save: shape (samples + taps − 1,).

    The transforms run in single precision, several times as fast: the error lies 130 dB below the signal, less than the
    rounding of the float32 samples that an engine gets. Blocks are transformed together, a multiple of four of them, so
    that the transform uses the processor's vector unit.

    Args:
        samples: Shape (samples,), at least one.
        taps: Shape (taps,), at least one.
    """
    size, reach = samples.size + taps.size - 1, taps.size - 1
    block, count = _blocks(size, reach)
    step = block - reach
    padded = np.zeros((count - 1) * step + block, dtype=np.float32)
    padded[reach : reach + samples.size] = samples
    blocks = np.lib.stride_tricks.as_strided(padded, (count, block), (4 * step, 4), writeable=False)
    spectrum = fft.rfft(blocks, axis=1)
    spectrum *= fft.rfft(taps.astype(np.float32), block)
    full = np.empty((count, step))
    full[:] = fft.irfft(spectrum, block, axis=1)[:, reach:]
    return full.reshape(-1)[:size]


@lru_cache(maxsize=4096)
def _blocks(size: int, reach: int) -> tuple[int, int]:
    """Return the block length and the number of blocks that cost least for a result of ``size`` samples."""
    options = []
    for exponent in range(max(11, reach.bit_length() + 1), max(12, (size + reach).bit_length() + 2)):
        block = 1 << exponent
        count = 4 * -(-size // (4 * (block - reach)))
        options.append((count * block * (exponent + 4), block, count))
    _, block, count = min(options)
    return block, count


def convolve_centred(samples: Array, taps: Array) -> Array:
    """Convolve with an odd-length symmetric FIR and take its delay out; the length stays.

    Args:
        samples: Mono, shape (samples,).
        taps: Shape (odd,).
    """
    if samples.size == 0:
        return samples.copy()
    half = taps.size // 2
    return convolve(samples, taps)[half : half + samples.size]


def from_magnitude(magnitude: Callable[[Array], Array], sample_rate_hz: int, *, duration_s: float = 0.064) -> Array:
    """Design a linear-phase FIR by frequency sampling.

    Args:
        magnitude: Gain (amplitude factor) at frequencies in Hz, shape (frequencies,) → (frequencies,).
        sample_rate_hz: Sampling rate.
        duration_s: Length of the FIR; its inverse is about the finest detail in Hz.

    Returns:
        Taps, odd length, symmetric.
    """
    half = max(8, min(round(duration_s * sample_rate_hz / 2), MAX_TAPS // 2))
    size = 1 << (4 * half - 1).bit_length()
    frequencies_hz = np.arange(size // 2 + 1, dtype=np.float64) * (sample_rate_hz / size)
    gains = np.asarray(magnitude(frequencies_hz), dtype=np.float64)
    response = np.fft.irfft(gains, size)
    taps = np.concatenate([response[-half:], response[: half + 1]])
    return np.asarray(taps * np.hanning(2 * half + 3)[1:-1], dtype=np.float64)


@lru_cache(maxsize=64)
def _band_taps(low_hz: float, high_hz: float, transition_hz: float, sample_rate_hz: int) -> Array | None:
    nyquist = sample_rate_hz / 2
    passes_low, passes_high = low_hz <= 0, high_hz >= nyquist
    if passes_low and passes_high:
        return None
    # Kaiser's formula for 60 dB of stop-band attenuation: (A − 7.95) / (2.285 Δω) taps, beta 0.1102 (A − 8.7).
    count = math.ceil((60 - 7.95) / (2.285 * 2 * math.pi * transition_hz / sample_rate_hz))
    count = min(count + 1 - count % 2, MAX_TAPS)
    window = ("kaiser", 0.1102 * (60 - 8.7))
    taps: Any
    if passes_low:
        taps = firwin(count, high_hz, window=window, fs=sample_rate_hz, pass_zero=True)
    elif passes_high:
        taps = firwin(count, low_hz, window=window, fs=sample_rate_hz, pass_zero=False)
    else:
        taps = firwin(count, [low_hz, high_hz], window=window, fs=sample_rate_hz, pass_zero=False)
    result = np.asarray(taps, dtype=np.float64)
    result.setflags(write=False)
    return result


def band_taps(low_hz: float, high_hz: float, transition_hz: float, sample_rate_hz: int) -> Array | None:
    """Design a band-pass whose gain is −6 dB at both edges and −60 dB beyond half a transition.

    Args:
        low_hz: Lower edge; zero for none.
        high_hz: Upper edge; at or above half the sampling rate for none.
        transition_hz: Width of the edges.
        sample_rate_hz: Sampling rate.

    Returns:
        Taps of odd length, or ``None`` where nothing is to be filtered.
    """
    return _band_taps(low_hz, high_hz, transition_hz, sample_rate_hz)


def lag_samples(reference: Array, other: Array, *, limit: int | None = None) -> int:
    """Return by how many samples ``other`` comes later than ``reference``: the peak of their cross-correlation.

    Args:
        reference: Shape (samples,).
        other: Shape (samples,).
        limit: Largest lag searched, in samples.
    """
    size = 1 << (reference.size + other.size - 1).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(other, size) * np.fft.rfft(reference, size).conj(), size)
    limit = min(size // 2 - 1, limit if limit is not None else size)
    around = np.concatenate([correlation[-limit:] if limit else correlation[:0], correlation[: limit + 1]])
    return int(np.argmax(around)) - limit
