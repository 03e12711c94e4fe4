"""Somebody leaves searches for thresholds, and runs that were cut off: nothing of them stays, and both go on without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from leaving import WHO, assert_same, cut_off, make_search, make_suite, night, searched, traces

from asrfair.cli.main import run as command
from asrfair.nightly import History


@pytest.mark.slow
@pytest.mark.parametrize(("what", "levels"), [("threshold", 3), ("run", 6)])
def test_a_search_without_somebody_is_one_that_they_were_never_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, levels: int
) -> None:
    """Tables, pictures and what was heard equal, byte for byte, those of a search without the person.

    Where other levels would be heard without them, no table stays, that is said, and the same command ends the search.
    """
    for name in ("with", "without"):
        searched(make_search(tmp_path / name, levels=levels, without=name == "without"), tmp_path / name / "out", what)
    run, other = tmp_path / "with" / "out", tmp_path / "without" / "out"
    assert traces(run)
    manifest = str(tmp_path / "without" / "manifest.csv")
    before = (run / "threshold_levels.csv").read_bytes()
    assert 0 == command(["forget", WHO, str(run), "--manifest", manifest])
    assert before == (run / "threshold_levels.csv").read_bytes()
    capsys.readouterr()
    assert 0 == command(["forget", WHO, str(run), "--manifest", manifest, "--yes"])
    said = capsys.readouterr().out
    assert "Nothing of them is left" in said
    assert [] == traces(run)
    if levels > 3:
        assert not (run / "thresholds.csv").exists()
        assert ("start the search again" if what == "threshold" else "Thresholds: none") in said
        shutil.copy(manifest, tmp_path / "with" / "manifest.csv")
        searched(tmp_path / "with" / "suite.toml", run, what)
    assert_same(run, other)
    assert (run / "thresholds.csv").is_file()
    if what == "run":
        assert 0 == command(["verify", str(run)])


@pytest.mark.slow
@pytest.mark.parametrize(("what", "after"), [("threshold", 100), ("run", 180)])
def test_a_search_that_was_cut_off_goes_on_without_somebody(tmp_path: Path, what: str, after: int) -> None:
    """Killed among the coarse levels, or the chosen ones: they leave, and the same command ends it."""
    for name in ("with", "without"):
        make_search(tmp_path / name, levels=6, without=name == "without")
    run, other = tmp_path / "with" / "out", tmp_path / "without" / "out"
    searched(tmp_path / "without" / "suite.toml", other, what)
    suite = tmp_path / "with" / "suite.toml"
    cut_off([what, str(suite), "--out", str(run), "--workers", "1"], after=after)
    assert not (run / "thresholds.csv").exists()
    assert "journal.sqlite" in "".join(traces(run))
    shutil.copy(tmp_path / "without" / "manifest.csv", tmp_path / "with" / "manifest.csv")
    manifest = str(tmp_path / "with" / "manifest.csv")
    assert 0 == command(["forget", WHO, str(run), "--manifest", manifest, "--yes"])
    assert [] == traces(run)
    searched(suite, run, what)
    assert_same(run, other)


@pytest.mark.slow
def test_a_history_with_thresholds_keeps_none_with_somebody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts by level of before leave the night's tables and gates, which is said; the next night has thresholds again."""
    make_search(tmp_path / "suite", levels=3)
    make_search(tmp_path / "without", levels=3, without=True)
    night(tmp_path / "suite")
    history = tmp_path / "suite" / "history"
    first = History(history).night(1).path
    assert (first / "threshold_levels.parquet").is_file()
    shutil.copy(tmp_path / "without" / "manifest.csv", tmp_path / "suite" / "manifest.csv")
    capsys.readouterr()
    suite = str(tmp_path / "suite" / "suite.toml")
    assert 0 == command(["forget", WHO, str(history), "--suite", suite, "--yes"])
    assert "thresholds in decibels" in capsys.readouterr().out
    assert [] == traces(history)
    assert [] == list(first.glob("threshold*"))
    assert "threshold" not in (first / "verdict.json").read_text(encoding="utf-8")
    assert 0 == command(["verify", str(history)])
    night(tmp_path / "suite")
    assert (History(history).night(2).path / "thresholds.parquet").is_file()


# --- runs that were cut off ----------------------------------------------------------------------------------------


def test_a_run_that_was_cut_off_goes_on_without_somebody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed before it had a table: what the manifest has no more leaves the journal; resumed, it never knew them."""
    for name in ("with", "without"):
        make_suite(tmp_path / name, without=name == "without")
    run, other = tmp_path / "with" / "run", tmp_path / "without" / "run"
    suite = tmp_path / "with" / "suite.toml"
    assert 0 == command(
        ["run", str(tmp_path / "without" / "suite.toml"), "--out", str(other), "--workers", "1", "--no-html"]
    )
    cut_off(["run", str(suite), "--out", str(run), "--workers", "1"], after=57)
    assert "journal.sqlite" in "".join(traces(run))
    assert 2 == command(["forget", WHO, str(run), "--yes"])
    assert "before it had a table of who spoke" in capsys.readouterr().err
    manifest = tmp_path / "with" / "manifest.csv"
    assert 2 == command(["forget", WHO, str(run), "--manifest", str(manifest), "--yes"])  # it still has them
    stranger = tmp_path / "stranger.csv"
    stranger.write_text("utterance_id,speaker_id,reference\nnobody,no,words\n", encoding="utf-8")
    capsys.readouterr()
    assert 2 == command(["forget", WHO, str(run), "--manifest", str(stranger), "--yes"])
    assert "nobody in this run is in the manifest" in capsys.readouterr().err
    shutil.copy(tmp_path / "without" / "manifest.csv", manifest)
    assert 0 == command(["forget", WHO, str(run), "--manifest", str(manifest)])
    assert "journal.sqlite" in "".join(traces(run))
    assert 0 == command(["forget", WHO, str(run), "--manifest", str(manifest), "--yes"])
    assert [] == traces(run)
    assert {"what", "when"} == set(json.loads((run / "forgotten.jsonl").read_text()))
    assert 0 == command(["run", str(suite), "--out", str(run), "--workers", "1", "--no-html"])
    assert_same(run, other)


def test_a_run_that_was_cut_off_before_they_were_heard_goes_on_too(tmp_path: Path) -> None:
    """Of somebody whom the journal does not know yet nothing leaves, and the run still goes on by the new manifest."""
    make_suite(tmp_path / "with")
    make_suite(tmp_path / "without", without=True)
    run, manifest = tmp_path / "with" / "run", tmp_path / "with" / "manifest.csv"
    suite = str(tmp_path / "with" / "suite.toml")
    cut_off(["run", suite, "--out", str(run), "--workers", "1"], after=1, heard_who=False)
    shutil.copy(tmp_path / "without" / "manifest.csv", manifest)
    assert 2 == command(["run", suite, "--out", str(run), "--workers", "1", "--no-html"])
    assert 0 == command(["forget", WHO, str(run), "--manifest", str(manifest), "--yes"])
    assert [] == traces(run)
    assert 0 == command(["run", suite, "--out", str(run), "--workers", "1", "--no-html"])
