"""Speaker-blocked draws: what they sum, that they are paired, and that percentiles are the published definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_stats_estimates import grouping_of

from asrfair.stats.estimate.bootstrap import nan_quantiles, percentile_interval, speaker_draws
from asrfair.stats.estimate.extremes import percentile_extremes
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells


def two_engines(*sizes: int, spans: bool = False) -> Rates:
    """Counts of two engines; with ``spans`` the first speaker of each group is one and the same."""
    rng = np.random.default_rng(3)
    count = sum(sizes)
    grouping = grouping_of(*sizes)
    if spans:
        speaker = grouping.cell_speaker.copy()
        speaker[grouping.starts] = 0
        grouping = type(grouping)(**{**grouping.__dict__, "cell_speaker": speaker})
    words = np.tile(rng.integers(20, 90, count), (2, 1))
    errors = rng.integers(0, 20, (2, count))
    return rates_of_cells(grouping, errors, words, words)


def test_draws_of_three_speakers_are_the_ten_resamples_there_are() -> None:
    """C(2k − 1, k) = 10 distinct resamples of three speakers, each as often as it should be."""
    rates = two_engines(3)
    draws = speaker_draws(rates, 30_000, np.random.default_rng(1))
    expected: dict[tuple[int, int], float] = {}
    e, n = rates.cell_errors[0], rates.cell_words[0]
    for picked in itertools.product(range(3), repeat=3):
        key = (int(e[list(picked)].sum()), int(n[list(picked)].sum()))
        expected[key] = expected.get(key, 0) + 1 / 27
    seen, count = np.unique(np.stack([draws.errors[:, 0, 0], draws.words[:, 0, 0]]), axis=1, return_counts=True)
    found = {(int(a), int(b)): c / 30_000 for (a, b), c in zip(seen.T, count, strict=True)}
    assert set(expected) == set(found)
    assert max(abs(expected[key] - found[key]) for key in expected) < 0.01


def test_the_same_draws_serve_every_engine() -> None:
    """Words are equal between engines in every draw, so differences are paired."""
    draws = speaker_draws(two_engines(4, 6), 500, np.random.default_rng(1))
    assert np.array_equal(draws.words[:, 0], draws.words[:, 1])


@pytest.mark.parametrize("sizes", [(4, 6), (30, 1200)])
def test_group_sums_do_not_depend_on_how_they_are_computed(sizes: tuple[int, ...]) -> None:
    """Means over many draws are the group's own sums, for few and for many speakers."""
    rates = two_engines(*sizes)
    draws = speaker_draws(rates, 4000, np.random.default_rng(2))
    spread = draws.errors.std(axis=0) / np.sqrt(4000)
    assert (np.abs(draws.errors.mean(axis=0) - rates.errors) < 5 * spread).all()


def test_a_speaker_of_two_groups_is_drawn_once_for_both() -> None:
    """Where every group is one and the same speaker, both groups have that speaker's sums in proportion."""
    grouping = grouping_of(3, 3)
    grouping = type(grouping)(**{**grouping.__dict__, "cell_speaker": np.array([0, 1, 2, 0, 1, 2])})
    words = np.array([[10, 100, 1000, 20, 200, 2000]])
    draws = speaker_draws(rates_of_cells(grouping, words // 10, words, words), 300, np.random.default_rng(1))
    assert np.array_equal(2 * draws.words[:, 0, 0], draws.words[:, 0, 1])
    assert len(np.unique(draws.words[:, 0, 0])) == 10


def test_percentiles_of_extremes_find_best_and_worst_in_every_draw() -> None:
    """Worst, gap and macro as published audits define them: maximum, range and mean of each draw's rates."""
    rates = two_engines(4, 6, 5)
    draws = speaker_draws(rates, 800, np.random.default_rng(4))
    compared = np.array([[True, True, True], [True, False, True]])
    found = percentile_extremes(draws, compared, 0.95)
    one = draws.rate[:, 0]
    assert np.allclose(np.quantile(one.max(axis=1), [0.025, 0.975]), [bound[0] for bound in found.worst])
    assert np.allclose(np.quantile(np.ptp(one, axis=1), [0.025, 0.975]), [bound[0] for bound in found.gap])
    two = draws.rate[:, 1][:, [0, 2]]
    assert np.allclose(np.quantile(two.mean(axis=1), [0.025, 0.975]), [bound[1] for bound in found.macro])


def test_quantiles_leave_out_draws_without_words() -> None:
    """NaN draws do not count; all-NaN columns stay NaN and warn of nothing."""
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan], [2.0, np.nan]])
    low, high = nan_quantiles(values, (0.0, 0.5))
    assert np.array_equal([1.0, np.nan], low, equal_nan=True)
    assert np.array_equal([2.0, np.nan], high, equal_nan=True)
    assert np.isnan(percentile_interval(values, 0.9)[0][1])


def test_equal_seeds_give_equal_draws() -> None:
    """No global state: a generator of the same seed repeats the draws."""
    rates = two_engines(5, 9, spans=True)
    first, second = (speaker_draws(rates, 50, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first.errors, second.errors)
