"""``report.html``: one file that opens from disk, asks nothing of the network and runs nothing from the data.

Text from data is escaped by jinja2; the page's own script is the only one that its content security policy lets run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup, escape

from asrfair.data.wholefile import write_whole
from asrfair.report.drawing import Scale, scale_of
from asrfair.report.figures import PlannedFigure, planned_figures, slug
from asrfair.report.heatmap import HeatMap, heat_maps
from asrfair.report.htmltable import HtmlTable, html_table
from asrfair.report.loading import RunData
from asrfair.report.provenance import provenance_rows
from asrfair.report.runtables import all_tables
from asrfair.report.sections import SECTIONS, Section, missing_words
from asrfair.report.style import figure_bytes, svg_size
from asrfair.report.summary import Headline, summarise
from asrfair.report.tables import Column, Table
from asrfair.report.worst_utterances import AudioSource, WorstOfEngine, worst_of_run
from asrfair.say import words
from asrfair.version import __version__

MAX_FIGURE_BYTES: Final = 1_200_000
MAX_TABLE_BYTES: Final = 2_600_000
"""What embedded figures, and packed tables, may add to the page: together it stays under 5 MB."""


@dataclass(frozen=True, kw_only=True)
class HtmlFigure:
    """A figure in the page: a data URI, its size in CSS pixels, and what it shows in words."""

    anchor: str
    title: str
    source: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class HtmlSection:
    """A section with its tables, figures, heat maps and utterances."""

    anchor: str
    title: str
    tables: list[HtmlTable] = field(default_factory=list)
    figures: list[HtmlFigure] = field(default_factory=list)
    heat_maps: list[HeatMap] = field(default_factory=list)
    worst: list[WorstOfEngine] = field(default_factory=list)


def write_html(
    run: RunData, path: Path, *, drawings: Mapping[str, bytes] | None = None, audio: AudioSource | None = None
) -> Path:
    """Write the page and return its path.

    Args:
        run: What to show.
        path: The file.
        drawings: SVGs that were already drawn, by stem.
        audio: Where recordings of the worst utterances come from; they stay in the page, for whoever gets it.
    """
    write_whole(path, html_page(run, drawings or {}, audio=audio))
    return path


def html_page(run: RunData, drawings: Mapping[str, bytes], *, audio: AudioSource | None = None) -> str:
    """Return the page as one string of HTML."""
    environment = _environment()
    style, script = (_source(environment, name) for name in ("style.css", "script.js"))
    summary = summarise(run)
    worst, why_not = worst_of_run(run, audio=audio)
    sections = list(_sections(run, drawings, worst))
    present = {section.anchor for section in sections}
    absent = [
        (section.title, f"not shown: {why_not}." if section.anchor == "worst" else missing_words(section))
        for section in SECTIONS
        if section.anchor not in present
    ]
    return environment.get_template("page.html.j2").render(
        name=run.name,
        lead=summary.lead,
        summary=summary,
        headlines=_headlines(summary.headlines),
        headline_attribute=words.attribute_words(summary.headlines[0].attribute) if summary.headlines else "",
        headline_condition=words.condition_words(run.main_condition),
        sections=sections,
        absent=absent,
        provenance=provenance_rows(run),
        confidence=f"{run.confidence * 100:g}",
        version=__version__,
        style=Markup(style),  # noqa: S704 -- a file of this package
        script=Markup(script),  # noqa: S704 -- a file of this package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("asrfair.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Markup:
    """Return the name of a condition as HTML that may break before its severity, and after each of its settings."""
    return escape(name).replace("@", Markup("<wbr>@")).replace(",", Markup(",<wbr>"))


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0].strip()


def _headlines(lines: tuple[Headline, ...]) -> list[dict[str, Any]]:
    """Return the rows of the first screen's table: numbers as text, and the worst group drawn against the best."""
    worst = [{"v": line.worst["wer"], "l": line.worst.get("ci_low"), "h": line.worst.get("ci_high")} for line in lines]
    scale: Scale = scale_of(Column(name="v", heading="", kind="percent", low="l", high="h"), worst)
    return [
        {
            "engine": line.engine,
            "overall": words.percent(line.overall["wer"]),
            "worst": words.group_words(line.worst["group"]),
            "worst_speakers": words.counted(int(line.worst["speakers"]), "speaker"),
            "worst_wer": words.percent(line.worst["wer"]),
            "worst_interval": words.interval(line.worst.get("ci_low"), line.worst.get("ci_high"), "percent")
            or "no interval",
            "picture": scale.draw(row["v"], row["l"], row["h"]),
            "best": words.group_words(line.best["group"]),
            "best_speakers": words.counted(int(line.best["speakers"]), "speaker"),
            "best_wer": words.percent(line.best["wer"]),
            "gap": words.number(line.gap, "percent"),
            "gap_interval": words.interval(line.gap_low, line.gap_high, "percent"),
        }
        for line, row in zip(lines, worst, strict=True)
    ]


