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
- Active time is counted in steps of 1 ms; the envelope itself, and where each stretch of speech begins and ends, are
  those of the full sampling rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


@dataclass(frozen=True, kw_only=True)
class ActiveLevel:
    """What P.56 says about one clip.

    Args:
        level_dbfs: Active speech level: RMS over the active time, in dB relative to full scale (a full-scale square
            wave is 0 dBFS, a full-scale sine −3.01).
        size: Samples of the clip.
        find_spans: Gives ``spans``, which not everybody needs.
    """

    level_dbfs: float
    size: int
    find_spans: Callable[[], tuple[tuple[int, int], ...]]

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Where speech is active: first sample and the one after the last, in order, apart."""
        return self.find_spans()

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Which samples are active, shape (samples,)."""
        mask = np.zeros(self.size, dtype=bool)
        for start, stop in self.spans:
            mask[start:stop] = True
        return mask

    @property
    def samples(self) -> int:
        """How many samples are active."""
        return sum(stop - start for start, stop in self.spans)

    @property
    def fraction(self) -> float:
        """Share of the clip in which speech is active."""
        return self.samples / self.size

    def power(self, samples: npt.NDArray[np.float64]) -> float:
        """Return the mean square of other samples of the same clip, shape (samples,), over the active ones."""
        total = sum(float(np.einsum("i,i->", part, part)) for part in (samples[a:b] for a, b in self.spans))
        return total / self.samples if self.samples else 0.0

    def louder(self, gain_db: float) -> ActiveLevel:
        """Return what would be measured on the same clip with a gain: the measure is scale-invariant."""
        return replace(self, level_dbfs=self.level_dbfs + gain_db, find_spans=lambda: self.spans)


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
    envelope = _Envelope(samples, sample_rate_hz, block)
    # Active above c: the envelope reached c now or in the last 200 ms.
    held = _trailing(envelope.ends, round(HANGOVER_S * sample_rate_hz / block))
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
    return ActiveLevel(level_dbfs=level, size=size, find_spans=partial(envelope.spans, amplitude(threshold)))


class _Envelope:
    """The envelope of P.56, q of p of the rectified signal, exact at the end of every block of samples.

    With g the averages' constant, p_n = g p_{n−1} + (1 − g)|x_n| and q_n = g q_{n−1} + (1 − g) p_n. Over a block of B
    samples both are linear in their values before it and in the block's samples: the recursion runs once a block.
    """

    def __init__(self, samples: npt.NDArray[Any], sample_rate_hz: int, block: int) -> None:
        from scipy.signal import lfilter

        self._rate, self._block, self._size = sample_rate_hz, block, samples.size
        count = -(-samples.size // block) + math.ceil(_TAIL_S * sample_rate_hz / block)
        rectified = np.empty(count * block)
        np.abs(samples, out=rectified[: samples.size])
        rectified[samples.size :] = 0.0
        self._blocks = rectified.reshape(count, block)
        self._g = g = math.exp(-1 / (sample_rate_hz * TIME_CONSTANT_S))
        age = np.arange(block)[::-1]
        # One product of matrices for both sums: threads would share out its rows, never the terms of a sum.
        weights = np.stack([(1 - g) * g**age, (1 - g) ** 2 * (age + 1) * g**age], axis=1)
        first, into = np.ascontiguousarray((self._blocks @ weights).T)
        self._p = lfilter([1], [1, -(g**block)], first)
        into[1:] += (1 - g) * block * g**block * self._p[:-1]
        self.ends: npt.NDArray[np.float64] = np.maximum(lfilter([1], [1, -(g**block)], into), 0.0)

    def spans(self, threshold: float) -> tuple[tuple[int, int], ...]:
        """Return where the envelope is above a threshold, or was within 200 ms, to the sample."""
        above = self.ends >= threshold
        turns = np.flatnonzero(above[1:] != above[:-1]) + 1
        if above[0]:
            turns = np.concatenate([[0], turns])
        # A block that rises is active from its first sample above the threshold, one that falls up to its first below.
        rises = np.arange(turns.size) % 2 == 0
        turned = (self._within(turns) >= threshold) == rises[:, None]
        first = np.where(turned.any(axis=1), turned.argmax(axis=1), np.where(rises, 0, self._block))
        edges = (turns * self._block + first).tolist()
        if len(edges) % 2:
            edges.append(above.size * self._block)
        found: list[tuple[int, int]] = []
        hang = round(HANGOVER_S * self._rate)
        for start, fall in zip(edges[::2], edges[1::2], strict=True):
            stop = min(fall + hang, self._size)
            if start >= stop:
                continue
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(stop, found[-1][1]))
            else:
                found.append((start, stop))
        return tuple(found)

    def _within(self, blocks: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return the envelope at every sample of some blocks, shape (blocks, samples of a block)."""
        g = self._g
        p = np.where(blocks > 0, self._p[blocks - 1], 0.0)
        q = np.where(blocks > 0, self.ends[blocks - 1], 0.0)
        rectified = self._blocks[blocks].T
        values = np.empty(rectified.shape)
        for i, sample in enumerate(rectified):
            p = g * p + (1 - g) * sample
            q = g * q + (1 - g) * p
            values[i] = q
        return values.T


def own_snr_db(samples: npt.NDArray[Any], sample_rate_hz: int, level_dbfs: float) -> float | None:
    """Return how far the active level of a recording lies above its own noise floor.

    The floor is the 10th percentile of the power of 20 ms frames: an estimate that reads the pauses, so that a clip
    without any looks noisier than it is.

    Args:
        samples: The recording, shape (samples,).
        sample_rate_hz: Its rate.
        level_dbfs: Its active level.

    Returns:
        The ratio, at most that of a floor of −100 dBFS; ``None`` for a clip of less than a fifth of a second.
    """
    frame = max(1, round(0.02 * sample_rate_hz))
    frames = samples[: samples.size // frame * frame].astype(np.float64).reshape(-1, frame)
    if len(frames) < 10:
        return None
    powers = np.sort(np.einsum("ij,ij->i", frames, frames) / frame)
    return level_dbfs - decibels(max(float(powers[len(powers) // 10]), 1e-10))


def together_db(ratios_db: Iterable[float]) -> float:
    """Return the ratio of a signal to several noises together, each given as a ratio in dB; infinity for none."""
    return -decibels(sum(10 ** (-ratio / 10) for ratio in ratios_db))


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
