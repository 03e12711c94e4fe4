"""The largest of many statistics under chance: its p-values, and the critical value that belongs to a level.

Where no draw reached what was observed, the draws only say "less than one in so many"; a bound of the tail
takes their place, so that p-values do not end where the draws do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from asrfair.stats.frame import Floats


def normal_tail(tests: int) -> Callable[[Floats], Floats]:
    """Bound of the chance that the largest of so many normal deviates is larger in size (Bonferroni)."""
    return lambda size: np.minimum(2.0 * max(tests, 1) * special.ndtr(-size), 1.0)


def hoeffding_tail(tests: int) -> Callable[[Floats], Floats]:
    """The same for sums of signs over their root of squares: 2 exp(−T²/2) each holds exactly (Hoeffding 1963)."""
    return lambda size: np.minimum(2.0 * max(tests, 1) * np.exp(-(size**2) / 2.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class Largest:
    """Largest statistic of each draw, sorted, shape (B,), and a bound of its tail beyond the draws."""

    draws: Floats
    tail: Callable[[Floats], Floats]

    @classmethod
    def of(cls, draws: Floats, tail: Callable[[Floats], Floats]) -> Largest:
        """Sort the draws; those without any statistic count as 0."""
        return cls(draws=np.sort(np.nan_to_num(draws, nan=0.0)), tail=tail)

    def p(self, observed: Floats) -> Floats:
        """P-values of statistics of any shape, allowing for all of them having been looked at; NaN stays NaN."""
        size = np.abs(observed) * (1.0 + 1e-9)
        count = len(self.draws)
        above = count - np.searchsorted(self.draws, np.nan_to_num(size) * (1.0 - 2e-9), side="left")
        p = (1.0 + above) / (1.0 + count)
        p = np.where(above == 0, np.minimum(p, self.tail(np.nan_to_num(size))), p)
        return np.where(np.isnan(observed), np.nan, p)

    def critical(self, error: float) -> float:
        """The smallest size whose p-value is at most ``error``: the same decision as :meth:`p`, the other way round."""
        count = len(self.draws)
        rank = int(np.floor(error * (count + 1) * (1.0 + 1e-12)))
        if rank >= 1:
            # a little above the draw, which is itself not enough: a tie with the data must not decide by rounding
            return float(self.draws[count - rank]) * (1.0 + 3e-9) if rank <= count else 0.0
        low, high = float(self.draws[-1]) if count else 0.0, 60.0
        for _ in range(80):
            middle = (low + high) / 2.0
            if float(self.tail(np.array(middle))) > error:
                low = middle
            else:
                high = middle
        return high
