"""Where the members of a tar file lie, so that one is read as a stretch of bytes and nothing is unpacked.

Read by hand and not with ``tarfile``: shards come from strangers. No name becomes a path, no link is followed, a header
that asks for memory gets none. Understood are POSIX.1-1988 (ustar), POSIX.1-2001 (pax: ``path``, ``size``) and GNU
(long names, sizes in base 256); sparse files are refused.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import BinaryIO, Final

BLOCK: Final = 512
MOST_MEMBERS: Final = 5_000_000
MOST_EXTRA: Final = 1 << 20
"""Largest extended header: a name or a list of properties."""

Stretch = tuple[int, int]
"""Offset and size in bytes."""


class ShardError(Exception):
    """The shard cannot be used; the text says why, without a path."""


def members_of(stream: BinaryIO, size: int) -> dict[str, Stretch]:
    """Return where each file of a tar file lies: its name as it stands there (``./`` taken off) → offset and size.

    Only headers are read. A file that ends early is no error here: its last member may reach beyond the end.

    Args:
        stream: The tar file, which can be sought in.
        size: Its bytes.

    Raises:
        ShardError: It is no tar file, compressed, damaged, or holds two files of one name.
    """
    found: dict[str, Stretch] = {}
    place = 0
    name: str | None = None
    stated: int | None = None
    while place + BLOCK <= size:
        stream.seek(place)
        header = stream.read(BLOCK)
        if len(header) < BLOCK or not header.strip(b"\0"):
            break
        if not _sums_up(header):
            raise ShardError(_not_tar(header) if place == 0 else "a header in it is damaged")
        kind = header[156:157]
        length = _number(header[124:136])
        place += BLOCK
        if kind in b"xgLK":
            if length > MOST_EXTRA:
                raise ShardError("a header in it is larger than any that is needed")
            extra = stream.read(length)
            if len(extra) < length:
                break
            if kind == b"L":
                name = _text(extra)
            elif kind == b"x":
                properties = _pax(extra)
                name = properties.get("path", name)
                stated = _decimal(properties["size"]) if "size" in properties else None
                if any(key.startswith("GNU.sparse") for key in properties):
                    raise ShardError("it holds a sparse file")
            place += _padded(length)
            continue
        if kind == b"S":
            raise ShardError("it holds a sparse file")
        length = length if stated is None else stated
        # Links, devices and folders have no content, whatever size their header claims.
        content = 0 if kind in b"123456" else length
        if kind in b"0\x007":
            own = (_name(header) if name is None else name).removeprefix("./")
            if own in found:
                raise ShardError("it holds two files of one name")
            if len(found) >= MOST_MEMBERS:
                raise ShardError(f"it holds more than {MOST_MEMBERS:,} files")
            found[own] = (place, length)
        place += _padded(content)
        name, stated = None, None
    if not found and place == 0:
        raise ShardError("it is empty")
    return found


def _padded(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def _sums_up(header: bytes) -> bool:
    """Whether a header's checksum is right: the sum of its bytes, its own field counted as spaces."""
    try:
        stated = int(header[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    rest = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in rest)  # as some old programs wrote it
    return stated in {sum(rest), signed}


def _number(field: bytes) -> int:
    """Return a size: octal digits, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    else:
        try:
            value = int(field.strip(b" \0") or b"0", 8)
        except ValueError as error:
            raise ShardError("a header in it is damaged") from error
    if not 0 <= value < 1 << 60:
        raise ShardError("a header in it claims an impossible size")
    return value


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ShardError("a header in it claims an impossible size")
    return int(text)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _pax(content: bytes) -> Mapping[str, str]:
    """Read records: ``LENGTH KEY=VALUE`` and the end of a line."""
    found: dict[str, str] = {}
    stream = io.BytesIO(content)
    while True:
        start = stream.tell()
        digits = b""
        while (sign := stream.read(1)).isdigit() and len(digits) < 8:
            digits += sign
        if not digits and sign in {b"", b"\0"}:
            return found
        length = int(digits or b"0")
        record = stream.read(max(length - (stream.tell() - start), 0))
        key, equals, value = record.partition(b"=")
        if sign != b" " or not equals or not value.endswith(b"\n"):
            raise ShardError("a header in it is damaged")
        found[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")


def _not_tar(header: bytes) -> str:
    if header[:2] == b"\x1f\x8b" or header[:4] in {b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"} or header[:3] == b"BZh":
        return "it is compressed, and cannot be read from the middle; audio in it hardly shrinks anyway"
    return "it is no tar file"
