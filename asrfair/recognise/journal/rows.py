"""What the journal holds: results, achieved values, events; and an engine's answer made fit to be held."""

from __future__ import annotations

import codecs
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asrfair.types import Hypothesis


class Row(NamedTuple):
    """One result as the journal holds it. ``words`` is JSON text or empty; ``copy`` counts duplicates in a file."""

    utterance_id: str
    status: str
    hypothesis: str = ""
    error: str = ""
    confidence: float | None = None
    language: str = ""
    words: str = ""
    latency_s: float | None = None
    copy: int = 0


class Achieved(NamedTuple):
    """One measured quantity of one rendered utterance: a number, or a text and no number."""

    utterance_id: str
    quantity: str
    value: float | None
    text: str


class Stamp(NamedTuple):
    """What a file system says of an utterance's recording: bytes (``None``: there is no file), time of change in ns."""

    utterance_id: str
    size: int | None
    changed_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that a reader of the run should know: a batch was split, a worker died."""

    engine: str
    condition: str
    utterance_id: str
    kind: str
    detail: str


def row_of(hypothesis: Hypothesis, *, latency_s: float | None = None, copy: int = 0) -> Row:
    """Turn an engine's answer into a row that any file can hold: valid Unicode, finite numbers, an honest status."""
    text = clean_text(hypothesis.text)
    status = hypothesis.status
    if status == "ok" and not text.strip():
        status = "empty"
    words = [
        {
            "word": clean_text(word.word),
            "start_s": _finite(word.start_s),
            "end_s": _finite(word.end_s),
            "confidence": _finite(word.confidence),
        }
        for word in hypothesis.words
    ]
    return Row(
        utterance_id=hypothesis.utterance_id,
        status=status,
        hypothesis=text if status == "ok" else "",
        error=clean_text(hypothesis.error)[:2000] if status == "error" else "",
        confidence=_finite(hypothesis.confidence),
        language=clean_text(hypothesis.language or ""),
        words=json.dumps(words, ensure_ascii=False) if words else "",
        latency_s=_finite(hypothesis.latency_s if hypothesis.latency_s is not None else latency_s),
        copy=copy,
    )


def clean_text(text: str) -> str:
    """Return text that UTF-8 and every table can hold: half surrogate pairs and NULs become U+FFFD."""
    return str(text).replace("\0", "\ufffd").encode("utf-8", "replace_surrogate").decode("utf-8")


def _replace_surrogate(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "\ufffd".encode() * (error.end - error.start), error.end


codecs.register_error("replace_surrogate", _replace_surrogate)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
