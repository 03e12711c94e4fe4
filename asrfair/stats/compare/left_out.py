"""What a comparison leaves out: who it is, and what the comparison would be with it.

A service that fails on the hardest utterances looks better on the rest. So what only one of two engines was scored on is
counted by group, with the other engine's rate there, and the difference is bounded: as if the outcome of the one that
has it held for both, and with every word wrong, or none, for the one that lacks it (Manski's worst case).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE, OVERALL_GROUP

COLUMNS = (
    *(
        "engine_a",
        "engine_b",
        "condition",
        "attribute",
        "group",
        "utterances",
        "compared",
        "only_a",
        "only_b",
        "neither",
    ),
    *("speakers", "speakers_left_out", "wer_a_compared", "wer_a_only_a", "wer_b_compared", "wer_b_only_b"),
    *("difference", "difference_as_other", "difference_lowest", "difference_highest"),
)
_SCORABLE = ("scored", "error", "missing")
_COUNTS = ("hits", "substitutions", "deletions", "insertions")


def left_out_table(
    scores: Sequence[pd.DataFrame],
    utterances: pd.DataFrame,
    by: Sequence[tuple[str, ...]],
    engines: tuple[str, str],
    labels: tuple[str, str],
    conditions: Sequence[str],
) -> pd.DataFrame:
    """Account for every utterance that both runs have and that could be scored.

    Args:
        scores: The scores of the first and the second run.
        utterances: What both have alike: ``utterance_id``, ``speaker_id`` and the attributes.
        by: Attributes and intersections.
        engines: Which engine of each.
        labels: What they are called.
        conditions: In order.

    Returns:
        A row a condition and group, everybody first. ``neither`` has no transcript of either and is in no rate;
        ``speakers_left_out`` have nothing that is compared. Differences are the first less the second, in fractions.
    """
    rows: list[dict[str, object]] = []
    for condition in conditions:
        sides = [_side(table, engine, condition, utterances) for table, engine in zip(scores, engines, strict=True)]
        could = sides[0]["could"] & sides[1]["could"]
        for names in dict.fromkeys([(), *by]):
            attribute = INTERSECTION.join(names) or OVERALL_ATTRIBUTE
            group = pd.Series(OVERALL_GROUP, index=utterances.index)
            for number, name in enumerate(names):
                group = utterances[name] if number == 0 else group + INTERSECTION + utterances[name]
            for value in sorted(group[could].unique()):
                inside = could & (group == value).to_numpy()
                rows.append(
                    {"engine_a": labels[0], "engine_b": labels[1], "condition": condition, "attribute": attribute}
                    | {"group": value}
                    | _account(sides, inside, utterances["speaker_id"].to_numpy())
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _side(table: pd.DataFrame, engine: str, condition: str, utterances: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    rows = table[(table["engine"] == engine) & (table["condition"] == condition)].set_index("utterance_id")
    rows = rows.reindex(utterances["utterance_id"])
    counts = rows[list(_COUNTS)].fillna(0).to_numpy(dtype=np.int64)
    status = rows["status"].astype(object).fillna("missing").to_numpy()
    return {
        "could": np.isin(status, _SCORABLE),
        "scored": status == "scored",
        "errors": counts[:, 1:].sum(axis=1),
        "words": counts[:, :3].sum(axis=1),
    }


def _account(
    sides: Sequence[dict[str, npt.NDArray[Any]]], inside: npt.NDArray[np.bool_], speaker: npt.NDArray[np.object_]
) -> dict[str, object]:
    has = [side["scored"].astype(bool) & inside for side in sides]
    both, only = has[0] & has[1], (has[0] & ~has[1], has[1] & ~has[0])
    people = set(speaker[inside])

    def total(side: int, name: str, where: npt.NDArray[np.bool_]) -> int:
        return int(sides[side][name][where].sum())

    def rate(side: int, where: npt.NDArray[np.bool_]) -> float:
        words = total(side, "words", where)
        return total(side, "errors", where) / words if words else np.nan

    apart = total(0, "errors", both) - total(1, "errors", both)
    words = total(0, "words", both)
    every = words + total(0, "words", only[0]) + total(1, "words", only[1])
    known_a, known_b = total(0, "errors", only[0]), total(1, "errors", only[1])
    lowest = apart + known_a - total(0, "words", only[0]) - known_b
    highest = apart + known_a + total(1, "words", only[1]) - known_b
    return {
        "utterances": int(inside.sum()),
        "compared": int(both.sum()),
        "only_a": int(only[0].sum()),
        "only_b": int(only[1].sum()),
        "neither": int((inside & ~has[0] & ~has[1]).sum()),
        "speakers": len(people),
        "speakers_left_out": len(people - set(speaker[both])),
        "wer_a_compared": rate(0, both),
        "wer_a_only_a": rate(0, only[0]),
        "wer_b_compared": rate(1, both),
        "wer_b_only_b": rate(1, only[1]),
        "difference": apart / words if words else np.nan,
        "difference_as_other": apart / every if every else np.nan,
        "difference_lowest": lowest / every if every else np.nan,
        "difference_highest": highest / every if every else np.nan,
    }
