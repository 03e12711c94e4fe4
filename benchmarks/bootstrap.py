"""Speed of 10,000 speaker-blocked draws for 50 groups × 1,000 speakers, beside other numpy formulations.

    python benchmarks/bootstrap.py

Every formulation draws the same number of speakers and sums errors and words. The last line is the time of
``asrfair.stats.estimate.bootstrap.speaker_draws`` over that of the fastest of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from asrfair.stats.estimate.bootstrap import speaker_draws
from asrfair.stats.estimate.group_rates import rates_of_cells
from asrfair.stats.groups import Grouping

Ints = npt.NDArray[np.int64]
Formulation = Callable[[Ints, Ints, int, np.random.Generator], None]


def gather(errors: Ints, words: Ints, draws: int, rng: np.random.Generator) -> None:
    """Indices of 64 bits, one gather for errors and one for words."""
    k = len(errors)
    for start in range(0, draws, 1000):
        drawn = rng.integers(0, k, (min(1000, draws - start), k))
        errors[drawn].sum(axis=1)
        words[drawn].sum(axis=1)


def packed_gather(errors: Ints, words: Ints, draws: int, rng: np.random.Generator) -> None:
    """Indices of 16 bits, errors and words in one 64-bit number."""
    k = len(errors)
    packed = (errors << 32) | words
    for start in range(0, draws, 128):
        total = packed.take(rng.integers(0, k, (min(128, draws - start), k), dtype=np.uint16), mode="wrap").sum(axis=1)
        total >> 32, total & 0xFFFFFFFF


def multinomial(errors: Ints, words: Ints, draws: int, rng: np.random.Generator) -> None:
    """Multinomial counts of the speakers, then a matrix product."""
    k = len(errors)
    counts = np.stack([errors, words], axis=1).astype(float)
    for start in range(0, draws, 1000):
        rng.multinomial(k, np.full(k, 1 / k), min(1000, draws - start)) @ counts


def counted(errors: Ints, words: Ints, draws: int, rng: np.random.Generator) -> None:
    """Indices counted with bincount, then a matrix product."""
    k = len(errors)
    counts = np.stack([errors, words], axis=1).astype(float)
    for start in range(0, draws, 256):
        size = min(256, draws - start)
        drawn = rng.integers(0, k, (size, k)) + (np.arange(size) * k)[:, None]
        np.bincount(drawn.ravel(), minlength=size * k).reshape(size, k).astype(float) @ counts


def poisson(errors: Ints, words: Ints, draws: int, rng: np.random.Generator) -> None:
    """Poisson weights (not the same bootstrap: the number of speakers varies), then a matrix product."""
    k = len(errors)
    counts = np.stack([errors, words], axis=1).astype(float)
    for start in range(0, draws, 256):
        rng.poisson(1.0, (min(256, draws - start), k)) @ counts


FORMULATIONS: dict[str, Formulation] = {
    "gather, 64-bit indices": gather,
    "packed gather, 16-bit indices": packed_gather,
    "multinomial weights": multinomial,
    "counted weights": counted,
    "Poisson weights": poisson,
}


def main() -> None:
    """Print the times and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--speakers", type=int, default=1000, help="speakers of each group")
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many turns is taken")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    groups, k, draws = options.groups, options.speakers, options.draws
    words = rng.integers(50, 600, (1, groups * k))
    errors = rng.binomial(words, 0.15)
    grouping = Grouping(
        attribute="group",
        names=tuple(f"g{index:02d}" for index in range(groups)),
        stated=np.ones(groups, dtype=bool),
        cell_group=np.repeat(np.arange(groups), k),
        cell_speaker=np.arange(groups * k),
        starts=np.arange(groups) * k,
        atom_cell=np.arange(groups * k),
        utterance_group=np.zeros(0, dtype=np.int64),
    )
    rates = rates_of_cells(grouping, errors, words, words)

    few = min(groups, 5)
    parts = [(errors[0, g * k : (g + 1) * k], words[0, g * k : (g + 1) * k]) for g in range(few)]
    times: dict[str, float] = {}
    for _ in range(options.repeat):  # in turns, so that a busy machine disturbs all alike
        for name, formulation in FORMULATIONS.items():
            start = time.perf_counter()
            for e, n in parts:
                formulation(e, n, draws, rng)
            seconds = (time.perf_counter() - start) * groups / few
            times[name] = min(seconds, times.get(name, seconds))
        start = time.perf_counter()
        speaker_draws(rates, draws, rng)
        seconds = time.perf_counter() - start
        times["asrfair"] = min(seconds, times.get("asrfair", seconds))
    for name, seconds in times.items():
        print(f"{name:32} {seconds:7.2f} s")
    own = times.pop("asrfair")
    print(f"ratio to the fastest: {own / min(times.values()):.2f}")


if __name__ == "__main__":
    main()
