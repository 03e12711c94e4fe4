"""Would the groups differ as much if the labels had been dealt out to the speakers at random?

The labels of whole speakers are permuted, never those of utterances. A speaker who stands in several groups keeps
them; only the order of that speaker's own groups is dealt anew. The statistic is studentised with the spread between
speakers, so that the test stays valid where groups differ in spread and size (Janssen 1997; Chung & Romano 2013). The
same dealing serves every engine and condition, which gives the joint distribution of all tests: adjusted p-values by
step-down maxima (Westfall & Young 1993) use it, and are less strict than Holm's where tests are related.

"To the best group" is tested as it was made: the best group is found anew in every permutation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.disparity.frame import Floats, Ints
from asrfair.disparity.groups import Grouping

VERSUS = ("best", "reference", "rest")
"""What a group is compared with, in the order of the axis of a statistic."""

_HALF = 0.5
_MOST_WORK = 4e9


@dataclass(frozen=True, kw_only=True)
class Permuted:
    """Statistics as observed and under permutation, of every run, :data:`VERSUS` and group.

    Attributes:
        observed: Shape (R, 3, G); NaN where no test is made.
        draws: Shape (B, R, 3, G), same transformation.
    """

    observed: Floats
    draws: npt.NDArray[np.float32]

    @property
    def p(self) -> Floats:
        """Two-sided p-values (1 + draws at least as far out) / (1 + draws), shape (R, 3, G)."""
        count = (np.abs(self.draws) >= np.abs(self.observed).astype(np.float32) * (1.0 - 1e-6)).sum(axis=0)
        p: Floats = (1.0 + count) / (1.0 + len(self.draws))
        return np.where(np.isnan(self.observed), np.nan, p)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is compared: cells of stated groups only.

    Attributes:
        group: Group of each cell, shape (M,), ascending; groups without cells are allowed.
        speaker: Speaker of each cell, shape (M,).
        groups: Number of groups G.
        compared: Groups that are tested, shape (R, G).
        reference: The named reference group, or -1.
        df: Degrees of freedom of each group's spread, shape (G,).
        effective: Effective speakers of each group, shape (G,).
    """

    group: Ints
    speaker: Ints
    groups: int
    compared: npt.NDArray[np.bool_]
    reference: int
    df: Floats
    effective: Floats


