"""Run folders and prose for the tests of cards: real transcripts of the demo, by PocketSphinx, kept in golden/card."""

from __future__ import annotations

import re
from pathlib import Path

from asrfair.cli.main import run

GOLDEN = Path(__file__).resolve().parent / "golden" / "card"

PROSE = """\
[card]
service = "Example <b>Transcribe</b>"
version = "1.2"
languages = ["en"]
licence = "apache-2.0"
vouched = ["16 kHz"]
[prose]
{key} = '''
Turns **16 kHz** speech into text. The overall WER of pocketsphinx on clean audio was
{{{{ wer("pocketsphinx", "clean", "overall", "all", run="asrfair-demo") }}}}.
{text}
'''
"""


def score_demo(repository: Path, folder: Path) -> Path:
    """Score the demo's transcripts into a run folder with all tables."""
    code = run(
        [
            "score", "--manifest", str(repository / "manifests" / "demo" / "demo.toml"), "--hypotheses",
            f"pocketsphinx={GOLDEN / 'demo-hypotheses.csv'}", "--by", "accent", "--by", "gender", "--by", "accent,gender",
            "--normalizer", "whisper-english", "--draws", "200", "--seed", "1", "--out", str(folder), "--no-html",
        ]
    )  # fmt: skip
    assert code == 0
    return folder


def write_prose(path: Path, text: str = "", key: str = "overview") -> Path:
    """Write an author's file with one section."""
    path.write_text(PROSE.format(key=key, text=text), encoding="utf-8")
    return path


def steady(text: str) -> str:
    """Return a card without what differs between commits and machines, and without the answer, which has its own tests."""
    text = re.sub(r"^- asrfair-demo: .*\n\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"^- Code: .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^- asrfair: .*\n", "", text, flags=re.MULTILINE)
