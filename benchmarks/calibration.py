"""Do the intervals cover, is the stated power real? Simulated from known truth.

Speakers' true rates follow a gamma or a log-normal law with a coefficient of variation of 0.4 or 0.8 around the
group's; words a speaker are log-normal (σ 0.6, mean 300, in utterances of 15); errors are Poisson. For each table the
share of sets is printed in which the interval holds the truth, with the shares in which the truth lies below and above.

    python benchmarks/calibration.py            # everything, 2,000 sets a line, some minutes on one core
    python benchmarks/calibration.py --sets 400 --only group gap

Next to the project's interval stand the percentile bootstrap over speakers (the best practice of published audits) and
over utterances (what general fairness libraries do).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.stats.compare.conditions import interact
from asrfair.stats.estimate.contrasts import contrast, difference_bounds, ratio_bounds
from asrfair.stats.estimate.extremes import jackknife_extremes
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.largest_difference import largest_difference
from asrfair.stats.estimate.paired import Change, change
from asrfair.stats.estimate.rate_interval import Estimate, interval
from asrfair.stats.estimate.simultaneous import simultaneous_interval
from asrfair.stats.groups import Grouping
from asrfair.stats.plan.power import detectable_difference

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZES = (5, 8, 10, 20, 50, 200)
LAWS = ("gamma", "lognormal")
SPREADS = (0.4, 0.8)
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
RATE = 0.15
WORDS = 300.0
WORDS_SIGMA = 0.6
UTTERANCE_WORDS = 15
GROUPS = 7


@dataclass(frozen=True, kw_only=True)
class World:
    """A law of speakers' rates and their coefficient of variation."""

    law: str
    cv: float

    def speakers(self, rng: np.random.Generator, shape: tuple[int, ...], cv: float | None = None) -> Floats:
        """Draw relative rates with mean 1."""
        spread = self.cv if cv is None else cv
        if self.law == "gamma":
            return rng.gamma(1 / spread**2, spread**2, shape)
        variance = np.log(1 + spread**2)
        return np.exp(rng.normal(-variance / 2, np.sqrt(variance), shape))


def worlds() -> Iterator[World]:
    """Both laws at both spreads."""
    for law in LAWS:
        for cv in SPREADS:
            yield World(law=law, cv=cv)


def grouping_of(sizes: list[int]) -> Grouping:
    """Groups of so many speakers each, one cell a speaker."""
    count = sum(sizes)
    return Grouping(
        attribute="group",
        names=tuple(f"g{index}" for index in range(len(sizes))),
        stated=np.ones(len(sizes), dtype=bool),
        cell_group=np.repeat(np.arange(len(sizes)), sizes),
        cell_speaker=np.arange(count),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        atom_cell=np.arange(count),
        utterance_group=np.zeros(0, dtype=np.int64),
    )


def draw_words(rng: np.random.Generator, shape: tuple[int, ...]) -> Ints:
    """Words of each speaker."""
    words = np.exp(rng.normal(np.log(WORDS) - WORDS_SIGMA**2 / 2, WORDS_SIGMA, shape))
    return np.maximum(1, np.rint(words)).astype(np.int64)


def draw_sets(rng: np.random.Generator, world: World, sets: int, sizes: list[int], rates: list[float]) -> Rates:
    """Simulate sets of groups: the sets stand where runs stand in an analysis."""
    words = draw_words(rng, (sets, sum(sizes)))
    expected = np.repeat(rates, sizes) * world.speakers(rng, words.shape) * words
    return rates_of_cells(grouping_of(sizes), rng.poisson(expected), words, words)


