"""Two rates compared: the difference and the ratio, independent or paired, with intervals built from those of each.

The method of variance estimates recovery (Zou & Donner 2008; for correlated estimates Zou 2007) takes the distance from
each estimate to its bound, which is long upwards and short downwards, instead of one symmetric standard error:

    low  = d − √((p₁ − l₁)² + (u₂ − p₂)² − 2ρ (p₁ − l₁)(u₂ − p₂))
    high = d + √((u₁ − p₁)² + (p₂ − l₂)² − 2ρ (u₁ − p₁)(p₂ − l₂))

on the scale of rates for differences, of their logarithms for ratios. The bounds of both rates are taken at the degrees
of freedom of the comparison (Welch 1947; Satterthwaite 1946). Those of the formula are too many where the group of few
speakers happens to look calm, since its variance then counts too little; so they are computed twice, with the variances
as estimated and as in proportion to 1 / effective speakers, and the smaller is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from asrfair.stats.estimate.rate_interval import Estimate, limits_at, t_quantile
from asrfair.stats.frame import Floats


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """First minus second and first over second; arrays of one shape, NaN where there is no figure or no interval.

    ``statistic`` is the log ratio over its standard error, ``df_difference`` and ``df_ratio`` its degrees of freedom on
    the scale of rates and of logarithms, ``se_log`` the standard error of the log ratio.
    """

    difference: Floats
    ratio: Floats
    se_log: Floats
    df_difference: Floats
    df_ratio: Floats

    @property
    def statistic(self) -> Floats:
        """Log ratio in standard errors."""
        with np.errstate(all="ignore"):
            return np.log(self.ratio) / self.se_log

    @property
    def p(self) -> Floats:
        """Two-sided p-value of Student's t for a ratio of 1."""
        value: Floats = 2.0 * special.stdtr(self.df_ratio, -np.abs(self.statistic))
        return value


def contrast(first: Estimate, second: Estimate, correlation: Floats | float = 0.0) -> Contrast:
    """Compare two rates.

    Args:
        first: Rates of any shape.
        second: Rates of a shape that broadcasts with it.
        correlation: Of the two log rates; 0 for groups of different speakers.
    """
    with np.errstate(all="ignore"):
        variance = first.variance + second.variance
        paired = 2.0 * correlation * np.sqrt(first.variance * second.variance)
        return Contrast(
            difference=first.rate - second.rate,
            ratio=np.where((first.rate > 0) & (second.rate > 0), first.rate / second.rate, np.nan),
            se_log=np.sqrt(np.maximum(variance - paired, 0.0)),
            df_difference=_freedom(first, second, first.rate**2, second.rate**2),
            df_ratio=_freedom(first, second, 1.0, 1.0),
        )


def difference_bounds(
    first: Estimate, second: Estimate, tail: float, correlation: Floats | float = 0.0, critical: Floats | None = None
) -> tuple[Floats, Floats]:
    """Lower and upper bound of first − second, each missing with probability ``tail``.

    Args:
        first: Rates of any shape.
        second: Rates of a shape that broadcasts with it.
        tail: One-sided error probability.
        correlation: Of the two log rates.
        critical: Critical value in place of the quantile of t (of a maximum over many comparisons).
    """
    if critical is None:
        critical = t_quantile(1.0 - tail, _freedom(first, second, first.rate**2, second.rate**2))
    p1, l1, u1, p2, l2, u2 = _six(first, second, critical, tail)
    return recover(p1, l1, u1, p2, l2, u2, correlation)


def ratio_bounds(
    first: Estimate, second: Estimate, tail: float, correlation: Floats | float = 0.0, critical: Floats | None = None
) -> tuple[Floats, Floats]:
    """Like :func:`difference_bounds` for first / second; NaN where either has no errors."""
    if critical is None:
        critical = t_quantile(1.0 - tail, _freedom(first, second, 1.0, 1.0))
    with np.errstate(all="ignore"):
        p1, l1, u1, p2, l2, u2 = (np.log(value) for value in _six(first, second, critical, tail))
        low, high = recover(p1, l1, u1, p2, l2, u2, correlation)
        low, high = np.exp(low), np.exp(np.minimum(high, 700.0))
    usable = np.isfinite(p1) & np.isfinite(p2)
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def recover(
    p1: Floats, l1: Floats, u1: Floats, p2: Floats, l2: Floats, u2: Floats, correlation: Floats | float = 0.0
) -> tuple[Floats, Floats]:
    """Bounds of p₁ − p₂ from points and bounds of each (Zou & Donner 2008, Zou 2007)."""
    with np.errstate(all="ignore"):
        down1, up1, down2, up2 = p1 - l1, u1 - p1, p2 - l2, u2 - p2
        low = np.sqrt(np.maximum(down1**2 + up2**2 - 2.0 * correlation * down1 * up2, 0.0))
        high = np.sqrt(np.maximum(up1**2 + down2**2 - 2.0 * correlation * up1 * down2, 0.0))
        return p1 - p2 - low, p1 - p2 + high


def _six(first: Estimate, second: Estimate, critical: Floats, tail: float) -> tuple[Floats, ...]:
    shape = np.broadcast_shapes(first.rate.shape, second.rate.shape, np.shape(critical))
    tails = np.full(shape, tail)
    one = first.map(lambda value: np.broadcast_to(value, shape))
    two = second.map(lambda value: np.broadcast_to(value, shape))
    return (one.rate, *limits_at(one, critical, tails), two.rate, *limits_at(two, critical, tails))


def _freedom(first: Estimate, second: Estimate, weight1: Floats | float, weight2: Floats | float) -> Floats:
    """The smaller of Satterthwaite's degrees of freedom from estimated and from expected variances."""

    def satterthwaite(v1: Floats, v2: Floats) -> Floats:
        return (v1 + v2) ** 2 / (v1**2 / first.df + v2**2 / second.df)

    with np.errstate(all="ignore"):
        estimated = satterthwaite(weight1 * first.variance, weight2 * second.variance)
        expected = satterthwaite(weight1 / first.effective, weight2 / second.effective)
        either = np.fmin(estimated, expected)
    return np.where(np.isfinite(either), either, np.fmin(first.df, second.df))
