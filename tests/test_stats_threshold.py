"""Tests of thresholds: the level at which a group's rate reaches a value, against a known function."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrfair.say.thresholds import threshold_words
from asrfair.stats.estimate.psychometric import coarse_levels, difference, next_level, threshold

LEVELS = np.array([-3.3, 5.0, 10.0, 14.0, 23.3])


def _rate(level: np.ndarray, middle: float, *, low: float = 0.1, slope: float = 0.4) -> np.ndarray:
    return low + (1 - low) / (1 + np.exp(slope * (level - middle)))


def _speakers(middle: float, count: int, seed: int, *, spread_db: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    middles = middle + spread_db * rng.standard_normal(count)
    words = np.full((count, LEVELS.size), 300.0)
    return rng.binomial(300, _rate(LEVELS[None, :], middles[:, None])).astype(float), words


def _true(middle: float, target: float) -> float:
    grid = np.linspace(-20, 40, 6001)
    spread = middle + 2.0 * np.random.default_rng(0).standard_normal(20_000)
    rates = np.array([_rate(level, spread).mean() for level in grid[2000:4000:4]])
    return float(np.interp(-target, -rates, grid[2000:4000:4]))


def test_the_threshold_of_a_known_function_is_found() -> None:
    """Without chance and speakers alike, the threshold is that of the function to a twentieth of a decibel."""
    words = np.full((8, LEVELS.size), 1e4)
    errors = words * _rate(LEVELS, 8.0)
    found = threshold(LEVELS, errors, words, target=0.3, clean_errors=np.full(8, 1e3), clean_words=np.full(8, 1e4))
    true = 8.0 + math.log(0.7 / 0.2) / 0.4
    assert found.level == pytest.approx(true, abs=0.05)
    assert found.high - found.low < 0.01


@pytest.mark.slow
def test_intervals_cover_and_estimates_are_not_biased() -> None:
    """150 groups of 20 speakers: bias below 0.3 dB, 95 % intervals cover between 90 and 99 % here, differences too."""
    truths = [_true(8.0, 0.3), _true(12.0, 0.3)]
    off, inside, gaps = [], [], []
    for seed in range(150):
        both = [threshold(LEVELS, *_speakers(m, 20, 2 * seed + i), target=0.3) for i, m in enumerate((8.0, 12.0))]
        off += [t.level - true for t, true in zip(both, truths, strict=True)]
        inside += [t.low <= true <= t.high for t, true in zip(both, truths, strict=True)]
        gap = difference(both[1], both[0])
        gaps.append(gap.low <= truths[1] - truths[0] <= gap.high)
    assert abs(float(np.mean(off))) < 0.3
    assert 0.90 <= float(np.mean(inside)) <= 0.99
    assert 0.90 <= float(np.mean(gaps)) <= 0.995


def test_what_is_never_reached_is_censored() -> None:
    """Better than the worst level, worse than the best one, or above the target without any noise: said, not guessed."""
    words = np.full((6, LEVELS.size), 500.0)
    easy, hard = np.full_like(words, 50.0), np.full_like(words, 450.0)
    assert "better" == threshold(LEVELS, easy, words, target=0.3).censored
    assert "worse" == threshold(LEVELS, hard, words, target=0.3).censored
    clean = np.full(6, 250.0)
    found = threshold(LEVELS, hard, words, target=0.3, clean_errors=clean, clean_words=np.full(6, 500.0))
    assert "clean" == found.censored
    assert math.isnan(found.level)
    assert math.isnan(difference(found, found).p)


def test_a_relative_target_follows_the_groups_own_clean_rate() -> None:
    """Twice the clean rate of 10 % is 20 %; without clean counts there is no such target."""
    words = np.full((8, LEVELS.size), 1e4)
    clean = {"clean_errors": np.full(8, 1e3), "clean_words": np.full(8, 1e4)}
    found = threshold(LEVELS, words * _rate(LEVELS, 8.0), words, target=2.0, relative=True, **clean)
    assert 0.2 == pytest.approx(found.target)
    assert found.level == pytest.approx(8.0 + math.log(0.8 / 0.1) / 0.4, abs=0.1)
    with pytest.raises(ValueError, match="clean"):
        threshold(LEVELS, words, words, target=2.0, relative=True)


def test_one_speaker_gives_no_interval() -> None:
    """A single person's threshold is shown, and nothing is said about others."""
    words = np.full((1, LEVELS.size), 1e4)
    found = threshold(LEVELS, words * _rate(LEVELS, 8.0), words, target=0.3)
    assert math.isfinite(found.level)
    assert math.isnan(found.low)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    rates=st.lists(st.floats(0, 2), min_size=5, max_size=5), target=st.floats(0.02, 0.95), speakers=st.integers(2, 6)
)
def test_no_counts_break_the_fit(rates: list[float], target: float, speakers: int) -> None:
    """Whatever the rates, rising, flat or above 100 %: a finite threshold or a word for why there is none."""
    words = np.full((speakers, 5), 100.0)
    errors = np.round(words * np.array(rates))
    found = threshold(LEVELS, errors, words, target=target)
    assert math.isfinite(found.level) != bool(found.censored)