def draw_pair(
    rng: np.random.Generator, world: World, sets: int, sizes: list[int], first: list[float], second: list[float]
) -> Change:
    """Simulate the same speakers in two places, each place with a spread of 0.2 of its own."""
    words = draw_words(rng, (sets, sum(sizes)))
    common = world.speakers(rng, words.shape)
    sides = [
        rates_of_cells(
            grouping_of(sizes),
            rng.poisson(np.repeat(rates, sizes) * common * world.speakers(rng, words.shape, 0.2) * words),
            words,
            words,
        )
        for rates in (first, second)
    ]
    return change(sides[0], sides[1])


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Shares of sets, and the median width."""

    covered: float
    below: float
    above: float
    width: float

    @classmethod
    def of(cls, low: Floats, high: Floats, truth: float | Floats) -> Coverage:
        """Compare bounds with the truth; a set without interval counts as not covered."""
        return cls(
            covered=float(((low <= truth) & (truth <= high)).mean()),
            below=float((low > truth).mean()),
            above=float((high < truth).mean()),
            width=float(np.nanmedian(high - low)),
        )

    def __str__(self) -> str:
        return f"{100 * self.covered:5.1f} ({100 * self.below:3.1f}/{100 * self.above:3.1f})"


def percentile_speakers(rng: np.random.Generator, errors: Ints, words: Ints, draws: int) -> tuple[Floats, Floats]:
    """Percentile bootstrap over speakers of every set (S, k) at once; both counts are packed into one number."""
    packed = (errors << 32) | words
    sets, k = errors.shape
    rows = np.arange(sets)[:, None] * k
    replicates = np.empty((draws, sets))
    for draw in range(draws):
        total = packed.ravel()[rows + rng.integers(0, k, (sets, k))].sum(axis=1)
        replicates[draw] = (total >> 32) / (total & 0xFFFFFFFF)
    low, high = np.quantile(replicates, (TAIL, 1 - TAIL), axis=0)
    return low, high


def percentile_utterances(rng: np.random.Generator, world: World, sets: int, k: int, draws: int) -> Coverage:
    """Percentile bootstrap over utterances, as if those of one speaker were independent."""
    low, high = np.empty(sets), np.empty(sets)
    for place in range(sets):
        utterances = np.maximum(1, draw_words(rng, (k,)) // UTTERANCE_WORDS)
        rate = np.repeat(RATE * world.speakers(rng, (k,)), utterances)
        errors = rng.poisson(rate * UTTERANCE_WORDS)
        count = len(errors)
        replicates = np.empty(draws)
        step = max(1, 2_000_000 // count)
        for start in range(0, draws, step):
            size = min(step, draws - start)
            replicates[start : start + size] = errors[rng.integers(0, count, (size, count))].mean(axis=1)
        low[place], high[place] = np.quantile(replicates / UTTERANCE_WORDS, (TAIL, 1 - TAIL))
    return Coverage.of(low, high, RATE)


def group_table(rng: np.random.Generator, sets: int) -> list[str]:
    """One group's rate: this project's interval, bootstrap over speakers, bootstrap over utterances."""
    lines = ["law        cv   speakers   asrfair             width  speakers resampled  width  utterances resampled"]
    for world in worlds():
        for size in SIZES:
            rates = draw_sets(rng, world, sets, [size], [RATE])
            low, high = interval(rates.estimate, LEVEL)
            own = Coverage.of(low[:, 0], high[:, 0], RATE)
            few = min(sets, max(200, 200_000 // size))
            speakers = Coverage.of(
                *percentile_speakers(rng, rates.cell_errors[:few], rates.cell_words[:few], 1000), RATE
            )
            utterances = percentile_utterances(rng, world, min(sets, 500 if size <= 50 else 100), size, 400)
            lines.append(
                f"{world.law:9} {world.cv:4.1f} {size:9d}   {own}  {own.width:6.3f}  {speakers}   {speakers.width:6.3f}"
                f"  {utterances}"
            )
    return lines


def joint_table(rng: np.random.Generator, sets: int) -> list[str]:
    """Seven groups at once: share of sets in which all simultaneous intervals hold."""
    lines = ["law        cv   speakers   jointly covered, simultaneous   marginal"]
    for world in worlds():
        for sizes in [*([size] * GROUPS for size in SIZES), [5, 6, 8, 10, 20, 40, 60]]:
            estimate = draw_sets(rng, world, sets, sizes, [RATE] * GROUPS).estimate
            shown = np.ones(estimate.rate.shape, dtype=bool)
            shares = []
            for low, high in (simultaneous_interval(estimate, shown, LEVEL), interval(estimate, LEVEL)):
                shares.append(100 * float(((low <= RATE) & (high >= RATE)).all(axis=1).mean()))
            lines.append(f"{world.law:9} {world.cv:4.1f} {_name(sizes):>9}   {shares[0]:20.1f} {shares[1]:20.1f}")
    return lines


def difference_table(rng: np.random.Generator, sets: int) -> list[str]:
    """Two groups: difference and ratio, equal and unequal in size and in rate."""
    lines = ["law        cv   speakers  rates         difference          ratio"]
    cases = [([size, size], [RATE, RATE]) for size in SIZES]
    cases += [([5, 50], [0.15, 0.15]), ([5, 50], [0.3, 0.1]), ([50, 5], [0.3, 0.1]), ([5, 20], [0.3, 0.1])]
    cases += [([10, 50], [0.3, 0.1]), ([10, 10], [0.3, 0.1]), ([50, 50], [0.3, 0.1])]
    for world in worlds():
        for sizes, rates in cases:
            estimate = draw_sets(rng, world, sets, sizes, rates).estimate
            first, second = (estimate.map(lambda value, side=side: value[:, side]) for side in (0, 1))
            difference = Coverage.of(*difference_bounds(first, second, TAIL), rates[0] - rates[1])
            ratio = Coverage.of(*ratio_bounds(first, second, TAIL), rates[0] / rates[1])
            lines.append(
                f"{world.law:9} {world.cv:4.1f} {_name(sizes):>9}  {rates[0]:.2f}/{rates[1]:.2f}  {difference}  {ratio}"
            )
    return lines


def gap_table(rng: np.random.Generator, sets: int) -> list[str]:
    """Seven groups: worst group, gap, ratio and macro WER, groups chosen by the data."""
    lines = ["law        cv   speakers  truth    worst group         gap                 worst/best          macro"]
    truths = {"equal": [RATE] * GROUPS, "spread": [0.1, 0.12, 0.14, 0.15, 0.16, 0.2, 0.3]}
    for world in worlds():
        for sizes in [*([size] * GROUPS for size in SIZES), [5, 6, 8, 10, 20, 40, 60]]:
            for name, truth in truths.items():
                count = sets if max(sizes) < 200 else max(sets // 4, 100)
                rates = draw_sets(rng, world, count, sizes, truth)
                compared = np.ones(rates.rate.shape, dtype=bool)
                found = jackknife_extremes(rates, compared, LEVEL, largest_difference(rates, compared, rng, 1000))
                shown = [
                    Coverage.of(*found.worst, max(truth)),
                    Coverage.of(*found.gap, max(truth) - min(truth)),
                    Coverage.of(*found.ratio, max(truth) / min(truth)),
                    Coverage.of(*found.macro, float(np.mean(truth))),
                ]
                lines.append(
                    f"{world.law:9} {world.cv:4.1f} {_name(sizes):>9}  {name:6}  " + "  ".join(map(str, shown))
                )
    return lines


def paired_table(rng: np.random.Generator, sets: int) -> list[str]:
    """The same speakers twice: engine against engine, and difference-in-differences of two groups."""
    lines = ["law        cv   speakers  change        difference          DiD                 ratio of ratios"]
    for world in worlds():
        for size in SIZES:
            for first, second in (([0.15, 0.15], [0.15, 0.15]), ([0.2, 0.15], [0.15, 0.1]), ([0.3, 0.15], [0.1, 0.1])):
                found = draw_pair(rng, world, sets, [size, size], first, second)
                low, high = found.difference_bounds(TAIL)
                change_of = [a - b for a, b in zip(first, second, strict=True)]
                own = Coverage.of(low[:, 0], high[:, 0], change_of[0])
                effect = interact(found, np.ones(sets, dtype=np.int64), TAIL)
                difference = Coverage.of(effect.low[:, 0], effect.high[:, 0], change_of[0] - change_of[1])
                truth = first[0] / second[0] / (first[1] / second[1])
                ratio = Coverage.of(effect.ratio_low[:, 0], effect.ratio_high[:, 0], truth)
                case = f"{world.law:9} {world.cv:4.1f} {size:9d}  {first[0]:.2f}-{second[0]:.2f}"
                lines.append(f"{case}  {own}  {difference}  {ratio}")
    return lines


def power_table(rng: np.random.Generator, sets: int) -> list[str]:
    """The minimum detectable difference that tables state, and how often a difference of that size is really found."""
    lines = ["law        cv   speakers   stated MDD (median) found (%), should be 80"]
    for world in worlds():
        for sizes in ([5, 5], [8, 8], [10, 10], [20, 20], [50, 50], [200, 200], [10, 50], [50, 10]):
            first, second = _two(draw_sets(rng, world, sets, sizes, [RATE, RATE]))
            before = contrast(first, second)
            stated = detectable_difference(np.full(sets, RATE), before.se_log, before.df_ratio, LEVEL)
            size = float(np.nanmedian(stated))
            first, second = _two(draw_sets(rng, world, sets, sizes, [RATE + size, RATE]))
            found = 100 * float((contrast(first, second).p <= 1 - LEVEL).mean())
            lines.append(f"{world.law:9} {world.cv:4.1f} {_name(sizes):>9}   {size:17.3f} {found:20.1f}")
    return lines


def _two(rates: Rates) -> tuple[Estimate, Estimate]:
    first, second = (rates.estimate.map(lambda value, side=side: value[:, side]) for side in (0, 1))
    return first, second


def _name(sizes: list[int]) -> str:
    if len(set(sizes)) == 1:
        return str(sizes[0])
    return "/".join(map(str, sizes)) if len(sizes) == 2 else f"{min(sizes)}-{max(sizes)}"


TABLES = {
    "group": group_table,
    "joint": joint_table,
    "difference": difference_table,
    "gap": gap_table,
    "paired": paired_table,
    "power": power_table,
}


def print_tables(tables: Mapping[str, Callable[[np.random.Generator, int], list[str]]], about: str | None) -> None:
    """Read the command line and print the tables asked for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=2000, help="simulated sets a line (default 2000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(tables), default=list(tables))
    options = parser.parse_args()
    for name in options.only:
        start = time.perf_counter()
        rng = np.random.default_rng([options.seed, list(tables).index(name)])
        lines = tables[name](rng, options.sets)
        print(f"\n{name}: {tables[name].__doc__} {options.sets} sets, {time.perf_counter() - start:.0f} s")
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    print_tables(TABLES, __doc__)
