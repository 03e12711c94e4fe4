"""Puts a card together: the template's sections, the author's prose in them, and what the runs add to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pandas as pd

from asrfair.cards.blocks import Block, Card, Facts, Lines, Prose, Section
from asrfair.cards.claims import checked
from asrfair.cards.evidence import Evidence, RunEvidence
from asrfair.cards.outline import OUTLINES, Part
from asrfair.cards.prose import AuthorProse
from asrfair.report import definitions, runtables
from asrfair.report.figures import slug
from asrfair.report.provenance import provenance_rows
from asrfair.report.tables import Column, Table
from asrfair.say import words
from asrfair.types import CLEAN, INTERSECTION, OVERALL_ATTRIBUTE

_F1: Final = Column(
    name="f1",
    heading="F1 %",
    kind="percent",
    low="f1_ci_low",
    high="f1_ci_high",
    says="Word recognition F1, from precision and recall of words.",
)
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
    return [
        _table(
            run,
            run.groups[run.groups["attribute"] == OVERALL_ATTRIBUTE],
            "everybody",
            "Everybody together",
            ("engine", "condition"),
        )
        for run in evidence.runs
    ]


def _table(run: RunEvidence, frame: pd.DataFrame, name: str, title: str, first: tuple[str, ...]) -> Table:
    known = runtables.table(run.shown, "groups")
    assert known is not None
    columns = {column.name: column for column in known.columns}
    wanted = (*first, "speakers", "utterances", "ref_words", "wer", "f1", "flag")
    return replace(
        known,
        name=slug(f"{run.name}-{name}"),
        title=f"{title} ({run.name})",
        columns=tuple(_F1 if name == "f1" else columns[name] for name in wanted),
        frame=frame.reset_index(drop=True),
        caption=f"In brackets the {run.shown.confidence * 100:g} % interval over speakers of each group taken alone.",
        source="disparity.csv",
    )


def _groups(evidence: Evidence, *, crossed: bool | None = None) -> list[Block]:
    """Return a table for each run, attribute and engine; conditions stand below each other."""
    found: list[Block] = []
    for run in evidence.runs:
        for attribute in run.raw.attributes:
            if crossed is not None and (INTERSECTION in attribute) != crossed:
                continue
            for engine in run.raw.engines:
                frame = run.groups[(run.groups["attribute"] == attribute) & (run.groups["engine"] == engine)]
                title = f"{engine} by {words.attribute_words(attribute)}"
                names = ("group",) if len(run.raw.conditions) == 1 else ("condition", "group")
                found.append(_table(run, _sorted(frame), f"{attribute}-{engine}", title, names))
    return found


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    return definitions.worst_first("wer")(frame)


def _gaps(evidence: Evidence) -> list[Block]:
    found: list[Block] = []
    for run in evidence.runs:
        table = runtables.table(run.shown, "gaps")
        if table is not None:
            found.append(replace(table, name=slug(f"{run.name}-gaps"), title=f"{table.title} ({run.name})"))
        absent = [a for a in run.raw.attributes if any(a == cell[0] for cell in run.hidden)]
        if absent:
            names = words.listed([words.attribute_words(a) for a in absent])
            found.append(Lines(lines=(f"{run.name}: no gap is given by {names}, where groups are suppressed.",)))
    return found


def _conditions(evidence: Evidence) -> list[Block]:
    found: list[Block] = []
    for run in evidence.runs:
        others = [name for name in run.raw.conditions if name != CLEAN]
        if others:
            part = run.groups[run.groups["attribute"] == OVERALL_ATTRIBUTE]
            found.append(_table(run, part, "conditions", "Under each condition", ("condition", "engine")))
    return found or [Lines(lines=("The runs have clean audio only: how noise changes the results was not measured.",))]


def _floors(evidence: Evidence) -> list[Block]:
    return [Lines(lines=tuple(floor.sentence for floor in evidence.floors))]


def _suppression(evidence: Evidence) -> list[Block]:
    hidden, few = sum(len(run.hidden) for run in evidence.runs), words.counted(evidence.smallest, "speaker")
    if not hidden:
        return [Lines(lines=(f"No group has fewer than {few}: none is suppressed.",))]
    marked = f"{words.counted(hidden, 'group')} {'is' if hidden == 1 else 'are'} marked “suppressed”"
    why = f"their numbers, or those of another group, could tell of fewer than {few}"
    return [Lines(lines=(f"{marked}: {why}.",))]


def _method(_: Evidence) -> list[Block]:
    lines = [
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


def _provenance(evidence: Evidence) -> list[Block]:
    return [
        Facts(rows=(("Run", run.name), *((k, v) for k, v in provenance_rows(run.raw) if k not in _PRIVATE_ROWS)))
        for run in evidence.runs
    ]


def _glossary(_: Evidence) -> list[Block]:
    return [
        Facts(
            rows=(
                ("Condition", "Clean audio, or the acoustics of a place rendered onto it."),
                ("Gap", "The difference between the WER of the worst and of the best group, in percentage points."),
                ("Group", "The speakers who share one value of an attribute, such as an accent."),
                ("Intersection", "The speakers who share values of two or more attributes."),
                ("Not stated", "Speakers of whom the attribute is not known; nothing is guessed."),
                ("Suppressed", "Not published, because it could tell of very few people."),
            )
        )
    ]


_ADDS: Final[Mapping[str, Callable[[Evidence], list[Block]]]] = {
    "overall": _overall,
    "groups": _groups,
    "unitary": lambda evidence: _groups(evidence, crossed=False),
    "intersectional": lambda evidence: _groups(evidence, crossed=True),
    "gaps": _gaps,
    "conditions": _conditions,
    "floors": _floors,
    "suppression": _suppression,
    "method": _method,
    "runs": _runs,
    "factors": _factors,
    "provenance": _provenance,
    "glossary": _glossary,
}
