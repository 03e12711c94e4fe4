"""The answer of a run in a few sentences, made of its claims: merged over engines, short at any size.

Page, terminal, ``report.md``, card and kit print what this returns. Nothing is said here that no claim says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from asrfair.say import cautions, sample
from asrfair.say import numbers as say
from asrfair.say.claims import Claim, claims_of
from asrfair.say.finding import Finding, Tables, records, rows_of
from asrfair.say.measure import called
from asrfair.say.merged import Sentence, by_attribute, decibels, engine_order, further, places
from asrfair.types import CLEAN, INTERSECTION, OVERALL_ATTRIBUTE

MAX_SENTENCES: Final = 5
MAX_WORDS: Final = 120
MOST_SPEAKERS: Final = 500
"""More of one group are hardly ever recorded."""

_FIRST: Final = re.compile(r"(?<=[.!?]) (?=[A-Z])")
"""Between the sentences of a caution; a badge has room for the first."""


@dataclass(frozen=True, kw_only=True)
class Badges:
    """How sure this is, what would break it, and what to do next: a short line each."""

    sure: str
    breaks: str
    next: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run says: ``lead`` and ``sentences`` have at most 120 words together; ``lead_ids`` names the lead's claims."""

    lead: str
    sentences: tuple[Sentence, ...]
    badges: Badges
    cautions: tuple[str, ...]
    affirmed: int
    tested: int
    lead_ids: tuple[str, ...] = ()


