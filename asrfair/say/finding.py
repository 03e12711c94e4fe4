"""One sentence with where it comes from, and the small things that makers of sentences share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence with where it comes from."""

    id: str
    level: str
    text: str
    table: str
    engine: str = ""
    condition: str = ""
    attribute: str = ""


def rows_of(tables: Tables, name: str, **equal: str) -> pd.DataFrame:
    """Rows of a table with the given values; empty where there is no such table."""
    table = tables.get(name)
    if table is None or table.empty:
        return pd.DataFrame()
    for column, value in equal.items():
        table = table[table[column] == value]
    return table


def blocks(table: pd.DataFrame, *columns: str) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """Yield the rows of each combination of values of some columns, in the order of the table."""
    if table.empty:
        return
    for key, block in table.groupby(list(columns), sort=False):
        yield [str(part) for part in key], block


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def finding(row: Mapping[str, Any], name: str, level: str, text: str, table: str) -> Finding:
    """Make a finding about one row; its id is the name and where it was found."""
    engine, condition, attribute = (str(row.get(key, "")) for key in ("engine", "condition", "attribute"))
    return Finding(
        id=":".join(part for part in (name, engine, condition, attribute) if part),
        level=level,
        text=text,
        table=table,
        engine=engine,
        condition=condition,
        attribute=attribute,
    )
