"""What tests over speakers have to allow for where sentences are a sample too.

Dealing out labels, or swapping signs, of whole speakers keeps the sentences where they are: groups that read different
lists would be called different for their lists. Multiplying the variance of what was observed (never of what was
dealt) by the factors here makes the statistic as uncertain as it is over speakers and sentences together; quantiles of
few sentences are in the factor.
"""

from __future__ import annotations

import numpy as np

from asrfair.stats.compare.groups import against_rest
from asrfair.stats.estimate.contrasts import contrast
from asrfair.stats.estimate.extremes import correlations
from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.paired import Change
from asrfair.stats.estimate.rate_interval import Estimate, t_quantile
from asrfair.stats.frame import Floats

_AT = 0.975
"""Where quantiles of the degrees of freedom with and without sentences are compared."""


def rest_inflation(rates: Rates) -> Floats | None:
    """Factor for the variance of each group's log ratio to all others, at least 1, shape (R, G).

    ``None`` where no sentences are shared, so that nothing is to be allowed for.
    """
    if rates.items is None:
        return None
    factor = np.ones(rates.rate.shape)
    for group in range(len(rates.grouping.names)):
        pair = against_rest(rates, group)
        rho = np.array([correlations(pair, run)[0, 1] for run in range(len(rates.rate))])
        one = pair.estimate.map(lambda value: value[:, 0])
        other = pair.estimate.map(lambda value: value[:, 1])
        factor[:, group] = _factor(one, other, rho)
    return factor


def _factor(one: Estimate, other: Estimate, rho: Floats) -> Floats:
    both = contrast(one, other, rho)
    alone = contrast(one.over_speakers(), other.over_speakers())
    with np.errstate(all="ignore"):
        wider = t_quantile(_AT, np.fmin(both.df_ratio, alone.df_ratio)) / t_quantile(_AT, alone.df_ratio)
        factor = (both.se_log / alone.se_log * wider) ** 2
    return np.where(np.isfinite(factor), np.maximum(factor, 1.0), 1.0)


def change_inflation(found: Change) -> tuple[Floats, Floats] | None:
    """Factors for the variances of each group's log ratio and difference between two runs, shape (P, G) each."""
    first, second = found.sides
    if first.items is None or second.items is None:
        return None
    group = first.grouping.cell_group

    def speakers(of_first: Floats | float, of_second: Floats | float) -> Floats:
        values: Floats = np.add.reduceat(
            (of_first * first.influence - of_second * second.influence) ** 2, first.grouping.starts, axis=-1
        )
        return values

    def factor(whole: Floats, part: Floats) -> Floats:
        with np.errstate(all="ignore"):
            own_df = np.fmin(first.speaker_df, second.speaker_df)
            wider = t_quantile(_AT, np.fmin(found.df, own_df)) / t_quantile(_AT, own_df)
            ratio = whole / part * wider**2
        return np.where(np.isfinite(ratio), np.maximum(ratio, 1.0), 1.0)

    return (
        factor(found.se_log**2, speakers(1.0, 1.0)),
        factor(found.se_difference**2, speakers(first.rate[:, group], second.rate[:, group])),
    )
