"""Sentences are a sample too: the variance that comes from which ones were read, beside that of who read them.

Where several speakers read the same sentences, errors are alike within a speaker and within a sentence, two crossed
factors. With x the contribution of one speaker's reading of one sentence to the log rate, the two-way variance is

    Σ_speakers (Σ x)² + Σ_sentences (Σ x)² − Σ_readings x²

(Cameron, Gelbach & Miller 2011; statsmodels' ``cov_cluster_2groups``). The first term is the jackknife over speakers
(:mod:`asrfair.stats.estimate.group_rates`); the rest, I, is what sentences add. A sentence that one speaker of the
group read adds exactly nothing. Sampling noise can make I negative; it is then taken as 0, so that the variance is
never below that over speakers. The contributions of a sentence's readings are scaled so that they add up to its
influence in the jackknife over sentences, by which few sentences are not taken for many.

Two groups with the same sentences have I in common: in their difference it cancels, as the covariance says. Two groups
with different lists differ by their lists as well, and I stays, however many speakers there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from asrfair.stats.frame import Floats, Frame, Ints
from asrfair.stats.groups import Grouping
from asrfair.types import SCORED

if TYPE_CHECKING:
    from asrfair.stats.estimate.group_rates import Rates

SKEW = 1.5
"""Sentences differ more lopsidedly than speakers: their skewness is taken for three times their coefficient of variation
(a log-normal law) where that of speakers is twice theirs (a gamma law)."""

MIN_PROMPTS = 3
MIN_EFFECTIVE_PROMPTS = 2.0
"""With fewer sentences nothing can be said about others: figures then hold for these sentences only."""


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Counts of each reading, one speaker's (cell's) readings of one sentence together; K of them in R runs.

    Sorted by group, sentence, cell.

    Attributes:
        cell: Cell of the grouping, shape (K,).
        group: Its group, shape (K,).
        speaker: Its speaker, shape (K,).
        prompt: The sentence, shape (K,).
        errors: Shape (R, K).
        words: Shape (R, K); 0 where not scored.
    """

    cell: Ints
    group: Ints
    speaker: Ints
    prompt: Ints
    errors: Ints
    words: Ints

    @cached_property
    def sentences(self) -> tuple[Ints, Ints]:
        """First reading of each sentence of each group, and that group, shape (M,)."""
        starts = np.flatnonzero(np.r_[True, (np.diff(self.group) != 0) | (np.diff(self.prompt) != 0)])
        return starts, self.group[starts]

    @cached_property
    def reading(self) -> Ints:
        """Number of each reading's speaker and sentence together, the same in every group, shape (K,)."""
        sentences = int(self.prompt.max(initial=0)) + 1
        number: Ints = np.unique(self.speaker * sentences + self.prompt, return_inverse=True)[1]
        return number


def readings(frame: Frame, grouping: Grouping) -> Readings | None:
    """Sum word errors and words by cell and sentence; ``None`` where speakers share no sentences."""
    if frame.prompt is None:
        return None
    runs = len(frame.engines) * len(frame.conditions)
    return _readings(
        grouping,
        grouping.atom_cell[frame.atom],
        frame.prompt,
        frame.numerator.reshape(runs, -1),
        frame.denominator.reshape(runs, -1),
    )


def paired_readings(
    frame: Frame, grouping: Grouping, pairs: Sequence[tuple[int, int]]
) -> tuple[Readings, Readings] | None:
    """Like :func:`readings` for the two sides of pairs of runs, over what was scored in both."""
    if frame.prompt is None:
        return None
    runs = len(frame.engines) * len(frame.conditions)
    scored = frame.status.reshape(runs, -1) == SCORED
    both = np.stack([scored[one] & scored[other] for one, other in pairs])
    cell = grouping.atom_cell[frame.atom]
    sides = []
    for side in (0, 1):
        chosen = [pair[side] for pair in pairs]
        errors, words = (values.reshape(runs, -1)[chosen] * both for values in (frame.numerator, frame.denominator))
        sides.append(_readings(grouping, cell, frame.prompt, errors, words))
    return sides[0], sides[1]


