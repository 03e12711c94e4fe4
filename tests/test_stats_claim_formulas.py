"""What the tests behind claims are made of, written out by hand: weights, variances, tails, extremes and sizes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_stats_estimates import grouping_of

from asrfair.stats.claims.conditions import _pooled
from asrfair.stats.claims.extreme_pairs import _gap_parts, _inflated, _Moments, _worst_parts
from asrfair.stats.claims.group_questions import _rest
from asrfair.stats.claims.largest import Largest, normal_tail
from asrfair.stats.claims.speakers import change_features, freedom, precision, rate_features, typical, typical_change
from asrfair.stats.claims.table import _size
from asrfair.stats.compare.prompt_inflation import _ratio
from asrfair.stats.core_tables import group_flags
from asrfair.stats.estimate.extremes import people_df
from asrfair.stats.estimate.group_rates import rates_of_cells
from asrfair.stats.estimate.largest_difference import LargestDifference
from asrfair.types import GroupSettings

ERRORS, WORDS = np.array([[10, 90, 0]]), np.array([[100, 300, 0]])


def _weights(pooled: float, spread: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return 1 / (spread + 2 / (np.array([100.0, 300.0]) * pooled))


def test_what_a_speaker_weighs() -> None:
    """1 / (c² + 2 / (W n)) with c² by moments: Σ a (x − W)² less 2 W Σ a (1 − a) / n, over (1 − Σ a²) W²; half an error is the least."""
    rate, weight = precision(ERRORS.astype(float), WORDS.astype(float))
    between = 0.25 * (0.1 - 0.25) ** 2 + 0.75 * (0.3 - 0.25) ** 2
    within = 2 * 0.25 * (0.25 * 0.75 / 100 + 0.75 * 0.25 / 300)
    spread = (between - within) / ((1 - 0.25**2 - 0.75**2) * 0.25**2)
    assert spread > 0
    assert [0.1, 0.3, 0.0] == pytest.approx(rate[0].tolist())
    assert [*_weights(0.25, spread), 0.0] == pytest.approx(weight[0].tolist())
    _, none = precision(np.zeros((1, 3)), WORDS.astype(float))
    assert [*_weights(0.5 / 400, 0.0), 0.0] == pytest.approx(none[0].tolist())


def test_the_rate_of_a_typical_speaker_and_its_variance() -> None:
    """Σwx / Σw + ½/n, and k/(k − 1) Σ w²(x − mean)² / (Σw)² + ½/n² over its square; none of one speaker alone."""
    x, w = (values[0, :2] for values in precision(ERRORS.astype(float), WORDS.astype(float)))
    found = typical(rate_features(ERRORS, WORDS).sum(axis=0)[None, None], 1)
    mean = (w * x).sum() / w.sum()
    rate = mean + 0.5 / 400
    scatter = 2 * (w**2 * (x - mean) ** 2).sum() / w.sum() ** 2
    assert np.log(rate) == pytest.approx(found.log_rate.item())
    assert (scatter + 0.5 / 400**2) / rate**2 == pytest.approx(found.variance.item())
    assert 2 == found.speakers.item()
    assert np.isnan(typical(rate_features(ERRORS, WORDS)[:1][None], 1).variance).all()


def test_how_a_typical_speaker_changes_and_its_variance() -> None:
    """In points and as a log ratio, of speakers who have words in both conditions, with half an error on each side."""
    first = np.array([[20, 90, 9]]), np.array([[100, 300, 50]])
    second = np.array([[10, 60, 0]]), np.array([[100, 300, 0]])
    _, w = precision(np.array([[30.0, 150.0]]), np.array([[200.0, 600.0]]))
    found = typical_change(change_features(first, second).sum(axis=0)[None, None], 1)
    w, x1, x0 = w[0], np.array([0.2, 0.3]), np.array([0.1, 0.2])
    a, b, half = (w * x1).sum() / w.sum(), (w * x0).sum() / w.sum(), 1 / 800
    few = 2 / w.sum() ** 2
    points = few * (w**2 * ((x1 - a) - (x0 - b)) ** 2).sum() + 2 * half**2
    top, bottom = a + half, b + half
    logs = few * (w**2 * ((x1 - a) / top - (x0 - b) / bottom) ** 2).sum() + (half / top) ** 2 + (half / bottom) ** 2
    assert [a - b, np.log(top / bottom), 2] == pytest.approx(
        [found.points.item(), found.log_ratio.item(), found.speakers.item()]
    )
    assert [points, logs] == pytest.approx([found.points_variance.item(), found.log_variance.item()])
    alone = typical_change(change_features(first, second)[:1][None], 1)
    assert np.isnan([alone.points_variance, alone.log_variance]).all()


def test_degrees_of_freedom_of_a_group_against_the_rest() -> None:
    """Satterthwaite's, with variances in proportion to 1 / speakers; at least one half."""
    expected = (1 / 4 + 1 / 8) ** 2 / (1 / (4**2 * 3) + 1 / (8**2 * 7))
    assert [expected, 0.5] == pytest.approx(freedom(np.array([4.0, 1.0]), np.array([8.0, 8.0])).tolist())


