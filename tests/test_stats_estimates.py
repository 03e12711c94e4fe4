"""Rates, their influences, degrees of freedom and intervals, against the formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.rate_interval import Estimate, interval, limits, t_quantile
from asrfair.stats.estimate.simultaneous import simultaneous_interval
from asrfair.stats.groups import Grouping


def grouping_of(*sizes: int) -> Grouping:
    """Groups of speakers, one cell a speaker."""
    count = sum(sizes)
    return Grouping(
        attribute="group",
        names=tuple(f"g{i}" for i in range(len(sizes))),
        stated=np.ones(len(sizes), dtype=bool),
        cell_group=np.repeat(np.arange(len(sizes)), sizes),
        cell_speaker=np.arange(count),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        atom_cell=np.arange(count),
        utterance_group=np.zeros(0, dtype=np.int64),
    )


def rates_of(errors: list[int], words: list[int], *sizes: int) -> Rates:
    """Rates of one run."""
    return rates_of_cells(grouping_of(*(sizes or (len(errors),))), *(np.array([v]) for v in (errors, words, words)))


ERRORS, WORDS = [12, 3, 30, 8, 22], [100, 80, 210, 60, 90]


def test_the_standard_error_is_that_of_leaving_each_speaker_out() -> None:
    """√((k − 1)/k Σ (log W₋ᵢ − log W)²), written out."""
    e, n = np.array(ERRORS), np.array(WORDS)
    without = np.log((e.sum() - e) / (n.sum() - n)) - math.log(e.sum() / n.sum())
    assert rates_of(ERRORS, WORDS).se_log[0, 0] == pytest.approx(math.sqrt(4 / 5 * (without**2).sum()))


def test_degrees_of_freedom_are_those_of_the_matrix_written_out() -> None:
    """The geometric mean of Kish's number − 1 and (tr G)² / tr G² of Bell & McCaffrey, with the whole matrix."""
    e, n = np.array(ERRORS, dtype=float), np.array(WORDS, dtype=float)
    a, w = n / n.sum(), e.sum() / n.sum()
    between = (a * (e / n - w) ** 2).sum() - (a * (1 - a) * w / n).sum()
    working = np.diag(max(between / (1 - (a**2).sum()), 0.0) + w / n)
    residual = np.diag(a / (1 - a)) @ (np.eye(5) - np.outer(np.ones(5), a))
    g = residual @ working @ residual.T
    bell = np.trace(g) ** 2 / np.trace(g @ g)
    kish = 1 / (a**2).sum() - 1
    assert rates_of(ERRORS, WORDS).df[0, 0] == pytest.approx(math.sqrt(bell * kish))


def test_the_interval_is_the_formula_of_its_docstring() -> None:
    """The bounds are W exp(m − ts) and W exp(m + ts(1 + az)), with m = min(v, s/2)."""
    rates = rates_of([10 * e for e in ERRORS], [10 * n for n in WORDS])
    s, df = rates.se_log[0, 0], rates.df[0, 0]
    t, z = stats.t.ppf(0.975, df), stats.norm.ppf(0.975)
    a = np.array(WORDS) / sum(WORDS)
    stretch = max(0, 2 / 3 * (a**3).sum() / (a**2).sum() ** 2 - 0.5) * s * max(0, 1 - 3 / df)
    w, m = sum(ERRORS) / sum(WORDS), min(s * s, s / 2)
    low, high = interval(rates.estimate, 0.95)
    assert (w * math.exp(m - t * s), w * math.exp(m + t * s * (1 + stretch * z))) == pytest.approx(
        (low[0, 0], high[0, 0])
    )


def test_no_errors_give_an_upper_bound_and_no_log() -> None:
    """(1 + W n / k)^−k = 2.5 % for k equal speakers; for many it is the Poisson bound −log(0.025) / n."""
    low, high = interval(rates_of([0] * 5, [100] * 5).estimate, 0.95)
    assert low[0, 0] == 0
    assert (1 + high[0, 0] * 100) ** -5 == pytest.approx(0.025)
    _, many = interval(rates_of([0] * 5000, [100] * 5000).estimate, 0.95)
    assert many[0, 0] == pytest.approx(-math.log(0.025) / 500_000, rel=0.01)


def test_few_errors_are_at_least_as_uncertain_as_a_poisson_count() -> None:
    """Twenty speakers with one error each in 1,000 words, less one: not narrower than Garwood's interval for 19."""
    low, high = interval(rates_of([1] * 19 + [0], [1000] * 20).estimate, 0.95)
    assert low[0, 0] <= stats.gamma.ppf(0.025, 19) / 20_000 * (1 + 1e-9)
    assert high[0, 0] >= stats.gamma.ppf(0.975, 20) / 20_000 * (1 - 1e-9)


