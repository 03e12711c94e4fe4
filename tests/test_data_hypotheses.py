"""Hypothesis files of every format: read as they are, refused with the line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from asrfair.data.hypotheses import COLUMNS, read_hypotheses
from asrfair.errors import InputError


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The (utterance, hypothesis) pairs in order."""
    return list(zip(frame["utterance_id"].tolist(), frame["hypothesis"].tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'utt_id,hypothesis\nu1,"hello, NA"\nu2,\nu3,None\n'),
        ("a.tsv", "utterance_id\ttranscript\nu1\thello, NA\nu2\t\nu3\tNone\n"),
        ("a.jsonl", '{"id": "u1", "text": "hello, NA"}\n\n{"id": "u2", "text": null}\n{"id": "u3", "text": "None"}\n'),
        ("a.trn", ";; a comment\nhello, NA (u1)\n\n(u2)\nNone ( u3 )\n"),
    ],
)
def test_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    """CSV, TSV, JSON Lines and trn give the same rows; NA and None are text, nothing is the empty text."""
    frame = read_hypotheses(write(tmp_path, name, text))
    assert list(COLUMNS) == list(frame.columns)
    assert [("u1", "hello, NA"), ("u2", ""), ("u3", "None")] == pairs(frame)
    assert frame["confidence"].isna().all()


def test_parquet_with_confidence_language_and_words(tmp_path: Path) -> None:
    """Further columns come through; words are brought to one form."""
    words = [{"text": "hello", "start": 0, "end": 0.5, "conf": 0.9}]
    frame = pd.DataFrame(
        {"utterance_id": ["u1", "u2"], "hyp": ["hello", ""], "confidence": [0.5, None], "lang": ["en", None]}
    ).assign(words=[json.dumps(words), ""])
    frame.to_parquet(tmp_path / "a.parquet")
    found = read_hypotheses(tmp_path / "a.parquet")
    assert [0.5] == found["confidence"].dropna().tolist()
    assert ["en", ""] == found["language"].tolist()
    assert [{"word": "hello", "start_s": 0.0, "end_s": 0.5, "confidence": 0.9}] == json.loads(found["words"][0])
    assert "" == found["words"][1]


def test_words_in_json_lines(tmp_path: Path) -> None:
    """Nested words of a JSON line are read with their times."""
    line = {
        "utterance_id": "u1",
        "pred_text": "hi",
        "text": "reference",
        "words": [{"word": "hi", "start_s": 1, "end_s": 2}],
    }
    found = read_hypotheses(write(tmp_path, "a.jsonl", json.dumps(line) + "\n"))
    assert [("u1", "hi")] == pairs(found)
    assert [{"word": "hi", "start_s": 1.0, "end_s": 2.0}] == json.loads(found["words"][0])


def test_ctm_of_utterances(tmp_path: Path) -> None:
    """Words are put in the order of their times; of alternatives the first counts; NA is no confidence."""
    text = (
        ";; comment\nu1 1 0.50 0.20 world 0.5\nu1 1 0.10 0.20 hello 1.0\nu2 A 0 1 x NA\n"
        "u3 1 * * <ALT_BEGIN>\nu3 1 0.1 0.1 a\nu3 1 * * <ALT>\nu3 1 0.1 0.1 b\nu3 1 * * <ALT_END>\nu3 1 0.2 0.1 c\n"
    )
    found = read_hypotheses(write(tmp_path, "a.ctm", text))
    assert [("u1", "hello world"), ("u2", "x"), ("u3", "a c")] == pairs(found)
    assert 0.75 == found["confidence"][0]
    assert math.isnan(found["confidence"][1])
    assert [0.1, 0.5] == [word["start_s"] for word in json.loads(found["words"][0])]


def test_ctm_of_long_recordings_is_cut_by_the_manifest(tmp_path: Path) -> None:
    """Words go to the segment that holds their middle; a silent segment is empty, words outside are not lost."""
    utterances = pd.DataFrame(
        {
            "utterance_id": ["u1", "u2", "u3", "v1"],
            "audio": ["/somewhere/talk.wav"] * 3 + ["/somewhere/other.wav"],
            "start_s": [0.0, 2.0, 2.0, 0.0],
            "end_s": [2.0, 4.0, 6.0, 9.0],
            "channel": pd.array([0, 0, 1, None], dtype="Int64"),
        }
    )
    text = "talk A 0.5 0.5 one\ntalk A 1.8 0.8 two\ntalk B 2.5 0.5 three\ntalk A 7 1 lost\nv1 1 0 1 direct\n"
    found = read_hypotheses(write(tmp_path, "a.ctm", text), utterances=utterances)
    assert [("u1", "one"), ("u2", "two"), ("u3", "three"), ("talk", "lost"), ("v1", "direct")] == pairs(found)
    assert -0.2 == json.loads(found["words"][1])[0]["start_s"]
    with pytest.raises(InputError, match="several channels"):
        read_hypotheses(tmp_path / "a.ctm")
    quiet = read_hypotheses(write(tmp_path, "b.ctm", "talk A 0.5 0.5 one\n"), utterances=utterances)
    assert [("u1", "one"), ("u2", ""), ("u3", "")] == pairs(quiet)


