"""Numbers as people read them, for the sentences beside the tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SPACE = "\u00a0"
"""Between a number and its unit, so that they stay on one line."""


def percent(rate: float) -> str:
    """0.256 → ``25.6 %``."""
    return f"{_minus(100 * rate, 1)}{SPACE}%"


def points(difference: float) -> str:
    """0.062 → ``6.2 points`` (percentage points)."""
    return f"{_minus(100 * difference, 1)}{SPACE}points"


def span(low: float, high: float, *, unit: str = "%") -> str:
    """0.1, 0.2 → ``10.0–20.0 %``; empty where there is no interval."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    joint = " to " if low < 0 else "–"
    return f"{_minus(100 * low, 1)}{joint}{_minus(100 * high, 1)}" + (f"{SPACE}{unit}" if unit else "")


def ratio(value: float) -> str:
    """2.613 → ``2.61``."""
    return f"{value:.2f}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """1, speaker → ``1 speaker``; 1234, word → ``1,234 words``."""
    return f"{number:,}{SPACE}{noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], *, limit: int = 5) -> str:
    """Join names with commas and a last ``and``; what is over the limit is counted."""
    shown = list(names[:limit])
    if len(names) > limit:
        shown.append(f"{len(names) - limit} more")
    if len(shown) < 2:
        return "".join(shown)
    return ", ".join(shown[:-1]) + " and " + shown[-1]


def short(name: str, *, limit: int = 24) -> str:
    """Cut an identifier that is a hash; the table has it whole."""
    return name if len(name) <= limit else name[: limit - 12] + "…"


def _minus(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")
