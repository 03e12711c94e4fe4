"""Who is compared with whom: speakers keep their groups, pairs are of both engines, a minimum is a minimum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import people, write_scored_run

from asrfair.stats.analyse import analyse_run
from asrfair.stats.claims.dealt import Deal
from asrfair.stats.estimate.paired import paired_sums
from asrfair.stats.frame import load_frame
from asrfair.types import GroupSettings, StatisticsSettings

BY = (("accent",),)


def test_labels_are_dealt_among_speakers_of_one_group_and_within_each_other_speaker() -> None:
    """A dealing is a permutation of speakers: cells of a speaker of several groups change places with each other only."""
    speaker = np.array([0, 1, 2, 3, 4, 0, 5, 6, 1])  # 0 and 1 are in two groups, all others in one
    dealt = Deal(speaker)(500, np.random.default_rng(1))
    assert (np.sort(dealt, axis=1) == np.arange(9)).all()
    shared = np.isin(speaker, [0, 1])
    assert (speaker[dealt[:, shared]] == speaker[shared]).all()
    assert not np.isin(speaker[dealt[:, ~shared]], [0, 1]).any()
    assert set(dealt[:, 0].tolist()) == {0, 5}
    assert set(dealt[:, 2].tolist()) == set(np.flatnonzero(~shared).tolist())


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_pair_is_compared_on_what_both_engines_were_scored_on(tmp_path: Path, lacking: int) -> None:
    """An utterance that either of the two lacks counts for neither, whichever of them it is."""
    table = people({"us": 6, "uk": 6}, utterances=2)
    count = len(table)
    errors = {(f"e{engine}", "clean"): [engine + 1] * count for engine in (0, 1)}
    status = {(f"e{lacking}", "clean"): ["error", *["scored"] * (count - 1)]}
    run = write_scored_run(tmp_path, table, errors, [10] * count, status=status)
    frame = load_frame(run, GroupSettings(by=BY))
    wrong, words, utterances = paired_sums(frame, [(0, 1)])[:, :, 0].sum(axis=-1).tolist()
    assert [count - 1] * 2 == utterances
    assert [10 * (count - 1)] * 2 == words
    assert [count - 1, 2 * (count - 1)] == wrong


@pytest.fixture
def unequal(tmp_path: Path) -> Path:
    """Accents of eight speakers each; those of brief say three words and get all of them wrong."""
    table = people(dict.fromkeys(("us", "uk", "brief"), 8), utterances=3)
    words = np.where(table["accent"] == "brief", 1, 20)
    rate = table["accent"].map({"us": 0.1, "uk": 0.2, "brief": 1.0}).to_numpy()
    return write_scored_run(
        tmp_path, table, {("e", "clean"): np.rint(rate * words).astype(int).tolist()}, words.tolist()
    )


def analysed(run: Path, **settings: int) -> dict[str, pd.DataFrame]:
    """All tables."""
    return dict(analyse_run(run, GroupSettings(by=BY, **settings), StatisticsSettings(draws=200), full=True).tables)


@pytest.mark.parametrize(("least", "known"), [(24, True), (25, False)])
def test_a_group_with_fewer_words_than_asked_for_is_shown_and_not_compared(
    unequal: Path, least: int, known: bool
) -> None:
    """24 words where 25 are asked for: a rate, a flag, no interval, and no part in gaps and claims; where 24 are, all of it."""
    tables = analysed(unequal, min_words=least)
    row = tables["disparity"].set_index("group").loc["brief"]
    assert (row["ref_words"], row["rate"]) == (24, 1.0)
    assert ("few_words" in row["flag"]) != known
    assert np.isfinite(row["ci_low"]) == np.isfinite(row["sim_high"]) == known
    assert (tables["gaps"]["worst_group"].iloc[0] == "brief") == known
    difference = tables["differences"].set_index(["versus", "group"]).loc[("rest", "brief")]
    assert np.isfinite(difference["ci_low"]) == known
    claims = tables["claims"]
    assert ("brief" in set(claims.loc[claims["kind"] == "group", "group"])) == known
