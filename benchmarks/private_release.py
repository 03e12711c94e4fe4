"""What a differentially private release costs: how far noise moves a group's WER, by people in the group and epsilon.

    python benchmarks/private_release.py [--draws 20000] [--wer 0.2] [--words 300]

Prints, for 5, 20 and 100 people a group, the width in points of WER of the range in which nine of ten releases lie, and
how much of it a release needs no noise to have: the 95 % interval over people themselves. Draws through OpenDP.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import t

from asrfair.lastmile.private import laplace

PEOPLE = (5, 20, 100)
EPSILONS = (0.5, 1.0, 3.0, 10.0)
PEOPLE_CV = 0.4
MOST_RATE = 2.0


def width(people: int, epsilon: float, *, wer: float, words: int, draws: int) -> float:
    """Return the width of the range of nine in ten releases, in points of WER; a release is read as at most 200 %."""
    total, errors = people * words, round(people * words * wer)
    noise = np.array(laplace(2 * words / epsilon)([0] * (2 * draws)), dtype=float).reshape(2, draws)
    rates = np.clip(np.maximum(errors + noise[0], 0) / np.maximum(total + noise[1], 1), 0, MOST_RATE)
    low, high = np.quantile(rates, [0.05, 0.95])
    return float(high - low) * 100


def sampling(people: int, *, wer: float) -> float:
    """Return the width of a 95 % interval over people whose rates have a coefficient of variation of 0.4, in points."""
    return float(2 * t.ppf(0.975, people - 1) * PEOPLE_CV * wer / np.sqrt(people)) * 100


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--wer", type=float, default=0.2)
    parser.add_argument("--words", type=int, default=300, help="words a person, and the most that count")
    given = parser.parse_args()
    print(
        "| people in the group | "
        + " | ".join(f"epsilon {e:g}" for e in EPSILONS)
        + " | interval over people, no noise |"
    )
    print("|---|" + "---|" * (len(EPSILONS) + 1))
    for people in PEOPLE:
        cells = [width(people, e, wer=given.wer, words=given.words, draws=given.draws) for e in EPSILONS]
        cells.append(sampling(people, wer=given.wer))
        print(f"| {people} | " + " | ".join(f"{cell:.0f}" if cell >= 9.5 else f"{cell:.1f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
