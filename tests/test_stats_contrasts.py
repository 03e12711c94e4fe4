"""Two rates compared, independent and paired, and the extremes of many, against formulas and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from test_stats_estimates import grouping_of

from asrfair.stats.compare.conditions import interact
from asrfair.stats.compare.groups import against_rest
from asrfair.stats.estimate.contrasts import contrast, difference_bounds, ratio_bounds, recover
from asrfair.stats.estimate.correlations import correlations
from asrfair.stats.estimate.extremes import GapTest, jackknife_extremes, mean_interval
from asrfair.stats.estimate.gaps import comparable, extremes
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.largest_difference import critical_of_pairs, largest_difference, largest_scores
from asrfair.stats.estimate.normal_scores import normal_score
from asrfair.stats.estimate.paired import change
from asrfair.stats.estimate.rate_interval import limits

RNG = np.random.default_rng(7)


def simulated(sizes: list[int], rates: list[float], *, sets: int = 1, seed: int = 1) -> Rates:
    """Sets of groups with gamma rates."""
    rng = np.random.default_rng(seed)
    words = rng.integers(100, 600, (sets, sum(sizes)))
    errors = rng.poisson(np.repeat(rates, sizes) * rng.gamma(4, 0.25, words.shape) * words)
    return rates_of_cells(grouping_of(*sizes), errors, words, words)


def test_recovered_bounds_of_symmetric_intervals_are_the_usual_ones() -> None:
    """For equal arms the method gives d ± √(a² + b²), with correlation d ± √(a² + b² − 2ρab)."""
    p1, p2 = np.array(0.5), np.array(0.2)
    low, high = recover(p1, p1 - 0.03, p1 + 0.03, p2, p2 - 0.04, p2 + 0.04)
    assert (0.25, 0.35) == pytest.approx((float(low), float(high)))
    low, _ = recover(p1, p1 - 0.03, p1 + 0.03, p2, p2 - 0.04, p2 + 0.04, 0.5)
    assert float(low) == pytest.approx(0.3 - math.sqrt(0.0025 - 0.0012))


def test_swapping_the_sides_negates_the_difference_and_inverts_the_ratio() -> None:
    """Bounds of b − a are those of a − b with the sign changed; of b / a the reciprocals."""
    estimate = simulated([6, 9], [0.2, 0.1]).estimate
    a, b = (estimate.map(lambda value, side=side: value[:, side]) for side in (0, 1))
    low, high = difference_bounds(a, b, 0.025)
    back_low, back_high = difference_bounds(b, a, 0.025)
    assert np.allclose([low, high], [-back_high, -back_low])
    low, high = ratio_bounds(a, b, 0.025)
    back_low, back_high = ratio_bounds(b, a, 0.025)
    assert np.allclose([low, high], [1 / back_high, 1 / back_low])


def test_the_test_of_a_ratio_is_students() -> None:
    """The statistic is log ratio / √(s₁² + s₂²) with the smaller of both degrees of freedom."""
    rates = simulated([8, 8], [0.2, 0.1])
    a, b = (rates.estimate.map(lambda value, side=side: value[:, side]) for side in (0, 1))
    found = contrast(a, b)
    s1, s2 = rates.se_log[0]
    t = math.log(rates.rate[0, 0] / rates.rate[0, 1]) / math.hypot(s1, s2)
    assert found.p[0] == pytest.approx(2 * stats.t.sf(abs(t), found.df_ratio[0]))
    welch = (s1**2 + s2**2) ** 2 / (s1**4 / rates.df[0, 0] + s2**4 / rates.df[0, 1])
    assert found.df_ratio[0] <= welch * (1 + 1e-9)


def test_no_errors_on_one_side_leave_a_difference_and_no_ratio() -> None:
    """Bounds of the difference are finite, those of the ratio empty."""
    words = np.full((1, 10), 200)
    rates = rates_of_cells(grouping_of(5, 5), np.array([[0] * 5 + [20, 30, 25, 22, 28]]), words, words)
    a, b = (rates.estimate.map(lambda value, side=side: value[:, side]) for side in (0, 1))
    low, high = difference_bounds(a, b, 0.025)
    assert low[0] < -0.125 < high[0] < 0
    assert np.isnan(ratio_bounds(a, b, 0.025)).all()


def test_best_worst_and_gap_leave_out_what_cannot_be_compared() -> None:
    """Groups that are too small or not stated are neither best nor worst; the spread is the population's."""
    rates = simulated([5, 5, 2, 5], [0.1, 0.2, 0.9, 0.15])
    compared = comparable(rates, min_speakers=3, min_words=100)
    assert compared.tolist() == [[True, True, False, True]]
    found = extremes(rates.rate, compared)
    kept = rates.rate[0][[0, 1, 3]]
    assert found.gap[0] == pytest.approx(kept.max() - kept.min())
    assert found.spread[0] == pytest.approx(kept.std())
    assert found.macro[0] == pytest.approx(kept.mean())
    assert found.groups[0] == 3


