"""Intervals that hold for all groups of a table at once, since a reader looks at all of them.

The rates of groups of different speakers are independent, so the largest of their studentised deviations exceeds each
group's own quantile of level (1 − α)^(1/m) with probability α exactly (Šidák 1967): the quantile of the maximum over
groups with unequal degrees of freedom, without drawing it. Where groups share speakers the same bounds are conservative
(Šidák's inequality).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asrfair.stats.estimate.rate_interval import Estimate, limits
from asrfair.stats.frame import Floats


def simultaneous_interval(estimate: Estimate, shown: npt.NDArray[np.bool_], level: float) -> tuple[Floats, Floats]:
    """Bounds that hold for all shown groups of a run at once.

    Args:
        estimate: Rates of shape (R, G).
        shown: Groups that belong to the family, shape (R, G).
        level: Joint confidence.
    """
    family = np.maximum((shown & estimate.known).sum(axis=1, keepdims=True), 1)
    each = (1.0 - level ** (1.0 / family)) / 2
    return limits(estimate, np.broadcast_to(each, estimate.rate.shape))
