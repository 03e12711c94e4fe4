"""What an importer is: one function from a corpus as it is distributed to rows under our column names, and a card.

To write your own, put a function into a file and name it: ``asrfair manifest import my_corpus.py:read PATH --out DIR``.
See docs/importers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from asrfair.data.manifest import Card


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What the user asked for.

    Attributes:
        source: The corpus' folder or file, or (where an importer says so) its name.
        options: ``--option key=value`` of the command line.
        out: The folder of the manifest that will be written; only an importer whose audio is not in files writes there.
    """

    source: Path
    options: Mapping[str, str] = field(default_factory=dict)
    out: Path

    def option(self, name: str, default: str, *, choices: Iterable[str] = ()) -> str:
        """Return an option's value.

        Raises:
            InputError: It is not one of ``choices``.
        """
        value = self.options.get(name, default)
        known = tuple(choices)
        if known and value not in known:
            raise InputError(f"the option {name!r} cannot be {value!r}", remedy=did_you_mean(value, known))
        return value

    def need(self, *parts: str) -> Path:
        """Return a file or folder of the corpus.

        Raises:
            InputError: It is not there.
        """
        path = self.source.joinpath(*parts)
        if not path.exists():
            raise InputError(
                "the corpus has no such file or folder",
                file=path,
                remedy="Give the folder that the corpus unpacks to; 'asrfair manifest importers' shows each layout",
            )
        return path


@dataclass(frozen=True, kw_only=True)
class ImportedCorpus:
    """What an importer returns.

    Attributes:
        card: Name, terms and attributes. Its ``table`` is set when the manifest is written.
        rows: A row an utterance, under our column names; ``audio`` absolute or relative to ``request.source``. Rows
            that must not be scored are kept, with a reason in ``exclude``.
        notes: Sentences about what was left out or decided, shown to the user.
    """

    card: Card
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Importer:
    """An importer and what the user may be told about it.

    Attributes:
        read: The function.
        summary: The corpus, in a line.
        layout: What the folder (or file) must look like.
        options: Option → what it does; ``None`` means that any option is taken.
    """

    read: Callable[[ImportRequest], ImportedCorpus]
    summary: str
    layout: str
    options: Mapping[str, str] | None = field(default_factory=dict)


def frame(records: Iterable[Mapping[str, Any]], *, request: ImportRequest) -> pd.DataFrame:
    """Return records as a table; keys that a record lacks are empty.

    Raises:
        InputError: There are none.
    """
    table = pd.DataFrame.from_records(list(records))
    if table.empty:
        raise InputError(
            "no utterance was found",
            file=request.source,
            remedy="Is this the folder that the corpus unpacks to? 'asrfair manifest importers' shows each layout",
        )
    for name in table.columns:
        if table[name].dtype == object:
            table[name] = table[name].where(table[name].notna(), "")
    return table


def read_text(path: Path) -> str:
    """Return a text file of a corpus.

    Raises:
        InputError: It cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8", file=path, remedy="Is it the corpus' own file?") from error
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror or error}", file=path) from error
