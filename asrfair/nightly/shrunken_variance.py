"""Variances of many small groups, each steadied by the others: Smyth's empirical Bayes (2004).

A group of five speakers knows its own variance with some three degrees of freedom, which costs a t test nearly all of
its power. The groups of one attribute are alike enough that the variance of one tells something of that of the next:
with s_g² the variance of a group on d_g degrees of freedom and σ_g² drawn from a scaled inverse χ² with d_0 degrees of
freedom around s_0², the best estimate is (d_0 s_0² + d_g s_g²) / (d_0 + d_g), and a t statistic made with it has
d_0 + d_g degrees of freedom (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), article 3, sections 3, 4 and 6.2). Where
the groups' variances differ, d_0 is small and each stands for itself. d_0 is never taken to be more than what the other
groups bring.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from asrfair.stats.frame import Floats

MIN_GROUPS = 3


def moderate(variance: Floats, df: Floats) -> tuple[Floats, Floats]:
    """Steady variances by each other.

    Args:
        variance: Of each group, shape (G,); NaN or 0 where not known.
        df: Degrees of freedom, shape (G,).

    Returns:
        Variances and degrees of freedom, shape (G,); NaN where nothing is known of a group.
    """
    known = np.isfinite(variance) & (variance > 0) & np.isfinite(df) & (df > 0)
    found, freedom = np.where(known, variance, np.nan), np.where(known, df, np.nan)
    if int(known.sum()) < MIN_GROUPS:
        return found, freedom
    s2, d = variance[known], df[known]
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    mean = e.mean()
    spread = float(((e - mean) ** 2).sum() / (len(e) - 1) - special.polygamma(1, d / 2).mean())
    most = d.sum() - d
    if spread > 0:
        half = _inverse_trigamma(spread)
        prior_df = np.minimum(2.0 * half, most)
        prior = float(np.exp(mean + special.digamma(half) - np.log(half)))
    else:
        prior_df = most
        prior = float(np.exp(mean))
    found[known] = (prior_df * prior + d * s2) / (prior_df + d)
    freedom[known] = prior_df + d
    return found, freedom


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method (Smyth 2004, appendix)."""
    if value > 1e7:
        return float(value**-0.5)
    if value < 1e-6:
        return 1.0 / value
    x = 0.5 + 1.0 / value
    for _ in range(50):
        first = float(special.polygamma(1, x))
        step = first * (1.0 - first / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
