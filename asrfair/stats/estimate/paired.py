"""The same speakers twice: two engines, or two conditions, and how the rate changes between them.

The change of a rate is level × ratio (:mod:`asrfair.stats.estimate.contrasts`): most of what differs between speakers
cancels in the ratio. A symmetric interval around the difference instead misses up to 10 % above where the two rates
differ much (benchmarks/calibration.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from asrfair.stats.estimate.contrasts import bounds_of_product
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.rate_interval import Estimate, joint_df, limits, skew_stretch, t_quantile
from asrfair.stats.estimate.two_way import Readings, products_with
from asrfair.stats.frame import Floats, Frame, Ints
from asrfair.stats.groups import Grouping
from asrfair.types import SCORED


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
        sides: The two rates.
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
    sides: tuple[Rates, Rates]

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
            half = t_quantile(1.0 - tail, freedom) * self.se_log
            low, high = bounds_of_product(
                self.difference,
                self.log_ratio,
                self.level.rate,
                limits(self.level, tail, freedom),
                half,
                self.correlation,
            )
            apart = np.isfinite(self.log_ratio)
            first, second = limits(self.first, tail, freedom), limits(self.second, tail, freedom)
            low = np.where(
                apart, low, self.difference - np.hypot(self.first.rate - first[0], second[1] - self.second.rate)
            )
            high = np.where(
                apart, high, self.difference + np.hypot(first[1] - self.first.rate, self.second.rate - second[0])
            )
        return low, high

    @property
    def related(self) -> bool:
        """Whether the changes of groups can be correlated: by speakers in several groups or by shared sentences."""
        return self.sides[0].related

    def shared_with(self, reference: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Covariances of every group's log ratio, and of its difference, with those of a reference group.

        Args:
            reference: A group of each pair, shape (P,).

        Returns:
            Two arrays of shape (P, G).
        """
        first, second = self.sides
        grouping, rows = first.grouping, np.arange(len(reference))
        group, size = grouping.cell_group, len(grouping.names)
        ones = np.ones(self.difference.shape)
        found = np.zeros((2, *self.difference.shape))
        for number, (a, b) in enumerate(((ones, ones), (first.rate, second.rate))):
            with np.errstate(all="ignore"):
                own = a[:, group] * first.influence - b[:, group] * second.influence
            found[number] = products_with(reference, np.nan_to_num(own), group, grouping.cell_speaker, size)
            if first.items is not None and second.items is not None:
                of = first.items.readings.group
                x = np.nan_to_num(a[:, of] * first.items.x - b[:, of] * second.items.x)
                each = np.maximum(first.items.covariance(x, x), 0.0)
                most = (each + each[rows, reference][:, None]) / 2
                found[number] += np.clip(first.items.shared_with(reference, x), -most, most)
        return found[0], found[1]

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

    items = None if first.items is None or second.items is None else (first.items, second.items)
    u, w = first.influence, second.influence
    group = grouping.cell_group
    known = np.isfinite(first.se_log) & np.isfinite(second.se_log)
    with np.errstate(all="ignore"):
        ratio = np.where((first.errors > 0) & (second.errors > 0), first.rate / second.rate, np.nan)
        middle, apart = (u + w) / 2.0, u - w
        level_variance, ratio_variance = total(middle**2), total(apart**2)
        together = total(middle * apart)
        df = np.fmin(first.df, second.df)
        linear = first.rate[:, group] * u - second.rate[:, group] * w
        linear_variance = total(linear**2)
        item_level, item_df = np.zeros(first.rate.shape), np.full(first.rate.shape, np.inf)
        if items is not None:
            x, y = items[0].x, items[1].x
            of = items[0].readings.group
            item_level = np.maximum(items[0].covariance((x + y) / 2.0, (x + y) / 2.0), 0.0)
            item_ratio = np.maximum(items[0].covariance(x - y, x - y), 0.0)
            line = first.rate[:, of] * x - second.rate[:, of] * y
            item_df = np.fmin(items[0].df, items[1].df)
            most = np.sqrt(item_level * item_ratio)
            together = together + np.clip(items[0].covariance((x + y) / 2.0, x - y), -most, most)
            linear_variance = linear_variance + np.maximum(items[0].covariance(line, line), 0.0)
            own_df = np.fmin(first.speaker_df, second.speaker_df)
            df = np.fmin(
                joint_df(level_variance, own_df, item_level, item_df),
                joint_df(ratio_variance, own_df, item_ratio, item_df),
            )
            level_variance, ratio_variance = level_variance + item_level, ratio_variance + item_ratio
        variance = np.where(known, level_variance, np.nan)
        level = Estimate(
            rate=np.sqrt(first.rate * second.rate),
            errors=(first.errors + second.errors).astype(np.float64),
            words=(first.words + second.words) / 2.0,
            variance=variance,
            df=df,
            effective=np.fmin(first.effective, second.effective),
            stretch=skew_stretch(variance, first.unevenness, df),
            speaker_df=np.fmin(first.speaker_df, second.speaker_df),
            item_variance=item_level,
            item_df=item_df,
        )
        return Change(
            difference=first.rate - second.rate,
            log_ratio=np.log(ratio),
            se_difference=np.sqrt(linear_variance),
            se_log=np.where(known, np.sqrt(ratio_variance), np.nan),
            df=df,
            level=level,
            correlation=np.nan_to_num(together / np.sqrt(level_variance * ratio_variance)),
            first=first.estimate,
            second=second.estimate,
            errors=np.stack([first.cell_errors, second.cell_errors]),
            words=np.stack([first.cell_words, second.cell_words]),
            sides=(first, second),
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
    sums_of = frame.sums(*frame.metric.numerator), frame.sums(*frame.metric.denominator)
    scored = frame.scored.reshape(runs, -1)
    status = frame.status.reshape(runs, -1)
    errors, words = frame.numerator.reshape(runs, -1), frame.denominator.reshape(runs, -1)
    atoms = scored.shape[1]
    sums = np.zeros((3, 2, len(pairs), atoms), dtype=np.int64)
    for index, pair in enumerate(pairs):
        both = (status[pair[0]] == SCORED) & (status[pair[1]] == SCORED)
        count = int(both.sum())
        rows = np.flatnonzero(both)
        for side, run in enumerate(pair):
            if count == int(scored[run].sum()):
                sums[0, side, index] = sums_of[0][run]
                sums[1, side, index] = sums_of[1][run]
                sums[2, side, index] = scored[run]
                continue
            cell = frame.atom[rows]
            for quantity, values in ((0, errors[run]), (1, words[run])):
                sums[quantity, side, index] = np.rint(np.bincount(cell, weights=values[rows], minlength=atoms))
            sums[2, side, index] = np.bincount(cell, minlength=atoms)
    return sums


def paired_change(grouping: Grouping, sums: Ints, shared: tuple[Readings, Readings] | None = None) -> Change:
    """Compare the two sides of :func:`paired_sums` in every group.

    Args:
        grouping: The groups.
        sums: Of the pairs.
        shared: Readings of sentences that speakers share (:func:`asrfair.stats.estimate.two_way.paired_readings`).
    """
    first, second = (
        rates_of_cells(
            grouping,
            grouping.cells(sums[0, side]),
            grouping.cells(sums[1, side]),
            grouping.cells(sums[2, side]),
            None if shared is None else shared[side],
        )
        for side in (0, 1)
    )
    return change(first, second)
