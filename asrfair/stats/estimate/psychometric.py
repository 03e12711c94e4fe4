"""At which level a group's word error rate reaches a value: a psychometric function, and intervals over speakers.

Audiology asks how loud speech must be for half of the words to be understood (the speech reception threshold). Here:
at which level of one parameter of a place (the SNR, say) the *pooled* WER of a group reaches a target. The rate is
described by a logistic with free ends (Treutwein and Strasburger 1999, Perception & Psychophysics 61),

    WER(x) = low + (high − low) / (1 + exp(k (x − m))),

fitted to the pooled counts of a few levels; levels whose rate lies near the target weigh most, since the curve is a
means to read the threshold and not a theory of recognisers. Weak prior knowledge (the high end near all words wrong, a
slope of some 20 dB from end to end) keeps the fit in place where few levels were heard.

Intervals are over speakers: the threshold is fitted again without each speaker (the jackknife), and Student's t with the
effective number of speakers gives the interval, as for rates (``rate_interval``). The same replicates take out the bias
of few speakers (Quenouille 1956): without that, thresholds of ten speakers lay 0.3 dB low. Groups of different speakers are
independent, so the variance of a difference is the sum of theirs (Welch and Satterthwaite's degrees of freedom).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

Floats: TypeAlias = npt.NDArray[np.float64]
Censored: TypeAlias = Literal["", "better", "worse", "clean", "reversed"]

_ITERATIONS = 60
_LOCAL = 0.35
WORTH = 25.0
"""Words that a speaker counts for beside what is known beforehand: levels share their speakers, so shapes are sure."""

_LEAST_WEIGHT = 0.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Fitted functions, one a replicate; every field has the shape (replicates,).

    Args:
        low: Rate at the best levels.
        high: Rate at the worst.
        middle: Level half-way between.
        slope: Steepness, for one unit of level.
    """

    low: Floats
    high: Floats
    middle: Floats
    slope: Floats

    def at(self, level: float | Floats) -> Floats:
        """Return the rate at levels, shape (replicates,) or broadcast with it."""
        return np.asarray(self.low + (self.high - self.low) / (1 + np.exp(self.slope * (level - self.middle))))

    def reaches(self, target: Floats) -> Floats:
        """Return the level at which the rate is ``target``; infinite where it never is (negative: always better)."""
        share = (target - self.low) / (self.high - self.low)
        with np.errstate(divide="ignore", invalid="ignore"):
            level = self.middle + np.log(1 / share - 1) / self.slope
        return np.where(share <= 0, np.inf, np.where(share >= 1, -np.inf, level))


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """Where a group's rate reaches the target. Levels are such that more is easier.

    Args:
        level: The threshold; NaN where it is censored.
        low: Interval; NaN where there is none.
        high: Interval.
        target: The rate that it is the threshold of.
        variance: Of ``level``, over speakers.
        df: Effective number of speakers less one.
        censored: ``better``: the rate is below the target at the worst level heard; ``worse``: it is above it at the
            best level heard; ``clean``: it is above it without any noise; ``reversed``: it is above it at the best level
            heard and below it at the worst, so that the parameter does not do what a threshold supposes; empty if it is
            reached.
        curve: The fitted function (one replicate).
    """

    level: float
    low: float
    high: float
    target: float
    variance: float
    df: float
    censored: Censored
    curve: Curve


def fit(levels: Floats, rates: Floats, weights: Floats, targets: Floats) -> Curve:
    """Fit a function to each row of rates, by damped Gauss–Newton steps on all rows at once.

    Args:
        levels: More is easier; plus infinity is the recording without the place. Shape (levels,).
        rates: Shape (replicates, levels).
        weights: Words behind each rate, relative to those of a speaker; the same shape.
        targets: Shape (replicates,): levels near them weigh most.
    """
    finite = levels[np.isfinite(levels)]
    span, centre = max(float(np.ptp(finite)), 1e-6), float((finite.max() + finite.min()) / 2)
    x = np.where(np.isfinite(levels), levels, finite.max() + 100 * span)
    near = _LEAST_WEIGHT + np.exp(-0.5 * ((rates - targets[:, None]) / _LOCAL) ** 2)
    w = weights * near
    count = len(rates)
    # Parameters: log low, log (high − low), middle, log slope. What is known beforehand, and how well.
    known = np.array([math.log(0.15), math.log(0.85), centre, math.log(14 / span)])
    spread = np.array([1.5, 0.25, span, 0.7])
    lowest = np.clip(rates.min(axis=1), 0.01, None)
    start = np.tile(known, (count, 1))
    start[:, 0] = np.log(lowest)
    half = (lowest + 1) / 2
    start[:, 2] = x[np.argmin(np.abs(rates - half[:, None]) + 1e3 * ~np.isfinite(levels), axis=1)]
    p, damping = start, np.full(count, 1e-2)
    residual, jacobian, cost = _residuals(p, x, rates, w, known, spread)
    for _ in range(_ITERATIONS):
        normal = np.einsum("rli,rlj->rij", jacobian, jacobian)
        gradient = np.einsum("rli,rl->ri", jacobian, residual)
        diagonal = np.einsum("rii->ri", normal)
        normal = normal + (damping[:, None] * diagonal)[:, :, None] * np.eye(4)
        step = np.linalg.solve(normal, gradient[:, :, None])[:, :, 0]
        trial = np.clip(p - step, known - 12 * spread, known + 12 * spread)
        new_residual, new_jacobian, new_cost = _residuals(trial, x, rates, w, known, spread)
        better = new_cost < cost
        p = np.where(better[:, None], trial, p)
        residual = np.where(better[:, None], new_residual, residual)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        cost = np.where(better, new_cost, cost)
        damping = np.clip(np.where(better, damping / 5, damping * 8), 1e-9, 1e9)
    low = np.exp(p[:, 0])
    return Curve(low=low, high=low + np.exp(p[:, 1]), middle=p[:, 2], slope=np.exp(p[:, 3]))


