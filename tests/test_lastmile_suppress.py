"""Nobody stands alone in what leaves: the fewest answers are hidden, and a solver that knows everybody isolates nobody."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from asrfair.lastmile.suppress import SUPPRESSED, classes_of, hide

X = SUPPRESSED


@pytest.fixture(scope="module")
def attacks(repository: Path) -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("kit_attack", repository / "benchmarks" / "kit_attack.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kit_attack"] = module
    spec.loader.exec_module(module)
    return module


def hidden(rows: dict[str, tuple[str, ...]]) -> int:
    """How many answers are hidden."""
    return sum(answer == X for row in rows.values() for answer in row)


def test_the_attribute_that_costs_least_is_hidden_not_the_last_one() -> None:
    """Twelve people, gender six and six, six accents of two: accent goes, gender stays."""
    people = {f"p{n:02}": (f"accent {n % 6}", "female" if n < 6 else "male") for n in range(12)}
    rows = hide(people, 3)
    assert {(X, "female"): 6, (X, "male"): 6} == Counter(rows.values())


def test_no_row_is_alone_hidden_or_not() -> None:
    """One person with another answer: with them as many are hidden as make their row one of three."""
    people = {f"p{n}": ("us" if n else "gb",) for n in range(7)}
    rows = hide(people, 3)
    assert X == rows["p0"][0]
    assert {("us",): 4, (X,): 3} == Counter(rows.values())
    assert dict.fromkeys(["a", "b", "c"], (X,)) == hide({"a": ("1",), "b": ("2",), "c": ("3",)}, 3)


def test_it_is_the_optimum(attacks: ModuleType) -> None:
    """No other way to hide answers of five people hides fewer, tried one by one."""
    rng = np.random.default_rng(4)
    for _ in range(12):
        people = {f"p{n}": (str(rng.integers(2)), str(rng.integers(2))) for n in range(5)}
        best = 99
        for masks in itertools.product(itertools.product((0, 1), repeat=2), repeat=5):
            rows = [
                tuple(X if m else a for a, m in zip(own, mask, strict=True))
                for own, mask in zip(people.values(), masks, strict=True)
            ]
            if min(Counter(rows).values()) >= 2:
                best = min(best, sum(map(sum, masks)))
        assert best == hidden(hide(people, 2))


def test_a_newcomer_waits_and_who_leaves_does_not_leave_alone() -> None:
    """Nine, then ten: the tenth stays out. One of nine withdraws: two more of those who look the same stay out."""
    nine = [f"p{n}" for n in range(9)]
    shown = {who: {"accent": ["us"]} for who in nine}
    assert set(nine) == set(classes_of([*nine, "new"], [shown], 3))
    assert 12 == len(classes_of([*nine, "n1", "n2", "n3"], [shown], 3))
    assert {f"p{n}" for n in range(3, 9)} == set(classes_of(nine[1:], [shown], 3))
    four = {who: {} for who in nine[:4]}
    assert {} == classes_of(nine[1:4], [four], 3)  # three would be left, and one gone: nobody leaves


def test_the_attack_finds_what_stands_alone(attacks: ModuleType) -> None:
    """A row that only one person can own is found, also where it shows nothing: the others are taken."""
    people = {"a": ("1",), "b": ("1",), "c": ("2",)}
    assert 1 == attacks.fewest_owners(people, [{"a": ("1",), "b": ("1",), "c": (X,)}])
    assert 3 == attacks.fewest_owners(people, [dict.fromkeys(people, (X,))])
    both = [dict.fromkeys("ab", (X,)), dict.fromkeys("abc", (X,))]
    assert 1 == attacks.fewest_owners(people, both)


@pytest.mark.slow
def test_a_solver_isolates_nobody_in_kits_and_pairs_of_releases(attacks: ModuleType) -> None:
    """Small kits with a second release after people came and went (benchmarks/kit_attack.py tries 10,000)."""
    for seed in range(150):
        alone, pairs, _ = attacks.attack(np.random.default_rng(seed))
        assert min(alone, pairs) >= 3
