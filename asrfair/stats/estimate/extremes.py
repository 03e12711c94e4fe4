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
from asrfair.stats.estimate.gaps import extremes
from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.normal_scores import normal_score, t_of_score
from asrfair.stats.estimate.rate_interval import Estimate, joint_df, limits, shift_of, t_quantile
from asrfair.stats.frame import Floats, Ints

Pair = tuple[Floats, Floats]
_DRAWN_NUMBERS = 2_000_000


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
    rates: Rates, compared: npt.NDArray[np.bool_], level: float, rng: np.random.Generator, *, draws: int = 4000
) -> ExtremeIntervals:
    """Intervals from the jackknife's standard errors, holding for whichever groups are truly best and worst.

    Args:
        rates: Group rates.
        compared: Groups that are compared, shape (R, G).
        level: Two-sided confidence.
        rng: For the critical values of the largest difference.
        draws: Draws of it.
    """
    runs = rates.rate.shape[0]
    bounds = np.full((4, 2, runs), np.nan)
    tail = (1.0 - level) / 2
    patterns, kind = np.unique(compared, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        use = np.flatnonzero(pattern)
        some = np.flatnonzero(kind.ravel() == number)
        if len(use):
            some = some[np.isfinite(rates.se_log[np.ix_(some, use)]).all(axis=1)]
        if len(use) == 0 or len(some) == 0:
            continue
        groups = rates.estimate.map(lambda value, some=some, use=use: value[np.ix_(some, use)])  # type: ignore[misc]
        each = 1.0 - (1.0 - tail) ** (1.0 / len(use))
        bounds[0, :, some] = np.stack(
            [limits(groups, each)[0].max(axis=1), limits(groups, tail)[1].max(axis=1)], axis=1
        )
        correlation = None
        if rates.related:
            correlation = np.stack([correlations(rates, int(run))[np.ix_(use, use)] for run in some])
        people = None
        if rates.grouping.spans:
            people = np.stack([people_df(rates, int(run), use) for run in some])
        bounds[3, :, some] = np.stack(mean_interval(groups, tail, correlation, people), axis=1)
        if len(use) > 1:
            pairs = _pairs(groups, tail, correlation, rng, draws)
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


def correlations(rates: Rates, run: int) -> Floats:
    """Correlation of the log rates of all groups of a run, shape (G, G): not 0 where they share speakers or sentences.

    What two groups' sentences have in common is at most what they vary by, so that a difference never varies less than
    it does over speakers.
    """
    grouping = rates.grouping
    speakers, column = np.unique(grouping.cell_speaker, return_inverse=True)
    spread = np.zeros((len(grouping.names), len(speakers)))
    spread[grouping.cell_group, column] = rates.influence[run]
    items = rates.items
    with np.errstate(all="ignore"):
        if items is None:
            spread /= np.sqrt((spread**2).sum(axis=1, keepdims=True))
            spread = np.nan_to_num(spread)
            matrix: Floats = np.clip(spread @ spread.T, -1.0, 1.0)
            return matrix
        own = items.variance[run]
        most = (own[:, None] + own[None, :]) / 2
        covariance = spread @ spread.T + np.clip(items.between(run), -most, most)
        size = np.sqrt((spread**2).sum(axis=1) + own)
        matrix = np.clip(np.nan_to_num(covariance / (size[:, None] * size[None, :])), -1.0, 1.0)
    np.fill_diagonal(matrix, np.where(size > 0, 1.0, 0.0))
    return matrix


def _pairs(
    groups: Estimate, tail: float, correlation: Floats | None, rng: np.random.Generator, draws: int
) -> tuple[Pair, Pair]:
    """Bounds of the gap and of the ratio over all ordered pairs (first worse than second); each of shape (R,)."""
    first = groups.map(lambda value: value[:, :, None])
    second = groups.map(lambda value: value[:, None, :])
    between: Floats | float = 0.0 if correlation is None else correlation
    size = groups.rate.shape[1]
    same = np.eye(size, dtype=bool)
    everywhere = largest_difference(groups, correlation, 1.0 - 2 * tail, rng, draws)

    def largest(values: Floats) -> Floats:
        found: Floats = np.where(same, -np.inf, values).max(axis=(1, 2))
        return found

    highest = largest(difference_bounds(first, second, tail, between)[1])
    lowest = largest(difference_bounds(first, second, tail, between, everywhere)[0])
    ratio_high = largest(ratio_bounds(first, second, tail, between)[1])
    ratio_low = largest(ratio_bounds(first, second, tail, between, everywhere)[0])
    return (np.maximum(lowest, 0.0), highest), (np.maximum(ratio_low, 1.0), ratio_high)


def largest_difference(
    groups: Estimate, correlation: Floats | None, p: float, rng: np.random.Generator, draws: int
) -> Floats:
    """Critical values at which the differences of log rates of all pairs of several groups hold at once.

    The studentised range of Tukey for groups of unequal spread and size: estimates and variance estimates are drawn.
    Each pair's Student t is read as a normal score at the pair's own degrees of freedom (Wallace 1959) before the
    largest is taken, and the quantile is read back the same way: one small group then widens its own comparisons, not
    those of all others. Groups without errors have no log rate and take no part.

    Args:
        groups: Rates of shape (R, G).
        correlation: Of their logarithms, shape (R, G, G); ``None`` for groups of different speakers.
        p: Probability.
        rng: Source of chance.
        draws: Number of draws.

    Returns:
        Critical values of Student's t for every pair, shape (R, G, G).
    """
    runs, size = groups.rate.shape
    quantile = np.empty(runs)
    first, second = (groups.map(lambda value, axis=axis: np.expand_dims(value, axis)) for axis in (2, 1))  # type: ignore[misc]
    freedom = contrast(first, second).df_ratio
    step = max(1, _DRAWN_NUMBERS // (draws * size))
    for start in range(0, runs, step):
        part = slice(start, min(start + step, runs))
        se, df = np.sqrt(groups.variance[part]), groups.df[part]
        shape = (draws, *se.shape)
        value = rng.standard_normal(shape)
        if correlation is not None:
            values, vectors = np.linalg.eigh(correlation[part])
            root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
            value = np.einsum("drg,rhg->drh", value, root)
        value *= se
        spread = (se * np.sqrt(rng.chisquare(df, shape) / df)) ** 2
        largest = np.zeros(shape[:2])
        for one in range(size - 1):
            variance = spread[:, :, one, None] + spread[:, :, one + 1 :]
            if correlation is not None:
                shared = correlation[part][:, one, one + 1 :]
                variance -= 2.0 * shared * np.sqrt(spread[:, :, one, None] * spread[:, :, one + 1 :])
            taking_part = (se[:, one, None] > 0) & (se[:, one + 1 :] > 0)
            with np.errstate(all="ignore"):
                t = np.abs(value[:, :, one, None] - value[:, :, one + 1 :]) / np.sqrt(np.maximum(variance, 1e-300))
                score = normal_score(t, freedom[part, one, one + 1 :])
            np.maximum(largest, np.where(taking_part, score, 0.0).max(axis=-1), out=largest)
        quantile[part] = np.quantile(largest, p, axis=0)
    critical = t_of_score(quantile[:, None, None], freedom)
    return np.where(quantile[:, None, None] > 0, critical, t_quantile(p, freedom))
