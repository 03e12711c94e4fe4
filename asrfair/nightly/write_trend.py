"""The trend of a suite as files: a page and a picture below the history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrfair.data.wholefile import write_whole
from asrfair.nightly.history import History, explained
from asrfair.nightly.trend import MAX_NIGHTS, read_trend
from asrfair.nightly.trendpage import trend_page
from asrfair.nightly.trendpicture import trend_picture


def write_trend(history: History, suite: str, rules: Mapping[str, Any] | None = None) -> list[Path]:
    """Write ``trend/SUITE.html`` and ``trend/SUITE.png`` below the history, each in one step; return the files.

    Args:
        history: The history.
        suite: The suite's name.
        rules: Of scoring, for nights that were scored again; those of the newest night by default.
    """
    trend = read_trend(suite, history.nights(suite)[-MAX_NIGHTS:], history.accepted(suite), rules)
    folder = history.folder / "trend"
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in suite)[:60] or "suite"
    written = []
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for ending, content in (("html", trend_page(trend).encode()), ("png", trend_picture(trend))):
            written.append(folder / f"{name}.{ending}")
            write_whole(written[-1], content)
    return written
