"""Many questions, one family: p-values adjusted for how many were looked at (Holm 1979; Benjamini & Hochberg 1995)."""

from __future__ import annotations

import numpy as np

from asrfair.stats.frame import Floats, Ints


def holm(p: Floats) -> Floats:
    """Adjust p-values so that the chance of even one false alarm in the family is at most the level.

    A hypothesis is rejected where its adjusted value is at most the level; that is the step-down rule
    p_(k) ≤ α / (m − k + 1) of Holm (1979), valid whatever the dependence between the tests.

    Args:
        p: P-values of any shape; NaN stands for a test that was not made and does not count in m.

    Returns:
        Adjusted p-values of the same shape, NaN where p is.
    """
    flat, order = _sorted(p)
    size = len(order)
    scaled = flat[order] * (size - np.arange(size))
    adjusted = np.full(flat.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted.reshape(np.shape(p))


def benjamini_hochberg(p: Floats) -> Floats:
    """Adjust p-values so that the expected share of false ones among the findings is at most the level.

    Benjamini & Hochberg (1995): all up to the largest k with p_(k) ≤ kα/m are found.

    Args:
        p: P-values of any shape; NaN stands for a test that was not made.

    Returns:
        Adjusted values (q) of the same shape, NaN where p is.
    """
    flat, order = _sorted(p)
    size = len(order)
    scaled = flat[order] * size / np.arange(1, size + 1)
    adjusted = np.full(flat.shape, np.nan)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted.reshape(np.shape(p))


def _sorted(p: Floats) -> tuple[Floats, Ints]:
    """Return the values, flat, and the places of those that are not NaN in ascending order."""
    flat = np.asarray(p, dtype=np.float64).ravel()
    order = np.argsort(flat, kind="stable")
    return flat, order[: int((~np.isnan(flat)).sum())].astype(np.int64)