def test_p_values_and_critical_values_of_the_largest_by_counting() -> None:
    """(1 + draws at least as large) / (1 + draws), ties included; beyond all draws the bound of the tail, if smaller."""
    largest = Largest.of(np.array([3.0, 1.0, np.nan, 4.0]), normal_tail(3))
    observed = np.array([0.5, -3.0, 3.5, 4.5, 0.0, np.nan])
    tail = 2 * 3 * stats.norm.sf(4.5)
    assert [0.8, 0.6, 0.4, tail, 1.0] == pytest.approx(largest.p(observed)[:5].tolist(), rel=1e-6)
    assert np.isnan(largest.p(observed)[5])
    few = Largest.of(np.array([1.0]), normal_tail(3))
    assert 0.5 == few.p(np.array(1.1)).item()
    assert 1.0 == pytest.approx(few.critical(0.5), abs=1e-6)
    assert 3.0 == pytest.approx(largest.critical(0.4), abs=1e-6)
    assert 4.0 == pytest.approx(largest.critical(0.39), abs=1e-6)
    assert 0.0 == largest.critical(1.0)
    assert stats.norm.isf(0.01 / 6) == pytest.approx(Largest.of(np.zeros(1), normal_tail(3)).critical(0.01))
    assert 4.0 == pytest.approx(largest.critical(0.19), abs=1e-6)  # the tail alone would say less


def test_the_largest_difference_within_and_beyond_its_draws() -> None:
    """Quantiles of the draws and their inverse; beyond them Bonferroni's bound of three pairs, never below the draws."""
    largest = LargestDifference(draws=np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [np.nan] * 5]), pairs=np.array([3, 0]))
    assert 3.0 == largest.critical(0.25)[0]
    assert 0.25 == pytest.approx(largest.p(0, 3.0))
    assert 0.5 == pytest.approx(largest.p(0, 2.0))
    assert 0.2 == largest.p(0, 4.0)
    assert 6 * stats.norm.sf(5.0) == pytest.approx(largest.p(0, 5.0))
    assert 4.0 == largest.critical(0.1)[0]
    assert stats.norm.isf(1e-9 / 6) == pytest.approx(largest.critical(1e-9)[0])
    assert np.isnan(largest.p(1, 2.0))


def test_a_place_costs_a_group_more_than_the_rest_in_points_and_as_a_ratio() -> None:
    """20 for 10 % against 30 for 20 %: no point more, and 2 times instead of 1.5; those who did not say are no rest."""
    words = np.array([[100, 50, 100]])
    errors = [np.array([[20, 15, 99]]), np.array([[10, 10, 1]])]
    points, ratio = _pooled([errors, [words, words]], np.array([True, True, False]))
    assert [0.0, 0.0] == pytest.approx(points[0, :2].tolist())
    assert [2 / 1.5, 1.5 / 2] == pytest.approx(ratio[0, :2].tolist())


def test_the_rest_of_a_group_is_all_other_stated_groups() -> None:
    """Counts added up, without the group and without those who did not say; of one group alone there is none."""
    grouping = SimpleNamespace(stated=np.array([True, True, False]))
    rates: Any = SimpleNamespace(errors=np.array([[10, 30, 99]]), words=np.array([[100, 200, 100]]), grouping=grouping)
    assert [30 / 200, 10 / 100, 40 / 300] == pytest.approx(_rest(rates, 0).tolist())


