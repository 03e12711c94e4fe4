"""Broken and hostile hypothesis files, more than a thousand: read, or refused with a reason, never a traceback."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from score_runs import write_run

from asrfair.cli.main import run as command
from asrfair.data.hypotheses import read_hypotheses
from asrfair.errors import InputError
from asrfair.scoring import score_run
from asrfair.types import ScoringSettings

CASES = 1200
UTTERANCES = [{"utterance_id": f"u{i}", "reference": "the cat sat on the mat"} for i in range(5)]
TEXTS = [
    "the cat sat",
    "",
    "NA",
    'say "hi", they said',
    "=cmd()",
    "\x1b[31m",
    "a\u202eb",
    "<b>x</b>",
    "ü 猫",
    "x " * 3000,
]
BYTES = [
    b"\0", b"\xff\xfe", b"\xc3", b'"', b"'", b",", b"\t", b"\n", b"\r", b"\r\n", b"(", b")", b"{", b"}", b"[", b"]",
    b"=", b"\\", b"\\ud800", b"\x1b]0;x\x07", b"\xef\xbb\xbf", b"\xe2\x80\xae", b";;", b"1e999", b"NaN", b"-1", b"null",
    b"u1", b"utt_id", b"A" * 5000, b"[" * 2000, b"{ a / b }", b"<ALT_BEGIN>", b" " * 2000, b"\xed\xa0\x80",
]  # fmt: skip


def valid_file(generator: random.Random, kind: str) -> bytes:
    """A file that is right, of one of the formats, with texts that are not always nice."""
    rows = [(f"u{i}", generator.choice(TEXTS)) for i in range(5)]
    if kind == "jsonl":
        lines = [{"utt_id": name, "hypothesis": text, "confidence": 0.5, "words": []} for name, text in rows]
        return "\n".join(json.dumps(line, ensure_ascii=generator.random() < 0.5) for line in lines).encode()
    if kind == "trn":
        return "".join(f"{text} ({name})\n" for name, text in rows).encode()
    if kind == "ctm":
        words = [(name, i, word) for name, text in rows for i, word in enumerate(text.split()[:20])]
        return "".join(f"{name} 1 {i}.0 0.5 {word} 0.9\n" for name, i, word in words).encode()
    frame = pd.DataFrame(rows, columns=["utt_id", "hypothesis"]).assign(confidence="0.5", words="[]")
    return frame.to_csv(index=False, sep="\t" if kind == "tsv" else ",").encode()


def break_file(generator: random.Random, content: bytes) -> bytes:
    """Spoil a file in up to four ways."""
    for _ in range(generator.randrange(5)):
        place = generator.randrange(len(content) + 1)
        way = generator.randrange(8)
        lines = content.split(b"\n")
        if way == 0:
            content = content[:place]
        elif way in {1, 2, 3}:
            content = content[:place] + generator.choice(BYTES) + content[place:]
        elif way == 4:
            content = content[:place] + bytes([generator.randrange(256)]) + content[place + 1 :]
        elif way == 5:
            content = b"\n".join([*lines, generator.choice(lines)])
        elif way == 6:
            generator.shuffle(lines)
            content = b"\n".join(lines)
        else:
            content = generator.randbytes(generator.randrange(200))
    return content


def write_case(folder: Path, number: int) -> Path:
    """Write the case of a number; the same bytes every time."""
    generator = random.Random(number)
    kind = ("csv", "tsv", "jsonl", "trn", "ctm", "parquet")[number % 6]
    if kind == "parquet":
        path = folder / f"case-{number}.parquet"
        columns = {"utt_id": [f"u{i}" for i in range(5)], "hypothesis": generator.choices(TEXTS, k=5)}
        odd = generator.choice(
            [{}, {"words": [[1]] * 5}, {"confidence": [object.__name__] * 5}, {"hypothesis": [b"x"] * 5}]
        )
        pd.DataFrame({**columns, **odd}).to_parquet(path)
        content = path.read_bytes()
    else:
        path = folder / f"case-{number}.{kind}"
        content = valid_file(generator, kind)
    path.write_bytes(break_file(generator, content))
    return path


@pytest.mark.slow
def test_a_thousand_broken_files(tmp_path: Path) -> None:
    """Each is read and scored with every row accounted for, or refused with a printable reason that names the file."""
    read = 0
    refusals: list[tuple[int, str, InputError]] = []
    for number in range(CASES):
        path = write_case(tmp_path, number)
        try:
            frame = read_hypotheses(path)
        except InputError as error:
            refusals.append((number, path.name, error))
            continue
        read += 1
        assert len(frame) > 0
        assert frame["hypothesis"].map(type).eq(str).all(), number
        assert frame["utterance_id"].str.strip().ne("").all(), number
        assert not np.isinf(frame["confidence"]).any()
        if number % 4 == 0:
            rows = frame[["utterance_id", "hypothesis"]].sort_values("utterance_id", kind="stable").to_dict("records")
            write_run(tmp_path / "run", UTTERANCES, rows)
            summary = score_run(tmp_path / "run", ScoringSettings(normalizer="whisper-english"))
            assert 5 == sum(summary.statuses.values()), number
        path.unlink()
    assert read > CASES // 5
    assert len(refusals) > CASES // 5
    for number, name, error in refusals:
        assert error.exit_code == 2, number
        assert name in str(error), number
        assert str(error).isprintable(), number
        assert len(error.message) > 10, number


def test_the_command_line_refuses_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the reader refuses ends the command with code 2 and one message, no traceback, no escape sequences."""
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("utterance_id,speaker_id,reference\nu1,s,the cat\n", encoding="utf-8")
    seen = 0
    for number in range(CASES):
        path = write_case(tmp_path, number)
        try:
            read_hypotheses(path)
        except InputError:
            seen += 1
            arguments = ["score", "--manifest", str(manifest), "--hypotheses", f"engine={path}"]
            assert 2 == command([*arguments, "--out", str(tmp_path / "out")]), number
            out, message = capsys.readouterr()
            assert path.name in message, number
            assert not re.search(r"Traceback|[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", out + message), number
        if seen == 60:
            break
    assert seen == 60
