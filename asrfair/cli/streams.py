"""Output on terminals and into pipes whose encoding lacks a letter: its nearest plain form is written, never an error.

Windows pipes text in the encoding of its region, and older Unix terminals know Latin 1 only. A night's exit code must
not depend on whether a group is called Añil or a table has an en dash.
"""

from __future__ import annotations

import codecs
import io
import sys
from typing import Final

_HANDLER: Final = "asrfair.plain"

PLAIN: Final = {
    "–": "-", "—": "-", "−": "-", "‑": "-", "×": "x", "…": "...", "→": "->", "·": ".", "•": "*", "±": "+/-", "≤": "<=",
    "≥": ">=", "≈": "~", "“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " ", "\u202f": " ", "²": "2", "³": "3",
}  # fmt: skip
"""Typography that every terminal can do without."""


def tolerate() -> None:
    """Let standard output and standard error write any text; ``sys.stdout`` and ``sys.stderr`` are changed in place."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode("ascii") for c in part), error.end