def test_extremes_of_two_engines_are_compared_by_hand() -> None:
    """The worst of the first against each of the second, its gap against each gap; shared speakers take variance away."""
    moments = _Moments(
        rates=(np.array([0.1, 0.3]), np.array([0.2, 0.25])),
        squares=(np.array([0.01, 0.02]), np.array([0.03, 0.04])),
        products=np.array([0.001, 0.002]),
        df=np.array([5.0, 9.0]),
    )
    value, se, df = _worst_parts(moments)
    assert [0.1, 0.05] == pytest.approx(value.tolist())
    assert [0.02 + 0.03, 0.02 + 0.04 - 2 * 0.002] == pytest.approx((se**2).tolist())
    assert [5, 9] == df.tolist()
    value, se, df = _gap_parts(moments)
    assert [0.2 + 0.05, 0.2 - 0.05] == pytest.approx(value.tolist())
    assert [0.1 + 2 * 0.001 + 2 * 0.002, 0.1 - 2 * 0.001 - 2 * 0.002] == pytest.approx((se**2).tolist())
    assert [5, 5] == df.tolist()
    assert (2 * se).tolist() == pytest.approx(_inflated((value, se, df), 4.0)[1].tolist())


def test_claims_are_ordered_by_the_bound_nearer_to_no_effect() -> None:
    """Points as they are, decibels at three points, ratios as 0.1 log; what is no size, or may be none, is 0."""
    kinds = ["group", "group", "threshold", "adjusted", "adjusted", "worst", "omnibus", "group"]
    low = [0.03, -0.2, 2.0, 1.2, 0.5, 0.1, 0.1, -0.1]
    high = [0.10, -0.1, 5.0, 1.9, 0.9, 0.3, 0.3, 0.2]
    expected = [0.03, 0.1, 0.06, 0.1 * np.log(1.2), -0.1 * np.log(0.9), 0.0, 0.0, 0.0]
    assert expected == pytest.approx(_size(pd.DataFrame({"kind": kinds, "ci_low": low, "ci_high": high})).tolist())


def test_inflation_is_of_variance_and_of_quantiles_and_never_below_one() -> None:
    """Whole over part, times the square of the wider quantile of fewer degrees of freedom."""
    whole, part = np.array([3.0, 3.0, 0.5, np.nan]), np.array([2.0, 2.0, 2.0, 2.0])
    df, own = np.array([4.0, 50.0, 50.0, 4.0]), np.array([20.0, 20.0, 20.0, 20.0])
    wider = stats.t(4).isf(0.025) / stats.t(20).isf(0.025)
    assert [1.5 * wider**2, 1.5, 1.0, 1.0] == pytest.approx(_ratio(whole, part, df, own).tolist())


def test_people_in_several_groups_count_once() -> None:
    """Kish's number of each person's share in all groups, less one, lowered as those of the groups are; at least one."""
    grouping = SimpleNamespace(cell_group=np.array([0, 0, 1, 1]), cell_speaker=np.array([0, 1, 1, 2]))
    rates: Any = SimpleNamespace(
        grouping=grouping, cell_words=np.array([[100, 100, 100, 300]]), words=np.array([[200, 400]]),
        rate=np.array([[0.2, 0.4]]), speaker_df=np.array([[0.8, 1.2]]), effective=np.array([[2.0, 3.0]]),
    )  # fmt: skip
    shares = np.array([0.1, 0.2, 0.3])
    kish = shares.sum() ** 2 / (shares**2).sum() - 1
    assert kish * (0.8 + 0.6) / 2 == pytest.approx(people_df(rates, 0, np.array([0, 1])))
    assert 1.0 == people_df(rates, 0, np.array([0]))
    rates.speaker_df = np.array([[5.0, 9.0]])
    assert kish == pytest.approx(people_df(rates, 0, np.array([0, 1])))


def test_flags_of_groups_at_their_borders() -> None:
    """Three speakers are the least for an interval whatever is asked for, seven for resampling; one who says all is alone."""
    sizes = (2, 3, 6, 7, 3)
    words = np.full((1, sum(sizes)), 100)
    words[0, :2] = 150, 50
    words[0, -1] = 100_000
    errors = np.tile([10, 20, 30], 7)[None]
    errors[0, -1] = 20_000
    rates = rates_of_cells(grouping_of(*sizes), errors, words, words)
    asked = GroupSettings(min_speakers=2, min_words=300)

    def flags(*, percentile: bool) -> list[list[str]]:
        found = group_flags(rates, asked, percentile=percentile)[0].tolist()
        return [[name for name in flag.split(";") if name not in {"", "wide"}] for flag in found]

    assert [["few_speakers", "few_words"], [], [], [], ["one_speaker"]] == flags(percentile=False)
    resampled = [["few_words"], ["few_resamples"], ["few_resamples"], [], ["one_speaker", "few_resamples"]]
    assert resampled == flags(percentile=True)
    none = rates_of_cells(grouping_of(7), np.zeros((1, 7), dtype=int), words[:, :7], words[:, :7])
    assert ["no_errors"] == group_flags(none, asked, percentile=False)[0].tolist()
