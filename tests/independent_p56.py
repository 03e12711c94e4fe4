"""ITU-T P.56 method B written a second time, for tests: another algorithm, at the full sample rate, sharing no code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TIME_CONSTANT_S, HANGOVER_S, MARGIN_DB = 0.03, 0.2, 15.9


def envelope(samples: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    """Rectify and smooth twice with 30 ms, as the recommendation's equations do, sample by sample in blocks.

    The two first-order recursions p = g p + (1 − g)|x| and q = g q + (1 − g) p have the impulse response
    (1 − g)² (n + 1) gⁿ, which is applied here by a direct (FFT) convolution.
    """
    g = np.exp(-1 / (rate * TIME_CONSTANT_S))
    n = np.arange(int(rate * 1.2))
    kernel = (1 - g) ** 2 * (n + 1) * g**n
    size = 1 << int(np.ceil(np.log2(samples.size + kernel.size)))
    spectrum = np.fft.rfft(np.abs(samples), size) * np.fft.rfft(kernel, size)
    return np.fft.irfft(spectrum, size)[: samples.size]


def active_at(envelope_: npt.NDArray[np.float64], threshold: float, rate: int) -> npt.NDArray[np.bool_]:
    """Where the envelope is above the threshold, or was within the hangover."""
    n = np.arange(envelope_.size)
    last = np.maximum.accumulate(np.where(envelope_ >= threshold, n, -(10**9)))
    return n - last <= round(HANGOVER_S * rate)


def measure(samples: npt.NDArray[np.float64], rate: int) -> tuple[float, npt.NDArray[np.bool_]]:
    """Return the active level (dB re full scale) and the mask: threshold by bisection, silence after the clip."""
    wide = np.concatenate([samples.astype(np.float64), np.zeros(rate)])
    smooth = envelope(wide, rate)
    energy = float(np.sum(wide**2))
    low, high = 20 * np.log10(smooth.max()) - 90, 20 * np.log10(smooth.max())
    for _ in range(40):
        middle = (low + high) / 2
        level = 10 * np.log10(energy / np.count_nonzero(active_at(smooth, 10 ** (middle / 20), rate)))
        if level - middle > MARGIN_DB:
            low = middle
        else:
            high = middle
    mask = active_at(smooth, 10 ** (high / 20), rate)
    return 10 * np.log10(energy / np.count_nonzero(mask)), mask[: samples.size]


def measure_as_the_itu_tool(samples: npt.NDArray[np.float64], rate: int) -> float:
    """Return the level as sv56 interpolates it: thresholds 6.02 dB apart below full scale, silence after the clip."""
    wide = np.concatenate([samples.astype(np.float64), np.zeros(rate)])
    smooth = envelope(wide, rate)
    energy = float(np.sum(wide**2))
    before: tuple[float, float] | None = None
    for exponent in range(15, -1, -1):
        threshold = 2.0**-exponent
        count = np.count_nonzero(active_at(smooth, threshold, rate))
        if count == 0:
            break
        level = 10 * np.log10(energy / count)
        excess = level - 20 * np.log10(threshold) - MARGIN_DB
        if excess <= 0:
            if before is None:
                return level
            share = before[1] / (before[1] - excess)
            return before[0] + share * (level - before[0])
        before = (level, excess)
    raise AssertionError("no threshold was found")