def _readings(
    grouping: Grouping,
    cell: Ints,
    prompt: npt.NDArray[np.integer],
    errors: npt.NDArray[np.integer],
    words: npt.NDArray[np.integer],
) -> Readings:
    sentences, cells = int(prompt.max(initial=0)) + 1, len(grouping.cell_group)
    key = (grouping.cell_group[cell] * sentences + prompt) * cells + cell
    keys, reading = np.unique(key, return_inverse=True)
    group_prompt, of_cell = np.divmod(keys, cells)
    group, sentence = np.divmod(group_prompt, sentences)

    def add(values: npt.NDArray[np.integer]) -> Ints:
        return np.stack([np.rint(np.bincount(reading, weights=row, minlength=len(keys))) for row in values]).astype(
            np.int64
        )

    return Readings(
        cell=of_cell,
        group=group,
        speaker=grouping.cell_speaker[of_cell],
        prompt=sentence,
        errors=add(errors),
        words=add(words),
    )


def regroup(found: Readings, grouping: Grouping, cell: Ints) -> Readings:
    """Put readings into another grouping's cells.

    Args:
        found: The readings.
        grouping: The other grouping.
        cell: Its cell for every old cell; -1 leaves it out.
    """
    new = cell[found.cell]
    keep = new >= 0
    return _readings(grouping, new[keep], found.prompt[keep], found.errors[:, keep], found.words[:, keep])


@dataclass(frozen=True, kw_only=True)
class Items:
    """What sentences contribute to log rates, from readings. R runs, K readings, G groups.

    Attributes:
        readings: The readings.
        x: Contributions, shape (R, K); 0 where a group has no errors or too few sentences.
        df: Degrees of freedom of I, those of the jackknife over sentences, or Kish's of their shares of the errors if
            fewer (a few hard sentences make most of the errors), shape (R, G); infinite where there are too few
            sentences, so that I is not known and taken for 0.
        unevenness: Σa³ / (Σa²)² of the sentences' shares of the words, shape (R, G).
    """

    readings: Readings
    x: Floats
    df: Floats
    unevenness: Floats

    def covariance(self, x: Floats, y: Floats) -> Floats:
        """I of two sets of contributions of the same readings, shape (R, G): Σ_sentences (Σx Σy − Σxy)."""
        starts, group = self.readings.sentences
        own = np.add.reduceat(x, starts, axis=1)
        other = own if y is x else np.add.reduceat(y, starts, axis=1)
        added = own * other - np.add.reduceat(x * y, starts, axis=1)
        total = np.zeros((x.shape[0], self.df.shape[1]))
        present, first = np.unique(group, return_index=True)
        total[:, present] = np.add.reduceat(added, first, axis=1)
        return total

    @cached_property
    def variance(self) -> Floats:
        """I of each group's log rate, at least 0, shape (R, G)."""
        return np.maximum(self.covariance(self.x, self.x), 0.0)

    def between(self, run: int) -> Floats:
        """I of every two groups' contributions in one run, shape (G, G); the diagonal is not floored."""
        found, values, size = self.readings, self.x[run], self.df.shape[1]
        starts, group = found.sentences
        sums = _by_group(np.add.reduceat(values, starts), group, found.prompt[starts], size)
        matrix: Floats = (sums @ sums.T).toarray()
        if int(found.reading.max(initial=-1)) + 1 == len(values):  # nobody stands in two groups
            matrix[np.diag_indices(size)] -= np.bincount(found.group, weights=values**2, minlength=size)
        else:
            alone = _by_group(values, found.group, found.reading, size)
            matrix -= (alone @ alone.T).toarray()
        return matrix

    def shared_with(self, chosen: Ints, x: Floats | None = None) -> Floats:
        """I of every group's contributions and those of a chosen group of each run, shape (R, G); not floored.

        Args:
            chosen: A group of each run, shape (R,).
            x: Contributions in place of :attr:`x`, shape (R, K).
        """
        found, size = self.readings, self.df.shape[1]
        values = self.x if x is None else x
        starts, group = found.sentences
        sums = np.add.reduceat(values, starts, axis=1)
        shared = products_with(chosen, sums, group, found.prompt[starts], size)
        return shared - products_with(chosen, values, found.group, found.reading, size)


