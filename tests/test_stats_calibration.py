"""The calibration benchmark in small: intervals cover, tests hold, power is what is stated.

The full tables (2,000 sets a line) are made by ``benchmarks/calibration.py`` and quoted in docs/statistics.md. The
bounds here leave room for the sampling error of a few hundred sets: three standard errors below 93 % and above 97 %.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from asrfair.stats.estimate.contrasts import difference_bounds, ratio_bounds
from asrfair.stats.estimate.extremes import jackknife_extremes
from asrfair.stats.estimate.largest_difference import largest_difference
from asrfair.stats.estimate.rate_interval import interval
from asrfair.stats.estimate.simultaneous import simultaneous_interval

SETS = 600


@pytest.fixture(scope="module")
def calibration(repository: Path) -> ModuleType:
    """The benchmark as a module."""
    path = repository / "benchmarks" / "calibration.py"
    spec = importlib.util.spec_from_file_location("calibration", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration"] = module
    spec.loader.exec_module(module)
    return module


def lowest(sets: int, coverage: float = 0.93) -> float:
    """Three standard errors below."""
    return coverage - 3 * math.sqrt(coverage * (1 - coverage) / sets)


@pytest.mark.parametrize("law", ["gamma", "lognormal"])
@pytest.mark.parametrize("cv", [0.4, 0.8])
@pytest.mark.parametrize("size", [5, 8, 20, 50])
def test_intervals_of_one_group_cover(calibration: ModuleType, law: str, cv: float, size: int) -> None:
    """Between 93 and 97 % of 95 % intervals hold the truth, sampling error aside."""
    rng = np.random.default_rng(1)
    rates = calibration.draw_sets(rng, calibration.World(law=law, cv=cv), SETS, [size], [calibration.RATE])
    low, high = interval(rates.estimate, 0.95)
    covered = ((low <= calibration.RATE) & (calibration.RATE <= high)).mean()
    assert lowest(SETS) <= covered <= 0.97 + 3 * math.sqrt(0.97 * 0.03 / SETS)


@pytest.mark.parametrize("law", ["gamma", "lognormal"])
def test_differences_ratios_gaps_and_all_groups_at_once_cover(calibration: ModuleType, law: str) -> None:
    """At least 93 %, sampling error aside, for seven groups of 5 to 60 speakers with very different speakers."""
    rng = np.random.default_rng(2)
    truth = [0.2, 0.12, 0.14, 0.15, 0.16, 0.1, 0.3]
    rates = calibration.draw_sets(rng, calibration.World(law=law, cv=0.8), SETS, [5, 6, 8, 10, 20, 40, 60], truth)
    estimate = rates.estimate
    low, high = simultaneous_interval(estimate, np.ones(estimate.rate.shape, dtype=bool), 0.95)
    shares = {"joint": ((low <= truth) & (truth <= high)).all(axis=1).mean()}
    first, second = (estimate.map(lambda value, side=side: value[:, side]) for side in (0, 6))
    low, high = difference_bounds(first, second, 0.025)
    shares["difference"] = ((low <= truth[0] - truth[6]) & (truth[0] - truth[6] <= high)).mean()
    low, high = ratio_bounds(first, second, 0.025)
    shares["ratio"] = ((low <= truth[0] / truth[6]) & (truth[0] / truth[6] <= high)).mean()
    every = np.ones(rates.rate.shape, dtype=bool)
    found = jackknife_extremes(rates, every, 0.95, largest_difference(rates, every, rng, 500))
    for name, pair, value in (
        ("worst", found.worst, 0.3),
        ("gap", found.gap, 0.2),
        ("worst / best", found.ratio, 3.0),
        ("macro", found.macro, float(np.mean(truth))),
    ):
        shares[name] = ((pair[0] <= value) & (value <= pair[1])).mean()
    assert {name: share for name, share in shares.items() if share < lowest(SETS)} == {}


def test_stated_power_is_real_power(calibration: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference of the stated size is found in 75 to 85 % of sets, sampling error aside."""
    monkeypatch.setattr(calibration, "SPREADS", (0.6,))
    lines = calibration.power_table(np.random.default_rng(4), SETS)[1:]
    room = 100 * 3 * math.sqrt(0.8 * 0.2 / SETS)
    found = [float(line.split()[-1]) for line in lines]
    assert [share for share in found if not 75 - room <= share <= 85 + room] == []


def test_what_others_do_covers_less(calibration: ModuleType) -> None:
    """With five speakers the bootstrap over speakers holds under 90 %, over utterances under 70 %."""
    rng = np.random.default_rng(5)
    world = calibration.World(law="gamma", cv=0.8)
    rates = calibration.draw_sets(rng, world, 300, [5], [calibration.RATE])
    bounds = calibration.percentile_speakers(rng, rates.cell_errors, rates.cell_words, 300)
    assert calibration.Coverage.of(*bounds, calibration.RATE).covered < 0.9
    assert calibration.percentile_utterances(rng, world, 200, 5, 200).covered < 0.7
