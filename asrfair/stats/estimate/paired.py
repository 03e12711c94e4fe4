"""The same speakers twice: two engines, or two conditions, and how the rate changes between them.

The change of a rate is level × ratio, W_a − W_b = 2 √(W_a W_b) sinh(ρ/2) with ρ = log(W_a / W_b). Level and ratio are
nearly unrelated and both well behaved on the log scale: the level has the long upper tail of a rate, the ratio is
symmetrical, and most of what differs between speakers cancels in it. Their bounds are put together as in the method of
variance estimates recovery (Donner & Zou 2012), with the correlation of the two. A symmetric interval around the
difference instead misses up to 10 % above where the two rates differ much (benchmarks/calibration.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.rate_interval import Estimate, limits, skew_stretch, t_quantile
from asrfair.stats.frame import SCORED, Floats, Frame, Ints
from asrfair.stats.groups import Grouping

WORD_ERRORS = (1, 2, 3)
WORDS = (0, 1, 2)
"""Places of the quantities in :data:`asrfair.stats.frame.QUANTITIES`."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A rate of the same speakers in two places (P pairs, G groups); arrays of shape (P, G), NaN where not known.

    Attributes:
        difference: First minus second.
        log_ratio: Log of first over second; NaN where either has no errors.
        se_difference: Standard error of the difference (symmetric; for weighing degrees of freedom).
        se_log: Standard error of the log ratio.
        df: Degrees of freedom, the smaller of the two rates'.
        level: The estimate of √(W_a W_b).
        correlation: Of the logarithms of level and ratio.
        first: Estimate of W_a.
        second: Estimate of W_b.
        errors: Errors of each cell, first and second, shape (2, P, N).
        words: Words of each cell, first and second, shape (2, P, N).
    """

    difference: Floats
    log_ratio: Floats
    se_difference: Floats
    se_log: Floats
    df: Floats
    level: Estimate
    correlation: Floats
    first: Estimate
    second: Estimate
    errors: Ints
    words: Ints

    @property
    def p(self) -> Floats:
        """Two-sided p-value of Student's t for no change of the log rate."""
        with np.errstate(all="ignore"):
            value: Floats = 2.0 * special.stdtr(self.df, -np.abs(self.log_ratio) / self.se_log)
        return value

    def difference_bounds(self, tail: float, df: Floats | None = None) -> tuple[Floats, Floats]:
        """Bounds of the difference, each missing with probability ``tail``.

        Where either rate has no errors there is no ratio; the bounds then come from those of each rate, unpaired, which
        is wider.

        Args:
            tail: One-sided error probability.
            df: Degrees of freedom of a larger comparison that this change is part of.
        """
        freedom = self.df if df is None else df
        with np.errstate(all="ignore"):
            low_level, high_level = limits(self.level, tail, freedom)
            half = t_quantile(1.0 - tail, freedom) * self.se_log
            sign = np.sign(self.log_ratio)

            def product(level: Floats, log_ratio: Floats) -> Floats:
                return 2.0 * level * np.sinh(np.clip(log_ratio, -700.0, 700.0) / 2.0)

            point = product(self.level.rate, self.log_ratio)
            down = np.abs(product(np.where(sign > 0, low_level, high_level), self.log_ratio) - point)
            up = np.abs(product(np.where(sign > 0, high_level, low_level), self.log_ratio) - point)
            less = point - product(self.level.rate, self.log_ratio - half)
            more = product(self.level.rate, self.log_ratio + half) - point
            both = 2.0 * sign * self.correlation
            low = self.difference - np.sqrt(np.maximum(down**2 + less**2 + both * down * less, 0.0))
            high = self.difference + np.sqrt(np.maximum(up**2 + more**2 + both * up * more, 0.0))
            first, second = limits(self.first, tail, freedom), limits(self.second, tail, freedom)
            apart = np.isfinite(self.log_ratio)
            low = np.where(
                apart, low, self.difference - np.hypot(self.first.rate - first[0], second[1] - self.second.rate)
            )
            high = np.where(
                apart, high, self.difference + np.hypot(first[1] - self.first.rate, self.second.rate - second[0])
            )
        return low, high

    def ratio_bounds(self, tail: float) -> tuple[Floats, Floats]:
        """Bounds of first over second."""
        with np.errstate(all="ignore"):
            half = t_quantile(1.0 - tail, self.df) * self.se_log
            return np.exp(self.log_ratio - half), np.exp(np.minimum(self.log_ratio + half, 700.0))