def permute(errors: Ints, words: Ints, layout: Layout, draws: int, rng: np.random.Generator) -> Permuted:
    """Deal the labels out ``draws`` times.

    Args:
        errors: Errors of each cell, shape (R, M).
        words: Words of each cell, shape (R, M).
        layout: The groups.
        draws: Number of permutations B; fewer (but at least 500) where the table is very large.
        rng: Source of chance.
    """
    shared = bool((words == words[:1]).all())
    features = _features(errors, words, shared=shared)
    most = int(max(500, _MOST_WORK // features.size)) if features.size else draws
    draws = min(draws, most)
    runs = errors.shape[0]
    present = (np.bincount(layout.group, minlength=layout.groups)).astype(np.float64)
    deal = _Deal(layout)
    sums = _sums(features, layout)
    observed = _statistics(sums, present, layout, runs)
    table = np.empty((draws, *observed.shape), dtype=np.float32)
    for draw in range(draws):
        table[draw] = _statistics(_sums(features[deal(rng)], layout), present, layout, runs)
    best = np.where(layout.compared, _log_rates(sums, present[:, None], runs)[2], np.inf).argmin(axis=1)
    observed[np.arange(runs), VERSUS.index("best"), best] = np.nan
    return Permuted(observed=observed, draws=table)


def step_down(observed: Floats, draws: npt.NDArray[np.float32]) -> Floats:
    """Adjusted p-values of a family by step-down maxima (Westfall & Young 1993, algorithm 4.1).

    Args:
        observed: Statistics of any sign, shape (T,); NaN for tests not made.
        draws: The same under permutation, shape (B, T).

    Returns:
        Adjusted p-values, shape (T,); the chance of any false alarm is controlled.
    """
    made = np.flatnonzero(~np.isnan(observed))
    adjusted = np.full(observed.shape, np.nan)
    order = made[np.argsort(np.abs(observed[made]), kind="stable")]
    largest = np.zeros(len(draws), dtype=np.float32)
    raw = np.empty(len(order))
    for place, test in enumerate(order):
        np.fmax(largest, np.abs(draws[:, test]), out=largest)
        raw[place] = (1.0 + (largest >= np.float32(np.abs(observed[test]) * (1.0 - 1e-6))).sum()) / (1.0 + len(draws))
    adjusted[order[::-1]] = np.maximum.accumulate(raw[::-1])
    return adjusted


class _Deal:
    """Deals cells: those of one-group speakers among each other, those of a many-group speaker within that speaker."""

    def __init__(self, layout: Layout) -> None:
        _, block, count = np.unique(layout.speaker, return_inverse=True, return_counts=True)
        several = count[block] > 1
        self.alone = np.flatnonzero(~several)
        self.shared = np.flatnonzero(several)
        self.block = block[self.shared]
        self.size = len(layout.group)

    def __call__(self, rng: np.random.Generator) -> Ints:
        source = np.arange(self.size)
        source[self.alone] = rng.permutation(self.alone)
        if len(self.shared):
            here = np.argsort(self.block, kind="stable")
            there = np.lexsort((rng.random(len(self.block)), self.block))
            source[self.shared[here]] = self.shared[there]
        return source


def _features(errors: Ints, words: Ints, *, shared: bool) -> Floats:
    """Per cell, what the sums of a group need: e, e², en of every run, and n, n² (once where all runs share them)."""
    e, n = errors.T.astype(np.float64), words.T.astype(np.float64)
    own = n[:, :1] if shared else n
    return np.ascontiguousarray(np.concatenate([e, e**2, e * n, own, own**2], axis=1))


def _sums(features: Floats, layout: Layout) -> Floats:
    """Sums of features by group, shape (G, F)."""
    sums = np.zeros((layout.groups, features.shape[1]))
    present, starts = np.unique(layout.group, return_index=True)
    sums[present] = np.add.reduceat(features, starts, axis=0)
    return sums


def _statistics(sums: Floats, present: Floats, layout: Layout, runs: int) -> Floats:
    """Studentised log ratios of each group to best, reference and rest as normal scores, shape (R, 3, G)."""
    log_rate, variance, rate = _log_rates(sums, present[:, None], runs)
    rest = sums.sum(axis=0) - sums
    rest_log, rest_variance, _ = _log_rates(rest, present.sum() - present[:, None], runs)
    compared = layout.compared
    every = np.full((runs, len(VERSUS), layout.groups), np.nan)
    weight = 1.0 / layout.effective
    rest_weight = 1.0 / np.maximum(layout.effective.sum() - layout.effective, 1.0)
    rest_df = np.maximum(layout.df.sum() - layout.df, 1.0)
    with np.errstate(all="ignore"):
        rest_freedom = (weight + rest_weight) ** 2 / (weight**2 / layout.df + rest_weight**2 / rest_df)
        every[:, 2] = _score((log_rate - rest_log) / np.sqrt(variance + rest_variance), rest_freedom)
        best = np.where(compared, rate, np.inf).argmin(axis=1)
        rows = np.arange(runs)
        for place, other in ((0, best), (1, np.full(runs, layout.reference))):
            if place == 1 and layout.reference < 0:
                continue
            w = weight[other][:, None]
            freedom = (weight + w) ** 2 / (weight**2 / layout.df + w**2 / layout.df[other][:, None])
            gap = log_rate - log_rate[rows, other][:, None]
            every[:, place] = _score(gap / np.sqrt(variance + variance[rows, other][:, None]), freedom)
            if place == 1:
                every[:, place, layout.reference] = np.nan
                every[~compared[:, layout.reference], place] = np.nan
    return np.where(compared[:, None, :], every, np.nan)


def _log_rates(sums: Floats, count: Floats, runs: int) -> tuple[Floats, Floats, Floats]:
    """Log rate (half an error added, so that none is no exception), its variance, and the rate; shape (R, G)."""
    e, ee, en = (sums[:, place * runs : (place + 1) * runs] for place in range(3))
    n, nn = np.split(sums[:, 3 * runs :], 2, axis=1)
    with np.errstate(all="ignore"):
        rate = (e + _HALF) / n
        spread = np.maximum(ee - 2.0 * rate * en + rate**2 * nn, 0.0) + _HALF
        variance = count / (count - 1.0) * spread / (e + _HALF) ** 2
        return np.log(rate).T, variance.T, rate.T


def _score(t: Floats, df: Floats) -> Floats:
    """Student's t as a normal score (Wallace 1959): tests with few and with many speakers weigh alike in a maximum."""
    with np.errstate(all="ignore"):
        size: Floats = np.sqrt(df * np.log1p(t**2 / df)) * (8.0 * df + 1.0) / (8.0 * df + 3.0)
    return np.sign(t) * size


def layout_of(
    grouping: Grouping,
    compared: npt.NDArray[np.bool_],
    reference: int,
    df: Floats,
    effective: Floats,
) -> tuple[Layout, npt.NDArray[np.int64]]:
    """Leave the cells of groups that were not stated out; return the layout and which cells are in it."""
    cells = np.flatnonzero(grouping.stated[grouping.cell_group])
    return (
        Layout(
            group=grouping.cell_group[cells],
            speaker=grouping.cell_speaker[cells],
            groups=len(grouping.names),
            compared=compared,
            reference=reference,
            df=np.nan_to_num(np.maximum(df, 0.5), nan=1.0),
            effective=np.maximum(np.nan_to_num(effective, nan=1.0), 1.0),
        ),
        cells,
    )
