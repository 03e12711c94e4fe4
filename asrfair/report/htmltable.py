"""Turns a :class:`Table` into what the page's template shows: cells, filters, and what is packed for later.

A page with thousands of rows would be slow and large, so the first rows stand in the page and the others, together
with the table as CSV, are packed (gzip, base64); the page's script unpacks them when a reader filters, sorts or asks.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup, escape

from asrfair.report.drawing import Scale, scale_of
from asrfair.report.tables import Column, Table, to_csv
from asrfair.say import words

STATIC_ROWS: Final = 120
"""Rows that stand in the page as it is opened."""
FILTERED: Final = frozenset(
    {
        "engine",
        "engine_a",
        "engine_b",
        "condition",
        "attribute",
        "versus",
        "normalizer",
        "metric",
        "reason",
        "kind",
        "quantity",
    }
)
"""Columns with a menu of their values."""
MAX_CHOICES: Final = 120
SHORT: Final = 26
"""Characters up to which a text is kept on one line."""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A column's heading; ``mark`` are its classes, ``choices`` the values of its menu."""

    text: str
    mark: str
    choices: tuple[str, ...] = ()
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class HtmlTable:
    """What the template needs of one table.

    ``rows`` is safe HTML; ``packed_rows`` and ``packed_csv`` are base64; ``widths`` are the characters of the longest
    value and interval beside a picture.
    """

    anchor: str
    title: str
    caption: str
    source: str
    file_name: str
    headings: tuple[Heading, ...]
    rows: Markup
    count: int
    shown: int
    packed_rows: str
    packed_csv: str
    widths: tuple[int, int]
    notes: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """About how much of the page's size the packed parts take."""
        return len(self.packed_rows) + len(self.packed_csv)

    def unpacked(self) -> HtmlTable:
        """Return the table without its packed parts, for a page that would become too large."""
        return replace(self, packed_rows="", packed_csv="")


def html_table(table: Table, *, anchor: str, row_header: str = "group", file_name: str = "") -> HtmlTable:
    """Lay out one table.

    Text columns that have the same value in every row go into the caption. The row header (the group) comes first,
    then speakers and the drawn columns, so that a narrow screen shows what matters without scrolling.

    Args:
        table: What to show.
        anchor: The ``id`` in the page.
        row_header: The column that names a row.
        file_name: Name of the CSV that the page offers.
    """
    rows = list(table.rows())
    columns, constants = _constants(table, row_header)
    columns = _ordered(columns, row_header)
    scales = {column.name: scale_of(column, rows) for column in columns if column.drawn}
    shown = [_row(row, columns, scales, row_header) for row in rows]
    static, later = shown[:STATIC_ROWS], shown[STATIC_ROWS:]
    return HtmlTable(
        anchor=anchor,
        title=table.title,
        caption=" ".join(filter(None, (constants, table.caption))),
        source=table.source,
        file_name=file_name or f"{anchor}.csv",
        headings=tuple(_heading(column, table, scales.get(column.name), row_header) for column in columns),
        rows=Markup("\n".join(static)),  # noqa: S704 -- escaped in _row
        count=len(shown),
        shown=len(static),
        packed_rows=pack("".join(later)) if later else "",
        packed_csv=pack(to_csv(table)),
        widths=_widths(rows, columns),
        notes=table.notes,
    )


def is_label(column: Column) -> bool:
    """Tell whether a column says to which part of the run a row belongs; such columns have a menu."""
    return column.kind == "text" and column.name in FILTERED


