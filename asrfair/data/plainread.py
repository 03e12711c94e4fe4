"""Reads small files that may come from anybody: ordinary files only, never more bytes than a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from asrfair.errors import InputError

MAX_BYTES = 64_000_000
"""Largest JSON, Markdown or text file that is read whole."""


def read_bytes(path: Path, *, most: int = MAX_BYTES, remedy: str = "") -> bytes:
    """Return a file's bytes.

    A pipe is not waited for and a device not read: a link in somebody's folder may point at either.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is no ordinary file, larger than ``most``, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the file cannot be read: {reason}", file=path, remedy=remedy) from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError("this is no ordinary file but a pipe, a device or a folder", file=path, remedy=remedy)
        try:
            content = stream.read(most + 1)
        except OSError as error:
            raise InputError(f"the file cannot be read: {error.strerror or error}", file=path, remedy=remedy) from error
    if len(content) > most:
        raise InputError(f"the file is larger than {most:,} bytes", file=path, remedy=remedy)
    return content


def read_text(path: Path, *, most: int = MAX_BYTES, encoding: str = "utf-8", remedy: str = "") -> str:
    """Return a file's text.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: As :func:`read_bytes`, or it is not of this encoding.
    """
    content = read_bytes(path, most=most, remedy=remedy)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError("the file is not UTF-8", file=path, line=line, remedy=remedy or "Save it as UTF-8") from error


def is_text(name: str) -> bool:
    """Whether a name can be written in UTF-8: names of files may hold bytes that are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
