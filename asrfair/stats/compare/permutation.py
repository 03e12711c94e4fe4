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

from asrfair.stats.estimate.normal_scores import normal_score
from asrfair.stats.frame import Floats, Ints
from asrfair.stats.groups import Grouping

VERSUS = ("best", "reference", "rest")
"""What a group is compared with, in the order of the axis of a statistic."""

_HALF = 0.5
_MOST_WORK = 1e9
_CHUNK = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Permuted:
    """Statistics as observed and under permutation, of every run, :data:`VERSUS` and group.

    Attributes:
        observed: Shape (R, 3, G); NaN where no test is made, 0 for the best group against itself (which stays in the
            family, since in a permutation another group is the best).
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
    draws = min(draws, int(max(500, _MOST_WORK // max(features.size, 1))))
    runs = errors.shape[0]
    speakers = np.bincount(layout.group, minlength=layout.groups).astype(np.float64)
    deal = Deal(layout.speaker)
    sums = _sums(features[None], layout)
    observed = _statistics(sums, speakers, layout, runs)[0]
    table = np.empty((draws, *observed.shape), dtype=np.float32)
    step = max(1, _CHUNK // max(features.size, 1))
    for start in range(0, draws, step):
        part = slice(start, min(start + step, draws))
        dealt = features[deal(part.stop - part.start, rng)]
        table[part] = _statistics(_sums(dealt, layout), speakers, layout, runs)
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


class Deal:
    """Deals cells: those of one-group speakers among each other, those of a many-group speaker within that speaker."""

    def __init__(self, speaker: Ints) -> None:
        _, block, count = np.unique(speaker, return_inverse=True, return_counts=True)
        several = count[block] > 1
        self.alone = np.flatnonzero(~several)
        self.shared = np.flatnonzero(several)
        self.block = block[self.shared]
        self.size = len(speaker)

    def __call__(self, draws: int, rng: np.random.Generator) -> Ints:
        """Which cell's counts each cell gets, shape (draws, M)."""
        source = np.tile(np.arange(self.size), (draws, 1))
        source[:, self.alone] = rng.permuted(source[:, self.alone], axis=1)
        if len(self.shared):
            here = np.argsort(self.block, kind="stable")
            there = np.argsort(self.block + rng.random((draws, len(self.block))), axis=1)
            source[:, self.shared[here]] = self.shared[there]
        return source


def _features(errors: Ints, words: Ints, *, shared: bool) -> Floats:
    """Per cell, what the sums of a group need: e, e², en of every run, and n, n² (once where all runs share them)."""
    e, n = errors.T.astype(np.float64), words.T.astype(np.float64)
    own = n[:, :1] if shared else n
    return np.ascontiguousarray(np.concatenate([e, e**2, e * n, own, own**2], axis=1))


def _sums(features: Floats, layout: Layout) -> Floats:
    """Sums of features (D, M, F) by group, shape (D, G, F)."""
    sums = np.zeros((features.shape[0], layout.groups, features.shape[2]))
    present, starts = np.unique(layout.group, return_index=True)
    sums[:, present] = np.add.reduceat(features, starts, axis=1)
    return sums


def _statistics(sums: Floats, speakers: Floats, layout: Layout, runs: int) -> Floats:
    """Studentised log ratios of each group to best, reference and rest as normal scores, shape (D, R, 3, G)."""
    log_rate, variance, rate = _log_rates(sums, speakers, runs)
    rest = sums.sum(axis=1, keepdims=True) - sums
    rest_log, rest_variance, _ = _log_rates(rest, speakers.sum() - speakers, runs)
    compared = layout.compared
    every = np.full((len(sums), runs, len(VERSUS), layout.groups), np.nan)
    weight = 1.0 / layout.effective
    rest_weight = 1.0 / np.maximum(layout.effective.sum() - layout.effective, 1.0)
    rest_df = np.maximum(layout.df.sum() - layout.df, 1.0)
    with np.errstate(all="ignore"):
        freedom = (weight + rest_weight) ** 2 / (weight**2 / layout.df + rest_weight**2 / rest_df)
        every[:, :, 2] = normal_score((log_rate - rest_log) / np.sqrt(variance + rest_variance), freedom)
        others = {0: np.where(compared, rate, np.inf).argmin(axis=-1)}
        if layout.reference >= 0:
            others[1] = np.full(rate.shape[:2], layout.reference)
        for place, other in others.items():
            w, w_df = weight[other][..., None], layout.df[other][..., None]
            freedom = (weight + w) ** 2 / (weight**2 / layout.df + w**2 / w_df)
            gap = log_rate - np.take_along_axis(log_rate, other[..., None], axis=-1)
            spread = np.sqrt(variance + np.take_along_axis(variance, other[..., None], axis=-1))
            every[:, :, place] = normal_score(gap / spread, freedom)
    if layout.reference >= 0:
        every[:, :, 1, layout.reference] = np.nan
        every[:, ~compared[:, layout.reference], 1] = np.nan
    return np.where(compared[:, None, :], every, np.nan)


def _log_rates(sums: Floats, speakers: Floats, runs: int) -> tuple[Floats, Floats, Floats]:
    """Log rate (half an error added, so that none is no exception), its variance, and the rate; shape (D, R, G)."""
    e, ee, en = (sums[..., place * runs : (place + 1) * runs] for place in range(3))
    n, nn = np.split(sums[..., 3 * runs :], 2, axis=-1)
    with np.errstate(all="ignore"):
        rate = (e + _HALF) / n
        spread = np.maximum(ee - 2.0 * rate * en + rate**2 * nn, 0.0) + _HALF
        variance = (speakers / (speakers - 1.0))[:, None] * spread / (e + _HALF) ** 2
        return np.log(rate).swapaxes(1, 2), variance.swapaxes(1, 2), rate.swapaxes(1, 2)


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
