"""Student's t as a normal score and back, so that tests with few and with many speakers weigh alike in a maximum."""

from __future__ import annotations

import numpy as np

from asrfair.stats.frame import Floats


def normal_score(t: Floats, df: Floats) -> Floats:
    """Student's t as the normal deviate of nearly the same probability (Wallace 1959)."""
    with np.errstate(all="ignore"):
        size: Floats = np.sqrt(df * np.log1p(t**2 / df)) * (8.0 * df + 1.0) / (8.0 * df + 3.0)
    return np.sign(t) * size


def t_of_score(score: Floats | float, df: Floats) -> Floats:
    """The inverse of :func:`normal_score`."""
    with np.errstate(all="ignore"):
        root = np.asarray(score) * (8.0 * df + 3.0) / (8.0 * df + 1.0)
        t: Floats = np.sqrt(df * np.expm1(np.minimum(root**2 / df, 700.0)))
    return np.sign(score) * t
