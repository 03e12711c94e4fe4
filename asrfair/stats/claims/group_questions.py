"""Do the groups of an attribute differ? Which are worse than all others, which is the worst, how far apart are they?

For every engine and condition one question, tested by dealing speakers' labels out anew: the largest difference between
a group's typical speaker and that of all others (:mod:`asrfair.stats.claims.speakers`). The interval of a group is the
test's own dual on the scale of logarithms, carried over to points with the uncertainty of both rates; it never has
another sign than the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from asrfair.stats.claims.dealt import Dealt
from asrfair.stats.claims.largest import Largest, normal_tail
from asrfair.stats.claims.question import Question
from asrfair.stats.claims.speakers import Typical, freedom, rate_features, typical
from asrfair.stats.claims.table import AND, GAP, GROUP, OMNIBUS, WORST, Row
from asrfair.stats.estimate.contrasts import contrast
from asrfair.stats.estimate.correlations import correlations
from asrfair.stats.estimate.extremes import GapTest
from asrfair.stats.estimate.gaps import extremes
from asrfair.stats.estimate.group_rates import Rates
from asrfair.stats.estimate.normal_scores import normal_score, t_of_score
from asrfair.stats.estimate.rate_interval import limits
from asrfair.stats.frame import Floats

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class GroupTest:
    """Every group against the rest, in every run (R) of an attribute; arrays of shape (R, G) unless said.

    Attributes:
        score: Normal score of the log ratio; NaN where no test is made.
        largest: The largest of a run under chance, R of them.
        own: Typical speaker of the group, shape (1, R, G).
        rest: That of all other groups.
    """

    score: Floats
    largest: tuple[Largest, ...]
    own: Typical
    rest: Typical

    @property
    def df(self) -> Floats:
        """Degrees of freedom."""
        return freedom(self.own.speakers[0], self.rest.speakers[0])

    def bounds(self, run: int, error: float) -> tuple[Floats, Floats]:
        """Bounds of the difference of typical speakers of all groups of a run together, in fractions; shape (G,)."""
        own, rest = self.own, self.rest
        t = t_of_score(self.largest[run].critical(error), self.df[run])
        a, b = own.log_rate[0, run], rest.log_rate[0, run]
        s_a, s_b = np.sqrt(own.variance[0, run]), np.sqrt(rest.variance[0, run])
        with np.errstate(all="ignore"):
            half = t * np.hypot(s_a, s_b)
            apart = np.exp(a) - np.exp(b)
            down_a, up_a = -np.exp(a) * np.expm1(-t * s_a), np.exp(a) * np.expm1(np.minimum(t * s_a, 700.0))
            down_b, up_b = -np.exp(b) * np.expm1(-t * s_b), np.exp(b) * np.expm1(np.minimum(t * s_b, 700.0))
            low, high = apart - np.hypot(down_a, up_b), apart + np.hypot(up_a, down_b)
            more, less = a - b - half, b - a - half  # how far the log ratio is from none, at least
            low = np.where(more > 0, np.maximum(low, np.exp(b - t * s_b) * np.expm1(more)), np.minimum(low, 0.0))
            high = np.where(less > 0, np.minimum(high, -np.exp(a - t * s_a) * np.expm1(less)), np.maximum(high, 0.0))
        return low, high


def group_test(dealt: Dealt, rates: Rates, compared: Bools, inflation: Floats | None = None) -> GroupTest:
    """Deal the labels out and compare.

    Args:
        dealt: The dealings.
        rates: Counts of the cells.
        compared: Groups that are tested, shape (R, G).
        inflation: By what the variance of a group's difference from the rest has to be multiplied, since speakers are
            not all that varies (repeated prompts); shape (R, G), at least 1.
    """
    runs = rates.rate.shape[0]
    features = rate_features(rates.cell_errors[:, dealt.cells], rates.cell_words[:, dealt.cells])
    parts = [typical(sums, runs) for sums in dealt.observed(features)]
    df = freedom(parts[0].speakers[0], parts[1].speakers[0])

    def statistic(own: Floats, rest: Floats) -> Floats:
        score = _score(typical(own, runs), typical(rest, runs))
        with np.errstate(all="ignore"):
            largest: Floats = np.where(compared, np.abs(score), -1.0).max(axis=-1, initial=-1.0, where=~np.isnan(score))
        return largest

    draws = np.concatenate(dealt.draws(features, statistic))
    if inflation is not None:
        grown = np.nan_to_num(np.maximum(inflation, 1.0), nan=1.0)[None]
        parts = [Typical(log_rate=p.log_rate, variance=p.variance * grown, speakers=p.speakers) for p in parts]
    score = np.where(compared, _score(parts[0], parts[1], df)[0], np.nan)
    largest = tuple(Largest.of(draws[:, run], normal_tail(int(compared[run].sum()))) for run in range(runs))
    return GroupTest(score=score, largest=largest, own=parts[0], rest=parts[1])


def _score(own: Typical, rest: Typical, df: Floats | None = None) -> Floats:
    with np.errstate(all="ignore"):
        t = (own.log_rate - rest.log_rate) / np.sqrt(own.variance + rest.variance)
        return normal_score(t, freedom(own.speakers, rest.speakers) if df is None else df)


def group_question(
    name: tuple[str, str, str],
    run: int,
    test: GroupTest,
    rates: Rates,
    compared: Bools,
    gap: GapTest,
) -> Question:
    """Make the question of one engine, condition and attribute.

    Args:
        name: Engine, condition, attribute.
        run: Row of the arrays.
        test: What the dealings gave.
        rates: Pooled rates.
        compared: Groups that are compared, shape (R, G).
        gap: The test of the pair that differs most clearly.
    """
    p = test.largest[run].p(test.score[run])
    question = ":".join((GROUP, *name))
    joint = float(np.nanmin(p)) if np.isfinite(p).any() else np.nan
    engine, condition, attribute = name

    def row(kind: str, **values: object) -> Row:
        where = {"engine": engine, "condition": condition, "attribute": attribute, "question": question}
        return Row(kind=kind, **where, **values)  # type: ignore[arg-type]

    def rows(error: float) -> Iterator[Row]:
        yield row(OMNIBUS, p=joint, level=1.0 - error, table="claims")
        low, high = test.bounds(run, error)
        own, rest = rates.rate[run], _rest(rates, run)
        for group in np.flatnonzero(np.isfinite(p)):
            pooled = own[group] - rest[group]
            against = pooled * test.score[run, group] < 0
            yield row(
                GROUP,
                group=rates.grouping.names[group],
                p=float(p[group]),
                estimate=float(pooled),
                ci_low=float(low[group] if against else min(low[group], pooled)),
                ci_high=float(high[group] if against else max(high[group], pooled)),
                level=1.0 - error,
                table="differences",
                rate=float(own[group]),
                versus_rate=float(rest[group]),
                flag="pooled_disagrees" if against else "",
            )
        if compared[run].sum() > 1:
            yield row(GAP, **_gap(gap, run, error, joint))
            yield row(WORST, **_worst(rates, run, compared[run], error, joint))

    return Question(name=question, p=joint, rows=rows)


def _rest(rates: Rates, run: int) -> Floats:
    """Pooled rate of all other stated groups, shape (G,)."""
    stated = rates.grouping.stated
    errors, words = rates.errors[run] * stated, rates.words[run] * stated
    with np.errstate(all="ignore"):
        rest: Floats = (errors.sum() - errors) / (words.sum() - words)
    return rest


def _gap(gap: GapTest, run: int, error: float, joint: float) -> dict[str, object]:
    """How far the groups of the highest and the lowest rate are apart, and whether any two surely are.

    Both the groups' own test (``joint``) and that of the clearest pair have to reject, and the interval says the same.
    """
    found, names = extremes(gap.rates.rate[[run]], gap.compared[[run]]), gap.rates.grouping.names
    low, high = gap.bounds(run, error)
    return {
        "group": names[found.worst[0]],
        "versus": names[found.best[0]],
        "p": float(np.maximum(joint, gap.p(run))),  # NaN where there is no interval
        "estimate": float(found.gap[0]),
        "ci_low": low if joint <= error else 0.0,
        "ci_high": high,
        "level": 1.0 - error,
        "table": "gaps",
        "rate": float(found.worst_rate[0]),
        "versus_rate": float(found.best_rate[0]),
    }


def _worst(rates: Rates, run: int, compared: Bools, error: float, joint: float) -> dict[str, object]:
    """The group of the highest rate, its own interval, and all groups that may truly be the worst.

    A group is not the worst where some other one is worse beyond chance, against the largest of so many differences of
    one sign (multiple comparisons with the best: Hsu 1984; with Slepian's inequality for the joint probability). That any group is
    not the worst also asks that groups differ at all, which ``joint`` says: Hsu's set holds the truly worst, and where all
    are alike each of them is.
    """
    use = np.flatnonzero(compared)
    highest = int(use[np.argmax(rates.rate[run][use])])
    estimate = rates.estimate.map(lambda value: value[run])
    one, other = (estimate.map(lambda value, axis=axis: np.expand_dims(value[use], axis)) for axis in (1, 0))  # type: ignore[misc]
    shared = correlations(rates, run)[np.ix_(use, use)] if rates.related else 0.0
    found = contrast(one, other, shared)
    score = np.nan_to_num(normal_score(found.statistic, found.df_ratio), nan=0.0)
    worse = score.max(axis=0)  # how clearly the clearest other group is worse than this one
    others = max(len(use) - 1, 1)
    critical = float(special.ndtri((1.0 - error) ** (1.0 / others)))
    clearest = float(np.delete(worse, np.flatnonzero(use == highest)).max(initial=-np.inf))
    maybe = use[(worse < critical) | (use == highest)]
    names = [rates.grouping.names[g] for g in maybe[np.argsort(-rates.rate[run][maybe], kind="stable")]]
    low, high = (float(bound[highest]) for bound in limits(estimate, error / 2))
    return {
        "group": rates.grouping.names[highest],
        "p": max(joint, -np.expm1(others * special.log_ndtr(clearest))),
        "estimate": float(rates.rate[run][highest]),
        "ci_low": low,
        "ci_high": high,
        "level": 1.0 - error,
        "table": "disparity",
        "rate": float(rates.rate[run][highest]),
        "among": AND.join(names),
        "flag": "open" if len(maybe) == len(use) else "",
    }
