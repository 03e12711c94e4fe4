"""A card as PDF: tagged (PDF/UA-1), by Typst, with the fonts of the plots. The same card, the same bytes.

Typst's package is one wheel without system libraries, sets every script, and refuses to write a PDF/UA whose tags are
incomplete. The card goes in as data (``templates/card.typ`` reads JSON), so that no text in it is mark-up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from asrfair.cards.blocks import Block, Card, Facts, Lines, Picture, Prose
from asrfair.cards.columnwidths import PAGE_PT, fitted
from asrfair.errors import MissingExtraError
from asrfair.report.fontset import font_files
from asrfair.report.style import figure_bytes
from asrfair.report.tables import Table

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_UNKNOWN: Final = "\ufffd"


def card_pdf(card: Card) -> bytes:
    """Return the bytes of a tagged A4 document with bookmarks.

    Raises:
        MissingExtraError: Typst is not installed.
    """
    try:
        import typst
    except ImportError as error:
        raise MissingExtraError(extra="pdf", package="typst", needed_for="A card as PDF") from error
    import matplotlib as mpl

    template = resources.files("asrfair.cards").joinpath("templates", "card.typ").read_bytes()
    compiled: Any = typst.compile  # its stub has a type parameter that bytes do not bind
    made: bytes = compiled(
        template,
        font_paths=[str(Path(mpl.get_data_path()) / "fonts" / "ttf"), *{str(path.parent) for path in font_files()}],
        ignore_system_fonts=True,
        sys_inputs={"card": json.dumps(_content(card))},
        pdf_standards=["ua-1"],
    )
    return made


def _content(card: Card) -> dict[str, Any]:
    return {
        "title": _plain(card.title),
        "fonts": list(_families()),
        "facts": [[_plain(name), _plain(value)] for name, value in card.facts],
        "sections": [
            {
                "title": _plain(section.title),
                "level": max(section.depth - 1, 1),
                "blocks": [_block(block) for block in section.blocks],
            }
            for section in card.sections
        ],
    }


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Prose):
        return {"kind": "prose", "parts": list(_parts(block.markdown))}
    if isinstance(block, Lines):
        return {"kind": "lines", "lines": [_plain(line) for line in block.lines]}
    if isinstance(block, Facts):
        return {"kind": "facts", "rows": [[_plain(name), _plain(value)] for name, value in block.rows]}
    if isinstance(block, Picture):
        figure = block.draw()
        width = float(figure.get_size_inches()[0]) * 72
        svg = figure_bytes(figure, "svg", outlines=True).decode()
        return {"kind": "picture", "svg": svg, "alt": _plain(block.alt), "width": min(width, PAGE_PT)}
    return _table(block)


def _table(table: Table) -> dict[str, Any]:
    columns = table.shown
    rows = [[_plain(column.show_both(row)) for column in columns] for row in table.rows()]
    fit = fitted([_plain(column.heading) for column in columns], rows)
    return {
        "kind": "table",
        "title": _plain(table.title),
        "caption": _plain(" ".join(filter(None, (table.caption, *table.notes)))),
        "size": fit.size_pt,
        "parts": [
            {
                "widths": list(part.widths),
                "right": [columns[place].numeric for place in part.columns],
                "head": [_plain(columns[place].heading).split(" ") for place in part.columns],
                "rows": [[row[place] for place in part.columns] for row in rows],
            }
            for part in fit.parts
        ],
    }


def _parts(markdown: str) -> Iterator[dict[str, Any]]:
    """Yield the author's paragraphs and lists; tags are text, pictures and headings are not obeyed."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).disable(["image", "heading", "lheading"])
    lists: list[tuple[str, int]] = []
    open_list: dict[str, Any] | None = None
    for token in reader.parse(markdown):
        if token.type in {"bullet_list_open", "ordered_list_open"}:
            if open_list:
                yield open_list
            kind = "numbered" if token.type.startswith("ordered") else "bullets"
            lists.append((kind, int(token.attrGet("start") or 1)))
            open_list = None
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            lists.pop()
            if open_list:
                yield open_list
            open_list = None
        elif token.type == "inline":
            pieces = list(_pieces(token.children or []))
            if not lists:
                yield {"kind": "paragraph", "level": 0, "start": 1, "items": [pieces]}
                continue
            kind, start = lists[-1]
            open_list = open_list or {"kind": kind, "level": len(lists) - 1, "start": start, "items": []}
            open_list["items"].append(pieces)
        elif token.type in {"fence", "code_block"}:
            for line in token.content.splitlines():
                yield {"kind": "paragraph", "level": 0, "start": 1, "items": [[_piece(line)]]}


def _pieces(children: list[Any]) -> Iterator[dict[str, Any]]:
    bold = italic = 0
    link = ""
    for child in children:
        bold += {"strong_open": 1, "strong_close": -1}.get(child.type, 0)
        italic += {"em_open": 1, "em_close": -1}.get(child.type, 0)
        if child.type in {"softbreak", "hardbreak"}:
            yield _piece(" ", bold=bold > 0, italic=italic > 0)
        elif child.type == "link_open":
            link = str(child.attrGet("href") or "")
        elif child.type == "link_close":
            if not link.startswith(("https:", "http:", "mailto:")):
                yield _piece(f" ({link})", bold=bold > 0, italic=italic > 0)
            link = ""
        elif child.content:
            safe = link if link.startswith(("https:", "http:", "mailto:")) else ""
            yield _piece(child.content, bold=bold > 0, italic=italic > 0, link=safe)


def _piece(text: str, *, bold: bool = False, italic: bool = False, link: str = "") -> dict[str, Any]:
    return {"text": _plain(text), "bold": bold, "italic": italic, "link": link}


def _plain(text: str) -> str:
    """Return text without control characters; a letter that no font has becomes the sign for one."""
    text = _CONTROL.sub(" ", text).replace("\u202f", "\u00a0")
    known = _letters()
    return "".join(c if ord(c) in known else _UNKNOWN for c in text)


@cache
def _families() -> tuple[str, ...]:
    from asrfair.report.fontset import families

    return families()


@cache
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    found = {0x200B, 0x200C, 0x200D, 0x200E, 0x200F}
    for name in _families():
        found |= set(FT2Font(findfont(FontProperties(family=[name]))).get_charmap())
    return frozenset(found)
