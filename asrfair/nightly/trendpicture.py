"""The trend as one PNG, to paste into a chat: everybody, the gaps, and the groups that fail or fare worst."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from asrfair.errors import printable
from asrfair.nightly.trend import Panel, Section, Trend
from asrfair.nightly.trendpage import said, span
from asrfair.report.style import ACCENT, MUTED, WARN, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
PANELS = 6
"""Two rows for an engine and condition that is alone; one for each of several."""
NOTES = 6
"""Changes that are named below the picture: the newest."""
SECTIONS = 4
"""More engines and conditions are on the page only."""


def trend_picture(trend: Trend) -> bytes:
    """Return the PNG."""
    from matplotlib.figure import Figure

    shown = trend.sections[:SECTIONS]
    rows = [_chosen(section, PANELS if len(shown) == 1 else COLUMNS) for section in shown]
    heights = [-(-len(panels) // COLUMNS) for panels in rows]
    lines = max(sum(heights), 1)
    with style():
        notes = _notes(trend)
        figure = Figure(figsize=(10.5, 0.7 + 2.1 * lines + 0.17 * len(notes)), layout="constrained")
        newest = trend.nights[-1] if trend.nights else None
        head = printable(trend.suite, limit=60)
        if newest is not None:
            head += f": night {newest.number} {'failed' if newest.verdict == 'fail' else 'passed'}"
        if len(trend.sections) > SECTIONS:
            head += f" (the first {SECTIONS} of {len(trend.sections)} engines and conditions)"
        figure.suptitle(head, x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=7.5, color=MUTED)
        axes = figure.subplots(lines, COLUMNS, squeeze=False)
        line = 0
        for section, panels, height in zip(shown, rows, heights, strict=True):
            cells = [cell for row in axes[line : line + height] for cell in row]
            for cell, panel in zip(cells, panels, strict=False):
                _draw(cell, panel, trend)
            if len(shown) > 1 and panels:
                where = f"{printable(section.engine, limit=30)}\n{printable(section.condition, limit=30)}"
                cells[0].set_ylabel(where, fontsize=8)
            for cell in cells[len(panels) :]:
                cell.set_axis_off()
            line += height
        if not shown:
            for cell in axes.flat:
                cell.set_axis_off()
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _notes(trend: Trend) -> list[str]:
    """Say what is drawn, and what the newest marks stand for."""
    lines = [
        "Word error rate (%) and gaps (points) by night. Shaded: interval; dotted: the baseline; large dots: a gate failed."
    ]
    for mark in trend.marks[-NOTES:]:
        lines.append(f"{mark.letter}, night {mark.night}: {printable('; '.join(mark.texts), limit=150)}")
    return lines


def _chosen(section: Section, count: int) -> list[Panel]:
    """Everybody and the gaps; then groups that are large enough, those that failed last first, then the worst."""
    groups = [panel for panels in section.groups.values() for panel in panels if not panel.few]
    groups.sort(key=lambda panel: (-max(panel.failed, default=0), -panel.points[-1][1]))
    first = list(section.overall[: COLUMNS - 1])
    return first + groups[: count - len(first)]


def _draw(axes: Axes, panel: Panel, trend: Trend) -> None:
    numbers = [night.number for night in trend.nights]
    index_of = {number: index for index, number in enumerate(numbers)}
    x = [index_of[night] for night, _, _, _ in panel.points]
    known = [(index_of[n], low, high) for n, _, low, high in panel.points if math.isfinite(low) and math.isfinite(high)]
    if len(known) == 1:
        axes.vlines(known[0][0], known[0][1], known[0][2], color=ACCENT, alpha=0.4)
    elif known:
        at, low, high = zip(*known, strict=True)
        axes.fill_between(at, low, high, color=ACCENT, alpha=0.15, linewidth=0)
    axes.plot(x, [point[1] for point in panel.points], color=ACCENT, marker="o", markersize=2.5)
    bad = [(index_of[n], value) for n, value, _, _ in panel.points if n in panel.failed]
    if bad:
        axes.plot(*zip(*bad, strict=True), color=WARN, marker="o", markersize=5.5, linestyle="none")
    if math.isfinite(panel.baseline):
        axes.axhline(panel.baseline, color=MUTED, linestyle=":", linewidth=1)
    axes.set_ylim(*span(panel))
    axes.set_xlim(-0.6, len(numbers) - 0.4)
    free = -math.inf
    for mark in trend.marks:
        if mark.night not in index_of:
            continue
        axes.axvline(index_of[mark.night], color=MUTED, linestyle="--", linewidth=0.8)
        if index_of[mark.night] >= free:
            transform = axes.get_xaxis_transform()
            axes.text(index_of[mark.night], 1.0, mark.letter, transform=transform, fontsize=7, ha="center", va="bottom")
            free = index_of[mark.night] + len(numbers) / 25
    ticks = list(dict.fromkeys((0, len(numbers) // 2, len(numbers) - 1)))
    axes.set_xticks(ticks, [str(numbers[tick]) for tick in ticks])
    axes.set_title(f"{printable(panel.name, limit=40)}\n{said(panel)}", fontsize=8.5, pad=12)
