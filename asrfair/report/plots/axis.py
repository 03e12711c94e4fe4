"""The end of an axis of word error rates, and what lies beyond it: an arrow with the number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from asrfair.report.style import INK
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CUT: Final = 1.5
"""WER above which an axis is cut, unless most of what it shows is above: a recogniser that loops has several hundred %."""

MANY: Final = 20
"""With so many rates, one in twenty may lie beyond the axis where it is far from the others."""


def axis_end(rates: npt.ArrayLike, ends: npt.ArrayLike = ()) -> float:
    """Return the right end of an axis that begins at 0, as a fraction.

    It is past every rate up to :data:`CUT` but the few that are far from all others, and past the ends of intervals
    unless a huge one would flatten the rest.

    Args:
        rates: What is drawn; NaN is ignored.
        ends: Upper ends of intervals; NaN is ignored.
    """
    known, upper = (np.asarray(values, dtype=float).ravel() for values in (rates, ends))
    known, upper = known[np.isfinite(known)], upper[np.isfinite(upper)]
    if not known.size:
        return 0.02
    usual = float(np.quantile(known, 0.95))
    if known.size >= MANY and known.max() > 2.5 * usual > 0:
        return min(1.5 * usual, CUT)
    within = known[known <= CUT]
    if within.size < known.size and within.size >= known.size / 2:
        return CUT
    highest = float(known.max())
    wanted = min(float(upper.max()), 2.2 * highest) if upper.size else highest
    return max(1.06 * min(wanted, max(CUT, highest)), 1.06 * highest, 0.02)


def beyond(axes: Axes, rate: float, y: float, end: float, colour: str) -> bool:
    """Draw an arrow at the end of a horizontal axis in percent, with the number of a rate that lies beyond it."""
    if not rate > end:
        return False
    axes.plot([100 * end], [y], marker=">", color=colour, markersize=6, clip_on=False, zorder=5)
    axes.annotate(
        f"{words.number(rate, 'percent')}",
        (100 * end, y),
        xytext=(-7, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=7.5,
        color=INK,
        zorder=6,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
    )
    return True
