"""The answer of a run in a few sentences, made of its claims: merged over engines, short at any size.

Page, terminal, ``report.md``, card and kit print what this returns. Nothing is said here that no claim says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd

from asrfair.say import cautions
from asrfair.say import numbers as say
from asrfair.say.claims import Claim, affirmed, claims_of
from asrfair.say.finding import Finding, Tables, records, rows_of, word
from asrfair.types import CLEAN, OVERALL_ATTRIBUTE

MAX_SENTENCES: Final = 5
MAX_WORDS: Final = 120


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence with the claims that it rests on."""

    text: str
    claim_ids: tuple[str, ...]
    level: Literal["finding", "limit", "warning"] = "finding"


@dataclass(frozen=True, kw_only=True)
class Badges:
    """How sure this is, what would break it, and what to do next: a short line each."""

    sure: str
    breaks: str
    next: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run says: ``lead`` and ``sentences`` have at most 120 words together."""

    lead: str
    sentences: tuple[Sentence, ...]
    badges: Badges
    cautions: tuple[str, ...]
    affirmed: int
    tested: int


def make_answer(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> Answer:
    """Say what a run shows.

    Args:
        tables: Tables by name, ``claims`` and ``disparity`` among them; those that are absent say nothing.
        facts: What ``run.json`` holds.
    """
    claims = claims_of(tables["claims"]) if "claims" in tables else ()
    condition = main_condition(tables)
    engines = _engines(tables)
    told = list(_told(claims, engines, condition))
    found = [sentence for sentence in told if sentence.level == "finding"]
    lead = found[0] if found else _nothing(claims, tables, condition)
    rest = [sentence for sentence in told if sentence is not lead]
    warned = tuple(cautions.warnings(tables, condition))
    yes = [claim for claim in claims if claim.affirmed]
    return Answer(
        lead=lead.text,
        sentences=tuple(_fitting(rest, used=_words(lead.text))),
        badges=_badges(claims, tables, facts, condition, warned),
        cautions=tuple(item.text for item in warned),
        affirmed=len(yes),
        tested=len(claims),
    )


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


def _told(claims: Sequence[Claim], engines: Sequence[str], condition: str) -> Iterator[Sentence]:
    """All sentences, the most important first."""
    here = [claim for claim in claims if claim.condition in {"", condition}]
    yield from _groups(here, engines, condition)
    yield from _ranking(here, engines)
    yield from _places(claims, engines)
    for kind in ("adjusted", "subgroup"):
        best = affirmed(here, kind)
        if best:
            yield Sentence(text=best[0].text, claim_ids=(best[0].id,))


def _groups(claims: Sequence[Claim], engines: Sequence[str], condition: str) -> Iterator[Sentence]:
    """By attribute, the groups with the clearest difference first."""
    by_attribute: dict[str, list[Claim]] = {}
    for claim in affirmed(claims, "group", "gap", "worst"):
        by_attribute.setdefault(claim.attribute, []).append(claim)
    for mine in by_attribute.values():
        worse = [claim for claim in mine if claim.kind == "group" and claim.estimate > 0]
        if len(engines) == 1:
            gap = affirmed(mine, "gap")
            first = gap or affirmed(mine, "worst") or worse
            if first:
                yield Sentence(text=first[0].text, claim_ids=(first[0].id,))
            if worse and (not gap or worse[0].group != gap[0].group):
                yield Sentence(text=worse[0].text, claim_ids=(worse[0].id,))
        elif worse:
            yield from _merged(worse, engines, condition)


def _merged(worse: Sequence[Claim], engines: Sequence[str], condition: str) -> Iterator[Sentence]:
    """One group over several engines: the group that is worse beyond chance for most of them."""
    del condition
    group, count = Counter(claim.group for claim in worse).most_common(1)[0]
    mine = [claim for claim in worse if claim.group == group]
    low, high = min(claim.estimate for claim in mine), max(claim.estimate for claim in mine)
    size = say.points(low) if len(mine) == 1 else f"{say.span(low, high, unit='points')}"
    text = (
        f"{group} is worse than all other {word(mine[0].attribute)} groups for {count} of {len(engines)} engines, beyond "
        f"chance: by {size}."
    )
    yield Sentence(text=text, claim_ids=tuple(claim.id for claim in mine))


def _ranking(claims: Sequence[Claim], engines: Sequence[str]) -> Iterator[Sentence]:
    """Engines against each other: which of them no other beats, and how many pairs can be told apart."""
    pairs = [claim for claim in claims if claim.kind == "engine"]
    if not pairs:
        return
    clear = affirmed(pairs)
    beaten = {claim.engine if claim.estimate > 0 else claim.versus for claim in clear}
    first = [name for name in engines if name not in beaten]
    ids = tuple(claim.id for claim in clear)
    if len(pairs) == 1:
        yield Sentence(text=pairs[0].text, claim_ids=(pairs[0].id,), level="finding" if pairs[0].affirmed else "limit")
    elif not clear:
        text = f"Between the {len(engines)} engines no difference can be told on the same speakers."
        yield Sentence(text=text, claim_ids=tuple(claim.id for claim in pairs), level="limit")
    elif len(first) == 1:
        text = f"{first[0]} makes the fewest errors of {len(engines)} engines on the same speakers"
        sure = all(
            any({c.engine, c.versus} == {first[0], other} for c in clear) for other in engines if other != first[0]
        )
        yield Sentence(text=text + (", beyond chance against each." if sure else "."), claim_ids=ids)
    else:
        text = (
            f"Of {len(engines)} engines {say.listed(first, limit=3)} make the fewest errors; among them no difference "
            "can be told."
        )
        yield Sentence(text=text, claim_ids=ids)


def _places(claims: Sequence[Claim], engines: Sequence[str]) -> Iterator[Sentence]:
    del engines
    for kind in ("condition", "interaction", "interaction_ratio"):
        best = affirmed(claims, kind)
        if best:
            yield Sentence(text=best[0].text, claim_ids=(best[0].id,))


def _nothing(claims: Sequence[Claim], tables: Tables, condition: str) -> Sentence:
    """The lead of a run that affirms nothing."""
    overall = records(rows_of(tables, "disparity", condition=condition, attribute=OVERALL_ATTRIBUTE))
    if not overall:
        return Sentence(text="Nothing was scored.", claim_ids=(), level="limit")
    row = overall[0]
    who = "" if len(overall) == 1 else f" by {row['engine']}"
    text = f"{say.percent(row['wer'])} of words were wrong{who}"
    if claims:
        text += f"; none of {say.counted(len(claims), 'difference')} looked at can be told from chance."
    else:
        text += ". The run compares no groups, so it cannot say for whom."
    return Sentence(text=text, claim_ids=(), level="limit")


def _badges(
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
    breaks = warned[0].text if warned else "Nothing that was looked at: no speaker, failure or text rule decides it."
    return Badges(sure=sure + (f"; {budget}." if yes else "."), breaks=breaks, next=_next(claims, tables, condition))


def _next(claims: Sequence[Claim], tables: Tables, condition: str) -> str:
    if not claims:
        return "Name attributes to compare: by under [groups]."
    table = rows_of(tables, "differences", condition=condition, versus="rest")
    known = table[table["speakers_needed"].notna()] if len(table) else table
    open_ = {(c.engine, c.attribute, c.group) for c in claims if c.kind == "group" and not c.affirmed}
    rows = [row for row in records(known) if (row["engine"], row["attribute"], row["group"]) in open_]
    if not rows:
        return "Listen to the worst utterances of the groups named here, and repeat with other speakers."
    row = max(rows, key=lambda item: item["difference"])
    return f"Record more speakers of {row['group']}: {int(row['speakers_needed'])} would show a difference of 5 points."
