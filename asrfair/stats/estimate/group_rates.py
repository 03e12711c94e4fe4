"""Group word error rates and what they would have been without each speaker: the jackknife on the log scale.

A group's rate is pooled, W = Σe / Σn over its speakers. Leaving each speaker out in turn gives *influences*
u_i = √((k − 1)/k) (log W − log W₍₋ᵢ₎), whose squares add up to the variance of log W (Efron & Tibshirani 1993, ch. 11,
taken around log W). Everything else is built from influences: two statistics of the same speakers have covariance
Σ u_i v_i, so that comparisons of engines, conditions and overlapping groups are paired without further thought.

Where speakers read the same sentences, what those add is put on top (:mod:`asrfair.stats.estimate.two_way`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from asrfair.scoring.metric import Metric
from asrfair.stats.estimate.rate_interval import (
    MIN_EFFECTIVE,
    MIN_SPEAKERS,
    Estimate,
    joint_df,
    skew_stretch,
)
from asrfair.stats.estimate.two_way import SKEW, Items, Readings, by_sentence, items_of, readings
from asrfair.stats.frame import Floats, Frame, Ints
from asrfair.stats.groups import Grouping


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
        speakers: Speakers with at least one scored utterance, 0 where speakers are not known, shape (R, G).
        effective: Kish's effective number of speakers, (Σn)² / Σn², shape (R, G).
        rate: errors / words, NaN without words, shape (R, G).
        influence: On log W, shape (R, N); 0 where the group has no errors or one speaker.
        se_log: Standard error of log W, over speakers and over sentences that they share, shape (R, G); NaN where no
            interval can be given.
        df: Its degrees of freedom (see :mod:`asrfair.stats.estimate.rate_interval`), shape (R, G).
        unevenness: Σa³ / (Σa²)² of the speakers' shares of the words, shape (R, G).
        speaker_df: Degrees of freedom of the variance over speakers alone, shape (R, G).
        items: What shared sentences contribute; ``None`` where there are none.
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
    unevenness: Floats
    speaker_df: Floats
    items: Items | None = None

    @property
    def related(self) -> bool:
        """Whether the rates of groups can be correlated: by speakers in several groups or by shared sentences."""
        return self.grouping.spans or self.items is not None

    @cached_property
    def estimate(self) -> Estimate:
        """What intervals are made from, shape (R, G)."""
        variance = self.se_log**2
        return Estimate(
            rate=self.rate,
            errors=self.errors.astype(np.float64),
            words=self.words.astype(np.float64),
            variance=variance,
            df=self.df,
            effective=self.effective,
            stretch=skew_stretch(variance, self.unevenness, self.df),
            speaker_df=self.speaker_df,
            item_variance=np.zeros(variance.shape) if self.items is None else self.items.variance,
            item_df=np.full(variance.shape, np.inf) if self.items is None else self.items.df,
        )


def group_rates(frame: Frame, grouping: Grouping, metric: Metric | None = None) -> Rates:
    """Pool the counts of each group and leave each speaker out once.

    Args:
        frame: The scores.
        grouping: The groups.
        metric: Which rate; the frame's by default. Of any other the variance is that over speakers alone.
    """
    metric = metric or frame.metric
    errors = grouping.cells(frame.sums(*metric.numerator))
    words = grouping.cells(frame.sums(*metric.denominator))
    utterances = grouping.cells(frame.scored.reshape(errors.shape[0], -1))
    shared = readings(frame, grouping) if metric == frame.metric else None
    rates = rates_of_cells(grouping, errors, words, utterances, shared)
    return rates if frame.speakers_known else replace(rates, speakers=np.zeros_like(rates.speakers))


def rates_of_cells(
    grouping: Grouping, errors: Ints, words: Ints, utterances: Ints, shared: Readings | None = None
) -> Rates:
    """Like :func:`group_rates`, from counts per cell, each of shape (R, N), and of readings of shared sentences."""
    group = grouping.cell_group
    group_errors, group_words = grouping.groups(errors), grouping.groups(words)
    present = utterances > 0
    speakers = grouping.groups(present.astype(np.int64))
    with np.errstate(all="ignore"):
        share = np.nan_to_num(words / group_words[:, group])
        squares = _total(grouping, share**2)
        effective = 1.0 / squares
        rate = group_errors / group_words
        # half an error is left where all were of one speaker, so that the change stays finite (and large)
        left_errors = np.maximum(group_errors[:, group] - errors, 0.5)
        change = np.log(rate)[:, group] - np.log(left_errors / (group_words[:, group] - words))
        k = speakers[:, group]
        influence = np.where(present & (k > 1), np.sqrt((k - 1) / k) * change, 0.0)
        influence = np.where((group_errors == 0)[:, group] | ~np.isfinite(influence), 0.0, influence)
        se_log = np.sqrt(_total(grouping, influence**2))
        kish = effective - 1.0
        df = np.sqrt(kish * _bell_mccaffrey(grouping, errors, words, share, rate))
        unevenness = _total(grouping, share**3) / squares**2
    usable = (speakers >= MIN_SPEAKERS) & (effective >= MIN_EFFECTIVE)
    df = np.where(np.isfinite(df), df, kish)
    items, speaker_df = None, df
    if shared is not None:
        sentences, sentence_errors, sentence_words = by_sentence(shared)
        alone = rates_of_cells(sentences, sentence_errors, sentence_words, sentence_words)
        items = items_of(shared, alone, len(grouping.names))
        variance = se_log**2 + items.variance
        with np.errstate(all="ignore"):
            skew = unevenness * se_log**4 + SKEW * items.unevenness * items.variance**2
            unevenness = np.where(items.variance > 0, skew / variance**2, unevenness)
        df = joint_df(se_log**2, df, items.variance, items.df)
        se_log = np.sqrt(variance)
    return Rates(
        grouping=grouping,
        cell_errors=errors,
        cell_words=words,
        errors=group_errors,
        words=group_words,
        utterances=grouping.groups(utterances),
        speakers=speakers,
        effective=np.where(group_words > 0, effective, 0.0),
        rate=rate,
        influence=influence,
        se_log=np.where(usable, se_log, np.nan),
        df=np.where(usable, df, np.nan),
        unevenness=unevenness,
        speaker_df=np.where(usable, speaker_df, np.nan),
        items=items,
    )


def _bell_mccaffrey(grouping: Grouping, errors: Ints, words: Ints, share: Floats, rate: Floats) -> Floats:
    """Satterthwaite degrees of freedom of the jackknife variance, after Bell & McCaffrey (2002).

    The variance estimate is a quadratic form in the speakers' rates. Under the working model that they are independent
    with variance τ² + W/n_i (τ² by moments), its mean is the trace of a matrix G, its variance 2 tr G², and the degrees
    of freedom are (tr G)² / tr G². G = diag(b)(I − 1aᵀ) D (I − a1ᵀ) diag(b) with a the shares of the words,
    b = a / (1 − a) the weights of the leave-one-out changes and D the working variances; its traces need only sums.
    """
    group = grouping.cell_group
    own = np.where(words > 0, errors / words, 0.0)
    per_word = np.where(words > 0, 1.0 / words, 0.0)
    mean = rate[:, group]
    squares = _total(grouping, share**2)
    between = _total(grouping, share * (own - mean) ** 2)
    within = _total(grouping, share * (1.0 - share) * mean * per_word)
    spread = np.maximum((between - within) / (1.0 - squares), 0.0)
    d = np.where(words > 0, spread[:, group] + mean * per_word, 0.0)
    d = np.where((rate == 0)[:, group], per_word, d)
    b2 = (share / (1.0 - share)) ** 2
    q = share * d
    c = _total(grouping, share * q)
    p0, p1, p2 = _total(grouping, b2), _total(grouping, b2 * q), _total(grouping, b2 * q**2)
    trace = _total(grouping, b2 * (d - 2.0 * q)) + c * p0
    square = c**2 * p0**2 + 2.0 * p2 * p0 + 2.0 * p1**2 - 4.0 * c * p1 * p0
    square += _total(grouping, b2**2 * d * (d + 2.0 * c[:, group] - 4.0 * q))
    return trace**2 / square


def _total(grouping: Grouping, values: Floats) -> Floats:
    """Add cells up to groups."""
    summed: Floats = np.add.reduceat(values, grouping.starts, axis=-1)
    return summed
