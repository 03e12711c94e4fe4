"""JSON files that notice damage: the SHA-256 of what they say stands in them.

A seal says that nothing changed since asrfair wrote the file: a flipped bit, half a copy, an edit. It is no signature:
whoever wants to deceive can seal again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrfair.data.plainread import read_bytes
from asrfair.errors import InputError, RunDamagedError

SEAL = "sha256"


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object, whatever its layout and the order of its keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its seal as the last key."""
    plain = {key: value for key, value in as_json(content).items() if key != SEAL}
    return {**plain, SEAL: digest(plain)}


def as_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what will be read back of an object that is written as JSON."""
    return dict(json.loads(json.dumps(content, default=str)))


def opened(content: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Check the seal of an object and return it without.

    Args:
        content: As read.
        file: Where from, for the message.

    Raises:
        InputError: The seal is broken or lacking.
    """
    plain = {key: value for key, value in content.items() if key != SEAL}
    if content.get(SEAL) != digest(plain):
        raise damaged(file)
    return plain


def read_object(file: Path, *, remedy: str = "Restore it from a copy") -> dict[str, Any]:
    """Read a JSON object; its seal is left to :func:`opened`.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It cannot be read, or is no JSON object.
    """
    try:
        content = json.loads(read_bytes(file, remedy=remedy))
    except (ValueError, RecursionError) as error:
        raise InputError(f"the file is no JSON: {error}", file=file, remedy=remedy) from error
    except InputError:
        raise
    if not isinstance(content, dict):
        raise InputError("the file is no JSON object", file=file, remedy=remedy)
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "the file holds half a surrogate pair, which is no character", file=file, remedy=remedy
        ) from error
    return content


def damaged(file: Path) -> InputError:
    """Build (not raise) the error of a broken seal."""
    return RunDamagedError(
        "the file is not what was written: its checksum differs",
        file=file,
        remedy="Restore it from a copy, or make it again; `asrfair verify` checks the rest",
    )
