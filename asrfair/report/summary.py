"""The first screen: the answer in sentences with numbers, worst group first, and what cannot be concluded.

The sentences are those of the answer (:mod:`asrfair.say.answer`); nothing here says anything about differences itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from asrfair.report.loading import RunData, section
from asrfair.say import cautions, words
from asrfair.say.answer import make_answer
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE

MAX_FINDINGS: Final = 6
MAX_LIMITS: Final = 4
MAX_WARNINGS: Final = 4


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
    answer = make_answer(run.tables, run.about)
    findings = [sentence.text for sentence in answer.sentences if sentence.level == "finding"]
    power = [item.text for item in cautions.limits(run.tables, run.main_condition)]
    limits = [*(s.text for s in answer.sentences if s.level != "finding"), *_data_limits(run), *power]
    warnings = answer.cautions
    return Summary(
        lead=answer.lead,
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
    return f"{words.group_words(row['group'])}: {words.percent(row['rate'])} ({', '.join(inside)})"


def _leading_attributes(run: RunData) -> list[str]:
    """Single attributes in suite order, or the intersections where there is nothing else."""
    single = [name for name in run.attributes if INTERSECTION not in name]
    return single or list(run.attributes)


def _rows(run: RunData, engine: str, condition: str, attribute: str) -> list[dict[str, Any]]:
    frame = run.disparity
    chosen = frame[(frame["engine"] == engine) & (frame["condition"] == condition) & (frame["attribute"] == attribute)]
    return [
        {str(key): value for key, value in row.items()} for row in chosen[chosen["rate"].notna()].to_dict("records")
    ]


def _headline(run: RunData, engine: str, attribute: str) -> Headline | None:
    condition = run.main_condition
    whole = _rows(run, engine, condition, OVERALL_ATTRIBUTE)
    groups = [row for row in _rows(run, engine, condition, attribute) if not words.missing(row.get("ci_low"))]
    groups = groups or _rows(run, engine, condition, attribute)
    if not whole or not groups:
        return None
    worst = max(groups, key=lambda row: float(row["rate"]))
    best = min(groups, key=lambda row: float(row["rate"]))
    gap: Mapping[str, Any] = {}
    if "gaps" in run.tables:
        gaps = run.tables["gaps"]
        found = gaps[(gaps["engine"] == engine) & (gaps["condition"] == condition) & (gaps["attribute"] == attribute)]
        if len(found):
            gap = {str(key): value for key, value in found.iloc[0].items()}
            worst = next((row for row in groups if row["group"] == gap["worst_group"]), worst)
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
