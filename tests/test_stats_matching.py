"""Matching: against hand-made tables and from known truth; the table of raw, adjusted and matched ratios."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import frame_of, people, write_scored_run

from asrfair.errors import InputError
from asrfair.stats.explain.adjusted import adjusted_table
from asrfair.stats.explain.covariates import Covariate
from asrfair.stats.explain.matching import coarsen, match
from asrfair.stats.groups import make_grouping
from asrfair.types import StatisticsSettings


def test_ratio_is_observed_over_expected() -> None:
    """The group's errors over those at the reference group's rates, cell by cell; cells of one group are left out."""
    #             cell 0      cell 1      cell 2 (only group 1)
    errors = np.array([2, 10, 6, 20, 50.0])
    words = np.array([20, 20, 30, 30, 100.0])
    group = np.array([0, 0, 1, 1, 1])
    cell = np.array([0, 1, 0, 1, 2])
    speaker = np.array([0, 1, 2, 3, 3])
    found = match(errors=errors, words=words, speaker=speaker, group=group, cell=cell, reference=0, confidence=0.95)
    assert found[1].ratio == pytest.approx((6 + 20) / (30 * 2 / 20 + 30 * 10 / 20))
    assert found[1].share == pytest.approx(60 / 160)
    assert 2 == found[1].cells
    assert 1.0 == found[0].ratio


def test_interval_agrees_with_matching_again_without_each_speaker() -> None:
    """The closed-form jackknife is that of leaving every speaker out and matching again."""
    rng = np.random.default_rng(1)
    rows = 400
    speaker = rng.integers(0, 16, rows)
    data = {
        "errors": rng.poisson(3, rows).astype(float),
        "words": rng.integers(5, 30, rows).astype(float),
        "speaker": speaker,
        "group": (speaker >= 8).astype(np.int64),
        "cell": rng.integers(0, 12, rows) * 2 + (speaker % 5 == 0),
    }
    whole = match(**data, reference=0, confidence=0.95)[1]
    variance = 0.0
    for members in (range(8), range(8, 16)):
        for left_out in members:
            keep = speaker != left_out
            again = match(**{k: v[keep] for k, v in data.items()}, reference=0, confidence=0.95)[1]
            variance += 7 / 8 * np.log(again.ratio / whole.ratio) ** 2
    half = np.log(whole.ci_high / whole.ratio)
    import scipy.stats

    kish = [np.bincount(speaker[speaker // 8 == g], weights=data["words"][speaker // 8 == g]) for g in (0, 1)]
    kish = [w[w > 0] for w in kish]
    effective = [w.sum() ** 2 / (w**2).sum() - 1 for w in kish]
    low_df, high_df = min(effective), sum(effective)
    assert scipy.stats.t.ppf(0.975, high_df) * np.sqrt(variance) * 0.99 <= half
    assert half <= scipy.stats.t.ppf(0.975, low_df) * np.sqrt(variance) * 1.01


def test_numbers_are_cut_into_classes_of_equal_size() -> None:
    """One number gives five classes; what is unknown is a class of its own."""
    number = Covariate(name="x", numbers=np.append(np.arange(100.0), [np.nan] * 7))
    cell = coarsen([number], np.arange(107))
    assert sorted([20] * 5 + [7]) == sorted(np.bincount(cell).tolist())


def made(tmp_path: Path, *, effect: float) -> Path:
    """Two accents of 30 speakers; uk has longer utterances, which are harder; ``effect`` comes on top (log scale)."""
    rng = np.random.default_rng(2)
    table = people({"uk": 30, "us": 30}, utterances=30)
    uk = (table["accent"] == "uk").to_numpy()
    length = np.where(rng.random(len(table)) < np.where(uk, 0.8, 0.3), 16, 4)
    speaker = pd.factorize(table["speaker_id"])[0]
    person = rng.normal(0, 0.3, 60)[speaker]
    errors = rng.poisson(length * 0.1 * np.exp(0.8 * (length == 16) + effect * uk + person))
    table["reference"] = ["word " * n for n in length]
    return write_scored_run(tmp_path / "run", table, {("e", "clean"): errors}, length)


def test_a_gap_that_is_only_length_goes_away(tmp_path: Path) -> None:
    """Raw ratio above 1, adjusted and matched ratios around 1."""
    frame, groups = frame_of(made(tmp_path, effect=0.0), ("accent",), reference={"accent": "us"})
    table = adjusted_table(frame, [make_grouping(frame, ("accent",))], groups, StatisticsSettings(adjust=("length",)))
    (row,) = table.to_dict("records")
    assert ("uk", "us", "length") == (row["group"], row["reference_group"], row["covariates"])
    assert row["raw_ratio"] > 1.15
    assert row["unadjusted_ratio"] > 1.15
    for low, ratio, high in (
        ("ci_low", "adjusted_ratio", "ci_high"),
        ("matched_ci_low", "matched_ratio", "matched_ci_high"),
    ):
        assert row[low] < 1 < row[high]
        assert row[ratio] == pytest.approx(1, abs=0.15)
    assert row["p_likelihood_ratio"] > 0.05


def test_a_gap_that_is_more_than_length_stays(tmp_path: Path) -> None:
    """A true ratio of e^0.5 is found by model and matching, with a small p."""
    frame, groups = frame_of(made(tmp_path, effect=0.5), ("accent",), reference={"accent": "us"})
    table = adjusted_table(frame, [make_grouping(frame, ("accent",))], groups, StatisticsSettings(adjust=("length",)))
    (row,) = table.to_dict("records")
    for ratio in ("adjusted_ratio", "matched_ratio"):
        assert row[ratio] == pytest.approx(np.exp(0.5), rel=0.15)
    assert row["p_likelihood_ratio"] < 0.001
    assert row["p_holm"] < 0.001
    assert "" == row["flag"]


def test_a_guessed_attribute_is_not_held_fixed(tmp_path: Path) -> None:
    """What was guessed from a voice explains nothing unless that is allowed."""
    table = people({"uk": 5, "us": 5}, utterances=10).assign(race=["x", "y"] * 50)
    run = write_scored_run(
        tmp_path / "run", table, {("e", "clean"): [1] * 100}, [10] * 100, provenance={"race": "inferred"}
    )
    frame, groups = frame_of(run, ("accent",))
    grouping = make_grouping(frame, ("accent",))
    with pytest.raises(InputError, match="was guessed"):
        adjusted_table(frame, [grouping], groups, StatisticsSettings(adjust=("race",)))
    frame, groups = frame_of(run, ("accent",), allow_inferred=True)
    allowed = adjusted_table(frame, [grouping], groups, StatisticsSettings(adjust=("race",)))
    assert ["race"] == allowed["covariates"].tolist()


def test_no_covariates_no_table(tmp_path: Path) -> None:
    """Without covariates in the settings nothing is fitted; the table is there and empty."""
    frame, groups = frame_of(made(tmp_path, effect=0.0), ("accent",))
    table = adjusted_table(frame, [make_grouping(frame, ("accent",))], groups, StatisticsSettings())
    assert table.empty
    assert "adjusted_ratio" in table.columns


def test_tables_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    """The same utterances in another order give the same table to the last digit that matters."""
    folder = made(tmp_path, effect=0.2)
    frame, groups = frame_of(folder, ("accent",))
    settings = StatisticsSettings(adjust=("length", "rarity"))
    first = adjusted_table(frame, [make_grouping(frame, ("accent",))], groups, settings)
    utterances = pd.read_parquet(folder / "utterances.parquet")
    utterances.sample(frac=1, random_state=1).to_parquet(folder / "utterances.parquet", index=False)
    frame, groups = frame_of(folder, ("accent",))
    second = adjusted_table(frame, [make_grouping(frame, ("accent",))], groups, settings)
    numbers = first.select_dtypes("number").columns
    np.testing.assert_allclose(first[numbers].to_numpy(float), second[numbers].to_numpy(float), rtol=1e-6)
