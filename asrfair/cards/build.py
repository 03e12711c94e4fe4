"""Puts a card together: the template's sections, the author's prose in them, and what the runs add to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from asrfair.cards import tables
from asrfair.cards.blocks import Block, Card, Facts, Lines, Picture, Prose, Section
from asrfair.cards.claims import checked
from asrfair.cards.evidence import Evidence
from asrfair.cards.outline import OUTLINES, Part
from asrfair.cards.prose import AuthorProse
from asrfair.report.loading import section
from asrfair.report.plots import forest_plot, ranked_engines
from asrfair.report.plots.forest import MAX_PANELS
from asrfair.report.provenance import provenance_rows
from asrfair.say import words
from asrfair.scoring.metric import WER
from asrfair.types import CLEAN, INTERSECTION, OVERALL_ATTRIBUTE
from asrfair.version import __version__

MAX_FLOOR_SENTENCES: Final = 4
MAX_CHART_ROWS: Final = 20
_PRECISION: Final = "hits/(hits + substitutions + insertions)"
_RECALL: Final = "hits/(hits + substitutions + deletions)"
_PRIVATE_ROWS: Final = ("Started", "Finished", "Packages")
"""Lines of the provenance that a card leaves to the run."""


def build_card(evidence: Evidence, prose: AuthorProse, template: str) -> Card:
    """Return the card.

    Raises:
        InputError: The prose claims what the runs do not support.
    """
    texts = checked(prose, evidence)
    return Card(
        title=prose.service,
        template=template,
        facts=prose.details,
        sections=tuple(_section(part, texts, evidence) for part in OUTLINES[template]),
    )


def _section(part: Part, texts: Mapping[str, str], evidence: Evidence) -> Section:
    blocks: list[Block] = []
    if texts.get(part.key, "").strip():
        blocks.append(Prose(markdown=texts[part.key].strip()))
    for name in part.adds:
        blocks += _ADDS[name](evidence)
    if not blocks and part.key not in {"design", "quantitative_analyses"}:
        blocks.append(Lines(lines=("Nothing is stated here.",)))
    return Section(title=part.title, key=part.key, depth=part.depth, blocks=tuple(blocks))


def _overall(evidence: Evidence) -> list[Block]:
    return [block for run in evidence.runs for block in tables.everybody(run)]


def _groups(evidence: Evidence, *, crossed: bool | None = None) -> list[Block]:
    """Return the tables of each run and attribute."""
    return [
        block
        for run in evidence.runs
        for attribute in run.raw.attributes
        if crossed is None or (INTERSECTION in attribute) == crossed
        for block in tables.by_attribute(run, attribute)
    ]


def _gaps(evidence: Evidence) -> list[Block]:
    return [block for run in evidence.runs for block in tables.gaps(run)]


def _conditions(evidence: Evidence) -> list[Block]:
    found: list[Block] = [
        tables.under_conditions(run) for run in evidence.runs if any(name != CLEAN for name in run.raw.conditions)
    ]
    return found or [
        Lines(lines=("The runs have the recordings as they are only: how noise changes the results was not measured.",))
    ]


def _floors(evidence: Evidence) -> list[Block]:
    """Return the statements about all groups: sentences for one engine and condition, one table for more."""
    if not evidence.floors:
        return []
    if len(evidence.floors) <= MAX_FLOOR_SENTENCES:
        return [Lines(lines=tuple(floor.sentence for floor in evidence.floors))]
    return [tables.floors_table(evidence.floors)]


def _answer(evidence: Evidence) -> list[Block]:
    """Return what the runs say about differences, as far as nothing that is suppressed speaks in it."""
    lines = []
    for run in evidence.runs:
        touched = {attribute for attribute, _ in run.hidden}
        claims = run.raw.tables.get("claims")
        if claims is None:
            continue
        attributes = dict(zip(claims["id"].astype(str), claims["attribute"].astype(str), strict=True))
        answer = run.raw.answer
        told = ((answer.lead, answer.lead_ids), *((item.text, item.claim_ids) for item in answer.sentences))
        lines += [
            f"{run.name}: {text}"
            for text, names in told
            if not touched or (names and not any(attributes.get(name, "") in touched for name in names))
        ]
    return [Lines(lines=tuple(lines))] if lines else []


def _picture(evidence: Evidence) -> list[Block]:
    """Return one chart: the groups of the first run's first attribute, or its engines where there are many."""
    run = evidence.runs[0]
    frame = run.shown.disparity
    known = [name for name in run.raw.attributes if frame[frame["attribute"] == name]["rate"].notna().any()]
    if not known:
        return []
    how: dict[str, Any] = {"attribute": known[0], "condition": run.raw.main_condition, "confidence": run.raw.confidence}
    name, where = words.attribute_words(known[0]), words.condition_words(run.raw.main_condition)
    if len(run.raw.engines) > MAX_PANELS:
        least = max(evidence.smallest, run.raw.min_speakers)
        draw = partial(ranked_engines, frame, min_speakers=least, **how)
        alt = f"Chart: word error rate of each engine over everybody and of its worst {name}, {where}. Its numbers are below."
    else:
        draw = partial(forest_plot, frame, max_rows=MAX_CHART_ROWS, **how)
        alt = f"Chart: word error rate by {name} with intervals over speakers, {where}. Its numbers are in the tables below."
    return [Picture(draw=draw, alt=alt)]


