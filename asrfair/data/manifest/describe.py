"""Who is in a manifest: hours, speakers, utterances and words of every group, and where there are too few to conclude.

Also which attributes cannot be told apart: where every accent is one speaker, a gap between accents is one between
persons.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from asrfair.data.manifest.attributecheck import MANY_GROUPS
from asrfair.data.manifest.audiocheck import probe_all
from asrfair.data.manifest.confounds import confounds
from asrfair.data.manifest.vocabulary import VOCABULARIES, nobody
from asrfair.types import INTERSECTION, NOT_STATED, OVERALL_ATTRIBUTE, OVERALL_GROUP

if TYPE_CHECKING:
    import numpy.typing as npt

    from asrfair.data.manifest.model import Manifest

MOST_CELLS = 400
"""An intersection with more possible groups than this is described only when it is asked for."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a manifest covers.

    Attributes:
        groups: A row a group: ``attribute, group, speakers, utterances, words, hours, excluded, flag``. Only rows that
            are not excluded are counted, but for ``excluded``; words are those between spaces; ``hours`` is NaN where
            no row has a duration; ``flag`` is ``few_speakers``, ``few_words`` or both.
        holes: ``attribute, group, why``: groups too small, or empty though each of their parts is large enough.
        notes: Sentences about attributes that cannot be told apart, and about what was left out.
    """

    groups: pd.DataFrame
    holes: pd.DataFrame
    notes: tuple[str, ...]


def describe(
    manifest: Manifest,
    by: Sequence[Sequence[str]] | None = None,
    *,
    min_speakers: int = 5,
    min_words: int = 100,
    measure: bool = False,
) -> Description:
    """Describe who speaks in a manifest.

    Args:
        manifest: The manifest.
        by: Attributes and intersections; by default every attribute and every pair of them that is not too large.
        min_speakers: A group with fewer is flagged.
        min_words: Likewise for words.
        measure: Whether audio files are opened for the lengths that the table does not state.
    """
    rows = _rows(manifest, measure=measure)
    notes: list[str] = []
    if by is None:
        by, left_out = _everything(manifest)
        notes.extend(left_out)
    parts = [_table(rows, (), min_speakers, min_words)]
    parts.extend(_table(rows, tuple(names), min_speakers, min_words) for names in by)
    groups = pd.concat(parts, ignore_index=True)
    holes = [_holes(rows, tuple(names), groups, min_speakers, min_words) for names in by]
    notes.extend(_unheard(rows))
    notes.extend(confounds(manifest))
    known = float(np.isfinite(rows.hours[rows.scored]).mean()) if rows.scored.any() else 1.0
    if known < 1:
        notes.append(
            "No utterance has a duration: hours are unknown."
            if known == 0
            else f"Hours count the {known:.0%} of the utterances whose duration is known."
        )
    return Description(
        groups=groups,
        holes=pd.concat(holes, ignore_index=True) if holes else pd.DataFrame(columns=["attribute", "group", "why"]),
        notes=tuple(notes),
    )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    labels: pd.DataFrame
    speakers: pd.Series[str]
    scored: npt.NDArray[np.bool_]
    words: npt.NDArray[np.int64]
    hours: npt.NDArray[np.float64]


def _rows(manifest: Manifest, *, measure: bool) -> _Rows:
    table = manifest.table
    start, end, duration = (table[name].to_numpy(float) for name in ("start_s", "end_s", "duration_s"))
    length = np.where(np.isnan(duration), end - np.where(np.isnan(start), 0.0, start), duration)
    if measure:
        length = np.where(np.isnan(length), _measured(manifest, np.isnan(length)) - np.nan_to_num(start), length)
    return _Rows(
        labels=table[list(manifest.attributes)],
        speakers=table["speaker_id"],
        scored=(table["exclude"] == "").to_numpy(),
        words=np.asarray(table["reference"].str.count(r"\S+"), dtype=np.int64),
        hours=length / 3600,
    )


def _measured(manifest: Manifest, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the length of each wanted row's whole file, in seconds; NaN where there is none that can be read."""
    paths: list[str] = manifest.table["audio"].where(wanted, "").tolist()
    facts = probe_all(sorted(set(paths) - {""}))
    lengths = {path: fact.duration_s for path, fact in facts.items() if not fact.problem}
    return np.array([lengths.get(path, np.nan) for path in paths], dtype=np.float64)


