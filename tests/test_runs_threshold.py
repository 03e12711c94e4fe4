"""Tests of ``asrfair threshold``: adaptive levels, tables, pictures, gates, resuming; with an engine of known thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from threshold_suite import write_listening_suite

from asrfair.cli.main import run as command
from asrfair.cli.threshold import threshold
from asrfair.runs.suite import read_suite
from asrfair.runs.threshold import find_thresholds, say_thresholds
from asrfair.runs.threshold_settings import ThresholdTable, axis_of
from asrfair.say.thresholds import threshold_words


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of six speakers; one needs 6 dB more than the other."""
    folder = tmp_path_factory.mktemp("suite")
    return write_listening_suite(
        folder,
        utterances=6,
        severities="[severity.soft.noise]\nsnr_db = 15\n",
        suite=(
            '[suite]\nname = "t"\nmanifest = "manifest.csv"\nprofiles = "."\n'
            '[[engine]]\nname = "python"\nlabel = "ear"\noptions = { callable = "hearing:hear", source_dir = "." }\n'
            '[groups]\nby = ["accent"]\nmin_words = 50\n[threshold]\nplaces = ["hiss"]\n'
        ),
    )


@pytest.mark.slow
def test_a_group_that_needs_more_signal_is_found(suite: Path, tmp_path: Path) -> None:
    """Six decibels apart: the difference and its sentence, the pictures, and the same bytes again from the journals."""
    read = read_suite(suite)
    assert read.threshold is not None
    found = find_thresholds(read, read.threshold, tmp_path / "out", workers=1, progress=False)
    table = found.thresholds[found.thresholds["target"] == "30 %"].set_index("group")
    assert table.loc["far", "threshold"] - table.loc["near", "threshold"] == pytest.approx(6.0, abs=2.0)
    assert 5 == found.tables["threshold_levels"]["level"].nunique()
    claims = say_thresholds(read.statistics, found)
    row = claims[claims["target"] == "30 %"].iloc[0]
    assert ("far", "near", True) == (row["group"], row["versus"], row["affirmed"])
    assert "far speakers need" in row["text"]
    before = (tmp_path / "out" / "thresholds.csv").read_bytes()
    again = CliRunner().invoke(threshold, [str(suite), "--out", str(tmp_path / "out"), "--workers", "1", "--json"])
    assert 0 == again.exit_code, again.output
    assert before == (tmp_path / "out" / "thresholds.csv").read_bytes()
    assert {"run", "thresholds", "claims", "failed"} == set(json.loads(again.stdout))
    assert (tmp_path / "out" / "plots" / "threshold-ear-hiss-accent.png").stat().st_size > 10_000
    assert "far speakers need" in (tmp_path / "out" / "threshold.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_gate_in_decibels_fails(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A difference of more than a decibel is not allowed: exit code 1, and the sentence says which."""
    text = suite.read_text(encoding="utf-8") + "max_threshold_gap_db = 1.0\nmax_threshold_db = 2.0\n"
    strict = suite.with_name("strict.toml")
    strict.write_text(text, encoding="utf-8")
    assert 1 == command(["threshold", str(strict), "--out", str(tmp_path / "out"), "--workers", "1"])
    assert "FAILED: far speakers need" in capsys.readouterr().out


def test_parameters_know_what_is_harder_and_their_range(suite: Path) -> None:
    """SNR: from the severities, ten decibels beyond; a distance needs its own range and is turned by factors."""
    read = read_suite(suite)
    axis = axis_of(read.threshold, "hiss", read.profiles, file=suite)
    assert (-5.0, 25.0, (5.0, 15.0)) == (axis.low, axis.high, axis.usual)
    assert "hiss@noise.snr_db=7.3" == axis.condition(axis.rounded(7.31))
    room = axis_of(ThresholdTable(parameter="room.distance_m"), "kitchen-far-field", None, file=suite)
    assert -1 == room.sign
    assert room.easier(1.0) > room.easier(2.0)
    assert 2.0 == pytest.approx(room.value(room.easier(2.0)))


def test_words_for_thresholds_that_are_not_reached() -> None:
    """Censored thresholds say on which side they lie."""
    row = {"unit": "dB", "parameter": "noise.snr_db", "heard_low": -5.0, "heard_high": 30.0, "threshold": 3.21,
           "ci_low": 1.0, "ci_high": 5.0, "censored": ""}  # fmt: skip
    assert "3.2 dB (1.0 to 5.0)" == threshold_words(row)
    assert "better than −5 dB" == threshold_words(row | {"censored": "better"})
    assert "worse than 30 dB" == threshold_words(row | {"censored": "worse"})
    assert "above the target on clean recordings" == threshold_words(row | {"censored": "clean"})