def _residuals(
    p: Floats, x: Floats, rates: Floats, w: Floats, known: Floats, spread: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return weighted residuals (replicates, levels + 4), their derivatives, and the sum of squares (replicates,)."""
    low, reach, slope = np.exp(p[:, 0])[:, None], np.exp(p[:, 1])[:, None], np.exp(p[:, 3])[:, None]
    z = np.clip(slope * (x[None, :] - p[:, 2][:, None]), -500, 500)
    s = 1 / (1 + np.exp(z))
    mu = low + reach * s
    # Errors scatter like counts between speakers: a variance that grows with the rate, and never vanishes.
    root = np.sqrt(w / (rates * (1.1 - np.minimum(rates, 1.0)) + 0.02))
    falling = reach * s * (1 - s)
    derivatives = [np.broadcast_to(low, mu.shape), reach * s, falling * slope, -falling * z]
    jacobian = np.concatenate(
        [np.stack(derivatives, axis=2) * root[:, :, None], np.tile(np.diag(1 / spread), (len(p), 1, 1))], axis=1
    )
    residual = np.concatenate([(mu - rates) * root, (p - known) / spread], axis=1)
    return residual, jacobian, np.asarray((residual**2).sum(axis=1), dtype=np.float64)


def threshold(
    levels: Floats,
    errors: Floats,
    words: Floats,
    *,
    target: float,
    relative: bool = False,
    clean_errors: Floats | None = None,
    clean_words: Floats | None = None,
    asymptote: bool = True,
    confidence: float = 0.95,
) -> Threshold:
    """Estimate the level at which a group's pooled rate reaches the target, with its interval over speakers.

    Args:
        levels: Levels that were heard; more is easier. Shape (levels,).
        errors: Errors of each speaker at each level, shape (speakers, levels).
        words: Reference words, the same shape.
        target: The rate, or with ``relative`` how many times the group's own clean rate.
        relative: Whether the target is relative.
        clean_errors: Errors of each speaker on the recordings themselves, shape (speakers,).
        clean_words: Words likewise.
        asymptote: Whether the recordings themselves are the best level (nothing but the noise is in the place).
        confidence: Coverage of the interval.

    Raises:
        ValueError: A relative target without clean counts.
    """
    speakers = len(errors)
    everything = errors.sum(axis=0) / np.maximum(words.sum(axis=0), 1)
    without = (errors.sum(axis=0) - errors) / np.maximum(words.sum(axis=0) - words, 1e-9)
    rates = np.concatenate([everything[None, :], without]) if speakers > 1 else everything[None, :]
    clean = np.full(len(rates), np.nan)
    x = np.asarray(levels, dtype=np.float64)
    if clean_errors is not None and clean_words is not None and clean_words.sum() > 0:
        clean[0] = clean_errors.sum() / clean_words.sum()
        if speakers > 1:
            clean[1:] = (clean_errors.sum() - clean_errors) / np.maximum(clean_words.sum() - clean_words, 1e-9)
        if asymptote:
            x, rates = np.append(x, np.inf), np.column_stack([rates, clean])
    elif relative:
        raise ValueError("a relative target needs the clean rates")
    targets = target * np.maximum(clean, 0.005) if relative else np.full(len(rates), float(target))
    weights = np.full(rates.shape, WORTH * speakers)
    curve = fit(x, rates, weights, targets)
    found = curve.reaches(targets)
    size = words.sum(axis=1)
    df = float(size.sum() ** 2 / np.maximum((size**2).sum(), 1e-9)) - 1
    centre, variance = _jackknife(found, size)
    one = Curve(low=curve.low[:1], high=curve.high[:1], middle=curve.middle[:1], slope=curve.slope[:1])
    censored: Censored = ""
    heard_worst, heard_best = (float(rates[0, i]) for i in (int(np.argmin(levels)), int(np.argmax(levels))))
    if not relative and math.isfinite(clean[0]) and clean[0] >= targets[0]:
        censored = "clean"
    elif heard_best > targets[0] > heard_worst:
        censored = "reversed"
    elif heard_best > targets[0] and (not math.isfinite(found[0]) or found[0] > np.max(levels)):
        censored = "worse"
    elif heard_worst < targets[0] and (not math.isfinite(found[0]) or found[0] < np.min(levels)):
        censored = "better"
    if not censored and not math.isfinite(found[0]):
        censored = "worse" if found[0] > 0 else "better"
    level = math.nan
    if not censored:
        # a correction that leads out of what was heard corrects nothing: without some speaker the curve is nearly flat
        inside = np.min(levels) <= found[0] <= np.max(levels)
        level = centre if np.min(levels) <= centre <= np.max(levels) or not inside else float(found[0])
        level = level if math.isfinite(level) else float(found[0])
    margin = (
        float(special.stdtrit(df, (1 + confidence) / 2)) * math.sqrt(variance) if df > 0 and variance >= 0 else math.nan
    )
    return Threshold(
        level=level, low=level - margin, high=level + margin, target=float(targets[0]), variance=variance, df=df,
        censored=censored, curve=one,
    )  # fmt: skip


def _jackknife(found: Floats, size: Floats) -> tuple[float, float]:
    """Return the estimate without the bias of few speakers, and its variance: the jackknife for unequal parts.

    Speakers who spoke more weigh more in the bias (Busing, Meijer and van der Leeden 1999, Statistics and Computing 9,
    equation 5). The variance is the sum of squares without (n − 1) / n, as in MacKinnon and White's (1985, Journal of
    Econometrics 29) third: speakers who spoke much pull the curve towards themselves, and with the factor intervals of
    ten speakers covered 93.8 ± 0.5 %. Busing's own variance covered 92.4 % (``benchmarks/thresholds.py``).

    Args:
        found: Of everybody, then without each speaker, shape (1 + speakers,).
        size: Words of each speaker, shape (speakers,).
    """
    speakers = len(size)
    if speakers < 2 or not np.all(np.isfinite(found)) or np.any(size <= 0):
        return math.nan, math.nan
    h = size.sum() / size
    centre = float(speakers * found[0] - np.sum((1 - 1 / h) * found[1:]))
    return centre, float(np.sum((found[1:] - found[0]) ** 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How much more (or less) one group needs than another, for the same rate; with standard error and its df."""

    estimate: float
    low: float
    high: float
    p: float
    se: float = math.nan
    df: float = math.nan


