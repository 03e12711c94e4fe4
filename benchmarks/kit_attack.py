"""Attacks exports of the last-mile kit with a solver: does any row, in one release or in two, belong to one person only?

The attacker knows all people and all their answers, who stood in which release, and links rows by their codes. A row may
be a person's if the answers that it shows are theirs and everybody else can still be given a row too: a perfect matching
of a bipartite graph. A kit of which every row may belong to at least ``min_speakers`` people isolates nobody.

    python benchmarks/kit_attack.py                 # 10,000 small kits, each with a second release
    python benchmarks/kit_attack.py --kits 500
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from asrfair.lastmile.suppress import SUPPRESSED, classes_of, hide

Answers = tuple[str, ...]
Release = dict[str, Answers]
NAMES = ("accent", "gender", "age")


def released(people: Mapping[str, Answers], before: list[Release], least: int) -> Release:
    """Return what would leave: code → visible answers, as an export holds them."""
    shown = [{who: visible(row) for who, row in export.items()} for export in before]
    classes = classes_of(sorted(people), shown, least)
    members: dict[str, dict[str, Answers]] = defaultdict(dict)
    for who, name in classes.items():
        members[name][who] = people[who]
    found: Release = {}
    for group in members.values():
        found |= hide(group, least)
    return found


def visible(row: Answers) -> dict[str, list[str]]:
    """Return the answers that a row shows, as the ledger keeps them."""
    return {name: [answer] for name, answer in zip(NAMES, row, strict=False) if answer != SUPPRESSED}


def fewest_owners(people: Mapping[str, Answers], releases: list[Release]) -> int:
    """Return to how few people the most telling row can belong; people who are in no release aside."""
    there = sorted({who for export in releases for who in export})
    if not there:
        return len(people) + 1
    views = [tuple(export.get(who) for export in releases) for who in there]
    fits = np.array(
        [
            [
                all(
                    (row is None) == (who not in export) and (row is None or _may_be(row, people[who]))
                    for row, export in zip(view, releases, strict=True)
                )
                for who in there
            ]
            for view in views
        ]
    )
    fewest = len(there)
    for view in set(views):
        row = views.index(view)
        owners = 0
        for column in np.flatnonzero(fits[row]):
            rest = np.delete(np.delete(fits, row, axis=0), column, axis=1)
            match = csgraph.maximum_bipartite_matching(sparse.csr_array(rest), perm_type="column")
            owners += bool((match >= 0).all())
        fewest = min(fewest, owners)
    return fewest


def _may_be(row: Answers, answers: Answers) -> bool:
    return all(shown in (SUPPRESSED, answer) for shown, answer in zip(row, answers, strict=True))


def attack(rng: np.random.Generator, least: int = 3) -> tuple[int, int, float]:
    """Make a kit, release it, let people come and go, release it again.

    Returns:
        The fewest owners of a row in the first release alone, in both together, and the share of answers hidden.
    """
    size, width = int(rng.integers(3, 10)), int(rng.integers(1, 4))
    answers = [[f"{name}-{n}" for n in range(int(rng.integers(2, 4)))] for name in NAMES[:width]]

    def somebody() -> Answers:
        return tuple(str(rng.choice(known)) for known in answers)

    people = {f"{rng.integers(2**40):012x}": somebody() for _ in range(size)}
    first = released(people, [], least)
    later = dict(people)
    for who in list(people):
        if rng.random() < 0.15:
            del later[who]
    later |= {f"{rng.integers(2**40):012x}": somebody() for _ in range(int(rng.integers(0, 5)))}
    second = released(later, [first], least)
    hidden = [answer == SUPPRESSED for row in first.values() for answer in row]
    everybody = {**later, **people}
    return fewest_owners(everybody, [first]), fewest_owners(everybody, [first, second]), float(np.mean(hidden or [0]))


def main() -> None:
    """Attack, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kits", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    seeds = np.random.SeedSequence(arguments.seed).spawn(arguments.kits)
    found = [attack(np.random.default_rng(seed)) for seed in seeds]
    alone, pairs, hidden = zip(*found, strict=True)
    print(f"{arguments.kits} kits of 3 to 9 people, least 3, {time.perf_counter() - begun:.0f} s")
    print(f"  first release: {sum(n < 3 for n in alone)} kits with a row of fewer than 3 possible owners")
    print(f"  both releases: {sum(n < 3 for n in pairs)}")
    print(f"  answers hidden in the first release: {100 * float(np.mean(hidden)):.0f} %")


if __name__ == "__main__":
    main()
