"""Problems noted by zero-based row while columns are checked, and given their lines once, at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from asrfair.data.manifest.model import Problem
from asrfair.data.tablefile import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    row: int | None
    column: str
    message: str
    remedy: str
    severity: Severity
    value: str | None


class Notes:
    """A list of problems that grows while a table is checked."""

    def __init__(self) -> None:
        self._notes: list[_Note] = []

    def add(
        self,
        rows: Iterable[int],
        column: str,
        message: str,
        remedy: str,
        *,
        severity: Severity = "error",
        value: str | None = None,
    ) -> None:
        """Note a problem in every one of these rows; without ``value`` the cell is shown."""
        self._notes.extend(
            _Note(row=int(row), column=column, message=message, remedy=remedy, severity=severity, value=value)
            for row in rows
        )

    def add_general(
        self, column: str, message: str, remedy: str, *, severity: Severity = "warning", value: str = ""
    ) -> None:
        """Note a problem that is in no single row."""
        self._notes.append(
            _Note(row=None, column=column, message=message, remedy=remedy, severity=severity, value=value)
        )

    def located(
        self, table_path: Path, columns: Mapping[str, str], cell: Callable[[str, int], str], *, general: Path
    ) -> tuple[Problem, ...]:
        """Return the problems with their lines: general ones first, then in the order of rows.

        Args:
            table_path: The table's file.
            columns: Our column name → the table's own.
            cell: Returns the text of a cell, by our column name and row.
            general: The file to name where a problem is in no single row.
        """
        lines = lines_of(table_path, {note.row for note in self._notes if note.row is not None})
        ordered = sorted(self._notes, key=lambda note: -1 if note.row is None else note.row)
        return tuple(
            Problem(
                file=general if note.row is None else table_path,
                row=None if note.row is None else lines.get(note.row),
                column=columns.get(note.column, note.column),
                value=_value(note, cell),
                message=note.message,
                remedy=note.remedy,
                severity=note.severity,
            )
            for note in ordered
        )


def _value(note: _Note, cell: Callable[[str, int], str]) -> str:
    if note.value is not None or note.row is None:
        return note.value or ""
    return cell(note.column, note.row)
