"""Normalizer sensitivity: gaps recomputed under other text rules, rank flips marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import frame_of, people

from asrfair.scoring import score_run
from asrfair.scoring.normalize import NORMALIZERS
from asrfair.stats.explain.normalizer_sensitivity import normalizer_names, normalizer_table
from asrfair.stats.groups import make_grouping
from asrfair.types import ScoringSettings, StatisticsSettings


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """In uk "colour" is written "color" (right under Whisper's rules); in us one word in ten is really wrong."""
    table = people({"uk": 5, "us": 5}, utterances=12)
    uk = (table["accent"] == "uk").to_numpy()
    spoken = np.where(
        uk, "the colour of the old theatre was grey all over", "the color of the old house was red all over"
    )
    heard = np.where(
        uk, "The color of the old theater was gray, all over.", "The color of the old house was red all other."
    )
    table["reference"], table["exclude"], table["duration_s"], table["language"] = spoken, "", np.nan, "en"
    folder = tmp_path / "run"
    folder.mkdir()
    table.to_parquet(folder / "utterances.parquet", index=False)
    hypotheses = pd.DataFrame(
        {
            "engine": "e",
            "condition": "clean",
            "utterance_id": table["utterance_id"],
            "status": "ok",
            "hypothesis": heard,
            "error": "",
            "confidence": np.nan,
            "language": "",
            "words": "",
        }
    )
    hypotheses.to_parquet(folder / "hypotheses.parquet", index=False)
    score_run(folder, ScoringSettings(normalizer="whisper-english"), workers=1)
    return folder


def test_a_rank_flip_is_marked(run: Path) -> None:
    """Under spelling rules uk is best, without them worst: both ranks flip, the gap changes, and the table says so."""
    frame, groups = frame_of(run, ("accent",))
    table = normalizer_table(
        frame,
        [make_grouping(frame, ("accent",))],
        groups,
        StatisticsSettings(normalizers=("basic", "whisper-english")),
        ScoringSettings(),
    )
    own, basic = (part.set_index("group") for _, part in table.groupby("normalizer", sort=False))
    assert ["whisper-english@0.1.1", "basic@1"] == list(table["normalizer"].unique())
    assert (0.0, 0.1) == (own.loc["uk", "rate"], own.loc["us", "rate"])
    assert (0.3, 0.1) == (basic.loc["uk", "rate"], basic.loc["us", "rate"])
    assert ["", ""] == own["rank_flip"].tolist()
    assert ["yes", "yes"] == basic["rank_flip"].tolist()
    assert ("uk", "us") == (own["best_group"].iloc[0], basic["best_group"].iloc[0])
    assert basic["gap_change"].iloc[0] == pytest.approx(0.1)


def test_all_takes_every_normalizer_once() -> None:
    """``all`` stands for every normalizer and the dialect variants; the run's own comes first and only once."""
    names = normalizer_names(StatisticsSettings(normalizers=("all", "basic")), ScoringSettings(normalizer="basic"))
    assert "basic" == names[0]
    assert sorted([*NORMALIZERS, "whisper-english+dialect-english"]) == sorted(names)


def test_own_figures_are_those_of_the_scores(run: Path) -> None:
    """Under the run's own rules the table repeats the rates of the group table."""
    from asrfair.stats.estimate.group_rates import group_rates

    frame, groups = frame_of(run, ("accent",))
    grouping = make_grouping(frame, ("accent",))
    table = normalizer_table(frame, [grouping], groups, StatisticsSettings(normalizers=("none",)), ScoringSettings())
    own = table[table["normalizer"] == "whisper-english@0.1.1"]
    np.testing.assert_allclose(own["rate"], group_rates(frame, grouping).rate[0])
