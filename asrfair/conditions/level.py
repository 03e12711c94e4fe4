"""How loud speech is while somebody speaks: active speech level after ITU-T P.56 (method B), and plain RMS.

An SNR over a whole clip counts the pauses: the same noise is then "5 dB" for who speaks without pausing and weaker
for who pauses, a confound wherever pausing differs between groups. Every level and SNR of asrfair is therefore taken
over *active speech* as P.56 defines it: the rectified signal passes two exponential averages of 30 ms; speech is
active where that envelope is, or was within the last 200 ms, above a threshold that lies 15.9 dB below the active
level itself. Three choices are ours, each measured in docs/conditions.md:

- The threshold is found on a grid of 0.1 dB below the envelope's own peak rather than the 6.02 dB grid below full
  scale that the ITU's tool interpolates on. Level is then exactly scale-invariant: twice as loud measures 6.02 dB more.
- The clip is taken to be followed by silence, so that the 200 ms hangover always runs out. A level then does not
  depend on how tightly a clip was cut, and appended silence changes nothing.
- The envelope is computed from means over 1 ms: P.56 allows any rate above 600 Hz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

TIME_CONSTANT_S = 0.03
HANGOVER_S = 0.2
MARGIN_DB = 15.9
NOMINAL_LEVEL_DBFS = -26.0
"""The level at which P.56 and its companions play speech; stands in where a clip holds none."""

SILENCE_DBFS = -90.0
"""Below the quantisation noise of 16 bits there is nothing to measure."""

_GRID_DB = 0.1
_DEPTH_DB = 90.0
_TAIL_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ActiveLevel:
    """What P.56 says about one clip.

    Args:
        level_dbfs: Active speech level: RMS over the active time, in dB relative to full scale (a full-scale square
            wave is 0 dBFS, a full-scale sine −3.01).
        threshold: Amplitude of the envelope above which speech is active.
        active: Which blocks of the clip are active, shape (blocks,).
        block: Samples a block.
        size: Samples of the clip.
    """

    level_dbfs: float
    threshold: float
    active: npt.NDArray[np.bool_]
    block: int
    size: int

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Which samples are active, shape (samples,)."""
        return np.repeat(self.active, self.block)[: self.size]

    @property
    def fraction(self) -> float:
        """Share of the clip in which speech is active."""
        last = self.size - (self.active.size - 1) * self.block
        samples = int(np.count_nonzero(self.active[:-1])) * self.block + int(self.active[-1]) * last
        return samples / self.size

    def power(self, samples: npt.NDArray[np.float64]) -> float:
        """Return the mean square of other samples of the same clip, shape (samples,), over the active ones."""
        whole = samples.size // self.block
        blocks = samples[: whole * self.block].reshape(whole, self.block)
        sums = np.einsum("ij,ij->i", blocks, blocks)
        total = float(np.einsum("i->", sums[self.active[:whole]]))
        if self.active.size > whole and self.active[-1]:
            rest = samples[whole * self.block :]
            total += float(np.einsum("i,i->", rest, rest))
        active = self.fraction * self.size
        return total / active if active else 0.0

    def louder(self, gain_db: float) -> ActiveLevel:
        """Return what would be measured on the same clip with a gain: the measure is scale-invariant."""
        return replace(self, level_dbfs=self.level_dbfs + gain_db, threshold=self.threshold * amplitude(gain_db))


def decibels(power: float) -> float:
    """Return ``10 log10(power)``; minus infinity for zero."""
    return 10 * math.log10(power) if power > 0 else -math.inf


def amplitude(level_db: float) -> float:
    """Return the amplitude factor of a level in dB."""
    return float(10 ** (level_db / 20))


def mean_power(samples: npt.NDArray[Any]) -> float:
    """Return the mean square; zero for no samples. The sum does not depend on threads."""
    if samples.size == 0:
        return 0.0
    wide = samples.astype(np.float64, copy=False)
    return float(np.einsum("i,i->", wide, wide)) / samples.size


