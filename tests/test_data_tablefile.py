"""Tables in and out: nothing guessed, nothing lost, the same bytes every time, and harmless in a spreadsheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrfair.data.tablefile import (
    MAX_CELL_BYTES,
    lines_of,
    read_result,
    read_table,
    spreadsheet_raw,
    spreadsheet_safe,
    to_numbers,
    write_csv,
    write_parquet,
)
from asrfair.errors import InputError


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_cells_stay_what_the_file_says(tmp_path: Path) -> None:
    """NA, None, 1.0 and 007 are text, and an empty cell is the empty string."""
    path = _write(tmp_path / "t.csv", 'id,a,b\n007,NA,None\nnull,1.0,\n"x, y","say ""hi""",nan\n')
    assert read_table(path).to_numpy().tolist() == [
        ["007", "NA", "None"],
        ["null", "1.0", ""],
        ["x, y", 'say "hi"', "nan"],
    ]


def test_tsv_takes_quotation_marks_as_characters(tmp_path: Path) -> None:
    """A TSV cell that opens a quote does not swallow the rows after it."""
    path = _write(tmp_path / "t.tsv", 'id\ttext\n1\t"he said\n2\tyes"\n')
    assert read_table(path).to_numpy().tolist() == [["1", '"he said'], ["2", 'yes"']]


def test_jsonl_values_become_text(tmp_path: Path) -> None:
    """Numbers keep their digits, null and missing keys are empty, nested values are JSON."""
    lines = [
        '{"id": "a", "n": 1.50, "t": true, "x": null}',
        "",
        '{"id": "b", "big": 12345678901234567890, "l": [1, 2]}',
    ]
    path = _write(tmp_path / "t.jsonl", "\n".join(lines))
    expected = [
        {"id": "a", "n": "1.50", "t": "true", "x": "", "big": "", "l": ""},
        {"id": "b", "n": "", "t": "", "x": "", "big": "12345678901234567890", "l": "[1, 2]"},
    ]
    assert expected == read_table(path).to_dict(orient="records")