def test_bounds_of_the_worst_group_are_the_largest_bounds() -> None:
    """Upper: the largest marginal upper bound; lower: the largest simultaneous lower bound."""
    rates = simulated([6, 6, 6], [0.1, 0.2, 0.25])
    every = np.ones((1, 3), dtype=bool)
    found = jackknife_extremes(rates, every, 0.95, largest_difference(rates, every, np.random.default_rng(1)))
    assert found.worst[1][0] == pytest.approx(limits(rates.estimate, 0.025)[1].max())
    each = 1 - 0.975 ** (1 / 3)
    assert found.worst[0][0] == pytest.approx(limits(rates.estimate, each)[0].max())
    assert 0 <= found.gap[0][0] <= rates.rate.max() - rates.rate.min() <= found.gap[1][0]
    assert found.ratio[0][0] >= 1


@pytest.mark.parametrize("error", [0.2, 0.05, 0.01, 1e-3, 1e-6])
def test_the_test_of_a_gap_and_its_bound_are_one(error: float) -> None:
    """At any level, beyond the draws too, the lower bound of a gap is above 0 where the p-value is below, and only there."""
    for seed in range(12):
        rates = simulated([5, 8, 20, 30], [0.1, 0.12, 0.14, 0.1 + 0.03 * seed], seed=seed)
        every = np.ones((1, 4), dtype=bool)
        chance = largest_difference(rates, every, np.random.default_rng(seed), 500)
        gap = GapTest(rates=rates, compared=every, largest=chance)
        assert (gap.bounds(0, error)[0] > 0) == (gap.p(0) < error)


def test_the_largest_difference_of_equal_groups_is_the_studentised_range() -> None:
    """With equal spread and very many degrees of freedom the quantile is q(k, ∞) / √2 of Tukey's range."""
    rates = simulated([6, 6, 6, 6], [0.1] * 4)
    estimate = rates.estimate.map(lambda value: np.full((1, 4), value[0, 0]))
    many = type(estimate)(**{**estimate.__dict__, "df": np.full((1, 4), 1e6)})
    draws = largest_scores(many, None, np.random.default_rng(3), 40_000)
    q = critical_of_pairs(many, np.quantile(draws, 0.95, axis=1), 0.95)[0, 0, 1]
    assert q == pytest.approx(stats.studentized_range.ppf(0.95, 4, 1e5) / math.sqrt(2), abs=0.03)


