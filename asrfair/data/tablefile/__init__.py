"""Tables in files: CSV, TSV, JSON Lines and Parquet in, every cell as text; deterministic CSV and Parquet out.

Nothing is guessed on the way in: ``NA``, ``None``, ``1.0`` and ``007`` stay what the file says, and an empty cell, a
JSON ``null`` and a missing key are the empty string. What cannot be read is an :class:`InputError` with the line.
"""

from asrfair.data.tablefile.formats import (
    MAX_BYTES,
    MAX_CELL_BYTES,
    PARQUET,
    STRING_DTYPE,
    SUFFIXES,
    TEXT,
    Kind,
    kind_of,
    open_table,
    size_of,
    suffix_of,
)
from asrfair.data.tablefile.numbers import to_numbers
from asrfair.data.tablefile.reading import lines_of, read_arrow, read_table, to_frame
from asrfair.data.tablefile.writing import (
    TEXT_COLUMNS,
    read_result,
    spreadsheet_raw,
    spreadsheet_safe,
    write_csv,
    write_parquet,
)

__all__ = [
    "MAX_BYTES",
    "MAX_CELL_BYTES",
    "PARQUET",
    "STRING_DTYPE",
    "SUFFIXES",
    "TEXT",
    "TEXT_COLUMNS",
    "Kind",
    "kind_of",
    "lines_of",
    "open_table",
    "read_arrow",
    "read_result",
    "read_table",
    "size_of",
    "spreadsheet_raw",
    "spreadsheet_safe",
    "suffix_of",
    "to_frame",
    "to_numbers",
    "write_csv",
    "write_parquet",
]
