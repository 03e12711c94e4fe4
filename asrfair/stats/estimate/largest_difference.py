"""How large the largest difference between any two of several groups gets where none differ.

The studentised range of Tukey for groups of unequal spread and size: estimates and variance estimates are drawn. Each
pair's Student t is read as a normal score at the pair's own degrees of freedom (Wallace 1959) before the largest is
taken, and a quantile is read back the same way: one small group then widens its own comparisons, not those of all
others. Groups without errors have no log rate and take no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from asrfair.stats.estimate.contrasts import contrast
from asrfair.stats.estimate.correlations import correlation_of
from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.normal_scores import normal_score, t_of_score
from asrfair.stats.estimate.rate_interval import Estimate, t_quantile
from asrfair.stats.frame import Floats

DRAWS = 4000
_DRAWN_NUMBERS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class LargestDifference:
    """The largest normal score of any pair of groups under chance.

    Attributes:
        draws: Sorted, shape (R, B); NaN in runs that have no two groups to compare.
        pairs: Number of pairs, shape (R,).
    """

    draws: Floats
    pairs: npt.NDArray[np.int64]

    def critical(self, error: float) -> Floats:
        """Normal scores that the largest of all pairs exceeds with probability ``error``, shape (R,).

        Beyond the draws Bonferroni's bound of the normal tail takes their place.
        """
        if error >= 1.0 / self.draws.shape[1]:
            found: Floats = np.quantile(self.draws, 1.0 - error, axis=1)
            return found
        bound = -special.ndtri(error / (2.0 * np.maximum(self.pairs, 1)))
        highest: Floats = np.maximum(self.draws[:, -1], bound)
        return highest

    def p(self, run: int, score: float) -> float:
        """The ``error`` whose critical score in a run is ``score``: the same decision, the other way round."""
        draws, least = self.draws[run], 1.0 / self.draws.shape[1]
        if np.isnan(draws[0]):
            return float("nan")
        if score > draws[-1]:
            return float(np.minimum(2.0 * self.pairs[run] * special.ndtr(-score), least))
        return max(1.0 - float(np.interp(score, draws, np.linspace(0.0, 1.0, len(draws)))), float(least))


def largest_difference(
    rates: Rates, compared: npt.NDArray[np.bool_], rng: np.random.Generator, draws: int = DRAWS
) -> LargestDifference:
    """Draw the largest difference of every run.

    Args:
        rates: Group rates.
        compared: Groups that are compared, shape (R, G).
        rng: Source of chance.
        draws: Number of draws.
    """
    found = np.full((len(compared), draws), np.nan)
    pairs = np.zeros(len(compared), dtype=np.int64)
    for use, some in patterns(rates, compared):
        if len(use) > 1:
            groups = rates.estimate.map(lambda value, some=some, use=use: value[np.ix_(some, use)])  # type: ignore[misc]
            found[some] = largest_scores(groups, correlation_of(rates, some, use), rng, draws)
            pairs[some] = len(use) * (len(use) - 1) // 2
    return LargestDifference(draws=found, pairs=pairs)


def patterns(
    rates: Rates, compared: npt.NDArray[np.bool_]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Groups that are compared together, and the runs in which these are compared and all have standard errors."""
    kinds, kind = np.unique(compared, axis=0, return_inverse=True)
    found = []
    for number, pattern in enumerate(kinds):
        use = np.flatnonzero(pattern)
        some = np.flatnonzero(kind.ravel() == number)
        if len(use):
            some = some[np.isfinite(rates.se_log[np.ix_(some, use)]).all(axis=1)]
        if len(use) and len(some):
            found.append((use, some))
    return found


def critical_of_pairs(groups: Estimate, score: Floats, p: float) -> Floats:
    """Critical values of Student's t of every pair from a normal score for all of them.

    Args:
        groups: Rates of shape (R, G).
        score: Normal scores, shape (R,).
        p: What a single comparison takes in place of a score of 0 (no draw had any difference).

    Returns:
        Critical values, shape (R, G, G).
    """
    first, second = (groups.map(lambda value, axis=axis: np.expand_dims(value, axis)) for axis in (2, 1))  # type: ignore[misc]
    freedom = contrast(first, second).df_ratio
    return critical_value(freedom, score[:, None, None], p)


def critical_value(freedom: Floats, score: Floats, p: float) -> Floats:
    """Critical values of Student's t from degrees of freedom and a normal score, as in :func:`critical_of_pairs`."""
    return np.where(score > 0, t_of_score(score, freedom), t_quantile(p, freedom))


def largest_scores(
    groups: Estimate, correlation: Floats | None, rng: np.random.Generator, draws: int = DRAWS
) -> Floats:
    """Largest normal score of any pair in each draw, sorted, shape (R, draws).

    Args:
        groups: Rates of shape (R, G).
        correlation: Of their logarithms, shape (R, G, G); ``None`` for groups of different speakers.
        rng: Source of chance.
        draws: Number of draws.
    """
    runs, size = groups.rate.shape
    found = np.empty((runs, draws))
    first, second = (groups.map(lambda value, axis=axis: np.expand_dims(value, axis)) for axis in (2, 1))  # type: ignore[misc]
    freedom = contrast(first, second).df_ratio
    step = max(1, _DRAWN_NUMBERS // (draws * size))
    for start in range(0, runs, step):
        part = slice(start, min(start + step, runs))
        se, df = np.sqrt(groups.variance[part]), groups.df[part]
        shape = (draws, *se.shape)
        value = rng.standard_normal(shape)
        if correlation is not None:
            values, vectors = np.linalg.eigh(correlation[part])
            # the symmetric root: of several equal eigenvalues the vectors are whatever rounding makes them
            root = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ np.swapaxes(vectors, 1, 2)
            value = np.einsum("drg,rhg->drh", value, root)
        value *= se
        spread = se * np.sqrt(rng.chisquare(df, shape) / df)
        for run in range(part.stop - part.start):
            between = None if correlation is None else correlation[start + run]
            found[start + run] = np.sort(
                _largest_of_pairs(value[:, run].T, spread[:, run].T, se[run] > 0, between, freedom[start + run])
            )
    return found


def _largest_of_pairs(
    value: Floats, spread: Floats, taking_part: npt.NDArray[np.bool_], correlation: Floats | None, freedom: Floats
) -> Floats:
    """Largest normal score of any pair of the groups (G) that take part in each draw (B), shape (B,).

    Args:
        value: Log rates as drawn, shape (G, B).
        spread: Their standard errors as drawn, shape (G, B).
        taking_part: Groups, shape (G,).
        correlation: Shape (G, G).
        freedom: Of each pair, shape (G, G).
    """
    value, spread = (np.ascontiguousarray(values[taking_part]) for values in (value, spread))
    both = np.ix_(taking_part, taking_part)
    freedom, correlation = freedom[both], None if correlation is None else correlation[both]
    largest, squares = np.zeros(value.shape[1]), spread**2
    for one in range(len(value) - 1):
        others = slice(one + 1, None)
        apart = value[others] - value[one]
        apart *= apart
        variance = squares[others] + squares[one]
        if correlation is not None:
            shared = spread[others] * spread[one]
            shared *= 2.0 * correlation[one, others, None]
            variance -= shared
        np.maximum(variance, 1e-300, out=variance)
        # a normal score is never larger than t, so that few have to be worked out
        found = np.flatnonzero(apart > variance * largest**2)
        other, draw = np.divmod(found, len(largest))
        t = np.sqrt(apart.ravel()[found] / variance.ravel()[found])
        np.maximum.at(largest, draw, normal_score(t, freedom[one, others][other]))
    return largest
