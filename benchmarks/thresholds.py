"""Thresholds against a known truth: bias, coverage, and what adaptive levels save against fixed grids.

    python benchmarks/thresholds.py [--sets N] [--speakers N]... [--population NAME]... [--seed N]

Speakers have a threshold of their own (normal), a slope of their own (log-normal, 20 %) and a clean rate of their own;
errors are beta-binomial between utterances. The truth is the level at which the rate of the whole population, pooled
over words, is the target. Groups differ by 4 dB. Three populations: words that differ by speaker (log-normal, σ 0.6) or
the same sentences for all, and speakers who differ by 3 dB or by 5 with a tail to the bad side.

"nobody's function unknown" is the floor: the speakers' functions themselves instead of counts, so that nothing but which
speakers were drawn is left to chance. No choice of levels can be narrower.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 -- after the number of threads is set
from scipy.optimize import brentq  # noqa: E402
from scipy.stats import t as student  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from asrfair.stats.estimate.psychometric import Threshold, coarse_levels, difference, next_level, threshold  # noqa: E402

LOW, HIGH = -10.0, 30.0
MIDDLES = {"first": 8.0, "second": 12.0}
SLOPE, SLOPE_CV, CLEAN, CLEAN_CV = 0.35, 0.2, 0.08, 0.5
TARGETS = {"30 %": (0.3, False), "2 x clean": (2.0, True)}


@dataclass(frozen=True, kw_only=True)
class Population:
    """Who is drawn: how much speakers differ, whether to one side, and how unequal their words are."""

    spread_db: float
    words_sigma: float
    skewed: bool = False


POPULATIONS = {
    "3 dB, words differ": Population(spread_db=3.0, words_sigma=0.6),
    "3 dB, same sentences": Population(spread_db=3.0, words_sigma=0.0),
    "5 dB, skewed": Population(spread_db=5.0, words_sigma=0.6, skewed=True),
}


class Group:
    """Speakers with functions of their own."""

    def __init__(self, middle: float, speakers: int, population: Population, rng: np.random.Generator) -> None:
        self.rng = rng
        # A gamma distribution of shape 4 has a standard deviation of 2 and a skewness of 1.
        apart = (rng.gamma(4.0, 1.0, speakers) - 4) / 2 if population.skewed else rng.standard_normal(speakers)
        self.middle = middle + population.spread_db * apart
        self.slope = SLOPE * np.exp(SLOPE_CV * rng.standard_normal(speakers))
        self.clean = np.minimum(rng.gamma(1 / CLEAN_CV**2, CLEAN * CLEAN_CV**2, speakers), 0.6)
        self.words = np.maximum(20, np.round(200 * np.exp(population.words_sigma * rng.standard_normal(speakers))))

    def rate(self, level: float) -> np.ndarray:
        """Return each speaker's rate."""
        return self.clean + (1 - self.clean) / (1 + np.exp(self.slope * (level - self.middle)))

    def hear(self, level: float) -> np.ndarray:
        """Return each speaker's errors at a level (beta-binomial: utterances differ)."""
        rate = np.clip(self.rate(level), 1e-4, 1 - 1e-4)
        drawn = self.rng.beta(40 * rate, 40 * (1 - rate))
        return self.rng.binomial(self.words.astype(int), drawn).astype(float)


def truth(middle: float, population: Population, target: float, *, relative: bool) -> float:
    """Return the population's threshold, from 400,000 speakers."""
    group = Group(middle, 400_000, population, np.random.default_rng(7))
    total = group.words.sum()
    rate = target * float((group.clean * group.words).sum() / total) if relative else target

    def pooled(level: float) -> float:
        return float((group.rate(level) * group.words).sum() / total) - rate

    return float(brentq(pooled, LOW - 20, HIGH + 40))


def estimate(groups: dict[str, Group], levels: list[float] | None, count: int) -> dict[tuple[str, str], Threshold]:
    """Estimate all groups' thresholds by (target, group), adaptively (``levels`` is None) or on a grid."""
    heard: dict[float, dict[str, np.ndarray]] = {}
    clean = {name: group.hear(math.inf) for name, group in groups.items()}

    def fitted(name: str, target: str) -> Threshold:
        xs, group = sorted(heard), groups[name]
        value, relative = TARGETS[target]
        return threshold(
            np.array(xs), np.column_stack([heard[x][name] for x in xs]),
            np.repeat(group.words[:, None], len(xs), axis=1), target=value, relative=relative,
            clean_errors=clean[name], clean_words=group.words,
        )  # fmt: skip

    for level in levels or coarse_levels(LOW, HIGH):
        heard[level] = {name: group.hear(level) for name, group in groups.items()}
    while len(heard) < count:
        aimed = [fitted(name, "30 %") for name in groups]
        found = [float(t.curve.reaches(np.array([t.target]))[0]) for t in aimed]
        level = next_level(sorted(heard), found, LOW, HIGH)
        heard[level] = {name: group.hear(level) for name, group in groups.items()}
    return {(target, name): fitted(name, target) for target in TARGETS for name in groups}


