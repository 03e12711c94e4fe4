"""Recordings as bytes in the rows of a Parquet file: a binary column, or Hugging Face's struct ``{bytes, path}``."""

from __future__ import annotations

from typing import Any, BinaryIO, Final

import numpy as np

MOST_GROUP_BYTES: Final = 2 << 30
"""Largest row group of a column of recordings: it is decoded as a whole."""


def _damaged() -> tuple[type[Exception], ...]:
    """Return what Arrow makes of damaged files."""
    from pyarrow import ArrowException

    return (ArrowException, OSError, ValueError, LookupError, ArithmeticError, MemoryError)


class CellError(Exception):
    """The cell cannot be read; the text says why, without a path."""


class Recordings:
    """The recordings of one Parquet file. The row group that was read last stays in memory: neighbours come next.

    Args:
        stream: The file; it is closed with this.

    Raises:
        CellError: It is no Parquet file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        from pyarrow import parquet as pq  # here: recordings in files of their own are read without it

        self._stream = stream
        try:
            self._file = pq.ParquetFile(stream)
            groups = [self._file.metadata.row_group(number) for number in range(self._file.num_row_groups)]
            self._starts = np.cumsum([0, *(group.num_rows for group in groups)])
        except _damaged() as error:
            raise CellError("it is no Parquet file, or damaged") from error
        self._held: tuple[str, int, Any] | None = None

    def __del__(self) -> None:
        self._stream.close()

    def read(self, column: str, row: int) -> bytes:
        """Return the bytes of one row.

        Raises:
            CellError: There is no such row or column, or no bytes in it.
        """
        if row >= self._starts[-1]:
            raise CellError(f"row {row} (counted from 0) of {int(self._starts[-1]):,} is not there")
        try:
            group = int(np.searchsorted(self._starts, row, side="right")) - 1
            if self._held is None or self._held[:2] != (column, group):
                self._held = None  # two row groups at once would be too much
                self._held = (column, group, self._cells(column, group))
            value = self._held[2][row - int(self._starts[group])].as_py()
        except _damaged() as error:
            raise CellError("it is damaged") from error
        if value is None:
            raise CellError("the row holds no bytes; a path alone, without the audio, is of no use here")
        return bytes(value)

    def _cells(self, column: str, group: int) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        schema = self._file.schema_arrow
        if schema.get_field_index(column) < 0:
            raise CellError("it has no such column, or two")
        kind = schema.field(column).type
        struct = pa.types.is_struct(kind)
        if struct and kind.get_field_index("bytes") < 0:
            raise CellError("the column has no field 'bytes'")
        stored = kind.field("bytes").type if struct else kind
        if not (pa.types.is_binary(stored) or pa.types.is_large_binary(stored)):
            raise CellError("the column holds no bytes")
        about = self._file.metadata.row_group(group)
        path = f"{column}.bytes" if struct else column
        for number in range(about.num_columns):
            chunk = about.column(number)
            if chunk.path_in_schema == path and chunk.total_uncompressed_size > MOST_GROUP_BYTES:
                raise CellError(f"its row groups are larger than {MOST_GROUP_BYTES >> 30} GiB")
        cells = self._file.read_row_group(group, columns=[path], use_threads=False).column(0).combine_chunks()
        cells = cells.chunk(0) if isinstance(cells, pa.ChunkedArray) else cells
        return pc.struct_field(cells, "bytes") if struct else cells
