"""Everything that is wrong with a manifest, or makes its results doubtful: what ``asrfair manifest validate`` lists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from asrfair.data.manifest.attributecheck import check_attributes
from asrfair.data.manifest.audiocheck import check_audio
from asrfair.data.manifest.notes import Notes
from asrfair.data.tablefile import kind_of

if TYPE_CHECKING:
    from asrfair.data.manifest.model import Manifest, Problem

_MARKUP = r"(<[^<>\s]{1,40}>|\[[^\[\]\n]{1,40}\]|\{[^{}\n]{1,40}\})"
_INVISIBLE = "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffd]"
_FASTEST_WORDS_PER_S = 8.0
"""Faster than auctioneers: the segment, or its times, cannot be right."""


def problems(manifest: Manifest, *, audio: bool = True) -> list[Problem]:
    """Return every problem of a manifest: what reading it noted, then what its content shows.

    Args:
        manifest: From :func:`asrfair.data.manifest.inspect_manifest`, which keeps the problems of single rows.
        audio: Whether every audio file is opened, to see that it is there, readable and as long as the table says.
    """
    notes = Notes()
    _check_card(manifest, notes)
    _check_references(manifest, notes)
    _check_times(manifest, notes)
    _check_repeats(manifest, notes)
    check_attributes(manifest, notes)
    if audio:
        check_audio(manifest, notes)

    def cell(column: str, row: int) -> str:
        name = "reference_raw" if column == "reference" and "reference_raw" in manifest.table else column
        value = manifest.table[name].iloc[row] if name in manifest.table else ""
        return "" if pd.isna(value) else str(value)

    found = notes.located(manifest.table_path, manifest.columns, cell, general=manifest.path)
    return [*manifest.structural, *found]


def _check_card(manifest: Manifest, notes: Notes) -> None:
    card = manifest.card
    if manifest.path == manifest.table_path:
        notes.add_general(
            "",
            "the table has no card: nobody says where its attributes come from",
            "Write a card (see docs/manifests.md), or make one with 'asrfair manifest import generic'",
        )
        return
    for name in ("licence", "consent"):
        if not getattr(card, name).strip():
            notes.add_general(
                f"manifest.{name}", f"the card does not state the {name}", f'Write {name} = "…" under [manifest]'
            )
    for name, attribute in card.attributes.items():
        if attribute.provenance is None:
            notes.add_general(
                f"attributes.{name}",
                f"the card does not say where the attribute {name!r} comes from",
                f'Write [attributes.{name}] with provenance = "self-reported", "annotated", "recorded" or "inferred"',
            )
        elif attribute.provenance == "inferred":
            notes.add_general(
                f"attributes.{name}",
                f"the attribute {name!r} was inferred: it is grouped by only with allow_inferred = true",
                "Ask the speakers, where you can",
            )


def _check_references(manifest: Manifest, notes: Notes) -> None:
    table = manifest.table
    scored = (table["exclude"] == "").to_numpy()
    reference = table["reference"]
    raw = table.get("reference_raw", reference)
    empty = (reference == "").to_numpy() & scored
    blank = empty & (raw.str.strip() == "").to_numpy()
    notes.add(
        np.flatnonzero(blank),
        "reference",
        "the reference is empty: the utterance cannot be scored",
        "Write what was said, or give a reason in the column exclude",
        severity="warning",
    )
    notes.add(
        np.flatnonzero(empty & ~blank),
        "reference",
        "the reference holds nothing but mark-up: the utterance cannot be scored",
        "Give a reason in the column exclude if that is meant",
        severity="warning",
    )
    odd = raw.str.contains(_INVISIBLE, regex=True).to_numpy() & scored
    notes.add(
        np.flatnonzero(odd),
        "reference",
        "the reference has line breaks, control or invisible characters",
        "Write plain text on one line; is a quote unclosed?",
        severity="warning",
    )
    _check_left_over_markup(reference, scored, notes)
    if kind_of(manifest.table_path) == "tsv":
        quoted = (reference.str.startswith('"') & reference.str.endswith('"') & (reference.str.len() > 1)).to_numpy()
        notes.add(
            np.flatnonzero(quoted & scored),
            "reference",
            "the reference is quoted, and in a TSV quotation marks are characters",
            "Take the quotes away, or save the table as CSV",
            severity="warning",
        )


def _check_left_over_markup(reference: pd.Series[str], scored: np.ndarray, notes: Notes) -> None:
    hits = reference[scored & reference.str.contains(r"[<\[{]", regex=True).to_numpy()]
    found = hits.str.extractall(_MARKUP)[0] if len(hits) else pd.Series(dtype=object)
    for tag, rows in found.groupby(found, sort=True):
        places = rows.index.get_level_values(0).unique()
        notes.add(
            places[:1],
            "reference",
            f"what looks like mark-up is still in {len(places)} reference{'s' if len(places) > 1 else ''}, here first",
            "Name it in the card, under [reference] remove, if it was not spoken",
            severity="warning",
            value=str(tag),
        )


def _check_times(manifest: Manifest, notes: Notes) -> None:
    table = manifest.table
    start, end, duration = (table[name].to_numpy(float) for name in ("start_s", "end_s", "duration_s"))
    has_audio = (table["audio"] != "").to_numpy()
    cut = ~np.isnan(start) | ~np.isnan(end)
    if has_audio.any():
        notes.add(
            np.flatnonzero(cut & ~has_audio),
            "audio",
            "the row has times but no audio",
            "Name the file",
            severity="warning",
        )
        if not has_audio.all():
            notes.add(
                np.flatnonzero(~has_audio & ~cut & (table["exclude"] == "").to_numpy()),
                "audio",
                "the row has no audio, others have",
                "Name the file, or give a reason in the column exclude",
                severity="warning",
            )
    elif not any(problem.column == manifest.columns.get("audio", "audio") for problem in manifest.structural):
        notes.add_general("audio", "no row has audio: only given transcripts can be scored", "Add the column audio")
    with np.errstate(invalid="ignore"):
        length = end - np.where(np.isnan(start), 0.0, start)
        apart = np.abs(length - duration) > 0.05 + 0.01 * length
        spoken = np.where(np.isnan(length), duration, length)
        words = table["reference"].str.count(r"\S+").to_numpy(float)
        hasty = (words >= 5) & (words > _FASTEST_WORDS_PER_S * spoken)
    notes.add(
        np.flatnonzero(apart),
        "duration_s",
        "the duration is not that of the segment",
        "duration_s is the length of the segment from start_s to end_s",
        severity="warning",
    )
    for row in np.flatnonzero(hasty).tolist():
        rate = words[row] / spoken[row] if spoken[row] else math.inf
        notes.add(
            [row],
            "duration_s",
            f"{words[row]:.0f} words in {spoken[row]:g} s cannot be spoken",
            "Are the times in seconds, and the segment that of this reference?",
            severity="warning",
            value=f"{rate:.0f} words/s",
        )


def _check_repeats(manifest: Manifest, notes: Notes) -> None:
    table = manifest.table
    keys = table[["audio", "start_s", "end_s", "channel"]]
    repeated = keys.duplicated().to_numpy() & (table["audio"] != "").to_numpy()
    notes.add(
        np.flatnonzero(repeated),
        "audio",
        "an earlier row has the same stretch of the same audio",
        "Leave one of them, or give their start_s and end_s",
        severity="warning",
    )
