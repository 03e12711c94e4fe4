"""A card before it is written out: sections of prose, statements and tables, the same for every format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asrfair.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Prose:
    """The author's Markdown, its claims checked and its numbers filled in."""

    markdown: str


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Plain sentences, a bullet each."""

    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Pairs of what and value, as plain text."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A chart, drawn when it is needed, and what it shows in words."""

    draw: Callable[[], Figure]
    alt: str


Block = Prose | Lines | Facts | Picture | Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading of depth 2 or 3 with what stands below it."""

    title: str
    key: str = ""
    depth: int = 2
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card: what it is about, facts about the service, sections in order."""

    title: str
    template: str
    facts: tuple[tuple[str, str], ...] = ()
    sections: tuple[Section, ...] = field(default=())
