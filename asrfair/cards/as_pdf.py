"""A card as PDF, by fpdf2 (pure Python) and the DejaVu fonts that matplotlib brings. The same card, the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from asrfair.cards.blocks import Block, Card, Facts, Lines, Prose
from asrfair.errors import MissingExtraError
from asrfair.report.tables import Table

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_FONT: Final = "dejavu"
_INK, _MUTED, _RULE = (27, 31, 36), (80, 90, 101), (213, 218, 224)


def card_pdf(card: Card) -> bytes:
    """Return the bytes of an A4 document with bookmarks.

    Raises:
        MissingExtraError: fpdf2 is not installed.
    """
    try:
        from fpdf import FPDF
    except ImportError as error:
        raise MissingExtraError(extra="pdf", package="fpdf2", needed_for="A card as PDF") from error
    import matplotlib as mpl

    class Document(FPDF):  # type: ignore[misc,unused-ignore]
        """A4 pages with a number at the foot."""

        def footer(self) -> None:
            """Print the page's number."""
            self.set_y(-12)
            self.set_font(_FONT, size=8)
            self.set_text_color(*_MUTED)
            self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    document = Document(format="A4")
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for style, name in (
        ("", "DejaVuSans"),
        ("B", "DejaVuSans-Bold"),
        ("I", "DejaVuSans-Oblique"),
        ("BI", "DejaVuSans-BoldOblique"),
    ):
        document.add_font(_FONT, style, fonts / f"{name}.ttf")
    document.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    document.set_title(_plain(card.title))
    document.set_producer("asrfair")
    document.set_lang("en")
    document.set_margins(18, 16, 18)
    document.set_auto_page_break(True, margin=18)
    document.add_page()
    _heading(document, card.title, 1)
    _facts(document, card.facts)
    for section in card.sections:
        _heading(document, section.title, section.depth)
        for block in section.blocks:
            _block(document, block)
    return bytes(document.output())


def _block(document: Any, block: Block) -> None:
    if isinstance(block, Prose):
        _prose(document, block.markdown)
    elif isinstance(block, Lines):
        for line in block.lines:
            _paragraph(document, [("", _plain(line))], bullet="•")
    elif isinstance(block, Facts):
        _facts(document, block.rows)
    else:
        _table(document, block)


def _heading(document: Any, text: str, depth: int) -> None:
    document.set_font(_FONT, "B", {1: 18, 2: 13}.get(depth, 10.5))
    document.set_text_color(*_INK)
    if document.will_page_break(28):
        document.add_page()
    document.ln(0 if depth == 1 else 5)
    document.start_section(_plain(text), level=max(depth - 2, 0))
    document.multi_cell(0, {1: 9, 2: 7}.get(depth, 6), _plain(text), new_x="LMARGIN", new_y="NEXT", align="L")
    document.ln(1)


def _paragraph(document: Any, pieces: list[tuple[str, str]], *, bullet: str = "", indent: int = 0) -> None:
    document.set_text_color(*_INK)
    left = document.l_margin
    document.set_font(_FONT, size=9.5)
    if bullet:
        document.set_x(left + 5 * indent)
        document.cell(6, 5, bullet)
        document.set_left_margin(left + 5 * indent + 6)
    for style, text in pieces:
        document.set_font(_FONT, style, 9.5)
        document.write(5, text)
    document.set_left_margin(left)
    document.ln(6)


def _facts(document: Any, rows: tuple[tuple[str, str], ...]) -> None:
    for name, value in rows:
        _paragraph(document, [("B", _plain(name) + ": "), ("", _plain(value))])
    document.ln(2)


def _table(document: Any, table: Table) -> None:
    columns = table.shown
    document.ln(2)
    document.set_font(_FONT, "B", 9)
    document.set_text_color(*_INK)
    if document.will_page_break(24):
        document.add_page()
    document.multi_cell(0, 5, _plain(table.title), new_x="LMARGIN", new_y="NEXT", align="L")
    cells = [[_plain(column.show_both(row)) for column in columns] for row in table.rows()]
    heads = [_plain(column.heading) for column in columns]
    size = 7.5
    document.set_font(_FONT, size=size)
    longest = [max([len(head), *(len(line[at]) for line in cells)]) for at, head in enumerate(heads)]
    widths = tuple(min(max(length, 6), 34) for length in longest)
    document.set_draw_color(*_RULE)
    with document.table(
        col_widths=widths,
        text_align=tuple("RIGHT" if column.numeric else "LEFT" for column in columns),
        borders_layout="HORIZONTAL_LINES",
        line_height=4.2,
        padding=(0.6, 1.5),
        v_align="TOP",
    ) as grid:
        for line in (heads, *cells):
            row = grid.row()
            for text in line:
                row.cell(text)
    document.set_font(_FONT, size=7.5)
    document.set_text_color(*_MUTED)
    document.ln(1)
    document.multi_cell(0, 4, _plain(table.caption), new_x="LMARGIN", new_y="NEXT", align="L")
    document.ln(2)


def _prose(document: Any, markdown: str) -> None:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).disable(["image", "heading", "lheading"])
    lists: list[list[int]] = []
    for token in reader.parse(markdown):
        if token.type in {"bullet_list_open", "ordered_list_open"}:
            lists.append([int(token.attrGet("start") or 1)] if token.type.startswith("ordered") else [])
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            lists.pop()
        elif token.type == "inline":
            bullet = ""
            if lists:
                bullet = f"{lists[-1][0]}." if lists[-1] else "•"
                lists[-1][:] = [lists[-1][0] + 1] if lists[-1] else []
            _paragraph(document, list(_pieces(token.children or [])), bullet=bullet, indent=max(len(lists) - 1, 0))
        elif token.type in {"fence", "code_block"}:
            for line in token.content.splitlines():
                _paragraph(document, [("", _plain(line))])


def _pieces(children: list[Any]) -> Iterator[tuple[str, str]]:
    bold = italic = 0
    link = ""
    for child in children:
        bold += {"strong_open": 1, "strong_close": -1}.get(child.type, 0)
        italic += {"em_open": 1, "em_close": -1}.get(child.type, 0)
        style = ("B" if bold else "") + ("I" if italic else "")
        if child.type in {"softbreak", "hardbreak"}:
            yield style, " "
        elif child.type == "link_open":
            link = str(child.attrGet("href") or "")
        elif child.type == "link_close":
            yield style, f" ({_plain(link)})"
        elif child.content:
            yield style, _plain(child.content)


def _plain(text: str) -> str:
    """Return text without control characters; the fonts lack the narrow space, so that it becomes a plain one."""
    return _CONTROL.sub(" ", text).replace("\u202f", "\u00a0")