def test_the_largest_difference_is_that_of_all_pairs() -> None:
    """Pairs that are passed over because they cannot be the largest are not: every pair's score, written out."""
    estimate = simulated([4, 5, 30], [0.1, 0.2, 0.15]).estimate
    related = np.array([[[1.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.0]]])
    rng = np.random.default_rng(5)
    se, df = np.sqrt(estimate.variance[0]), estimate.df[0]
    values, vectors = np.linalg.eigh(related[0])
    value = rng.standard_normal((200, 3)) @ (vectors * np.sqrt(values) @ vectors.T) * se
    spread = se * np.sqrt(rng.chisquare(df, (200, 3)) / df)
    every = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        one, other = (estimate.map(lambda value, side=side: value[0, side]) for side in (a, b))
        variance = spread[:, a] ** 2 + spread[:, b] ** 2 - 2 * related[0, a, b] * spread[:, a] * spread[:, b]
        t = np.abs(value[:, a] - value[:, b]) / np.sqrt(variance)
        every.append(normal_score(t, contrast(one, other).df_ratio))
    drawn = largest_scores(estimate, related, np.random.default_rng(5), 200)
    assert drawn[0] == pytest.approx(np.sort(np.max(every, axis=0)))


def test_the_macro_interval_holds_the_mean() -> None:
    """The mean of group rates lies inside, and one group's interval is not wider than it would be alone."""
    estimate = simulated([6, 9, 12], [0.1, 0.2, 0.15]).estimate
    low, high = mean_interval(estimate, 0.025)
    assert low[0] < estimate.rate.mean() < high[0]


def test_groups_that_share_speakers_are_correlated() -> None:
    """Two groups of the same speakers with proportional errors have correlation 1; of different speakers 0."""
    base = grouping_of(4, 4, 4)
    shared = type(base)(**{**base.__dict__, "cell_speaker": np.array([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7])})
    errors = np.array([[5, 9, 2, 7, 10, 18, 4, 14, 5, 9, 2, 7]])
    words = np.array([[100] * 4 + [200] * 4 + [100] * 4])
    matrix = correlations(rates_of_cells(shared, errors, words, words), 0)
    assert np.allclose([[1, 1, 0], [1, 1, 0], [0, 0, 1]], matrix)


def test_the_rest_is_everybody_else_who_stated_a_group() -> None:
    """Rates of a group and of the rest add up to all stated speakers; not-stated ones are in neither."""
    base = grouping_of(4, 4, 4, 3)
    grouping = type(base)(**{**base.__dict__, "stated": np.array([True, True, True, False])})
    words = RNG.integers(50, 200, (2, 15))
    errors = RNG.integers(0, 50, (2, 15))
    rates = rates_of_cells(grouping, errors, words, words)
    pair = against_rest(rates, 1)
    assert np.array_equal(pair.errors[:, 0], errors[:, 4:8].sum(axis=1))
    assert np.array_equal(pair.words[:, 1], words[:, [*range(4), *range(8, 12)]].sum(axis=1))


def test_a_change_between_places_is_paired() -> None:
    """Twice the errors of every speaker: the ratio is 2 with no uncertainty, the difference follows the level."""
    words = np.full((1, 6), 500)
    errors = np.array([[20, 50, 90, 30, 60, 45]])
    first, second = (rates_of_cells(grouping_of(6), made, words, words) for made in (2 * errors, errors))
    found = change(first, second)
    assert np.allclose(found.ratio_bounds(0.025), [[[2.0]], [[2.0]]])
    low, high = found.difference_bounds(0.025)
    level = found.level.rate
    expected = [bound / level * found.difference for bound in limits(found.level, 0.025)]
    assert np.allclose([low, high], expected)


def test_an_interaction_that_is_none_has_a_ratio_of_one() -> None:
    """Both groups double: the ratio of ratios is 1, the difference-in-differences is not 0 if the rates differ."""
    words = np.full((1, 12), 500)
    errors = np.array([[20, 50, 90, 30, 60, 45, 10, 25, 45, 15, 30, 22]])
    first, second = (rates_of_cells(grouping_of(6, 6), made, words, words) for made in (2 * errors, errors))
    found = interact(change(first, second), np.array([1]), 0.025)
    assert found.ratio[0, 0] == pytest.approx(1.0)
    assert found.difference[0, 0] == pytest.approx(errors[0, :6].sum() / 3000 - errors[0, 6:].sum() / 3000)
    assert found.ratio_low[0, 0] <= 1.0 <= found.ratio_high[0, 0]