def rms_dbfs(samples: npt.NDArray[Any]) -> float:
    """Return the RMS level in dB relative to full scale; minus infinity for silence."""
    return decibels(mean_power(samples))


def active_level(samples: npt.NDArray[Any], sample_rate_hz: int) -> ActiveLevel | None:
    """Measure the active speech level of a clip after ITU-T P.56, method B, with the choices named above.

    Args:
        samples: Mono, shape (samples,), full scale 1.0.
        sample_rate_hz: Sampling rate.

    Returns:
        The level, or ``None`` where there is nothing to measure (no samples, or RMS below −90 dBFS while active).
    """
    size = samples.size
    energy = mean_power(samples) * size
    if not math.isfinite(energy) or energy <= 0:
        return None
    block = max(1, round(sample_rate_hz / 1000))
    rate = sample_rate_hz / block
    envelope = _envelope(samples, block, rate)
    hang = math.ceil(HANGOVER_S * rate)
    # Active above c: the envelope reached c now or in the last `hang` values.
    held = _trailing(envelope, hang)
    peak = float(held.max())
    if peak <= 0:
        return None
    steps = round(_DEPTH_DB / _GRID_DB)
    depth = np.log10(np.maximum(held / peak, 1e-9))
    bins = np.maximum(np.floor(depth * (20 / _GRID_DB) + steps), 0).astype(np.int64)
    # active[k]: how many values reach the threshold of grid point k, `_DEPTH_DB - k * _GRID_DB` below the peak.
    active = np.cumsum(np.bincount(bins, minlength=steps + 1)[::-1])[::-1].astype(np.float64) * block
    thresholds = 20 * math.log10(peak) - _DEPTH_DB + _GRID_DB * np.arange(steps + 1)
    levels = 10 * np.log10(energy / active)
    excess = levels - thresholds - MARGIN_DB
    below = np.nonzero(excess <= 0)[0]
    if below.size == 0:
        return None
    k = int(below[0])
    if k == 0:
        level, threshold = float(levels[0]), float(thresholds[0])
    else:
        share = float(excess[k - 1] / (excess[k - 1] - excess[k]))
        level = float(levels[k - 1] + share * (levels[k] - levels[k - 1]))
        threshold = float(thresholds[k - 1] + share * _GRID_DB)
    if level < SILENCE_DBFS:
        return None
    mask: npt.NDArray[np.bool_] = np.greater_equal(held[: -(-size // block)], amplitude(threshold))
    return ActiveLevel(level_dbfs=level, threshold=amplitude(threshold), active=mask, block=block, size=size)


def _envelope(samples: npt.NDArray[Any], block: int, rate: float) -> npt.NDArray[np.float64]:
    blocks = -(-samples.size // block) + math.ceil(_TAIL_S * rate)
    rectified = np.zeros(blocks * block)
    np.abs(samples, out=rectified[: samples.size])
    means = np.einsum("ij->i", rectified.reshape(blocks, block)) / block
    g = math.exp(-1 / (rate * TIME_CONSTANT_S))
    from scipy.signal import lfilter

    # P.56 averages twice with the same constant: one recursion of the second order.
    envelope: npt.NDArray[np.float64] = lfilter([(1 - g) ** 2], [1, -2 * g, g * g], means)
    # Its rounding may fall below zero after the sound has died away.
    positive: npt.NDArray[np.float64] = np.maximum(envelope, 0.0)
    return positive


def _trailing(envelope: npt.NDArray[np.float64], hang: int) -> npt.NDArray[np.float64]:
    """Return the maximum over each value and the ``hang`` values before it, by windows that double."""
    held = envelope.copy()
    reach = 1
    while reach < hang + 1:
        # `held` looks back over `reach` values; combined with itself further back, over more.
        shift = min(reach, hang + 1 - reach)
        held[shift:] = np.maximum(held[shift:], held[:-shift])
        reach += shift
    return held


def fit_length(samples: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Cut, or fill with zeros at the end, to a number of samples."""
    if samples.size >= size:
        return samples[:size]
    return np.concatenate([samples, np.zeros(size - samples.size)])
