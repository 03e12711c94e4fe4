"""Speakers' own rates and how much each is worth: what tests between groups permute.

A speaker's rate x = e/n scatters around the group's with variance W² c² between speakers and φ W / n of counting, so
it weighs w = 1 / (c² + φ / (W n)): speakers of many words count for more, but not in proportion to them, since what a
speaker says more is still that speaker. c² is found by moments over all speakers; φ = 2 because errors come in runs.

The mean over speakers so weighed is the rate of a *typical speaker*. It differs from the pooled rate where speakers who
say more have other rates than those who say less; claims state the pooled figures and are withheld where the two
disagree about the direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrfair.stats.frame import Floats, Ints

DISPERSION = 2.0
_HALF = 0.5


def precision(errors: Floats, words: Floats) -> tuple[Floats, Floats]:
    """Rates of the cells and their weights, each of shape (R, M); both 0 where a cell has no words."""
    present = words > 0
    with np.errstate(all="ignore"):
        total = words.sum(axis=1, keepdims=True)
        pooled = np.maximum(errors.sum(axis=1, keepdims=True), _HALF) / total
        x = np.where(present, errors / words, 0.0)
        share = words / total
        between = (share * (x - pooled) ** 2).sum(axis=1, keepdims=True)
        per_word = np.where(present, 1.0 / words, 0.0)
        within = DISPERSION * pooled * (share * (1.0 - share) * per_word).sum(axis=1, keepdims=True)
        spread = (between - within) / ((1.0 - (share**2).sum(axis=1, keepdims=True)) * pooled**2)
        spread = np.maximum(np.nan_to_num(spread), 0.0)
        weight = np.where(present, 1.0 / (spread + DISPERSION * per_word / pooled), 0.0)
    return x, np.nan_to_num(weight)


@dataclass(frozen=True, kw_only=True)
class Typical:
    """The typical speaker's rate of every draw, run and group: logarithm, its variance, and speakers; (D, R, G)."""

    log_rate: Floats
    variance: Floats
    speakers: Floats


def rate_features(errors: Ints, words: Ints) -> Floats:
    """What the sums of a group need, per cell: shape (M, 7 R)."""
    e, n = errors.astype(np.float64), words.astype(np.float64)
    x, w = precision(e, n)
    parts = [w, w * x, w**2, w**2 * x, (w * x) ** 2, n, (n > 0).astype(np.float64)]
    return np.ascontiguousarray(np.concatenate(parts).T)


def typical(sums: Floats, runs: int) -> Typical:
    """Make rates of summed :func:`rate_features`, shape (D, G, 7 R)."""
    w, wx, w2, w2x, w2xx, n, k = (
        np.swapaxes(sums[..., index * runs : (index + 1) * runs], -1, -2) for index in range(7)
    )
    with np.errstate(all="ignore"):
        mean = wx / w
        scatter = k / (k - 1.0) * np.maximum(w2xx - 2.0 * mean * w2x + mean**2 * w2, 0.0) / w**2
        rate = mean + _HALF / n  # half an error, so that none is no exception
        variance = (scatter + _HALF / n**2) / rate**2
        return Typical(log_rate=np.log(rate), variance=np.where(k > 1, variance, np.nan), speakers=k)


@dataclass(frozen=True, kw_only=True)
class TypicalChange:
    """How a typical speaker's rate changes between two conditions, in points and as a log ratio; (D, R, G)."""

    points: Floats
    points_variance: Floats
    log_ratio: Floats
    log_variance: Floats
    speakers: Floats


def change_features(first: tuple[Ints, Ints], second: tuple[Ints, Ints]) -> Floats:
    """Like :func:`rate_features` for (errors, words) of the same cells in two conditions: shape (M, 11 R)."""
    e1, n1, e0, n0 = (values.astype(np.float64) for values in (*first, *second))
    both = (n1 > 0) & (n0 > 0)
    e1, n1, e0, n0 = (np.where(both, values, 0.0) for values in (e1, n1, e0, n0))
    _, w = precision(e1 + e0, n1 + n0)
    with np.errstate(all="ignore"):
        x1, x0 = (np.where(both, e / n, 0.0) for e, n in ((e1, n1), (e0, n0)))
    w2 = w**2
    parts = [w, w * x1, w * x0, w2, w2 * x1, w2 * x0, w2 * x1**2, w2 * x0**2, w2 * x1 * x0, n1 + n0]
    parts.append(both.astype(np.float64))
    return np.ascontiguousarray(np.concatenate(parts).T)


def typical_change(sums: Floats, runs: int) -> TypicalChange:
    """Make changes of summed :func:`change_features`, shape (D, G, 11 R)."""
    w, wa, wb, w2, w2a, w2b, w2aa, w2bb, w2ab, n, k = (
        np.swapaxes(sums[..., index * runs : (index + 1) * runs], -1, -2) for index in range(11)
    )
    with np.errstate(all="ignore"):
        a, b = wa / w, wb / w
        aa = w2aa - 2.0 * a * w2a + a**2 * w2
        bb = w2bb - 2.0 * b * w2b + b**2 * w2
        ab = w2ab - a * w2b - b * w2a + a * b * w2
        few = k / (k - 1.0) / w**2
        half = 2.0 * _HALF / n
        counted = 2.0 * half**2
        top, bottom = a + half, b + half
        points = few * np.maximum(aa + bb - 2.0 * ab, 0.0) + counted
        log_ratio = few * np.maximum(aa / top**2 + bb / bottom**2 - 2.0 * ab / (top * bottom), 0.0)
        log_ratio = log_ratio + half**2 / top**2 + half**2 / bottom**2
        return TypicalChange(
            points=a - b,
            points_variance=np.where(k > 1, points, np.nan),
            log_ratio=np.log(top / bottom),
            log_variance=np.where(k > 1, log_ratio, np.nan),
            speakers=k,
        )


def freedom(speakers: Floats, rest: Floats) -> Floats:
    """Degrees of freedom of a group against the rest, with variances in proportion to 1 / speakers."""
    with np.errstate(all="ignore"):
        df: Floats = (1.0 / speakers + 1.0 / rest) ** 2 / (
            1.0 / (speakers**2 * (speakers - 1.0)) + 1.0 / (rest**2 * (rest - 1.0))
        )
    return np.maximum(df, 0.5)
