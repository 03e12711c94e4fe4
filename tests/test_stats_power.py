"""Minimum detectable differences and plans, against the normal approximation and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from asrfair.stats.plan.power import detectable_difference, detectable_log_ratio, plan_speakers, speakers_needed


def test_with_many_speakers_it_is_the_textbook_formula() -> None:
    """(z_{0.975} + z_{0.8}) s for very many degrees of freedom."""
    expected = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.1
    assert detectable_log_ratio(np.array([0.1]), np.array([1e5]), 0.95)[0] == pytest.approx(expected, rel=1e-3)


def test_with_few_speakers_it_is_the_noncentral_t() -> None:
    """The stated shift, less the correction of the standard error, is found with probability 0.8."""
    df = np.array([5.0])
    shift = detectable_log_ratio(np.array([1.0]), df, 0.95)[0] / (1 + 0.75 / 5)
    assert stats.nct.sf(stats.t.ppf(0.975, 5), 5, shift) == pytest.approx(0.8, abs=1e-6)


def test_the_difference_is_above_the_rate_it_is_compared_with() -> None:
    """Rate × (ratio − 1)."""
    s, df = np.array([0.2]), np.array([20.0])
    ratio = math.exp(detectable_log_ratio(s, df, 0.95)[0])
    assert detectable_difference(np.array([0.3]), s, df, 0.95)[0] == pytest.approx(0.3 * (ratio - 1))
    assert np.isnan(detectable_difference(np.array([0.0]), s, df, 0.95)[0])


def needed(*, alike: bool = False, **changes: float) -> float:
    """Speakers needed in a case that tests vary."""
    given = {
        "rate": 0.15,
        "difference": 0.05,
        "own_variance": 0.02,
        "other_variance": 0.001,
        "other_df": 99.0,
        **changes,
    }
    return float(
        speakers_needed(
            rate=np.array([given["rate"]]),
            difference=given["difference"],
            own_variance=np.array([given["own_variance"]]),
            own_speakers=np.array([10]),
            other_variance=np.array([given["other_variance"]]),
            other_df=np.array([given["other_df"]]),
            level=0.95,
            alike=alike,
        )[0]
    )


def test_the_number_needed_is_the_smallest_that_is_enough() -> None:
    """With it the difference is detectable, with one speaker fewer it is not."""

    def detectable(speakers: float) -> float:
        own = 0.02 * 10 / speakers
        df = (own + 0.001) ** 2 / (own**2 / (speakers - 1) + 0.001**2 / 99)
        return detectable_difference(np.array([0.15]), np.sqrt([own + 0.001]), np.array([df]), 0.95)[0]

    speakers = needed()
    assert detectable(speakers) <= 0.05 < detectable(speakers - 1)


def test_both_sides_grow_where_the_other_alone_would_never_do() -> None:
    """An other side of few speakers makes any number useless; where it grows alike, the smallest that is enough is found."""
    assert needed(other_variance=0.08, other_df=9.0) == math.inf
    speakers = needed(alike=True, other_variance=0.08, other_df=9.0)

    def detectable(count: float) -> float:
        own, other = 0.02 * 10 / count, 0.08 * 10 / count
        df = (own + other) ** 2 / (own**2 / (count - 1) + other**2 / (9 * count / 10))
        return detectable_difference(np.array([0.15]), np.sqrt([own + other]), np.array([df]), 0.95)[0]

    assert detectable(speakers) <= 0.05 < detectable(speakers - 1)


def test_an_other_side_of_hardly_any_speakers_has_an_answer() -> None:
    """Where it shrinks with the group below one degree of freedom, nothing shows; more of both does."""
    assert 10 < needed(alike=True, other_variance=0.05, other_df=0.6) < 1000


def test_fewer_speakers_are_needed_for_a_larger_difference() -> None:
    """It falls with the difference, and is infinite where the other side alone is too uncertain."""
    assert needed(difference=0.1) < needed()
    assert needed(other_variance=0.1) == math.inf
    assert math.isnan(needed(own_variance=math.nan))


def test_a_plan_holds_what_it_says() -> None:
    """The planned size detects the difference; a plan against a small group may be impossible."""
    plan = plan_speakers(rate=0.15, difference=0.05)
    assert plan is not None
    assert plan.detectable <= 0.05
    less = plan_speakers(rate=0.15, difference=plan.detectable * 1.3)
    assert less is not None
    assert less.speakers < plan.speakers
    assert plan_speakers(rate=0.15, difference=0.01, other_speakers=5) is None
