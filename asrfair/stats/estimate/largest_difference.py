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
    critical = t_of_score(score[:, None, None], freedom)
    return np.where(score[:, None, None] > 0, critical, t_quantile(p, freedom))


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
            root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
            value = np.einsum("drg,rhg->drh", value, root)
        value *= se
        spread = (se * np.sqrt(rng.chisquare(df, shape) / df)) ** 2
        largest = np.zeros(shape[:2])
        for one in range(size - 1):
            variance = spread[:, :, one, None] + spread[:, :, one + 1 :]
            if correlation is not None:
                shared = correlation[part][:, one, one + 1 :]
                variance -= 2.0 * shared * np.sqrt(spread[:, :, one, None] * spread[:, :, one + 1 :])
            taking_part = (se[:, one, None] > 0) & (se[:, one + 1 :] > 0)
            with np.errstate(all="ignore"):
                t = np.abs(value[:, :, one, None] - value[:, :, one + 1 :]) / np.sqrt(np.maximum(variance, 1e-300))
                score = normal_score(t, freedom[part, one, one + 1 :])
            np.maximum(largest, np.where(taking_part, score, 0.0).max(axis=-1), out=largest)
        found[part] = np.sort(largest, axis=0).T
    return found
