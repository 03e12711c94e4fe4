"""Intervals for the worst group and the gap that take into account that the data chose the groups.

The true worst rate is max_g W_g over the true rates, whichever group that is. An upper bound needs no correction: the
bound of the truly worst group holds with its own confidence, and the largest of all upper bounds is at least as high.
A lower bound does: every group's lower bound must hold at once, so it is the largest *simultaneous* lower bound
(union–intersection; Hsu 1996, ch. 4). The gap is the same argument over all ordered pairs of groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.disparity.bootstrap import Draws, percentile_interval
from asrfair.disparity.contrasts import difference_bounds, ratio_bounds
from asrfair.disparity.estimates import Estimate, limits, shift_of, t_quantile
from asrfair.disparity.frame import Floats
from asrfair.disparity.gaps import extremes
from asrfair.disparity.intervals import Rates

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
    for run in range(runs):
        use = np.flatnonzero(compared[run])
        groups = rates.estimate.map(lambda value, run=run, use=use: value[run, use])  # type: ignore[misc]
        if len(use) == 0 or not groups.known.all():
            continue
        each = 1.0 - (1.0 - tail) ** (1.0 / len(use))
        bounds[0, :, run] = limits(groups, each)[0].max(), limits(groups, tail)[1].max()
        bounds[3, :, run] = mean_interval(groups, tail)
        if len(use) > 1:
            correlation = correlations(rates, run)[np.ix_(use, use)] if rates.grouping.spans else None
            bounds[1, :, run], bounds[2, :, run] = _pairs(groups, tail, correlation, rng, draws)
    worst, gap, ratio, macro = ((pair[0], pair[1]) for pair in bounds)
    return ExtremeIntervals(worst=worst, gap=gap, ratio=ratio, macro=macro)


def mean_interval(groups: Estimate, tail: float) -> tuple[float, float]:
    """Bounds of the mean of independent group rates (macro), on the log scale, shifted like those of a rate."""

    def satterthwaite(parts: Floats) -> float:
        return float(parts.sum() ** 2 / (parts**2 / groups.df).sum())

    parts = groups.rate**2 * groups.variance
    total = float(groups.rate.sum())
    if total == 0:
        return math.nan, math.nan
    df = min(satterthwaite(parts), satterthwaite(groups.rate**2 / groups.effective))
    variance = float(parts.sum()) / total**2
    half = float(t_quantile(1.0 - tail, np.array(df))) * math.sqrt(variance)
    shift = float(shift_of(np.array(variance)))
    mean = float(groups.rate.mean())
    return mean * math.exp(min(shift - half, 0.0)), mean * math.exp(min(shift + half, 700.0))


def correlations(rates: Rates, run: int) -> Floats:
    """Correlation of the log rates of all groups of a run, shape (G, G): not 0 where groups share speakers."""
    grouping = rates.grouping
    speakers, column = np.unique(grouping.cell_speaker, return_inverse=True)
    spread = np.zeros((len(grouping.names), len(speakers)))
    spread[grouping.cell_group, column] = rates.influence[run]
    with np.errstate(all="ignore"):
        spread /= np.sqrt((spread**2).sum(axis=1, keepdims=True))
    spread = np.nan_to_num(spread)
    matrix: Floats = np.clip(spread @ spread.T, -1.0, 1.0)
    return matrix


def _pairs(
    groups: Estimate, tail: float, correlation: Floats | None, rng: np.random.Generator, draws: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Bounds of the gap and of the ratio over all ordered pairs (first worse than second)."""
    first = groups.map(lambda value: value[:, None])
    second = groups.map(lambda value: value[None, :])
    between: Floats | float = 0.0 if correlation is None else correlation
    size = len(groups.rate)
    off = ~np.eye(size, dtype=bool)
    critical = np.full((size, size), largest_difference(groups, correlation, 1.0 - tail, rng, draws))
    highest = difference_bounds(first, second, tail, between)[1][off].max()
    lowest = difference_bounds(first, second, tail, between, critical)[0][off].max()
    ratio_high = ratio_bounds(first, second, tail, between)[1][off]
    ratio_low = ratio_bounds(first, second, tail, between, critical)[0][off]
    if not np.isfinite(ratio_high).all():
        return (max(float(lowest), 0.0), float(highest)), (math.nan, math.nan)
    return (max(float(lowest), 0.0), float(highest)), (max(float(ratio_low.max()), 1.0), float(ratio_high.max()))


def largest_difference(
    groups: Estimate, correlation: Floats | None, p: float, rng: np.random.Generator, draws: int
) -> float:
    """Quantile of the largest studentised difference of log rates between any two of several groups of equal truth.

    The studentised range of Tukey for groups of unequal spread and size: estimates and variance estimates are drawn.
    Groups without errors have no log rate and take no part.
    """
    use = groups.variance > 0
    se, df = np.sqrt(groups.variance[use]), groups.df[use]
    if len(se) < 2:
        return float(t_quantile(p, np.array(groups.df.min())))
    value = rng.standard_normal((draws, len(se)))
    if correlation is not None:
        values, vectors = np.linalg.eigh(correlation[np.ix_(use, use)])
        value = value @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    value *= se
    spread = se * np.sqrt(rng.chisquare(df, (draws, len(se))) / df)
    largest = np.zeros(draws)
    for one in range(len(se) - 1):
        variance = spread[:, one, None] ** 2 + spread[:, one + 1 :] ** 2
        if correlation is not None:
            shared = correlation[np.ix_(use, use)][one, one + 1 :]
            variance = np.maximum(variance - 2.0 * shared * spread[:, one, None] * spread[:, one + 1 :], 1e-300)
        distance = np.abs(value[:, one, None] - value[:, one + 1 :]) / np.sqrt(variance)
        np.maximum(largest, distance.max(axis=1), out=largest)
    return float(np.quantile(largest, p))
