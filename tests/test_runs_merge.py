"""Shards: merged they are the whole run, byte for byte; what does not belong together is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transcribe_child import make_manifest

from asrfair.cli.main import run as command
from asrfair.errors import InputError
from asrfair.recognise.journal import Journal
from asrfair.runs.merge_shards import merge_runs
from asrfair.runs.pipeline import run_shard, run_suite
from asrfair.runs.suite import read_suite

TABLES = ("disparity.csv", "gaps.csv", "coverage.csv", "ledger.csv", "ledger_by_group.csv", "differences.csv")


def make_suite(folder: Path, name: str = "suite.toml", **engine: object) -> Path:
    """A suite with an engine that works in batches, one that does not, and one of files, under two conditions."""
    make_manifest(folder, 23)
    rows = ["utterance_id,hypothesis", "u0001,the fox", "u0001,the fox", "u0004,dog", "u9999,nobody"]
    (folder / "hypotheses.csv").write_text("\n".join(rows) + "\n")
    options = {"parallel": "inline", "max_batch": 4, "substitutions": 0.2, "failures": 0.1, **engine}
    text = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
    (folder / name).write_text(
        '[suite]\nname = "s"\nmanifest = "manifest.csv"\nconditions = ["clean", "imaging-floor@mild"]\n'
        f'[[engine]]\nname = "fake"\nlabel = "batches"\noptions = {{ {text} }}\n'
        '[[engine]]\nname = "fake"\nlabel = "singles"\noptions = { parallel = "inline", deletions = 0.2 }\n'
        '[[engine]]\nname = "precomputed"\noptions = { file = "hypotheses.csv", '
        'files = { "imaging-floor@mild" = "hypotheses.csv" } }\n'
        '[groups]\nby = ["accent"]\nmin_speakers = 1\n[statistics]\ndraws = 100\n'
    )
    return folder / name


def shards(suite: Path, folder: Path, count: int = 2) -> list[Path]:
    """All shards of a suite."""
    folders = [folder / f"part{number}" for number in range(count)]
    for number, part in enumerate(folders):
        run_shard(read_suite(suite), part, shard=(number, count), workers=1, progress=False)
    return folders


@pytest.mark.slow
def test_merged_shards_are_the_whole_run(tmp_path: Path) -> None:
    """Scores and every table of three merged shards, given in any order, are the bytes of the run in one go."""
    suite = make_suite(tmp_path)
    run_suite(read_suite(suite), tmp_path / "whole", workers=1, progress=False, html=False)
    parts = shards(suite, tmp_path, 3)
    assert all(not (part / "scores.parquet").exists() for part in parts)
    merge_runs(parts[::-1], tmp_path / "merged", workers=1, html=False)
    whole = {path.name for path in (tmp_path / "whole").iterdir() if path.suffix in {".csv", ".parquet"}}
    assert set(TABLES) <= whole
    for name in sorted(whole - {"timings.parquet"}):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "merged" / name).read_bytes(), name
    both = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("whole", "merged")]
    for content in both:
        content.pop("volatile")
    assert both[0] == both[1]


@pytest.mark.slow
def test_a_merged_run_can_be_resumed(tmp_path: Path) -> None:
    """The merged folder's journal is that of a whole run: nothing is left to do, and errors can be tried again."""
    suite = make_suite(tmp_path)
    merge_runs(shards(suite, tmp_path), tmp_path / "merged", workers=1, html=False)
    result = run_suite(read_suite(suite), tmp_path / "merged", workers=1, progress=False, html=False)
    assert result.transcribe.results == result.transcribe.resumed


def test_shards_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """A missing, a repeated, a foreign and an unfinished shard, and a whole run, are refused by name."""
    suite = make_suite(tmp_path)
    first, second = shards(suite, tmp_path)
    out = tmp_path / "out"
    for folders, message in (
        ([first], "shards are missing: 2/2"),
        ([first, first], "given twice"),
        ([first, tmp_path], "not a run folder"),
    ):
        with pytest.raises(InputError, match=message):
            merge_runs(folders, out)
    (tmp_path / "other").mkdir()
    other = shards(make_suite(tmp_path, "other.toml", substitutions=0.3), tmp_path / "other")
    with pytest.raises(InputError, match="do not belong together"):
        merge_runs([first, other[1]], out)
    with Journal(second) as journal:
        journal.forget_errors()
    with pytest.raises(InputError, match="are in no shard"):
        merge_runs([first, second], out)
    assert not (out / "journal.sqlite").exists()


@pytest.mark.slow
def test_the_commands_make_and_merge_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shards count from 1, their end says what to do next, and merge prints the outcome of the whole."""
    suite = make_suite(tmp_path)
    for number in (1, 2):
        out = str(tmp_path / f"part{number}")
        assert 0 == command(["run", str(suite), "--out", out, "--shard", f"{number}/2", "--workers", "1"])
    assert "asrfair merge" in capsys.readouterr().out
    parts = [str(tmp_path / f"part{number}") for number in (1, 2)]
    assert 0 == command(["merge", *parts, "--out", str(tmp_path / "run"), "--workers", "1", "--no-html", "--json"])
    assert 23 * 2 * 3 <= json.loads(capsys.readouterr().out)["rows"]
    assert 2 == command(["run", str(suite), "--out", str(tmp_path / "x"), "--shard", "3/2"])
    assert "a shard is I/N" in capsys.readouterr().err
