"""Check and convert the cells of a manifest, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.manifest.audiopaths import resolve_audio
from asrfair.data.manifest.source import column_of
from asrfair.data.tablefile import TEXT
from asrfair.types import NOT_STATED

if TYPE_CHECKING:
    import numpy.typing as npt

    from asrfair.data.manifest.source import Source

MAX_ID_LENGTH = 500
_NOT_EXCLUDED = ("0", "false", "no", "n", "f")


def check_ids(source: Source, excluded: npt.NDArray[np.bool_]) -> None:
    """Note ids that are missing, repeated or unreadable; an excluded row may have no speaker, and so may all together."""
    for name in ("utterance_id", "speaker_id"):
        column = source.raw[name]
        empty = np.asarray(pc.equal(column, ""))
        if name == "utterance_id":
            source.notes.add(np.flatnonzero(empty), name, "the utterance has no id", "Give every utterance its own id")
        elif empty[~excluded].all() and not excluded.all():
            source.notes.add(
                np.flatnonzero(~excluded)[:1],
                name,
                "no utterance has a speaker: rates are shown without intervals, and nothing is claimed of groups",
                "Name the speakers; a number for each is enough",
                severity="warning",
            )
        else:
            source.notes.add(
                np.flatnonzero(empty & ~excluded),
                name,
                "the utterance has no speaker, so that its interval cannot be known",
                "Name the speaker, or give a reason in the column exclude; if no speaker is known, leave all cells empty",
            )
        odd = np.asarray(pc.match_substring_regex(column, r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]")) | np.asarray(
            pc.greater(pc.utf8_length(column), MAX_ID_LENGTH)
        )
        source.notes.add(
            np.flatnonzero(odd),
            name,
            f"the id has control or invisible characters, or more than {MAX_ID_LENGTH} characters",
            "Use plain text",
        )
    ids = source.raw["utterance_id"].to_pandas()
    repeated = np.flatnonzero((ids.duplicated() & (ids != "")).to_numpy())
    source.notes.add(repeated, "utterance_id", "an earlier row has the same id", "Give every utterance its own id")


def check_exclude(source: Source, exclude: pa.Array) -> None:
    """Note reasons such as ``0`` and ``false``, which would exclude the very rows that they mean to keep."""
    lowered = pc.utf8_lower(exclude)
    source.notes.add(
        np.flatnonzero(np.asarray(pc.is_in(lowered, pa.array(_NOT_EXCLUDED, TEXT)))),
        "exclude",
        "exclude holds a reason, and any text in it excludes the row: this looks like 'not excluded'",
        "Leave the cell empty where the row is to be scored",
    )


def clean_reference(source: Source, name: str = "reference") -> tuple[pa.Array, bool]:
    """Return a column of references without the mark-up that the card names, and whether that changed any."""
    raw = source.raw[name]
    cleaned = raw
    for pattern in source.card.reference_remove:
        cleaned = pc.replace_substring_regex(cleaned, pattern=pattern, replacement="")
    touched = pc.not_equal(cleaned, raw)
    if pc.any(touched).as_py():
        tidy = pc.replace_substring_regex(cleaned, pattern=r"\s{2,}", replacement=" ")
        cleaned = pc.if_else(touched, tidy, cleaned)
    cleaned = pc.utf8_trim_whitespace(cleaned)
    return cleaned, bool(pc.any(touched).as_py())


def seconds(source: Source, name: str) -> npt.NDArray[np.float64]:
    """Return a column of times; NaN where there is none or where a problem was noted."""
    if name not in source.raw:
        return np.full(source.rows, np.nan)
    written = source.raw[name]
    plain = pc.match_substring_regex(written, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$")
    values = np.asarray(pc.if_else(plain, written, pa.scalar("nan", TEXT)).cast(pa.float64()), dtype=float).copy()
    wrong = ~np.asarray(plain) & np.asarray(pc.not_equal(written, ""))
    source.notes.add(np.flatnonzero(wrong), name, "this is not a number of seconds", "Write seconds, such as 12.5")
    with np.errstate(invalid="ignore"):
        out = (values < 0) | np.isinf(values) | (values > 1e9)
    source.notes.add(np.flatnonzero(out), name, "a time cannot be negative or endless", "Write seconds, such as 12.5")
    values[out] = np.nan
    return values


def channels(source: Source) -> npt.NDArray[np.float64]:
    """Return zero-based channels; NaN where there is none or where a problem was noted."""
    if "channel" not in source.raw:
        return np.full(source.rows, np.nan)
    written = source.raw["channel"]
    plain = pc.match_substring_regex(written, r"^[0-9]{1,4}(\.0*)?$")
    wrong = ~np.asarray(plain) & np.asarray(pc.not_equal(written, ""))
    source.notes.add(
        np.flatnonzero(wrong),
        "channel",
        "this is not the number of a channel",
        "Write 0 for the first, 1 for the second",
    )
    return np.asarray(pc.if_else(plain, written, pa.scalar("nan", TEXT)).cast(pa.float64()), dtype=float)


def check_segments(source: Source, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> None:
    """Note segments that end before they start."""
    with np.errstate(invalid="ignore"):
        backwards = end <= np.where(np.isnan(start), 0.0, start)
    source.notes.add(
        np.flatnonzero(backwards),
        "end_s",
        "the segment ends before it starts",
        "Both are seconds from the file's start",
    )


def audio_paths(source: Source, *, allow_outside: bool, allow_remote: Sequence[str] | None) -> pa.Array:
    """Return absolute paths and addresses; empty where there is none or where a problem was noted."""
    written = column_of(source, "audio")
    boundary = source.path.parent
    found = resolve_audio(
        written,
        root=Path.absolute(source.table_path.parent),
        boundary=boundary,
        allow_outside=allow_outside,
        allow_remote=allow_remote,
    )
    for (problem, remedy), rows in found.problems.items():
        source.notes.add(sorted(rows), "audio", problem, remedy)
    source.notes.add(
        found.outside,
        "audio",
        "the path leaves the manifest's folder",
        "Move the audio into it, or allow it with --allow-outside",
    )
    source.notes.add(found.no_file, "audio", "the path names no file", "Write a path relative to the table")
    if not found.outside:
        return found.paths
    mask = np.zeros(source.rows, dtype=bool)
    mask[found.outside] = True
    return pc.if_else(pa.array(mask), pa.scalar("", TEXT), found.paths)


def attribute_values(source: Source, name: str) -> pa.Array:
    """Return an attribute with ``not_stated`` wherever the table, or the card, says nothing."""
    column = source.raw[name]
    missing = pc.equal(column, "")
    card = source.card.attributes.get(name)
    if card and card.not_stated:
        missing = pc.or_(missing, pc.is_in(column, pa.array(list(card.not_stated), TEXT)))
    return pc.if_else(missing, pa.scalar(NOT_STATED, TEXT), column)
