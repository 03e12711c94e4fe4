"""Sentences about the sample itself: who is missing from it, what it was drawn from, and what it cannot show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asrfair.say import numbers as say
from asrfair.say.finding import Finding, Tables, finding, records, rows_of
from asrfair.say.words import attribute_words
from asrfair.types import OVERALL_ATTRIBUTE

MISSING_SHARE = 0.02
"""From one utterance in fifty on that an engine gave nothing for, it is said."""

LACKING_SHARE = 0.1
"""An engine that lacks so many is named with every order of the engines."""

MOSTLY_SHARED = 0.9
"""Groups whose sentences are shared by so many words read the same list."""

HARDLY_SHARED = 0.1
"""Groups that share no more have lists of their own."""


def unscored(tables: Tables, condition: str) -> Iterator[Finding]:
    """Engines of whose utterances a part has no transcript: their rates are those of the rest."""
    table = rows_of(tables, "disparity", condition=condition, attribute=OVERALL_ATTRIBUTE)
    if "scored_share" not in table:
        return
    rows = records(table[table["scored_share"] < 1 - MISSING_SHARE].sort_values("scored_share", kind="stable"))
    if not rows:
        return
    least = rows[0]
    parts = [f"{row['engine']} has {say.percent(row['scored_share'])}" for row in rows[:3]]
    more = (
        f" and {say.counted(len(rows) - 3, 'more engine')} lack{'s' * (len(rows) == 4)} some" if len(rows) > 3 else ""
    )
    text = (
        f"Not all utterances were transcribed: {say.listed(parts)} of those that could be scored{more}. What failed is "
        "often what is hard, so these rates are of easier speech than the other engines' and no rank of them is sure."
    )
    yield finding(least, "unscored", "warning", text, "disparity")


def speakers_unknown(tables: Tables, condition: str) -> Iterator[Finding]:
    """No speaker ids, or ids that are those of utterances."""
    table = rows_of(tables, "disparity", condition=condition, attribute=OVERALL_ATTRIBUTE)
    if table.empty or not {"speakers", "utterances"} <= set(table.columns):
        return
    row = records(table)[0]
    if "no_speakers" in str(row.get("flag", "")):
        text = (
            "Speakers are not known: rates stand without intervals, groups are not compared, and nothing is claimed. "
            "A number for each speaker is enough."
        )
        yield finding({"condition": condition}, "no_speakers", "warning", text, "disparity")
    elif (table["speakers"] == table["utterances"]).all() and row["speakers"] > 1:
        text = (
            "Every utterance has a speaker of its own. If these are the ids of utterances, intervals are over "
            "utterances, and too narrow where people said more than one."
        )
        yield finding({"condition": condition}, "speaker_each", "warning", text, "disparity")


def loops(tables: Tables, condition: str) -> Iterator[Finding]:
    """Rates with and without loops, and what the intervals cover."""
    table = rows_of(tables, "disparity", condition=condition, attribute=OVERALL_ATTRIBUTE)
    if "rate_capped" not in table:
        return
    rows = records(table[table["rate_capped"].notna()])
    if not rows:
        return
    shown = sorted(rows, key=lambda row: row["rate_capped"] - row["rate"])[:3]
    parts = [f"{row['engine']} {say.percent(row['rate_capped'])}, not {say.percent(row['rate'])}" for row in shown]
    likewise = f" Likewise {say.listed(parts[1:])}." if parts[1:] else ""
    text = (
        f"Without loops the WER is {say.percent(shown[0]['rate_capped'])}, not {say.percent(shown[0]['rate'])}: "
        f"{shown[0]['engine']}.{likewise} At most one inserted word is then counted for each word spoken, and claims rest on "
        "these rates. Intervals cover loops as often as they were seen here; rarer and longer ones are in no interval."
    )
    yield finding(shown[0], "loops", "warning", text, "disparity")


def prompts(tables: Tables, condition: str) -> Iterator[Finding]:
    """Who read which sentences, and what follows."""
    table = rows_of(tables, "prompts")
    for row in records(table[table["attribute"] == OVERALL_ATTRIBUTE] if len(table) else table):
        text = (
            f"Speakers read the same sentences: {say.counted(int(row['sentences']), 'sentence')} by "
            f"{row['speakers_a_sentence']:.1f} speakers each on average. "
        )
        if row["flag"]:
            text += "All figures hold for these sentences only: intervals are over speakers alone."
        else:
            text += "Intervals allow for other sentences as they do for other speakers."
        yield finding({"condition": condition}, "prompts", "limit", text, "prompts")
    if table.empty:
        return
    for attribute, block in table[table["attribute"] != OVERALL_ATTRIBUTE].groupby("attribute", sort=False):
        known = block[block["farthest_share"].notna()]
        if known.empty or known["shared_share"].min() >= MOSTLY_SHARED:
            continue
        least = records(known.loc[[known["farthest_share"].idxmin()]])[0]
        apart = known["shared_share"].max() <= HARDLY_SHARED
        text = f"By {attribute_words(str(attribute))}, groups read different sentences: "
        if apart:
            text += "hardly any are shared"
        else:
            text += (
                f"{least['group']} shares {say.percent(least['farthest_share'])} of its words with "
                f"{least['farthest_group']}"
            )
        text += ". A difference between such groups may be one of sentences"
        text += "." if least["flag"] else "; intervals and claims allow for that."
        yield finding({"condition": condition, "attribute": attribute}, "lists", "warning", text, "prompts")


def selection(where: Mapping[str, str], count: int | None = None) -> str:
    """Say which utterances a run looks at; empty where it looks at all.

    Args:
        where: The attribute values that were asked for.
        count: How many utterances that leaves to be scored.
    """
    if not where:
        return ""
    chosen = say.listed([f"{attribute_words(name)} = {value}" for name, value in where.items()])
    left = "" if count is None else f": {say.counted(count, 'utterance')}, and every count here is of these"
    return f"Only utterances with {chosen}{left}."


def counted_in(tables: Tables) -> int | None:
    """How many utterances are to be scored."""
    table = rows_of(tables, "coverage", attribute=OVERALL_ATTRIBUTE)
    return int(table["utterances"].iloc[0]) if len(table) else None


def lacking(tables: Tables, condition: str) -> dict[str, float]:
    """Engines that lack many utterances, with the share that they have, the least first."""
    table = rows_of(tables, "disparity", condition=condition, attribute=OVERALL_ATTRIBUTE)
    if "scored_share" not in table:
        return {}
    rows = table[table["scored_share"] < 1 - LACKING_SHARE].sort_values("scored_share", kind="stable")
    return dict(zip(rows["engine"].astype(str), rows["scored_share"].astype(float), strict=True))


def warnings(tables: Tables, condition: str) -> Iterator[Finding]:
    """What the sample lacks, the most telling first."""
    for make in (speakers_unknown, unscored, loops, prompts):
        yield from (item for item in make(tables, condition) if item.level == "warning")


def limits(tables: Tables, condition: str) -> Iterator[Finding]:
    """What the sample was drawn from."""
    yield from (item for item in prompts(tables, condition) if item.level == "limit")
