"""Claims merged over engines into sentences for the answer, the most important first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from asrfair.say import numbers as say
from asrfair.say.claims import Claim, affirmed, sentence
from asrfair.say.words import attribute_words
from asrfair.types import CLEAN, INTERSECTION

NAME_LENGTH = 40
"""Names of groups and engines are data, and may be long."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence with the claims that it rests on."""

    text: str
    claim_ids: tuple[str, ...]
    level: Literal["finding", "limit", "warning"] = "finding"


def _name(text: str) -> str:
    return say.short(text, limit=NAME_LENGTH)


def _ids(claims: Sequence[Claim]) -> tuple[str, ...]:
    return tuple(claim.id for claim in claims)


def _size(claims: Sequence[Claim]) -> str:
    """One difference as ``6.2 points``, several as the range of the estimates; without signs."""
    sizes = sorted(abs(claim.estimate) for claim in claims)
    low, high = say.points(sizes[0]), say.points(sizes[-1])
    return high if low == high else f"{say.span(sizes[0], sizes[-1], unit='points')}"


def _cut(claims: Sequence[Claim]) -> str:
    return " (loops capped)" if any(claim.basis == "capped" for claim in claims) else ""


def by_attribute(claims: Sequence[Claim], engines: Sequence[str], condition: str) -> Iterator[Sentence]:
    """What is known of the groups of each attribute; what cannot be told comes last, in one sentence."""
    place = "" if condition == CLEAN else f" in {_name(condition)}"
    attributes = dict.fromkeys(claim.attribute for claim in claims if claim.kind == "omnibus")
    known, open_ = [], []
    for attribute in attributes:
        mine = [claim for claim in claims if claim.attribute == attribute]
        asked = [claim for claim in mine if claim.kind == "omnibus"]
        if not any(claim.affirmed for claim in asked):
            open_.append(attribute)
            continue
        known.append((-max(_clarity(claim, mine) for claim in asked), attribute, mine))
    for _, attribute, mine in sorted(known, key=lambda item: item[0]):
        yield from _one(mine, engines, place) if len(engines) == 1 else _several(mine, attribute, engines, place)
    if open_:
        asked = [claim for claim in claims if claim.kind == "omnibus" and claim.attribute in open_]
        names = say.listed([attribute_words(_name(name)) for name in open_], limit=3)
        who = "" if len(engines) == 1 else f" for any of {len(engines)} engines"
        text = (
            f"By {names}{place}, no difference between groups can be told from chance with these speakers{who}; which "
            "group is served worst is open."
        )
        yield Sentence(text=text, claim_ids=_ids(asked), level="limit")


def _clarity(asked: Claim, claims: Sequence[Claim]) -> float:
    """How many engines and how large: attributes whose groups differ most come first."""
    sizes = [
        min(abs(c.ci_low), abs(c.ci_high))
        for c in claims
        if c.kind == "group" and c.affirmed and c.engine == asked.engine
    ]
    return float(asked.affirmed) * max(sizes, default=0.0)


def _one(claims: Sequence[Claim], engines: Sequence[str], place: str) -> Iterator[Sentence]:
    """One engine: the worst group and how it stands, then the gap."""
    del engines
    worse = [c for c in affirmed(claims, "group") if c.estimate > 0]
    better = [c for c in affirmed(claims, "group") if c.estimate < 0]
    worst = affirmed(claims, "worst")
    gap = affirmed(claims, "gap")
    for claim in worse[:1] or better[:1]:
        verb = "worse" if claim.estimate > 0 else "better"
        other = f"the other {attribute_words(_name(claim.attribute))} groups"
        low, high = sorted((abs(claim.ci_low), abs(claim.ci_high)))
        text = (
            f"{_name(claim.group)} is understood {verb} than {other}{place}: {say.percent(claim.rate)} of words wrong "
            f"against {say.percent(claim.versus_rate)}, {say.points(abs(claim.estimate))} apart "
            f"({say.span(low, high, unit='')}){_cut([claim])}."
        )
        yield Sentence(text=text, claim_ids=(claim.id,))
    if len(worse) > 1:
        text = f"Beyond chance worse too: {say.listed([_name(c.group) for c in worse[1:]], limit=4)}."
        yield Sentence(text=text, claim_ids=_ids(worse[1:]))
    for claim in gap:
        text = (
            f"Between {_name(claim.group)} and {_name(claim.versus)} ({say.percent(claim.versus_rate)}) lie "
            f"{say.points(claim.estimate)}, at least {say.points(claim.ci_low)} beyond chance."
        )
        yield Sentence(text=text, claim_ids=(claim.id,))
    if len(worst) == 1 and len(worst[0].among) > 1:
        yield Sentence(text=_among(worst[0]), claim_ids=(worst[0].id,))
    if not (worse or better or gap):
        asked = affirmed(claims, "omnibus")
        yield Sentence(text=sentence(asked[0]), claim_ids=(asked[0].id,))


