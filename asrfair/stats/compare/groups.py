"""How far each group is from the best group, from a named one, and from everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.stats.attribute_rates import AttributeRates
from asrfair.stats.estimate import contrasts
from asrfair.stats.estimate.bootstrap import Draws, percentile_interval
from asrfair.stats.estimate.correlations import correlations_with
from asrfair.stats.estimate.gaps import extremes
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.largest_difference import critical_value
from asrfair.stats.estimate.rate_interval import Estimate, t_quantile
from asrfair.stats.estimate.two_way import regroup
from asrfair.stats.frame import Floats, Frame
from asrfair.stats.groups import Grouping
from asrfair.stats.plan.power import detectable_difference, speakers_needed
from asrfair.types import GroupSettings, StatisticsSettings

COLUMNS = [
    "engine",
    "condition",
    "attribute",
    "group",
    "versus",
    "versus_group",
    "difference",
    "ci_low",
    "ci_high",
    "sim_low",
    "sim_high",
    "ratio",
    "ratio_ci_low",
    "ratio_ci_high",
    "mdd",
    "mdd_corrected",
    "speakers_needed",
    "flag",
]


@dataclass(frozen=True, kw_only=True)
class _Side:
    """What groups are compared with: arrays of shape (R, G), a name for each row and the correlation with the group."""

    versus: str
    names: npt.NDArray[np.object_]
    estimate: Estimate
    correlation: Floats
    shown: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    critical: Floats


def difference_table(
    frame: Frame, attributes: Sequence[AttributeRates], groups: GroupSettings, statistics: StatisticsSettings
) -> list[pd.DataFrame]:
    """Make the rows of ``differences.csv``, a table an attribute. It tests nothing: claims do.

    Args:
        frame: The scores.
        attributes: The attributes, without everybody.
        groups: How small is too small, and the reference groups.
        statistics: Confidence and interval.
    """
    looked_at = int(sum(one.compared.sum() for one in attributes))
    tail = (1.0 - statistics.confidence) / 2
    tables = [pd.DataFrame(columns=COLUMNS)]
    for one in attributes:
        sides = [_best(one, tail)]
        reference = _reference(one.grouping, groups)
        if reference >= 0:
            sides.append(_named(one.rates, one.compared, reference, tail))
        sides.append(_rest(one.rates, one.compared, tail))
        tables.extend(_table(frame, one, side, statistics, tail, looked_at) for side in sides)
    return tables


def _reference(grouping: Grouping, groups: GroupSettings) -> int:
    name = groups.reference.get(grouping.attribute)
    return grouping.names.index(name) if name in grouping.names else -1


def _best(attribute: AttributeRates, tail: float) -> _Side:
    rates, compared = attribute.rates, attribute.compared
    runs, size = rates.rate.shape
    best = extremes(rates.rate, compared).best
    rows = np.arange(runs)
    chosen = rates.estimate.map(lambda value: np.broadcast_to(value[rows, best][:, None], (runs, size)))
    score = attribute.largest.critical(2 * tail)[:, None]  # NaN where there are no two groups to compare
    critical = critical_value(contrasts.contrast(rates.estimate, chosen).df_ratio, score, 1.0 - 2 * tail)
    others = np.arange(size)[None, :] != best[:, None]
    stated = rates.grouping.stated[None, :]
    return _Side(
        versus="best",
        names=np.broadcast_to(np.array([*rates.grouping.names, ""], dtype=object)[best][:, None], (runs, size)),
        estimate=chosen,
        correlation=correlations_with(rates, best) if rates.related else np.zeros((runs, size)),
        shown=others & stated & (best >= 0)[:, None],
        usable=others & compared,
        critical=np.where(compared & ~np.isnan(score), critical, np.nan),
    )


def _named(rates: Rates, compared: npt.NDArray[np.bool_], reference: int, tail: float) -> _Side:
    runs, size = rates.rate.shape
    chosen = rates.estimate.map(lambda value: np.broadcast_to(value[:, reference][:, None], (runs, size)))
    correlation = np.zeros((runs, size))
    if rates.related:
        correlation = correlations_with(rates, np.full(runs, reference))
    others = np.arange(size) != reference
    usable = compared & compared[:, [reference]] & others
    return _Side(
        versus="reference",
        names=np.full((runs, size), rates.grouping.names[reference], dtype=object),
        estimate=chosen,
        correlation=correlation,
        shown=np.broadcast_to(others & rates.grouping.stated, (runs, size)),
        usable=usable,
        critical=_sidak(rates.estimate, chosen, usable, tail),
    )


def _rest(rates: Rates, compared: npt.NDArray[np.bool_], tail: float) -> _Side:
    """Everybody else whose group was stated, groups that are too small included."""
    runs, size = rates.rate.shape
    columns: list[Estimate] = []
    correlation = np.zeros((runs, size))
    for group in range(size):
        pair = against_rest(rates, group)
        columns.append(pair.estimate.map(lambda value: value[:, 1]))
        if rates.related:
            correlation[:, group] = correlations_with(pair, np.zeros(runs, dtype=np.int64))[:, 1]
    chosen = columns[0].map(lambda value: value)
    chosen = replace(
        chosen,
        **{
            name: np.stack([getattr(column, name) for column in columns], axis=1)
            for name in chosen.__dataclass_fields__
        },
    )
    usable = compared & chosen.known
    return _Side(
        versus="rest",
        names=np.full((runs, size), "", dtype=object),
        estimate=chosen,
        correlation=correlation,
        shown=np.broadcast_to(rates.grouping.stated & (rates.grouping.stated.sum() > 1), (runs, size)),
        usable=usable,
        critical=_sidak(rates.estimate, chosen, usable, tail),
    )


def against_rest(rates: Rates, group: int) -> Rates:
    """Rates of one group (first) and of all other stated groups together (second)."""
    grouping = rates.grouping
    cells = np.flatnonzero(grouping.stated[grouping.cell_group] | (grouping.cell_group == group))
    other = (grouping.cell_group[cells] != group).astype(np.int64)
    speakers = int(grouping.cell_speaker.max()) + 1
    keys, place = np.unique(other * speakers + grouping.cell_speaker[cells], return_inverse=True)
    two = Grouping(
        attribute=grouping.attribute,
        names=(grouping.names[group], "rest"),
        stated=np.array([True, True]),
        cell_group=keys // speakers,
        cell_speaker=keys % speakers,
        starts=np.searchsorted(keys // speakers, np.arange(2)),
        atom_cell=place,
        utterance_group=np.zeros(0, dtype=np.int64),
    )
    if two.starts[1] == len(keys):
        two = replace(
            two,
            cell_group=np.append(two.cell_group, 1),
            cell_speaker=np.append(two.cell_speaker, 0),
        )
    present = (rates.cell_words[:, cells] > 0) | (rates.cell_errors[:, cells] > 0)
    shared = None
    if rates.items is not None:
        new = np.full(len(grouping.cell_group), -1)
        new[cells] = place
        shared = regroup(rates.items.readings, two, new)
    return rates_of_cells(
        two,
        two.cells(rates.cell_errors[:, cells]),
        two.cells(rates.cell_words[:, cells]),
        two.cells(present.astype(np.int64)),
        shared,
    )


def _sidak(first: Estimate, second: Estimate, usable: npt.NDArray[np.bool_], tail: float) -> Floats:
    """Critical values at which all usable comparisons of a run hold at once (Šidák 1967)."""
    count = np.maximum(usable.sum(axis=1, keepdims=True), 1)
    each = (1.0 - (1.0 - 2 * tail) ** (1.0 / count)) / 2
    return t_quantile(1.0 - each, contrasts.contrast(first, second).df_difference)


def _table(
    frame: Frame, attribute: AttributeRates, side: _Side, statistics: StatisticsSettings, tail: float, looked_at: int
) -> pd.DataFrame:
    """Rows of one kind of comparison; ``mdd_corrected`` is corrected for the groups looked at in the whole run."""
    rates, flags, draws = attribute.rates, attribute.flags, attribute.draws
    own, other, usable = rates.estimate, side.estimate, side.usable
    found = contrasts.contrast(own, other, side.correlation)
    low, high = contrasts.difference_bounds(own, other, tail, side.correlation)
    sim_low, sim_high = contrasts.difference_bounds(own, other, tail, side.correlation, side.critical)
    ratio_low, ratio_high = contrasts.ratio_bounds(own, other, tail, side.correlation)
    if draws is not None:
        low, high, ratio_low, ratio_high = _percentile(draws, rates, side, statistics.confidence)
    size = rates.rate.shape[1]
    needed = speakers_needed(
        rate=other.rate,
        difference=statistics.detect,
        own_variance=own.variance,
        own_speakers=rates.speakers,
        other_variance=other.variance,
        other_df=other.df,
        level=statistics.confidence,
        alike=True,
    )
    labels = frame.runs()
    pick = np.flatnonzero(side.shown.ravel())

    def cells(values: Floats, *, where: npt.NDArray[np.bool_] | None = None) -> Floats:
        shown = values if where is None else np.where(where, values, np.nan)
        return np.ravel(shown)[pick]

    return pd.DataFrame(
        {
            "engine": np.repeat([engine for engine, _ in labels], size)[pick],
            "condition": np.repeat([condition for _, condition in labels], size)[pick],
            "attribute": rates.grouping.attribute,
            "group": np.tile(np.array(rates.grouping.names, dtype=object), len(labels))[pick],
            "versus": side.versus,
            "versus_group": np.ravel(side.names)[pick],
            "difference": cells(found.difference),
            "ci_low": cells(low, where=usable),
            "ci_high": cells(high, where=usable),
            "sim_low": cells(sim_low, where=usable),
            "sim_high": cells(sim_high, where=usable),
            "ratio": cells(found.ratio),
            "ratio_ci_low": cells(ratio_low, where=usable),
            "ratio_ci_high": cells(ratio_high, where=usable),
            "mdd": cells(
                detectable_difference(other.rate, found.se_log, found.df_ratio, statistics.confidence), where=usable
            ),
            "mdd_corrected": cells(
                detectable_difference(
                    other.rate, found.se_log, found.df_ratio, 1.0 - (1.0 - statistics.confidence) / max(looked_at, 1)
                ),
                where=usable,
            ),
            "speakers_needed": cells(np.where(np.isfinite(needed), needed, np.nan), where=usable),
            "flag": np.ravel(flags)[pick],
        }
    )


def _percentile(draws: Draws, rates: Rates, side: _Side, level: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Percentile intervals of differences and ratios: the other group of the data, in every draw."""
    own = draws.rate
    if side.versus == "rest":
        stated = rates.grouping.stated
        errors = np.where(stated, draws.errors, 0)
        words = np.where(stated, draws.words, 0)
        with np.errstate(all="ignore"):
            other = (errors.sum(axis=-1, keepdims=True) - errors) / (words.sum(axis=-1, keepdims=True) - words)
    else:
        index = np.array([[rates.grouping.names.index(name) if name else 0 for name in row] for row in side.names])
        other = np.take_along_axis(own, np.broadcast_to(index, own.shape), axis=-1)
    with np.errstate(all="ignore"):
        difference = percentile_interval(own - other, level)
        ratio = percentile_interval(np.where(other > 0, own / other, np.nan), level)
    return (*difference, *ratio)
