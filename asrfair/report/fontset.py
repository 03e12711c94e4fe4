"""Fonts for every script: DejaVu Sans, which matplotlib brings, and what it lacks, shipped in ``fonts/``.

matplotlib shapes text itself (Indic conjuncts, Arabic joining, right-to-left order); here it learns which fonts there are.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

BASE: Final = "DejaVu Sans"
_LEFT_TO_RIGHT_MARK: Final = "\u200e"


def font_files() -> list[Path]:
    """Return the shipped fonts, by name."""
    folder = Path(str(resources.files("asrfair.report").joinpath("fonts")))
    return sorted(folder.glob("*.ttf"))


@cache
def families() -> tuple[str, ...]:
    """Make the shipped fonts known to matplotlib, and return the families in the order in which a letter is looked for."""
    from matplotlib.font_manager import fontManager, ttfFontProperty
    from matplotlib.ft2font import FT2Font

    found = [BASE]
    for path in font_files():
        entry = ttfFontProperty(FT2Font(path))
        # Regular is all there is: as "bold" it stands beside DejaVu's, so that matplotlib does not log a substitution.
        fontManager.ttflist += [entry, replace(entry, weight=700)]
        found.append(entry.name)
    return tuple(found)


def directed(name: str) -> str:
    """Return a name in a script that is written from right to left so that the line around it keeps its own order."""
    if any(unicodedata.bidirectional(c) in {"R", "AL"} for c in name):
        return f"{_LEFT_TO_RIGHT_MARK}{name}{_LEFT_TO_RIGHT_MARK}"
    return name


def shown(text: str) -> str:
    """Return text with a space for every character that is not printed; spaces that keep words together stay."""
    text = text.replace("\u202f", "\u00a0")
    return "".join(c if c.isprintable() or c in {_LEFT_TO_RIGHT_MARK, "\u00a0"} else " " for c in text)


def columns(text: str) -> int:
    """Return how many Latin letters wide a text is, about: Chinese and Korean count twice, combining marks not at all."""
    return round(sum(map(_columns, text)))


def _columns(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 2.0
    if unicodedata.category(letter) in {"Mn", "Me", "Cf"}:
        return 0.0
    return 1.35 if "\u0900" <= letter < "\u1900" else 1.0


def widest(texts: list[str]) -> int:
    """Return the width of the widest text in Latin letters, about."""
    return max(map(columns, texts), default=0)
