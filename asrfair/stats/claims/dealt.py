"""Deal the labels of groups out to speakers, once for all engines and conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.stats.frame import Floats, Ints
from asrfair.stats.groups import Grouping

MOST_WORK = 1.5e9
FEWEST = 500
_CHUNK = 2_000_000

Statistic = Callable[[Floats, Floats], Floats]
"""From sums by group and of the rest of each, each (D, G, F), to normal scores of any shape (D, …)."""


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """Which cell's counts each cell gets in every draw.

    Attributes:
        cells: The cells of stated groups, as indices into the grouping's, shape (M,).
        groups: Number of groups of the grouping, G.
        source: Shape (B, M).
        present: Groups with cells.
        starts: First cell of each of them.
    """

    cells: Ints
    groups: int
    source: npt.NDArray[np.int32]
    present: Ints
    starts: Ints

    def sums(self, features: Floats, source: Ints | npt.NDArray[np.int32] | None = None) -> Floats:
        """Sums by group of features (M, F), as they are or dealt; shape (D, G, F)."""
        picked = features[None] if source is None else features[source]
        sums = np.zeros((len(picked), self.groups, features.shape[1]))
        sums[:, self.present] = np.add.reduceat(picked, self.starts, axis=1)
        return sums

    def observed(self, features: Floats) -> tuple[Floats, Floats]:
        """Sums by group of the data, and of the rest of each group, shape (1, G, F)."""
        return _with_rest(self.sums(features))

    def draws(self, features: Floats, statistic: Statistic) -> list[Floats]:
        """The statistic of every draw, in chunks; fewer draws where there is much to add up."""
        count = int(np.clip(MOST_WORK // max(features.size, 1), FEWEST, len(self.source)))
        step = max(1, _CHUNK // max(features.size, 1))
        return [
            statistic(*_with_rest(self.sums(features, self.source[start : min(start + step, count)])))
            for start in range(0, count, step)
        ]


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


def deal(grouping: Grouping, draws: int, rng: np.random.Generator) -> Dealt:
    """Deal the labels of stated groups. A speaker of several groups keeps them; only their order is dealt anew."""
    cells = np.flatnonzero(grouping.stated[grouping.cell_group]).astype(np.int64)
    group = grouping.cell_group[cells]
    present, starts = np.unique(group, return_index=True)
    source = Deal(grouping.cell_speaker[cells])(draws, rng).astype(np.int32)
    return Dealt(cells=cells, groups=len(grouping.names), source=source, present=present, starts=starts)


def _with_rest(sums: Floats) -> tuple[Floats, Floats]:
    return sums, sums.sum(axis=1, keepdims=True) - sums
