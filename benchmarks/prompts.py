"""Do differences between groups cover where speakers read the same sentences? Simulated from known truth.

Two groups of speakers read lists of 20 sentences: every speaker of a group its list, both groups the same list, or each
its own. Sentences are harder or easier (log-normal, SD 0.8 on the log scale, mean 1), so are speakers (gamma or
log-normal, coefficient of variation 0.4 or 0.8); sentences have 4 to 16 words; errors are Poisson. The truth is the
difference over all sentences and all speakers. Shares of intervals that hold it, in per cent, with Monte-Carlo errors:
of asrfair, and of the same intervals over speakers alone.

    python benchmarks/prompts.py                 # everything, 2,000 sets a line, some minutes on one core
    python benchmarks/prompts.py --sets 400 --only difference
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from calibration import grouping_of, print_tables

from asrfair.stats.estimate.contrasts import difference_bounds, ratio_bounds
from asrfair.stats.estimate.correlations import correlations
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.paired import change
from asrfair.stats.estimate.rate_interval import interval
from asrfair.stats.estimate.two_way import Readings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZES = (8, 20, 50, 200)
LISTS = ("same", "different")
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
SENTENCES = 20
ITEM_SD = 0.8
MOST_READINGS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class World:
    """A law of speakers' rates and their coefficient of variation; how many sentences a list has and what they differ.

    ``own`` is the SD, on the log scale, of what a sentence is harder for one group (or engine) than for another.
    """

    law: str = "gamma"
    cv: float = 0.4
    sentences: int = SENTENCES
    item_sd: float = ITEM_SD
    own: float = 0.0

    def speakers(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw relative rates with mean 1."""
        if self.law == "gamma":
            return rng.gamma(1 / self.cv**2, self.cv**2, shape)
        return lognormal(rng, np.sqrt(np.log(1 + self.cv**2)), shape)


def lognormal(rng: np.random.Generator, sd: float, shape: tuple[int, ...]) -> Floats:
    """Draw factors with mean 1 and this SD on the log scale."""
    return np.exp(rng.normal(-(sd**2) / 2, sd, shape))


def draw(
    rng: np.random.Generator, world: World, sets: int, sizes: list[int], rates: list[list[float]], lists: str
) -> list[Rates]:
    """Simulate sets of groups who read lists: one set of rates for each engine (the sets stand where runs stand).

    Args:
        rng: Source of chance.
        world: How speakers and sentences differ.
        sets: How many.
        sizes: Speakers of each group.
        rates: True rates of each group, for each engine.
        lists: ``same``, ``different``, or ``partly`` (half of each list is everybody's).
    """
    groups, each = len(sizes), world.sentences
    prompt = np.tile(np.arange(each), (groups, 1))
    if lists != "same":
        first = 0 if lists == "different" else each // 2
        for group in range(groups):
            prompt[group, first:] = each * (group + 1) + np.arange(first, each)
    total = each * (groups + 1)
    speaker_group = np.repeat(np.arange(groups), sizes)
    speakers = len(speaker_group)
    words = rng.integers(4, 17, (sets, total))
    item = lognormal(rng, world.item_sd, (sets, total))
    person = world.speakers(rng, (sets, speakers))
    read = prompt[speaker_group]
    # sorted by group, sentence, speaker, as readings are
    cell = np.repeat(np.arange(speakers), each)
    sentence = read.ravel()
    order = np.lexsort((cell, sentence, speaker_group[cell]))
    cell, sentence = cell[order], sentence[order]
    grouping = grouping_of(sizes)
    n = words[:, sentence]
    made = []
    for engine in rates:
        own = lognormal(rng, world.own, (sets, groups, total)) if world.own else np.ones((1, groups, total))
        expected = np.array(engine)[speaker_group][cell] * person[:, cell] * item[:, sentence] * n
        errors = rng.poisson(expected * own[:, speaker_group[cell], sentence])
        by_cell = np.argsort(cell, kind="stable")
        totals = [values[:, by_cell].reshape(sets, speakers, each).sum(axis=2) for values in (errors, n)]
        found = Readings(
            cell=cell, group=speaker_group[cell], speaker=cell, prompt=sentence, errors=errors, words=np.asarray(n)
        )
        made.append(rates_of_cells(grouping, totals[0], totals[1], totals[1], found))
    return made


def over_speakers(rates: Rates) -> Rates:
    """The same rates as if sentences were all there are."""
    return rates_of_cells(rates.grouping, rates.cell_errors, rates.cell_words, rates.cell_words)


