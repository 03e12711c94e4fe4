"""How group rates of one run go together: through speakers who stand in several groups, and through sentences."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.two_way import products_with
from asrfair.stats.frame import Floats, Ints


def correlations(rates: Rates, run: int) -> Floats:
    """Correlation of the log rates of all groups of a run, shape (G, G): not 0 where they share speakers or sentences.

    What two groups' sentences have in common is at most what they vary by, so that a difference never varies less than
    it does over speakers.
    """
    grouping, items = rates.grouping, rates.items
    size = len(grouping.names)
    covariance = np.zeros((size, size))
    if grouping.spans:
        ends = np.append(grouping.starts, len(grouping.cell_group))
        spread = sparse.csr_array((rates.influence[run], grouping.cell_speaker, ends))
        covariance = (spread @ spread.T).toarray()
    variance = _speakers(rates)[run]
    if items is not None:
        own = items.variance[run]
        most = (own[:, None] + own[None, :]) / 2
        covariance += np.clip(items.between(run), -most, most)
        variance = variance + own
    scale = np.sqrt(variance)
    with np.errstate(all="ignore"):
        matrix: Floats = np.clip(np.nan_to_num(covariance / (scale[:, None] * scale[None, :])), -1.0, 1.0)
    np.fill_diagonal(matrix, np.where(scale > 0, 1.0, 0.0))
    return matrix


def correlations_with(rates: Rates, chosen: Ints) -> Floats:
    """The rows of :func:`correlations` of a chosen group of each run, shape (R, G).

    Args:
        rates: The rates.
        chosen: A group of each run, shape (R,).
    """
    grouping, items, rows = rates.grouping, rates.items, np.arange(len(rates.rate))
    size = len(grouping.names)
    covariance = np.zeros(rates.rate.shape)
    if grouping.spans:
        covariance = products_with(chosen, rates.influence, grouping.cell_group, grouping.cell_speaker, size)
    variance = _speakers(rates)
    if items is not None:
        most = (items.variance + items.variance[rows, chosen][:, None]) / 2
        covariance += np.clip(items.shared_with(chosen), -most, most)
        variance = variance + items.variance
    scale = np.sqrt(variance)
    with np.errstate(all="ignore"):
        found: Floats = np.clip(np.nan_to_num(covariance / (scale * scale[rows, chosen][:, None])), -1.0, 1.0)
    found[rows, chosen] = np.where(scale[rows, chosen] > 0, 1.0, 0.0)
    return found


def correlation_of(rates: Rates, some: Ints, use: Ints) -> Floats | None:
    """Correlations of the groups' log rates in some runs, shape (R, G, G); ``None`` where they share nothing."""
    if not rates.related:
        return None
    return np.stack([correlations(rates, int(run))[np.ix_(use, use)] for run in some])


def _speakers(rates: Rates) -> Floats:
    """Variance of log rates over speakers, shape (R, G)."""
    total: Floats = np.add.reduceat(rates.influence**2, rates.grouping.starts, axis=1)
    return total
