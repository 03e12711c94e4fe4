"""From runs and an author's prose to a card's file, in any template and format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from asrfair.cards.build import build_card
from asrfair.cards.evidence import SMALLEST, Evidence, gather
from asrfair.cards.outline import OUTLINES
from asrfair.cards.prose import AuthorProse, read_prose
from asrfair.data.tomlfile import did_you_mean
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError

FORMATS: Final = {
    "aws": ("html", "md", "pdf", "json"),
    "model-card": ("html", "md", "pdf", "json"),
    "hf": ("md",),
    "json": ("json",),
}
"""Template → the formats that it can be written in, the usual one first."""


def write_card(
    runs: Sequence[Path],
    prose: Path,
    out: Path,
    *,
    template: str = "aws",
    form: str = "",
    smallest: int = SMALLEST,
    every_group: bool = False,
) -> Path:
    """Write a card and return its path.

    Args:
        runs: Run folders; together they make one card.
        prose: The author's file.
        out: The file to write.
        template: ``aws``, ``model-card``, ``hf`` or ``json``.
        form: ``html``, ``md``, ``pdf`` or ``json``; what ``out`` ends with if not given.
        smallest: Speakers below which a group's numbers are suppressed.
        every_group: Whether a card for the Hub has every group in its metadata, not only everybody and the worst.

    Raises:
        InputError: A run or the prose cannot be read, the prose claims what the runs do not support, or the template
            has no such format.
        MissingExtraError: PDF was asked for and Typst is not installed.
    """
    if template not in OUTLINES:
        raise InputError("unknown template", value=template, remedy=did_you_mean(template, OUTLINES))
    suffix = {"markdown": "md", "htm": "html"}.get(out.suffix.lower().lstrip("."), out.suffix.lower().lstrip("."))
    form = form or (suffix if suffix in {"html", "md", "pdf", "json"} else FORMATS[template][0])
    if form not in FORMATS[template]:
        raise InputError(
            f"the template {template} cannot be written so",
            value=form,
            remedy=f"Formats: {', '.join(FORMATS[template])}",
        )
    author = read_prose(prose, OUTLINES[template])
    content = card_bytes(gather(runs, smallest=smallest), author, template=template, form=form, every_group=every_group)
    write_whole(out, content)
    return out


def card_bytes(evidence: Evidence, prose: AuthorProse, *, template: str, form: str, every_group: bool = False) -> bytes:
    """Return a card in one of :data:`FORMATS`; text is UTF-8."""
    card = build_card(evidence, prose, template)
    if form == "pdf":
        from asrfair.cards.as_pdf import card_pdf

        return card_pdf(card)
    if form == "html":
        from asrfair.cards.as_html import card_html

        return card_html(card).encode()
    if form == "json":
        from asrfair.cards.as_json import card_json

        return card_json(card, evidence).encode()
    if template == "hf":
        from asrfair.cards.as_hf import card_hf

        return card_hf(card, evidence, prose, every_group=every_group).encode()
    from asrfair.cards.as_markdown import card_markdown

    return card_markdown(card).encode()