def cover(bounds: tuple[Floats, Floats], truth: float) -> npt.NDArray[np.bool_]:
    """Whether each interval holds the truth."""
    holds: npt.NDArray[np.bool_] = (bounds[0] <= truth) & (truth <= bounds[1])
    return holds


def between_two(rates: Rates, truth: tuple[float, float]) -> list[npt.NDArray[np.bool_]]:
    """Whether the difference of two groups, their ratio and the first one's own rate are covered."""
    first, second = (rates.estimate.map(lambda value, side=side: value[:, side]) for side in (0, 1))
    rho: Floats | float = 0.0
    if rates.related:
        rho = np.array([correlations(rates, run)[0, 1] for run in range(len(rates.rate))])
    low, high = interval(rates.estimate, LEVEL)
    return [
        cover(difference_bounds(first, second, TAIL, rho), truth[0] - truth[1]),
        cover(ratio_bounds(first, second, TAIL, rho), truth[0] / truth[1]),
        cover((low[:, 0], high[:, 0]), truth[0]),
    ]


def in_batches(sets: int, readings: int, one: Callable[[int], list[npt.NDArray[np.bool_]]]) -> list[str]:
    """Run a simulation in batches that fit in memory; return shares in per cent with their Monte-Carlo errors."""
    found: list[list[npt.NDArray[np.bool_]]] = []
    done = 0
    while done < sets:
        batch = min(sets - done, max(10, MOST_READINGS // readings))
        found.append(one(batch))
        done += batch
    shares = [np.concatenate(column) for column in zip(*found, strict=True)]
    return [
        f"{100 * x.mean():5.1f} ± {100 * np.sqrt(max(x.mean() * (1 - x.mean()), 1e-9) / len(x)):3.1f}" for x in shares
    ]


WORLDS = (
    World(),
    World(cv=0.8),
    World(law="lognormal", cv=0.8),
    World(own=0.4),
    World(sentences=100),
    World(sentences=8),
    World(item_sd=0.0),
)


def difference_table(rng: np.random.Generator, sets: int) -> list[str]:
    """Two groups: difference, ratio and the first group's own rate, beside the difference over speakers alone."""
    head = "law        cv   items (own)  sentences  lists       speakers  rates"
    lines = [head + "       difference     ratio          one rate       over speakers alone"]
    for number, world in enumerate(WORLDS):
        many = [[8, 8], [20, 20], [50, 50], [200, 200], [8, 50]] if number == 0 else [[8, 8], [50, 50]]
        for lists in (*LISTS, "partly") if number == 0 else LISTS:
            for sizes, truth in itertools.product(many, ((0.15, 0.15), (0.18, 0.10))):
                shares = in_batches(
                    sets, sum(sizes) * world.sentences, partial(_covered, rng, world, lists, sizes, truth)
                )
                lines.append(
                    f"{world.law:9} {world.cv:.1f}  {world.item_sd:.1f} ({world.own:.1f}) {world.sentences:12d}  "
                    f"{lists:9}  {'/'.join(map(str, sizes)):>9}  {truth[0]:.2f}/{truth[1]:.2f}  " + "   ".join(shares)
                )
    return lines


def _covered(
    rng: np.random.Generator, world: World, lists: str, sizes: list[int], truth: tuple[float, float], sets: int
) -> list[npt.NDArray[np.bool_]]:
    rates = draw(rng, world, sets, sizes, [list(truth)], lists)[0]
    return [*between_two(rates, truth), between_two(over_speakers(rates), truth)[0]]


def engines_table(rng: np.random.Generator, sets: int) -> list[str]:
    """Two engines on one group: each sentence is harder for one of them (SD 0.4); difference, beside speakers alone."""
    lines = ["speakers  rates       difference     over speakers alone"]
    for size, truth in itertools.product(SIZES, ((0.15, 0.15), (0.18, 0.10))):
        shares = in_batches(sets, size * SENTENCES, partial(_engines_covered, rng, size, truth))
        lines.append(f"{size:8d}  {truth[0]:.2f}/{truth[1]:.2f}  " + "   ".join(shares))
    return lines


def _engines_covered(
    rng: np.random.Generator, size: int, truth: tuple[float, float], sets: int
) -> list[npt.NDArray[np.bool_]]:
    first, second = draw(rng, World(own=0.4), sets, [size], [[rate] for rate in truth], "same")
    found = [change(first, second), change(over_speakers(first), over_speakers(second))]
    bounds = [item.difference_bounds(TAIL) for item in found]
    return [cover((low[:, 0], high[:, 0]), truth[0] - truth[1]) for low, high in bounds]


TABLES = {"difference": difference_table, "engines": engines_table}


if __name__ == "__main__":
    print_tables(TABLES, __doc__)
