"""Best group, worst group, and what lies between: point figures and, in :mod:`worst`, what can be said about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.rate_interval import MIN_EFFECTIVE
from asrfair.stats.frame import Floats


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """Point figures of every run (R) over the groups that are compared.

    ``best`` and ``worst`` are group indices (-1 where no group can be compared); the first of equals is taken.
    ``macro`` is the mean of the group rates, ``spread`` their population standard deviation.
    """

    groups: npt.NDArray[np.int64]
    best: npt.NDArray[np.int64]
    worst: npt.NDArray[np.int64]
    best_rate: Floats
    worst_rate: Floats
    gap: Floats
    ratio: Floats
    macro: Floats
    spread: Floats


def comparable(rates: Rates, *, min_speakers: int, min_words: int) -> npt.NDArray[np.bool_]:
    """Groups that best, worst, gap and macro look at: stated, with enough speakers and words, not one speaker's alone.

    Returns:
        Shape (R, G).
    """
    large = (rates.speakers >= min_speakers) & (rates.words >= max(min_words, 1))
    large &= rates.effective >= min(MIN_EFFECTIVE, min_speakers / 2)
    both: npt.NDArray[np.bool_] = large & rates.grouping.stated
    return both


def extremes(rate: Floats, compared: npt.NDArray[np.bool_]) -> Extremes:
    """Find best and worst among the compared groups.

    Args:
        rate: Group rates, shape (R, G).
        compared: Which groups count, shape (R, G).
    """
    count = compared.sum(axis=1)
    none = count == 0
    low = np.where(compared, rate, np.inf)
    high = np.where(compared, rate, -np.inf)
    rows = np.arange(rate.shape[0])
    best = np.where(none, -1, low.argmin(axis=1))
    worst = np.where(none, -1, high.argmax(axis=1))
    best_rate = np.where(none, np.nan, rate[rows, best])
    worst_rate = np.where(none, np.nan, rate[rows, worst])
    with np.errstate(divide="ignore", invalid="ignore"):
        macro = np.where(compared, rate, 0.0).sum(axis=1) / count
        spread = np.sqrt(np.where(compared, (rate - macro[:, None]) ** 2, 0.0).sum(axis=1) / count)
        ratio = np.where(best_rate > 0, worst_rate / best_rate, np.nan)
    return Extremes(
        groups=count,
        best=best,
        worst=worst,
        best_rate=best_rate,
        worst_rate=worst_rate,
        gap=worst_rate - best_rate,
        ratio=ratio,
        macro=macro,
        spread=spread,
    )