def floor_width(group: Group, target: float) -> float:
    """Return the half width of the interval where every speaker's function is known."""
    grid = np.arange(LOW - 20, HIGH + 30, 0.05)
    errors = group.words * np.array([group.rate(x) for x in grid])
    total, words = errors.sum(axis=1), group.words.sum()
    without = (total[:, None] - errors) / (words - group.words)
    found = np.array([np.interp(-target, -rates, grid) for rates in (total / words, *without.T)])
    df = words**2 / (group.words**2).sum() - 1
    return float(student.ppf(0.975, df) * math.sqrt(((found[1:] - found[0]) ** 2).sum()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--speakers", type=int, action="append")
    parser.add_argument("--population", choices=list(POPULATIONS), action="append")
    parser.add_argument("--levels", choices=list(LEVELS), action="append")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out = sys.stdout.write
    out("| population | speakers | levels | target | bias, dB | half width, dB | coverage, % "
        "| of the difference: bias | half width | coverage | no interval, % |\n"
        "|---|---:|---|---|---:|---:|---:|---:|---:|---:|---:|\n")  # fmt: skip
    for name in arguments.population or POPULATIONS:
        population = POPULATIONS[name]
        truths = {
            (target, group): truth(middle, population, value, relative=relative)
            for target, (value, relative) in TARGETS.items()
            for group, middle in MIDDLES.items()
        }
        for speakers in arguments.speakers or (10, 20, 50):
            for label in arguments.levels or LEVELS:
                out(f"{_rows(name, population, speakers, label, truths, arguments)}\n")
                sys.stdout.flush()
            rng = np.random.default_rng([arguments.seed, speakers, 1])
            floors = [floor_width(Group(8.0, speakers, population, rng), 0.3) for _ in range(300)]
            out(f"| {name} | {speakers} | nobody's function unknown | 30 % | | {np.median(floors):.2f} | | | | | |\n")


LEVELS = {"3 + 2 adaptive": (None, 5), "5 in a grid": (coarse_levels(LOW, HIGH, 5), 0),
          "9 in a grid": (coarse_levels(LOW, HIGH, 9), 0)}  # fmt: skip


def _rows(
    name: str, population: Population, speakers: int, label: str, truths: dict[tuple[str, str], float],
    arguments: argparse.Namespace,
) -> str:  # fmt: skip
    """Return the rows of one design, a target each."""
    grid, count = LEVELS[label]
    single: dict[str, list[tuple[float, float, float]]] = {target: [] for target in TARGETS}
    apart: dict[str, list[tuple[float, float, float]]] = {target: [] for target in TARGETS}
    for number in range(arguments.sets):
        rng = np.random.default_rng([arguments.seed, speakers, number])
        groups = {group: Group(middle, speakers, population, rng) for group, middle in MIDDLES.items()}
        found = estimate(groups, grid, count)
        for (target, group), t in found.items():
            true = truths[target, group]
            single[target].append((t.level - true, (t.high - t.low) / 2, t.low <= true <= t.high))
        for target, rows in apart.items():
            gap = difference(found[target, "second"], found[target, "first"])
            true = truths[target, "second"] - truths[target, "first"]
            rows.append((gap.estimate - true, (gap.high - gap.low) / 2, gap.low <= true <= gap.high))
    lines = []
    for target in TARGETS:
        a, b = np.array(single[target], dtype=float), np.array(apart[target], dtype=float)
        missing = np.isnan(a[:, 1]).mean()
        lines.append(f"| {name} | {speakers} | {label} | {target} | {_cells(a)} | {_cells(b)} | {100 * missing:.1f} |")
    return "\n".join(lines)


def _cells(rows: np.ndarray) -> str:
    """Return bias, median half width, and coverage of the intervals that there are, with its Monte-Carlo error."""
    there = rows[np.isfinite(rows[:, 1])]
    cover = float(there[:, 2].mean())
    error = math.sqrt(cover * (1 - cover) / len(there))
    return f"{there[:, 0].mean():+.2f} | {np.median(there[:, 1]):.2f} | {100 * cover:.1f} ± {100 * error:.1f}"


if __name__ == "__main__":
    main()
