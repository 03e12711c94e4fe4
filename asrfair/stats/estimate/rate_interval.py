"""A pooled rate and how far the truth may lie from it: the one place where an interval for a rate is made.

Starting from the jackknife over speakers on the log scale (:mod:`asrfair.stats.estimate.group_rates`), with v the variance of
log W, s = √v and t the quantile of Student's t, the bounds at tail probability p are

    low  = W exp(m − t s),             m = min(v, s/2)
    high = W exp(m + t s (1 + a z)),   a = max(0, ⅔ r − ½) s max(0, 1 − 3/df),   z the normal quantile

- The degrees of freedom are the geometric mean of Kish's effective number of speakers − 1 and of those of Bell &
  McCaffrey (2002), which also take into account how unevenly the speakers enter the variance estimate.
- The shift m takes out the bias of a logarithm and most of the effect of skewness: speakers' rates have a long upper
  tail, so a low estimate comes with a small standard error, and unshifted intervals miss above far more often than
  below. It is bounded so that the estimate stays inside the interval where a log scale hardly describes the data.
- The stretch a is the second-order term of Hall (1992) for rates whose skewness is twice their coefficient of
  variation (a gamma law; r = Σa³/(Σa²)² accounts for speakers of unequal length). It only moves the upper bound, and
  only where t is not already wide.

With fewer than 20 errors the interval is at least the exact one of Garwood (1936) for a Poisson count, the least
variance that rare errors have. Without errors there is no log scale: the lower bound is 0 and the upper one solves
(1 + W n / k)^−k = p for k effective speakers with n words in all, the chance of no error where speakers' rates are
exponentially distributed (coefficient of variation 1). The "rule of three" is its limit for many speakers.

benchmarks/calibration.py shows what this covers, beside the alternatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from asrfair.stats.frame import Floats

FEW_ERRORS = 20
"""Below this number of errors an interval is never narrower than that of a Poisson count."""

MIN_SPEAKERS = 3
MIN_EFFECTIVE = 2.0
"""Below either, no method that was tried holds its coverage at a width worth reading: there is no interval at all."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Pooled rates with what their intervals need; arrays of one shape.

    Attributes:
        rate: Errors / words.
        errors: Numerator.
        words: Denominator.
        variance: Variance of log rate over speakers; NaN where no interval can be given, 0 where there are no errors.
        df: Degrees of freedom of the variance.
        effective: Kish's effective number of speakers.
        stretch: The term a of the upper bound.
        speaker_df: Degrees of freedom of the part of the variance that is over speakers.
        item_variance: The part that shared sentences add; 0 where there are none.
        item_df: Its degrees of freedom, infinite where there are none.
    """

    rate: Floats
    errors: Floats
    words: Floats
    variance: Floats
    df: Floats
    effective: Floats
    stretch: Floats
    speaker_df: Floats
    item_variance: Floats
    item_df: Floats

    def map(self, change: Callable[[Floats], Floats]) -> Estimate:
        """Apply an indexing or reshaping to every array."""
        return replace(self, **{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def over_speakers(self) -> Estimate:
        """The same with the variance over speakers alone, as if the sentences they read were all there are."""
        return replace(
            self,
            variance=self.variance - self.item_variance,
            df=self.speaker_df,
            item_variance=np.zeros(self.rate.shape),
            item_df=np.full(self.rate.shape, np.inf),
        )

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where an interval can be given."""
        return np.isfinite(self.variance)


def limits(estimate: Estimate, tail: float | Floats, df: Floats | None = None) -> tuple[Floats, Floats]:
    """Lower and upper bound, each missing the truth with probability ``tail``; NaN where none can be given.

    Args:
        estimate: The rates.
        tail: One-sided error probability, a number or an array of the estimate's shape.
        df: Degrees of freedom to use in place of the estimate's own (those of a comparison).
    """
    p = np.broadcast_to(np.asarray(tail, dtype=np.float64), estimate.rate.shape)
    return limits_at(estimate, t_quantile(1.0 - p, estimate.df if df is None else df), p)


def limits_at(estimate: Estimate, critical: Floats, tail: Floats) -> tuple[Floats, Floats]:
    """Like :func:`limits` for a critical value that is not a quantile of t (that of a maximum), with its tail."""
    with np.errstate(all="ignore"):
        half = critical * np.sqrt(estimate.variance)
        shift = shift_of(estimate.variance)
        low = estimate.rate * np.exp(np.minimum(shift - half, 0.0))
        reach = np.maximum(shift + half * (1.0 + estimate.stretch * -special.ndtri(tail)), 0.0)
        high = estimate.rate * np.exp(np.minimum(reach, 700.0))
        few = np.broadcast_to(estimate.errors < FEW_ERRORS, np.shape(low))
        if few.any():  # exact bounds of many errors are slow to find, and not asked for
            low, high = np.array(low), np.array(high)
            errors, words, p = (np.broadcast_to(x, few.shape)[few] for x in (estimate.errors, estimate.words, tail))
            low[few] = np.minimum(low[few], special.gammaincinv(errors, p) / words)
            high[few] = np.maximum(high[few], special.gammaincinv(errors + 1.0, 1.0 - p) / words)
        none = estimate.errors == 0
        highest = estimate.effective * np.expm1(-np.log(tail) / estimate.effective) / estimate.words
        low = np.where(none, 0.0, low)
        high = np.where(none, highest, high)
    return np.where(estimate.known, low, np.nan), np.where(estimate.known, high, np.nan)


def shift_of(variance: Floats) -> Floats:
    """How far an interval's centre lies above the log rate: the variance, at most half a standard error."""
    return np.minimum(variance, np.sqrt(variance) / 2)


def interval(estimate: Estimate, level: float) -> tuple[Floats, Floats]:
    """Two-sided interval at a confidence level, each side missing with half of the rest."""
    return limits(estimate, (1.0 - level) / 2)


def t_quantile(p: float | Floats, df: Floats) -> Floats:
    """Quantile of Student's t for arrays of (fractional) degrees of freedom; NaN where they are not positive."""
    quantile: Floats = special.stdtrit(np.where(df > 0.0, df, np.nan), p)
    return quantile


def joint_df(speakers: Floats, speaker_df: Floats, items: Floats, item_df: Floats) -> Floats:
    """Degrees of freedom of a variance over speakers and one over sentences together (Satterthwaite 1946)."""
    with np.errstate(all="ignore"):
        joint = (speakers + items) ** 2 / (speakers**2 / speaker_df + items**2 / item_df)
    return np.where(items > 0, joint, speaker_df)


def skew_stretch(variance: Floats, unevenness: Floats, df: Floats) -> Floats:
    """The term a of the upper bound.

    Args:
        variance: Variance of log rate.
        unevenness: Σa³ / (Σa²)² of the speakers' shares a of the words; 1 where all are equal.
        df: Degrees of freedom.
    """
    with np.errstate(all="ignore"):
        size = np.maximum(2.0 / 3.0 * unevenness - 0.5, 0.0) * np.sqrt(variance) * np.maximum(1.0 - 3.0 / df, 0.0)
    return np.where(np.isfinite(size), size, 0.0)
