"""``report.html``: one file that opens from disk, asks nothing of the network and runs nothing from the data.

Text from data is escaped where it becomes HTML; the page's own script is the only one that its content security policy
lets run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from asrfair.data.wholefile import write_whole
from asrfair.report.html.answer import card_badges, card_picture
from asrfair.report.html.conditions import condition_lines
from asrfair.report.html.engines import engine_chart
from asrfair.report.html.evidence import Evidence, gather
from asrfair.report.html.heat import certain_groups, condition_map, engine_map
from asrfair.report.html.table import HtmlTable, html_table
from asrfair.report.html.thresholds import threshold_charts
from asrfair.report.html.utterances import AudioSource, page_utterances
from asrfair.report.html.views import Choices, choices_of, view, whole_names
from asrfair.report.loading import RunData
from asrfair.report.provenance import provenance_rows
from asrfair.report.runtables import all_tables
from asrfair.report.sections import SECTIONS, Section, missing_words
from asrfair.report.tables import Column, Table
from asrfair.say import words
from asrfair.say.titles import engines_title, groups_title, map_title, places_title
from asrfair.version import __version__

MAX_ROWS: Final = 8000
"""Rows of one table that the page may hold; those of groups large enough to compare come first."""
MAX_TABLE_BYTES: Final = 1_700_000
"""What packed tables may add to the page: together with the utterances it stays under 4 MB."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """A folded part for specialists."""

    anchor: str
    title: str
    tables: list[HtmlTable] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Served:
    """What ``asrfair view`` adds: addresses of the runs that can be chosen, by name."""

    runs: Mapping[str, str]


def write_html(run: RunData, path: Path, *, audio: AudioSource | None = None) -> Path:
    """Write the page and return its path.

    Args:
        run: What to show.
        path: The file.
        audio: Where recordings of the worst utterances come from; they stay in the page, for whoever gets it.
    """
    write_whole(path, html_page(run, audio=audio))
    return path


def html_page(run: RunData, *, audio: AudioSource | None = None, served: Served | None = None) -> str:
    """Return the page as one string of HTML.

    Args:
        run: What to show.
        audio: Where recordings come from.
        served: Given by ``asrfair view``: the page then asks its server for utterances instead of holding them.
    """
    environment = _environment()
    style, script = (run.said(_source(environment, name)) for name in ("style.css", "script.js"))
    choices = choices_of(run)
    evidence = gather(run)
    utterances = page_utterances(run, evidence, choices, audio=audio, served=served is not None)
    tables = all_tables(run)
    groups = _group_table(run, choices, evidence, tables)
    details = list(_details(choices, tables, MAX_TABLE_BYTES - groups.bytes))
    title, picture = card_picture(run, choices)
    answer = run.answer
    badges = card_badges(answer)
    present = {"groups", *(detail.anchor for detail in details)}
    absent = [(section.title, missing_words(section)) for section in SECTIONS if section.anchor not in present]
    page = environment.get_template("page.html.j2").render(
        name=run.name,
        answer=answer,
        lead=whole_names(answer.lead, (*run.engines, *run.conditions)),
        badges=badges,
        cautions=[text for text in answer.cautions if text not in {badge.text for badge in badges}],
        picture_title=title,
        picture=picture,
        choices=choices,
        labels={"by": words.attribute_words, "engine": str, "condition": words.condition_words},
        groups=groups,
        charts=[*_charts(run, choices), *_threshold_chart(run, choices)],
        groups_title=_group_title(run, choices),
        utterances=utterances,
        details=details,
        absent=absent,
        provenance=provenance_rows(run),
        confidence=f"{run.confidence * 100:g}",
        version=__version__,
        served=served,
        style=Markup(style),  # noqa: S704 -- a file of this package
        script=Markup(script),  # noqa: S704 -- a file of this package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return run.said(page, escape(run.metric.label))


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("asrfair.report.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0].strip()


def _group_table(run: RunData, choices: Choices, evidence: Evidence, tables: Mapping[str, Table]) -> HtmlTable:
    """Return the groups of every attribute, engine and condition; the pickers choose among them."""
    table = tables["groups"]
    if run.attributes:
        frame = table.frame[table.frame["attribute"] != "overall"].reset_index(drop=True)
        small = frame["ci_low"].isna() if "ci_low" in frame else frame["rate"].isna()
        frame = frame.iloc[small.to_numpy().argsort(kind="stable")].reset_index(drop=True)
        table = replace(table, frame=frame)
    table = replace(table, columns=tuple(map(_plain_first, table.columns)), caption="")

    def dots(row: Mapping[str, Any]) -> Sequence[float]:
        return evidence.dots.get((row["engine"], row["condition"], row["attribute"], row["group"]), ())

    return html_table(table, choices, anchor="group-table", file_name="groups.csv", dots=dots)


def _plain_first(column: Column) -> Column:
    """Return a column of the group table as the page has it: plain numbers, the statistics on demand."""
    if column.name == "rate":
        return replace(column, heading="Words wrong in 100")
    return replace(column, expert=column.name in {"utterances", "ref_words", "failed"})


def _group_title(run: RunData, choices: Choices) -> Markup:
    def title(by: str, engine: str, condition: str) -> Markup:
        return Markup("{}").format(groups_title(run.disparity, attribute=by, engine=engine, condition=condition))

    return view("groups-chart-title", choices, ("by", "engine", "condition"), title, inline=True)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart with its section: both follow the pickers."""

    anchor: str
    heading: str
    title: Markup
    body: Markup


