"""Which plots a run gets, and under which names they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asrfair.report import words
from asrfair.report.loading import RunData
from asrfair.report.plots import forest_plot
from asrfair.report.style import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class PlannedFigure:
    """One plot: file stem, section of the report it belongs to, what it shows in words, and the call that draws it."""

    stem: str
    section: str
    title: str
    draw: Callable[[], Figure]


def planned_figures(run: RunData) -> Iterator[PlannedFigure]:
    """Yield the plots that the run's tables allow."""
    main = run.main_condition
    for attribute in run.attributes:
        rows = run.disparity[(run.disparity["attribute"] == attribute) & (run.disparity["condition"] == main)]
        if rows["wer"].notna().any():
            yield PlannedFigure(
                stem=f"forest-{slug(attribute)}",
                section="groups",
                title=f"WER by {words.attribute_words(attribute)} with intervals, {words.condition_words(main)}",
                draw=partial(
                    forest_plot, run.disparity, attribute=attribute, condition=main, confidence=run.confidence
                ),
            )


def write_figures(run: RunData, folder: Path) -> list[Path]:
    """Draw every planned plot into ``folder`` as PNG and SVG; return the files."""
    written: list[Path] = []
    for planned in planned_figures(run):
        written += save_figure(planned.draw(), folder / planned.stem)
    return written


def slug(text: str) -> str:
    """Return text fit for file names and links: lower-case letters, digits, hyphens; a hash where it lost some."""
    import hashlib

    plain = re.sub(r"[^a-z0-9]+", "-", text.lower().replace("×", "x")).strip("-")[:60]
    lossless = re.fullmatch(r"[A-Za-z0-9 _.×@=-]{1,60}", text) is not None and plain != ""
    return plain if lossless else f"{plain or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