def _sections(run: RunData, drawings: Mapping[str, bytes], worst: list[WorstOfEngine]) -> Iterator[HtmlSection]:
    tables = all_tables(run)
    figures = _embedded(planned_figures(run), drawings)
    budget = MAX_TABLE_BYTES
    for section in SECTIONS:
        mine = [figure for name, figure in figures if name == section.anchor]
        if section.anchor == "worst":
            if worst:
                yield HtmlSection(anchor=section.anchor, title=section.title, worst=worst)
        elif section.table in tables:
            shown = []
            for table in _section_tables(run, section, tables[section.table]):
                kept = table if table.bytes <= budget else table.unpacked()
                budget -= kept.bytes
                shown.append(kept)
            yield HtmlSection(anchor=section.anchor, title=section.title, tables=shown, figures=mine)
        elif not section.table and mine:
            yield HtmlSection(anchor=section.anchor, title=section.title, figures=mine)
        if section.anchor == "groups" and (maps := heat_maps(run)):
            mine = [figure for name, figure in figures if name == "conditions"]
            yield HtmlSection(anchor="conditions", title="Group by condition", heat_maps=maps, figures=mine)


def _section_tables(run: RunData, section: Section, table: Table) -> Iterator[HtmlTable]:
    if section.table != "groups":
        row_header = next(
            (name for name in ("group", "worst_group", "subgroup", "attribute") if name in table.frame.columns), ""
        )
        if section.table == "influence":
            row_header = "id"
        yield html_table(table, anchor=f"table-{table.name}", row_header=row_header, file_name=table.source)
        return
    order = {name: number for number, name in enumerate((run.main_condition, *run.conditions))}
    for attribute in run.attributes or ("overall",):
        part = table.where(attribute=attribute, title=f"By {words.attribute_words(attribute)}")
        frame = part.frame.sort_values("condition", key=lambda names: names.map(order), kind="stable")
        part = replace(part, frame=frame.reset_index(drop=True))
        if len(frame):
            yield html_table(part, anchor=f"groups-{slug(attribute)}", file_name=f"groups-{slug(attribute)}.csv")


def _embedded(planned: Iterator[PlannedFigure], drawings: Mapping[str, bytes]) -> list[tuple[str, HtmlFigure]]:
    found = []
    budget = MAX_FIGURE_BYTES
    for figure in planned:
        if not figure.section or budget <= 0:
            continue
        drawing = drawings.get(figure.stem) or figure_bytes(figure.draw(), "svg")
        data = base64.b64encode(drawing).decode("ascii")
        if len(data) <= budget:
            budget -= len(data)
            uri = f"data:image/svg+xml;base64,{data}"
            width, height = svg_size(drawing)
            anchor = f"figure-{figure.stem}"
            item = HtmlFigure(anchor=anchor, title=figure.title, source=uri, width=width, height=height)
            found.append((figure.section, item))
    return found
