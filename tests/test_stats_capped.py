"""Rates with and without what a loop adds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stats_runs import frame_of, ledger, people, write_scored_run

from asrfair.stats.estimate.group_rates import group_rates
from asrfair.stats.frame import Frame
from asrfair.stats.groups import make_grouping
from asrfair.stats.measure.capped import MIN_EXCESS, capped, for_claims, loops_in_sight

WORDS = [10, 10, 4, 10, 10, 10, 0, 10]
ERRORS = {
    ("calm", "clean"): [1, 2, 3, 4, 5, 25, 3, 0],
    ("loops", "clean"): [1, 2, 3, 4, 5, 520, 3, 0],
}


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    """Two accents of two speakers with two utterances each; the second engine loops once, in the second accent."""
    run = write_scored_run(tmp_path, people({"indian": 2, "us": 2}, utterances=2), ERRORS, WORDS)
    return frame_of(run, ("accent",))[0]


def test_at_most_as_many_insertions_count_as_there_are_words(frame: Frame) -> None:
    """Capped counts are those of every utterance, written out: 520 errors on ten words are ten and ten insertions."""
    expected = [[10, 5 + 20], [10, 5 + 20]]
    found = capped(frame)
    grouping = make_grouping(found, ("accent",))
    assert group_rates(found, grouping).errors.tolist() == expected
    assert found.numerator[:, 0].tolist() == [[1, 2, 3, 4, 5, 20, 0, 0]] * 2
    assert group_rates(frame, grouping).errors.tolist() == [[10, 33], [10, 528]]
    assert not len(found.excess)


def test_claims_rest_on_capped_rates_where_loops_are_in_sight(frame: Frame) -> None:
    """Hundreds of insertions are seen without the ledger, a loop of the ledger by its reason; other runs stay."""
    none = ledger()
    assert loops_in_sight(frame, none).tolist() == [False, True]
    rested = for_claims(frame, none)
    assert rested.numerator[0].tolist() == frame.numerator[0].tolist()
    assert rested.numerator[1, 0].tolist() == [1, 2, 3, 4, 5, 20, 0, 0]
    assert rested.excess.tolist() == [[0, 5, 5], [0, 6, 3]]
    found = ledger(("calm", "clean", "u00001", "repetition_loop"), ("calm", "elsewhere", "u00001", "repetition_loop"))
    assert loops_in_sight(frame, found).tolist() == [True, True]
    unrelated = ledger(("calm", "clean", "u00001", "empty_hypothesis"), ("calm", "clean", "gone", "repetition_loop"))
    assert loops_in_sight(frame, unrelated).tolist() == [False, True]


def test_without_loops_nothing_changes(tmp_path: Path) -> None:
    """A frame without loops is returned as it is, also where an utterance has a few insertions over the cap."""
    errors = {("calm", "clean"): [4 + 4 + MIN_EXCESS - 1, 0, 1, 1]}
    run = write_scored_run(tmp_path, people({"us": 2}, utterances=2), errors, [4] * 4)
    frame, _ = frame_of(run, ("accent",))
    assert for_claims(frame, ledger()) is frame
    assert np.array_equal(frame.excess, [[0, 0, MIN_EXCESS - 1]])