def test_equal_rows_stay_and_contradicting_ones_name_both_lines(tmp_path: Path) -> None:
    """The same row twice is left to the ledger; two different hypotheses are an error."""
    same = read_hypotheses(write(tmp_path, "a.csv", "utt_id,hypothesis\nu1,a\nu1,a\n"))
    assert [("u1", "a"), ("u1", "a")] == pairs(same)
    with pytest.raises(InputError, match=r"b\.csv:5: lines 2 and 5 have different"):
        read_hypotheses(write(tmp_path, "b.csv", 'utt_id,hypothesis\nu1,a\nu2,"x\ny"\nu1,b\n'))
    with pytest.raises(InputError, match="lines 1 and 3"):
        read_hypotheses(write(tmp_path, "b.trn", "a (u1)\na (u1)\nb (u1)\n"))
    with pytest.raises(InputError, match="lines 1 and 4"):
        read_hypotheses(
            write(tmp_path, "b.jsonl", '{"id":"u","hyp":"a"}\n\n{"id":"v","hyp":"a"}\n{"id":"u","hyp":"b"}\n')
        )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "utterance,hypotesis\nu,x\n", "no column holds the recognised text"),
        ("a.csv", "utterance,hypotesis\nu,x\n", "hypotesis"),
        ("a.csv", "name,hypothesis\nu,x\n", "no column holds the utterance's id"),
        ("a.csv", "utt_id,hypothesis\n", "no hypotheses"),
        ("a.csv", "", "empty"),
        ("a.csv", "utt_id,hypothesis\nu1,a\n ,b\n", r"a\.csv:3: a row has no utterance id"),
        ("a.csv", "utt_id,hypothesis,confidence\nu1,a,high\n", r"a\.csv:2: the confidence is no finite number"),
        ("a.csv", "utt_id,hypothesis,confidence\nu1,a,inf\n", "finite"),
        ("a.csv", "utt_id,hypothesis,words\nu1,a,[1]\n", r"a\.csv:2: the words are no list"),
        ("a.csv", 'utt_id,hypothesis,words\nu1,a,"{""a"": 1}"\n', "the words are no list"),
        ("a.csv", b"utt_id,hypothesis\nu1,\xff\n", "UTF-8"),
        ("a.jsonl", '{"id": "u", "hyp": "a"\n', r"a\.jsonl:1"),
        ("a.parquet", "no parquet", "Parquet"),
        ("a.trn", "hello (u1)\nno id here\n", r"a\.trn:2: the line has no utterance id"),
        ("a.trn", "hello ()\n", "no utterance id"),
        ("a.trn", "{ a / b } c (u1)\n", "alternatives"),
        ("a.trn", ";; nothing\n", "no hypotheses"),
        ("a.trn", b"\xff (u1)\n", r"a\.trn:1: the text is not UTF-8"),
        ("a.trn", "a\0b (u1)\n", "NUL"),
        ("a.ctm", "u1 1 0.0 0.1\n", r"a\.ctm:1: the line has 4 fields"),
        ("a.ctm", "u1 1 0.0 0.1 a\nu1 1 x 0.1 b\n", r"a\.ctm:2: this is no finite number .*start"),
        ("a.ctm", "u1 1 0 nan a\n", "finite"),
        ("a.ctm", "u1 1 -1 0.1 a\n", "negative"),
        ("a.ctm", "u1 1 0 0.1 a high\n", "confidence"),
        ("a.ctm", "u1 A 0 1 a\nu1 B 0 1 b\n", "several channels"),
        ("a.ctm", "", "no hypotheses"),
        ("a.txt", "u1 hello\n", "not known"),
    ],
)
def test_what_is_wrong_is_said_with_the_line(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    """Every kind of broken file is an input error that names file, line and remedy."""
    with pytest.raises(InputError, match=message) as caught:
        read_hypotheses(write(tmp_path, name, text))
    assert name in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["none.csv", "none.trn", "none.ctm", "nul\0.trn", "nul\0.csv"])
def test_files_that_are_not_there(tmp_path: Path, name: str) -> None:
    """A missing file or an impossible path is an input error."""
    with pytest.raises(InputError):
        read_hypotheses(tmp_path / name)


def test_a_line_of_a_megabyte_is_read(tmp_path: Path) -> None:
    """A runaway hypothesis of a megabyte is data; a line of sixteen is refused."""
    text = "word " * 200_000
    assert [("u1", text)] == pairs(read_hypotheses(write(tmp_path, "a.csv", f"utt_id,hypothesis\nu1,{text}\n")))
    assert [("u1", text.strip())] == pairs(read_hypotheses(write(tmp_path, "a.trn", f"{text}(u1)\n")))
    for name, start in (("b.trn", ""), ("b.ctm", ""), ("b.jsonl", ""), ("b.csv", "utt_id,hypothesis\nu1,")):
        with pytest.raises(InputError, match="longer than"):
            read_hypotheses(write(tmp_path, name, start + "x" * 17_000_000))


@pytest.mark.shared
def test_real_files(shared_data: Path) -> None:
    """The seven real files are read whole."""
    sizes = {
        path.stem: len(read_hypotheses(path))
        for corpus in ("edacc", "artie_bias")
        for path in (shared_data / corpus / "hypotheses").glob("*.csv")
    }
    assert {9177, 1712} == set(sizes.values())
    assert 7 == len(sizes)