def _everything(manifest: Manifest) -> tuple[list[tuple[str, ...]], list[str]]:
    sizes = {name: manifest.table[name].nunique() for name in manifest.attributes}
    notes = [
        f"Not shown: {name!r} has {size} values (ask with --by {name})."
        for name, size in sizes.items()
        if size > MANY_GROUPS
    ]
    usable = [name for name, size in sizes.items() if size <= MANY_GROUPS]
    crossed = [name for name in usable if sizes[name] > 1]
    pairs = [pair for pair in itertools.combinations(crossed, 2) if sizes[pair[0]] * sizes[pair[1]] <= MOST_CELLS]
    return [*((name,) for name in usable), *pairs], notes


def _table(rows: _Rows, names: tuple[str, ...], min_speakers: int, min_words: int) -> pd.DataFrame:
    attribute = INTERSECTION.join(names) or OVERALL_ATTRIBUTE
    labels = _labels(rows, names)
    every = pd.DataFrame({"group": labels, "speaker": rows.speakers, "words": rows.words, "hours": rows.hours})
    part = every[rows.scored]
    words = part.groupby("group", sort=False)["words"].agg(["size", "sum"])
    hours = part.groupby("group", sort=False)["hours"].sum(min_count=1)
    speakers = part.loc[part["speaker"] != "", ["group", "speaker"]].drop_duplicates()["group"].value_counts()
    excluded = labels[~rows.scored].value_counts()
    found = sorted(set(labels.unique()), key=_order)
    table = pd.DataFrame({"attribute": attribute, "group": pd.Series(found, dtype=object)})
    for name, counts in (
        ("speakers", speakers),
        ("utterances", words["size"]),
        ("words", words["sum"]),
        ("excluded", excluded),
    ):
        table[name] = counts.reindex(found).fillna(0).astype(np.int64).to_numpy()
    table.insert(5, "hours", hours.reindex(found).to_numpy(float))
    table["flag"] = [
        _flag(few_speakers, few_words)
        for few_speakers, few_words in zip(table["speakers"] < min_speakers, table["words"] < min_words, strict=True)
    ]
    return table


def _unheard(rows: _Rows) -> list[str]:
    """Say which words of a fixed vocabulary nobody's speech is described by."""
    missing = {
        name: nobody(name, set(rows.labels.loc[rows.scored, name])) for name in VOCABULARIES if name in rows.labels
    }
    return [f"No utterance is stated to be {' or '.join(words)} ({name})." for name, words in missing.items() if words]


def _labels(rows: _Rows, names: tuple[str, ...]) -> pd.Series[str]:
    if not names:
        return pd.Series(OVERALL_GROUP, index=rows.labels.index)
    labels = rows.labels[names[0]]
    for name in names[1:]:
        labels = labels + INTERSECTION + rows.labels[name]
    return labels


def _order(group: str) -> tuple[bool, str]:
    return NOT_STATED in group.split(INTERSECTION), group


def _flag(few_speakers: bool, few_words: bool) -> str:
    return ";".join(["few_speakers"] * few_speakers + ["few_words"] * few_words)


def _holes(
    rows: _Rows, names: tuple[str, ...], groups: pd.DataFrame, min_speakers: int, min_words: int
) -> pd.DataFrame:
    """Find groups that are too small, and intersections with nobody though each part has speakers enough."""
    attribute = INTERSECTION.join(names)
    table = groups[groups["attribute"] == attribute].set_index("group")
    stated = np.array([NOT_STATED not in group.split(INTERSECTION) for group in table.index], dtype=bool)
    small = table[(table["flag"] != "").to_numpy() & stated]
    holes = [
        (attribute, str(group), _why(int(row["speakers"]), int(row["words"]), min_speakers, min_words))
        for group, row in small.iterrows()
    ]
    if len(names) > 1:
        large: list[list[str]] = []
        for name in names:
            part = _table(rows, (name,), min_speakers, min_words)
            usable = part.loc[part["speakers"] >= min_speakers, "group"]
            large.append([group for group in usable if group != NOT_STATED])
        cells = [INTERSECTION.join(cell) for cell in itertools.islice(itertools.product(*large), 100_000)]
        holes.extend((attribute, cell, "nobody") for cell in cells if cell not in table.index)
    return pd.DataFrame(holes, columns=["attribute", "group", "why"])


def _why(speakers: int, words: int, min_speakers: int, min_words: int) -> str:
    reasons = []
    if speakers < min_speakers:
        reasons.append(f"{speakers} speaker{'s' * (speakers != 1)} of {min_speakers}")
    if words < min_words:
        reasons.append(f"{words} word{'s' * (words != 1)} of {min_words}")
    return ", ".join(reasons)
