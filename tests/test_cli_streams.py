"""What is printed reaches any terminal or pipe, whatever its encoding: exit codes never depend on a letter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = """utterance_id,speaker_id,reference,accent
u1,s1,so it begins,Añil
u2,s2,and so it ends,हिन्दी
"""


def asrfair(encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose output goes into a pipe of an encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [sys.executable, "-m", "asrfair.cli.main", *arguments], check=False, env=environment, capture_output=True
    )


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest with group names in two scripts."""
    path = tmp_path / "manifest.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "first", "second"),
    [
        ("utf-8", "Añil", "हिन्दी"),
        ("cp1252", "Añil", "\\u0939"),
        ("cp437", "Añil", "\\u0939"),
        ("ascii", "A\\xf1il", "\\u0939"),
    ],
)
def test_every_command_prints_in_every_encoding(
    tmp_path: Path, manifest: Path, encoding: str, first: str, second: str
) -> None:
    """Scoring prints group names and typography as well as the encoding can; its files are UTF-8 all the same."""
    hypotheses = tmp_path / "h.csv"
    hypotheses.write_text("utterance_id,hypothesis\nu1,so it begins\nu2,and so ends\n", encoding="utf-8")
    scored = asrfair(
        encoding, "score", "--manifest", str(manifest), "--hypotheses", f"whisper={hypotheses}", "--by", "accent",
        "--min-speakers", "1", "--min-words", "1", "--out", str(tmp_path / "run"), "--no-html",
    )  # fmt: skip
    assert 0 == scored.returncode, scored.stderr
    said = scored.stdout.decode(encoding)
    assert first in said
    assert second in said
    assert ("×" if encoding in ("utf-8", "cp1252") else "utterance x engine") in said
    assert "हिन्दी" in (tmp_path / "run" / "disparity.csv").read_text(encoding="utf-8")


def test_json_is_the_same_in_every_encoding(manifest: Path) -> None:
    """What programs read is plain ASCII."""
    outputs = {asrfair(name, "manifest", "describe", str(manifest), "--json").stdout for name in ("utf-8", "ascii")}
    (only,) = outputs
    assert "हिन्दी" in json.dumps(json.loads(only), ensure_ascii=False)


def test_errors_reach_any_terminal(tmp_path: Path) -> None:
    """A message with a file name that the encoding lacks is still a message, with the exit code of bad input."""
    failed = asrfair("cp437", "score", str(tmp_path / "हिन्दी"))
    assert 2 == failed.returncode
    assert b"\\u0939" in failed.stderr
    assert b"Traceback" not in failed.stderr