def make_answer(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> Answer:
    """Say what a run shows.

    Args:
        tables: Tables by name, ``claims`` and ``disparity`` among them; those that are absent say nothing.
        facts: What ``run.json`` holds.
    """
    claims = claims_of(tables["claims"]) if "claims" in tables else ()
    condition = main_condition(tables)
    here = [claim for claim in claims if claim.condition in {"", condition}]
    engines = _engines(tables)
    groups = list(by_attribute(here, engines, condition))
    where = [*places(claims, engines), *decibels(claims)]
    others = [*engine_order(here, engines, sample.lacking(tables, condition)), *further(here)]
    yes = [claim for claim in claims if claim.affirmed]
    found = {claim.id for claim in yes}
    # What was found comes before what stays open; a reader who stops after the first sentence has the finding.
    told = [one for one in (*groups, *others, *where) if not found.isdisjoint(one.claim_ids)]
    told += [one for one in (*where, *groups, *others) if found.isdisjoint(one.claim_ids)]
    lead, *rest = told or [_nothing(tables, condition)]
    warned = tuple(cautions.warnings(tables, condition))
    chosen = selected(tables, facts)
    return Answer(
        lead=called(lead.text, facts),
        lead_ids=lead.claim_ids,
        sentences=tuple(
            replace(item, text=called(item.text, facts)) for item in _fitting(rest, used=_words(lead.text))
        ),
        badges=_badges(
            [claim for claim in claims if claim.id in lead.claim_ids], claims, tables, facts, condition, warned
        ),
        cautions=tuple(called(item.text, facts) for item in (*chosen, *warned)),
        affirmed=len(yes),
        tested=len(claims),
    )


def selected(tables: Tables, facts: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Which utterances the run looks at, where that is not all of them (``where`` under ``[groups]``, ``--where``)."""
    where = dict(facts.get("groups") or {}).get("where") or {}
    text = sample.selection(where, sample.counted_in(tables)) if isinstance(where, Mapping) else ""
    return (Finding(id="selection", level="limit", text=text, table="coverage"),) if text else ()


def main_condition(tables: Tables) -> str:
    """The condition that is shown first: ``clean`` where the run has it, else the first."""
    table = tables.get("disparity")
    names = [] if table is None else list(dict.fromkeys(table["condition"]))
    return CLEAN if CLEAN in names or not names else str(names[0])


def _engines(tables: Tables) -> tuple[str, ...]:
    table = tables.get("disparity")
    return () if table is None else tuple(str(name) for name in dict.fromkeys(table["engine"]))


def _words(text: str) -> int:
    return len(text.split(" "))


def _fitting(sentences: Iterable[Sentence], *, used: int) -> Iterator[Sentence]:
    """Take sentences as long as they fit."""
    count = 0
    for sentence in sentences:
        size = _words(sentence.text)
        if count < MAX_SENTENCES and used + size <= MAX_WORDS:
            yield sentence
            used, count = used + size, count + 1


def _nothing(tables: Tables, condition: str) -> Sentence:
    """The lead of a run that asks nothing."""
    overall = records(rows_of(tables, "disparity", condition=condition, attribute=OVERALL_ATTRIBUTE))
    if not overall:
        return Sentence(text="Nothing was scored.", claim_ids=(), level="limit")
    row = overall[0]
    who = "" if len(overall) == 1 else f" by {row['engine']}"
    why = "Differences were not tested" if "gaps" in tables else "Nothing was compared"
    text = f"{say.percent(row['rate'])} of words were wrong{who}. {why}, so the run cannot say for whom."
    return Sentence(text=text, claim_ids=(), level="limit")


def _badges(
    led: Sequence[Claim],
    claims: Sequence[Claim],
    tables: Tables,
    facts: Mapping[str, Any],
    condition: str,
    warned: Sequence[Finding],
) -> Badges:
    speakers = rows_of(tables, "disparity", condition=condition, attribute=OVERALL_ATTRIBUTE)
    count = int(speakers["speakers"].max()) if len(speakers) else 0
    yes = sum(claim.affirmed for claim in claims)
    strict = dict(facts.get("statistics", {})).get("family") == "strict"
    budget = (
        "the chance of even one false is at most 5 %" if strict else "at most 5 % of these are expected to be false"
    )
    sure = f"{yes} of {say.counted(len(claims), 'claim')} beyond chance, over {say.counted(count, 'speaker')}"
    return Badges(
        sure=sure + (f"; {budget}." if yes else "."),
        breaks=_breaks(led, warned),
        next=_next(claims, tables, facts, condition),
    )


def _breaks(led: Sequence[Claim], warned: Sequence[Finding]) -> str:
    """Return what would break the lead: a caution about its groups, or about everybody; not one about others."""
    about = {claim.attribute for claim in led}
    groups = {claim.group for claim in led if claim.group}
    mine = [
        item
        for item in warned
        if not led
        or (
            item.attribute in {"", OVERALL_ATTRIBUTE, *about}
            and (not item.id.startswith("failures") or any(group in item.text for group in groups))
        )
    ]
    if mine:
        return _FIRST.split(mine[0].text)[0]
    if any(claim.kind == "condition" for claim in led):
        return "The place is a simulation: noise, room and line are added to the recordings."
    return "Nothing that was looked at: no speaker, failure or text rule decides it."


def _next(claims: Sequence[Claim], tables: Tables, facts: Mapping[str, Any], condition: str) -> str:
    """Return what to do: how many speakers would settle the widest difference that is open, where so many can be found."""
    if not claims:
        return "Name attributes to compare: by under [groups]."
    table = rows_of(tables, "differences", condition=condition, versus="rest")
    open_ = {(c.engine, c.attribute, c.group) for c in claims if c.kind == "group" and not c.affirmed}
    rows = [
        row
        for row in records(table)
        if (row["engine"], row["attribute"], row["group"]) in open_
        and INTERSECTION not in row["attribute"]
        and row["difference"] > 0
        and row["speakers_needed"] <= MOST_SPEAKERS
    ]
    if not rows:
        worst = [c.group for c in claims if c.kind == "worst" and c.affirmed and c.condition in {"", condition}]
        whom = f"of {say.short(worst[0])}" if worst else "below"
        return f"Listen to the worst utterances {whom}, and repeat with other speakers."
    row = max(rows, key=lambda item: float(item["difference"]))
    detect = f"{100 * float(dict(facts.get('statistics', {})).get('detect', 0.05)):g} points"
    count = int(row["speakers_needed"])
    whom = f"{count} speakers in group {row['group']}, the others in proportion"
    return f"Record more people: {whom}, would show a difference of {detect}."
