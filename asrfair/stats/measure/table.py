"""The table of metrics: any ratio of a group's summed counts, with intervals over its speakers.

A ratio whose numerator counts events gets the interval of a word error rate
(:mod:`asrfair.stats.estimate.rate_interval`). Any other is evaluated without each speaker in turn, on a scale where its
values are roughly symmetric (log for rates, log odds for shares of which more is better): the jackknife, with Student's t
at the effective number of speakers less one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.errors import InputError
from asrfair.scoring.metric import WORDS, Metric
from asrfair.stats.estimate.group_rates import rates_of_cells
from asrfair.stats.estimate.rate_interval import limits, t_quantile
from asrfair.stats.explain.design import add_up
from asrfair.stats.frame import Floats, Frame, Ints
from asrfair.stats.groups import Grouping
from asrfair.stats.measure.counts import ledger_counts, timings
from asrfair.stats.measure.metrics import METRICS, requested_metrics
from asrfair.types import GroupSettings, StatisticsSettings

COLUMNS = (
    "engine",
    "condition",
    "attribute",
    "group",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "sim_low",
    "sim_high",
    "flag",
)


def metric_table(
    frame: Frame,
    groupings: Sequence[Grouping],
    groups: GroupSettings,
    statistics: StatisticsSettings,
    ledger: pd.DataFrame,
    *,
    names: Sequence[str] = (),
) -> pd.DataFrame:
    """Make ``metrics.csv``.

    Flags, all without interval: ``few_speakers``, ``few_words``; ``at_bound`` (a share of 0 or 1); ``one_speaker``
    (without one of the speakers the value is at a bound or undefined).

    Args:
        frame: The scores.
        groupings: For whom.
        groups: How small is too small.
        statistics: Confidence.
        ledger: Columns engine, condition, utterance_id, reason.
        names: Further metrics, see :func:`requested_metrics`.

    Raises:
        InputError: A metric cannot be found.
    """
    further, timed = requested_metrics(names)
    extra = ledger_counts(frame, ledger)
    if timed:
        extra.update(timings(frame))
    parts = [
        _of_grouping(frame, grouping, extra, (*METRICS, *further), groups, statistics.confidence)
        for grouping in groupings
    ]
    table = pd.concat(parts, ignore_index=True)
    runs = {pair: index for index, pair in enumerate(frame.runs())}
    place = np.array([runs[pair] for pair in zip(table["engine"], table["condition"], strict=True)])
    return table.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Summed counts of one grouping. R runs, N cells, G groups."""

    grouping: Grouping
    cells: Mapping[str, Floats]
    totals: Mapping[str, Floats]
    without: Mapping[str, Floats]
    present: npt.NDArray[np.bool_]
    speakers: Ints


