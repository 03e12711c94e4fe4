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

from asrfair.disparity.bootstrap import Draws, percentile_interval
from asrfair.disparity.frame import Floats
from asrfair.disparity.gaps import extremes
from asrfair.disparity.intervals import Rates, t_quantile

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
        rng: For the critical values of the maxima.
        draws: Draws of the studentised maxima.
    """
    runs = rates.rate.shape[0]
    bounds = np.full((4, 2, runs), np.nan)
    for run in range(runs):
        use = np.flatnonzero(compared[run] & np.isfinite(rates.se_log[run]))
        if len(use) < compared[run].sum() or len(use) == 0:
            continue
        rate, se, df = rates.rate[run, use], rates.se_log[run, use], rates.df[run, use]
        bounds[3, :, run] = _macro(rate, se, df, level)
        tail = (1.0 - level) / 2
        upper = t_quantile(1.0 - tail, df)
        lower = t_quantile((1.0 - tail) ** (1.0 / len(use)), df)
        bounds[0, :, run] = (rate * np.exp(-lower * se)).max(), (rate * np.exp(upper * se)).max()
        if len(use) > 1:
            bounds[1, :, run], bounds[2, :, run] = _pairs(rate, se, df, tail, rng, draws)
    worst, gap, ratio, macro = ((pair[0], pair[1]) for pair in bounds)
    return ExtremeIntervals(worst=worst, gap=gap, ratio=ratio, macro=macro)


def _macro(rate: Floats, se: Floats, df: Floats, level: float) -> tuple[float, float]:
    parts = (rate * se) ** 2
    variance = parts.sum()
    freedom = variance**2 / (parts**2 / df).sum()
    half = float(t_quantile(0.5 + level / 2, np.array(freedom)) * np.sqrt(variance) / rate.sum())
    mean = float(rate.mean())
    return mean * np.exp(-half), mean * np.exp(half)


def _pairs(
    rate: Floats, se: Floats, df: Floats, tail: float, rng: np.random.Generator, draws: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Bounds of the gap and of the ratio over all ordered pairs (g worse than h)."""
    variance = se[:, None] ** 2 + se[None, :] ** 2
    freedom = variance**2 / (se[:, None] ** 4 / df[:, None] + se[None, :] ** 4 / df[None, :])
    upper = t_quantile(1.0 - tail, freedom)
    lower = _range_quantile(se, df, 1.0 - tail, rng, draws)
    difference = rate[:, None] - rate[None, :]
    rise = rate[:, None] * np.expm1(upper * se[:, None])
    fall = rate[None, :] * -np.expm1(-upper * se[None, :])
    highest = (difference + np.sqrt(rise**2 + fall**2)).max()
    fall = rate[:, None] * -np.expm1(-lower * se[:, None])
    rise = rate[None, :] * np.expm1(lower * se[None, :])
    lowest = max((difference - np.sqrt(rise**2 + fall**2)).max(), 0.0)
    log_ratio = np.log(rate)[:, None] - np.log(rate)[None, :]
    off = ~np.eye(len(rate), dtype=bool)
    ratio_high = np.exp((log_ratio + upper * np.sqrt(variance))[off].max())
    ratio_low = np.exp(max((log_ratio - lower * np.sqrt(variance)).max(), 0.0))
    return (float(lowest), float(highest)), (float(ratio_low), float(ratio_high))


def _range_quantile(se: Floats, df: Floats, p: float, rng: np.random.Generator, draws: int) -> float:
    """Quantile of the largest studentised difference between any two of several independent groups of equal truth."""
    value = rng.standard_normal((draws, len(se))) * se
    variance = se**2 * rng.chisquare(df, (draws, len(se))) / df
    largest = np.zeros(draws)
    for g in range(len(se) - 1):
        distance = np.abs(value[:, g, None] - value[:, g + 1 :]) / np.sqrt(variance[:, g, None] + variance[:, g + 1 :])
        np.maximum(largest, distance.max(axis=1), out=largest)
    return float(np.quantile(largest, p))
