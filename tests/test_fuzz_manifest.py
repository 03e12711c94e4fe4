"""Seeded fuzzing of tables, cards and manifests: never a traceback, always exit code 0 or 2, output harmless to show.

Each case mutates something valid: bytes of files, cells, keys, whole values taken from a list of hostile ones. A
failing case is named by its number, so that it can be run again alone.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from asrfair.cli.main import run
from asrfair.data.manifest import read_manifest
from asrfair.data.tablefile import read_table
from asrfair.errors import InputError

CASES_PER_FAMILY = 260
SEED = 20_240_601

HOSTILE = [
    "",
    " ",
    "\x00",
    "\x1b]0;title\x07\x1b[2J\x1b[31m",
    "\u202egnp.exe",
    "\u200b\ufeff",
    "=cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd",
    "<script>alert(1)</script>",
    "[red]markup[/red]",
    "{{ 7 * 7 }}",
    "%s%n%(x)s{0}",
    "../../../etc/passwd",
    "/etc/passwd",
    "~/x",
    "a/../../b",
    "file:///etc/passwd",
    "C:\\Windows\\x.wav",
    "NaN",
    "inf",
    "-0",
    "1e999",
    "1_000",
    "０",
    "99999999999999999999999999",
    "0x10",
    "true",
    "NULL",
    "None",
    "NA",
    "a × b",
    "a,b",
    "a\tb",
    "a\nb",
    "a\r\nb",
    '"',
    "'",
    '"unclosed',
    "\\",
    "é" * 100,
    "e\u0301" * 50,
    "𝄞",
    "\ud7ff",
    "\U0010ffff",
    "x" * 5000,
    "(((((((((((",
    "(a+)+$",
    "a{1000}{1000}{1000}",
    "(?<=x)y",
    "\\p{Nope}",
    "[[:alpha:",
    "__class__",
    "overall",
    "utterance_id",
    "engine",
]

HEADER = "utterance_id,speaker_id,reference,audio,start_s,end_s,channel,duration_s,language,exclude,accent,gender"
ROWS = [
    "u1,s1,hello there,a.wav,0,1.5,0,1.5,en,,us,female",
    "u2,s1,<LAUGH> well,a.wav,1.5,2,0,0.5,en,,us,female",
    'u3,s2,"one, two",b.wav,,,,2,en,noise,in,male',
    "u4,s3,NA,,,,,,,,NA,",
]
CARD = """[manifest]
name = "x"
version = "1"
table = "table.csv"
licence = "CC0"
[columns]
utterance_id = "utterance_id"
[reference]
remove = ['<[A-Z]+>']
[attributes.accent]
description = "accent"
provenance = "self-reported"
[attributes.gender]
provenance = "annotated"
values = ["female", "male"]
"""


def _mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, double, insert or replace a stretch of bytes, once or several times."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 10])):
        place = rng.randrange(len(out) + 1)
        length = rng.choice([1, 1, 1, 2, 30])
        kind = rng.randrange(6)
        if kind == 0:
            out[place : place + length] = rng.randbytes(length)
        elif kind == 1:
            del out[place : place + length]
        elif kind == 2:
            out[place:place] = out[place : place + length]
        elif kind == 3:
            out[place:place] = rng.choice(HOSTILE).encode("utf-8", "surrogatepass")
        elif kind == 4:
            out[place:place] = rng.choice([b"\n", b"\r", b",", b'"', b"=", b"[", b"]", b"\xff", b"\x00", b"#"])
        else:
            out = out[: place or 1]
    return bytes(out)


def _mutate_cells(rng: random.Random) -> list[list[str]]:
    """Return the table's cells with some replaced by hostile text, and rows doubled, shortened or shuffled."""
    cells = [next(iter(_csv_rows(line))) for line in [HEADER, *ROWS]]
    free = [cells[0].index(name) for name in ("reference", "language", "exclude", "accent", "gender")]
    for _ in range(rng.choice([1, 1, 2, 6])):
        row = 0 if rng.random() < 0.1 else rng.randrange(1, len(cells))
        column = rng.choice(free) if rng.random() < 0.6 else rng.randrange(len(cells[row]))
        cells[row][column] = rng.choice(HOSTILE)
    if rng.random() < 0.2:
        cells.append(list(rng.choice(cells)))
    if rng.random() < 0.1:
        cells[rng.randrange(len(cells))].pop()
    if rng.random() < 0.1:
        cells = cells[: rng.randrange(1, len(cells))]
    return cells


def _csv_rows(line: str) -> list[list[str]]:
    import csv
    import io

    return list(csv.reader(io.StringIO(line)))


def _csv_text(cells: list[list[str]]) -> str:
    return "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in cells)


def _check(arguments: list[str], capsys: pytest.CaptureFixture[str], case: int) -> int:
    code = run(arguments)
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert code in {0, 2}, (case, code, text)
    assert "Traceback" not in text, (case, text)
    assert text.replace("\n", "").isprintable(), (case, text)
    assert text, (case, "an exit without a word")
    return code


def _is_read(path: Path, *, allow_outside: bool) -> bool:
    try:
        return len(read_manifest(path, allow_outside=allow_outside)) > 0
    except InputError:
        return False