def change(first: Rates, second: Rates) -> Change:
    """Compare two rates of the same cells, row by row (P pairs)."""
    grouping = first.grouping

    def total(values: Floats) -> Floats:
        summed: Floats = np.add.reduceat(values, grouping.starts, axis=-1)
        return summed

    u, w = first.influence, second.influence
    group = grouping.cell_group
    known = np.isfinite(first.se_log) & np.isfinite(second.se_log)
    with np.errstate(all="ignore"):
        ratio = np.where((first.errors > 0) & (second.errors > 0), first.rate / second.rate, np.nan)
        middle, apart = (u + w) / 2.0, u - w
        level_variance, ratio_variance = total(middle**2), total(apart**2)
        df = np.fmin(first.df, second.df)
        linear = first.rate[:, group] * u - second.rate[:, group] * w
        variance = np.where(known, level_variance, np.nan)
        level = Estimate(
            rate=np.sqrt(first.rate * second.rate),
            errors=(first.errors + second.errors).astype(np.float64),
            words=(first.words + second.words) / 2.0,
            variance=variance,
            df=df,
            effective=np.fmin(first.effective, second.effective),
            stretch=skew_stretch(variance, first.unevenness, df),
        )
        return Change(
            difference=first.rate - second.rate,
            log_ratio=np.log(ratio),
            se_difference=np.sqrt(total(linear**2)),
            se_log=np.where(known, np.sqrt(ratio_variance), np.nan),
            df=df,
            level=level,
            correlation=np.nan_to_num(total(middle * apart) / np.sqrt(level_variance * ratio_variance)),
            first=first.estimate,
            second=second.estimate,
            errors=np.stack([first.cell_errors, second.cell_errors]),
            words=np.stack([first.cell_words, second.cell_words]),
        )


def paired_sums(frame: Frame, pairs: Sequence[tuple[int, int]]) -> Ints:
    """Errors, words and utterances of each atom, over the utterances that both runs of a pair have scored.

    Args:
        frame: The scores.
        pairs: Indices of two runs (engine × condition) each.

    Returns:
        Shape (3, 2, P, A): errors, words, utterances; first and second of the pair.
    """
    runs = len(frame.engines) * len(frame.conditions)
    flat = frame.counts.reshape(runs, *frame.counts.shape[2:])
    scored = frame.scored.reshape(runs, -1)
    status = frame.status.reshape(runs, -1)
    errors, words = frame.errors.reshape(runs, -1), frame.ref_words.reshape(runs, -1)
    atoms = scored.shape[1]
    sums = np.zeros((3, 2, len(pairs), atoms), dtype=np.int64)
    for place, pair in enumerate(pairs):
        both = (status[pair[0]] == SCORED) & (status[pair[1]] == SCORED)
        count = int(both.sum())
        rows = np.flatnonzero(both)
        for side, run in enumerate(pair):
            if count == int(scored[run].sum()):
                sums[0, side, place] = flat[run][:, WORD_ERRORS].sum(axis=1)
                sums[1, side, place] = flat[run][:, WORDS].sum(axis=1)
                sums[2, side, place] = scored[run]
                continue
            cell = frame.atom[rows]
            for quantity, values in ((0, errors[run]), (1, words[run])):
                sums[quantity, side, place] = np.rint(np.bincount(cell, weights=values[rows], minlength=atoms))
            sums[2, side, place] = np.bincount(cell, minlength=atoms)
    return sums


def paired_change(grouping: Grouping, sums: Ints) -> Change:
    """Compare the two sides of :func:`paired_sums` in every group."""
    first, second = (
        rates_of_cells(grouping, *(grouping.cells(sums[quantity, side]) for quantity in range(3))) for side in (0, 1)
    )
    return change(first, second)
