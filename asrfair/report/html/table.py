"""Turns a :class:`Table` into what the page's template shows: cells, filters, and what is packed for later.

A page with thousands of rows would be slow and large, so the rows of what is picked first stand in the page and the
others, together with the table as CSV, are packed; the page's script unpacks them when a reader picks, filters or sorts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from markupsafe import Markup, escape

from asrfair.report.html.drawing import Scale, scale_of, wer_scale
from asrfair.report.html.engines import in_hundred, said
from asrfair.report.html.views import Choices, link, pack, pack_within
from asrfair.report.tables import Column, Table, to_csv
from asrfair.say import words

STATIC_ROWS: Final = 120
"""Rows of the main table that stand in the page as it is opened."""
FOLDED_ROWS: Final = 20
"""Rows of a folded table that stand in the page."""
PICKED: Final = {"engine": "engine", "condition": "condition", "attribute": "by"}
"""Column → the picker that it follows; such columns are shown only when a reader asks for all."""
BESIDE: Final = {"sensitivity": ("condition",)}
"""Table → columns that it does not follow, because its rows of all of them are read beside each other."""
FILTERED: Final = frozenset(
    {*PICKED, "engine_a", "engine_b", "versus", "normalizer", "metric", "reason", "kind", "quantity"}
)
"""Columns that say to which part of the run a row belongs; those that no picker drives have a menu."""
SPEAKERS_WIDTH: Final = 360
"""Pixels of a picture that has a dot a speaker."""

Dots = Callable[[Mapping[str, Any]], Sequence[float]]
"""From a row to its speakers' error rates."""
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
    axis: str = ""


@dataclass(frozen=True, kw_only=True)
class HtmlTable:
    """What the template needs of one table.

    ``rows`` is safe HTML; ``packed_rows`` and ``packed_csv`` are base64; ``widths`` are the characters of the longest
    value and interval beside a picture; ``first`` counts the rows of what is picked when the page opens.
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
    first: int
    follows: str
    packed_rows: str
    packed_csv: str
    widths: tuple[int, int]
    notes: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """About how much of the page's size the packed parts take."""
        return len(self.packed_rows) + len(self.packed_csv)


def html_table(
    table: Table,
    choices: Choices,
    *,
    anchor: str,
    row_header: str = "group",
    file_name: str = "",
    dots: Dots | None = None,
    room: int = sys.maxsize,
) -> HtmlTable:
    """Lay out one table.

    Text columns that have the same value in every row go into the caption. The row header (the group) comes first,
    then speakers and the drawn columns, so that a narrow screen shows what matters without scrolling.

    Args:
        table: What to show.
        choices: What can be picked; rows of what is picked first come first.
        anchor: The ``id`` in the page.
        row_header: The column that names a row.
        file_name: Name of the CSV that the page offers.
        dots: Says each row's speakers; such a table is the page's main one, with a wide picture and plain numbers.
        room: What its packed parts may take; where that is too little, the page has none of them.
    """
    rows = list(table.rows())
    columns, constants = _constants(table, row_header)
    columns = _ordered(columns, row_header)
    scales = {column.name: _scale(column, rows, wide=dots is not None) for column in columns if column.drawn}
    beside = BESIDE.get(table.name, ())
    follows = [name for name in PICKED if name in table.frame.columns and name not in beside]
    indexes = {name: {value: i for i, value in enumerate(choices.names(PICKED[name]))} for name in follows}

    def picked(row: Mapping[str, Any]) -> bool:
        return all(indexes[name].get(row[name]) in {choices.first[PICKED[name]], None} for name in follows)

    rows = [*filter(picked, rows), *(row for row in rows if not picked(row))]
    first = sum(map(picked, rows))
    shown = (_row(row, columns, scales, row_header, indexes, dots) for row in rows)
    static = min(first or len(rows), STATIC_ROWS if dots is not None else FOLDED_ROWS)
    at_once = "\n".join(islice(shown, static))
    packed_csv = pack(to_csv(table))
    others = pack_within(shown, room - len(packed_csv)) if len(rows) > static else ""
    if others is None or len(packed_csv) > room:
        others, packed_csv = "", ""
    return HtmlTable(
        anchor=anchor,
        title=table.title,
        caption=" ".join(filter(None, (constants, table.caption))),
        source=table.source,
        file_name=file_name or f"{anchor}.csv",
        headings=tuple(_heading(column, table, scales.get(column.name), row_header) for column in columns),
        rows=Markup(at_once),  # noqa: S704 -- escaped in _row
        count=len(rows),
        shown=static,
        first=first,
        follows=" ".join(PICKED[name] for name in follows),
        packed_rows=others,
        packed_csv=packed_csv,
        widths=_widths(rows, columns),
        notes=table.notes,
    )


def is_label(column: Column) -> bool:
    """Tell whether a column says to which part of the run a row belongs; such columns have a menu."""
    return column.kind == "text" and column.name in FILTERED


def _constants(table: Table, row_header: str) -> tuple[list[Column], str]:
    kept, said = [], []
    for column in table.shown:
        values = table.frame[column.name]
        if (
            column.kind == "text"
            and column.name not in {row_header, *PICKED}
            and len(values)
            and values.nunique(dropna=False) == 1
        ):
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


