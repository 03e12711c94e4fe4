"""Hold the claims of a run against each other, their sentences and the tables: what contradicts what.

Used by tests and by ``benchmarks/claims.py`` over simulated runs; a list that is not empty is a bug.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from asrfair.say.answer import MAX_SENTENCES, MAX_WORDS, make_answer
from asrfair.say.claims import Claim, claims_of
from asrfair.stats.claims.table import RATIOS

_NUMBER = re.compile(r"(?<![\w.\-])([−-]?\d[\d,]*\.\d+)")
_DOUBT = (
    "chance",
    "is open",
    "no difference can be told",
    "not concluded",
    "not confirmed",
    "cannot be told",
    "no interval",
)
"""Every sentence of a claim that is not affirmed has one of these, and none of an affirmed one."""


def contradictions(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any] | None = None) -> list[str]:
    """Return what is wrong, a line each.

    Args:
        tables: Tables of a run, ``claims`` with their sentences among them.
        facts: What ``run.json`` holds.
    """
    claims = claims_of(tables["claims"])
    found = [f"{claim.id}: {wrong}" for claim in claims for wrong in _alone(claim)]
    found += _with_tables(claims, tables)
    found += _together(claims)
    return [*found, *_answer(claims, tables, facts or {})]


def _none(claim: Claim) -> float:
    return 1.0 if claim.kind in RATIOS else 0.0


def _alone(claim: Claim) -> Iterator[str]:
    """A claim against itself: p, interval, estimate, flag and sentence."""
    none = _none(claim)
    if claim.affirmed:
        if not claim.p_adjusted <= 0.5 or not claim.p <= claim.p_adjusted + 1e-12:
            yield f"affirmed at p = {claim.p_adjusted}"
        if claim.flag:
            yield f"affirmed and flagged {claim.flag}"
        if claim.kind not in {"omnibus", "worst", "group"} and not (claim.ci_low > none or claim.ci_high < none):
            yield f"affirmed with an interval that holds no effect: {claim.ci_low} to {claim.ci_high}"
        if claim.kind == "group" and not (claim.ci_low >= none or claim.ci_high <= none):
            yield f"affirmed with an interval around no effect: {claim.ci_low} to {claim.ci_high}"
    elif claim.kind not in {"omnibus", "worst"} and not claim.flag and (claim.ci_low > none or claim.ci_high < none):
        yield f"not affirmed with an interval that excludes no effect: {claim.ci_low} to {claim.ci_high}"
    if np.isfinite(claim.estimate) and not claim.flag and np.isfinite(claim.ci_low + claim.ci_high):
        slack = 1e-9
        if not claim.ci_low - slack <= claim.estimate <= claim.ci_high + slack:
            yield f"the estimate {claim.estimate} lies outside {claim.ci_low} to {claim.ci_high}"
    doubt = any(word in claim.text.replace("beyond chance", "") for word in _DOUBT)
    if claim.affirmed == doubt:
        yield f"affirmed is {claim.affirmed}, the sentence: {claim.text}"
    yield from _numbers(claim)


def _numbers(claim: Claim) -> Iterator[str]:
    """Every number of a sentence is one of the claim's."""
    scale = 1.0 if claim.kind in RATIOS else 100.0
    known = [claim.estimate, claim.ci_low, claim.ci_high, claim.rate, claim.versus_rate]
    text = claim.text
    for name in (claim.engine, claim.condition, claim.group, claim.versus, claim.attribute, *claim.among):
        text = text.replace(name, " ") if name else text
    for item in _NUMBER.findall(text):
        value = abs(float(item.replace("−", "-").replace(",", "")))
        digits = len(item.partition(".")[2])
        if not any(np.isfinite(k) and abs(abs(k) * scale - value) <= 0.51 * 10**-digits for k in known):
            yield f"{item} is no number of the claim: {claim.text}"


def _with_tables(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Claims against the tables of the run: rates, gaps, and that the best and worst are."""
    disparity = tables.get("disparity")
    if disparity is None:
        return
    rows = disparity.to_dict("records")
    rate = {(r["engine"], r["condition"], r["attribute"], r["group"]): float(r["rate"]) for r in rows}
    for claim in claims:
        if claim.kind not in {"group", "worst", "gap"}:
            continue
        key = (claim.engine, claim.condition, claim.attribute, claim.group)
        known = rate.get(key, np.nan)
        if claim.basis == "capped" and claim.rate > known + 1e-9:
            yield f"{claim.id}: the capped rate {claim.rate} is above the table's {known}"
        if claim.basis != "capped" and not abs(known - claim.rate) < 1e-9:
            yield f"{claim.id}: the rate is {claim.rate}, the table has {known}"
        if claim.kind == "gap" and abs(claim.rate - claim.versus_rate - claim.estimate) > 1e-9:
            yield f"{claim.id}: the gap is not worst less best"
        if claim.kind == "group" and abs(claim.rate - claim.versus_rate - claim.estimate) > 1e-9:
            yield f"{claim.id}: the difference is not that of the rates"


def _together(claims: Sequence[Claim]) -> Iterator[str]:
    """Claims against each other: one id once, engines in no circle, the worst group worse than the others."""
    seen: set[str] = set()
    beats: dict[tuple[str, str, str], set[tuple[str, str]]] = {}
    signs: dict[tuple[str, ...], float] = {}
    for claim in claims:
        if claim.id in seen:
            yield f"{claim.id}: twice"
        seen.add(claim.id)
        if not claim.affirmed:
            continue
        if claim.kind == "engine":
            pair = (claim.engine, claim.versus) if claim.estimate < 0 else (claim.versus, claim.engine)
            beats.setdefault((claim.condition, claim.attribute, claim.group), set()).add(pair)
        if claim.kind == "group":
            signs[claim.kind, claim.engine, claim.condition, claim.attribute, claim.group] = claim.estimate
    for claim in claims:
        if claim.affirmed and claim.kind == "worst":
            sign = signs.get(("group", claim.engine, claim.condition, claim.attribute, claim.group), 0.0)
            if sign < 0:
                yield f"{claim.id}: the worst group makes fewer errors than the others"
            if claim.group not in claim.among:
                yield f"{claim.id}: the group of the highest rate is not among the worst"
    for key, pairs in beats.items():
        if any((b, a) in pairs for a, b in pairs):
            yield f"{key}: each of two engines is said to make fewer errors than the other"


def _answer(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> Iterator[str]:
    """The answer against the claims it names."""
    answer = make_answer(tables, facts)
    size = sum(len(text.split(" ")) for text in (answer.lead, *(s.text for s in answer.sentences)))
    if len(answer.sentences) > MAX_SENTENCES or size > MAX_WORDS:
        yield f"the answer has {len(answer.sentences)} sentences and {size} words"
    known = {claim.id: claim for claim in claims}
    if any(name not in known for name in answer.lead_ids):
        yield "the lead names a claim that is not there"
    for sentence in answer.sentences:
        missing = [name for name in sentence.claim_ids if name not in known]
        if missing:
            yield f"the answer names a claim that is not there: {missing[0]}"
        elif sentence.level == "finding" and not all(known[name].affirmed for name in sentence.claim_ids):
            yield f"the answer affirms what no claim affirms: {sentence.text}"
    if answer.affirmed != sum(claim.affirmed for claim in claims):
        yield "the answer counts other claims than the table"
