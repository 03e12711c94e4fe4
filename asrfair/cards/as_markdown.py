"""A card as Markdown. Text from data is escaped; the author's Markdown loses its HTML."""

from __future__ import annotations

import re

from asrfair.cards.blocks import Block, Card, Facts, Lines, Picture, Prose
from asrfair.report.tables import markdown_text, to_markdown


def card_markdown(card: Card) -> str:
    """Return the card as GitHub Markdown."""
    parts = [f"# {markdown_text(card.title)}", _facts(card.facts)]
    for section in card.sections:
        parts.append(f"{'#' * section.depth} {markdown_text(section.title)}")
        parts += map(block_markdown, section.blocks)
    return "\n\n".join(filter(None, parts)) + "\n"


def block_markdown(block: Block) -> str:
    """Return one block as Markdown."""
    if isinstance(block, Prose):
        # No tag, no picture from elsewhere, no heading that would look like one of the card's own.
        safe = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", block.markdown).replace("![", r"!\[")
        return re.sub(r"(?m)^( {0,3})(?=#{1,6}(?:\s|$)|[=-]+\s*$)", r"\1\\", safe)
    if isinstance(block, Lines):
        return "\n".join(f"- {markdown_text(line)}" for line in block.lines)
    if isinstance(block, Facts):
        return _facts(block.rows)
    if isinstance(block, Picture):
        return ""  # Markdown has no place for a picture in the file; the tables below it hold its numbers
    caption = " ".join(filter(None, (block.caption, *block.notes)))
    return "\n\n".join((f"**{markdown_text(block.title)}**", to_markdown(block).rstrip(), markdown_text(caption)))


def _facts(rows: tuple[tuple[str, str], ...]) -> str:
    return "\n".join(f"- {markdown_text(name)}: {markdown_text(value)}" for name, value in rows)
