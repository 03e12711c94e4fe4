"""Noise of a wanted spectrum, and slow changes of level: the mathematics that several sources share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from asrfair.acoustics.effects.base import Samples

Density: TypeAlias = "Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]"
"""Maps frequencies in Hz, all above zero, to relative power density."""

LOWEST_HZ = 20.0
"""Noise that rises towards low frequencies stops here, where hearing and microphones do."""


def shaped_noise(
    size: int,
    sample_rate_hz: int,
    power: Density,
    rng: np.random.Generator,
) -> Samples:
    """Return Gaussian noise of unit expected power with a power spectrum.

    Args:
        size: Number of samples.
        sample_rate_hz: Their rate.
        power: Maps frequencies in Hz, all above zero, to relative power density.
        rng: Random numbers; ``size`` and the spectrum decide how many are used.
    """
    length = fft.next_fast_len(max(size, 2), real=True)
    frequencies = np.arange(1, length // 2 + 1) * (sample_rate_hz / length)
    gains = np.sqrt(np.maximum(power(frequencies), 0.0))
    spectrum = np.zeros(length // 2 + 1, dtype=np.complex128)
    parts = rng.standard_normal((2, frequencies.size))
    spectrum[1:].real = parts[0] * gains
    spectrum[1:].imag = parts[1] * gains
    if length % 2 == 0:
        spectrum[-1] = 0.0
        gains[-1] = 0.0
    # Each bin k of irfft contributes 2|X_k|²/length²; |X_k|² has the mean 2 gains².
    expected = 4.0 * float(np.einsum("i,i->", gains, gains)) / length**2
    noise: Samples = fft.irfft(spectrum, length)[:size]
    return noise / np.sqrt(expected) if expected > 0 else noise


def power_law(exponent: float, low_hz: float, high_hz: float) -> Density:
    """Return the density ``f ** -exponent`` inside a band and zero outside (0 white, 1 pink, 2 brown)."""

    def density(f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where((f >= low_hz) & (f <= high_hz), f**-exponent, 0.0)

    return density


def table(points: tuple[tuple[float, float], ...]) -> Density:
    """Return the density that joins points (Hz, dB) by straight lines over log frequency, level beyond the ends."""
    ordered = sorted(points)
    hz = np.log([p[0] for p in ordered])
    db = np.array([p[1] for p in ordered])

    def density(f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        level = np.interp(np.log(f), hz, db)
        result: npt.NDArray[np.float64] = np.where(f >= LOWEST_HZ, 10 ** (level / 10), 0.0)
        return result

    return density


def fluctuation(
    size: int, sample_rate_hz: int, rate_hz: float, deviation_db: float, rng: np.random.Generator
) -> Samples:
    """Return a slowly changing amplitude factor whose level is Gaussian in dB and whose expected power is one.

    Args:
        size: Number of samples.
        sample_rate_hz: Their rate.
        rate_hz: Where the spectrum of the level ends; the level is interpolated from points at four times this rate.
        deviation_db: Standard deviation of the level.
        rng: Random numbers.
    """
    if deviation_db <= 0:
        return np.ones(size)
    step_s = 1 / (4 * rate_hz)
    margin = 16
    points = int(np.ceil(size / sample_rate_hz / step_s)) + 2 + 2 * margin
    kernel = np.sinc(np.arange(-margin, margin + 1) / 2) * np.hanning(2 * margin + 3)[1:-1]
    kernel /= np.sqrt(np.sum(kernel**2))
    level = deviation_db * np.convolve(rng.standard_normal(points), kernel, mode="valid")
    at = np.arange(size) / sample_rate_hz / step_s
    smooth = np.interp(at, np.arange(level.size), level)
    scale = np.log(10) / 10
    mean_power = np.exp((deviation_db * scale) ** 2 / 2)
    result: Samples = np.exp(smooth * scale / 2) / np.sqrt(mean_power)
    return result
