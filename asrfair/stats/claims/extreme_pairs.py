"""Is the gap of one engine larger than that of another, or its worst group worse, on the same speakers?

The true gap of engine a is at least W_a(g) − W_a(h) for any two groups; that of engine b is the largest of W_b(g') −
W_b(h'). So a's gap is larger if for *some* pair (g, h), here a's estimated extremes, W_a(g) − W_a(h) exceeds W_b(g') −
W_b(h') for *all* pairs (intersection–union: Berger 1982): the least clear of all those differences is the test, and no
correction is needed for the choice of b's extremes. That of a's is harmless only where a's groups are known to differ;
elsewhere such a claim is not made. Influences of speakers (:mod:`asrfair.stats.estimate.group_rates`) make everything
paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.normal_scores import normal_score, t_of_score
from asrfair.stats.frame import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Extreme:
    """One pair of engines: first minus second, its p-value, and what makes its bounds."""

    difference: float
    p: float
    _lower: tuple[Floats, Floats, Floats]
    _upper: tuple[Floats, Floats, Floats]

    def bounds(self, error: float) -> tuple[float, float]:
        """Lower and upper bound, each missed with half the error."""
        score = float(-special.ndtri(error / 2.0))

        def least(parts: tuple[Floats, Floats, Floats]) -> float:
            value, se, df = parts
            return float(np.min(value - t_of_score(score, df) * se))

        return least(self._lower), -least(self._upper)


@dataclass(frozen=True, kw_only=True)
class _Moments:
    """Rates and sums of squared and multiplied influences of two runs by group, for groups that both compare; (G,)."""

    rates: tuple[Floats, Floats]
    squares: tuple[Floats, Floats]
    products: Floats
    df: Floats


def compare_extremes(
    rates: Rates, compared: npt.NDArray[np.bool_], first: int, second: int, *, gap: bool, inflation: float = 1.0
) -> Extreme:
    """Compare the gaps (or the worst groups) of two runs of the same groups.

    Args:
        rates: Pooled rates with influences.
        compared: Groups that are compared, shape (R, G).
        first: Row of the first run.
        second: Row of the second.
        gap: Whether gaps are compared, or the rates of the worst groups.
        inflation: By what variances have to be multiplied, since speakers are not all that varies.
    """
    use = np.flatnonzero(compared[first] & compared[second])
    if len(use) < 2:
        nothing = (np.array([np.nan]), np.array([np.nan]), np.array([1.0]))
        return Extreme(difference=np.nan, p=np.nan, _lower=nothing, _upper=nothing)
    one, other = _moments(rates, use, first, second), _moments(rates, use, second, first)
    make = _gap_parts if gap else _worst_parts
    lower, upper = (_inflated(make(m), inflation) for m in (one, other))
    extent = [value.max() - value.min() if gap else value.max() for value in one.rates]
    difference = float(extent[0] - extent[1])
    value, se, df = lower if difference >= 0 else upper
    with np.errstate(all="ignore"):
        score = normal_score(value / se, df)
    clearest = float(np.min(np.nan_to_num(score, nan=0.0)))
    p = float(min(1.0, 2.0 * special.ndtr(-clearest)))
    return Extreme(difference=difference, p=p, _lower=lower, _upper=upper)


def _inflated(parts: tuple[Floats, Floats, Floats], inflation: float) -> tuple[Floats, Floats, Floats]:
    value, se, df = parts
    return value, se * np.sqrt(inflation), df


def _moments(rates: Rates, use: Ints, first: int, second: int) -> _Moments:
    starts = rates.grouping.starts
    group = rates.grouping.cell_group
    with np.errstate(all="ignore"):
        a, b = (np.nan_to_num(rates.rate[run][group] * rates.influence[run]) for run in (first, second))

    def total(values: Floats) -> Floats:
        summed: Floats = np.add.reduceat(values, starts)[use]
        return summed

    floor = [rates.rate[run][use] / np.maximum(rates.words[run][use], 1) for run in (first, second)]
    return _Moments(
        rates=(rates.rate[first][use], rates.rate[second][use]),
        squares=(np.maximum(total(a * a), floor[0]), np.maximum(total(b * b), floor[1])),
        products=total(a * b),
        df=np.nan_to_num(np.fmin(rates.df[first][use], rates.df[second][use]), nan=1.0),
    )


def _worst_parts(m: _Moments) -> tuple[Floats, Floats, Floats]:
    """First's worst group against every group of the second: value, standard error, degrees of freedom."""
    (wa, wb), (va, vb) = m.rates, m.squares
    g = int(np.argmax(wa))
    variance = va[g] + vb
    variance[g] -= 2.0 * m.products[g]
    return wa[g] - wb, np.sqrt(np.maximum(variance, 1e-12)), np.minimum(m.df, m.df[g])


def _gap_parts(m: _Moments) -> tuple[Floats, Floats, Floats]:
    """First's gap against every difference of two groups of the second; flat arrays."""
    (wa, wb), (va, vb) = m.rates, m.squares
    size = len(wa)
    g, h = int(np.argmax(wa)), int(np.argmin(wa))
    value = (wa[g] - wa[h]) - (wb[:, None] - wb[None, :])
    sign = np.zeros(size)
    sign[g], sign[h] = 1.0, -1.0
    shared = sign * m.products
    variance = va[g] + va[h] + vb[:, None] + vb[None, :] - 2.0 * shared[:, None] + 2.0 * shared[None, :]
    df = np.minimum(np.minimum(m.df[:, None], m.df[None, :]), min(m.df[g], m.df[h]))
    apart = ~np.eye(size, dtype=bool)
    return value[apart], np.sqrt(np.maximum(variance[apart], 1e-12)), df[apart]
