"""What is in a room impulse response: where the direct sound arrives, how strong the room is against it, how it decays.

Start of the response after ISO 3382-1: the first sample within 20 dB of the largest. The direct path is the largest
arrival in the millisecond that follows. The room is everything later than a millisecond after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

ONSET_DB = 20.0
DIRECT_SEARCH_S = 0.001
DIRECT_WINDOW_S = 0.001
LEAST_DECAY_DB = 6.0
WEAK_DIRECT_DB = -10.0
"""A direct-to-reverberant ratio below this is warned about: later arrivals, not the direct path, lead the sound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseFacts:
    """Measured facts about one channel of an impulse response.

    Args:
        direct: Index of the direct path.
        drr_db: Direct-to-reverberant ratio; infinite for a response that is nothing but its direct path.
        rt60_s: Reverberation time (T30, else T20, else T10 extrapolated to 60 dB); NaN where it cannot be measured.
    """

    direct: int
    drr_db: float
    rt60_s: float


class NoDirectPathError(ValueError):
    """A response in which no direct path can be found; the message says why."""


def analyse(response: Array, sample_rate_hz: int) -> ResponseFacts:
    """Measure an impulse response.

    Args:
        response: One channel, shape (samples,).
        sample_rate_hz: Sampling rate.

    Raises:
        NoDirectPathError: It is silent, does not decay, or starts in the middle of its own reverberation.
    """
    if response.size == 0 or not np.isfinite(response).all():
        raise NoDirectPathError("it is empty, or holds samples that are not numbers")
    loudness = np.abs(response)
    peak = float(loudness.max())
    if peak <= 0:
        raise NoDirectPathError("it is silent")
    onset = int(np.argmax(loudness >= peak * 10 ** (-ONSET_DB / 20)))
    search = max(1, round(DIRECT_SEARCH_S * sample_rate_hz))
    direct = onset + int(np.argmax(loudness[onset : onset + search + 1]))
    _check_decay(response[onset:], sample_rate_hz)
    if onset == 0 and loudness[direct] < 0.5 * peak:
        raise NoDirectPathError("it starts in the middle of its reverberation: its beginning is cut off")
    return ResponseFacts(
        direct=direct,
        drr_db=direct_to_reverberant_db(response, sample_rate_hz, direct),
        rt60_s=reverberation_time_s(response[direct:], sample_rate_hz),
    )


def direct_to_reverberant_db(response: Array, sample_rate_hz: int, direct: int) -> float:
    """Return the energy up to a millisecond after the direct path against the energy that follows, in dB.

    Args:
        response: One channel, shape (samples,).
        sample_rate_hz: Sampling rate.
        direct: Index of the direct path.

    Returns:
        Infinity where nothing follows.
    """
    end = direct + round(DIRECT_WINDOW_S * sample_rate_hz) + 1
    first, later = float((response[:end] ** 2).sum()), float((response[end:] ** 2).sum())
    return 10 * math.log10(first / later) if later > 0 else math.inf


def _check_decay(response: Array, sample_rate_hz: int) -> None:
    """Refuse what is as loud at its end as at its beginning: noise or speech, not the answer of a room."""
    if response.size < 8 or response.size < 0.01 * sample_rate_hz:
        return
    parts = np.array_split(response**2, 4)
    first, last = float(parts[0].mean()), float(parts[-1].mean())
    if last > first * 10 ** (-LEAST_DECAY_DB / 10):
        raise NoDirectPathError("it does not decay: its last quarter is as loud as its first")


def decay_db(response: Array) -> Array:
    """Return Schroeder's decay curve: the energy still to come, in dB relative to all of it; shape as the response."""
    remaining = np.cumsum((response**2)[::-1])[::-1]
    return np.asarray(10 * np.log10(np.maximum(remaining / remaining[0], 1e-30)), dtype=np.float64)


def reverberation_time_s(response: Array, sample_rate_hz: int) -> float:
    """Return RT60 by a line through Schroeder's curve from −5 dB down 30, 20 or 10 dB; NaN where none fits.

    The curve is cut where the response sinks into its own noise floor (the mean of its last tenth), so that a
    recording's hiss does not pass for a long room.

    Args:
        response: From the direct path on, shape (samples,).
        sample_rate_hz: Sampling rate.
    """
    if response.size < 16 or not response.any():
        return math.nan
    block = max(1, round(0.005 * sample_rate_hz))
    count = response.size // block
    if count >= 20:
        power = np.mean(response[: count * block].reshape(count, block) ** 2, axis=1)
        floor = float(power[-max(1, count // 10) :].mean())
        above = np.flatnonzero(power > 4 * floor)
        if above.size and floor > 0:
            response = response[: (int(above[-1]) + 1) * block]
    curve = decay_db(response)
    for depth in (30.0, 20.0, 10.0):
        # The last decibels of a truncated integral bend down: stay 5 dB above the end of the curve.
        low = -5.0 - depth
        if float(curve[-max(1, curve.size // 50)]) > low - 5:
            continue
        part = np.flatnonzero((curve <= -5.0) & (curve >= low))
        if part.size < 8:
            continue
        slope = float(np.polyfit(part / sample_rate_hz, curve[part], 1)[0])
        if slope < 0:
            return -60.0 / slope
    return math.nan


def with_drr(response: Array, sample_rate_hz: int, direct: int, drr_db: float) -> Array:
    """Scale everything after the direct path so that the direct-to-reverberant ratio is ``drr_db``.

    Args:
        response: One channel, shape (samples,).
        sample_rate_hz: Sampling rate.
        direct: Index of the direct path.
        drr_db: The ratio wanted.
    """
    end = direct + round(DIRECT_WINDOW_S * sample_rate_hz) + 1
    first, later = float((response[:end] ** 2).sum()), float((response[end:] ** 2).sum())
    if later <= 0:
        return response.copy()
    scaled = response.copy()
    scaled[end:] *= math.sqrt(first / later) * 10 ** (-drr_db / 20)
    return scaled