def _charts(run: RunData, choices: Choices) -> Iterator[Chart]:
    certain = certain_groups(run)
    if len(run.engines) > 1:
        yield Chart(
            anchor="engines",
            heading="Engines in order",
            title=view(
                "engines-title",
                choices,
                ("condition",),
                lambda condition: Markup("{}").format(engines_title(run.disparity, condition=condition)),
                inline=True,
            ),
            body=view(
                "engines-chart",
                choices,
                ("by", "condition"),
                lambda by, condition: engine_chart(run, by=by, condition=condition),
            ),
        )
        if run.attributes:
            yield Chart(
                anchor="map",
                heading="Every group with every engine",
                title=view(
                    "map-title",
                    choices,
                    ("by", "condition"),
                    lambda by, condition: Markup("{}").format(
                        map_title(run.disparity, attribute=by, condition=condition)
                    ),
                    inline=True,
                ),
                body=view(
                    "map-chart",
                    choices,
                    ("by", "condition"),
                    lambda by, condition: engine_map(run, choices, certain, by=by, condition=condition),
                ),
            )
    if len(run.conditions) > 1:
        yield Chart(
            anchor="places",
            heading="Every group in every place",
            title=view(
                "places-title",
                choices,
                ("by", "engine"),
                lambda by, engine: Markup("{}").format(places_title(run.disparity, attribute=by, engine=engine)),
                inline=True,
            ),
            body=view(
                "places-chart",
                choices,
                ("by", "engine"),
                lambda by, engine: (
                    (condition_lines(run, by=by, engine=engine)[0] if len(run.engines) > 1 else Markup(""))
                    + (condition_map(run, choices, certain, by=by, engine=engine) if run.attributes else Markup(""))
                ),
            ),
        )


def _threshold_chart(run: RunData, choices: Choices) -> Iterator[Chart]:
    if "thresholds" in run.tables and "threshold_levels" in run.tables:
        yield Chart(
            anchor="bear",
            heading="How much each group can bear",
            title=Markup("Words wrong in 100 as the place gets harder"),
            body=view(
                "bear-chart", choices, ("by", "engine"), lambda by, engine: threshold_charts(run, by=by, engine=engine)
            ),
        )


def _details(choices: Choices, tables: Mapping[str, Table], budget: int) -> Iterator[Detail]:
    for section in SECTIONS:
        if section.table == "groups" or section.table not in tables:
            continue
        table = _detail_table(section, _held(tables[section.table]), choices, budget)
        budget -= table.bytes
        yield Detail(anchor=section.anchor, title=section.title, tables=[table])


def _held(table: Table) -> Table:
    """Return the rows that the page has room for, in their order."""
    frame = table.frame
    if len(frame) <= MAX_ROWS:
        return table
    known = frame["ci_low"].notna() if "ci_low" in frame else frame.index == frame.index
    kept = frame[known].head(MAX_ROWS).reset_index(drop=True)
    return replace(table, frame=kept, notes=(*table.notes, f"{len(kept)} of {len(frame)} rows are on this page."))


def _detail_table(section: Section, table: Table, choices: Choices, room: int) -> HtmlTable:
    names = ("group", "worst_group", "subgroup", "attribute")
    row_header = next((name for name in names if name in table.frame.columns), "")
    if section.table == "influence":
        row_header = "id"
    return html_table(
        table, choices, anchor=f"table-{table.name}", row_header=row_header, file_name=table.source, room=room
    )
