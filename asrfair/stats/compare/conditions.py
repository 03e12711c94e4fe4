"""The place and the group: does a condition cost one group more than another?

Difference-in-differences asks it in points, [W(g,c) − W(g,clean)] − [W(r,c) − W(r,clean)], the ratio of ratios in per
cent. Where everybody's rate doubles, the first is large and the second is 1: a table shows both, and says where they
disagree in sign. The same speakers are in both conditions, so each group's change is paired (:mod:`.paired`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.stats.compare.engines import joined
from asrfair.stats.estimate.contrasts import recover
from asrfair.stats.estimate.gaps import extremes
from asrfair.stats.estimate.paired import Change, paired_change, paired_sums
from asrfair.stats.estimate.rate_interval import t_quantile
from asrfair.stats.estimate.two_way import paired_readings
from asrfair.stats.frame import Floats, Frame
from asrfair.stats.groups import Grouping
from asrfair.types import CLEAN, GroupSettings, StatisticsSettings

COLUMNS = [
    "engine",
    "condition",
    "attribute",
    "group",
    "reference_group",
    "difference_in_differences",
    "ci_low",
    "ci_high",
    "ratio_of_ratios",
    "ratio_ci_low",
    "ratio_ci_high",
    "scales_disagree",
    "flag",
]


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """How much more one group changes than another; arrays of one shape, NaN where not known."""

    difference: Floats
    low: Floats
    high: Floats
    ratio: Floats
    ratio_low: Floats
    ratio_high: Floats


def interaction_table(
    frame: Frame, groupings: list[Grouping], groups: GroupSettings, statistics: StatisticsSettings
) -> pd.DataFrame:
    """Make ``interactions.csv``: every group × condition against the reference group and the clean condition.

    The reference group is the named one, else the best group of the clean condition. The baseline is ``clean``, else
    the first condition.

    Args:
        frame: The scores.
        groupings: The attributes.
        groups: Reference groups, and how small is too small.
        statistics: Confidence.
    """
    conditions = len(frame.conditions)
    baseline = frame.conditions.index(CLEAN) if CLEAN in frame.conditions else 0
    named = [(e, c) for e in range(len(frame.engines)) for c in range(conditions) if c != baseline]
    if not named or not groupings:
        return pd.DataFrame(columns=COLUMNS)
    pairs = [(e * conditions + c, e * conditions + baseline) for e, c in named]
    sums = paired_sums(frame, pairs)
    parts: list[pd.DataFrame] = []
    for grouping in groupings:
        found = paired_change(grouping, sums, paired_readings(frame, grouping, pairs))
        speakers = grouping.groups((grouping.cells(sums[2, 0]) > 0).astype(np.int64))
        few = {
            "few_speakers": speakers < groups.min_speakers,
            "few_words": found.second.words < max(groups.min_words, 1),
        }
        compared = ~few["few_speakers"] & ~few["few_words"] & grouping.stated & found.level.known
        name = groups.reference.get(grouping.attribute)
        best = extremes(found.second.rate, compared).best
        reference = np.full(len(named), grouping.names.index(name)) if name in grouping.names else best
        effect = interact(found, reference, (1.0 - statistics.confidence) / 2)
        rows = np.arange(len(named))
        usable = compared & compared[rows, reference][:, None]
        disagree = usable & (effect.difference * np.log(effect.ratio) < 0)
        size = len(grouping.names)
        shown = (np.arange(size) != reference[:, None]) & grouping.stated & (reference >= 0)[:, None]
        pick = np.flatnonzero(shown.ravel())

        def cells(values: Floats, usable: npt.NDArray[np.bool_] = usable, pick: npt.NDArray[np.int64] = pick) -> Floats:
            picked: Floats = np.where(usable, values, np.nan).ravel()[pick]
            return picked

        parts.append(
            pd.DataFrame(
                {
                    "engine": np.repeat([frame.engines[e] for e, _ in named], size)[pick],
                    "condition": np.repeat([frame.conditions[c] for _, c in named], size)[pick],
                    "attribute": grouping.attribute,
                    "group": np.tile(np.array(grouping.names, dtype=object), len(named))[pick],
                    "reference_group": np.repeat(np.array([*grouping.names, ""], dtype=object)[reference], size)[pick],
                    "difference_in_differences": effect.difference.ravel()[pick],
                    "ci_low": cells(effect.low),
                    "ci_high": cells(effect.high),
                    "ratio_of_ratios": effect.ratio.ravel()[pick],
                    "ratio_ci_low": cells(effect.ratio_low),
                    "ratio_ci_high": cells(effect.ratio_high),
                    "scales_disagree": disagree.ravel()[pick],
                    "run": np.repeat(rows, size)[pick],
                    "flag": joined(few, grouping).ravel()[pick],
                }
            )
        )
    table = pd.concat(parts, ignore_index=True).sort_values("run", kind="stable", ignore_index=True)
    return table[COLUMNS]


def interact(found: Change, reference: npt.NDArray[np.int64], tail: float) -> Interaction:
    """Compare the change of every group with that of the reference group.

    Args:
        found: Changes of P pairs and G groups.
        reference: The reference group of each pair, shape (P,).
        tail: One-sided error probability of the bounds.
    """
    rows = np.arange(found.difference.shape[0])

    def at(values: Floats) -> Floats:
        return np.broadcast_to(values[rows, reference][:, None], values.shape)

    def satterthwaite(v: Floats, w: Floats) -> Floats:
        return (v + w) ** 2 / (v**2 / found.df + w**2 / at(found.df))

    shared_log, shared_points = np.zeros((2, *found.difference.shape))
    most = np.full(found.difference.shape, np.inf)
    if found.related:
        shared_log, shared_points = found.shared_with(reference)
        if found.sides[0].grouping.spans:
            most = np.where(shared_log != 0.0, np.fmin(found.df, at(found.df)), np.inf)
    with np.errstate(all="ignore"):
        weight = found.first.rate**2 / found.level.effective
        estimated = satterthwaite(found.se_difference**2, at(found.se_difference) ** 2)
        df = np.fmin(np.fmin(estimated, satterthwaite(weight, at(weight))), most)
        own = found.difference_bounds(tail, df)
        other = _at_reference(found, reference).difference_bounds(tail, df)
        correlation = np.clip(shared_points / (found.se_difference * at(found.se_difference)), -1.0, 1.0)
        correlation = np.nan_to_num(correlation) if found.related else 0.0
        low, high = recover(found.difference, *own, at(found.difference), *other, correlation)
        log_ratio = found.log_ratio - at(found.log_ratio)
        variance = np.maximum(found.se_log**2 + at(found.se_log) ** 2 - 2.0 * shared_log, 0.0)
        expected = 1.0 / found.level.effective
        freedom = np.fmin(satterthwaite(found.se_log**2, at(found.se_log) ** 2), satterthwaite(expected, at(expected)))
        freedom = np.fmin(freedom, most)
        half = t_quantile(1.0 - tail, freedom) * np.sqrt(variance)
        return Interaction(
            difference=found.difference - at(found.difference),
            low=low,
            high=high,
            ratio=np.exp(log_ratio),
            ratio_low=np.exp(log_ratio - half),
            ratio_high=np.exp(np.minimum(log_ratio + half, 700.0)),
        )


def _at_reference(found: Change, reference: npt.NDArray[np.int64]) -> Change:
    """The reference group's change in the place of every group."""
    rows = np.arange(found.difference.shape[0])

    def at(values: Floats) -> Floats:
        return np.broadcast_to(values[rows, reference][:, None], values.shape)

    return Change(
        difference=at(found.difference),
        log_ratio=at(found.log_ratio),
        se_difference=at(found.se_difference),
        se_log=at(found.se_log),
        df=at(found.df),
        level=found.level.map(at),
        correlation=at(found.correlation),
        first=found.first.map(at),
        second=found.second.map(at),
        errors=found.errors,
        words=found.words,
        sides=found.sides,
    )
