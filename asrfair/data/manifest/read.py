"""Read a manifest: map other people's columns, take mark-up out, turn text into numbers, point at what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.manifest import cells, vocabulary
from asrfair.data.manifest.card import ALTERNATIVES, AttributeCard
from asrfair.data.manifest.model import Manifest, fingerprint_of
from asrfair.data.manifest.source import column_of, located, open_source
from asrfair.data.stored.address import prefix_problem
from asrfair.data.tablefile import STRING_DTYPE, TEXT
from asrfair.errors import InputError


def read_manifest(path: Path, *, allow_outside: bool = False, allow_remote: Sequence[str] | None = ()) -> Manifest:
    """Read a manifest: the TOML card beside a table, or a bare table (CSV, TSV, JSON Lines, Parquet).

    Args:
        path: The card or the table.
        allow_outside: Whether the table and its audio may lie outside the folder of ``path`` (links followed).
        allow_remote: Addresses, such as ``s3://bucket``, below which its audio may be fetched from; by default none.
            ``None`` where nobody will read the audio: rows with such an address then have none.

    Raises:
        InputError: The first thing that makes it unusable, with file, line, column, value and remedy.
    """
    manifest = inspect_manifest(path, allow_outside=allow_outside, allow_remote=allow_remote)
    errors = [problem for problem in manifest.structural if problem.severity == "error"]
    if errors:
        first = errors[0]
        more = f" ({len(errors) - 1} more: 'asrfair manifest validate' lists them)" if len(errors) > 1 else ""
        raise InputError(
            first.message + more,
            file=first.file,
            line=first.row,
            column=first.column or None,
            value=first.value or None,
            remedy=first.remedy,
        )
    return manifest


def inspect_manifest(path: Path, *, allow_outside: bool = False, allow_remote: Sequence[str] | None = ()) -> Manifest:
    """Read like :func:`read_manifest`, but keep the problems of single rows in ``structural`` instead of raising.

    A number that cannot be read is NaN, a path that leaves the folder is empty.

    Raises:
        InputError: The card or the table as a whole cannot be used.
    """
    for prefix in allow_remote or ():
        problem = prefix_problem(prefix)
        if problem:
            raise InputError(
                f"this cannot be allowed: {problem}",
                column="allow_remote",
                value=prefix,
                remedy="Name a bucket, host or folder, such as s3://my-bucket/corpus",
            )
    source = open_source(Path(path), allow_outside=allow_outside)
    if not source.rows:
        raise InputError("the table has no rows", file=source.table_path, remedy="Add a row for each utterance")
    exclude = column_of(source, "exclude")
    cells.check_exclude(source, exclude)
    excluded = np.asarray(pc.not_equal(exclude, ""))
    cells.check_ids(source, excluded)
    reference, changed = cells.clean_reference(source)
    numbers = {name: cells.seconds(source, name) for name in ("start_s", "end_s", "duration_s")}
    channel = cells.channels(source)
    cells.check_segments(source, numbers["start_s"], numbers["end_s"])
    audio = cells.audio_paths(source, allow_outside=allow_outside, allow_remote=allow_remote)
    language = column_of(source, "language")
    if source.card.language:
        language = pc.if_else(pc.equal(language, ""), pa.scalar(source.card.language, TEXT), language)

    text = {"utterance_id": column_of(source, "utterance_id"), "speaker_id": column_of(source, "speaker_id")}
    text["reference"] = reference
    if changed:
        text["reference_raw"] = source.raw["reference"]
    if ALTERNATIVES in source.raw:
        text[ALTERNATIVES], _ = cells.clean_reference(source, ALTERNATIVES)
    text["audio"] = audio
    values = {name: cells.attribute_values(source, name) for name in source.attributes}
    for name, column in values.items():
        source.notes.add(
            vocabulary.unknown_rows(name, column),
            name,
            f"the attribute {name!r} has a fixed vocabulary, and this is not in it",
            vocabulary.remedy(name) if name in vocabulary.VOCABULARIES else "",
        )
    fingerprint = fingerprint_of(
        {"utterance_id": text["utterance_id"], "speaker_id": text["speaker_id"], "reference": reference}
        | {"audio": column_of(source, "audio"), "language": language, "exclude": exclude}
        | {name: text[name] for name in (ALTERNATIVES,) if name in text}
        | {name: pa.array(column) for name, column in numbers.items()}
        | {"channel": pa.array(channel)}
        | {f"attribute {name}": column for name, column in values.items()}
    )
    frame: dict[str, object] = {name: _series(column) for name, column in text.items()}
    frame |= {"start_s": numbers["start_s"], "end_s": numbers["end_s"]}
    frame["channel"] = pd.array(np.where(np.isnan(channel), 0, channel).astype(np.int64), dtype="Int64")
    frame["channel"][np.isnan(channel)] = pd.NA  # type: ignore[index]
    frame |= {"duration_s": numbers["duration_s"], "language": _series(language), "exclude": _series(exclude)}
    frame |= {name: _series(column) for name, column in values.items()}
    attributes = {
        name: vocabulary.described(name, source.card.attributes.get(name, AttributeCard()))
        for name in source.attributes
    }
    return Manifest(
        card=replace(source.card, attributes=attributes),
        table=pd.DataFrame(frame),
        attributes=source.attributes,
        fingerprint=fingerprint,
        path=source.path,
        table_path=source.table_path,
        columns=source.columns,
        structural=located(source),
    )


def _series(column: pa.Array) -> pd.Series:
    return pd.Series(column.to_pandas(types_mapper={TEXT: STRING_DTYPE}.get))
