"""Sentences of caution: what a gap hangs on, and what these speakers cannot show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from asrfair.say import numbers as say
from asrfair.say import sample
from asrfair.say.finding import Finding, Tables, blocks, finding, records, rows_of
from asrfair.say.words import attribute_words
from asrfair.types import OVERALL_ATTRIBUTE

LOUD_SPEAKER = 0.2
"""A speaker is named where the gap without them differs by a fifth."""

LOUD_POINTS = 0.01
"""… and by a point or more."""

LOUD_FAILURE = 0.05
"""Failures are named where they hold one in twenty of a group's errors."""

FAILURE_WORDS = {
    "repetition_loop": "in which it repeats itself",
    "empty_hypothesis": "for which it returned nothing",
    "text_on_silence": "where it wrote words and the reference has none",
}

SMALLEST_CHANGE = 0.0005
"""A smaller change of a gap is not visible with one decimal."""

FEW_GROUPS = 3
"""Up to so many groups, each is told with its own failures."""

LOUD_NORMALIZER = 0.01
"""A gap that moves by a point between normalizers is worth a sentence."""


def speakers(tables: Tables, condition: str) -> Iterator[Finding]:
    """A gap that hangs on one speaker."""
    table = rows_of(tables, "influence", condition=condition, kind="speaker")
    for (_, _), block in blocks(table, "engine", "attribute"):
        moved = (block["gap_without"] - block["gap_with"]).abs()
        row = records(block.loc[[moved.fillna(0).idxmax()]])[0]
        moves = abs(row["gap_without"] - row["gap_with"])
        if not (moves >= LOUD_SPEAKER * row["gap_with"] and moves >= LOUD_POINTS):
            continue
        text = (
            f"{row['engine']}: without speaker {say.short(str(row['id']))} ({row['group']}) the gap by "
            f"{attribute_words(row['attribute'])} is {say.points(row['gap_without'])}, not {say.points(row['gap_with'])}."
        )
        yield finding(row, "speaker", "warning", text, "influence")


def failures(tables: Tables, condition: str) -> Iterator[Finding]:
    """Errors that are not mishearing: loops and the like that hold a share of a group's errors."""
    table = rows_of(tables, "influence", condition=condition, kind="failures")
    single = rows_of(tables, "influence", condition=condition, kind="utterance")
    for (engine, attribute, reason), block in blocks(table, "engine", "attribute", "id"):
        loud = block[block["share_of_errors"] >= LOUD_FAILURE]
        if reason not in FAILURE_WORDS or loud.empty:
            continue
        rows = records(loud.sort_values("share_of_errors", ascending=False, kind="stable"))
        row, count = rows[0], int(loud["utterances"].sum())
        if len(rows) <= FEW_GROUPS:
            mine = single[(single["engine"] == engine) & (single["attribute"] == attribute)] if len(single) else single
            parts = [_held(other, mine, reason) for other in rows]
            text = f"{engine}: {parts[0]}" + "".join(f"; {part}" for part in parts[1:])
        else:
            text = (
                f"{engine}: {say.counted(count, 'utterance')} of {say.counted(len(rows), 'group')} "
                f"{FAILURE_WORDS[reason]} hold {say.percent(rows[-1]['share_of_errors'])} ({rows[-1]['group']}) to "
                f"{say.percent(row['share_of_errors'])} ({row['group']}) of the groups' errors"
            )
        text += (
            f". Without all such utterances the WER of {row['group']} is {say.percent(row['rate_without'])}, not "
            f"{say.percent(row['rate_with'])}"
        )
        if abs(row["gap_without"] - row["gap_with"]) >= SMALLEST_CHANGE:
            before, after = say.points(row["gap_with"]), say.points(row["gap_without"])
            text += f", and the gap by {attribute_words(attribute)} {after}, not {before}"
        text += "."
        yield finding(row, f"failures:{reason}", "warning", text, "influence")


def _held(row: Mapping[str, Any], single: pd.DataFrame, reason: str) -> str:
    """Say how many of a group's errors failures hold, and name them where all are known."""
    count = int(row["utterances"])
    names = ""
    if len(single):
        mine = single[(single["group"] == row["group"]) & single["reason"].str.contains(reason, regex=False)]
        names = f" ({say.listed([say.short(str(name)) for name in mine['id']])})" if len(mine) == count else ""
    total = round(row["errors"] / row["share_of_errors"])
    return (
        f"{say.counted(count, 'utterance')} of {row['group']}{names} {FAILURE_WORDS[reason]} "
        f"{'holds' if count == 1 else 'hold'} {int(row['errors']):,} of the group's {total:,} errors "
        f"({say.percent(row['share_of_errors'])})"
    )


def cut_short(tables: Tables, condition: str) -> Iterator[Finding]:
    """Recordings that were cut short: where that is more common in one group, its errors are not counted."""
    table = rows_of(tables, "ledger_by_group", condition=condition, reason="truncated_audio")
    for (engine, attribute), block in blocks(table, "engine", "attribute"):
        if attribute == OVERALL_ATTRIBUTE:
            continue
        rows = records(block.sort_values("share", ascending=False, kind="stable"))
        parts = [f"{row['group']} {say.percent(row['share'])}" for row in rows[:FEW_GROUPS]]
        text = (
            f"{engine}: {say.counted(int(block['utterances'].sum()), 'recording')} were cut short and not scored; by "
            f"{attribute_words(attribute)}, of {say.listed(parts)} of the utterances. Copy them again before groups are compared."
        )
        yield finding(rows[0], "cut_short", "warning", text, "ledger_by_group")


