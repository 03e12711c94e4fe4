"""The two formats of NIST's sclite: .trn (a transcript and an id a line) and .ctm (a word and its times a line)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from asrfair.data.hypotheses.table import COLUMNS, check_ids
from asrfair.data.tablefile import MAX_BYTES, open_table, size_of
from asrfair.errors import InputError

MAX_LINE_BYTES = 16_000_000

_TRN = re.compile(r"^(?P<text>.*)\((?P<id>[^()]*)\)\s*$", re.DOTALL)
_ALTERNATIVES = re.compile(r"\{[^{}]*\s/\s[^{}]*\}")
_CHANNELS = {"A": 0, "B": 1, "1": 0, "2": 1, "0": 0}


@dataclass(frozen=True, slots=True)
class _Word:
    word: str
    start_s: float
    end_s: float
    confidence: float | None
    channel: str


@dataclass(slots=True)
class _Recording:
    line: int
    words: list[_Word] = field(default_factory=list)


def read_trn(path: Path) -> pd.DataFrame:
    """Read ``some words (utterance-id)`` lines; lines that start with ``;;`` are comments.

    Raises:
        InputError: A line has no id, or alternatives ``{ a / b }``, which a hypothesis cannot have here.
    """
    ids: list[str] = []
    texts: list[str] = []
    lines: list[int] = []
    for number, line in _lines(path):
        match = _TRN.match(line)
        if match is None:
            raise InputError(
                "the line has no utterance id in parentheses at its end",
                file=path,
                line=number,
                value=line[-200:],
                remedy="Write: some words (utterance-id)",
            )
        text = match["text"].strip()
        if _ALTERNATIVES.search(text):
            raise InputError(
                "a hypothesis with alternatives is ambiguous",
                file=path,
                line=number,
                remedy="Write the one that counts",
            )
        ids.append(match["id"].strip())
        texts.append(text)
        lines.append(number)
    frame = _frame(ids, texts, [math.nan] * len(ids), [""] * len(ids))
    check_ids(path, frame, lines.__getitem__, column="utterance_id")
    return frame


def read_ctm(path: Path, utterances: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read ``recording channel start duration word [confidence]`` lines.

    A recording that is an utterance's id gives that utterance. Otherwise, with ``utterances``, one that is the name of
    their audio file (without folder and suffix) is cut at their times: a word belongs to the segment that holds its
    middle, an utterance without words has an empty hypothesis, and words outside all segments come back under the
    recording's own name, so that they show as an unknown utterance. Of alternatives the first counts.

    Raises:
        InputError: A line is malformed, or a recording has two channels and nothing to cut it by.
    """
    recordings = _recordings(path)
    if not recordings:
        raise InputError("there are no hypotheses in the file", file=path, remedy="Is it the right file?")
    known = set() if utterances is None else set(utterances["utterance_id"])
    segments = {} if utterances is None else _segments(utterances)
    rows: list[tuple[str, list[_Word]]] = []
    for name, recording in recordings.items():
        words = sorted(recording.words, key=lambda word: word.start_s)
        if name not in known and name in segments:
            rows += _cut(name, words, segments[name])
            continue
        if len({word.channel for word in words}) > 1:
            raise InputError(
                f"the recording {name!r} has words on several channels, which are several utterances",
                file=path,
                line=recording.line,
                remedy="Give the manifest's audio, start_s, end_s and channel, or one name an utterance",
            )
        rows.append((name, words))
    return _frame(
        [name for name, _ in rows],
        [" ".join(word.word for word in words) for _, words in rows],
        [_mean_confidence(words) for _, words in rows],
        [_to_json(words) for _, words in rows],
    )


def _recordings(path: Path) -> dict[str, _Recording]:
    found: dict[str, _Recording] = {}
    alternative = 0
    for number, line in _lines(path):
        parts = line.split()
        if len(parts) < 5:
            raise InputError(
                f"the line has {len(parts)} fields, at least 5 are needed",
                file=path,
                line=number,
                value=line[:200],
                remedy="Write: recording channel start duration word [confidence]",
            )
        name, channel, start, duration, word = parts[:5]
        recording = found.setdefault(name, _Recording(number))
        mark = word.upper()
        if mark == "<ALT_BEGIN>":
            alternative = 1
        elif mark == "<ALT>" and alternative:
            alternative += 1
        elif mark == "<ALT_END>":
            alternative = 0
        elif alternative <= 1 and not (alternative and word == "@"):
            start_s = _seconds(path, number, "start", start)
            length_s = _seconds(path, number, "duration", duration)
            confidence = None
            if len(parts) > 5 and parts[5].upper() != "NA":
                confidence = _number(path, number, "confidence", parts[5])
            recording.words.append(_Word(word, start_s, start_s + length_s, confidence, channel))
    return found


