"""Like with like: compare a group with the reference group on utterances of the same kind, without a model.

Covariates are coarsened (numbers into a few classes of equal size, attributes as they are) and utterances are compared
within the cells of the resulting table (coarsened exact matching, Iacus, King & Porro 2012). Cells in which either
group is absent are left out. The reference group's rate in each cell is weighted by the words that the *other* group
spoke there:

    ratio = Σ_c E_gc / Σ_c N_gc (E_rc / N_rc)

that is, the group's errors over those that the reference group's speakers would have made on the same kinds of
utterance (indirect standardisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from asrfair.stats.explain.covariates import Covariate
from asrfair.stats.explain.design import add_up

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

CLASSES = {1: 5, 2: 4, 3: 3}
"""Classes of a number, by how many covariates are matched on; two where there are more than three."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """One group against the reference group.

    Args:
        ratio: Matched ratio of error rates; NaN where no cell holds both, or an error count is zero.
        ci_low: Lower bound (jackknife over speakers on the log scale, Student's t); NaN where there is none.
        ci_high: Upper bound.
        share: Share of the group's words that lie in cells where the reference group has words too.
        cells: Number of such cells.
    """

    ratio: float
    ci_low: float
    ci_high: float
    share: float
    cells: int


def coarsen(covariates: Sequence[Covariate], rows: Integers) -> Integers:
    """Return the cell of each row: a code for its combination of classes; an unknown number is a class of its own."""
    number_of_classes = CLASSES.get(len(covariates), 2)
    cell = np.zeros(len(rows), dtype=np.int64)
    for covariate in covariates:
        if covariate.numbers is not None:
            level = _classes(covariate.numbers[rows], number_of_classes)
        elif covariate.levels is not None:
            level = covariate.levels[rows]
        else:
            continue
        cell = cell * (int(level.max()) + 1) + level
        _, cell = np.unique(cell, return_inverse=True)
    return cell.astype(np.int64)


def _classes(numbers: Floats, count: int) -> Integers:
    known = np.isfinite(numbers)
    if not known.any():
        return np.zeros(len(numbers), dtype=np.int64)
    edges = np.unique(np.quantile(numbers[known], np.arange(1, count) / count))
    return np.where(known, np.searchsorted(edges, numbers, side="left"), len(edges) + 1).astype(np.int64)


def match(
    *,
    errors: Floats,
    words: Floats,
    speaker: Integers,
    group: Integers,
    cell: Integers,
    reference: int,
    confidence: float,
) -> list[Matched]:
    """Compare every group with the reference group.

    Args:
        errors: Errors of each row, shape (rows,).
        words: Reference words of each row.
        speaker: Code of each row's speaker.
        group: Group code of each row, 0…groups-1.
        cell: Cell of each row.
        reference: The reference group's code.
        confidence: Coverage of the intervals.

    Returns:
        One result a group; the reference group's own is a ratio of 1 without interval.
    """
    groups, cells = int(group.max()) + 1, int(cell.max()) + 1
    speakers = int(speaker.max()) + 1
    keys, inverse = np.unique((group * speakers + speaker) * cells + cell, return_inverse=True)
    table = _Table(
        errors=add_up(inverse, errors),
        words=add_up(inverse, words),
        group=keys // cells // speakers,
        speaker=keys // cells % speakers,
        cell=keys % cells,
        cells=cells,
    )
    return [_against(table, g, reference, confidence) for g in range(groups)]


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Counts of each (group, speaker, cell) that occurs."""

    errors: Floats
    words: Floats
    group: Integers
    speaker: Integers
    cell: Integers
    cells: int

    def of(self, group: int) -> _Table:
        rows = self.group == group
        _, speaker = np.unique(self.speaker[rows], return_inverse=True)
        return _Table(
            errors=self.errors[rows],
            words=self.words[rows],
            group=self.group[rows],
            speaker=speaker.astype(np.int64),
            cell=self.cell[rows],
            cells=self.cells,
        )

    def by_cell(self, values: Floats) -> Floats:
        return add_up(self.cell, values, self.cells)

    def by_speaker(self, values: Floats) -> Floats:
        return add_up(self.speaker, values)


def _against(table: _Table, group: int, reference: int, confidence: float) -> Matched:
    if group == reference:
        return Matched(ratio=1.0, ci_low=np.nan, ci_high=np.nan, share=1.0, cells=len(np.unique(table.of(group).cell)))
    own, other = table.of(group), table.of(reference)
    own_words, own_errors = own.by_cell(own.words), own.by_cell(own.errors)
    ref_words, ref_errors = other.by_cell(other.words), other.by_cell(other.errors)
    both = (own_words > 0) & (ref_words > 0)
    share = float(own_words[both].sum() / own_words.sum())
    rate = np.divide(ref_errors, ref_words, out=np.zeros(table.cells), where=both)
    observed = float(own_errors[both].sum())
    expected = float((own_words * rate)[both].sum())
    cells = int(both.sum())
    if observed <= 0 or expected <= 0:
        return Matched(ratio=np.nan, ci_low=np.nan, ci_high=np.nan, share=share, cells=cells)
    # Without a speaker of the group: that speaker's errors, and their words at the reference group's rates, are gone.
    inside = both[own.cell]
    less_observed = observed - own.by_speaker(own.errors * inside)
    less_expected = expected - own.by_speaker(own.words * inside * rate[own.cell])
    parts = [_spread(less_observed, less_expected, observed, expected, own)]
    # Without a speaker of the reference group: rates change in that speaker's cells, and cells only they filled go.
    inside = both[other.cell]
    left_words = ref_words[other.cell] - other.words
    left_errors = ref_errors[other.cell] - other.errors
    stays = inside & (left_words > 0)
    new_rate = np.divide(left_errors, left_words, out=np.zeros(len(left_words)), where=stays)
    change = np.where(inside, own_words[other.cell] * (np.where(stays, new_rate, 0.0) - rate[other.cell]), 0.0)
    lost = np.where(inside & ~stays, own_errors[other.cell], 0.0)
    parts.append(
        _spread(observed - other.by_speaker(lost), expected + other.by_speaker(change), observed, expected, other)
    )
    variance = sum(v for v, _ in parts)
    ratio = observed / expected
    if not np.isfinite(variance) or variance <= 0:
        return Matched(ratio=ratio, ci_low=np.nan, ci_high=np.nan, share=share, cells=cells)
    freedom = variance**2 / sum(v**2 / max(df, 0.5) for v, df in parts)
    half = float(special.stdtrit(freedom, 0.5 + confidence / 2)) * np.sqrt(variance)
    return Matched(
        ratio=ratio,
        ci_low=float(ratio * np.exp(-half)),
        ci_high=float(ratio * np.exp(half)),
        share=share,
        cells=cells,
    )


def _spread(
    less_observed: Floats, less_expected: Floats, observed: float, expected: float, part: _Table
) -> tuple[float, float]:
    """Return the jackknife variance of the log ratio over one group's speakers, and its degrees of freedom."""
    count = len(less_observed)
    if count < 2 or np.any(less_observed <= 0) or np.any(less_expected <= 1e-12 * expected):
        return float("nan"), float("nan")
    shifts = np.log(less_observed / observed) - np.log(less_expected / expected)
    words = part.by_speaker(part.words)
    effective = words.sum() ** 2 / np.sum(words**2)
    return float((count - 1) / count * np.sum(shifts**2)), float(effective - 1)
