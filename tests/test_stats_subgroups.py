"""Subgroups: what is planted is found and confirmed, what is chance is not, and the split is sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import frame_of, write_scored_run

from asrfair.stats.explain.subgroups import (
    build_lattice,
    contrast,
    search,
    searchable_attributes,
    speaker_values,
    subgroup_table,
)
from asrfair.types import StatisticsSettings


def population(rng: np.random.Generator, speakers: int) -> pd.DataFrame:
    """Speakers with four attributes drawn at random."""
    sizes = {"accent": 5, "gender": 2, "age": 3, "device": 2}
    return pd.DataFrame(
        {name: rng.integers(0, size, speakers).astype(str) for name, size in sizes.items()},
        index=[f"s{i}" for i in range(speakers)],
    )


def counts(rng: np.random.Generator, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words and errors of speakers whose true rates are gamma (CV 0.5) around 0.15 times a factor."""
    words = np.rint(rng.lognormal(0, 0.6, len(factor)) * 300) + 20
    return rng.poisson(0.15 * words * rng.gamma(4, 0.25, len(factor)) * factor).astype(float), words


def test_the_planted_subgroup_is_found_and_confirmed() -> None:
    """Accent 3 with gender 1 makes 2.2 times the errors: found first and confirmed; others only as they overlap."""
    rng = np.random.default_rng(0)
    values = population(rng, 600)
    planted = ((values["accent"] == "3") & (values["gender"] == "1")).to_numpy()
    errors, words = counts(rng, np.where(planted, 2.2, 1.0))
    rows = search(build_lattice(values, seed=1), errors, words, rng, confidence=0.95)
    assert "accent=3, gender=1" == rows[0]["subgroup"]
    assert "confirmed" == rows[0]["flag"]
    assert rows[0]["held_out_ratio"] == pytest.approx(2.2, rel=0.25)
    assert rows[0]["p_search"] < 0.01
    also = [row["subgroup"] for row in rows if row["flag"] == "confirmed" and row["held_out_ratio"] > 1]
    assert all("accent=3" in name or "gender=1" in name for name in also)


def test_chance_is_not_confirmed() -> None:
    """Where nobody differs the search finds something in about 5 % of data sets and confirms next to nothing."""
    found, confirmed = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = population(rng, 120)
        errors, words = counts(rng, np.ones(120))
        rows = search(build_lattice(values, seed=seed), errors, words, rng, confidence=0.95)
        found.append(min(row["p_search"] for row in rows) <= 0.05)
        confirmed.append(any(row["flag"] == "confirmed" for row in rows))
    assert np.mean(found) <= 0.15
    assert np.mean(confirmed) <= 0.05


def test_halves_are_alike_and_repeatable() -> None:
    """Every cell of attributes is split evenly, the same for the same seed whatever the order of speakers."""
    values = population(np.random.default_rng(1), 200)
    lattice = build_lattice(values, seed=5)
    for cell in np.unique(lattice.cell):
        inside = lattice.first_half[lattice.cell == cell]
        assert abs(int(inside.sum()) - int((~inside).sum())) <= 1
    shuffled = values.sample(frac=1, random_state=0)
    again = build_lattice(shuffled, seed=5)
    here = dict(zip(values.index, lattice.first_half, strict=True))
    there = dict(zip(shuffled.index, again.first_half, strict=True))
    assert here == there
    other = build_lattice(values, seed=6)
    assert not np.array_equal(lattice.first_half, other.first_half)


def test_contrast_is_the_pooled_log_ratio() -> None:
    """Rates, ratio and variance of a subgroup against the rest are those of the written-out formulas."""
    rng = np.random.default_rng(2)
    values = population(rng, 80)
    errors, words = counts(rng, np.ones(80))
    lattice = build_lattice(values, seed=1, depth=1)
    place = lattice.names.index("gender=0")
    found = contrast(lattice, errors, words, lattice.first_half)
    inside = (values["gender"] == "0").to_numpy() & lattice.first_half
    outside = (values["gender"] != "0").to_numpy() & lattice.first_half
    variance = 0.0
    rates = []
    for side in (inside, outside):
        e, n = errors[side], words[side]
        rates.append(e.sum() / n.sum())
        variance += len(e) / (len(e) - 1) * np.sum((e / e.sum() - n / n.sum()) ** 2)
    assert found.rate[place] == pytest.approx(rates[0])
    assert found.log_ratio[place] == pytest.approx(np.log(rates[0] / rates[1]))
    assert found.error[place] == pytest.approx(np.sqrt(variance))


def test_small_missing_and_repeated_subgroups_are_not_searched() -> None:
    """A subgroup has enough speakers in both halves, no unstated value, and a different set of speakers."""
    values = pd.DataFrame(
        {
            "accent": ["us"] * 40 + ["uk"] * 40 + ["rare"] * 4 + ["not_stated"] * 20,
            "region": ["america"] * 40 + ["europe"] * 40 + ["x"] * 4 + ["not_stated"] * 20,
        },
        index=[f"s{i}" for i in range(104)],
    )
    lattice = build_lattice(values, seed=1)
    assert ("accent=uk", "accent=us") == tuple(sorted(lattice.names))


def test_attributes_that_vary_within_speakers_are_left_out(tmp_path: Path) -> None:
    """A topic that changes from utterance to utterance is nobody's attribute; a guessed one is not searched."""
    table = pd.DataFrame(
        {
            "utterance_id": [f"u{i:03d}" for i in range(80)],
            "speaker_id": [f"s{i // 2}" for i in range(80)],
            "gender": [("f", "m")[(i // 2) % 2] for i in range(80)],
            "topic": [("a", "b")[i % 2] for i in range(80)],
            "race": ["x"] * 80,
        }
    )
    run = write_scored_run(
        tmp_path / "run", table, {("e", "clean"): [1] * 80}, [10] * 80, provenance={"race": "inferred"}
    )
    frame, _ = frame_of(run, ("gender",))
    assert ["gender", "topic"] == searchable_attributes(frame)
    assert ["gender", "topic", "race"] == searchable_attributes(frame, allow_inferred=True)
    assert ["gender"] == list(speaker_values(frame, ["gender", "topic"]).columns)


def test_table_repeats_by_seed(tmp_path: Path) -> None:
    """The same seed gives the same table; too few speakers give an empty one with its columns."""
    rng = np.random.default_rng(3)
    values = population(rng, 120)
    errors, words = counts(rng, np.where(values["accent"] == "2", 2.0, 1.0))
    table = values.reset_index(names="speaker_id")
    table.insert(0, "utterance_id", [f"u{i:03d}" for i in range(120)])
    run = write_scored_run(tmp_path / "run", table, {("e", "clean"): errors.astype(int)}, words.astype(int))
    frame, _ = frame_of(run, ("accent",))
    first = subgroup_table(frame, StatisticsSettings(seed=4))
    second = subgroup_table(frame, StatisticsSettings(seed=4))
    pd.testing.assert_frame_equal(first, second)
    assert "accent=2" == first.iloc[0]["subgroup"]
    none = subgroup_table(frame, StatisticsSettings(), min_speakers=100)
    assert none.empty
    assert list(first.columns) == list(none.columns)
