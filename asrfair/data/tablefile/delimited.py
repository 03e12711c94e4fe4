"""CSV and TSV, read by column; slower passes only to say on which line something is wrong.

Spreadsheets of half of Europe write a CSV with semicolons, and in the letters of Windows (code page 1252). A first line
with semicolons and no comma is taken for one; only then is text that is not UTF-8 read as that code page.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from asrfair.data.tablefile.formats import (
    BLOCK_BYTES,
    GZIP,
    TEXT,
    Kind,
    check_header,
    open_table,
)
from asrfair.errors import InputError, printable


def read_delimited(path: Path, kind: Kind) -> pa.Table:
    """Read a CSV or TSV into text columns; an error names the line."""
    names = _header(path, kind)
    check_header(path, names)
    semicolons = _semicolons(path, kind)
    try:
        table = pa_csv.read_csv(
            path if path.suffix.lower() != GZIP else open_table(path),
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, encoding=_encoding(path, kind)),
            parse_options=_parse_options(kind, ";" if semicolons else ","),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False),
        )
    except (pa.ArrowException, ValueError) as error:
        raise _diagnose(path, kind, str(error)) from error
    if table.column_names != names:
        raise InputError("the header cannot be read", file=path, line=1, remedy="Write plain names, no line breaks")
    return table


def _semicolons(path: Path, kind: Kind) -> bool:
    """Whether a CSV's cells are parted by semicolons."""
    if kind == "tsv":
        return False
    with open_table(path) as stream:
        line = stream.readline(BLOCK_BYTES)
    return b";" in line and b"," not in line


def _encoding(path: Path, kind: Kind) -> str:
    """UTF-8, or the code page of Windows for a file with semicolons that is no UTF-8."""
    if not _semicolons(path, kind):
        return "utf-8"
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_table(path) as stream:
        try:
            while block := stream.read(BLOCK_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _parse_options(kind: Kind, delimiter: str) -> pa_csv.ParseOptions:
    if kind == "tsv":
        return pa_csv.ParseOptions(delimiter="\t", quote_char=False, newlines_in_values=False)
    return pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)


def _header(path: Path, kind: Kind) -> list[str]:
    with open_table(path) as stream:
        start = stream.read(4)
        if start[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise InputError("the file is UTF-16, not UTF-8", file=path, line=1, remedy="Save it as UTF-8")
    try:
        for _, cells in delimited_lines(path, kind):
            return cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise _diagnose(path, kind, str(error)) from error
    raise InputError("the table is empty", file=path, remedy="The first line holds the column names")


def delimited_lines(path: Path, kind: Kind) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of every record that is not blank; slow, for headers and for pointing at errors."""
    csv.field_size_limit(max(csv.field_size_limit(), BLOCK_BYTES))
    encoding = _encoding(path, kind)
    with io.TextIOWrapper(
        open_table(path), encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline=""
    ) as stream:
        if kind == "tsv":
            reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        else:
            reader = csv.reader(stream, delimiter=";" if _semicolons(path, kind) else ",", strict=False)
        before = 0
        for cells in reader:
            first, before = before + 1, reader.line_num
            if cells:
                yield first, cells


def _diagnose(path: Path, kind: Kind, message: str) -> InputError:
    """Find the line at which a delimited file goes wrong."""
    number = 0
    with open_table(path) as stream:
        while line := stream.readline(BLOCK_BYTES):
            number += 1
            if len(line) >= BLOCK_BYTES:
                return InputError(
                    f"the line is longer than {BLOCK_BYTES} bytes",
                    file=path,
                    line=number,
                    remedy="Is a quote unclosed?",
                )
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return InputError("the text is not UTF-8", file=path, line=number, remedy="Save the table as UTF-8")
    width, last = None, 0
    try:
        for first, cells in delimited_lines(path, kind):
            last = first
            width = len(cells) if width is None else width
            if len(cells) != width:
                return InputError(
                    f"the row has {len(cells)} cells, the header has {width}",
                    file=path,
                    line=first,
                    remedy="Put cells that hold the delimiter into quotes, and close every quote",
                )
    except (csv.Error, UnicodeDecodeError) as error:
        return InputError(f"the row cannot be read: {error}", file=path, line=last + 1, remedy="Close every quote")
    return InputError(f"the table cannot be read: {printable(message)}", file=path, remedy="Save it again as UTF-8 CSV")