def _suppression(evidence: Evidence) -> list[Block]:
    hidden, few = sum(len(run.hidden) for run in evidence.runs), words.counted(evidence.smallest, "speaker")
    if not hidden:
        return [Lines(lines=(f"No group has fewer than {few}: none is suppressed.",))]
    marked = f"{words.counted(hidden, 'group')} {'is' if hidden == 1 else 'are'} suppressed"
    why = f"their numbers, or those of another group, could tell of fewer than {few}"
    return [Lines(lines=(f"{marked}: {why}.",))]


def _method(evidence: Evidence) -> list[Block]:
    own = [run.raw.metric.label for run in evidence.runs if run.raw.metric != WER]
    lines = [
        *(f"{label}: a ratio of counts, pooled over a group." for label in dict.fromkeys(own)),
        "Word error rate (WER): substituted, deleted and inserted words over the words spoken, pooled over a group.",
        f"Word recognition F1: the harmonic mean of precision = {_PRECISION} and recall = {_RECALL}.",
        "Intervals are over speakers, not utterances: they say what other speakers of the group could have shown.",
        "A simultaneous bound holds for all groups at once, so that the worst of them may be read from it.",
    ]
    return [Lines(lines=tuple(lines))]


def _runs(evidence: Evidence) -> list[Block]:
    found: list[Block] = []
    for run in evidence.runs:
        whole = run.groups[run.groups["attribute"] == OVERALL_ATTRIBUTE].iloc[0]
        size = (
            ("Speakers", words.number(whole["speakers"], "count")),
            ("Utterances", words.number(whole["utterances"], "count")),
        )
        kept = [
            (k, v)
            for k, v in provenance_rows(run.raw)
            if k.startswith(("Corpus", "Licence", "Attribute", "Normalizer", "Interval"))
        ]
        conditions = words.listed([words.condition_words(c) for c in run.raw.conditions], limit=50)
        found.append(Facts(rows=(("Run", run.name), *size, ("Conditions", conditions), *kept)))
    return found


def _factors(evidence: Evidence) -> list[Block]:
    lines = []
    for run in evidence.runs:
        attributes = words.listed([words.attribute_words(a) for a in run.raw.attributes], limit=50)
        conditions = words.listed([words.condition_words(c) for c in run.raw.conditions], limit=50)
        lines.append(f"{run.name}: assessed by {attributes or 'no attribute'}; conditions: {conditions}.")
    return [Lines(lines=tuple(lines))]


def _stated(evidence: Evidence) -> list[Block]:
    """Return who says what: the author's prose, the runs' numbers, and what the speakers said of themselves."""
    rows = [
        ("Text", "by the author of this card; numbers in it were checked against the runs when it was built."),
        ("Numbers", f"counted by asrfair {__version__} from {words.listed([run.name for run in evidence.runs])}."),
    ]
    for run in evidence.runs:
        kinds: dict[str, list[str]] = {}
        for name, about in section(section(run.raw.about, "manifest"), "attributes").items():
            if any(name in attribute.split(INTERSECTION) for attribute in run.raw.attributes):
                kinds.setdefault(str(section({"a": about}, "a").get("provenance") or "not said"), []).append(name)
        for kind, names in kinds.items():
            named = words.listed([words.attribute_words(name) for name in names])
            rows.append((f"Groups of {run.name}", f"{named}: {kind}."))
    rows.append(("Guessed", "nothing: no attribute was inferred from a voice by asrfair."))
    return [Facts(rows=tuple(rows))]


def _provenance(evidence: Evidence) -> list[Block]:
    """Return what a run was made of, but for what stands with its corpus already; long lists are one line."""
    found: list[Block] = []
    for run in evidence.runs:
        rows: list[tuple[str, str]] = [("Run", run.name)]
        engines: dict[str, list[str]] = {}
        for key, value in provenance_rows(run.raw):
            kind, _, name = key.partition(" ")
            if kind == "Engine" and name in run.raw.engines:
                engines.setdefault(value, []).append(name)
            elif (
                kind != "Condition"
                and key not in _PRIVATE_ROWS
                and not key.startswith(("Attribute", "Licence of the corpus"))
            ):
                rows.append((key, value))
        named = [f"{', '.join(names)} ({value})" for value, names in engines.items()]
        rows[2:2] = [("Engines", "; ".join(named))] if named else []
        found.append(Facts(rows=tuple(rows)))
    return found


def _glossary(evidence: Evidence) -> list[Block]:
    searched = any("thresholds" in run.raw.tables for run in evidence.runs)
    threshold = ("Threshold", "How hard a place may get before the WER of a group reaches the target.")
    return [
        Facts(
            rows=(
                ("Condition", "Clean audio, or the acoustics of a place rendered onto it."),
                ("Gap", "The difference between the WER of the worst and of the best group, in percentage points."),
                ("Group", "The speakers who share one value of an attribute, such as an accent."),
                ("Intersection", "The speakers who share values of two or more attributes."),
                ("Not stated", "Speakers of whom the attribute is not known; nothing is guessed."),
                ("Suppressed", "Not published, because it could tell of very few people."),
                *([threshold] if searched else []),
            )
        )
    ]


_ADDS: Final[Mapping[str, Callable[[Evidence], list[Block]]]] = {
    "answer": _answer,
    "overall": _overall,
    "groups": _groups,
    "unitary": lambda evidence: _groups(evidence, crossed=False),
    "intersectional": lambda evidence: _groups(evidence, crossed=True),
    "gaps": _gaps,
    "conditions": _conditions,
    "thresholds": lambda evidence: [block for run in evidence.runs for block in tables.thresholds(run)],
    "floors": _floors,
    "suppression": _suppression,
    "method": _method,
    "picture": _picture,
    "runs": _runs,
    "stated": _stated,
    "factors": _factors,
    "provenance": _provenance,
    "glossary": _glossary,
}