def _among(claim: Claim) -> str:
    names = say.listed([_name(name) for name in claim.among], limit=4)
    return f"The {attribute_words(_name(claim.attribute))} truly served worst is one of {names}."


def _several(claims: Sequence[Claim], attribute: str, engines: Sequence[str], place: str) -> Iterator[Sentence]:
    """Several engines: the groups that are worse, or better, for most of them, and where it is the other way round."""
    found = affirmed(claims, "group")
    told = 0
    for sign in (1, -1):
        mine = [claim for claim in found if sign * claim.estimate > 0]
        counts = Counter(claim.group for claim in mine)
        for group, count in counts.most_common(2 if sign > 0 else 1):
            if told and (sign < 0 or 2 * count < len(engines)):
                break
            same = [claim for claim in mine if claim.group == group]
            against = [claim for claim in found if claim.group == group and claim.estimate * sign < 0]
            verb = "worse" if sign > 0 else "better"
            text = (
                f"{_name(group)} is understood {verb} than the other {attribute_words(_name(attribute))} groups by {count} of "
                f"{len(engines)} engines{place}, beyond chance: {_size(same)}{_cut(same)}"
            )
            if against:
                other = "better" if sign > 0 else "worse"
                who = _name(against[0].engine) if len(against) == 1 else f"{len(against)}"
                text += f"; {other} by {who} ({_size(against)})"
            yield Sentence(text=text + ".", claim_ids=_ids([*same, *against]))
            told += 1
    if not told:
        asked = affirmed(claims, "omnibus")
        text = f"By {attribute_words(_name(attribute))}{place}, groups differ beyond chance for {len(asked)} of {len(engines)} engines."
        yield Sentence(text=text, claim_ids=_ids(asked))
    highest = [claim for claim in claims if claim.kind == "worst"]
    sure = [claim for claim in highest if claim.affirmed]
    if sure:
        group, count = Counter(claim.group for claim in highest).most_common(1)[0]
        alone = sum(claim.group == group and len(claim.among) == 1 and claim.affirmed for claim in highest)
        same = [claim for claim in highest if claim.group == group]
        text = f"{_name(group)} has the highest rate for {count} of {len(engines)} engines{_cut(same)}"
        text += f" and is surely the worst for {alone}." if alone else "; which group is truly the worst is open."
        yield Sentence(text=text, claim_ids=_ids(same), level="limit")


