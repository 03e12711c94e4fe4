"""What plots share: a figure under a heading, axes with a row a group, captions below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asrfair.report.plots.axis import beyond
from asrfair.report.style import INK, MUTED, RULE, new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def headed_figure(title: str, *, width: float, body: float, above: float = 0.5, below: float = 0.75) -> Figure:
    """Return a figure with its heading; sizes in inches, ``above`` with a heading of one line."""
    heading = wrapped(title, int(width * 10.4))
    height = above + 0.2 * heading.count("\n") + body + below
    figure = new_figure(width, height)
    figure.text(0.12 / width, 1 - 0.14 / height, heading, fontsize=11, fontweight="bold", va="top", linespacing=1.25)
    return figure


def axes_at(figure: Figure, *, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes of a place and size in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def captions(figure: Figure, label: str, note: str) -> None:
    """Write what the axis is, and below it what the marks mean."""
    width, height = figure.get_size_inches()
    figure.text(0.12 / width, 0.32 / height, label, fontsize=8.5, color=INK, va="center")
    figure.text(0.12 / width, 0.13 / height, note, fontsize=8, color=MUTED, va="center")


def rows_of(
    axes: Axes, names: Sequence[str], positions: npt.NDArray[Any], ends: tuple[float, float], *, ticks: int = 6
) -> None:
    """Dress axes with a row at every position, named where names are given."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(*ends)
    axes.set_ylim(-0.7, len(positions) - 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=ends[1] - ends[0] > 8))
    axes.grid(axis="x")
    axes.hlines(positions, *ends, color=RULE, linewidth=0.4, zorder=0)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_yticks(positions if names else [], labels=list(names) or None)


def rate_in_row(axes: Axes, row: Any, y: float, end: float, colour: str, *, marker: str = "o") -> bool:
    """Draw a rate with its interval, cut at the end of the axis (a fraction); return whether anything was cut."""
    rate, low, high = (float(row[name]) if name in row else np.nan for name in ("rate", "ci_low", "ci_high"))
    known = bool(np.isfinite(low) and np.isfinite(high))
    cut = known and high > end
    if known and low < end:
        axes.plot(
            [100 * low, 100 * min(high, end)], [y, y], color=colour, linewidth=1.5, solid_capstyle="butt", zorder=2
        )
        if cut:
            axes.plot([100 * end], [y], marker=">", color=colour, markersize=4.5, clip_on=False, zorder=3)
    if beyond(axes, rate, y, end, colour):
        return True
    face = colour if known else "white"
    axes.plot([100 * rate], [y], marker=marker, markersize=4.8, color=colour, markerfacecolor=face, zorder=4)
    return cut
