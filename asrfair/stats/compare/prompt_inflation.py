"""What tests over speakers have to allow for where sentences are a sample too.

Dealing out labels, or swapping signs, of whole speakers keeps the sentences where they are: groups that read different
lists would be called different for their lists. Multiplying the variance of what was observed (never of what was
dealt) by the factors here makes the statistic as uncertain as it is over speakers and sentences together; quantiles of
few sentences are in the factor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asrfair.stats.compare.groups import against_rest
from asrfair.stats.estimate.contrasts import contrast
from asrfair.stats.estimate.correlations import correlations_with
from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.paired import Change, change, paired_change
from asrfair.stats.estimate.rate_interval import Estimate, t_quantile
from asrfair.stats.estimate.two_way import Readings
from asrfair.stats.frame import Floats, Ints
from asrfair.stats.groups import Grouping

_AT = 0.975
"""Where quantiles of the degrees of freedom with and without sentences are compared."""


def rest_inflation(rates: Rates) -> Floats | None:
    """Factor for the variance of each group's log ratio to all others, at least 1, shape (R, G).

    ``None`` where no sentences are shared, so that nothing is to be allowed for.
    """
    if rates.items is None:
        return None
    factor = np.ones(rates.rate.shape)
    first = np.zeros(len(rates.rate), dtype=np.int64)
    for group in range(len(rates.grouping.names)):
        pair = against_rest(rates, group)
        rho = correlations_with(pair, first)[:, 1]
        one = pair.estimate.map(lambda value: value[:, 0])
        other = pair.estimate.map(lambda value: value[:, 1])
        factor[:, group] = _factor(one, other, rho)
    return factor


def _factor(one: Estimate, other: Estimate, rho: Floats) -> Floats:
    both = contrast(one, other, rho)
    alone = contrast(one.over_speakers(), other.over_speakers())
    return _ratio(both.se_log**2, alone.se_log**2, both.df_ratio, alone.df_ratio)


def change_inflation(found: Change) -> tuple[Floats, Floats] | None:
    """Factors for the variances of each group's log ratio and difference between two runs, shape (P, G) each."""
    first, second = found.sides
    if first.items is None or second.items is None:
        return None
    df, own_df = found.df, np.fmin(first.speaker_df, second.speaker_df)
    return (
        _ratio(found.se_log**2, _own(found, 1.0, 1.0), df, own_df),
        _ratio(found.se_difference**2, _own(found, first.rate, second.rate), df, own_df),
    )


def condition_inflation(
    grouping: Grouping, sums: Ints, shared: tuple[Readings, Readings] | None
) -> tuple[Floats, Floats] | None:
    """Factors for how much more a group changes than all others, as a log ratio and in points, shape (P, G) each.

    Args:
        grouping: The groups.
        sums: Of the pairs, from :func:`asrfair.stats.estimate.paired.paired_sums`.
        shared: Readings of shared sentences; without any nothing is to be allowed for.
    """
    if shared is None:
        return None
    both = paired_change(grouping, sums, shared).sides
    factors = np.ones((2, *both[0].rate.shape))
    rest = np.ones(len(both[0].rate), dtype=np.int64)
    for group in range(len(grouping.names)):
        first, second = (against_rest(side, group) for side in both)
        found = change(first, second)
        alone = change(replace(first, items=None), replace(second, items=None))
        df, own_df = found.df.min(axis=1), np.fmin(first.speaker_df, second.speaker_df).min(axis=1)
        for index, (size, own) in enumerate(
            ((found.se_log, _own(alone, 1.0, 1.0)), (found.se_difference, _own(alone, first.rate, second.rate)))
        ):
            whole = (size**2).sum(axis=1) - 2.0 * found.shared_with(rest)[index][:, 0]
            part = own.sum(axis=1) - 2.0 * alone.shared_with(rest)[index][:, 0]
            factors[index, :, group] = _ratio(whole, part, df, own_df)
    return factors[0], factors[1]


def _own(found: Change, of_first: Floats | float, of_second: Floats | float) -> Floats:
    """Variance over speakers of a combination of two log rates, shape (P, G)."""
    first, second = found.sides
    group = first.grouping.cell_group
    a, b = (np.broadcast_to(value, first.rate.shape)[:, group] for value in (of_first, of_second))
    summed: Floats = np.add.reduceat((a * first.influence - b * second.influence) ** 2, first.grouping.starts, axis=-1)
    return summed


def _ratio(whole: Floats, part: Floats, df: Floats, own_df: Floats) -> Floats:
    """Two-way over speakers' variance, with the wider quantile of fewer degrees of freedom; at least 1."""
    with np.errstate(all="ignore"):
        wider = t_quantile(_AT, np.fmin(df, own_df)) / t_quantile(_AT, own_df)
        ratio = whole / part * wider**2
    return np.where(np.isfinite(ratio), np.maximum(ratio, 1.0), 1.0)
