"""A manifest's table under our column names, before any cell is converted, and the problems met on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.manifest.audiopaths import is_inside
from asrfair.data.manifest.card import (
    ALIASES,
    CANONICAL_COLUMNS,
    REQUIRED_COLUMNS,
    Card,
    attribute_name_problem,
    read_card,
)
from asrfair.data.manifest.notes import Notes
from asrfair.data.tablefile import SUFFIXES, TEXT, read_arrow, suffix_of
from asrfair.data.tomlfile import TomlFile, did_you_mean
from asrfair.errors import InputError, printable

if TYPE_CHECKING:
    from pathlib import Path

    from asrfair.data.manifest.model import Problem


@dataclass(frozen=True, kw_only=True)
class Source:
    """The table with its columns under our names, before anything is converted."""

    path: Path
    table_path: Path
    card: Card
    columns: dict[str, str]
    attributes: tuple[str, ...]
    raw: dict[str, pa.Array]
    rows: int
    notes: Notes = field(default_factory=Notes)


def open_source(path: Path, *, allow_outside: bool) -> Source:
    """Read the card (if there is one) and the table, and give columns our names.

    Raises:
        InputError: The card or the table as a whole cannot be used.
    """
    toml: TomlFile | None = None
    if path.suffix.lower() == ".toml":
        toml = TomlFile(path)
        card = read_card(toml)
        table_path = path.parent / card.table
        try:
            leaves = not allow_outside and not is_inside(table_path, path.parent)
        except (OSError, ValueError) as error:
            raise toml.error(f"the table's path cannot be used: {error}", "manifest", "table") from error
        if leaves:
            raise toml.error(
                "the table lies outside the card's folder",
                "manifest",
                "table",
                value=card.table,
                remedy="Move it, or allow it with --allow-outside",
            )
        if not table_path.exists():
            raise toml.error(
                "the table is not there", "manifest", "table", value=card.table, remedy="It is relative to the card"
            )
    elif suffix_of(path) in SUFFIXES:
        card, table_path = Card(name=path.stem, table=path.name), path
    else:
        raise InputError(
            f"not a manifest: {path.suffix or 'a file without suffix'}",
            file=path,
            remedy=f"Give a card (.toml) or a table ({', '.join(SUFFIXES)})",
        )
    table = read_arrow(table_path)
    names = table.column_names
    columns = _mapping(card, names, toml, table_path)
    attributes = tuple(ours for ours in columns if ours not in CANONICAL_COLUMNS)
    for name in card.attributes:
        if name not in attributes:
            assert toml is not None
            raise toml.error(
                f"the table has no attribute {name!r}", "attributes", name, remedy=did_you_mean(name, attributes)
            )
    raw = {
        ours: pc.utf8_trim_whitespace(_chunk(table[theirs])) if ours != "reference" else _chunk(table[theirs])
        for ours, theirs in columns.items()
    }
    return Source(
        path=path,
        table_path=table_path,
        card=card,
        columns=columns,
        attributes=attributes,
        raw=raw,
        rows=table.num_rows,
    )


def _mapping(card: Card, names: list[str], toml: TomlFile | None, table_path: Path) -> dict[str, str]:
    """Return ours → theirs for every column that is used, in the table's order."""
    wanted = dict(card.columns)
    if toml is not None:
        for ours, theirs in wanted.items():
            if theirs not in names:
                raise toml.error(
                    f"the table has no column {theirs!r}", "columns", ours, remedy=did_you_mean(theirs, names)
                )
            if ours in names and theirs != ours and ours not in wanted.values() and ours not in card.ignore:
                raise toml.error(
                    f"the table also has a column {ours!r}",
                    "columns",
                    ours,
                    remedy=f'Say which is meant: ignore = ["{ours}"] in [manifest] leaves it out',
                )
        for name in card.ignore:
            if name not in names:
                raise toml.error(
                    "ignore names a column that the table does not have",
                    "manifest",
                    "ignore",
                    value=name,
                    remedy=did_you_mean(name, names),
                )
    taken = set(wanted.values())
    for theirs, ours in ALIASES.items():
        free = theirs in names and theirs not in taken and theirs not in card.ignore
        if free and ours not in wanted and ours not in names:
            wanted[ours] = theirs
            taken.add(theirs)
    for name in names:
        if name not in taken and name not in card.ignore and name not in wanted:
            wanted[name] = name
    missing = [name for name in REQUIRED_COLUMNS if name not in wanted]
    if missing:
        raise InputError(
            f"the table has no column {', '.join(map(repr, missing))}",
            file=table_path,
            line=1,
            column=missing[0],
            remedy=f'Map it in the card: [columns] {missing[0]} = "their name". {did_you_mean(missing[0], names)}',
        )
    for ours, theirs in wanted.items():
        problem = "" if ours in CANONICAL_COLUMNS else attribute_name_problem(ours)
        if problem:
            raise InputError(
                problem,
                file=table_path,
                line=1,
                column=theirs,
                remedy=f'Rename it by [columns] other = "{printable(theirs, limit=40)}", or list it in ignore',
            )
    position = {name: number for number, name in enumerate(names)}
    return dict(sorted(wanted.items(), key=lambda item: position[item[1]]))


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def column_of(source: Source, name: str) -> pa.Array:
    """Return a column as text; empty cells where the table has none of that name."""
    return source.raw[name] if name in source.raw else pa.array([""], TEXT).take(pa.array(np.zeros(source.rows, int)))


def located(source: Source) -> tuple[Problem, ...]:
    """Return the problems that were noted, in the order of rows, with the lines on which they stand."""

    def cell(column: str, row: int) -> str:
        return str(source.raw[column][row].as_py()) if column in source.raw else ""

    return source.notes.located(source.table_path, source.columns, cell, general=source.path)