def normalizers(tables: Tables, condition: str) -> Iterator[Finding]:
    """Answers that depend on the text rules."""
    table = rows_of(tables, "normalizers", condition=condition)
    if "best_group" not in table:
        return
    for (_, _), block in blocks(table, "engine", "attribute"):
        first = block.drop_duplicates("normalizer")
        # Without any rules letter case and punctuation decide: that is in the table, and no rival to compare with.
        first = first[~first["normalizer"].str.startswith("none@")]
        if len(first) < 2:
            continue
        own, rest = first.iloc[0], first.iloc[1:]
        changed = rest[(rest["best_group"] != own["best_group"]) | (rest["worst_group"] != own["worst_group"])]
        low, high = float(first["gap"].min()), float(first["gap"].max())
        if changed.empty and high - low < LOUD_NORMALIZER:
            continue
        text = (
            f"{own['engine']}: the gap by {attribute_words(str(own['attribute']))} is {say.points(low)} to {say.points(high)}, "
            f"depending on the normalizer ({say.points(float(own['gap']))} under {own['normalizer']})"
        )
        if len(changed):
            row = changed.iloc[0]
            text += (
                f"; under {row['normalizer']} the best group is {row['best_group']} and the worst {row['worst_group']}"
            )
        yield finding(records(block)[0], "normalizer", "warning", text + ".", "normalizers")


def power(tables: Tables, condition: str) -> Iterator[Finding]:
    """What would have been found, and how often: over all engines, by attribute."""
    table = rows_of(tables, "differences", condition=condition)
    questions = int(table["mdd_corrected"].notna().sum()) if "mdd_corrected" in table else 0
    for (attribute, versus), block in blocks(table, "attribute", "versus"):
        known = block[block["mdd"].notna()]
        if known.empty or versus != "rest":
            continue
        row = records(known)[0]
        text = f"By {attribute_words(attribute)}, depending on the group, a difference from all others of "
        text += f"{_range(known['mdd'])} would be found with 80 % probability"
        if questions > 1:
            text += (
                f", before correction for {say.counted(questions, 'question')}; with it, one of "
                f"{_range(known['mdd_corrected'])}"
            )
        yield finding({**row, "engine": ""}, "power", "limit", text + ".", "differences")


def _range(sizes: pd.Series[float]) -> str:
    """Say differences from the least to the most; past 100 points nothing would be found."""
    low, high = float(sizes.min()), float(sizes.max())
    if low >= 1:
        return "100 points or more"
    if high >= 1:
        return f"{say.points(low)} to 100 points or more"
    return say.points(low) if say.points(low) == say.points(high) else f"{say.span(low, high, unit='points')}"


def confounded(tables: Tables, condition: str) -> Iterator[Finding]:
    """What the adjustment could not do."""
    table = rows_of(tables, "adjusted", condition=condition)
    if table.empty:
        return
    table = table.drop_duplicates("attribute")
    for row in records(table):
        flags = str(row["flag"]).split(";")
        for flag, words in (
            ("confounded", "goes with the groups so closely that the two cannot be told apart; it was not held fixed"),
            ("unavailable", "is not known for any utterance; it was not held fixed"),
            ("constant", "is the same in every utterance; there is nothing to hold fixed"),
        ):
            names = [attribute_words(part.partition(":")[2]) for part in flags if part.startswith(flag + ":")]
            if names:
                text = f"By {attribute_words(row['attribute'])}, {say.listed(names)} {words}."
                yield finding(row, flag, "limit", text, "adjusted")


def scales(tables: Tables, condition: str) -> Iterator[Finding]:
    """Places where points and ratios say opposite things."""
    del condition
    table = rows_of(tables, "interactions")
    for (_, _), block in blocks(table, "engine", "attribute"):
        both = block[block["scales_disagree"].astype(str).isin(["yes", "True", "true", "1"])]
        if both.empty:
            continue
        row = records(both)[0]
        text = (
            f"{row['engine']}: for {len(both)} of {say.counted(len(block), 'pair')} of {attribute_words(row['attribute'])} and "
            "place the gap to the reference group widens in points and narrows as a ratio, or the reverse: state both."
        )
        yield finding(row, "scales", "limit", text, "interactions")


def acoustics(tables: Tables, condition: str) -> Iterator[Finding]:
    """Groups whose recordings differ."""
    table = rows_of(tables, "achieved_by_group", condition=condition)
    if table.empty:
        return
    differing = table[(table["flag"].fillna("") != "") & (table["attribute"] != OVERALL_ATTRIBUTE)]
    for (attribute, quantity), block in blocks(differing, "attribute", "quantity"):
        names = [f"{row['group']} ({row['difference']:+.1f})".replace("-", "−") for row in records(block)]
        text = (
            f"By {attribute_words(attribute)}, recordings differ in {attribute_words(quantity)}: {say.listed(names)} against all others. A "
            "difference in errors may be one of recordings."
        )
        yield finding(
            {"condition": condition, "attribute": attribute},
            f"acoustics:{quantity}",
            "warning",
            text,
            "achieved_by_group",
        )


def warnings(tables: Tables, condition: str) -> Iterator[Finding]:
    """What would break the answer, the most telling first."""
    yield from sample.warnings(tables, condition)
    for make in (cut_short, speakers, failures, normalizers, confounded, scales, acoustics):
        yield from make(tables, condition)


def limits(tables: Tables, condition: str) -> Iterator[Finding]:
    """What these speakers cannot show."""
    yield from sample.limits(tables, condition)
    yield from power(tables, condition)
