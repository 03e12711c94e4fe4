"""What was said, ready to be compared: the utterances of a run under a normalizer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.errors import InputError
from asrfair.scoring.normalize import NormalizerFailedError, TextNormalizer
from asrfair.types import NOT_STATED

UTTERANCES_FILE = "utterances.parquet"
ALTERNATIVES_COLUMN = "alternative_references"
"""Optional column of a manifest: further transcripts of the same speech, a JSON list or separated by ``|``."""
_COLUMNS = ("utterance_id", "speaker_id", "reference", "exclude")


@dataclass(frozen=True, kw_only=True)
class References:
    """The utterances of a run, sorted by id; all lists run in parallel.

    Args:
        utterance_ids: The ids.
        speaker_ids: Who speaks.
        exclude: The reason for which a row is not scored, or the empty string.
        texts: The normalized references, words joined by one space.
        alternatives: Index of an utterance → its further references, normalized.
        failed: Index of an utterance → why the normalizer failed on its reference.
    """

    utterance_ids: list[str]
    speaker_ids: list[str]
    exclude: list[str]
    texts: list[str]
    alternatives: dict[int, tuple[str, ...]]
    failed: dict[int, str]


def read_references(run: Path, normalizer: TextNormalizer, *, only: Collection[str] | None = None) -> References:
    """Read ``utterances.parquet`` of a run and normalize every distinct reference once.

    Args:
        run: The run folder.
        normalizer: The text rules.
        only: Ids to which the result is restricted, if any.

    Raises:
        InputError: The file is missing, damaged, lacks a column or has an id twice.
    """
    path = run / UTTERANCES_FILE
    table = read_columns(path, _COLUMNS, optional=(ALTERNATIVES_COLUMN,))
    if only is not None:
        table = table.filter(pc.is_in(table["utterance_id"], value_set=pa.array(sorted(only), pa.large_string())))
    return references_of(table, normalizer, path=path)


def references_of(table: pa.Table, normalizer: TextNormalizer, *, path: Path | None = None) -> References:
    """Normalize every distinct reference of a table of utterances once.

    Args:
        table: Columns ``utterance_id``, ``speaker_id``, ``reference``, ``exclude`` and, if any,
            ``alternative_references``, all text.
        normalizer: The text rules.
        path: Where the table lies, for messages.

    Raises:
        InputError: An id stands there twice, or alternative references are no texts.
    """
    table = table.select([name for name in (*_COLUMNS, ALTERNATIVES_COLUMN) if name in table.column_names])
    table = table.sort_by("utterance_id")
    ids: list[str] = table["utterance_id"].to_pylist()
    for first, second in itertools.pairwise(ids):
        if first == second:
            raise InputError("an utterance id stands there twice", file=path, column="utterance_id", value=first)
    exclude = table["exclude"].to_pylist()
    raw = table["reference"].to_pylist()
    texts: list[str] = []
    failed: dict[int, str] = {}
    known: dict[str, str] = {}
    for index, text in enumerate(raw):
        done = known.get(text)
        if done is None:
            try:
                done = known[text] = " ".join(normalizer.words(text))
            except NormalizerFailedError as error:
                failed[index] = error.message
                done = ""
        texts.append(done)
    alternatives: dict[int, tuple[str, ...]] = {}
    if ALTERNATIVES_COLUMN in table.column_names:
        for index, cell in enumerate(table[ALTERNATIVES_COLUMN].to_pylist()):
            others = dict.fromkeys(
                " ".join(normalizer.words(text)) for text in _split_alternatives(cell, path, ids[index])
            )
            others.pop(texts[index], None)
            others.pop("", None)
            if others and texts[index]:
                alternatives[index] = tuple(others)
    return References(
        utterance_ids=ids,
        speaker_ids=table["speaker_id"].to_pylist(),
        exclude=exclude,
        texts=texts,
        alternatives=alternatives,
        failed=failed,
    )


def _split_alternatives(cell: str, path: Path | None, utterance_id: str) -> list[str]:
    if not cell or cell == NOT_STATED:
        return []
    if not cell.lstrip().startswith("["):
        return cell.split("|")
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InputError(
            f"the alternative references of {utterance_id!r} are no JSON list of texts",
            file=path,
            column=ALTERNATIVES_COLUMN,
            value=cell,
            remedy='Write ["one text", "another"], or the texts separated by |',
        )
    return found


def read_columns(path: Path, columns: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> pa.Table:
    """Read text columns of a run's Parquet file, nulls as empty strings.

    Raises:
        InputError: The file is missing, damaged or lacks a column.
    """
    with open_parquet(path, columns) as file:
        names = [*columns, *(name for name in optional if name in file.schema_arrow.names)]
        try:
            table = file.read(columns=names)
            return as_text(table)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error


def as_text(table: pa.Table) -> pa.Table:
    """Make every column of a table text, nulls the empty string; nested columns are left out."""
    flat = [name for name in table.column_names if not pa.types.is_nested(table.schema.field(name).type)]
    return pa.table({name: pc.fill_null(table[name].cast(pa.large_string()), "") for name in flat})


def open_parquet(path: Path, columns: tuple[str, ...]) -> pq.ParquetFile:
    """Open a run's Parquet file and check that it has the columns.

    Raises:
        InputError: The file is missing, damaged or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise InputError(
            "the run has no such file", file=path, remedy="Make it with 'asrfair run' or 'asrfair score --manifest'"
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    for name in columns:
        if name not in file.schema_arrow.names:
            file.close()
            raise InputError("a column is missing", file=path, column=name, remedy="Make the run again")
    return file


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"the file cannot be read: {error}", file=path, remedy="Make the run again")