def _of_grouping(
    frame: Frame,
    grouping: Grouping,
    extra: Mapping[str, Floats],
    metrics: Sequence[Metric],
    groups: GroupSettings,
    level: float,
) -> pd.DataFrame:
    sums = _sum(frame, grouping, extra)
    few_speakers = sums.speakers < groups.min_speakers
    few_words = sums.totals["ref_words"] < max(groups.min_words, 1)
    family = np.maximum((~few_speakers & ~few_words).sum(axis=1, keepdims=True), 1)
    tails = [np.full(family.shape, (1 - level) / 2), (1 - level ** (1.0 / family)) / 2]
    runs, size = frame.runs(), len(grouping.names)
    tables: list[pd.DataFrame] = []
    for metric in metrics:
        if not set(metric.quantities) <= set(sums.cells):
            raise InputError(
                "the run was not counted by this metric", value=metric.name, remedy="Score it again with this metric"
            )
        if not _side(metric.denominator, sums.cells).any():
            continue
        value = _evaluate(metric, sums.totals)
        at_bound = np.isfinite(value) & ~np.isfinite(_forward(_scale(metric), value)) & (not _counts_events(metric))
        bounds = []
        for low, high in _intervals(metric, value, sums, tails):
            hide = few_speakers | few_words | at_bound | ~np.isfinite(high - low)
            bounds += [np.where(hide, np.nan, low), np.where(hide, np.nan, np.minimum(high, metric.most))]
        alone = ~np.isfinite(bounds[0]) & np.isfinite(value) & ~(at_bound | few_speakers | few_words)
        flag = np.full(value.shape, "", dtype=object)
        marks = {"few_speakers": few_speakers, "few_words": few_words, "at_bound": at_bound, "one_speaker": alone}
        for name, where in marks.items():
            flag[where] = np.where(flag[where] == "", name, flag[where] + f";{name}")
        columns = {
            "engine": np.repeat([engine for engine, _ in runs], size),
            "condition": np.repeat([condition for _, condition in runs], size),
            "attribute": grouping.attribute,
            "group": np.tile(np.array(grouping.names, dtype=object), len(runs)),
            "metric": metric.name,
            "value": value.ravel(),
        }
        columns.update(zip(("ci_low", "ci_high", "sim_low", "sim_high"), (b.ravel() for b in bounds), strict=True))
        tables.append(pd.DataFrame({**columns, "flag": flag.ravel()}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _sum(frame: Frame, grouping: Grouping, extra: Mapping[str, Floats]) -> _Sums:
    cells = {name: grouping.cells(frame.sums(name)).astype(np.float64) for name in frame.quantities}
    cells["ref_words"] = _side(WORDS[:3], cells)
    for name, atoms in extra.items():
        cells[name] = np.array([add_up(grouping.atom_cell, row, len(grouping.cell_group)) for row in atoms])
    totals = {name: np.add.reduceat(values, grouping.starts, axis=1) for name, values in cells.items()}
    present = cells["attempted"] > 0
    return _Sums(
        grouping=grouping,
        cells=cells,
        totals=totals,
        without={name: totals[name][:, grouping.cell_group] - values for name, values in cells.items()},
        present=present,
        speakers=np.add.reduceat(present.astype(np.int64), grouping.starts, axis=1),
    )


def _intervals(metric: Metric, value: Floats, sums: _Sums, tails: Sequence[Floats]) -> Iterator[tuple[Floats, Floats]]:
    """Yield lower and upper bounds for each tail probability (one a run)."""
    if _counts_events(metric):
        sides = (metric.numerator, metric.denominator, ("utterances",))
        one, other, heard = (np.rint(_side(names, sums.cells)).astype(np.int64) for names in sides)
        estimate = rates_of_cells(sums.grouping, one, other, heard).estimate
        for tail in tails:
            yield limits(estimate, np.broadcast_to(tail, value.shape))
        return
    weight = _side(metric.denominator, sums.cells)
    error = _jackknife_error(metric, value, sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.add.reduceat(weight, sums.grouping.starts, axis=1)
        effective = total**2 / np.add.reduceat(weight**2, sums.grouping.starts, axis=1)
    centre = _forward(_scale(metric), value)
    for tail in tails:
        half = t_quantile(np.broadcast_to(1 - tail, value.shape), effective - 1) * error
        yield _back(_scale(metric), centre - half), _back(_scale(metric), centre + half)


def _side(names: Sequence[str], counts: Mapping[str, Floats]) -> Floats:
    """The named counts added up; one with a minus before its name is subtracted."""
    total: Floats = np.zeros_like(next(iter(counts.values())))
    for name in names:
        total = total - counts[name[1:]] if name.startswith("-") else total + counts[name]
    return total


def _scale(metric: Metric) -> str:
    return "logit" if metric.better == "higher" and metric.most <= 1 else "log"


def _counts_events(metric: Metric) -> bool:
    return _scale(metric) == "log" and metric.events


def _evaluate(metric: Metric, counts: Mapping[str, Floats]) -> Floats:
    above, below = _side(metric.numerator, counts), _side(metric.denominator, counts)
    value: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return value


def _forward(scale: str, value: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "log":
            return np.asarray(np.log(value))
        if scale == "logit":
            return np.asarray(np.log(value) - np.log1p(-value))
    return value


def _back(scale: str, value: Floats) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        if scale == "log":
            return np.asarray(np.exp(value))
        if scale == "logit":
            return np.asarray(1 / (1 + np.exp(-value)))
    return value


def _jackknife_error(metric: Metric, value: Floats, sums: _Sums) -> Floats:
    """Standard error on the metric's scale; NaN where a speaker decides whether there is a value at all."""
    transformed = _forward(_scale(metric), value)
    grouping = sums.grouping
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = _forward(_scale(metric), _evaluate(metric, sums.without)) - transformed[:, grouping.cell_group]
        shift = np.where(sums.present, shift, 0.0)
        factor = (sums.speakers - 1) / sums.speakers
        error = np.sqrt(factor * np.add.reduceat(shift**2, grouping.starts, axis=1))
    return np.where(np.isfinite(error) & (sums.speakers > 1), error, np.nan)
