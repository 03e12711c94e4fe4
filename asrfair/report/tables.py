"""One definition of a table, written out as Markdown, CSV, LaTeX, Parquet, JSON, or on a terminal.

A :class:`Table` is a frame with the values as they stand in the run's files, and columns that say how people read
them. Formats for programs (CSV, Parquet, JSON) carry every column of the frame, unrounded, under its own name;
formats for people carry the shown columns, rates as percentages with one decimal and their interval beside them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from asrfair.data.tablefile import spreadsheet_safe, write_parquet
from asrfair.data.tomlfile import did_you_mean
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError
from asrfair.say import words
from asrfair.say.words import Kind
from asrfair.scoring.metric import WER, Metric, column_of

_NUMERIC: Final = frozenset({"count", "percent", "points", "ratio", "p", "decimal", "number", "hours"})
_UNITS: Final[Mapping[str, str]] = {"percent": " %", "points": " points", "ratio": "", "hours": " h"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One shown column.

    Args:
        name: The frame's column with the value.
        heading: What stands above it, with the unit where it has one.
        kind: How a value is shown, see :data:`asrfair.say.words.Kind`.
        low: The frame's column with the lower end of the interval, shown in the same cell; empty for none.
        high: Likewise the upper end.
        says: What the column means, in a sentence; pages show it as a note.
        needed: Whether a report cannot do without the column; it refuses a run whose table lacks it.
        drawn: Whether a page draws value and interval as a small picture in the row.
        kind_of: Says how a row's value is shown where rows differ in that; ``kind`` decides the alignment.
        expert: Whether pages show the column only to readers who ask for the statistics.
        words: Turns a text cell into what people read, such as ``not_stated`` into "not stated".
    """

    name: str
    heading: str
    kind: Kind = "text"
    low: str = ""
    high: str = ""
    says: str = ""
    needed: bool = False
    drawn: bool = False
    expert: bool = False
    words: Callable[[str], str] | None = None
    kind_of: Callable[[Mapping[str, Any]], Kind] | None = None

    @property
    def numeric(self) -> bool:
        """Whether cells are right-aligned."""
        return self.kind in _NUMERIC

    def show(self, row: Mapping[str, Any]) -> str:
        """Return the cell of a row without interval, as people read it."""
        value = row.get(self.name)
        if self.kind in {"text", "note"} and not words.missing(value):
            return self.words(str(value)) if self.words else str(value)
        if self.kind in {"flag", "note"} and words.missing(value):
            return ""
        return words.number(value, self.kind_of(row) if self.kind_of else self.kind)

    def show_interval(self, row: Mapping[str, Any]) -> str:
        """Return the interval of a row, or the empty string."""
        if not self.low or not self.high:
            return ""
        return words.interval(row.get(self.low), row.get(self.high), self.kind_of(row) if self.kind_of else self.kind)

    def show_both(self, row: Mapping[str, Any]) -> str:
        """Return value and interval as one cell: ``23.4 (19.8–27.6)``."""
        inside = self.show_interval(row)
        return f"{self.show(row)} ({inside})" if inside else self.show(row)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to show: values, how to read them, and what to say above and below.

    Args:
        name: Short name, used for file names and links: lower-case letters, digits and hyphens.
        title: What it shows, in a line.
        columns: The shown columns, in order; those that the frame lacks are left out.
        frame: The rows, in the order in which to show them, with every column of the run's file.
        caption: What to know to read it, in a sentence or two.
        notes: Further sentences below it.
        source: The run's file that it comes from.
        metric: What its rates are of: how formats for programs call their columns.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame
    caption: str = ""
    notes: tuple[str, ...] = ()
    source: str = ""
    metric: Metric = WER

    @property
    def as_written(self) -> pd.DataFrame:
        """The frame with the names that columns have in files."""
        return self.frame.rename(columns=lambda name: column_of(str(name), self.metric))

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that the frame has, without a flag column in which nothing is flagged."""
        return tuple(
            column
            for column in self.columns
            if column.name in self.frame.columns
            and not (column.kind in {"flag", "note"} and not any(map(words.flag_words, self.frame[column.name])))
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as column name → value; a missing number is ``None``."""
        names = [str(name) for name in self.frame.columns]
        for values in zip(*(self.frame[name].tolist() for name in names), strict=True):
            yield {
                name: None if isinstance(v, float) and math.isnan(v) else v
                for name, v in zip(names, values, strict=True)
            }

    def where(self, *, name: str = "", title: str = "", **values: str) -> Table:
        """Return the table with only the rows that have these values, such as ``engine="whisper-small"``."""
        frame = self.frame
        for key, value in values.items():
            frame = frame[frame[key] == value]
        return replace(self, frame=frame.reset_index(drop=True), name=name or self.name, title=title or self.title)

    def without(self, *names: str) -> Table:
        """Return the table with these columns not shown (they stay in the formats for programs)."""
        return replace(self, columns=tuple(column for column in self.columns if column.name not in names))

    def head(self, rows: int) -> Table:
        """Return the table with only its first rows."""
        return replace(self, frame=self.frame.head(rows))


