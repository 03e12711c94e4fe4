"""What of a sound is heard: the A-weighting of IEC 61672-1, and the high-pass below which nothing is.

A microphone, a draught or an offset of the converter put power below 20 Hz into a recording. Nobody hears it and no
recogniser's features hold it, but it counts in a mean square: noise that is set against speech by its whole power comes
out too soft. Recorded noise therefore loses what lies below 20 Hz before it is measured and mixed, as generated noise
never has it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft

from asrfair.acoustics.sources.spectrum import LOWEST_HZ

if TYPE_CHECKING:
    from asrfair.acoustics.level import ActiveLevel

Array: TypeAlias = npt.NDArray[np.float64]

_POLES_HZ = (20.598997, 107.65265, 737.86223, 12194.217)
_AT_1_KHZ_DB = 2.0
_PAD_S = 0.25


def a_weighting_db(frequencies_hz: Array) -> Array:
    """Return the A-weighting after IEC 61672-1:2013, annex E, equation (E.6): 0 dB at 1 kHz.

    Args:
        frequencies_hz: Shape (frequencies,); minus infinity at zero.
    """
    squared = np.asarray(frequencies_hz, dtype=np.float64) ** 2
    f1, f2, f3, f4 = (f**2 for f in _POLES_HZ)
    gain = f4 * squared**2 / ((squared + f1) * np.sqrt((squared + f2) * (squared + f3)) * (squared + f4))
    with np.errstate(divide="ignore"):
        return np.asarray(20 * np.log10(gain) + _AT_1_KHZ_DB, dtype=np.float64)


def a_weighted(samples: Array, sample_rate_hz: int) -> Array:
    """Return the samples A-weighted, in phase: shape (samples,) in and out.

    The weighting is applied to the whole spectrum at once, so that it is exact down to the lowest frequency; a
    quarter of a second of silence on both sides keeps the end from reaching the beginning.

    Args:
        samples: Mono, shape (samples,).
        sample_rate_hz: Their rate.
    """
    if samples.size == 0:
        return samples.copy()
    length = fft.next_fast_len(samples.size + round(_PAD_S * sample_rate_hz), real=True)
    spectrum = fft.rfft(samples, length)
    spectrum *= _gains(length, sample_rate_hz)
    return np.asarray(fft.irfft(spectrum, length)[: samples.size], dtype=np.float64)


@lru_cache(maxsize=64)
def _gains(length: int, sample_rate_hz: int) -> Array:
    frequencies = np.arange(length // 2 + 1, dtype=np.float64) * (sample_rate_hz / length)
    gains = 10 ** (a_weighting_db(frequencies) / 20)
    gains.setflags(write=False)
    return np.asarray(gains, dtype=np.float64)


def active_power(samples: Array, sample_rate_hz: int, level: ActiveLevel | None, *, weighted: bool) -> float:
    """Return the mean square over active speech (all of it where there is none), A-weighted or not.

    Args:
        samples: Speech or noise of the clip, shape (samples,).
        sample_rate_hz: Their rate.
        level: Where speech is active in that clip.
        weighted: Whether the A-weighting comes first.
    """
    heard = a_weighted(samples, sample_rate_hz) if weighted else samples
    if level is not None:
        return level.power(heard)
    return float(np.einsum("i,i->", heard, heard)) / max(1, heard.size)


@lru_cache(maxsize=16)
def _rumble(sample_rate_hz: int) -> Any:
    from scipy.signal import butter, sosfilt_zi

    sections = butter(4, LOWEST_HZ, btype="highpass", fs=sample_rate_hz, output="sos")
    return sections, sosfilt_zi(sections)


class HighPass:
    """Takes out what lies below 20 Hz, block after block: a Butterworth filter of the fourth order, −3 dB at 20 Hz.

    It begins as if the first sample had always been there, so that an offset makes no thump.

    Args:
        sample_rate_hz: Rate of what will be filtered.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._sections, self._start = _rumble(sample_rate_hz)
        self._state: Any = None

    def __call__(self, block: npt.NDArray[Any]) -> Array:
        """Filter the next block: shape (samples,) or (samples, channels)."""
        from scipy.signal import sosfilt

        wide = np.asarray(block, dtype=np.float64)
        if wide.size == 0:
            return wide
        if self._state is None:
            self._state = np.multiply.outer(self._start, wide[0])
        filtered, self._state = sosfilt(self._sections, wide, axis=0, zi=self._state)
        return np.asarray(filtered, dtype=np.float64)
