"""Speaker-blocked bootstrap draws: speakers are drawn with replacement, whole, within their group.

The same draws serve every engine and condition, so any two statistics of a draw are paired. A speaker who stands in
several groups is drawn once, in the group with most of that speaker's words, and counts as often in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.frame import Floats, Ints

_CHUNK_BYTES = 2_000_000
_PACKED_INDICES = 128_000
_PACKED_RUNS = 2


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Bootstrap replicates of sums: errors and words of every draw (B), run (R) and group (G)."""

    errors: npt.NDArray[np.signedinteger]
    words: npt.NDArray[np.signedinteger]

    @property
    def rate(self) -> Floats:
        """Pooled rate of each draw; NaN where a draw has no words."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.words > 0, self.errors / self.words, np.nan)


def speaker_draws(rates: Rates, draws: int, rng: np.random.Generator) -> Draws:
    """Draw speakers within groups and sum their errors and words.

    Args:
        rates: Counts per cell.
        draws: Number of replicates B.
        rng: Source of chance.

    Returns:
        Sums of shape (B, R, G).
    """
    grouping = rates.grouping
    runs, groups = rates.errors.shape
    most = int(np.diff(np.append(grouping.starts, len(grouping.cell_group))).max())
    largest = max(int(rates.cell_errors.max()), int(rates.cell_words.max())) * most * len(grouping.names)
    small = np.int32 if largest < 1 << 31 else np.int64
    errors = np.zeros((draws, runs, groups), dtype=small)
    words = np.zeros((draws, runs, groups), dtype=small)
    speakers, cell_of = np.unique(grouping.cell_speaker, return_inverse=True)
    home = grouping.home(rates.cell_words.max(axis=0))
    if not grouping.spans:
        for group in range(groups):
            cells = slice(grouping.starts[group], grouping.starts[group + 1] if group + 1 < groups else None)
            errors[:, :, group], words[:, :, group] = _group_sums(
                rates.cell_errors[:, cells], rates.cell_words[:, cells], draws, rng
            )
        return Draws(errors=errors, words=words)
    both = np.concatenate([rates.cell_errors, rates.cell_words]).astype(np.float64)
    weights = np.empty((draws, len(speakers)), dtype=np.int16)
    for group in range(groups):
        members = np.flatnonzero(home == group)
        if len(members):
            for part, weight in _weights(len(members), draws, rng):
                weights[part, members] = weight
    step = max(1, _CHUNK_BYTES // (8 * len(speakers)))
    for start in range(0, draws, step):
        part = slice(start, min(start + step, draws))
        weight = weights[part].astype(np.float64)
        for group in range(groups):
            cells = slice(grouping.starts[group], grouping.starts[group + 1] if group + 1 < groups else None)
            sums = np.rint(weight[:, cell_of[cells]] @ both[:, cells].T).astype(np.int64)
            errors[part, :, group], words[part, :, group] = sums[:, :runs], sums[:, runs:]
    return Draws(errors=errors, words=words)


def _group_sums(errors: Ints, words: Ints, draws: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Sums of errors and of words over drawn speakers of one group; (R, k) to twice (draws, R).

    For one or two runs errors and words are packed into one 64-bit number, so that one gather of small indices serves
    both: the fastest formulation found (benchmarks/bootstrap.py). More runs share counts of how often each speaker was
    drawn, in one matrix product.
    """
    runs, k = errors.shape
    sums = np.empty((2, draws, runs), dtype=np.int64)
    if runs <= _PACKED_RUNS and k * int(max(errors.max(), words.max())) < 1 << 31:
        packed = (errors << 32) | words
        small = np.min_scalar_type(k - 1) if k > 1 else np.dtype(np.uint8)
        step = max(1, _PACKED_INDICES // k)
        for start in range(0, draws, step):
            part = slice(start, min(start + step, draws))
            drawn = rng.integers(0, k, (part.stop - part.start, k), dtype=small)
            for run in range(runs):
                total = packed[run].take(drawn, mode="wrap").sum(axis=1)
                sums[0, part, run], sums[1, part, run] = total >> 32, total & 0xFFFFFFFF
        return sums[0], sums[1]
    counts = np.concatenate([errors, words]).astype(np.float64).T
    for part, weight in _weights(k, draws, rng):
        total = np.rint(weight @ counts).astype(np.int64)
        sums[0, part], sums[1, part] = total[:, :runs], total[:, runs:]
    return sums[0], sums[1]


def _weights(k: int, draws: int, rng: np.random.Generator) -> Iterator[tuple[slice, Floats]]:
    """Yield how often each of k speakers is drawn, in chunks of draws: (which draws, array of (draws, k))."""
    step = max(1, _CHUNK_BYTES // (8 * k))
    for start in range(0, draws, step):
        part = slice(start, min(start + step, draws))
        size = part.stop - part.start
        drawn = rng.integers(0, k, size=(size, k)) + (np.arange(size) * k)[:, None]
        yield part, np.bincount(drawn.ravel(), minlength=size * k).reshape(size, k).astype(np.float64)


def percentile_interval(replicates: Floats, level: float, axis: int = 0) -> tuple[Floats, Floats]:
    """Percentile interval along the axis of the draws; draws that are NaN do not count."""
    tail = (1.0 - level) / 2
    with np.errstate(all="ignore"):
        low, high = nan_quantiles(replicates, (tail, 1.0 - tail), axis=axis)
    return low, high


def nan_quantiles(values: Floats, at: tuple[float, ...], axis: int = 0) -> list[Floats]:
    """Quantiles that skip NaN without a warning where all are NaN (the result is NaN there)."""
    moved = np.moveaxis(values, axis, 0)
    if not np.isnan(moved).any():
        return list(np.quantile(moved, at, axis=0))
    ordered = np.sort(moved, axis=0)
    count = (~np.isnan(ordered)).sum(axis=0)
    results: list[Floats] = []
    for p in at:
        position = np.clip((count - 1) * p, 0, None)
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        low: npt.NDArray[np.float64] = np.take_along_axis(ordered, below[None], axis=0)[0]
        high: npt.NDArray[np.float64] = np.take_along_axis(ordered, above[None], axis=0)[0]
        results.append(low + (high - low) * (position - below))
    return results
