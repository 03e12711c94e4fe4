"""Notices audio files that were cut short: what their header promises against the bytes that are there.

libsndfile reads what there is of a cut-off file and says nothing, so half an utterance is transcribed as if it were
whole; where copies fail more often for some groups than for others, that becomes a disparity. Read here: RIFF, RF64 and
BW64 WAVE (chunk ``data``, chunk ``ds64``), AIFF (``SSND``), Sun AU, NIST SPHERE, and the end mark of an Ogg stream (RFC
3533, header type 4). FLAC and MP3 state their length in frames, which the decoder compares (``asrfair.data.audio``).
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_UNKNOWN = 0x7FFFF000
"""Sizes from here on are those of programs that write to a pipe and cannot know."""
_CHUNKS = 1000
_OGG_TAIL = 1 << 17


def missing_share(path: Path) -> float:
    """Return how much of the audio that a file promises is not there: 0 for a whole file, or where nothing can be said.

    Args:
        path: A file that can be opened as audio.
    """
    try:
        status = path.stat()
        return _missing(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return 0.0


@lru_cache(maxsize=4096)
def _missing(path: Path, size: int, changed_ns: int) -> float:  # noqa: ARG001 -- part of the key
    with path.open("rb") as stream:
        return missing_in(stream, size)


def missing_in(stream: BinaryIO, size: int) -> float:
    """Return the same of a stream of so many bytes."""
    try:
        return _promised(stream, size)
    except (OSError, ValueError, struct.error):
        return 0.0


def _promised(stream: BinaryIO, size: int) -> float:
    stream.seek(0)
    start = stream.read(16)
    if start[:4] in {b"RIFF", b"RF64", b"BW64"} and start[8:12] == b"WAVE":
        return _chunks(stream, size, "<", b"data", start[:4] != b"RIFF")
    if start[:4] == b"FORM" and start[8:12] in {b"AIFF", b"AIFC"}:
        return _chunks(stream, size, ">", b"SSND", wide=False)
    if start[:4] == b".snd":
        offset, promised = struct.unpack(">II", start[4:12])
        return _share(promised, size - offset) if promised < _UNKNOWN else 0.0
    if start[:7] == b"NIST_1A":
        return _sphere(stream, size)
    if start[:4] == b"OggS":
        return _ogg(stream, size)
    return 0.0


def _share(promised: int, there: int) -> float:
    return 0.0 if promised <= 0 else max(0.0, 1.0 - max(there, 0) / promised)


def _chunks(stream: BinaryIO, size: int, order: str, wanted: bytes, wide: bool) -> float:
    place = 12
    long_size = None
    for _ in range(_CHUNKS):
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8:
            return 0.0
        name, length = head[:4], struct.unpack(f"{order}I", head[4:])[0]
        if wide and name == b"ds64":
            long_size = struct.unpack("<Q", stream.read(16)[8:])[0]
        if name == wanted:
            if wide and long_size is not None:
                return _share(long_size, size - place - 8)
            return 0.0 if length == 0 or length >= _UNKNOWN else _share(length, size - place - 8)
        place += 8 + length + length % 2
    return 0.0


def _sphere(stream: BinaryIO, size: int) -> float:
    stream.seek(0)
    text = stream.read(1024).decode("ascii", "replace")
    length = int(text.splitlines()[1])
    found = {key: int(number) for key, number in re.findall(r"^(\w+) -i (\d{1,12})\s*$", text, re.MULTILINE)}
    if not {"sample_count", "sample_n_bytes"} <= found.keys() or "shorten" in text:
        return 0.0
    promised = found["sample_count"] * found["sample_n_bytes"] * found.get("channel_count", 1)
    return _share(promised, size - length)


def _ogg(stream: BinaryIO, size: int) -> float:
    """Return what of the last page is missing, or half of it where the stream has no end."""
    stream.seek(max(0, size - _OGG_TAIL))
    tail = stream.read()
    place = tail.rfind(b"OggS")
    while place >= 0:
        page = tail[place:]
        if len(page) >= 27 and len(page) >= 27 + page[26]:
            whole = 27 + page[26] + sum(page[27 : 27 + page[26]])
            if page[4] == 0 and len(page) <= whole:
                return 0.0 if page[5] & 4 and len(page) == whole else 0.5
        place = tail.rfind(b"OggS", 0, place)
    return 0.0