@settings(derandomize=True, deadline=None)
@given(
    thresholds=st.lists(st.floats(-40, 60) | st.just(math.inf) | st.just(-math.inf) | st.just(math.nan), max_size=6),
    more=st.integers(0, 6),
)
def test_the_next_level_lies_in_the_range_and_is_new(thresholds: list[float], more: int) -> None:
    """Levels never leave the range, and the first adaptive ones are not heard twice."""
    tried = coarse_levels(-10, 30)
    for _ in range(more):
        level = next_level(tried, thresholds, -10, 30)
        assert -10 <= level <= 30
        tried.append(level)
    assert len(set(tried[:5])) == len(tried[:5])


def test_a_parameter_that_makes_it_easier_has_no_threshold() -> None:
    """Above the target at the best level and below it at the worst, as where a hum takes the place of a worse noise."""
    words = np.full((7, LEVELS.size), 300.0)
    rates = np.array([0.16, 0.16, 0.16, 0.19, 0.32])
    found = threshold(LEVELS, words * rates, words, target=0.3, asymptote=False)
    assert "reversed" == found.censored
    assert math.isnan(found.level)


def test_a_correction_never_leads_out_of_what_was_heard() -> None:
    """Clips of PocketSphinx over distance: without one speaker the curve is all but flat, and a threshold at 0.33 m stays."""
    levels = -np.log([0.3, 0.393, 0.462, 1.1, 2.6])
    errors = np.array(
        [
            [3, 7, 3, 7, 10],
            [4, 5, 4, 5, 5],
            [3, 5, 2, 7, 9],
            [2, 3, 2, 2, 5],
            [2, 2, 2, 2, 0],
            [1, 6, 2, 5, 3],
            [3, 4, 8, 8, 9],
        ],
        dtype=float,
    )
    found = threshold(levels, errors, np.full(errors.shape, 10.0), target=0.3, asymptote=False)
    assert "" == found.censored
    assert levels.min() <= found.level <= levels.max()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"threshold": 0.0978, "ci_low": 0.0434, "ci_high": 0.2207}, "9.8 % (4.3 to >21.6)"),
        ({"parameter": "handset.high_hz", "unit": "Hz", "threshold": 2779.0, "ci_low": 1084.0, "ci_high": 3124.0,
          "heard_low": 881.0, "heard_high": 6000.0}, "2780 Hz (1080 to 3120)"),
        ({"parameter": "noise.snr_db", "unit": "dB", "threshold": -3.04, "ci_low": -9.0, "ci_high": 1.0,
          "heard_low": -5.0, "heard_high": 20.0}, "−3.0 dB (<−5 to 1.0)"),
        ({"censored": "worse"}, "worse than 1.85 %"),
        ({"censored": "reversed"}, "none: errors do not rise as it gets harder"),
    ],
)  # fmt: skip
def test_thresholds_in_words(row: dict[str, object], said: str) -> None:
    """Shares are per cents, numbers have no digits that mean nothing, and what lies beyond what was heard is not stated."""
    known = {"parameter": "packet_loss.loss", "unit": "", "censored": "", "heard_low": 0.0185, "heard_high": 0.216}
    assert said == threshold_words({**known, "threshold": math.nan, **row})
