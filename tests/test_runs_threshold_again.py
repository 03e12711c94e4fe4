"""Thresholds of a run that is scored again by other rules, or was merged from parts: made again, or said to be missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from leaving import make_search, searched

from asrfair.cli.main import run as command
from asrfair.stats.thresholds.tables import TABLES

FILES = [f"{name}.csv" for name in TABLES]


def contents(run: Path) -> list[bytes]:
    """Return the tables of thresholds."""
    return [(run / name).read_bytes() for name in FILES]


@pytest.mark.slow
def test_other_groups_have_thresholds_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scored again for other groups, the tables equal those of a run for these groups; without its levels that is said."""
    for name, by in (("accent", ["accent"]), ("town", ["town"])):
        searched(make_search(tmp_path / name, levels=3, by=by), tmp_path / name / "out", "run")
    run, other = (tmp_path / name / "out" for name in ("accent", "town"))
    before = contents(run)
    lost = tmp_path / "lost"
    shutil.copytree(run, lost)
    shutil.rmtree(lost / "levels")
    for arguments in ([str(run), "--out", str(tmp_path / "again")], [str(tmp_path / "again")]):
        capsys.readouterr()
        assert 0 == command(["score", *arguments, "--by", "town", "--no-html"])
        said = capsys.readouterr().out
        assert contents(tmp_path / "again") == contents(other)
        assert ("Thresholds: made again from the levels that were heard" in said) == (len(arguments) > 1)
        assert before == contents(run)
    assert 0 == command(["score", str(run), "--by", "town", "--no-html"])
    assert contents(run) == contents(other)
    assert (run / "claims.csv").read_bytes() == (other / "claims.csv").read_bytes()
    assert 0 == command(["score", str(run), "--by", "accent", "--no-html"])
    assert before == contents(run)
    capsys.readouterr()
    assert 0 == command(["score", str(lost), "--by", "town", "--no-html"])
    assert "Thresholds: left out" in capsys.readouterr().out
    assert not (lost / "thresholds.csv").exists()


@pytest.mark.slow
def test_parts_of_a_run_search_once_they_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each part and the merged run say that there are no thresholds; the suite, run there, hears the levels alone."""
    suite = make_search(tmp_path / "suite", levels=4)
    searched(suite, tmp_path / "whole", "run")
    for part in ("1", "2"):
        capsys.readouterr()
        assert 0 == command(
            ["run", str(suite), "--out", str(tmp_path / part), "--shard", f"{part}/2", "--workers", "1"]
        )
        assert "Parts do not search for thresholds" in capsys.readouterr().out
    merged = tmp_path / "merged"
    assert 0 == command(["merge", str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(merged), "--no-html"])
    assert "Thresholds: none, although the suite has" in capsys.readouterr().out
    assert not (merged / "thresholds.csv").exists()
    heard = (merged / "timings.parquet").read_bytes()
    searched(suite, merged, "run")
    assert contents(tmp_path / "whole") == contents(merged)
    assert heard == (merged / "timings.parquet").read_bytes()