def difference(first: Threshold, second: Threshold, *, confidence: float = 0.95) -> Difference:
    """Return ``first`` less ``second``, of groups with different speakers; NaN where one of them is censored."""
    variance = first.variance + second.variance
    estimate = first.level - second.level
    if not (math.isfinite(estimate) and math.isfinite(variance) and variance > 0 and min(first.df, second.df) > 0):
        return Difference(estimate=estimate, low=math.nan, high=math.nan, p=math.nan)
    df = variance**2 / (first.variance**2 / first.df + second.variance**2 / second.df)
    margin = float(special.stdtrit(df, (1 + confidence) / 2)) * math.sqrt(variance)
    p = 2 * float(special.stdtr(df, -abs(estimate) / math.sqrt(variance)))
    return Difference(
        estimate=estimate, low=estimate - margin, high=estimate + margin, p=p, se=math.sqrt(variance), df=df
    )


def coarse_levels(low: float, high: float, count: int = 3) -> list[float]:
    """Return the first levels, spread evenly over the range (a third of the way from each end for three)."""
    step = (high - low) / count
    return [low + step * (i + 0.5) for i in range(count)]


def next_level(tried: list[float], thresholds: list[float], low: float, high: float) -> float:
    """Return where to listen next: between the groups' thresholds first, then around them, never twice in one place.

    Args:
        tried: Levels heard so far.
        thresholds: The groups' thresholds as estimated so far; infinite where they are censored.
        low: Of the range.
        high: Of the range.
    """
    inside = [min(max(t, low), high) for t in thresholds if not math.isnan(t)] or [(low + high) / 2]
    step = (high - low) / 12
    middle = float(np.median(inside))
    wanted = [middle, min(inside), max(inside), middle - step, middle + step, middle - 2 * step, middle + 2 * step]
    candidates = [min(max(level, low), high) for level in wanted]
    far = [min(abs(level - other) for other in tried) if tried else math.inf for level in candidates]
    for level, distance in zip(candidates, far, strict=True):
        if distance >= 0.6 * step:
            return level
    return candidates[int(np.argmax(far))]
