"""What a suite costs: docs/scale.md shows what the command prints, and the sums are the written-out ones."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from asrfair.cli.main import run
from asrfair.data.runfile import write_run_file


@pytest.fixture
def page(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's files in an empty folder, and its text."""
    text = (repository / "docs" / "scale.md").read_text(encoding="utf-8")
    for name, content in re.findall(r"^```toml (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "corpus.toml").touch()
    monkeypatch.chdir(tmp_path)
    return text


def test_the_page_shows_what_the_command_prints(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table of 10,000 hours × 20 conditions × 10 engines is the command's."""
    (line,) = re.findall(r"^\$ (asrfair plan .*)$", page, re.MULTILINE)
    (shown,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert 0 == run(shlex.split(line)[1:])
    assert shown == capsys.readouterr().out


def test_hours_and_money_are_the_written_out_sums(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Audio over speed, 19 of 20 conditions rendered, a service by the hour of audio."""
    arguments = ["plan", "suite.toml", "--cost", "prices.toml", "--hours", "10000", "--utterances", "7200000", "--json"]
    assert 0 == run(arguments)
    found = json.loads(capsys.readouterr().out)
    by_label = {engine["label"]: engine for engine in found["engines"]}
    prepared = 10_000 / 1000 + 10_000 * 19 / 200
    whisper = by_label["whisper-large-v3"]
    assert whisper["gpu_hours"] == pytest.approx(200_000 / 146 + 8 * 60 / 3600)
    assert whisper["core_hours"] == pytest.approx(prepared)
    assert whisper["price"] == pytest.approx(2.0 * whisper["gpu_hours"] + 0.04 * prepared)
    assert by_label["vosk-small"]["core_hours"] == pytest.approx(prepared + 200_000 / 20 + 128 * 5 / 3600)
    service = by_label["service-a"]
    assert (144_000_000, 200_000 * 0.36 + 0.04 * prepared) == (service["requests"], pytest.approx(service["price"]))
    assert found["rows"] == 7_200_000 * 200


def test_a_run_of_a_part_predicts_the_whole(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Speed and start come from run.json; the corpus from the manifest."""
    part = tmp_path / "part"
    part.mkdir()
    about = {"audio_s": 100.0, "start_s": 3.6, "stages": {"engine_s": 50.0}}
    content = {"asrfair": "0", "volatile": {"transcribe": {"engines": {"pocketsphinx": about}}}}
    write_run_file(part, content)
    (tmp_path / "p.toml").write_text("[machine]\ncores = 2\n")
    suite = repository / "manifests" / "demo" / "suite.toml"
    assert 0 == run(["plan", str(suite), "--cost", str(tmp_path / "p.toml"), "--measured", str(part), "--json"])
    found = json.loads(capsys.readouterr().out)
    heard = found["hours"] * 3
    expected = heard / 2.0 + found["hours"] / 1000 + found["hours"] * 2 / 200 + 2 * 3.6 / 3600
    assert found["engines"][0]["core_hours"] == pytest.approx(expected)
    assert 360 == found["rows"]


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        ("", "nobody says how fast 'whisper-large-v3' is"),
        ("[engine]\nwhisper = { rtfx = 1 }\n", "the suite has no engine 'whisper'"),
        ("[engine]\nwhisper-large-v3 = { rtfx = 0 }\n", "greater than 0"),
        ("[prices]\ngpu_hours = 1\n", "gpu_hour"),
    ],
)
def test_what_is_not_said_is_asked_for(page: str, capsys: pytest.CaptureFixture[str], prices: str, why: str) -> None:
    """No speed, an unknown engine, an impossible number, an unknown key: an error that names it."""
    Path("other.toml").write_text(prices)
    assert 2 == run(["plan", "suite.toml", "--cost", "other.toml", "--hours", "1"])
    assert why in capsys.readouterr().err
