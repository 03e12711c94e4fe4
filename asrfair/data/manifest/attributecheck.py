"""What makes attributes doubtful: values that differ by spelling, speakers with two values, groups that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from asrfair.data.manifest.vocabulary import VOCABULARIES
from asrfair.types import INTERSECTION, NOT_STATED

if TYPE_CHECKING:
    from asrfair.data.manifest.model import Manifest
    from asrfair.data.manifest.notes import Notes

MANY_GROUPS = 60
"""More groups than this are a measurement or free text, not groups."""
_SEPARATORS = r"\s*[;,|/]\s*"
_OFTEN = 0.2


def check_attributes(manifest: Manifest, notes: Notes) -> None:
    """Note what makes groups doubtful, for every attribute of a manifest."""
    for name in manifest.attributes:
        column = manifest.table[name]
        counts = column.value_counts(sort=False)
        stated = counts.drop(index=NOT_STATED, errors="ignore")
        if stated.empty:
            notes.add_general(
                name, f"nobody stated the attribute {name!r}", "Leave the column out, or list it in ignore"
            )
            continue
        if _check_size(manifest, name, stated, notes):
            continue
        _check_values(manifest, name, stated, notes)
        if manifest.card.attributes[name].level == "speaker":
            _check_speakers(manifest, name, notes)


def _first_row(manifest: Manifest, name: str, value: str) -> list[int]:
    return [int(np.argmax((manifest.table[name] == value).to_numpy()))]


def _check_size(manifest: Manifest, name: str, stated: pd.Series[int], notes: Notes) -> bool:
    described = manifest.card.attributes[name].provenance is not None
    if described or len(stated) <= MANY_GROUPS:
        return False
    notes.add_general(
        name,
        f"the attribute {name!r} has {len(stated)} values: is it a group of people at all?",
        "Describe it in the card, band it into a few values, or list it in ignore",
    )
    return True


def _check_values(manifest: Manifest, name: str, stated: pd.Series[int], notes: Notes) -> None:
    values = [str(value) for value in stated.index]
    allowed = manifest.card.attributes[name].values
    by_key: dict[str, list[str]] = {}
    for value in values:
        by_key.setdefault("".join(value.casefold().split()), []).append(value)
        # A word outside a fixed vocabulary is an error of its own.
        if allowed and value not in allowed and name not in VOCABULARIES:
            notes.add(
                np.flatnonzero((manifest.table[name] == value).to_numpy()),
                name,
                "the card's values do not have this one",
                f"Use one of {', '.join(allowed)}",
                severity="warning",
            )
        if not value.isprintable() or len(value) > 200:
            notes.add(
                _first_row(manifest, name, value),
                name,
                "the value has control or invisible characters, or more than 200 characters",
                "Write a short plain name",
                severity="warning",
            )
        if INTERSECTION.strip() in value:
            notes.add(
                _first_row(manifest, name, value),
                name,
                f"the value holds '{INTERSECTION.strip()}', which joins the groups of an intersection",
                "Use another sign",
                severity="warning",
            )
    for spellings in by_key.values():
        if len(spellings) > 1:
            for value in spellings[1:]:
                notes.add(
                    _first_row(manifest, name, value),
                    name,
                    f"the value differs from {spellings[0]!r} only in case or spaces, and so is a group of its own",
                    "Spell it in one way",
                    severity="warning",
                    value=value,
                )
    known = set(values)
    several = pd.Series(values).str.split(_SEPARATORS, regex=True)
    for value, parts in zip(values, several, strict=True):
        if len(parts) > 1 and sum(part in known for part in parts) > 0:
            notes.add(
                _first_row(manifest, name, value),
                name,
                "the cell seems to hold several values, one of which is a group of its own",
                "Decide for one, or keep the combination as a group on purpose",
                severity="warning",
                value=value,
            )


def _check_speakers(manifest: Manifest, name: str, notes: Notes) -> None:
    table = manifest.table
    known = ((table[name] != NOT_STATED) & (table["speaker_id"] != "")).to_numpy()
    pairs = table.loc[known, ["speaker_id", name]].drop_duplicates()
    later = pairs[pairs["speaker_id"].duplicated()]
    if later.empty:
        return
    several = later["speaker_id"].nunique()
    repeaters = table.loc[known, "speaker_id"].value_counts().gt(1).sum()
    if manifest.card.attributes[name].provenance is None and several > _OFTEN * repeaters and several > 1:
        notes.add_general(
            name,
            f"the attribute {name!r} differs within {several} of {repeaters} speakers who have several utterances",
            f'If it describes utterances, say so: [attributes.{name}] level = "utterance"; or list it in ignore',
        )
        return
    first = pairs.drop_duplicates("speaker_id").set_index("speaker_id")[name]
    for row, speaker, value in zip(later.index, later["speaker_id"], later[name], strict=True):
        notes.add(
            [int(row)],
            name,
            "the speaker has another value in an earlier row",
            f'Correct it, or say level = "utterance" under [attributes.{name}]',
            severity="warning",
            value=f"{first[speaker]} | {value} (speaker {speaker})",
        )
