"""Covariates: what is computed from text, durations, acoustics and attributes, and what cannot be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import frame_of, write_scored_run

from asrfair.errors import InputError
from asrfair.stats.explain.covariates import independent_columns, make_columns, read_covariates, word_rarity


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Four speakers, two accents, a device each, one of them with an unknown duration."""
    table = pd.DataFrame(
        {
            "utterance_id": [f"u{i}" for i in range(8)],
            "speaker_id": ["a", "a", "b", "b", "c", "c", "d", "d"],
            "accent": ["us"] * 4 + ["uk"] * 4,
            "device": ["phone"] * 4 + ["headset"] * 4,
            "reference": ["one two", "one two three four"] * 4,
            "duration_s": [1.0, 2.0, 1.0, 1.0, 0.5, 2.0, np.nan, 2.0],
        }
    )
    folder = write_scored_run(tmp_path / "run", table, {("e", "clean"): [1] * 8}, [2, 4] * 4)
    achieved = pd.DataFrame(
        [
            {"condition": c, "utterance_id": f"u{i}", "quantity": "snr_estimate_db", "value": v + i, "text": ""}
            for c, v in (("clean", 20.0), ("floor", 5.0))
            for i in range(8)
        ]
    )
    achieved.to_parquet(folder / "achieved.parquet", index=False)
    return folder


def test_length_and_rate_are_base_two_logarithms(run: Path) -> None:
    """A step of one is a doubling; an unknown duration is unknown, not zero."""
    frame, _ = frame_of(run, ("accent",))
    length, rate = read_covariates(frame, ["length", "speech_rate"])
    assert length.numbers is not None
    assert rate.numbers is not None
    assert [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0] == length.numbers.tolist()
    np.testing.assert_array_equal([1.0, 1.0, 1.0, 2.0, 2.0, 1.0, np.nan, 1.0], rate.numbers)


def test_acoustics_come_from_the_clean_condition(run: Path) -> None:
    """The measured SNR of the recording is used, not that of a rendered condition."""
    frame, _ = frame_of(run, ("accent",))
    (snr,) = read_covariates(frame, ["snr_db"])
    assert snr.numbers is not None
    assert [20.0 + i for i in range(8)] == snr.numbers.tolist()


def test_unknown_covariate_names_the_nearest(run: Path) -> None:
    """A misspelt name is refused with the one that was meant."""
    frame, _ = frame_of(run, ("accent",))
    with pytest.raises(InputError, match="Did you mean 'rarity'"):
        read_covariates(frame, ["raritty"])


def test_rarity_leaves_the_speakers_own_words_out() -> None:
    """A word that only its speaker uses is as rare as one never heard, however often they repeat it."""
    words = [["the"], ["the", "xylem", "xylem"], ["xylem"], ["the", "the"], []]
    speaker = np.array([0, 1, 1, 2, 0])
    rarity = word_rarity(words, speaker)
    never_heard = -np.log10(1 / (3 + 2))
    common = -np.log10((3 + 1) / (3 + 2))
    assert rarity[2] == pytest.approx(never_heard)
    assert rarity[1] == pytest.approx((2 * never_heard + common) / 3)
    assert np.isnan(rarity[4])


def test_a_device_that_one_group_alone_used_is_confounded(run: Path) -> None:
    """What goes with the groups cannot be held fixed: it is left out and named."""
    frame, _ = frame_of(run, ("accent",))
    covariates = read_covariates(frame, ["length", "device", "speech_rate"])
    group = np.array([0] * 4 + [1] * 4)
    columns = make_columns(covariates, np.arange(8), group, np.ones(8))
    assert ("length", "speech_rate") == columns.used
    assert ("missing:speech_rate", "confounded:device") == columns.flags
    assert ("length", "speech_rate", "speech_rate=missing") == columns.labels
    assert columns.table[:, 0].mean() == pytest.approx(0)


def test_an_unknown_quantity_is_said_to_be_unavailable(run: Path) -> None:
    """A covariate without a single value is not silently dropped."""
    frame, _ = frame_of(run, ("accent",))
    (level,) = read_covariates(frame, ["level_dbfs"])
    columns = make_columns([level], np.arange(8), np.array([0, 1] * 4), np.ones(8))
    assert ("unavailable:level_dbfs",) == columns.flags
    assert (8, 0) == columns.table.shape


def test_what_does_not_vary_is_constant_and_not_confounded(run: Path) -> None:
    """An attribute with one value holds nothing fixed, and is said to be constant."""
    frame, _ = frame_of(run, ("accent",))
    covariates = read_covariates(frame, ["device", "length"])
    columns = make_columns(covariates, np.arange(4), np.array([0, 0, 1, 1]), np.ones(4))
    assert ("constant:device",) == columns.flags
    assert ("length",) == columns.used


def test_copies_of_columns_are_found() -> None:
    """A column that is a combination of earlier ones and the groups is not kept."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 100)
    x, y = rng.normal(size=(2, 100))
    table = np.column_stack([x, y, 2 * x - y + group, np.ones(100), rng.normal(size=100)])
    assert [0, 1, 4] == independent_columns(table, group, np.ones(100))
