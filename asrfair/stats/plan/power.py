"""What could have been seen: the minimum detectable difference, and how many speakers a given difference needs.

With s the standard error of a log ratio and df its degrees of freedom, Student's t at level α finds a true log ratio δ
with probability 0.8 where the non-central t with non-centrality δ/s exceeds the critical value with that probability
(for many speakers δ = (z_{1−α/2} + z_{0.8}) s). A standard error from few speakers is more often too small than too
large, and what it promises would be too good: it is multiplied by 1 + 3 / (4 df), with which a difference of the stated
size is found as often as stated (benchmarks/calibration.py, table "power"). Speakers, not utterances, are counted: s²
falls with 1 / speakers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from asrfair.stats.estimate.rate_interval import t_quantile
from asrfair.stats.frame import Floats, Ints

POWER = 0.8
_MOST_SPEAKERS = 100_000


def detectable_log_ratio(se_log: Floats, df: Floats, level: float, power: float = POWER) -> Floats:
    """The log ratio that a two-sided test at ``level`` finds with probability ``power``."""
    critical = t_quantile(0.5 + level / 2, df)
    with np.errstate(all="ignore"):
        shift: Floats = special.nctdtrinc(df, 1.0 - power, critical)
        return np.where(np.isfinite(df) & (df > 0), shift * se_log * (1.0 + 0.75 / df), np.nan)


def detectable_difference(rate: Floats, se_log: Floats, df: Floats, level: float, power: float = POWER) -> Floats:
    """How much higher than ``rate`` a group's would have to be, to be found with probability ``power``.

    Args:
        rate: Rate of what the group is compared with.
        se_log: Standard error of the log ratio.
        df: Its degrees of freedom.
        level: Confidence of the test, such as 0.95.
        power: Probability of finding it.

    Returns:
        The difference; NaN against a group without a single error, of which no multiple says anything.
    """
    with np.errstate(all="ignore"):
        found: Floats = rate * np.expm1(detectable_log_ratio(se_log, df, level, power))
        return np.where(np.asarray(rate) > 0, found, np.nan)


def speakers_needed(
    *,
    rate: Floats,
    difference: float,
    own_variance: Floats,
    own_speakers: Ints,
    other_variance: Floats,
    other_df: Floats,
    level: float,
    power: float = POWER,
    alike: bool = False,
) -> Floats:
    """Speakers that a group needs in all for a difference to be found with probability ``power``.

    New speakers are taken to be like those there are: the variance of the group's log rate falls as 1 / speakers. The
    other side stays as it is, or grows alike.

    Args:
        rate: Rate of the other side.
        difference: The difference in rate to be found, above ``rate``.
        own_variance: Variance of the group's log rate with ``own_speakers`` speakers.
        own_speakers: Speakers of the group now.
        other_variance: Variance of the other side's log rate.
        other_df: Its degrees of freedom.
        level: Confidence of the test.
        power: Probability of finding it.
        alike: Whether the other side grows in proportion.

    Returns:
        Whole numbers of speakers; infinity where no number is enough (the other side alone is too uncertain), NaN where
        the variances are not known.
    """
    with np.errstate(all="ignore"):
        wanted = np.log1p(difference / rate)
        each = own_variance * own_speakers
    low = np.full(np.shape(wanted), 3.0)
    high = np.full(np.shape(wanted), float(_MOST_SPEAKERS))

    def found(speakers: Floats) -> Floats:
        with np.errstate(all="ignore"):
            times = speakers / own_speakers if alike else 1.0
            own, other = each / speakers, other_variance / times
            total = own + other
            df = total**2 / (own**2 / (speakers - 1.0) + other**2 / (other_df * times))
            seen = detectable_log_ratio(np.sqrt(total), np.maximum(df, 1.0), level, power)
            return np.where(df < 1.0, np.inf, seen)  # nothing shows with so few, and the quantile takes seconds there

    possible = found(high) <= wanted
    for _ in range(20):
        middle = np.floor((low + high) / 2)
        enough = found(middle) <= wanted
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    result = np.where(found(np.full(np.shape(wanted), 3.0)) <= wanted, 3.0, high)
    result = np.where(possible, result, np.inf)
    return np.where(np.isfinite(wanted) & np.isfinite(each) & np.isfinite(other_variance), result, np.nan)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A collection plan for two groups: what a study of this size would see.

    Attributes:
        speakers: Speakers of each group.
        detectable: Smallest difference in rate that would be found with the power asked for.
    """

    speakers: int
    detectable: float


def plan_speakers(
    *,
    rate: float,
    difference: float,
    cv: float = 0.6,
    words_per_speaker: float = 300.0,
    unevenness: float = 1.4,
    other_speakers: int | None = None,
    level: float = 0.95,
    power: float = POWER,
) -> Plan | None:
    """How many speakers a group needs before anything is recorded.

    Args:
        rate: Expected rate of the group compared with.
        difference: The difference above it that should be found.
        cv: Coefficient of variation of true rates between speakers; 0.4–0.8 in most corpora.
        words_per_speaker: Mean words of a speaker.
        unevenness: Speakers / effective speakers; 1 if all say as much, 1.4 for a log-normal spread of 0.6.
        other_speakers: Speakers of the other group; ``None`` for as many as in this one.
        level: Confidence of the test.
        power: Probability of finding it.

    Returns:
        The smallest plan, or ``None`` where no number of speakers is enough.
    """

    def variance(speakers: float) -> float:
        return (cv**2 * unevenness + 1.0 / (rate * words_per_speaker)) / speakers

    def detectable(speakers: int) -> float:
        other = other_speakers or speakers
        v1, v2 = variance(speakers), variance(other)
        df = (v1 + v2) ** 2 / (v1**2 / (speakers / unevenness - 1.0) + v2**2 / (other / unevenness - 1.0))
        both = np.array(math.sqrt(v1 + v2))
        return float(detectable_difference(np.array(rate), both, np.array(df), level, power))

    low, high = 2, 4
    while detectable(high) > difference:
        low, high = high, high * 2
        if high > _MOST_SPEAKERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detectable(middle) <= difference else (middle, high)
    return Plan(speakers=high, detectable=detectable(high))