def test_parquet_values_become_text(tmp_path: Path) -> None:
    """Integers, floats, booleans, dictionaries and nulls are read as text."""
    table = pa.table(
        {
            "id": ["a", None],
            "n": [1, None],
            "x": [0.1, float("nan")],
            "t": [True, None],
            "d": pa.array(["p", "q"]).dictionary_encode(),
            "l": [[1], None],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    expected = [["a", "1", "0.1", "true", "p", "[1]"], ["", "", "", "", "q", ""]]
    assert expected == read_table(tmp_path / "t.parquet").to_numpy().tolist()


def test_byte_order_mark_and_windows_lines_are_understood(tmp_path: Path) -> None:
    """What Excel saves as UTF-8 CSV is read like any other."""
    path = _write(tmp_path / "t.csv", b"\xef\xbb\xbfid,a\r\n1,x\r\n")
    assert read_table(path).to_dict(orient="list") == {"id": ["1"], "a": ["x"]}


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("t.csv", "a,b\n1,2\n3,4,5\n", 3, "3 cells, the header has 2"),
        ("t.csv", "a,b\n1,2\n\n\n3\n", 5, "1 cells, the header has 2"),
        ("t.csv", b"a,b\n1,2\n3,\xff\n", 3, "not UTF-8"),
        ("t.csv", "a,a\n1,2\n", 1, "same name"),
        ("t.csv", "a,\n1,2\n", 1, "no name"),
        ("t.csv", "a,\x1b[31m\n1,2\n", 1, "control characters"),
        ("t.csv", "", None, "empty"),
        ("t.csv", "a,b\n1,x\0y\n", 2, "NUL"),
        ("t.csv", "a,b\n1,2".encode("utf-16"), 1, "UTF-16"),
        ("t.tsv", "a\tb\n1\t2\n3\n", 3, "1 cells, the header has 2"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', 2, "not JSON"),
        ("t.jsonl", '{"a": 1}\n[1]\n', 2, "not a JSON object"),
        ("t.jsonl", '{"a": NaN}\n', 1, "NaN is not JSON"),
        ("t.jsonl", '{"a": "\\ud800"}\n', 1, "surrogate"),
        ("t.jsonl", '{"a": "\\u0000"}\n', 1, "NUL"),
        ("t.jsonl", '{"a": ' + "[" * 100_000, 1, "not JSON"),
        ("t.jsonl", "\n\n", None, "empty"),
        ("t.parquet", "PAR1 nonsense PAR1", None, "Parquet"),
        ("t.xlsx", "a", None, "not known"),
    ],
)
def test_malformed_tables_are_refused_with_their_line(
    tmp_path: Path, name: str, content: str | bytes, line: int | None, words: str
) -> None:
    """Every malformed table is an InputError that points at the line, never another exception."""
    path = _write(tmp_path / name, content)
    with pytest.raises(InputError, match=words) as caught:
        read_table(path)
    assert (path, line) == (caught.value.file, caught.value.line)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    """A path that is no file is an InputError."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError):
            read_table(path, kind="csv")


def test_cells_of_a_megabyte_are_read_and_longer_ones_refused(tmp_path: Path) -> None:
    """A very long line is data up to a limit, and beyond it an error that says so."""
    path = _write(tmp_path / "t.csv", "id,a\n1,x\n2," + "y" * 1_000_000 + "\n")
    assert len(read_table(path)["a"][1]) == 1_000_000
    _write(path, "id,a\n1,x\n2," + "y" * (MAX_CELL_BYTES + 1) + "\n")
    with pytest.raises(InputError, match="longer than") as caught:
        read_table(path)
    assert caught.value.line == 3


def test_audio_bytes_in_parquet_are_refused(tmp_path: Path) -> None:
    """Bytes are no text, and the column is named."""
    pq.write_table(pa.table({"id": ["a"], "audio": [b"RIFF"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="bytes") as caught:
        read_table(tmp_path / "t.parquet")
    assert caught.value.column == "audio"


def test_lines_count_blank_lines_and_breaks_inside_quotes(tmp_path: Path) -> None:
    """A row's line is the one that an editor shows."""
    path = _write(tmp_path / "t.csv", 'a,b\n1,2\n\n"x\ny",4\n5,6\n')
    assert len(read_table(path)) == 3
    assert lines_of(path, [0, 1, 2]) == {0: 2, 1: 4, 2: 6}
    path = _write(tmp_path / "t.jsonl", '{"a": 1}\n\n{"a": 2}\n')
    assert lines_of(path, [1]) == {1: 3}


def test_csv_is_written_the_same_every_time(tmp_path: Path) -> None:
    """UTF-8, LF, shortest exact floats, nothing for missing values, formulas disarmed."""
    frame = pd.DataFrame(
        {
            "text": ["=1+1", "plain", 'q"u,o\nte'],
            "none": ["", None, "é"],
            "x": [0.1, np.nan, 1e-300],
            "n": pd.array([1, None, -3], dtype="Int64"),
            "b": [True, False, True],
        }
    )
    write_csv(frame, tmp_path / "a.csv")
    expected = 'text,none,x,n,b\n\'=1+1,,0.1,1,true\nplain,,,,false\n"q""u,o\nte",é,1e-300,-3,true\n'
    assert expected.encode() == (tmp_path / "a.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_text_in_parquet_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    """Another program, or damage, can leave bytes under the type of text: the file is named, not Arrow's line."""
    column = pa.array([b"u1", b"u\xff"]).view(pa.string())
    pq.write_table(pa.table({"utterance_id": column, "hypothesis": ["a", "b"]}), tmp_path / "h.parquet")
    with pytest.raises(InputError, match=r"cannot be read: .*UTF8"):
        read_table(tmp_path / "h.parquet")


def test_parquet_is_written_the_same_every_time(tmp_path: Path) -> None:
    """Two writes of one frame are the same bytes, without pandas' metadata."""
    frame = pd.DataFrame({"a": ["x", "y"], "n": [1.5, 2.5]})
    write_parquet(frame, tmp_path / "a.parquet")
    write_parquet(frame.copy(), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(frame, pd.read_parquet(tmp_path / "a.parquet"))


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    """Numbers are numbers, groups that look like numbers are text, apostrophes are gone."""
    frame = pd.DataFrame({"group": ["1", "-x"], "wer": [0.25, np.nan], "words": [3, 4]})
    write_csv(frame, tmp_path / "a.csv")
    pd.testing.assert_frame_equal(frame, read_result(tmp_path / "a.csv"), check_dtype=False)
    assert read_result(tmp_path / "a.csv")["words"].dtype == "int64"


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_disarming_a_cell_can_be_undone(text: str) -> None:
    """Whatever printable text a cell has, it comes back; and no cell starts a formula."""
    safe = spreadsheet_safe(text)
    assert text == spreadsheet_raw(safe)
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_terminal_escapes_are_shown_not_obeyed() -> None:
    """Control and bidirectional characters are spelled out in files that people open."""
    assert spreadsheet_safe("a\x1b[31mb\u202ec") == r"a\x1b[31mb\u202ec"


def test_jsonl_batches_with_different_keys_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that appear late are empty in the rows before, across batches."""
    monkeypatch.setattr("asrfair.data.tablefile.jsonlines._JSON_BATCH", 2)
    path = _write(tmp_path / "t.jsonl", "\n".join(json.dumps({"id": str(i), f"k{i}": i}) for i in range(5)))
    frame = read_table(path)
    assert frame["k4"].tolist() == ["", "", "", "", "4"]
    assert len(frame) == 5


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    """What was written is read back exactly, whatever pandas makes of digits (before 3 it rounds the last one)."""
    values = np.random.default_rng(1).random(500) * 10.0 ** np.arange(-250, 250)
    write_csv(pd.DataFrame({"rate": values}), tmp_path / "t.csv")
    assert read_result(tmp_path / "t.csv")["rate"].tolist() == values.tolist()
    assert np.isnan(to_numbers(pd.Series(["", "one", "1e", " 2 "], dtype=str))[:3]).all()
