"""The same speakers twice: the labels of two engines (or conditions) are swapped for whole speakers.

With s_i what speaker i adds to the difference d = Σ s_i of two pooled rates, T = Σ s_i / √Σ s_i² is flipped: every
pattern of signs is as likely as the one observed if the two are interchangeable. Σ s_i² does not change with the signs,
so this is also the test that studentises. The same patterns serve all pairs, and their largest |T| answers for all of
them together. The interval is the test's own dual: all δ that the same critical value does not reject for the speakers'
shares s_i − δ a_i, which is a quadratic inequality (a_i the speaker's share of the words; compare Fieller 1954).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrfair.stats.claims.largest import Largest, hoeffding_tail
from asrfair.stats.frame import Floats, Ints

_CHUNK = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Pairs on the same speakers; arrays of shape (P,) but ``largest``.

    Attributes:
        difference: First minus second pooled rate.
        first: Pooled rate of the first.
        second: Pooled rate of the second.
        statistic: T; NaN where nothing is compared.
        largest: The largest |T| of all pairs under chance.
        squares: Σ s², Σ s a and Σ a², for the interval.
        inflation: By what the variance is larger than it is over speakers alone.
    """

    difference: Floats
    first: Floats
    second: Floats
    statistic: Floats
    largest: Largest
    squares: tuple[Floats, Floats, Floats]
    inflation: Floats

    @property
    def p(self) -> Floats:
        """P-values that allow for all pairs."""
        return self.largest.p(self.statistic)

    def bounds(self, error: float) -> tuple[Floats, Floats]:
        """Bounds that hold for all pairs together; NaN where the speakers are too few for any bound."""
        c = self.largest.critical(error)
        ss, sa, aa = self.squares
        d = self.difference
        with np.errstate(all="ignore"):
            c2 = c**2 * self.inflation
            lead, middle, last = 1.0 - c2 * aa, d - c2 * sa, d**2 - c2 * ss
            root = np.sqrt(np.maximum(middle**2 - lead * last, 0.0))
            low, high = (middle - root) / lead, (middle + root) / lead
        known = (lead > 1e-9) & np.isfinite(self.statistic)
        return np.where(known, low, np.nan), np.where(known, high, np.nan)


def sign_flips(
    errors: Ints, words: Ints, draws: int, rng: np.random.Generator, inflation: Floats | None = None
) -> Paired:
    """Compare pairs.

    Args:
        errors: Of the first and the second of each pair, by speaker, over what both have: shape (2, P, K).
        words: Likewise.
        draws: Number of sign patterns.
        rng: Source of chance.
        inflation: By what the variance of each pair's difference has to be multiplied, since speakers are not all that
            varies (:func:`asrfair.stats.compare.prompt_inflation.change_inflation`); shape (P,), at least 1.
    """
    grown = np.ones(errors.shape[1]) if inflation is None else inflation
    e, n = errors.astype(np.float64), words.astype(np.float64)
    with np.errstate(all="ignore"):
        total = n.sum(axis=-1, keepdims=True)
        rate = e.sum(axis=-1) / total[..., 0]
        shares = e / total
        a = np.nan_to_num(n / total).mean(axis=0)
        s = np.nan_to_num(shares[0] - shares[1])
        squares = ((s**2).sum(axis=1), (s * a).sum(axis=1), (a**2).sum(axis=1))
        root = np.sqrt(squares[0])
        statistic = np.where(np.isfinite(rate).all(axis=0), s.sum(axis=1) / np.where(root > 0, root, np.inf), np.nan)
        unit = s / np.where(root > 0, root, np.inf)[:, None]
    pairs, speakers = s.shape
    step = max(1, _CHUNK // max(speakers, pairs))
    parts = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        signs = (rng.integers(0, 2, (size, speakers), dtype=np.int8) * 2 - 1).astype(np.float64)
        parts.append(np.abs(signs @ unit.T).max(axis=1, initial=0.0))
    return Paired(
        difference=rate[0] - rate[1],
        first=rate[0],
        second=rate[1],
        statistic=statistic / np.sqrt(grown),
        largest=Largest.of(np.concatenate(parts), hoeffding_tail(pairs)),
        squares=squares,
        inflation=grown,
    )