def _scale(column: Column, rows: Sequence[Mapping[str, Any]], *, wide: bool) -> Scale:
    if not wide:
        return scale_of(column, rows)
    known = [row for row in rows if not words.missing(row[column.name])]
    highs = [float(row[column.high]) for row in known if column.high and not words.missing(row.get(column.high))]
    return wer_scale([float(row[column.name]) for row in known], highs, width=SPEAKERS_WIDTH)


def _heading(column: Column, table: Table, scale: Scale | None, row_header: str) -> Heading:
    choices: tuple[str, ...] = ()
    if is_label(column) and column.name not in PICKED:
        distinct = table.frame[column.name].drop_duplicates().tolist()
        if 2 <= len(distinct) <= MAX_CHOICES:
            choices = tuple(dict.fromkeys(column.show({column.name: value}) for value in distinct))
    says = column.says
    if scale is not None:
        ends = [words.number(end, column.kind) for end in (scale.low, scale.high)]
        says = " ".join(filter(None, (says, f"The picture runs from {ends[0]} to {ends[1]}.")))
    return Heading(
        text=column.heading,
        mark=" ".join(_marks(column, row_header)),
        choices=choices,
        says=says,
        axis=scale.axis() if scale is not None and scale.width == SPEAKERS_WIDTH else "",
    )


def _marks(column: Column, row_header: str) -> list[str]:
    """Return the classes of a column: numeric, drawn, a label, for experts."""
    label = is_label(column) and column.name != row_header
    pairs = (("n", column.numeric), ("d", column.drawn), ("l", label), ("x", column.expert))
    return [name for name, on in pairs if on]


def _row(
    row: Mapping[str, Any],
    columns: Sequence[Column],
    scales: Mapping[str, Scale],
    row_header: str,
    indexes: Mapping[str, Mapping[str, int]],
    dots: Dots | None,
) -> str:
    """Return a row as HTML. Every text of the data goes through ``escape`` here, once, and nowhere else."""
    told = [column.show(row) for column in columns if is_label(column) and column.name != row_header]
    labels = " · ".join(text for text in told if text)
    cells = []
    for column in columns:
        text = column.show(row)
        if column.name == row_header:
            below = f'<small class="m">{escape(labels)}</small>' if labels else ""
            name = _opening(row, text) if dots is not None else escape(text)
            cells.append(f'<th scope="row"{_mark(column, text, label=False)}>{name}{below}</th>')
        elif not column.numeric:
            cells.append(f"<td{_mark(column, text, label=is_label(column))}>{escape(text)}</td>")
        else:
            values = dots(row) if dots is not None and column.drawn else ()
            cells.append(_number(row, column, scales.get(column.name), values, plain=dots is not None))
    at = "".join(f' data-{PICKED[name]}="{indexes[name].get(row[name], "")}"' for name in indexes)
    small = ' class="small"' if "ci_low" in row and words.missing(row["ci_low"]) else ""
    tip = f' data-tip="{escape(said(row))}"' if dots is not None and not words.missing(row["rate"]) else ""
    return f"<tr{small}{at}{tip}>{''.join(cells)}</tr>"


def _opening(row: Mapping[str, Any], text: str) -> str:
    """Return a group's name as a link that opens its utterances."""
    state = {"engine": row["engine"], "condition": row["condition"], "by": row["attribute"], "group": row["group"]}
    return f'<a href="{link(**state)}">{escape(text)}</a>'


def _mark(column: Column, text: str, *, label: bool) -> str:
    """Return the class: ``l`` a label of a part of the run, ``s`` short, ``f`` a flag, ``w`` prose, ``x`` for experts."""
    names = ["l"] if label else []
    if column.kind == "text" and len(text) <= SHORT:
        names.append("s")
    if column.kind == "flag" and text:
        names.append("f")
    if column.kind == "note" and len(text) > SHORT:
        names.append("w")
    if column.expert:
        names.append("x")
    return f' class="{" ".join(names)}"' if names else ""


def _number(row: Mapping[str, Any], column: Column, scale: Scale | None, dots: Sequence[float], *, plain: bool) -> str:
    value = row.get(column.name)
    key = "" if words.missing(value) else escape(repr(value))
    text, inside = escape(column.show(row)), escape(column.show_interval(row))
    if not inside and scale and column.low:
        inside = escape("no interval")
    classes = "n x" if column.expert else "n"
    if scale is None:
        shown = f"<b>{text}</b> <i>({inside})</i>" if inside else f"{text}"
        return f'<td class="{classes}" data-v="{key}">{shown}</td>'
    picture = scale.draw(value, row.get(column.low), row.get(column.high), dots)
    if plain:
        shown = f'<b class="pl">{in_hundred(value)}</b><b class="x">{text}</b> <i class="x">({inside})</i>'
    else:
        shown = f"<b>{text}</b> <i>({inside})</i>" if inside else f"<b>{text}</b>"
    return f'<td class="{classes}" data-v="{key}"><span class="p">{shown}{picture}</span></td>'
