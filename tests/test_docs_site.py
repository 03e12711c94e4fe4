"""What the documentation tells people to type works, in its order, on the files that it shows; the site builds."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from asrfair.cli.main import run

FILE_BLOCK = re.compile(r'^```\w+ title="(?P<name>[\w.\-]+)"\n(?P<text>.*?)^```', re.MULTILINE | re.DOTALL)
CONSOLE_BLOCK = re.compile(r"^```console\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def follow(page: Path, folder: Path) -> int:
    """Write the page's files into a folder, run its commands there, and return how many there were."""
    text = page.read_text(encoding="utf-8")
    for block in FILE_BLOCK.finditer(text):
        (folder / block["name"]).write_text(block["text"], encoding="utf-8")
    lines = [
        line[2:] for block in CONSOLE_BLOCK.finditer(text) for line in block["text"].splitlines() if line[:2] == "$ "
    ]
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "asrfair"
        assert run(words[1:]) == 0, line
    return len(lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nightly-engineer", "customer", "auditor"])
def test_how_tos_run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every command of a how-to ends with exit code 0."""
    monkeypatch.chdir(tmp_path)
    assert follow(repository / "docs" / "how-to" / f"{name}.md", tmp_path) >= 1


@pytest.mark.slow
def test_the_card_writers_how_to_runs(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of it ends with exit code 0, and the number that the prose refers to is in the card."""
    monkeypatch.chdir(tmp_path)
    assert follow(repository / "docs" / "how-to" / "card-writer.md", tmp_path) == 5
    assert "WER over everybody: 13.3" in (tmp_path / "card.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.shared
def test_the_tutorial_runs_on_the_real_transcripts(
    repository: Path,
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On files in the shape of the audit's, every command works, and the rates are those that the tutorial shows."""
    monkeypatch.chdir(tmp_path)
    with (shared_data / "edacc" / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["utt_id"]: row for row in csv.DictReader(stream)}
    for engine in ("parakeet-tdt-0.6b-v3", "whisper-large-v3-turbo"):
        folder = tmp_path / "results" / engine
        folder.mkdir(parents=True)
        with (shared_data / "edacc" / "hypotheses" / f"{engine}.csv").open(encoding="utf-8", newline="") as stream:
            lines = [
                {
                    "utt_id": row["utt_id"], "speaker": rows[row["utt_id"]]["speaker_id"],
                    "accent": rows[row["utt_id"]]["accent"], "ref_raw": rows[row["utt_id"]]["reference"],
                    "hyp_raw": row["hypothesis"], "detected_language": None, "meta": None,
                }
                for row in csv.DictReader(stream)
            ]  # fmt: skip
        (folder / "transcripts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    page = repository / "docs" / "tutorial.md"
    assert follow(page, tmp_path) == 4
    shown = re.findall(
        r"^(parakeet|turbo) +([\d.]+) \([\d.–]+\) +(\w+) +([\d.]+) +([\d.]+)$", page.read_text("utf-8"), re.MULTILINE
    )
    said = " ".join(capsys.readouterr().out.split())
    assert len(shown) == 2
    for engine, wer, worst, worst_wer, gap in shown:
        assert re.search(rf"{engine} {wer} \([\d.–]+\) {worst} {worst_wer} {gap}", said), engine


@pytest.mark.slow
def test_the_site_builds_without_a_warning(repository: Path, tmp_path: Path) -> None:
    """Every page is in the menu, every link and anchor leads somewhere, and nothing is loaded from the network."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300, check=False, env=quiet)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="https?://(?:fonts|cdn|unpkg)[^"]*', page)