def ranks(pairs: Sequence[Claim], engines: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The ranks that an engine may have (1 makes the fewest errors), from pairs that are told apart."""
    better: Counter[str] = Counter()
    worse: Counter[str] = Counter()
    for claim in affirmed(pairs):
        high, low = (claim.engine, claim.versus) if claim.estimate > 0 else (claim.versus, claim.engine)
        better[high] += 1
        worse[low] += 1
    return {name: (1 + better[name], len(engines) - worse[name]) for name in engines}


def engine_order(
    claims: Sequence[Claim], engines: Sequence[str], scored_share: Mapping[str, float] | None = None
) -> Iterator[Sentence]:
    """Engines against each other on the same speakers, over everybody, then judged by the group each serves worst.

    Args:
        claims: Of the condition that is shown.
        engines: In the order of the suite.
        scored_share: Of engines that lack many utterances, the share that they have: no order stands without it.
    """
    pairs = [claim for claim in claims if claim.kind == "engine" and not claim.group]
    if not pairs:
        return
    if len(pairs) == 1:
        claim = pairs[0]
        text = sentence(claim) + _only_on(scored_share or {})
        yield Sentence(text=text, claim_ids=(claim.id,), level="finding" if claim.affirmed else "limit")
    else:
        order = _order(pairs, engines, "over everybody")
        yield replace(order, text=order.text + _only_on(scored_share or {}))
    differing = {claim.attribute for claim in claims if claim.kind == "omnibus" and claim.affirmed}
    asked = dict.fromkeys(claim.attribute for claim in claims if claim.kind == "worst_engine")
    for attribute in [name for name in asked if name in differing] or list(asked)[:1]:
        mine = [claim for claim in claims if claim.kind == "worst_engine" and claim.attribute == attribute]
        if len(mine) == 1:
            claim = mine[0]
            yield Sentence(text=sentence(claim), claim_ids=(claim.id,), level="finding" if claim.affirmed else "limit")
        else:
            yield _order(mine, engines, f"by the {attribute_words(_name(attribute))} that each serves worst")


def _only_on(scored_share: Mapping[str, float]) -> str:
    """Say of which engines only a part was compared."""
    if not scored_share:
        return ""
    parts = [f"{_name(name)} only {say.percent(share)}" for name, share in scored_share.items()]
    return f" Of the utterances, {say.listed(parts, limit=3)} could be compared: what is missing may be the hardest."


def _order(pairs: Sequence[Claim], engines: Sequence[str], how: str) -> Sentence:
    clear = affirmed(pairs)
    if not clear:
        text = f"Judged {how}, no difference can be told between {len(engines)} engines: their order is open."
        return Sentence(text=text, claim_ids=_ids(pairs), level="limit")
    places = ranks(pairs, engines)
    first = [name for name in engines if places[name][0] == 1]
    text = f"Judged {how}, "
    if len(first) == 1 and places[first[0]][1] == 1:
        text += f"{_name(first[0])} makes the fewest errors of {len(engines)} engines, beyond chance against each"
    else:
        text += f"{say.listed([_name(name) for name in first], limit=3)} may be the best of {len(engines)} engines"
    return Sentence(text=f"{text}; {len(clear)} of {len(pairs)} pairs can be told apart.", claim_ids=_ids(clear))


def places(claims: Sequence[Claim], engines: Sequence[str]) -> Iterator[Sentence]:
    """What a condition costs everybody, then what it costs one group more than the others."""
    effects = affirmed(claims, "condition")
    if effects:
        worst = max(effects, key=lambda claim: abs(claim.estimate))
        mine = [c for c in effects if c.condition == worst.condition and c.estimate * worst.estimate > 0]
        verb = "costs" if worst.estimate > 0 else "spares"
        who = _name(worst.engine) if len(engines) == 1 or len(mine) == 1 else f"{len(mine)} of {len(engines)} engines"
        text = f"{_name(worst.condition)} {verb} everybody {_size(mine)}"
        if len(mine) == 1:
            text += f": {say.percent(worst.rate)} of words wrong instead of {say.percent(worst.versus_rate)}{_without(worst)} ({who})."
        else:
            text += f" against {_name(worst.versus)} ({who})."
        yield Sentence(text=text, claim_ids=_ids(mine))
        yield from _there(claims, engines, worst)
    for kind in ("interaction", "interaction_ratio"):
        found = affirmed(claims, kind)
        if found:
            yield Sentence(text=sentence(found[0]), claim_ids=(found[0].id,))


def _without(claim: Claim) -> str:
    return " as recorded" if claim.versus == CLEAN else f" in {_name(claim.versus)}"


def _there(claims: Sequence[Claim], engines: Sequence[str], place: Claim) -> Iterator[Sentence]:
    """How groups stand in the place that costs most: what is known, or the widest gap, which may be chance."""
    there = [claim for claim in claims if claim.condition == place.condition]
    known = [one for one in by_attribute(there, engines, place.condition) if one.level == "finding"]
    if known:
        yield known[0]
        return
    gaps = [
        claim
        for claim in there
        if claim.kind == "gap" and claim.engine == place.engine and INTERSECTION not in claim.attribute
    ]
    if gaps and not any(claim.affirmed for claim in there if claim.kind == "omnibus"):
        widest = max(gaps, key=lambda claim: claim.estimate)
        text = (
            f"In {_name(place.condition)}, {say.percent(widest.rate)} of words are wrong for {_name(widest.group)} and "
            f"{say.percent(widest.versus_rate)} for {_name(widest.versus)}; with these speakers that may be chance."
        )
        yield Sentence(text=text, claim_ids=(widest.id,), level="limit")


def further(claims: Sequence[Claim]) -> Iterator[Sentence]:
    """Differences with others held fixed, and combinations that nobody named."""
    for kind in ("adjusted", "subgroup"):
        found = affirmed(claims, kind)
        if found:
            yield Sentence(text=sentence(found[0]), claim_ids=(found[0].id,))


def decibels(claims: Sequence[Claim]) -> Iterator[Sentence]:
    """How much more one group needs than another: the clearest of what was found, and how many more there are."""
    asked = [claim for claim in claims if claim.kind in {"threshold", "threshold_ratio"}]
    found = affirmed(asked)
    if found:
        more = f" {len(found)} of {len(asked)} such differences are beyond chance." if len(found) > 1 else ""
        yield Sentence(text=sentence(found[0]) + more, claim_ids=_ids(found))