def _both(path: Path, rng: random.Random, capsys: pytest.CaptureFixture[str], case: int) -> bool:
    """Validate and describe a manifest; return whether it is usable, on which validating and reading must agree."""
    options = rng.choice([[], ["--json"], ["--allow-outside"]])
    usable = _check(["manifest", "validate", str(path), "--no-audio", *options], capsys, case) == 0
    assert usable == _is_read(path, allow_outside="--allow-outside" in options), case
    if rng.random() < 0.3:
        by = ["--by", rng.choice(["accent", "accent,gender", *HOSTILE])] if rng.random() < 0.5 else []
        code = _check(["manifest", "describe", str(path), *options, *by], capsys, case)
        assert usable or code == 2, case
    return usable


def test_tables_with_mutated_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV, TSV, JSON Lines and Parquet files with bytes changed at random are read or refused."""
    frame = pd.DataFrame([next(iter(_csv_rows(row))) for row in ROWS], columns=HEADER.split(","))
    valid = {"csv": (HEADER + "\n" + "\n".join(ROWS) + "\n").encode()}
    valid["tsv"] = frame.to_csv(index=False, sep="\t").encode()
    valid["jsonl"] = frame.to_json(orient="records", lines=True).encode()
    frame.to_parquet(tmp_path / "whole.parquet")
    valid["parquet"] = (tmp_path / "whole.parquet").read_bytes()
    usable = 0
    for case in range(CASES_PER_FAMILY):
        rng = random.Random(SEED + case)
        kind = rng.choice(list(valid))
        path = tmp_path / f"table.{kind}"
        path.write_bytes(_mutate_bytes(valid[kind], rng))
        usable += _both(path, rng, capsys, case)
    assert 10 <= usable <= CASES_PER_FAMILY - 10


@pytest.mark.slow
def test_tables_with_hostile_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Well-formed tables full of formulas, escapes, paths, odd numbers and odd Unicode are read or refused."""
    usable = 0
    for case in range(CASES_PER_FAMILY):
        rng = random.Random(SEED + 10_000 + case)
        cells = _mutate_cells(rng)
        kind = rng.choice(["csv", "jsonl"])
        path = tmp_path / f"table.{kind}"
        if kind == "csv":
            path.write_text(_csv_text(cells), encoding="utf-8", newline="")
        else:
            values: list[object] = [None, True, 1.5, -3, [1], {"a": {"b": 2}}, 10**30]
            records = [dict(zip(cells[0], row, strict=False)) for row in cells[1:]]
            for record in records:
                if record and rng.random() < 0.3:
                    record[rng.choice(list(record))] = rng.choice(values)  # type: ignore[assignment]
            path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        usable += _both(path, rng, capsys, case)
    assert 10 <= usable <= CASES_PER_FAMILY - 10


def test_cards_with_mutated_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A card with bytes changed at random is obeyed or refused."""
    (tmp_path / "table.csv").write_text(HEADER + "\n" + "\n".join(ROWS) + "\n", encoding="utf-8")
    usable = 0
    for case in range(CASES_PER_FAMILY):
        rng = random.Random(SEED + 20_000 + case)
        path = tmp_path / "card.toml"
        path.write_bytes(_mutate_bytes(CARD.encode(), rng))
        usable += _both(path, rng, capsys, case)
    assert 10 <= usable <= CASES_PER_FAMILY - 10


def test_cards_with_hostile_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Valid TOML with keys renamed and values of every type and every hostile text is obeyed or refused."""
    (tmp_path / "table.csv").write_text(HEADER + "\n" + "\n".join(ROWS) + "\n", encoding="utf-8")
    lines = CARD.splitlines()
    plain = ["1", "-1.5", "true", "[]", "{}", "[1]", '["a", 2]', "{a = 1}", "nan", "1979-05-27", '""', "[[]]"]
    usable = 0
    for case in range(CASES_PER_FAMILY):
        rng = random.Random(SEED + 30_000 + case)
        changed = list(lines)
        texts = [
            number for number, line in enumerate(lines) if line.startswith(("version", "licence", "desc", "remove"))
        ]
        for _ in range(rng.choice([1, 1, 2])):
            number = rng.choice(texts) if rng.random() < 0.5 else rng.randrange(len(changed))
            key, equals, _ = changed[number].partition(" = ")
            hostile = json.dumps(rng.choice(HOSTILE))
            if not equals:
                changed[number] = rng.choice(
                    ["", f"[{hostile}]", f"[attributes.{hostile}]", "[manifest]", "[[columns]]"]
                )
            elif rng.random() < 0.3:
                changed[number] = f"{hostile} = {hostile}"
            else:
                changed[number] = f"{key} = {rng.choice([rng.choice(plain), hostile, f'[{hostile}]'])}"
        path = tmp_path / "card.toml"
        path.write_text("\n".join(changed) + "\n", encoding="utf-8")
        usable += _both(path, rng, capsys, case)
    assert 10 <= usable <= CASES_PER_FAMILY - 10


def test_truncated_parquet_is_refused(tmp_path: Path) -> None:
    """A Parquet file cut at any of a hundred places is an error, never a crash of the interpreter."""
    frame = pd.DataFrame([next(iter(_csv_rows(row))) for row in ROWS], columns=HEADER.split(","))
    frame.to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert 4 == pq.read_metadata(tmp_path / "whole.parquet").num_rows
    path = tmp_path / "cut.parquet"
    for number in range(100):
        path.write_bytes(whole[: len(whole) * number // 100])
        with pytest.raises(InputError):
            read_table(path)