def pack(text: str) -> str:
    """Return text as base64 of gzip, the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)).decode("ascii")


def _constants(table: Table, row_header: str) -> tuple[list[Column], str]:
    kept, said = [], []
    for column in table.shown:
        values = table.frame[column.name]
        if column.kind == "text" and column.name != row_header and len(values) and values.nunique(dropna=False) == 1:
            said.append(f"{column.heading}: {column.show({column.name: values.iloc[0]})}.")
        else:
            kept.append(column)
    return kept, " ".join(said)


def _ordered(columns: Sequence[Column], row_header: str) -> list[Column]:
    first = [column for column in columns if column.name == row_header]
    speakers = [column for column in columns if column.name == "speakers" and not column.drawn]
    drawn = [column for column in columns if column.drawn]
    labels = [column for column in columns if is_label(column) and column.name != row_header]
    rest = [column for column in columns if column not in (*first, *speakers, *drawn, *labels)]
    return [*first, *labels, *speakers, *drawn, *rest]


def _widths(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> tuple[int, int]:
    drawn = [column for column in columns if column.drawn]
    values = max((len(column.show(row)) for column in drawn for row in rows), default=0)
    inside = max((len(column.show_interval(row)) for column in drawn if column.low for row in rows), default=0)
    return values + 1, max(inside + 3, 11) if inside else 0


def _heading(column: Column, table: Table, scale: Scale | None, row_header: str) -> Heading:
    choices: tuple[str, ...] = ()
    if is_label(column):
        distinct = table.frame[column.name].drop_duplicates().tolist()
        if 2 <= len(distinct) <= MAX_CHOICES:
            choices = tuple(dict.fromkeys(column.show({column.name: value}) for value in distinct))
    says = column.says
    if scale is not None:
        ends = [words.number(end, column.kind) for end in (scale.low, scale.high)]
        says = " ".join(filter(None, (says, f"The picture runs from {ends[0]} to {ends[1]}.")))
    mark = " ".join(
        name
        for name, on in (
            ("n", column.numeric),
            ("d", column.drawn),
            ("l", is_label(column) and column.name != row_header),
        )
        if on
    )
    return Heading(text=column.heading, mark=mark, choices=choices, says=says)


def _row(row: Mapping[str, Any], columns: Sequence[Column], scales: Mapping[str, Scale], row_header: str) -> str:
    """Return a row as HTML. Every text of the data goes through ``escape`` here, once, and nowhere else."""
    told = [column.show(row) for column in columns if is_label(column) and column.name != row_header]
    labels = " · ".join(text for text in told if text)
    cells = []
    for column in columns:
        text = column.show(row)
        if column.name == row_header:
            below = f'<small class="m">{escape(labels)}</small>' if labels else ""
            cells.append(f'<th scope="row"{_mark(column, text, label=False)}>{escape(text)}{below}</th>')
        elif not column.numeric:
            cells.append(f"<td{_mark(column, text, label=is_label(column))}>{escape(text)}</td>")
        else:
            cells.append(_number(row, column, scales.get(column.name)))
    return f"<tr>{''.join(cells)}</tr>"


def _mark(column: Column, text: str, *, label: bool) -> str:
    """Return the class: ``l`` a label that narrow screens show under the row's name, ``s`` short, ``f`` a flag, ``w`` prose."""
    names = ["l"] if label else []
    if column.kind == "text" and len(text) <= SHORT:
        names.append("s")
    if column.kind == "flag" and text:
        names.append("f")
    if column.kind == "note" and len(text) > SHORT:
        names.append("w")
    return f' class="{" ".join(names)}"' if names else ""


def _number(row: Mapping[str, Any], column: Column, scale: Scale | None) -> str:
    value = row.get(column.name)
    key = "" if words.missing(value) else escape(repr(value))
    text, inside = escape(column.show(row)), escape(column.show_interval(row))
    if not inside and scale and column.low:
        inside = escape("no interval")
    shown = f"<b>{text}</b> <i>({inside})</i>" if inside else f"<b>{text}</b>" if scale else f"{text}"
    if scale:
        shown = f'<span class="p">{shown}{scale.draw(value, row.get(column.low), row.get(column.high))}</span>'
    return f'<td class="n" data-v="{key}">{shown}</td>'
