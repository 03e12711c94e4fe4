"""How much a group's WER moves from one night to the next when nothing changes.

The estimate is the mean squared successive difference of control charts, σ² = Σ (x_i − x_{i−1})² / 2m over m pairs of
nights with the same inputs (von Neumann et al. 1941, Ann. Math. Stat. 12, 153): a change that was not noticed, or a slow
drift, hardly enters it. Its degrees of freedom are 2m² / (3m − 1). A night that is being judged is never part of what it
is judged by.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Key = tuple[str, str, str, str]
"""Engine, condition, attribute, group."""

MIN_PAIRS = 3
"""Pairs of nights without a change that an estimate needs."""


@dataclass(frozen=True, kw_only=True)
class Movement:
    """What one figure does by itself.

    Args:
        sd: Standard deviation of a night; 0 for an engine that always answers the same, NaN where not known.
        df: Degrees of freedom of that; infinite for an engine that always answers the same.
        checked: How far the figure moved when tonight's audio was transcribed again, NaN if it was not.
    """

    sd: float = math.nan
    df: float = math.nan
    checked: float = math.nan

    @property
    def band(self) -> float:
        """The larger of the two; NaN where neither is known."""
        return float(np.fmax(self.sd, self.checked))


@dataclass(frozen=True, kw_only=True)
class Movements:
    """The movements of a suite's figures.

    Args:
        differences: Each figure's successive differences over the nights before tonight, oldest first; NaN where
            something else than chance may have moved it, or one of the two nights lacks it.
        checked: How far tonight's check of invariance moved a figure.
        still: Engines that say that they always give the same answer.
    """

    differences: Mapping[Key, Sequence[float]] = field(default_factory=dict)
    checked: Mapping[Key, float] = field(default_factory=dict)
    still: Collection[str] = ()

    def of(self, key: Key, left_out: int = 0) -> Movement:
        """Return one figure's movement, without the newest ``left_out`` nights."""
        known = np.asarray(self.differences.get(key, ()), dtype=np.float64)
        known = known[: max(len(known) - left_out, 0)]
        known = known[np.isfinite(known)]
        checked = self.checked.get(key, math.nan)
        pairs = len(known)
        if pairs < MIN_PAIRS:
            found = (0.0, math.inf) if key[0] in self.still else (math.nan, math.nan)
            return Movement(sd=found[0], df=found[1], checked=checked)
        sd = math.sqrt(float((known**2).mean()) / 2.0)
        return Movement(sd=sd, df=2.0 * pairs**2 / (3.0 * pairs - 1.0), checked=checked)
