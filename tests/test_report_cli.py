"""``asrfair report``: writes the pages of a run folder, and says what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from report_runs import make_run

from asrfair.cli.main import app
from asrfair.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated run of one engine in clean audio."""
    groups = {"accent": ("us", "indian", "nigerian")}
    return make_run(tmp_path_factory.mktemp("cli") / "run", groups=groups, conditions=("clean",), engines=("small",))


def report(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["report", *map(str, arguments)], catch_exceptions=False, standalone_mode=False)


def test_everything_is_written_and_the_answer_printed(folder: Path, tmp_path: Path) -> None:
    """Pages and plots appear where --out says, and the terminal shows the worst group and the files."""
    result = report(folder, "--out", tmp_path)
    assert {"report.md", "report.html", "plots"} == {path.name for path in tmp_path.iterdir()}
    assert "indian" in result.output
    assert f"Wrote {tmp_path / 'report.html'}" in result.output


def test_json_lists_the_files(folder: Path, tmp_path: Path) -> None:
    """With --json the output is one object that names every file written, and every file exists."""
    result = report(folder, "--out", tmp_path, "--json", "--no-html")
    files = [Path(name) for name in json.loads(result.output)["files"]]
    assert files
    assert all(path.is_file() for path in files)
    assert "report.html" not in {path.name for path in files}


def test_tables_are_written_in_the_formats_asked_for(folder: Path, tmp_path: Path) -> None:
    """--tables writes each table of the run in each format."""
    report(folder, "--out", tmp_path, "--no-plots", "--no-html", "--tables", "latex", "--tables", "parquet")
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {"groups.tex", "groups.parquet", "gaps.tex", "coverage.parquet"} <= names
    assert {".tex", ".parquet"} == {Path(name).suffix for name in names}


def test_recordings_need_the_suites_permission(folder: Path, tmp_path: Path) -> None:
    """A run whose suite does not say audio = true refuses --audio, and says what to do."""
    with pytest.raises(InputError, match=r"personal data.*audio = true"):
        report(folder, "--out", tmp_path, "--audio", "m.toml")


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    """A wrong folder is told apart from a run that was not scored."""
    with pytest.raises(InputError, match=r"disparity\.csv"):
        report(tmp_path)
