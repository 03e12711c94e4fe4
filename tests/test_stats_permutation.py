"""Permutation tests against enumeration, and adjusted p-values against their definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_stats_estimates import grouping_of

from asrfair.stats.compare.engines import sign_flip
from asrfair.stats.compare.permutation import VERSUS, Layout, Permuted, layout_of, permute, step_down
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.paired import change

REST, BEST = VERSUS.index("rest"), VERSUS.index("best")


def made(*sizes: int, seed: int = 1, rates: list[float] | None = None) -> Rates:
    """One run of groups with gamma rates."""
    rng = np.random.default_rng(seed)
    words = rng.integers(80, 200, (1, sum(sizes)))
    level = np.repeat(rates or [0.2] * len(sizes), sizes)
    return rates_of_cells(
        grouping_of(*sizes), rng.poisson(level * rng.gamma(4, 0.25, words.shape) * words), words, words
    )


def layout(rates: Rates) -> Layout:
    """All groups compared, no reference."""
    compared = np.ones(rates.rate.shape, dtype=bool)
    return layout_of(rates.grouping, compared, -1, rates.df[0], rates.effective[0])[0]


def run(rates: Rates, draws: int = 400, seed: int = 5) -> Permuted:
    """Permute a run's labels."""
    return permute(rates.cell_errors, rates.cell_words, layout(rates), draws, np.random.default_rng(seed))


def test_the_p_value_is_that_of_all_dealings() -> None:
    """Two groups of four: the share of the 70 dealings with a statistic at least as large, within sampling error."""
    rates = made(4, 4, rates=[0.35, 0.15])
    e, n = rates.cell_errors[0].astype(float), rates.cell_words[0].astype(float)

    def statistic(first: tuple[int, ...]) -> float:
        sides = []
        for members in (list(first), [i for i in range(8) if i not in first]):
            w = (e[members].sum() + 0.5) / n[members].sum()
            spread = ((e[members] - w * n[members]) ** 2).sum() + 0.5
            sides.append((np.log(w), 4 / 3 * spread / (e[members].sum() + 0.5) ** 2))
        (a, v), (b, w2) = sides
        return abs(a - b) / np.sqrt(v + w2)

    every = np.array([statistic(first) for first in itertools.combinations(range(8), 4)])
    exact = (every >= statistic((0, 1, 2, 3)) - 1e-9).mean()
    assert run(rates, 20_000).p[0, REST, 0] == pytest.approx(exact, abs=0.01)


def test_no_difference_is_found_as_often_as_the_level_says() -> None:
    """Under no difference p ≤ 0.1 in about a tenth of 300 sets."""
    rng = np.random.default_rng(2)
    words = rng.integers(80, 200, (300, 18))
    errors = rng.poisson(0.2 * rng.gamma(2, 0.5, words.shape) * words)
    rates = rates_of_cells(grouping_of(5, 6, 7), errors, words, words)
    where = layout_of(
        rates.grouping, np.ones((300, 3), dtype=bool), -1, rates.df.min(axis=0), rates.effective.min(axis=0)
    )
    p = permute(errors, words, where[0], 499, rng).p
    assert 0.05 < (p[:, REST, 0] <= 0.1).mean() < 0.15
    assert 0.05 < (np.nanmin(np.where(np.isnan(p[:, BEST]), 1, p[:, BEST]), axis=1) <= 0.1).mean() < 0.3


def test_a_speaker_of_two_groups_keeps_them() -> None:
    """Only one-group speakers are dealt among groups; a two-group speaker's own halves may swap."""
    base = grouping_of(3, 3)
    shared = type(base)(**{**base.__dict__, "cell_speaker": np.array([0, 1, 2, 0, 3, 4])})
    words = np.array([[1000, 10, 10, 2000, 10, 10]])
    rates = rates_of_cells(shared, words // 5, words, words)
    found = layout_of(shared, np.ones((1, 2), dtype=bool), -1, np.array([2.0, 2.0]), np.array([2.0, 2.0]))[0]
    assert sorted(found.speaker.tolist()) == [0, 0, 1, 2, 3, 4]
    draws = permute(rates.cell_errors, words, found, 50, np.random.default_rng(1))
    assert np.isfinite(draws.draws[:, 0, REST]).all()


def test_the_best_group_is_not_tested_against_itself() -> None:
    """Its statistic is 0, which is never a finding."""
    rates = made(6, 6, 6, rates=[0.1, 0.2, 0.3])
    found = run(rates)
    best = int(rates.rate[0].argmin())
    assert found.observed[0, BEST, best] == 0
    assert found.p[0, BEST, best] == 1


def test_groups_that_are_not_compared_get_no_p_value() -> None:
    """NaN where a group is too small, and no test against a reference that was not named."""
    rates = made(6, 6, 2)
    compared = np.array([[True, True, False]])
    where, cells = layout_of(rates.grouping, compared, -1, rates.df[0], rates.effective[0])
    p = permute(rates.cell_errors[:, cells], rates.cell_words[:, cells], where, 50, np.random.default_rng(1)).p
    assert np.isnan(p[0, :, 2]).all()
    assert np.isnan(p[0, VERSUS.index("reference")]).all()


def test_step_down_maxima_are_the_written_out_ones() -> None:
    """Each test is held against the maximum of itself and all less extreme ones; adjusted values do not decrease."""
    rng = np.random.default_rng(1)
    draws = rng.standard_normal((500, 4)).astype(np.float32)
    observed = np.array([3.0, -1.0, 2.2, np.nan])
    order = [0, 2, 1]
    raw = [(1 + (np.abs(draws[:, order[i:]]).max(axis=1) >= abs(observed[order[i]])).sum()) / 501 for i in range(3)]
    expected = np.maximum.accumulate(raw)
    assert np.allclose(np.array([expected[0], expected[2], expected[1]]), step_down(observed, draws)[:3])
    assert np.isnan(step_down(observed, draws)[3])


def test_sign_flips_of_few_speakers_are_all_patterns() -> None:
    """Four speakers, all better with the second engine: 2 of 16 patterns are as extreme, p ≈ 1/8."""
    words = np.full((1, 4), 100)
    counts = (np.array([[9, 12, 20, 7]]), np.array([[5, 8, 11, 6]]))
    first, second = (rates_of_cells(grouping_of(4), errors, words, words) for errors in counts)
    p = sign_flip(grouping_of(4), change(first, second), 20_000, np.random.default_rng(1))
    assert p[0, 0] == pytest.approx(1 / 8, abs=0.01)
