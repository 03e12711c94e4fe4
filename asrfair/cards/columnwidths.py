"""Widths of a printed table's columns: no word or number is broken; what is too wide is set smaller, then stacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from asrfair.report.fontset import BASE, columns

PAGE_PT: Final = 493.0
"""Width between the margins of a portrait A4 page, in points."""
SIZES_PT: Final = (8.0, 7.5, 7.0, 6.5)
PADDING_PT: Final = 8.0
SHORT: Final = 22
"""Cells up to so many letters stay on one line where the page is wide enough: a value with its interval, most names."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Columns that stand side by side, by their place in the table, and the width of each in points."""

    columns: tuple[int, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A table's font size, and the parts into which it was cut; one part where it fits."""

    size_pt: float
    parts: tuple[Part, ...]


def fitted(heads: Sequence[str], rows: Sequence[Sequence[str]], *, page_pt: float = PAGE_PT) -> Fit:
    """Choose size and widths so that the longest word of each column fits into it.

    Args:
        heads: The columns' headings; they are set bold.
        rows: The cells.
        page_pt: Width to fill at most.
    """
    cells = [[head, *(row[index] for row in rows)] for index, head in enumerate(heads)]
    for size in SIZES_PT:
        least = [max(_longest_word(text, bold=at == 0) for at, text in enumerate(column)) for column in cells]
        most = [max(_width(text, bold=at == 0) for at, text in enumerate(column)) for column in cells]
        narrow, wide = ([value * size + PADDING_PT for value in values] for values in (least, most))
        lines = [
            full if max(map(len, column[1:]), default=0) <= SHORT and len(column[0]) <= SHORT else low
            for column, low, full in zip(cells, narrow, wide, strict=True)
        ]
        narrow = lines if sum(lines) <= page_pt else narrow
        if sum(narrow) <= page_pt:
            return Fit(size_pt=size, parts=(_spread(tuple(range(len(heads))), narrow, wide, page_pt),))
    return Fit(size_pt=SIZES_PT[1], parts=tuple(_stacked(least, most, SIZES_PT[1], page_pt)))


def _stacked(least: list[float], most: list[float], size: float, page_pt: float) -> list[Part]:
    """Cut into parts that repeat the first column, as many columns in each as fit."""
    narrow, wide = ([value * size + PADDING_PT for value in values] for values in (least, most))
    parts, here = [], [0]
    for index in range(1, len(narrow)):
        if sum(narrow[at] for at in (*here, index)) > page_pt and len(here) > 1:
            parts.append(here)
            here = [0]
        here.append(index)
    parts.append(here)
    return [
        _spread(tuple(places), [narrow[at] for at in places], [wide[at] for at in places], page_pt) for places in parts
    ]


def _spread(places: tuple[int, ...], narrow: list[float], wide: list[float], page_pt: float) -> Part:
    spare, wanted = max(page_pt - sum(narrow), 0.0), sum(wide) - sum(narrow)
    share = min(spare / wanted, 1.0) if wanted > 0 else 0.0
    widths = tuple(round(low + share * (high - low) + 0.05, 2) for low, high in zip(narrow, wide, strict=True))
    return Part(columns=places, widths=widths)


def _longest_word(text: str, *, bold: bool) -> float:
    return max(_width(word, bold=bold) for word in text.split(" "))


@cache
def _width(text: str, *, bold: bool) -> float:
    """Return a text's width in ems; letters that DejaVu Sans lacks are taken to be as wide as they usually are."""
    font = _font(bold=bold)
    known = font.get_charmap()
    own = "".join(c for c in text if ord(c) in known)
    font.set_text(own)
    return float(font.get_width_height()[0]) / 64 / 100 + 0.62 * columns(
        "".join(c for c in text if ord(c) not in known)
    )


@cache
def _font(*, bold: bool) -> Any:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=[BASE], weight="bold" if bold else "normal")))
    font.set_size(100, 72)
    return font
