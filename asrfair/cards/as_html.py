"""A card as one page of HTML: no script, nothing from the network, every text escaped."""

from __future__ import annotations

import base64

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from asrfair.cards.blocks import Block, Card, Facts, Lines, Picture, Prose
from asrfair.report.style import figure_bytes, svg_size
from asrfair.report.tables import Column, Table
from asrfair.version import __version__

_KINDS = ((Prose, "prose"), (Lines, "lines"), (Facts, "facts"), (Picture, "picture"), (Table, "table"))


def card_html(card: Card) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("asrfair.cards"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("card.html.j2").render(
        card=card, kind=_kind, prose=_prose, picture=_picture, cell=_cell, row_header=_row_header, version=__version__
    )


def _kind(block: Block) -> str:
    return next(name for kind, name in _KINDS if isinstance(block, kind))


def _prose(block: Prose) -> Markup:
    """Return the author's Markdown as HTML; tags in it are shown, not obeyed, and pictures are not loaded."""
    reader = MarkdownIt("commonmark", {"html": False}).disable(["image", "heading", "lheading"])
    return Markup(reader.render(block.markdown))  # noqa: S704 -- markdown-it escapes tags and refuses script links


def _picture(block: Picture) -> dict[str, object]:
    """Return the chart as a data URI with its size in CSS pixels; letters are outlines, as in the PDF."""
    drawn = figure_bytes(block.draw(), "svg", outlines=True)
    width, height = svg_size(drawn)
    uri = f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode('ascii')}"
    return {"source": uri, "width": width, "height": height}


def _cell(column: Column, row: dict[str, object]) -> str:
    return column.show_both(row)


def _row_header(table: Table) -> str:
    names = [column.name for column in table.shown]
    return "group" if "group" in names else names[0]
