"""Thresholds against a known truth: bias, coverage, and what adaptive levels save against fixed grids.

    python benchmarks/thresholds.py [--sets N]

Speakers have a threshold of their own (normal, standard deviation 3 dB), a slope of their own (log-normal, 20 %) and a
clean rate of their own; words are log-normal (σ 0.6), errors beta-binomial between utterances. The truth is the level at
which the rate of the whole population, pooled over words, is the target. Groups differ by 4 dB.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 -- after the number of threads is set
from scipy.optimize import brentq  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from asrfair.stats.estimate.psychometric import Threshold, coarse_levels, difference, next_level, threshold  # noqa: E402

LOW, HIGH = -10.0, 30.0
MIDDLES = {"first": 8.0, "second": 12.0}
SPREAD_DB, SLOPE, SLOPE_CV, CLEAN, CLEAN_CV = 3.0, 0.35, 0.2, 0.08, 0.5


class Group:
    """Speakers with functions of their own."""

    def __init__(self, middle: float, speakers: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.middle = middle + SPREAD_DB * rng.standard_normal(speakers)
        self.slope = SLOPE * np.exp(SLOPE_CV * rng.standard_normal(speakers))
        self.clean = np.minimum(rng.gamma(1 / CLEAN_CV**2, CLEAN * CLEAN_CV**2, speakers), 0.6)
        self.words = np.maximum(20, np.round(200 * np.exp(0.6 * rng.standard_normal(speakers))))

    def rate(self, level: float) -> np.ndarray:
        """Return each speaker's rate."""
        return self.clean + (1 - self.clean) / (1 + np.exp(self.slope * (level - self.middle)))

    def hear(self, level: float) -> np.ndarray:
        """Return each speaker's errors at a level (beta-binomial: utterances differ)."""
        rate = np.clip(self.rate(level), 1e-4, 1 - 1e-4)
        drawn = self.rng.beta(40 * rate, 40 * (1 - rate))
        return self.rng.binomial(self.words.astype(int), drawn).astype(float)


def truth(middle: float, target: float) -> float:
    """Return the population's threshold, from a million speakers."""
    group = Group(middle, 400_000, np.random.default_rng(7))

    def pooled(level: float) -> float:
        return float((group.rate(level) * group.words).sum() / group.words.sum()) - target

    return float(brentq(pooled, LOW - 20, HIGH + 20))


def estimate(groups: dict[str, Group], levels: list[float] | None, count: int, target: float) -> dict[str, Threshold]:
    """Estimate all groups' thresholds, adaptively (``levels`` is None) or on a grid."""
    heard: dict[float, dict[str, np.ndarray]] = {}
    clean = {name: group.hear(math.inf) for name, group in groups.items()}

    def fitted() -> dict[str, Threshold]:
        xs = sorted(heard)
        return {
            name: threshold(
                np.array(xs), np.column_stack([heard[x][name] for x in xs]),
                np.repeat(group.words[:, None], len(xs), axis=1), target=target, clean_errors=clean[name],
                clean_words=group.words,
            )
            for name, group in groups.items()
        }  # fmt: skip

    for level in levels or coarse_levels(LOW, HIGH):
        heard[level] = {name: group.hear(level) for name, group in groups.items()}
    while len(heard) < count:
        found = [float(t.curve.reaches(np.array([target]))[0]) for t in fitted().values()]
        level = next_level(sorted(heard), found, LOW, HIGH)
        heard[level] = {name: group.hear(level) for name, group in groups.items()}
    return fitted()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    arguments = parser.parse_args()
    target = 0.3
    truths = {name: truth(middle, target) for name, middle in MIDDLES.items()}
    out = sys.stdout.write
    out(
        "| speakers | levels | bias, dB | half width, dB | coverage, % | of the difference: bias | half width | coverage |\n"
    )
    out("|---:|---|---:|---:|---:|---:|---:|---:|\n")
    for speakers in (10, 20, 50):
        for label, count in (("3 + 2 adaptive", 5), ("5 in a grid", 0), ("9 in a grid", 0)):
            grid = None if count else coarse_levels(LOW, HIGH, int(label[0]))
            rows, both = [], []
            for number in range(arguments.sets):
                rng = np.random.default_rng([speakers, number])
                groups = {name: Group(middle, speakers, rng) for name, middle in MIDDLES.items()}
                found = estimate(groups, grid, count, target)
                rows += [
                    (t.level - truths[n], (t.high - t.low) / 2, t.low <= truths[n] <= t.high) for n, t in found.items()
                ]
                gap = difference(found["second"], found["first"])
                true = truths["second"] - truths["first"]
                both.append((gap.estimate - true, (gap.high - gap.low) / 2, gap.low <= true <= gap.high))
            a, b = np.array(rows, dtype=float), np.array(both, dtype=float)
            out(
                f"| {speakers} | {label} | {np.nanmean(a[:, 0]):+.2f} | {np.nanmedian(a[:, 1]):.1f} | "
                f"{100 * a[:, 2].mean():.1f} | {np.nanmean(b[:, 0]):+.2f} | {np.nanmedian(b[:, 1]):.1f} | "
                f"{100 * b[:, 2].mean():.1f} |\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
