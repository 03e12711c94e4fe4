"""``report.md``: the report as text that is read in a terminal, a pull request or a wiki."""

from __future__ import annotations

from pathlib import Path

from asrfair.data.wholefile import write_whole
from asrfair.report.loading import RunData, section
from asrfair.report.provenance import provenance_rows
from asrfair.report.runtables import all_tables, overall, side_by_side
from asrfair.report.sections import SECTIONS, missing_words
from asrfair.report.tables import Table, markdown_text, to_markdown
from asrfair.say import cautions, words
from asrfair.say.sample import counted_in, selection

MAX_ROWS = 60
"""Longest table of the page; the rest stays in the file that the page names."""


def write_markdown(run: RunData, path: Path) -> Path:
    """Write the page and return its path."""
    write_whole(path, markdown_page(run))
    return path


def markdown_page(run: RunData) -> str:
    """Return the page: the answer, what cannot be concluded, the tables, what is absent, provenance."""
    answer = run.answer
    tables = all_tables(run)
    chosen = selection(run.where, counted_in(run.tables))
    parts = [f"# {markdown_text(run.name)}", *([markdown_text(chosen)] if chosen else []), markdown_text(answer.lead)]
    said = {
        level: [item.text for item in answer.sentences if (item.level == "finding") == level] for level in (True, False)
    }
    power = [item.text for item in cautions.limits(run.tables, run.main_condition)]
    for heading, lines in (
        ("What was found", said[True]),
        ("What cannot be concluded", [*said[False], *_data_limits(run), *power]),
        ("What may mislead", answer.cautions),
    ):
        if lines:
            parts += [f"## {heading}", "\n".join(f"- {markdown_text(line)}" for line in lines)]
    parts += ["## Everybody together", _table(overall(run))]
    for part in SECTIONS:
        table = tables.get(part.table)
        if table is None:
            continue
        parts.append(f"## {markdown_text(part.title)}")
        if part.table == "groups":
            parts += _group_tables(run)
        else:
            parts.append(_table(table))
    absent = [
        f"{markdown_text(part.title)}: {missing_words(part)}"
        for part in SECTIONS
        if part.table and part.table not in tables
    ]
    if absent:
        parts += ["## Not in this report", "\n".join(f"- {line}" for line in absent)]
    parts += ["## Provenance", "\n".join(f"- {markdown_text(k)}: {markdown_text(v)}" for k, v in provenance_rows(run))]
    return "\n\n".join(parts) + "\n"


def _data_limits(run: RunData) -> list[str]:
    """What the data cannot carry: groups with too few speakers, attributes that were guessed."""
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


def _group_tables(run: RunData) -> list[str]:
    parts = []
    for attribute in run.attributes:
        for condition in run.conditions:
            part = side_by_side(run, attribute=attribute, condition=condition)
            heading = f"By {words.attribute_words(attribute)}, {words.condition_words(condition)}"
            if len(part.frame):
                parts += [f"### {markdown_text(heading)}", _table(part)]
    return parts


def _table(table: Table) -> str:
    lines = [to_markdown(table.head(MAX_ROWS))]
    if len(table.frame) > MAX_ROWS:
        lines.append(
            f"The first {MAX_ROWS} of {words.counted(len(table.frame), 'row')}; all are in `{table.source}`.\n"
        )
    notes = " ".join(filter(None, (table.caption, *table.notes)))
    if notes:
        lines.append(markdown_text(notes))
    return "\n".join(lines).rstrip()
