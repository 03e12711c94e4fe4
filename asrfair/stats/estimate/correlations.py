"""How group rates of one run go together: through speakers who stand in several groups, and through sentences."""

from __future__ import annotations

import numpy as np

from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.frame import Floats, Ints


def correlations(rates: Rates, run: int) -> Floats:
    """Correlation of the log rates of all groups of a run, shape (G, G): not 0 where they share speakers or sentences.

    What two groups' sentences have in common is at most what they vary by, so that a difference never varies less than
    it does over speakers.
    """
    grouping = rates.grouping
    speakers, column = np.unique(grouping.cell_speaker, return_inverse=True)
    spread = np.zeros((len(grouping.names), len(speakers)))
    spread[grouping.cell_group, column] = rates.influence[run]
    items = rates.items
    with np.errstate(all="ignore"):
        if items is None:
            spread /= np.sqrt((spread**2).sum(axis=1, keepdims=True))
            spread = np.nan_to_num(spread)
            matrix: Floats = np.clip(spread @ spread.T, -1.0, 1.0)
            return matrix
        own = items.variance[run]
        most = (own[:, None] + own[None, :]) / 2
        covariance = spread @ spread.T + np.clip(items.between(run), -most, most)
        size = np.sqrt((spread**2).sum(axis=1) + own)
        matrix = np.clip(np.nan_to_num(covariance / (size[:, None] * size[None, :])), -1.0, 1.0)
    np.fill_diagonal(matrix, np.where(size > 0, 1.0, 0.0))
    return matrix


def correlation_of(rates: Rates, some: Ints, use: Ints) -> Floats | None:
    """Correlations of the groups' log rates in some runs, shape (R, G, G); ``None`` where they share nothing."""
    if not rates.related:
        return None
    return np.stack([correlations(rates, int(run))[np.ix_(use, use)] for run in some])
