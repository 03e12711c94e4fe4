"""A folder is data: nothing in a run, a history or a kit makes asrfair import code that the user has not named."""

from __future__ import annotations

from pathlib import Path

import pytest
from score_runs import write_run

from asrfair.cli.main import run
from asrfair.data import trust
from asrfair.data.runfile import read_content, settings_from_json, write_run_file
from asrfair.errors import InputError
from asrfair.scoring import score_run
from asrfair.scoring.metric import get_metric
from asrfair.stats import analyse_run
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scored run, in a process that has been given no code by name."""
    monkeypatch.setattr(trust, "_named", set())
    written = tmp_path / "run"
    text = f"touch {tmp_path}/owned"
    write_run(
        written,
        [{"utterance_id": f"u{i:02}", "speaker_id": f"s{i % 6}", "reference": text} for i in range(12)],
        [{"utterance_id": f"u{i:02}", "hypothesis": f"{text} x"} for i in range(12)],
    )
    about = {
        "manifest": {"name": "m", "attributes": {}},
        "engines": [{"label": "e", "name": "precomputed", "options": {}, "fingerprint": {}}],
        "conditions": [{"name": "clean"}],
        "groups": {"by": []},
        "scoring": {"normalizer": "basic"},
        "statistics": {"draws": 100},
        "volatile": {},
    }
    write_run_file(written, about)
    score_run(written, ScoringSettings(normalizer="basic"))
    analyse_run(written, GroupSettings(), StatisticsSettings(draws=100), full=True)
    return written


def poison(folder: Path, **scoring: object) -> None:
    """Let run.json name code, its seal mended, as somebody would who means it."""
    content = read_content(folder)
    content["scoring"].update(scoring)
    write_run_file(folder, content)


def test_a_run_folder_runs_no_code(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """run.json names subprocess:getoutput as its normalizer, a reference is a shell command: nothing runs, and that is said."""
    poison(folder, normalizer="subprocess:getoutput")
    assert 0 == run(["report", str(folder), "--no-plots"])
    assert "names code to run" in (folder / "report.html").read_text()
    assert 2 == run(["score", str(folder)])
    assert "names code to run" in capsys.readouterr().err
    assert not (tmp_path / "owned").exists()


def test_settings_refuse_every_place_that_names_code(folder: Path) -> None:
    """Further normalizers of a run, and metrics, are held to the same rule."""
    content = read_content(folder)
    changed = {**content, "statistics": {**content["statistics"], "normalizers": ["os:system"]}}
    with pytest.raises(InputError, match="names code"):
        settings_from_json(changed)
    with pytest.raises(InputError, match="nothing is imported"):
        get_metric("os:system")


def test_code_that_the_user_names_is_taken(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--code lets a file name the user's own normalizer; so does --normalizer itself."""
    (tmp_path / "mine_for_trust.py").write_text("def rules(text):\n    return text.upper()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    poison(folder, normalizer="mine_for_trust:rules")
    assert 2 == run(["score", str(folder), "--no-html"])
    assert 0 == run(["--code", "mine_for_trust:rules", "score", str(folder), "--no-html"])
    assert 0 == run(["score", str(folder), "--normalizer", "mine_for_trust:rules", "--no-html"])


def test_planted_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    """Links that wait in a folder for report.md, the old temporary name of run.json, and plots overwrite nothing."""
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("report.md", "report.html", "run.json.partial"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(precious)
    assert 0 == run(["report", str(folder), "--no-plots"])
    assert 0 == run(["score", str(folder), "--no-html", "--normalizer", "basic"])
    assert precious.read_text() == "mine"
    (folder / "tables").symlink_to(elsewhere)
    assert 2 == run(["report", str(folder), "--no-plots", "--no-html", "--tables", "csv"])
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 3},
        {"engines": {"label": "e"}},
        {"engines": ["e"]},
        {"statistics": {"draws": 10**12}},
        {"statistics": {"draws": "many"}},
        {"scoring": {"normalizer": ["basic"]}},
        {"scoring": {"normalizer": "basic", "surprise": 1}},
        {"manifest": []},
        {"suite": {"name": "\ud800"}},
    ],
)
def test_wrong_types_in_run_json_are_explained(
    folder: Path, change: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands in run.json, the answer is one line that names the file, and exit code 2."""
    content = read_content(folder)
    content.update(change)
    content["volatile"] = {}
    write_run_file(folder, content)
    assert 2 == run(["score", str(folder)])
    message = capsys.readouterr().err
    assert "run.json" in message
    assert "defect" not in message
