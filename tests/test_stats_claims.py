"""The tests behind claims: against enumeration, against their duals, and the family of a run against its rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from test_stats_estimates import grouping_of

from asrfair.stats.claims.dealt import deal
from asrfair.stats.claims.extreme_pairs import compare_extremes
from asrfair.stats.claims.family import decide
from asrfair.stats.claims.group_questions import group_test
from asrfair.stats.claims.largest import Largest, hoeffding_tail, normal_tail
from asrfair.stats.claims.question import Question
from asrfair.stats.claims.sign_flips import sign_flips
from asrfair.stats.claims.speakers import precision
from asrfair.stats.claims.table import Row, claim_frame
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.normal_scores import normal_score, t_of_score


def made(*sizes: int, rates: list[float], seed: int = 1, runs: int = 1) -> Rates:
    """Groups with gamma rates."""
    rng = np.random.default_rng(seed)
    words = rng.integers(80, 300, (runs, sum(sizes)))
    errors = rng.poisson(np.repeat(rates, sizes) * rng.gamma(4, 0.25, words.shape) * words)
    return rates_of_cells(grouping_of(*sizes), errors, words, words)


def test_p_and_critical_value_are_one_decision() -> None:
    """p(z) ≤ error exactly where z is above the critical value of that error, with and beyond the draws."""
    draws = np.abs(np.random.default_rng(1).standard_normal(199))
    largest = Largest.of(draws, normal_tail(3))
    for error in (0.2, 0.05, 0.005, 0.001, 1e-6):
        critical = largest.critical(error)
        assert largest.p(np.array(critical * 1.001)) <= error
        assert largest.p(np.array(critical * 0.999)) > error
    assert np.isnan(largest.p(np.array(np.nan)))
    assert hoeffding_tail(1)(np.array(2.0)) == pytest.approx(2 * np.exp(-2.0))


def test_normal_scores_go_back_and_forth() -> None:
    """T → score → t, whatever the degrees of freedom."""
    df = np.array([1.5, 4.0, 30.0])
    np.testing.assert_allclose(t_of_score(normal_score(np.array([3.0, -2.0, 1.0]), df), df), [3.0, -2.0, 1.0])


def test_speakers_weigh_by_what_they_tell() -> None:
    """Equal rates: words count in proportion; much scatter: speakers count alike."""
    words = np.array([[100.0, 400.0, 100.0, 400.0]])
    _, calm = precision(0.2 * words, words)
    np.testing.assert_allclose(calm[0] / calm[0, 0], [1, 4, 1, 4])
    _, wild = precision(words * np.array([[0.01, 0.9, 0.8, 0.02]]), words)
    assert wild[0, 1] / wild[0, 0] < 1.2


def test_the_p_value_of_two_groups_is_that_of_all_dealings() -> None:
    """Four against four: the share of the 70 dealings with a score at least as large."""
    rates = made(4, 4, rates=[0.35, 0.15])
    rng = np.random.default_rng(3)
    compared = np.ones((1, 2), dtype=bool)
    found = group_test(deal(rates.grouping, 4000, rng), rates, compared)
    every = []
    for first in itertools.combinations(range(8), 4):
        order = [*first, *(i for i in range(8) if i not in first)]
        e, n = rates.cell_errors[:, order], rates.cell_words[:, order]
        again = rates_of_cells(rates.grouping, e, n, n)
        every.append(np.nanmax(np.abs(group_test(deal(rates.grouping, 2, rng), again, compared).score)))
    exact = (np.array(every) >= np.nanmax(np.abs(found.score)) - 1e-9).mean()
    assert found.largest[0].p(found.score[0])[0] == pytest.approx(exact, abs=0.02)


def test_the_interval_excludes_no_difference_where_the_test_does() -> None:
    """For every group and error: the bounds in points have the sign of the decision."""
    rates = made(12, 20, 6, 9, rates=[0.1, 0.2, 0.12, 0.3], runs=5)
    test = group_test(deal(rates.grouping, 400, np.random.default_rng(2)), rates, np.ones((5, 4), dtype=bool))
    for run, error in itertools.product(range(5), (0.3, 0.05, 0.01)):
        low, high = test.bounds(run, error)
        p = test.largest[run].p(test.score[run])
        assert (((low > 0) | (high < 0)) == (p <= error)).all()


def test_bounds_in_points_are_those_of_both_rates_put_together() -> None:
    """Where the sign is not sure: d − √((a − a_low)² + (b_high − b)²) and its mirror image, each rate e^(log ± t s)."""
    rates = made(12, 20, 6, 9, rates=[0.2, 0.2, 0.2, 0.2], seed=4)
    test = group_test(deal(rates.grouping, 400, np.random.default_rng(2)), rates, np.ones((1, 4), dtype=bool))
    low, high = test.bounds(0, 0.05)
    assert ((low < 0) & (high > 0)).any()
    t = t_of_score(test.largest[0].critical(0.05), test.df[0])
    for g in np.flatnonzero((low < 0) & (high > 0)):
        (a, a_low, a_high), (b, b_low, b_high) = (
            np.exp(side.log_rate[0, 0, g] + np.array([0, -1, 1]) * t[g] * np.sqrt(side.variance[0, 0, g]))
            for side in (test.own, test.rest)
        )
        assert low[g] == pytest.approx(a - b - np.hypot(a - a_low, b_high - b))
        assert high[g] == pytest.approx(a - b + np.hypot(a_high - a, b - b_low))


def test_inflation_makes_the_test_less_sure() -> None:
    """A variance four times as large halves no score by more or less, but for its normal scale."""
    rates = made(10, 10, rates=[0.1, 0.3])
    dealt = deal(rates.grouping, 200, np.random.default_rng(2))
    compared = np.ones((1, 2), dtype=bool)
    plain = group_test(dealt, rates, compared)
    grown = group_test(dealt, rates, compared, np.full((1, 2), 4.0))
    t = [t_of_score(one.score, one.df) for one in (plain, grown)]
    np.testing.assert_allclose(t[0], 2 * t[1])


def test_sign_flips_equal_enumeration_and_their_interval_is_the_dual() -> None:
    """Seven speakers, all 128 patterns; and 0 is outside the interval where p is at most the error."""
    rng = np.random.default_rng(4)
    words = np.broadcast_to(rng.integers(50, 90, (1, 7)), (2, 1, 7))
    errors = np.stack([rng.poisson(0.4 * words[0]), rng.poisson(0.25 * words[1])])
    found = sign_flips(errors, words, 20_000, rng)
    d = (errors[0] - errors[1])[0] / words[0].sum()
    every = [abs(np.dot(signs, d)) for signs in itertools.product((-1, 1), repeat=7)]
    exact = np.mean(np.array(every) >= abs(d.sum()) - 1e-12)
    assert found.p[0] == pytest.approx(exact, abs=0.01)
    for error in (0.01, 0.05, 0.2, 0.5):
        low, high = found.bounds(error)
        excluded = bool(low[0] > 0 or high[0] < 0)
        assert excluded == bool(found.p[0] <= error)
        assert np.isnan(low[0]) or low[0] <= d.sum() <= high[0]


def test_gaps_of_one_engine_against_itself_do_not_differ() -> None:
    """The same counts twice: no difference, p of 1; twice the errors: the gap is larger, and the bounds say so."""
    rates = made(30, 30, 30, rates=[0.05, 0.06, 0.3])
    double = rates_of_cells(
        rates.grouping,
        np.concatenate([rates.cell_errors, rates.cell_errors, 3 * rates.cell_errors]),
        np.repeat(rates.cell_words, 3, axis=0),
        np.repeat(rates.cell_words, 3, axis=0),
    )
    compared = np.ones((3, 3), dtype=bool)
    for gap in (True, False):
        same = compare_extremes(double, compared, 0, 1, gap=gap)
        assert same.difference == 0
        assert same.p > 0.9
        other = compare_extremes(double, compared, 2, 0, gap=gap)
        assert other.p < 0.05
        low, high = other.bounds(0.05)
        assert 0 < low < other.difference < high
        reverse = compare_extremes(double, compared, 0, 2, gap=gap)
        assert reverse.bounds(0.05) == pytest.approx((-high, -low))


def question(name: str, *p: float, children: tuple[Question, ...] = (), flag: str = "") -> Question:
    """A question whose rows have these p-values."""

    def rows(error: float) -> Iterator[Row]:
        for place, value in enumerate(p):
            yield Row(kind="group", engine=name, group=str(place), p=value, level=1 - error, flag=flag, question=name)

    return Question(name=name, p=min(p), rows=rows, children=children)


def test_one_question_is_tested_at_the_full_level() -> None:
    """A run that asks one thing pays for one."""
    rows = decide([question("a", 0.04, 0.2)], alpha=0.05, strict=False)
    assert [row.affirmed for row in rows] == [True, False]
    assert rows[0].level == pytest.approx(0.95)


def test_many_questions_share_one_budget() -> None:
    """Of four questions one at .02: Benjamini and Hochberg need .0125; at .01 it is answered, its claims at α/4."""
    others = [question(name, 0.6) for name in "bcd"]
    assert not any(row.affirmed for row in decide([question("a", 0.02), *others], alpha=0.05, strict=False))
    rows = decide([question("a", 0.01, 0.012, 0.03), *others], alpha=0.05, strict=False)
    assert [row.affirmed for row in rows[:3]] == [True, True, False]
    assert rows[0].level == pytest.approx(1 - 0.05 / 4)


def test_answered_questions_earn_budget_and_strict_does_not() -> None:
    """All four answered: claims are tested at α; with family-wise control at α/4."""
    four = [question(name, 0.01, 0.03) for name in "abcd"]
    assert all(row.affirmed for row in decide(four, alpha=0.05, strict=False))
    rows = decide(four, alpha=0.05, strict=True)
    assert [row.affirmed for row in rows] == [True, False] * 4


def test_children_are_only_asked_where_their_parent_is_answered() -> None:
    """A clear child of an unclear parent is not affirmed; of a clear one it is, at half the level if there are two."""
    child, other = question("c", 0.001), question("d", 0.03)
    rows = decide([question("a", 0.5, children=(child,))], alpha=0.05, strict=False)
    assert [row.affirmed for row in rows] == [False, False]
    rows = decide([question("a", 0.001, children=(child, other))], alpha=0.05, strict=False)
    assert [row.affirmed for row in rows] == [True, True, False]


def test_what_was_asked_before_the_data_is_tested_first() -> None:
    """A primary question has the full level; the others are open only if it is answered."""
    many = [question(name, 0.6) for name in "bcde"]
    rows = decide([question("a", 0.04), *many], alpha=0.05, strict=False, primary=("a",))
    assert rows[0].affirmed
    rows = decide([question("a", 0.3), question("b", 1e-6)], alpha=0.05, strict=False, primary=("a",))
    assert not any(row.affirmed for row in rows)


def test_a_flag_keeps_a_claim_from_being_affirmed() -> None:
    """However small its p."""
    (row,) = decide([question("a", 1e-9, flag="confounded")], alpha=0.05, strict=False)
    assert not row.affirmed
    assert row.p_adjusted < 1e-6


def test_what_is_certain_and_large_comes_first() -> None:
    """Affirmed before not, then by the bound nearer to no effect."""
    rows = [
        Row(kind="group", group="unsure", estimate=0.5, ci_low=-0.1, ci_high=0.9),
        Row(kind="group", group="small", affirmed=True, estimate=0.1, ci_low=0.01, ci_high=0.2),
        Row(kind="group", group="large", affirmed=True, estimate=-0.3, ci_low=-0.4, ci_high=-0.2),
    ]
    assert claim_frame(rows)["group"].tolist() == ["large", "small", "unsure"]
    assert claim_frame([]).empty