@pytest.mark.parametrize(
    ("errors", "words"),
    [([5], [100]), ([5, 6], [100, 100]), ([5, 6, 7], [1000, 10, 10]), ([1, 2, 3], [0, 0, 0])],
)
def test_too_few_speakers_get_no_interval(errors: list[int], words: list[int]) -> None:
    """Under three speakers, or where one says nearly everything, or without words, there is none."""
    low, high = interval(rates_of(errors, words).estimate, 0.95)
    assert np.isnan([low[0, 0], high[0, 0]]).all()


def test_all_errors_by_one_speaker_stay_finite() -> None:
    """Without that speaker the rate would be 0; the interval is wide, not undefined."""
    low, high = interval(rates_of([40, 0, 0, 0, 0], [100] * 5).estimate, 0.95)
    assert 0 < low[0, 0] < 0.04
    assert 0.4 < high[0, 0] < math.inf


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 500)), min_size=3, max_size=12), st.floats(0.6, 0.99))
def test_intervals_hold_the_estimate_and_grow_with_confidence(cells: list[tuple[int, int]], level: float) -> None:
    """The bounds are low ≤ W ≤ high wherever there is an interval, and a higher level contains a lower one."""
    rates = rates_of([e for e, _ in cells], [n for _, n in cells])
    low, high = interval(rates.estimate, level)
    if np.isnan(low[0, 0]):
        assert rates.effective[0, 0] < 2
        return
    wide_low, wide_high = interval(rates.estimate, 0.995)
    w = rates.rate[0, 0]
    assert wide_low[0, 0] <= low[0, 0] <= w <= high[0, 0] <= wide_high[0, 0]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 90)), min_size=3, max_size=9), st.integers(2, 7))
def test_scaling_words_scales_the_rate_only(cells: list[tuple[int, int]], factor: int) -> None:
    """Ten times the words at the same errors: a tenth of the rate, the same relative uncertainty."""
    one = rates_of([e for e, _ in cells], [n for _, n in cells])
    many = rates_of([e for e, _ in cells], [factor * n for _, n in cells])
    assert np.allclose(one.rate, factor * many.rate)
    assert np.allclose(one.se_log, many.se_log, equal_nan=True)


def test_simultaneous_intervals_share_the_level_among_the_shown_groups() -> None:
    """Two shown groups of three: each at 0.95^(1/2); one group shown: its own interval."""
    rates = rates_of([*ERRORS, 30, 40, 50, 9, 9, 9], [*WORDS, 200, 300, 250, 90, 80, 99], 5, 3, 3)
    shown = np.array([[True, True, False]])
    low, high = simultaneous_interval(rates.estimate, shown, 0.95)
    each_low, each_high = interval(rates.estimate, math.sqrt(0.95))
    assert np.allclose(low[shown], each_low[shown])
    assert np.allclose(high[shown], each_high[shown])
    alone = simultaneous_interval(rates.estimate, np.array([[True, False, False]]), 0.95)
    assert alone[0][0, 0] == pytest.approx(interval(rates.estimate, 0.95)[0][0, 0])


def test_limits_take_a_tail_for_each_rate() -> None:
    """An array of tails gives what each tail gives alone."""
    estimate: Estimate = rates_of([*ERRORS, 30, 40, 50], [*WORDS, 200, 300, 250], 5, 3).estimate
    both = limits(estimate, np.array([[0.025, 0.1]]))
    assert both[0][0, 0] == limits(estimate, 0.025)[0][0, 0]
    assert both[1][0, 1] == limits(estimate, 0.1)[1][0, 1]


def test_a_quantile_of_no_degrees_of_freedom_is_not_a_number() -> None:
    """Nothing is made up where there is nothing to estimate a spread from."""
    assert np.isnan(t_quantile(0.975, np.array([0.0, np.nan]))).all()


@pytest.mark.parametrize(("errors", "bounded"), [([2] * 9 + [1], True), ([2] * 10, False)])
def test_under_twenty_errors_an_interval_is_no_narrower_than_a_poisson_count(errors: list[int], bounded: bool) -> None:
    """Ten speakers alike with 19 errors get the exact interval of a count, with 20 what their alikeness gives."""
    words = np.full((1, 10), 100)
    estimate = rates_of_cells(grouping_of(10), np.array([errors]), words, words).estimate
    low, high = interval(estimate, 0.95)
    count = sum(errors)
    exact = stats.gamma.ppf(0.025, count) / 1000, stats.gamma.ppf(0.975, count + 1) / 1000
    assert (low[0, 0] <= exact[0] * (1 + 1e-9) and high[0, 0] >= exact[1] * (1 - 1e-9)) == bounded
    assert low[0, 0] <= count / 1000 <= high[0, 0]
