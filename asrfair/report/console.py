"""Tables and paragraphs on a terminal: as wide as it is, no word or number split, nothing left out without being counted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asrfair.errors import printable
from asrfair.report.fontset import columns as width_of
from asrfair.report.tables import Column, Table
from asrfair.say import words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

PIPED_WIDTH: Final = 1000
GAP: Final = 2
"""Spaces between two columns."""
WIDEST_TEXT: Final = 40
"""A word of text that is longer is cut in the middle."""


def terminal() -> Console:
    """Return a console for standard output that neither wraps nor cuts when the output is not a terminal.

    With ``NO_COLOR`` set (``asrfair --plain`` sets it) it writes plain ASCII lines and no escape codes.
    """
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(highlight=False, color_system=None) if plain else Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH, color_system=None)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The columns of a table that a terminal has room for, the width of each, and the headings of the others."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...]


def fit(table: Table, width: int) -> Fit:
    """Choose the columns that fit beside each other with every word and number in one piece.

    What names a row comes first, then what has an interval, then the rest; all stand in the table's order.
    """
    rows = list(table.rows())
    columns = table.shown
    least: dict[str, int] = {}
    most: dict[str, int] = {}
    for column in columns:
        cells = [_cell(column, column.show_both(row)) for row in rows]
        head = max(map(width_of, column.heading.split(" ")))
        least[column.name] = max([head, *(width_of(part) for cell in cells for part in _parts(column, cell))])
        most[column.name] = max([width_of(column.heading), *map(width_of, cells)])
    chosen: set[str] = set()
    room = width
    for column in sorted(columns, key=_rank):
        if not chosen or least[column.name] + GAP <= room:
            chosen.add(column.name)
            room -= least[column.name] + GAP
    kept = [column for column in columns if column.name in chosen]
    widths = []
    for column in kept:
        more = min(most[column.name] - least[column.name], max(room, 0))
        widths.append(min(least[column.name] + more, width))
        room -= more
    left_out = tuple(column.heading for column in columns if column.name not in chosen)
    return Fit(columns=tuple(kept), widths=tuple(widths), left_out=left_out)


def _rank(column: Column) -> int:
    if not column.numeric and column.kind not in {"flag", "note"}:
        return 0
    return 1 if column.low or column.drawn else 2


def print_table(table: Table, *, console: Console | None = None) -> None:
    """Print the table: fitted to a terminal, as wide as it is when piped into a file or program."""
    console = console or terminal()
    fitted = fit(table, console.width)
    console.print(_to_rich(table, fitted, plain=console.no_color), highlight=False)
    if fitted.left_out:
        names = words.listed(list(fitted.left_out), limit=len(fitted.left_out))
        say(console, f"+{words.counted(len(fitted.left_out), 'column')}: {names}" + _where(table), style="dim")
    say(console, " ".join(filter(None, (table.caption, *table.notes))), style="dim")


def _where(table: Table) -> str:
    return f" ({table.source})" if table.source else ""


def _to_rich(table: Table, fitted: Fit, *, plain: bool) -> RichTable:
    """Return the table for a terminal. Text from data is shown as it is: no mark-up in it is obeyed."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        title=Text(table.title),
        box=box.ASCII2 if plain else box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title_justify="left",
        title_style="bold",
    )
    for column, width in zip(fitted.columns, fitted.widths, strict=True):
        shown.add_column(
            Text(column.heading),
            justify="right" if column.numeric else "left",
            width=width,
            overflow="fold",
            style="yellow" if column.kind == "flag" else "",
        )
    for row in table.rows():
        shown.add_row(*(Text(_cell(column, column.show_both(row))) for column in fitted.columns))
    return shown


def _cell(column: Column, text: str) -> str:
    """Return a cell fit for a terminal: a word that is longer than any column is cut in the middle, with an ellipsis."""
    from asrfair.report.style import shortened

    text = terminal_text(text)
    if column.numeric:
        return text
    return " ".join(shortened(word, WIDEST_TEXT) for word in text.split(" "))


def _parts(column: Column, cell: str) -> list[str]:
    """Return what may not be split: words of a text, a number with its interval."""
    return [cell] if column.numeric else cell.split(" ")


def say(console: Console, text: str, *, style: str = "") -> None:
    """Print a paragraph; no mark-up in it is obeyed."""
    from rich.text import Text

    if text:
        console.print(
            Text(terminal_text(text, limit=4000), style=style), highlight=False, soft_wrap=not console.is_terminal
        )


def terminal_text(text: str, *, limit: int = 200) -> str:
    """Return text fit for a terminal: our narrow spaces become plain ones, what a terminal would obey is escaped."""
    return printable(text.replace("\u00a0", " ").replace("\u202f", " "), limit=limit)