def _segments(utterances: pd.DataFrame) -> dict[str, list[tuple[str, float, float, int | None]]]:
    """Return recording → (utterance, start, end, channel) of its segments."""
    found: dict[str, list[tuple[str, float, float, int | None]]] = {}
    size = len(utterances)
    columns = [
        utterances[name].tolist() if name in utterances else [default] * size
        for name, default in (("audio", ""), ("start_s", math.nan), ("end_s", math.nan), ("channel", None))
    ]
    for utterance_id, audio, start, end, channel in zip(utterances["utterance_id"].tolist(), *columns, strict=True):
        if not audio:
            continue
        start_s = 0.0 if pd.isna(start) else float(start)
        end_s = math.inf if pd.isna(end) else float(end)
        number = None if pd.isna(channel) else int(channel)
        found.setdefault(Path(str(audio)).stem, []).append((utterance_id, start_s, end_s, number))
    return found


def _cut(
    name: str, words: list[_Word], segments: list[tuple[str, float, float, int | None]]
) -> list[tuple[str, list[_Word]]]:
    """Give every word to each segment that holds its middle (speakers on different channels may overlap)."""
    taken = np.zeros(len(words), np.bool_)
    middles = np.array([(word.start_s + word.end_s) / 2 for word in words])
    channels = np.array([_CHANNELS.get(word.channel.upper(), -1) for word in words])
    several = len(set(channels.tolist())) > 1
    rows: list[tuple[str, list[_Word]]] = []
    for utterance_id, start_s, end_s, channel in segments:
        inside = (middles >= start_s) & (middles < end_s)
        if several and channel is not None:
            inside &= channels == channel
        taken |= inside
        own = [words[index] for index in np.flatnonzero(inside).tolist()]
        offset = [
            _Word(word.word, word.start_s - start_s, word.end_s - start_s, word.confidence, word.channel)
            for word in own
        ]
        rows.append((utterance_id, offset))
    outside = [words[index] for index in np.flatnonzero(~taken).tolist()]
    if outside:
        rows.append((name, outside))
    return rows


def _mean_confidence(words: list[_Word]) -> float:
    known = [word.confidence for word in words if word.confidence is not None]
    return math.fsum(known) / len(known) if known else math.nan


def _to_json(words: list[_Word]) -> str:
    return json.dumps(
        [
            {"word": word.word, "start_s": round(word.start_s, 6), "end_s": round(word.end_s, 6)}
            | ({} if word.confidence is None else {"confidence": word.confidence})
            for word in words
        ],
        ensure_ascii=False,
    )


def _seconds(path: Path, line: int, column: str, text: str) -> float:
    number = _number(path, line, column, text)
    if number < 0:
        raise InputError("a time cannot be negative", file=path, line=line, column=column, value=text)
    return number


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(
            "this is no finite number",
            file=path,
            line=line,
            column=column,
            value=text,
            remedy="Write: recording channel start duration word [confidence]",
        )
    return number


def _frame(ids: list[str], texts: list[str], confidences: list[float], words: list[str]) -> pd.DataFrame:
    values = {
        "utterance_id": pd.array(ids, dtype="str"),
        "hypothesis": pd.array(texts, dtype="str"),
        "confidence": np.array(confidences, float),
        "language": pd.array([""] * len(ids), dtype="str"),
        "words": pd.array(words, dtype="str"),
    }
    return pd.DataFrame({name: values[name] for name in COLUMNS})


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of every line that is neither blank nor a comment."""
    try:
        if size_of(path) > MAX_BYTES:
            raise InputError(f"the file is larger than {MAX_BYTES} bytes", file=path, remedy="Split it")
        stream = open_table(path)
    except OSError as error:
        raise InputError(
            f"the hypotheses cannot be read: {error.strerror or error}", file=path, remedy="Check the path"
        ) from error
    except ValueError as error:
        raise InputError(f"not a usable path: {error}", file=path) from error
    number = 0
    with stream:
        while raw := stream.readline(MAX_LINE_BYTES):
            number += 1
            if len(raw) >= MAX_LINE_BYTES:
                raise InputError(f"the line is longer than {MAX_LINE_BYTES} bytes", file=path, line=number)
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                line = raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(
                    "the text is not UTF-8", file=path, line=number, remedy="Save the file as UTF-8"
                ) from error
            if "\0" in line:
                raise InputError("the line holds a NUL character", file=path, line=number, remedy="Is it a text file?")
            if line.strip() and not line.lstrip().startswith(";;"):
                yield number, line
