"""Group word error rates and what they would have been without each speaker: the jackknife on the log scale.

A group's rate is pooled, W = Σe / Σn over its speakers. Leaving each speaker out in turn gives *influences*
u_i = √((k − 1)/k) (log W₍₋ᵢ₎ − log W), whose squares add up to the variance of log W (Efron & Tibshirani 1993, ch. 11,
taken around log W). Everything else is built from influences: two statistics of the same speakers have covariance
Σ u_i v_i, so that comparisons of engines, conditions and overlapping groups are paired without further thought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asrfair.disparity.groups import Grouping
    from asrfair.disparity.frame import Floats, Frame, Ints


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Pooled rates of every run (R engine × condition pairs) and group (G), with their influences over N cells.

    Attributes:
        grouping: The groups.
        cell_errors: Numerator of each cell, shape (R, N).
        cell_words: Denominator of each cell, shape (R, N).
        errors: Shape (R, G).
        words: Shape (R, G).
        utterances: Scored utterances, shape (R, G).
        speakers: Speakers with at least one scored utterance, shape (R, G).
        effective: Kish's effective number of speakers, (Σn)² / Σn², shape (R, G).
        rate: errors / words, NaN without words, shape (R, G).
        influence: On log W, shape (R, N); NaN where it does not exist (one speaker, or no errors without one of them).
        se_log: Standard error of log W, shape (R, G); NaN where it does not exist.
        df: Degrees of freedom of that standard error: effective − 1, shape (R, G).
    """

    grouping: Grouping
    cell_errors: Ints
    cell_words: Ints
    errors: Ints
    words: Ints
    utterances: Ints
    speakers: Ints
    effective: Floats
    rate: Floats
    influence: Floats
    se_log: Floats
    df: Floats


def group_rates(
    frame: Frame,
    grouping: Grouping,
    *,
    numerator: tuple[str, ...] = ("substitutions", "deletions", "insertions"),
    denominator: tuple[str, ...] = ("hits", "substitutions", "deletions"),
) -> Rates:
    """Pool the counts of each group and leave each speaker out once.

    Args:
        frame: The scores.
        grouping: The groups.
        numerator: Quantities whose sum is the numerator; the default is the word errors.
        denominator: Quantities whose sum is the denominator; the default is the reference words.
    """
    errors = grouping.cells(frame.sums(*numerator))
    words = grouping.cells(frame.sums(*denominator))
    utterances = grouping.cells(frame.scored.reshape(errors.shape[0], -1))
    return rates_of_cells(grouping, errors, words, utterances)


def rates_of_cells(grouping: Grouping, errors: Ints, words: Ints, utterances: Ints) -> Rates:
    """Like :func:`group_rates`, from counts per cell, each of shape (R, N)."""
    starts, group = grouping.starts, grouping.cell_group

    def total(values: Ints) -> Ints:
        return np.add.reduceat(values, starts, axis=1)

    def total_of(values: Floats) -> Floats:
        return np.add.reduceat(values, starts, axis=1)

    group_errors, group_words = total(errors), total(words)
    present = utterances > 0
    speakers = total(present.astype(np.int64))
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = group_words.astype(np.float64) ** 2 / total_of(words.astype(np.float64) ** 2)
        rate = group_errors / group_words
        left_errors = group_errors[:, group] - errors
        left_words = group_words[:, group] - words
        change = np.log(left_errors / left_words) - np.log(rate)[:, group]
        k = speakers[:, group]
        influence = np.where(present, np.sqrt((k - 1) / k) * change, 0.0)
        se_log = np.sqrt(total_of(influence**2))
    se_log = np.where(np.isfinite(se_log), se_log, np.nan)
    influence = np.where(np.isfinite(se_log)[:, group], influence, np.nan)
    return Rates(
        grouping=grouping,
        cell_errors=errors,
        cell_words=words,
        errors=group_errors,
        words=group_words,
        utterances=total(utterances),
        speakers=speakers,
        effective=effective,
        rate=rate,
        influence=influence,
        se_log=se_log,
        df=effective - 1.0,
    )


def jackknife_interval(rates: Rates, level: float) -> tuple[Floats, Floats]:
    """Two-sided intervals of every rate at ``level``: W exp(± t se). NaN where there is no standard error.

    Returns:
        Lower and upper bounds, each of shape (R, G).
    """
    with np.errstate(invalid="ignore", over="ignore"):
        half = t_quantile(0.5 + level / 2, rates.df) * rates.se_log
        return rates.rate * np.exp(-half), rates.rate * np.exp(half)


def t_quantile(p: float, df: Floats) -> Floats:
    """Quantile of Student's t for arrays of (fractional) degrees of freedom; NaN below 0.5 of them."""
    with np.errstate(invalid="ignore"):
        quantile: Floats = special.stdtrit(np.where(df >= 0.5, df, np.nan), p)
    return quantile