def to_markdown(table: Table) -> str:
    """Return the table as GitHub Markdown; text from data is escaped, so that it can be no mark-up."""
    columns = table.shown
    lines = [
        "| " + " | ".join(markdown_text(column.heading) for column in columns) + " |",
        "|" + "|".join(" ---: " if column.numeric else " --- " for column in columns) + "|",
    ]
    lines += [
        "| " + " | ".join(markdown_text(column.show_both(row)) for column in columns) + " |" for row in table.rows()
    ]
    return "\n".join(lines) + "\n"


def to_latex(table: Table, *, label: str = "") -> str:
    r"""Return the table as LaTeX with booktabs rules, a ``longtable`` where it has over 40 rows.

    Needs ``\usepackage{booktabs}`` (and ``longtable``). Every character that LaTeX would read as a command is escaped.
    """
    columns = table.shown
    layout = "".join("r" if column.numeric else "l" for column in columns)
    heading = " & ".join(latex_text(column.heading) for column in columns) + r" \\"
    body = [" & ".join(latex_text(column.show_both(row)) for column in columns) + r" \\" for row in table.rows()]
    caption = rf"\caption{{{latex_text(' '.join(filter(None, (table.title + '.', table.caption))))}}}"
    mark = rf"\label{{{label or 'tab:' + table.name}}}"
    if len(body) > 40:
        lines = [
            rf"\begin{{longtable}}{{{layout}}}",
            caption + mark + r"\\",
            r"\toprule",
            heading,
            r"\midrule",
            r"\endhead",
        ]
        lines += [*body, r"\bottomrule", r"\end{longtable}"]
    else:
        lines = [
            r"\begin{table}",
            r"\centering",
            caption,
            mark,
            rf"\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            heading,
        ]
        lines += [r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Return every column of the frame as CSV: floats unrounded, text that a spreadsheet would run guarded."""
    columns = [str(name) for name in table.frame.columns]
    lines = [",".join(_csv_cell(name) for name in table.as_written.columns)]
    lines += [",".join(_csv_cell(row[name]) for name in columns) for row in table.rows()]
    return "\n".join(lines) + "\n"


def to_json(table: Table) -> str:
    """Return every column of the frame as JSON: ``{"name", "title", "columns", "rows"}``, nothing as ``null``."""
    headings = {column.name: column for column in table.shown}
    names = dict(zip(map(str, table.frame.columns), map(str, table.as_written.columns), strict=True))
    content = {
        "name": table.name,
        "title": table.title,
        "source": table.source,
        "columns": [
            {"name": written, "heading": headings[name].heading, "kind": headings[name].kind}
            if name in headings
            else {"name": written}
            for name, written in names.items()
        ],
        "rows": [{names[key]: _plain(value) for key, value in row.items()} for row in table.rows()],
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def to_parquet(table: Table, path: Path) -> None:
    """Write every column of the frame as Parquet; the same frame gives the same bytes."""
    write_parquet(table.as_written, path)


TEXT_FORMATS: Final[Mapping[str, tuple[str, Callable[[Table], str]]]] = {
    "csv": (".csv", to_csv),
    "markdown": (".md", to_markdown),
    "latex": (".tex", to_latex),
    "json": (".json", to_json),
}
FORMATS: Final = (*TEXT_FORMATS, "parquet")
"""What :func:`write_table` can write."""


def write_table(table: Table, folder: Path, formats: tuple[str, ...] = FORMATS) -> list[Path]:
    """Write one table into a folder, a file a format; return the files.

    Raises:
        InputError: A format is not one of :data:`FORMATS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        if name not in FORMATS:
            raise InputError("unknown table format", value=name, remedy=did_you_mean(name, FORMATS))
        if name == "parquet":
            path = folder / f"{table.name}.parquet"
            to_parquet(table, path)
        else:
            suffix, write = TEXT_FORMATS[name]
            path = folder / f"{table.name}{suffix}"
            write_whole(path, write(table))
        written.append(path)
    return written


_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|!~$])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def markdown_text(text: str) -> str:
    """Return text so that Markdown shows it and obeys nothing in it; control characters become spaces."""
    return _MARKDOWN.sub(r"\\\1", _CONTROL.sub(" ", text).replace("&", "&amp;")).strip()


_LATEX: Final[Mapping[str, str]] = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "∞": r"$\infty$",
    "\u202f": r"\,",
    "\u00a0": "~",
}


def latex_text(text: str) -> str:
    """Return text so that LaTeX prints it and runs nothing in it; control characters become spaces."""
    return "".join(_LATEX.get(c, c) for c in _CONTROL.sub(" ", text)).strip()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _csv_cell(value: object) -> str:
    if words.missing(value):
        return ""
    if isinstance(value, float):
        return repr(value)
    text = spreadsheet_safe(value) if isinstance(value, str) else str(value)
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
