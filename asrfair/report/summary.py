"""The first screen: the answer in sentences with numbers, worst group first, and what cannot be concluded.

The sentences are made of the run's tables; what the statistics themselves found (``findings.json``) follows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from asrfair.report.loading import RunData, section
from asrfair.say import words
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE

MAX_FINDINGS: Final = 6
MAX_LIMITS: Final = 4
MAX_WARNINGS: Final = 4
LEVELS: Final = ("finding", "limit", "warning")


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One engine in the condition shown first: everybody's WER and the worst and best group of one attribute.

    Numbers are fractions; ``None`` where the run has none.
    """

    engine: str
    condition: str
    attribute: str
    overall: Mapping[str, Any]
    worst: Mapping[str, Any]
    best: Mapping[str, Any]
    gap: float | None
    gap_low: float | None
    gap_high: float | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the first screen says: findings, limits, warnings, and in ``more_…`` what did not fit on it."""

    lead: str
    headlines: tuple[Headline, ...]
    findings: tuple[str, ...]
    limits: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    more_findings: tuple[str, ...] = ()
    more_limits: tuple[str, ...] = ()
    more_warnings: tuple[str, ...] = ()


def summarise(run: RunData) -> Summary:
    """Return the first screen of a run."""
    attributes = _leading_attributes(run)
    headlines = tuple(
        line for engine in run.engines for line in [_headline(run, engine, attributes[0] if attributes else "")] if line
    )
    told, limited, warnings = ([f.text for f in run.findings if f.level == level] for level in LEVELS)
    findings = told or [*_worst_sentences(run, attributes), *_condition_sentences(run, attributes)]
    limits = [*_data_limits(run), *(limited or _test_limits(run))]
    return Summary(
        lead=_lead(run, headlines),
        headlines=headlines,
        findings=tuple(findings[:MAX_FINDINGS]),
        limits=tuple(limits[:MAX_LIMITS]),
        warnings=tuple(warnings[:MAX_WARNINGS]),
        more_findings=tuple(findings[MAX_FINDINGS:]),
        more_limits=tuple(limits[MAX_LIMITS:]),
        more_warnings=tuple(warnings[MAX_WARNINGS:]),
    )


def describe(row: Mapping[str, Any]) -> str:
    """Return a group with its number: ``Jamaican English: 25.1 % (20.2–31.3 %, 4 speakers)``."""
    inside = [words.interval(row.get("ci_low"), row.get("ci_high"), "percent")]
    inside = [inside[0] + "\u00a0%" if inside[0] else "no interval", words.counted(int(row["speakers"]), "speaker")]
    return f"{words.group_words(row['group'])}: {words.percent(row['wer'])} ({', '.join(inside)})"


def _leading_attributes(run: RunData) -> list[str]:
    """Single attributes in suite order, or the intersections where there is nothing else."""
    single = [name for name in run.attributes if INTERSECTION not in name]
    return single or list(run.attributes)


def _rows(run: RunData, engine: str, condition: str, attribute: str) -> list[dict[str, Any]]:
    frame = run.disparity
    chosen = frame[(frame["engine"] == engine) & (frame["condition"] == condition) & (frame["attribute"] == attribute)]
    return [{str(key): value for key, value in row.items()} for row in chosen[chosen["wer"].notna()].to_dict("records")]


def _headline(run: RunData, engine: str, attribute: str) -> Headline | None:
    condition = run.main_condition
    whole = _rows(run, engine, condition, OVERALL_ATTRIBUTE)
    groups = [row for row in _rows(run, engine, condition, attribute) if not words.missing(row.get("ci_low"))]
    groups = groups or _rows(run, engine, condition, attribute)
    if not whole or not groups:
        return None
    worst = max(groups, key=lambda row: float(row["wer"]))
    best = min(groups, key=lambda row: float(row["wer"]))
    gap: Mapping[str, Any] = {}
    if "gaps" in run.tables:
        gaps = run.tables["gaps"]
        found = gaps[(gaps["engine"] == engine) & (gaps["condition"] == condition) & (gaps["attribute"] == attribute)]
        if len(found):
            gap = {str(key): value for key, value in found.iloc[0].items()}
            worst = next((row for row in groups if row["group"] == gap["worst_group"]), worst)
            if "worst_ci_low" in gap and gap["worst_group"] == worst["group"]:
                worst = {**worst, "ci_low": gap["worst_ci_low"], "ci_high": gap["worst_ci_high"]}
            best = next((row for row in groups if row["group"] == gap["best_group"]), best)
    return Headline(
        engine=engine,
        condition=condition,
        attribute=attribute,
        overall=whole[0],
        worst=worst,
        best=best,
        gap=_number(gap.get("gap")),
        gap_low=_number(gap.get("gap_ci_low")),
        gap_high=_number(gap.get("gap_ci_high")),
    )


def _number(value: Any) -> float | None:
    return None if words.missing(value) else float(value)


def _lead(run: RunData, headlines: tuple[Headline, ...]) -> str:
    """The one sentence that everybody reads."""
    if not headlines:
        first = run.disparity.iloc[0]
        return f"{words.percent(first['wer'])} of words were wrong. The run names no groups, so it cannot say for whom."
    attribute, condition = words.attribute_words(headlines[0].attribute), words.condition_words(headlines[0].condition)
    if len(headlines) == 1:
        line = headlines[0]
        if line.worst["group"] == line.best["group"]:
            return (
                f"{describe(line.worst)} of words wrong, {condition}; no other {attribute} is large enough to compare."
            )
        best = float(line.best["wer"])
        times = f", {words.number(float(line.worst['wer']) / best, 'ratio')} times the rate of the best" if best else ""
        chance = (
            ""
            if line.gap_low is None or line.gap_low > 0.0005
            else " Chance among these speakers could have made the gap."
        )
        return (
            f"The {attribute} worst served is {describe(line.worst)} of words wrong{times}: "
            f"{describe(line.best)}, {condition}.{chance}"
        )
    ordered = sorted(headlines, key=lambda line: float(line.worst["wer"]))
    low, high = ordered[0], ordered[-1]
    return (
        f"Judged by the {attribute} each serves worst, {low.engine} makes the fewest errors – {describe(low.worst)} – "
        f"and {high.engine} the most – {describe(high.worst)}, {condition}."
    )


def _worst_sentences(run: RunData, attributes: list[str]) -> list[str]:
    sentences = []
    for attribute in attributes:
        for engine in run.engines:
            line = _headline(run, engine, attribute)
            if not line or line.worst["group"] == line.best["group"]:
                continue
            gap = ""
            if line.gap is not None:
                around = words.interval(line.gap_low, line.gap_high, "percent")
                gap = f"; a gap of {words.points(line.gap)}" + (f" ({around})" if around else "")
            name = words.attribute_words(attribute)
            sentences.append(
                f"{engine}: the worst {name} is {describe(line.worst)}; the best {describe(line.best)}{gap}."
            )
    return sentences


def _condition_sentences(run: RunData, attributes: list[str]) -> list[str]:
    others = [name for name in run.conditions if name != run.main_condition]
    if not others or not attributes or "gaps" not in run.tables:
        return []
    gaps = run.tables["gaps"]
    sentences = []
    for engine in run.engines:
        mine = gaps[(gaps["engine"] == engine) & (gaps["attribute"] == attributes[0])]
        start = mine[mine["condition"] == run.main_condition]
        away = mine[mine["condition"].isin(others) & mine["worst_wer"].notna()]
        if start.empty or away.empty:
            continue
        worst, first = away.sort_values("worst_wer", ascending=False, kind="stable").iloc[0], start.iloc[0]
        name, where = words.attribute_words(attributes[0]), words.condition_words(worst["condition"])
        sentences.append(
            f"{engine}: under {where} the worst {name} ({words.group_words(worst['worst_group'])}) reaches "
            f"{words.percent(worst['worst_wer'])}, from {words.percent(first['worst_wer'])} in "
            f"{words.condition_words(run.main_condition)} ({words.group_words(first['worst_group'])})."
        )
    return sentences


def _data_limits(run: RunData) -> list[str]:
    sentences = []
    frame = run.disparity
    first = frame[(frame["engine"] == run.engines[0]) & (frame["condition"] == run.main_condition)]
    for attribute in run.attributes:
        rows = first[first["attribute"] == attribute]
        small = rows[rows["speakers"] < run.min_speakers].sort_values("speakers", kind="stable")
        if len(small):
            pairs = zip(small["group"], small["speakers"], strict=True)
            named = words.listed([f"{words.group_words(group)} ({int(count)})" for group, count in pairs])
            which = f"{len(small)} of {words.counted(len(rows), 'group')} by {words.attribute_words(attribute)}"
            verb = "has" if len(small) == 1 else "have"
            sentences.append(
                f"{which} {verb} fewer than {run.min_speakers} speakers, too few to conclude anything from: {named}."
            )
    inferred = [
        name
        for name, about in section(section(run.about, "manifest"), "attributes").items()
        if isinstance(about, dict) and about.get("provenance") == "inferred" and any(name in a for a in run.attributes)
    ]
    if inferred:
        sentences.append(f"{words.listed(inferred)} was inferred, not stated by the speakers: read its rows as such.")
    return sentences


def _test_limits(run: RunData) -> list[str]:
    sentences = []
    table = run.tables.get("differences", pd.DataFrame())
    if len(table) and "p_holm" in table.columns:
        rows = table[(table["condition"] == run.main_condition) & (table["versus"] == "best") & table["p_holm"].notna()]
        for (engine, attribute), part in rows.groupby(["engine", "attribute"], sort=False):
            unclear = part[part["p_holm"] >= 0.05]
            if len(unclear):
                named = words.listed([words.group_words(group) for group in unclear["group"]], limit=4)
                which = f"{len(unclear)} of {len(part)} comparisons by {words.attribute_words(attribute)}"
                sentences.append(
                    f"{engine}: for {which} the difference to the best group cannot be told from chance with this many "
                    f"speakers: {named}."
                )
    return sentences
