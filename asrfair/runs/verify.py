"""Whether a run folder is still what was written: every checksum in it is computed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.runfile import RUN_FILE, check_tables, read_content, table_files
from asrfair.errors import AsrfairError, InputError
from asrfair.recognise.journal import FILE_NAME, Journal


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """One thing that was looked at.

    Args:
        path: The file or folder.
        text: What was found, in words.
        problem: Whether it is not as it was written.
    """

    path: Path
    text: str
    problem: bool = False


def verify_run(run: Path) -> Iterator[Checked]:
    """Check ``run.json``, every table and the journal; yield what was looked at.

    A table without a checksum there is read whole, with the checksums of its pages if it has any.
    """
    try:
        content = read_content(run)
    except AsrfairError as error:
        yield Checked(path=run / RUN_FILE, text=error.message, problem=True)
        return
    volatile = content.get("volatile", {})
    tables = volatile.get("tables")
    if volatile.get("unfinished"):
        text = f"the run was cut off, or is still at work: {volatile['unfinished']}"
        yield Checked(path=run / RUN_FILE, text=text, problem=True)
    else:
        yield Checked(path=run / RUN_FILE, text="as it was written")
    known = tables or {}
    for name in sorted({path.name for path in table_files(run)} | known.keys()):
        yield _table(run, name, known)
    if (run / FILE_NAME).exists():
        yield _journal(run)


def _table(run: Path, name: str, known: dict[str, str]) -> Checked:
    path = run / name
    try:
        if name in known:
            check_tables(run, {name: known[name]}, remember=False)
            return Checked(path=path, text="as it was written")
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for _ in file.iter_batches():
                    pass
        return Checked(path=path, text="no checksum stands in run.json; it can be read")
    except InputError as error:
        return Checked(path=path, text=error.message, problem=True)
    except (pa.ArrowException, OSError) as error:
        return Checked(path=path, text=f"it cannot be read: {error}", problem=True)


def _journal(run: Path) -> Checked:
    path = run / FILE_NAME
    try:
        with Journal(run) as journal:
            return Checked(path=path, text=f"as it was written: {journal.verify():,} results")
    except AsrfairError as error:
        return Checked(path=path, text=error.message, problem=True)
