"""Counts of many utterances as one table: named quantities, a column each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.scoring.metric import WORDS
from asrfair.types import ErrorCounts


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Named quantities of some utterances.

    Args:
        names: The quantities.
        values: Shape (utterances, quantities).
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.int64]

    @classmethod
    def zero(cls, names: Sequence[str], rows: int) -> Counts:
        """Nothing counted of so many utterances."""
        return cls(names=tuple(names), values=np.zeros((rows, len(names)), np.int64))

    def __getitem__(self, name: str) -> npt.NDArray[np.int64]:
        """One quantity, shape (utterances,)."""
        return self.values[:, self.names.index(name)]

    def sum_of(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Several quantities added up, shape (utterances,)."""
        total: npt.NDArray[np.int64] = self.values[:, [self.names.index(name) for name in names]].sum(axis=1)
        return total

    def pooled(self, of: str) -> ErrorCounts:
        """The word errors of all utterances together."""
        return ErrorCounts(of=of, **{name: int(self[name].sum()) for name in WORDS})
