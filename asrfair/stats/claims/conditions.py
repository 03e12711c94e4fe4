"""Does a condition cost one group more than all others: in points, and, as a claim of its own, as a ratio?

Tested like the groups themselves, by dealing labels out; what is compared is how a typical speaker's rate changes from
the baseline to the condition. All conditions of an engine and all groups of an attribute are one question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asrfair.stats.claims.dealt import Dealt
from asrfair.stats.claims.largest import Largest, normal_tail
from asrfair.stats.claims.question import Question
from asrfair.stats.claims.speakers import TypicalChange, change_features, freedom, typical_change
from asrfair.stats.claims.table import INTERACTION, INTERACTION_RATIO, Row
from asrfair.stats.compare.prompt_inflation import condition_inflation
from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.normal_scores import normal_score, t_of_score
from asrfair.stats.estimate.paired import paired_sums
from asrfair.stats.estimate.two_way import paired_readings
from asrfair.stats.frame import Floats, Frame

_Pick = Callable[[TypicalChange], tuple[Floats, Floats]]


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Points or ratio: what is compared, its variance, and how it is said."""

    kind: str
    pick: _Pick


SCALES = (
    _Scale(kind=INTERACTION, pick=lambda change: (change.points, change.points_variance)),
    _Scale(kind=INTERACTION_RATIO, pick=lambda change: (change.log_ratio, change.log_variance)),
)


def questions_of_conditions(
    frame: Frame, dealt: Dealt, rates: Rates, compared: npt.NDArray[np.bool_], engine: int, baseline: int
) -> Iterator[Question]:
    """Make the questions of one engine and attribute: in points, then as a ratio.

    Args:
        frame: The scores.
        dealt: The dealings of the attribute.
        rates: Its rates.
        compared: Groups that are compared, shape (R, G).
        engine: Which engine.
        baseline: The condition that others are compared with.
    """
    conditions = len(frame.conditions)
    others = [c for c in range(conditions) if c != baseline]
    start = engine * conditions
    both = np.stack([compared[start + c] & compared[start + baseline] for c in others])
    if both.sum(axis=1).max(initial=0) < 2:
        return
    grouping = rates.grouping
    pairs = [(start + c, start + baseline) for c in others]
    sums = paired_sums(frame, pairs)
    cells = [[grouping.cells(sums[quantity, side]) for side in (0, 1)] for quantity in (0, 1)]
    picked = [[part[:, dealt.cells] for part in pair] for pair in cells]
    features = change_features((picked[0][0], picked[1][0]), (picked[0][1], picked[1][1]))
    runs = len(others)
    own, rest = (typical_change(part, runs) for part in dealt.observed(features))
    grown = condition_inflation(grouping, sums, paired_readings(frame, grouping, pairs))
    if grown is not None:
        own, rest = (
            replace(c, points_variance=c.points_variance * grown[1][None], log_variance=c.log_variance * grown[0][None])
            for c in (own, rest)
        )

    def statistic(here: Floats, there: Floats) -> Floats:
        one, other = typical_change(here, runs), typical_change(there, runs)
        scores = [np.abs(_score(one, other, scale)) for scale in SCALES]
        largest = [
            np.where(both, score, -1.0).max(axis=(-1, -2), initial=-1.0, where=~np.isnan(score)) for score in scores
        ]
        return np.stack(largest, axis=-1)

    draws = np.concatenate(dealt.draws(features, statistic))
    totals = [[grouping.groups(part) for part in pair] for pair in cells]
    pooled = _pooled(totals, grouping.stated)
    for index, scale in enumerate(SCALES):
        largest = Largest.of(draws[:, index], normal_tail(int(both.sum())))
        score = np.where(both, _score(own, rest, scale)[0], np.nan)
        p = largest.p(score)
        if np.isfinite(p).any():
            attribute = grouping.attribute
            name = f"{scale.kind}:{frame.engines[engine]}:{attribute}"
            rows = _Rows(
                name=name, scale=scale, score=score, largest=largest, p=p, own=own, rest=rest, estimate=pooled[index],
                engine=frame.engines[engine], conditions=tuple(frame.conditions[c] for c in others),
                attribute=attribute, groups=grouping.names,
            )  # fmt: skip
            yield Question(name=name, p=float(np.nanmin(p)), rows=rows)


def _score(own: TypicalChange, rest: TypicalChange, scale: _Scale) -> Floats:
    (a, v), (b, u) = scale.pick(own), scale.pick(rest)
    with np.errstate(all="ignore"):
        return normal_score((a - b) / np.sqrt(v + u), freedom(own.speakers, rest.speakers))


def _pooled(totals: list[list[npt.NDArray[np.int64]]], stated: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Pooled change of each group less that of the rest, in points and as a ratio of ratios; shape (C, G)."""
    changes: list[tuple[Floats, Floats]] = []
    own = [[part.astype(np.float64) for part in pair] for pair in totals]
    rest = [[(part * stated).sum(axis=1, keepdims=True) - part for part in pair] for pair in own]
    with np.errstate(all="ignore"):
        for errors, words in (own, rest):
            first, second = errors[0] / words[0], errors[1] / words[1]
            changes.append((first - second, first / second))
        return changes[0][0] - changes[1][0], changes[0][1] / changes[1][1]


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Makes the rows of one question."""

    name: str
    scale: _Scale
    score: Floats
    largest: Largest
    p: Floats
    own: TypicalChange
    rest: TypicalChange
    estimate: Floats
    engine: str
    conditions: tuple[str, ...]
    attribute: str
    groups: tuple[str, ...]

    def __call__(self, error: float) -> Iterator[Row]:
        (a, v), (b, u) = self.scale.pick(self.own), self.scale.pick(self.rest)
        df = freedom(self.own.speakers, self.rest.speakers)[0]
        with np.errstate(all="ignore"):
            half = t_of_score(self.largest.critical(error), df) * np.sqrt(v + u)[0]
            apart = (a - b)[0]
            low, high = apart - half, apart + half
        none = 0.0
        if self.scale.kind == INTERACTION_RATIO:
            low, high, none = np.exp(low), np.exp(np.minimum(high, 700.0)), 1.0
        for c, group in zip(*np.nonzero(np.isfinite(self.p)), strict=True):
            estimate = float(self.estimate[c, group])
            against = (estimate - none) * self.score[c, group] < 0 or not np.isfinite(estimate)
            yield Row(
                kind=self.scale.kind, engine=self.engine, condition=self.conditions[c], attribute=self.attribute,
                group=self.groups[group], p=float(self.p[c, group]), estimate=estimate,
                ci_low=float(low[c, group] if against else min(low[c, group], estimate)),
                ci_high=float(high[c, group] if against else max(high[c, group], estimate)),
                level=1.0 - error, table="interactions", question=self.name,
                flag="pooled_disagrees" if against else "",
            )  # fmt: skip
