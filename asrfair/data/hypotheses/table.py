"""Hypotheses in tables, with the column names that recognisers and toolkits give them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asrfair.data.tablefile import lines_of, read_table, to_numbers
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError

COLUMNS = ("utterance_id", "hypothesis", "confidence", "language", "words")

ID_NAMES = ("utterance_id", "utt_id", "utt", "uttid", "utterance", "segment_id", "id")
"""Names of the column with the utterance's id, the first found counts."""
HYPOTHESIS_NAMES = ("hypothesis", "hyp", "hyp_raw", "pred_text", "prediction", "transcript", "transcription", "text")
"""Names of the column with the text; ``pred_text`` before ``text``, which is the reference in NeMo's manifests."""
LANGUAGE_NAMES = ("language", "lang")
_WORD = ("word", "text", "w")
_START = ("start_s", "start", "start_time")
_END = ("end_s", "end", "end_time")
_CONFIDENCE = ("confidence", "conf", "probability", "score")

LineOf = Callable[[int], int | None]


def read_hypothesis_table(path: Path) -> pd.DataFrame:
    """Read hypotheses from CSV, TSV, JSON Lines or Parquet.

    Raises:
        InputError: As :func:`asrfair.data.hypotheses.read_hypotheses`.
    """
    table = read_table(path)
    id_column = _find(path, table, ID_NAMES, "the utterance's id")
    text_column = _find(path, table, HYPOTHESIS_NAMES, "the recognised text")

    def line_of(row: int) -> int | None:
        return lines_of(path, [row]).get(row)

    language = next((name for name in LANGUAGE_NAMES if name in table.columns), None)
    frame = pd.DataFrame(
        {
            "utterance_id": table[id_column],
            "hypothesis": table[text_column],
            "confidence": _confidences(path, table, line_of),
            "language": table[language] if language else "",
            "words": _words(path, table, line_of),
        }
    )
    check_ids(path, frame, line_of, column=id_column)
    return frame


def check_ids(path: Path, frame: pd.DataFrame, line_of: LineOf, *, column: str) -> None:
    """Refuse an empty file, a row without an id, and rows that contradict each other.

    Raises:
        InputError: With the line (and that of the other row).
    """
    if frame.empty:
        raise InputError("there are no hypotheses in the file", file=path, remedy="Is it the right file?")
    ids = frame["utterance_id"]
    empty = np.flatnonzero((ids.str.strip() == "").to_numpy())
    if len(empty):
        raise InputError(
            "a row has no utterance id",
            file=path,
            line=line_of(int(empty[0])),
            column=column,
            remedy="Every row needs the id that the manifest has",
        )
    if ids.is_unique:
        return
    repeated = frame[ids.duplicated(keep=False)]
    texts = repeated.groupby("utterance_id", sort=False)["hypothesis"]
    contradicting = texts.transform("nunique") > 1
    if contradicting.any():
        first = repeated[contradicting].index[0]
        name = ids[first]
        same = repeated[ids[repeated.index] == name]
        other = same[same["hypothesis"] != same["hypothesis"].iloc[0]].index[0]
        lines = line_of(int(first)), line_of(int(other))
        raise InputError(
            f"lines {lines[0]} and {lines[1]} have different hypotheses for one utterance",
            file=path,
            line=lines[1],
            column=column,
            value=name,
            remedy="Leave one of them, or give each engine its own file",
        )


def _find(path: Path, table: pd.DataFrame, names: Sequence[str], what: str) -> str:
    for name in names:
        if name in table.columns:
            return name
    near = [str(name) for name in table.columns]
    raise InputError(
        f"no column holds {what}",
        file=path,
        line=1,
        column=names[0],
        remedy=f"Name it one of {', '.join(names)}. {_nearest(names, near)}",
    )


def _nearest(names: Sequence[str], columns: Collection[str]) -> str:
    for name in names:
        hint = did_you_mean(name, columns)
        if hint.startswith("Did you mean"):
            return hint.replace("Did you mean", "Should this be it:").partition(" Known")[0]
    return f"The file has {', '.join(sorted(columns)[:20])}"


def _confidences(path: Path, table: pd.DataFrame, line_of: LineOf) -> Any:
    if "confidence" not in table.columns:
        return np.full(len(table), np.nan)
    column = table["confidence"].str.strip()
    numbers = to_numbers(column)
    wrong = np.flatnonzero(((column != "") & ~np.isfinite(numbers)).to_numpy())
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            "the confidence is no finite number",
            file=path,
            line=line_of(row),
            column="confidence",
            value=column.iloc[row],
            remedy="Write a number, or leave the cell empty",
        )
    return numbers


def _words(path: Path, table: pd.DataFrame, line_of: LineOf) -> Any:
    if "words" not in table.columns:
        return ""
    out: list[str] = []
    for row, cell in enumerate(table["words"].tolist()):
        try:
            out.append(_word_list(cell) if cell.strip() else "")
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise InputError(
                "the words are no list of words with their times",
                file=path,
                line=line_of(row),
                column="words",
                value=cell,
                remedy='Write [{"word": "hello", "start_s": 0.1, "end_s": 0.4}], or leave it out',
            ) from error
    return out


def _word_list(cell: str) -> str:
    entries = json.loads(cell)
    if not isinstance(entries, list):
        raise TypeError("not a list")
    out = []
    for entry in entries:
        word: dict[str, Any] = {"word": _get(entry, _WORD)}
        if not isinstance(word["word"], str):
            raise TypeError("a word is no text")
        word["start_s"] = _number(_get(entry, _START))
        word["end_s"] = _number(_get(entry, _END))
        confidence = next((entry[name] for name in _CONFIDENCE if entry.get(name) is not None), None)
        if confidence is not None:
            word["confidence"] = _number(confidence)
        out.append(word)
    return json.dumps(out, ensure_ascii=False)


def _get(entry: dict[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in entry:
            return entry[name]
    raise KeyError(names[0])


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number
