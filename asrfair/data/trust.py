"""Whose code may run: what is installed under an entry point, and what the user names; never what a folder names.

A normalizer or a metric may be a function of the user's, ``module:callable``. Importing a module runs it, so such a
name is taken from the command line and from a suite that the user runs (both call :func:`name_code`), and from nowhere
else: a run folder, a kit, a history is data that may come from somebody else, and what stands there must have been
named, or is refused (:func:`require_named`).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asrfair.errors import InputError

_named: set[str] = set()


def name_code(names: Iterable[str]) -> None:
    """Note that the user has named these; names of built-in things among them do no harm."""
    _named.update(_callable(name) for name in names)


def is_named(name: str) -> bool:
    """Whether the user has named this code."""
    return _callable(name) in _named


def require_named(names: Iterable[str], *, file: Path) -> None:
    """Refuse code that only a file names.

    Args:
        names: Normalizers or metrics as the file has them.
        file: The file.

    Raises:
        InputError: One is ``module:callable`` and the user has not named it.
    """
    for name in names:
        code = _callable(name)
        if ":" in code and code not in _named:
            raise InputError(
                "the file names code to run, and a file that may come from somebody else cannot ask for that",
                file=file,
                value=code,
                remedy=f"If you know this code and trust it, name it yourself: asrfair --code {code} …",
            )


def installed(group: str, name: str) -> Any | None:
    """Load what an installed package offers under an entry point, or return ``None``.

    Raises:
        InputError: It is there and cannot be imported.
    """
    for point in importlib.metadata.entry_points(group=group, name=name):
        try:
            return point.load()
        except Exception as error:
            raise InputError(
                f"the plug-in {name!r} cannot be imported from {point.value}: {type(error).__name__}: {error}",
                remedy="Check that package's installation",
            ) from error
    return None


def _callable(name: str) -> str:
    return name.split("+", 1)[0].split("@", 1)[0].strip()
