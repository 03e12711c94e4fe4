"""Do intervals cover where an engine loops on one utterance in a thousand? With and without the cap on insertions.

Speakers' rates are gamma (coefficient of variation 0.4) around 15 %, 40 utterances of 10 words each, Poisson errors; one
utterance in a thousand gets 300 more insertions. Coverage of the 95 % interval, in per cent with Monte-Carlo errors:
of the rate as it is, of the rate with at most as many insertions in an utterance as words, each for its own truth, and
of the difference of two such groups.

    python benchmarks/loops.py --sets 2000
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
from prompts import TAIL, cover, grouping_of

from asrfair.stats.estimate.contrasts import difference_bounds
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.estimate.rate_interval import interval

UTTERANCES, WORDS, RATE, LOOP, SHARE, CV = 40, 10, 0.15, 300, 0.001, 0.4


def draw(rng: np.random.Generator, sets: int, size: int) -> tuple[Rates, Rates]:
    """Simulate two groups: as they are, and capped."""
    shape = (sets, 2 * size, UTTERANCES)
    person = rng.gamma(1 / CV**2, CV**2, shape[:2])
    errors = rng.poisson(WORDS * RATE * person[..., None], shape)
    inserted = LOOP * (rng.random(shape) < SHARE)
    words = np.full(shape[:2], UTTERANCES * WORDS)
    plain, capped = (
        rates_of_cells(grouping_of([size, size]), (errors + more).sum(axis=2), words, words)
        for more in (inserted, np.minimum(inserted, WORDS))
    )
    return plain, capped


def shares(rates: Rates, truth: float) -> list[npt.NDArray[np.bool_]]:
    """Whether the first group's rate and the difference are covered."""
    low, high = interval(rates.estimate, 0.95)
    first, second = (rates.estimate.map(lambda value, side=side: value[:, side]) for side in (0, 1))
    return [cover((low[:, 0], high[:, 0]), truth), cover(difference_bounds(first, second, TAIL), 0.0)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print("speakers  rate as it is   difference     rate capped    difference")
    for size in (8, 20, 50, 200):
        plain, capped = draw(rng, options.sets, size)
        found = [
            *shares(plain, RATE + SHARE * LOOP / WORDS),
            *shares(capped, RATE + SHARE),
        ]
        text = [f"{100 * x.mean():5.1f} ± {100 * np.sqrt(x.mean() * (1 - x.mean()) / len(x)):3.1f}" for x in found]
        print(f"{size:8d}  " + "    ".join(text), flush=True)


if __name__ == "__main__":
    main()
