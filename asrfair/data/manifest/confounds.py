"""Which attributes of a manifest cannot be told apart, from each other or from single speakers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from asrfair.data.manifest.attributecheck import MANY_GROUPS
from asrfair.errors import printable
from asrfair.types import NOT_STATED

if TYPE_CHECKING:
    from asrfair.data.manifest.model import Manifest

_NEARLY = 0.9
_ENOUGH_SPEAKERS = 10


def confounds(manifest: Manifest) -> list[str]:
    """Return a sentence for every attribute that stands for single speakers, and every pair that goes together.

    Speakers are compared, not utterances: an attribute's value is the first that a speaker's rows state. Rows that are
    excluded are left out.
    """
    speakers = _speakers(manifest)
    usable = [name for name in manifest.attributes if 1 < _groups(speakers[name]) <= MANY_GROUPS]
    found: list[str] = []
    alone: set[str] = set()
    for name in usable:
        counts = _stated(speakers[name]).value_counts()
        single = sorted(counts.index[counts == 1])
        if len(single) == len(counts):
            alone.add(name)
            found.append(
                f"{name!r} and the speaker are the same thing: each of its {len(counts)} groups is one speaker, "
                "so a gap between groups is a gap between persons."
            )
        elif single:
            names = [printable(str(group), limit=40) for group in single[:8]]
            shown = ", ".join(names + ["…"] * (len(single) > len(names)))
            found.append(
                f"{name!r}: {len(single)} of {len(counts)} groups {_be(len(single))} ({shown}); "
                "what is measured there is a person, not a group."
            )
    for one, other in itertools.combinations([name for name in usable if name not in alone], 2):
        sentence = _pair(speakers, one, other)
        if sentence:
            found.append(sentence)
    return found


def _speakers(manifest: Manifest) -> pd.DataFrame:
    """Return a row a speaker with the first stated value of every attribute."""
    table = manifest.table
    rows = table.loc[(table["exclude"] == "") & (table["speaker_id"] != ""), ["speaker_id", *manifest.attributes]]
    first = rows.drop_duplicates().set_index("speaker_id")
    columns = {}
    for name in manifest.attributes:
        stated = first[name][first[name] != NOT_STATED]
        columns[name] = stated[~stated.index.duplicated()]
    return pd.DataFrame(columns, index=first.index.unique())


def _be(count: int) -> str:
    return "is one speaker" if count == 1 else "are one speaker each"


def _stated(column: pd.Series[str]) -> pd.Series[str]:
    return column.dropna()


def _groups(column: pd.Series[str]) -> int:
    return int(_stated(column).nunique())


def _pair(speakers: pd.DataFrame, one: str, other: str) -> str:
    both = speakers[[one, other]].dropna()
    counts = pd.crosstab(both[one], both[other]).to_numpy(float)
    if min(counts.shape, default=0) < 2:
        return ""
    one_decides = bool(((counts > 0).sum(axis=1) == 1).all())
    other_decides = bool(((counts > 0).sum(axis=0) == 1).all())
    if one_decides and other_decides:
        return f"{one!r} and {other!r} divide the speakers in the same way: no analysis can tell them apart."
    if one_decides or other_decides:
        fine, coarse = (one, other) if one_decides else (other, one)
        return f"Every group of {fine!r} lies within one group of {coarse!r}: the two cannot be separated."
    if len(both) >= _ENOUGH_SPEAKERS:
        strength = cramers_v(counts)
        if strength >= _NEARLY:
            return f"{one!r} and {other!r} nearly go together (Cramér's V {strength:.2f} over {len(both)} speakers)."
    return ""


def cramers_v(counts: np.ndarray) -> float:
    """Return the bias-corrected Cramér's V of a contingency table (Bergsma 2013), between 0 and 1.

    Args:
        counts: Non-negative counts, shape (rows, columns), no empty row or column.
    """
    total = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    phi = float(((counts - expected) ** 2 / expected).sum()) / total
    rows, columns = counts.shape
    corrected = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    least = min(rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)) - 1
    return float(np.sqrt(corrected / least)) if least > 0 else 0.0
