"""Intervals for the worst group and the gap that take into account that the data chose the groups.

The true worst rate is max_g W_g over the true rates, whichever group that is. An upper bound needs no correction: the
bound of the truly worst group holds with its own confidence, and the largest of all upper bounds is at least as high.
A lower bound does: every group's lower bound must hold at once, so it is the largest *simultaneous* lower bound
(union–intersection; Hsu 1996, ch. 4). The gap is the same argument over all ordered pairs of groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.stats.estimate.bootstrap import Draws, percentile_interval
from asrfair.stats.estimate.contrasts import contrast, difference_bounds, ratio_bounds
from asrfair.stats.estimate.correlations import correlation_of
from asrfair.stats.estimate.gaps import extremes
from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.largest_difference import LargestDifference, critical_of_pairs, patterns
from asrfair.stats.estimate.normal_scores import t_of_score
from asrfair.stats.estimate.rate_interval import Estimate, joint_df, limits, shift_of, t_quantile
from asrfair.stats.frame import Floats, Ints

Pair = tuple[Floats, Floats]


@dataclass(frozen=True, kw_only=True)
class ExtremeIntervals:
    """Lower and upper bounds of every run, each of shape (R,); NaN where there is none."""

    worst: Pair
    gap: Pair
    ratio: Pair
    macro: Pair


def percentile_extremes(draws: Draws, compared: npt.NDArray[np.bool_], level: float) -> ExtremeIntervals:
    """Percentile intervals, best and worst found anew within each draw: the definition of published audits.

    It ignores that the maximum of noisy rates lies above the largest true one; kept for comparison with others.
    """
    count, runs, groups = draws.rate.shape
    found = extremes(
        draws.rate.reshape(-1, groups), np.tile(compared, (count, 1)) & (draws.words.reshape(-1, groups) > 0)
    )

    def interval(values: Floats) -> Pair:
        return percentile_interval(values.reshape(count, runs), level)

    return ExtremeIntervals(
        worst=interval(found.worst_rate),
        gap=interval(found.gap),
        ratio=interval(found.ratio),
        macro=interval(found.macro),
    )


def jackknife_extremes(
    rates: Rates, compared: npt.NDArray[np.bool_], level: float, largest: LargestDifference
) -> ExtremeIntervals:
    """Intervals from the jackknife's standard errors, holding for whichever groups are truly best and worst.

    Args:
        rates: Group rates.
        compared: Groups that are compared, shape (R, G).
        level: Two-sided confidence.
        largest: The largest difference of any two of them under chance.
    """
    runs = rates.rate.shape[0]
    bounds = np.full((4, 2, runs), np.nan)
    tail = (1.0 - level) / 2
    critical = largest.critical(1.0 - level)
    for use, some in patterns(rates, compared):
        groups = rates.estimate.map(lambda value, some=some, use=use: value[np.ix_(some, use)])  # type: ignore[misc]
        each = 1.0 - (1.0 - tail) ** (1.0 / len(use))
        bounds[0, :, some] = np.stack(
            [limits(groups, each)[0].max(axis=1), limits(groups, tail)[1].max(axis=1)], axis=1
        )
        correlation = correlation_of(rates, some, use)
        people = None
        if rates.grouping.spans:
            people = np.stack([people_df(rates, int(run), use) for run in some])
        bounds[3, :, some] = np.stack(mean_interval(groups, tail, correlation, people), axis=1)
        if len(use) > 1:
            pairs = _pairs(groups, tail, correlation, critical[some])
            bounds[1, :, some], bounds[2, :, some] = (np.stack(pair, axis=1) for pair in pairs)
    worst, gap, ratio, macro = ((pair[0], pair[1]) for pair in bounds)
    return ExtremeIntervals(worst=worst, gap=gap, ratio=ratio, macro=macro)


def mean_interval(
    groups: Estimate, tail: float, correlation: Floats | None = None, people: Floats | None = None
) -> Pair:
    """Bounds of the mean of group rates (macro), on the log scale, shifted like those of a rate.

    Args:
        groups: Rates of shape (R, G); the mean is over G.
        tail: One-sided error probability.
        correlation: Of their logarithms, shape (R, G, G); ``None`` for groups that share neither speakers nor
            sentences.
        people: Degrees of freedom of all their speakers together, shape (R,), where speakers stand in several groups.
    """

    def satterthwaite(parts: Floats, df: Floats) -> Floats:
        freedom: Floats = parts.sum(axis=1) ** 2 / (parts**2 / df).sum(axis=1)
        return freedom

    with np.errstate(all="ignore"):
        parts = groups.rate**2 * groups.variance
        total = groups.rate.sum(axis=1)
        shared = np.zeros(len(total))
        if correlation is not None:
            spread = groups.rate * np.sqrt(groups.variance)
            every = np.einsum("rg,rgh,rh->r", spread, np.nan_to_num(correlation), spread)
            shared = np.maximum(every, 0.0) - np.einsum("rg,rgg->r", parts, np.nan_to_num(correlation))
        own = groups.rate**2 * (groups.variance - groups.item_variance)
        df = np.fmin(
            satterthwaite(own, groups.speaker_df), satterthwaite(groups.rate**2 / groups.effective, groups.speaker_df)
        )
        if people is not None:
            df = np.fmin(df, people)
        items = parts - own
        if (items > 0).any():
            item_df = np.where(items > 0, groups.item_df, np.inf).min(axis=1)
            df = joint_df(own.sum(axis=1), df, np.maximum(items.sum(axis=1) + shared, 0.0), item_df)
        variance = np.maximum(parts.sum(axis=1) + shared, 0.0) / total**2
        half = t_quantile(1.0 - tail, df) * np.sqrt(variance)
        shift = shift_of(variance)
        mean = groups.rate.mean(axis=1)
        return mean * np.exp(np.minimum(shift - half, 0.0)), mean * np.exp(np.minimum(shift + half, 700.0))


def people_df(rates: Rates, run: int, use: Ints) -> float:
    """Degrees of freedom of several groups' speakers together, each counted once: Kish's effective number less one.

    It is lowered as those of the groups are for speakers of unequal length (:mod:`.group_rates`).

    Args:
        rates: The rates.
        run: The row.
        use: The groups.
    """
    grouping = rates.grouping
    group = grouping.cell_group
    with np.errstate(all="ignore"):
        share = rates.cell_words[run] / rates.words[run][group] * rates.rate[run][group]
        weight = np.bincount(grouping.cell_speaker, weights=np.where(np.isin(group, use), np.nan_to_num(share), 0.0))
        kish = weight.sum() ** 2 / (weight**2).sum() - 1.0
        lowered = np.nanmean(rates.speaker_df[run, use] / (rates.effective[run, use] - 1.0))
    return float(max(kish * min(lowered, 1.0), 1.0))


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """All ordered pairs of the groups of some runs (first less second), a shape of (R, G, G)."""

    groups: Estimate
    correlation: Floats | None

    @property
    def _sides(self) -> tuple[Estimate, Estimate, Floats | float]:
        first = self.groups.map(lambda value: value[:, :, None])
        second = self.groups.map(lambda value: value[:, None, :])
        return first, second, 0.0 if self.correlation is None else self.correlation

    def _largest(self, values: Floats) -> Floats:
        same = np.eye(values.shape[-1], dtype=bool)
        found: Floats = np.where(same, -np.inf, values).max(axis=(1, 2))
        return found

    def lowest(self, score: Floats, tail: float) -> Floats:
        """Largest lower bound of a difference where all hold at once up to this normal score; shape (R,)."""
        first, second, between = self._sides
        critical = critical_of_pairs(self.groups, score, 1.0 - 2 * tail)
        return self._largest(difference_bounds(first, second, tail, between, critical)[0])

    def one_by_one(self) -> _EachPair:
        """The pairs of a single run in a row, those alone of which the first has the higher rate."""
        first, second, between = self._sides
        freedom = contrast(first, second).df_ratio
        chosen = np.nonzero(first.rate > second.rate)
        first, second = (
            side.map(lambda value: np.broadcast_to(value, freedom.shape)[chosen]) for side in (first, second)
        )
        between = np.broadcast_to(between, freedom.shape)[chosen]
        return _EachPair(first=first, second=second, between=between, freedom=freedom[chosen])

    def highest(self, tail: float) -> Floats:
        """Largest upper bound of a difference, each by itself."""
        first, second, between = self._sides
        return self._largest(difference_bounds(first, second, tail, between)[1])

    def ratio(self, score: Floats, tail: float) -> Pair:
        """The same two bounds of a ratio."""
        first, second, between = self._sides
        critical = critical_of_pairs(self.groups, score, 1.0 - 2 * tail)
        low = self._largest(ratio_bounds(first, second, tail, between, critical)[0])
        return low, self._largest(ratio_bounds(first, second, tail, between)[1])


@dataclass(frozen=True, kw_only=True)
class _EachPair:
    """Pairs of groups in a row, each of shape (P,); ``freedom`` is that of the log ratio."""

    first: Estimate
    second: Estimate
    between: Floats
    freedom: Floats

    def where(self, chosen: npt.NDArray[np.bool_]) -> _EachPair:
        """Some of the pairs."""
        return _EachPair(
            first=self.first.map(lambda value: value[chosen]),
            second=self.second.map(lambda value: value[chosen]),
            between=self.between[chosen],
            freedom=self.freedom[chosen],
        )

    def lower(self, score: float, tail: float) -> Floats:
        """Lower bounds of the differences at a normal score."""
        return difference_bounds(self.first, self.second, tail, self.between, t_of_score(score, self.freedom))[0]


def _pairs(groups: Estimate, tail: float, correlation: Floats | None, score: Floats) -> tuple[Pair, Pair]:
    """Bounds of the gap and of the ratio over all ordered pairs (first worse than second); each of shape (R,)."""
    pairs = _Pairs(groups=groups, correlation=correlation)
    ratio_low, ratio_high = pairs.ratio(score, tail)
    return (np.maximum(pairs.lowest(score, tail), 0.0), pairs.highest(tail)), (np.maximum(ratio_low, 1.0), ratio_high)


@dataclass(frozen=True, kw_only=True)
class GapTest:
    """Whether any two groups of a run differ, by the pair that differs most clearly: p-values, and the bounds they decide.

    Attributes:
        rates: Group rates.
        compared: Groups that are compared, shape (R, G).
        largest: The largest difference under chance.
    """

    rates: Rates
    compared: npt.NDArray[np.bool_]
    largest: LargestDifference

    def _pairs(self, run: int) -> _Pairs:
        rows, use = np.array([run]), np.flatnonzero(self.compared[run])
        groups = self.rates.estimate.map(lambda value: value[np.ix_(rows, use)])
        return _Pairs(groups=groups, correlation=correlation_of(self.rates, rows, use))

    def p(self, run: int) -> float:
        """The smallest error at which the lower bound of the gap is above 0; NaN where there is no interval."""
        if np.isnan(self.largest.draws[run, 0]):
            return float("nan")
        pairs = self._pairs(run).one_by_one()
        low, high = 0.0, 60.0
        for _ in range(40):
            score = (low + high) / 2.0
            above = pairs.lower(score, max(self.largest.p(run, score) / 2.0, 1e-300)) > 0
            if above.any():
                low, pairs = score, pairs.where(above)  # the others are not above 0 at a larger score either
            else:
                high = score
        return self.largest.p(run, low) if low > 0 else 1.0

    def bounds(self, run: int, error: float) -> tuple[float, float]:
        """Bounds of the gap at a two-sided error; the lower one is above 0 where :meth:`p` is below it."""
        if np.isnan(self.largest.draws[run, 0]):
            return float("nan"), float("nan")
        pairs = self._pairs(run)
        low = pairs.lowest(self.largest.critical(error)[[run]], error / 2)[0]
        return max(float(low), 0.0), float(pairs.highest(error / 2)[0])
