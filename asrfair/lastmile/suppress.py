"""Small cells: a group that few people share is hidden before counts leave a site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

SUPPRESSED = "suppressed"
"""What a hidden answer leaves as."""

OTHER = "other"
"""What an answer that is not on the list of those which may leave, leaves as."""


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """How much is held back: people with a hidden answer, hidden answers, rows left out."""

    people: int = 0
    groups: int = 0
    rows: int = 0

    def __add__(self, other: Withheld) -> Withheld:
        return Withheld(
            people=self.people + other.people, groups=self.groups + other.groups, rows=self.rows + other.rows
        )


def suppress(
    counts: pd.DataFrame, attributes: Sequence[str], *, least_speakers: int, least_words: int
) -> tuple[pd.DataFrame, Withheld]:
    """Hide answers until every visible combination is shared by enough people; drop rows of too few words.

    Rows are kept where an answer is hidden, so that totals stay whole. Of a combination that too few people share, the
    last answer is hidden first. Where only few people end up with an answer hidden, they could be told by what is
    missing: the next smallest combination is hidden with them.

    Args:
        counts: One row an engine, condition, ``speaker_id`` and combination of ``attributes``, with counts.
        attributes: Columns to protect, the one to keep longest first.
        least_speakers: People that must share a visible combination.
        least_words: Reference words of a row that leaves.

    Returns:
        The rows that may leave, summed again, and what was held back.
    """
    words = counts["hits"] + counts["substitutions"] + counts["deletions"]
    kept = counts[(words >= least_words) | (counts["failed"] > 0) & (words == 0)].copy()
    dropped = len(counts) - len(kept)
    before = kept[list(attributes)].copy()
    for depth in range(len(attributes), 0, -1):
        _hide(kept, attributes[depth - 1], list(attributes), least_speakers)
    changed = (kept[list(attributes)] != before).any(axis=1) if attributes else pd.Series(False, index=kept.index)
    hidden = kept.loc[changed, ["speaker_id"]].join(before.loc[changed]) if attributes else kept.iloc[:0]
    groups = int((kept[list(attributes)] != before)[changed].groupby(kept["speaker_id"]).any().to_numpy().sum())
    keys = ["engine", "condition", "speaker_id", *attributes]
    numbers = [name for name in kept.columns if name not in keys]
    summed = kept.groupby(keys, sort=True)[numbers].sum().reset_index()
    return summed, Withheld(people=int(hidden["speaker_id"].nunique()), groups=groups, rows=dropped)


def small_together(
    shown: Mapping[str, Mapping[str, Sequence[str]]],
    before: Sequence[Mapping[str, Mapping[str, Sequence[str]]]],
    *,
    least: int,
) -> int:
    """Count the people whom several exports, put together by their codes, show in a combination that too few share.

    Args:
        shown: Person → attribute → answers that would leave now.
        before: The same of each earlier export.
        least: People that must share a combination.

    Returns:
        People whose answers over all exports are more than any one export shows, in a combination of fewer than ``least``.
    """
    together: dict[str, frozenset[tuple[str, str]]] = {}
    alone: dict[str, set[frozenset[tuple[str, str]]]] = {}
    for export in (*before, shown):
        for person, answers in export.items():
            seen = frozenset((name, value) for name, values in answers.items() for value in values)
            together[person] = together.get(person, frozenset()) | seen
            alone.setdefault(person, set()).add(seen)
    sizes = Counter(together.values())
    return sum(sizes[seen] < least and seen not in alone[person] for person, seen in together.items())


def _hide(kept: pd.DataFrame, column: str, attributes: list[str], least: int) -> None:
    """Hide ``column`` in combinations that too few people share, and in more where hiding those alone would tell."""
    while True:
        visible = kept[kept[column] != SUPPRESSED]
        if visible.empty:
            return
        sizes = visible.groupby(attributes)["speaker_id"].nunique()
        small = sizes[sizes < least]
        if small.empty:
            hidden = kept.loc[kept[column] == SUPPRESSED, "speaker_id"].nunique()
            if not 0 < hidden < least:
                return
            small = sizes.sort_values(kind="stable").iloc[:1]
        marks = pd.MultiIndex.from_frame(kept[attributes]).isin(
            small.index if len(attributes) > 1 else pd.MultiIndex.from_arrays([small.index])
        )
        kept.loc[marks & (kept[column] != SUPPRESSED).to_numpy(), column] = SUPPRESSED
