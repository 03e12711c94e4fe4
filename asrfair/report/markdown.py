"""``report.md``: the report as text that is read in a terminal, a pull request or a wiki."""

from __future__ import annotations

from pathlib import Path

from asrfair.data.wholefile import write_whole
from asrfair.report.loading import RunData
from asrfair.report.provenance import provenance_rows
from asrfair.report.runtables import all_tables, overall, side_by_side
from asrfair.report.sections import SECTIONS, missing_words
from asrfair.report.summary import summarise
from asrfair.report.tables import Table, markdown_text, to_markdown
from asrfair.say import words
from asrfair.say.sample import counted_in, selection

MAX_ROWS = 60
"""Longest table of the page; the rest stays in the file that the page names."""


def write_markdown(run: RunData, path: Path) -> Path:
    """Write the page and return its path."""
    write_whole(path, markdown_page(run))
    return path


def markdown_page(run: RunData) -> str:
    """Return the page: the answer, what cannot be concluded, the tables, what is absent, provenance."""
    summary = summarise(run)
    tables = all_tables(run)
    chosen = selection(run.where, counted_in(run.tables))
    parts = [f"# {markdown_text(run.name)}", *([markdown_text(chosen)] if chosen else []), markdown_text(summary.lead)]
    findings = (*summary.findings, *summary.more_findings)
    if findings:
        parts += ["## What was found", _bullets(findings)]
    limits = (*summary.limits, *summary.more_limits)
    if limits:
        parts += ["## What cannot be concluded", _bullets(limits)]
    warnings = (*summary.warnings, *summary.more_warnings)
    if warnings:
        parts += ["## What may mislead", _bullets(warnings)]
    parts += ["## Everybody together", _table(overall(run))]
    for section in SECTIONS:
        table = tables.get(section.table)
        if table is None:
            continue
        parts.append(f"## {markdown_text(section.title)}")
        if section.table == "groups":
            parts += _group_tables(run)
        else:
            parts.append(_table(table))
    absent = [
        f"{markdown_text(section.title)}: {missing_words(section)}"
        for section in SECTIONS
        if section.table and section.table not in tables
    ]
    if absent:
        parts += ["## Not in this report", "\n".join(f"- {line}" for line in absent)]
    parts += ["## Provenance", "\n".join(f"- {markdown_text(k)}: {markdown_text(v)}" for k, v in provenance_rows(run))]
    return "\n\n".join(parts) + "\n"


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


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