def _by_group(values: Floats, group: Ints, key: Ints, size: int) -> sparse.csr_array:
    """Values as a matrix of groups × keys; groups are in order."""
    ends = np.searchsorted(group, np.arange(size + 1))
    return sparse.csr_array((values, key, ends), shape=(size, int(key.max(initial=0)) + 1))


def products_with(chosen: Ints, values: Floats, group: Ints, key: Ints, size: int) -> Floats:
    """Products of every group's values and a chosen group's of the same keys, summed by group, shape (R, G).

    Args:
        chosen: A group of each run, shape (R,).
        values: Shape (R, K).
        group: Group of each value, shape (K,), ascending.
        key: What is the same in several groups (a speaker, a sentence), at most once in each, shape (K,).
        size: Number of groups.
    """
    found = np.zeros((len(values), size))
    present, first = np.unique(group, return_index=True)
    for one in np.unique(chosen):
        rows, own = np.flatnonzero(chosen == one), np.flatnonzero(group == one)
        theirs = np.zeros((len(rows), int(key.max(initial=0)) + 1))
        theirs[:, key[own]] = values[np.ix_(rows, own)]
        found[np.ix_(rows, present)] = np.add.reduceat(values[rows] * theirs[:, key], first, axis=1)
    return found


def by_sentence(found: Readings) -> tuple[Grouping, Ints, Ints]:
    """Sum readings by group and sentence.

    Returns:
        The sentences as cells of the groups that have any, errors (R, M) and words (R, M).
    """
    starts, group = found.sentences
    present, of_group = np.unique(group, return_inverse=True)
    grouping = Grouping(
        attribute="sentences",
        names=tuple(str(number) for number in present),
        stated=np.ones(len(present), dtype=bool),
        cell_group=of_group,
        cell_speaker=found.prompt[starts],
        starts=np.searchsorted(of_group, np.arange(len(present))),
        atom_cell=np.arange(len(starts)),
        utterance_group=np.zeros(0, dtype=np.int64),
    )
    return grouping, np.add.reduceat(found.errors, starts, axis=1), np.add.reduceat(found.words, starts, axis=1)


def items_of(found: Readings, sentences: Rates, size: int) -> Items:
    """Contributions of readings to the log rates of their groups.

    Args:
        found: The readings.
        sentences: The same rates with sentences in the place of speakers, of the groups that have readings.
        size: Number of groups.
    """
    starts, group = found.sentences
    present, of_group = np.unique(group, return_inverse=True)
    of_sentence = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(found.group)]))
    enough = (sentences.speakers >= MIN_PROMPTS) & (sentences.effective >= MIN_EFFECTIVE_PROMPTS)
    enough &= sentences.errors > 0
    with np.errstate(all="ignore"):
        total = sentences.errors[:, of_group]
        q = np.minimum(sentences.cell_errors / total, 1.0 - 0.5 / total)
        a = sentences.cell_words / sentences.words[:, of_group]
        apart = q - a
        # log W − log W without the sentence, a unit of its contribution q − a: 1 / (1 − a) where the two are equal
        unit = np.where(np.abs(apart) > 1e-9, (np.log1p(-a) - np.log1p(-q)) / apart, 1.0 / (1.0 - a))
        count = sentences.speakers[:, of_group]
        leverage = np.where(enough[:, of_group], np.sqrt((count - 1) / count) * unit, 0.0)[:, of_sentence]
        rate = sentences.rate[:, of_group][:, of_sentence]
        own = (found.errors - rate * found.words) / total[:, of_sentence]
        x = np.where(leverage > 0, own * leverage, 0.0)
    df, unevenness = np.full((len(x), size), np.inf), np.ones((len(x), size))
    df[:, present] = np.where(enough, np.fmin(sentences.speaker_df, _kish(sentences, q) - 1.0), np.inf)
    unevenness[:, present] = sentences.unevenness
    return Items(readings=found, x=x, df=df, unevenness=unevenness)


def _kish(sentences: Rates, share: Floats) -> Floats:
    effective: Floats = 1.0 / np.maximum(np.add.reduceat(share**2, sentences.grouping.starts, axis=1), 1e-12)
    return np.maximum(effective, 2.0)
