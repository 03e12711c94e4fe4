"""The sections of a report in reading order, and what would make the ones that a run lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section: anchor, title, the table it shows (see :mod:`asrfair.report.definitions`) and what makes it."""

    anchor: str
    title: str
    table: str
    needs: str = ""


SECTIONS: Final[tuple[Section, ...]] = (
    Section(
        anchor="groups", title="Word error rate by group", table="groups", needs="name attributes: `by` under [groups]"
    ),
    Section(anchor="gaps", title="Gaps between groups", table="gaps", needs="name attributes: `by` under [groups]"),
    Section(
        anchor="differences", title="Each group against another", table="differences", needs="`asrfair score` in full"
    ),
    Section(
        anchor="interactions",
        title="Does a condition widen the gap?",
        table="interactions",
        needs="two or more conditions, clean among them, in one run",
    ),
    Section(
        anchor="thresholds",
        title="How much each group can bear",
        table="thresholds",
        needs="a search: a `[threshold]` table in the suite",
    ),
    Section(
        anchor="comparisons", title="Engine against engine", table="comparisons", needs="two or more engines in one run"
    ),
    Section(
        anchor="adjusted",
        title="Gaps with other differences held fixed",
        table="adjusted",
        needs="covariates: `adjust` under [statistics]",
    ),
    Section(
        anchor="normalizers",
        title="Does the answer depend on the text rules?",
        table="normalizers",
        needs="further normalizers: `normalizers` under [statistics]",
    ),
    Section(
        anchor="sensitivity",
        title="Does the answer rest on the voice?",
        table="sensitivity",
        needs="conditions that change voices, such as voice-pitch@higher and voice-pitch@unchanged",
    ),
    Section(anchor="influence", title="What the gap hangs on", table="influence", needs="`asrfair score` in full"),
    Section(
        anchor="subgroups",
        title="Combinations nobody named",
        table="subgroups",
        needs="`subgroups = true` under [statistics]",
    ),
    Section(anchor="metrics", title="Other measures", table="metrics", needs="`asrfair score` in full"),
    Section(anchor="faas", title="FAAS", table="faas", needs="`faas = true` under [statistics]"),
    Section(anchor="coverage", title="Who is in the data", table="coverage", needs="`asrfair score`"),
    Section(
        anchor="prompts",
        title="Who read which sentences",
        table="prompts",
        needs="nothing: speakers of this run share hardly any sentences",
    ),
    Section(
        anchor="ledger",
        title="What was not scored, or looks wrong",
        table="ledger",
        needs="nothing: no utterance of this run stands in the ledger",
    ),
    Section(
        anchor="invariance",
        title="Do batches change transcripts?",
        table="invariance",
        needs="`asrfair run --invariance-check N` and an engine that takes several utterances a call",
    ),
    Section(
        anchor="achieved",
        title="What the conditions did to each group's audio",
        table="achieved",
        needs="audio rendered by `asrfair run` under a condition",
    ),
)
"""In reading order: the answer, how sure, why, and what it rests on."""


def missing_words(section: Section) -> str:
    """Return the sentence for a section that is not there."""
    return (
        f"not made; it needs {section.needs}."
        if not section.needs.startswith("nothing")
        else section.needs[9:].lstrip() + "."
    )
