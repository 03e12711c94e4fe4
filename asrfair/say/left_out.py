"""Sentences about what a comparison of two runs leaves out, and which way that bends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from asrfair.say import numbers as say
from asrfair.say.finding import records
from asrfair.say.words import attribute_words
from asrfair.types import OVERALL_ATTRIBUTE

LOUD = 0.02
"""From one utterance in fifty on that is left out, it is said how it bends the comparison."""

APART = 1.1
"""What is left out is harder (or easier) where the rate there is a tenth above (or below) that of the rest."""


def left_out_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Say how much is compared, whose utterances are not, and what the difference is with them.

    Args:
        table: Of :func:`asrfair.stats.compare.left_out.left_out_table`.
    """
    every = records(table[table["attribute"] == OVERALL_ATTRIBUTE]) if len(table) else []
    return tuple(line for row in every for line in _sentences(row, table, several=len(every) > 1))


def _sentences(row: Mapping[str, Any], table: pd.DataFrame, *, several: bool) -> Iterator[str]:
    where = f"{row['condition']}: " if several else ""
    yield (
        f"{where}{row['compared']:,} of {say.counted(row['utterances'], 'utterance')} that could be scored are compared"
        f"{_lacking(row)}."
    )
    lost = row["utterances"] - row["compared"]
    if lost < LOUD * row["utterances"]:
        return
    mine = table[
        (table["condition"] == row["condition"])
        & (table["engine_a"] == row["engine_a"])
        & (table["attribute"] != OVERALL_ATTRIBUTE)
    ]
    who = [
        f"{attribute_words(str(attribute))}: {say.listed([_share(item) for item in _most(block)], limit=3)}"
        for attribute, block in mine.groupby("attribute", sort=False)
        if _most(block)
    ]
    people = f"{say.counted(row['speakers_left_out'], 'speaker')} of {row['speakers']:,} not at all. " * bool(
        row["speakers_left_out"]
    )
    if people or who:
        yield f"{where}Who is left out: {people}" + (f"Most by {'; by '.join(who)}." if who else "")
    for engine, other, here, there in (
        ("engine_b", "engine_a", "wer_a_compared", "wer_a_only_a"),
        ("engine_a", "engine_b", "wer_b_compared", "wer_b_only_b"),
    ):
        if np.isfinite(row[there]) and np.isfinite(row[here]):
            yield f"{where}{_bias(row[engine], row[other], row[here], row[there])}"
    if np.isfinite(row["difference"]) and row["only_a"] + row["only_b"]:
        low, high = row["difference_lowest"], row["difference_highest"]
        text = (
            f"{where}{row['engine_a']} less {row['engine_b']} is {say.points(row['difference'])} on what both have; "
            f"{say.points(row['difference_as_other'])} if each had done on the missing ones as the other did; from "
            f"{say.points(low)} to {say.points(high)} if none or all of the missing words were wrong"
        )
        yield text + ("." if low * high > 0 else ": which makes fewer errors on all of them is open.")


def _lacking(row: Mapping[str, Any]) -> str:
    parts = [
        f"{row[engine]} lacks {count + row['neither']:,} ({say.percent((count + row['neither']) / row['utterances'])})"
        for engine, count in (("engine_a", row["only_b"]), ("engine_b", row["only_a"]))
        if count + row["neither"]
    ]
    return f"; {say.listed(parts)}" if parts else ""


def _most(block: pd.DataFrame) -> list[dict[str, Any]]:
    """Groups that lose more than the average, the largest share first."""
    lost = 1 - block["compared"] / block["utterances"]
    average = 1 - block["compared"].sum() / block["utterances"].sum()
    return records(block.assign(lost=lost)[lost > average].sort_values("lost", ascending=False, kind="stable"))


def _share(row: Mapping[str, Any]) -> str:
    return f"{row['group']} ({row['utterances'] - row['compared']:,} of {row['utterances']:,})"


def _bias(lacks: str, has: str, here: float, there: float) -> str:
    text = f"On what {lacks} lacks, {has} has a WER of {say.percent(there)}, against {say.percent(here)} on the rest: "
    if there > APART * here:
        return text + f"it is harder, and leaving it out flatters {lacks}."
    if there * APART < here:
        return text + f"it is easier, and leaving it out makes {lacks} look worse."
    return text + "it is about as hard."
