"""The variance of who read and what was read, against the written-out formula, statsmodels and a known truth."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from stats_runs import people, write_scored_run
from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

from asrfair.stats.claims.dealt import deal
from asrfair.stats.claims.group_questions import group_test
from asrfair.stats.compare.conditions import interact
from asrfair.stats.compare.groups import against_rest
from asrfair.stats.compare.prompt_inflation import change_inflation, rest_inflation
from asrfair.stats.estimate.contrasts import contrast, difference_bounds
from asrfair.stats.estimate.correlations import correlations, correlations_with
from asrfair.stats.estimate.extremes import mean_interval
from asrfair.stats.estimate.group_rates import Rates, group_rates, rates_of_cells
from asrfair.stats.estimate.paired import change, paired_change, paired_sums
from asrfair.stats.estimate.two_way import Items, paired_readings
from asrfair.stats.frame import Frame, load_frame
from asrfair.stats.groups import Grouping, make_grouping
from asrfair.types import GroupSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import prompts as simulation

BY_ACCENT = GroupSettings(by=(("accent",),))
BY = GroupSettings(by=(("accent",), ("device",)))


def read_speech(tmp_path: Path, *, lists: dict[str, list[int]], engines: int = 1, seed: int = 1) -> Frame:
    """Accents of six speakers who read lists of sentences, each sentence once or twice, on one of two devices."""
    rng = np.random.default_rng(seed)
    table = people(dict.fromkeys(lists, 6), utterances=15)
    read = np.concatenate([np.resize(lists[accent], 15) for accent in lists for _ in range(6)])
    table["reference"] = [f"sentence {number}" for number in read]
    table["device"] = rng.choice(["desk", "phone"], len(table))
    hard, n = rng.lognormal(0, 0.8, 60), rng.integers(4, 12, 60)
    errors = {(f"e{engine}", "clean"): rng.poisson(0.2 * hard[read] * n[read]).tolist() for engine in range(engines)}
    return load_frame(write_scored_run(tmp_path, table, errors, n[read].tolist()), BY)


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    """Three accents: two with one list in common, one with half of it and half its own."""
    same = list(range(10))
    return read_speech(tmp_path, lists={"a": same, "b": same, "c": [*range(5), *range(20, 25)]}, engines=2)


def items(rates: Rates) -> Items:
    """What sentences contribute."""
    assert rates.items is not None
    return rates.items


def as_table(frame: Frame, run: int) -> pd.DataFrame:
    """One row an utterance: group, speaker, sentence, errors, words."""
    return pd.DataFrame(
        {
            "accent": frame.utterances["accent"],
            "device": frame.utterances["device"],
            "speaker": frame.speaker,
            "prompt": frame.prompt,
            "e": frame.numerator.reshape(-1, len(frame.speaker))[run],
            "n": frame.denominator.reshape(-1, len(frame.speaker))[run],
        }
    )


def written_out(table: pd.DataFrame) -> tuple[pd.Series[float], float]:
    """Contributions of one group's readings, and what sentences add to the variance of its log rate."""
    e, n = table["e"].sum(), table["n"].sum()
    readings = table.groupby(["speaker", "prompt"])[["e", "n"]].sum()
    own = (readings["e"] - e / n * readings["n"]) / e
    scaled = own.copy()
    sentences = readings.groupby("prompt").sum()
    count = len(sentences)
    for prompt, row in sentences.iterrows():
        without = np.log(e / n) - np.log((e - row["e"]) / (n - row["n"]))
        here = own.index.get_level_values("prompt") == prompt
        scaled[here] = own[here] * np.sqrt((count - 1) / count) * without / own[here].sum()
    added = (scaled.groupby("prompt").sum() ** 2).sum() - (scaled**2).sum()
    return scaled, float(added)


def test_what_sentences_add_is_the_written_out_formula(frame: Frame) -> None:
    """Σ_sentences (Σx)² − Σ x², x scaled to the jackknife over sentences, comes on top of the jackknife over speakers."""
    grouping = make_grouping(frame, ("accent",))
    rates = group_rates(frame, grouping)
    alone = rates_of_cells(grouping, rates.cell_errors, rates.cell_words, rates.cell_words)
    for run in (0, 1):
        table = as_table(frame, run)
        for group, name in enumerate(grouping.names):
            _, added = written_out(table[table["accent"] == name])
            assert items(rates).variance[run, group] == pytest.approx(max(added, 0.0))
            expected = alone.se_log[run, group] ** 2 + max(added, 0.0)
            assert rates.estimate.variance[run, group] == pytest.approx(expected)


def test_the_difference_of_two_groups_has_their_sentences_in_common(frame: Frame) -> None:
    """The covariance of two groups is Σ_sentences Σx Σy over those that both read, and the bound of it holds."""
    grouping = make_grouping(frame, ("accent",))
    rates = group_rates(frame, grouping)
    table = as_table(frame, 0)
    sums = {name: written_out(part)[0].groupby("prompt").sum() for name, part in table.groupby("accent")}
    matrix = correlations(rates, 0)
    size = rates.se_log[0]
    for a, first in enumerate(grouping.names):
        for b, second in enumerate(grouping.names):
            if a == b:
                assert matrix[a, b] == 1
                continue
            most = (items(rates).variance[0, a] + items(rates).variance[0, b]) / 2
            expected = np.clip((sums[first] * sums[second]).sum(), -most, most)
            assert matrix[a, b] == pytest.approx(expected / size[a] / size[b])
    assert matrix[0, 1] > 0.2


def test_two_way_clusters_are_those_of_statsmodels(frame: Frame) -> None:
    """Without small-sample factors the three terms are the sandwich of a Poisson model clustered by both."""
    grouping = make_grouping(frame, ("accent",))
    rates = group_rates(frame, grouping)
    found = items(rates)
    table = as_table(frame, 1)
    for group, name in enumerate(grouping.names):
        part = table[table["accent"] == name]
        model = sm.GLM(part["e"], np.ones((len(part), 1)), family=sm.families.Poisson(), offset=np.log(part["n"])).fit()
        both, speakers, _ = cov_cluster_2groups(
            model, part["speaker"].to_numpy(), part["prompt"].to_numpy(), use_correction=False
        )
        kept = found.readings
        own = np.where(
            kept.group == group,
            (kept.errors[1] - rates.rate[1, group] * kept.words[1]) / rates.errors[1, group],
            0.0,
        )[None]
        assert found.covariance(own, own)[0, group] == pytest.approx(float((both - speakers)[0, 0]), rel=1e-6)


def test_sentences_that_nobody_shares_change_no_byte(tmp_path: Path) -> None:
    """Unique sentences give the same arrays as no sentences at all, also beside shared ones of other groups."""
    own = {"a": list(range(10)), "b": list(range(20, 30))}
    frame = read_speech(tmp_path, lists=own)
    unique = frame.utterances["accent"].to_numpy() == "a"
    assert frame.prompt is not None
    prompt = np.where(unique, 1000 + np.arange(len(unique)), frame.prompt).astype(np.int32)
    grouping = make_grouping(frame, ("accent",))
    with_them = group_rates(replace(frame, prompt=prompt), grouping)
    without = group_rates(replace(frame, prompt=None), grouping)
    assert with_them.se_log[0, 0] == without.se_log[0, 0]
    assert with_them.df[0, 0] == without.df[0, 0]
    assert with_them.se_log[0, 1] > without.se_log[0, 1]
    bounds = [
        difference_bounds(*(rates.estimate.map(lambda v, g=g: v[:, g]) for g in (0, 0)), 0.025)
        for rates in (with_them, without)
    ]
    assert np.array_equal(*bounds)


def test_two_sentences_are_taken_as_they_are(tmp_path: Path) -> None:
    """With fewer than three sentences nothing is known of others: the variance is that over speakers."""
    frame = read_speech(tmp_path, lists={"a": [0, 1], "b": [0, 1, 2]})
    grouping = make_grouping(frame, ("accent",))
    rates = group_rates(frame, grouping)
    assert items(rates).variance[0, 0] == 0
    assert np.isinf(items(rates).df[0, 0])
    assert np.isfinite(items(rates).df[0, 1])


def test_the_rest_has_its_own_sentences(frame: Frame) -> None:
    """Two groups against one: the rest's part is that of its utterances, whoever else they are grouped with."""
    grouping = make_grouping(frame, ("accent",))
    pair = against_rest(group_rates(frame, grouping), 2)
    table = as_table(frame, 0)
    _, added = written_out(table[table["accent"] != "c"])
    assert items(pair).variance[0, 1] == pytest.approx(max(added, 0.0))


def test_a_reading_in_two_groups_is_no_covariance_of_sentences(frame: Frame) -> None:
    """Where a speaker reads a sentence on both devices, that reading is the speaker's, and taken out once."""
    grouping = make_grouping(frame, ("device",))
    rates = group_rates(frame, grouping)
    table = as_table(frame, 0)
    x, y = (written_out(table[table["device"] == name])[0] for name in grouping.names)
    joint = (x.groupby("prompt").sum() * y.groupby("prompt").sum()).sum() - (x * y).sum()
    assert items(rates).between(0)[0, 1] == pytest.approx(joint)


def test_engines_on_the_same_sentences_are_paired_by_both(frame: Frame) -> None:
    """The log ratio of two engines has Σ_sentences (Σ(x − y))² − Σ(x − y)² on top of the speakers' part."""
    grouping = make_grouping(frame, ("accent",))
    sums = paired_sums(frame, [(0, 1)])
    alone = paired_change(grouping, sums)
    both = paired_change(grouping, sums, paired_readings(frame, grouping, [(0, 1)]))
    for group, name in enumerate(grouping.names):
        x, y = (written_out(part[part["accent"] == name])[0] for part in (as_table(frame, 0), as_table(frame, 1)))
        apart = x - y
        added = max((apart.groupby("prompt").sum() ** 2).sum() - (apart**2).sum(), 0.0)
        assert both.se_log[0, group] ** 2 == pytest.approx(alone.se_log[0, group] ** 2 + added)


def test_pairs_are_of_what_both_runs_scored(tmp_path: Path) -> None:
    """An utterance that either run lacks is in neither side of a pair: not in the first's sums, not in the second's."""
    table = people({"a": 3}, utterances=4)
    errors = {("x", "clean"): list(range(12)), ("y", "clean"): list(range(100, 112))}
    status = {
        ("x", "clean"): ["error"] * 2 + ["scored"] * 10,
        ("y", "clean"): ["scored"] * 9 + ["missing"] * 3,
    }
    frame = load_frame(write_scored_run(tmp_path, table, errors, [200] * 12, status=status), BY_ACCENT)
    sums = paired_sums(frame, [(0, 1), (1, 0)])
    assert sums[0].sum(axis=-1).tolist() == [
        [sum(range(2, 9)), sum(range(102, 109))],
        [sum(range(102, 109)), sum(range(2, 9))],
    ]
    assert (sums[1].sum(axis=-1) == 7 * 200).all()
    assert (sums[2].sum(axis=-1) == 7).all()


def crossed(
    rng: np.random.Generator, sets: int, people_in_all: int, groups: int
) -> tuple[Grouping, npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Every speaker stands in every group: grouping, words and the speakers' relative rates of each cell."""
    base = simulation.grouping_of([people_in_all] * groups)
    grouping = replace(base, cell_speaker=np.tile(np.arange(people_in_all), groups))
    words = rng.integers(100, 300, (sets, people_in_all * groups))
    person = np.tile(rng.gamma(4, 0.25, (sets, people_in_all)), (1, groups))
    return grouping, words, person


def test_macro_of_groups_that_share_speakers_covers() -> None:
    """Ten speakers in each of five groups: intervals of the mean that know it cover, those that do not miss often."""
    rng = np.random.default_rng(4)
    grouping, words, person = crossed(rng, 600, 10, 5)
    rates = rates_of_cells(grouping, rng.poisson(0.15 * person * words), words, words)
    matrix = np.stack([correlations(rates, run) for run in range(600)])
    degrees = np.full(600, 7.0)
    low, high = mean_interval(rates.estimate, 0.025, matrix, degrees)
    assert ((low <= 0.15) & (high >= 0.15)).mean() > 0.93
    low, high = mean_interval(rates.estimate, 0.025)
    assert ((low <= 0.15) & (high >= 0.15)).mean() < 0.7


def test_macro_with_shared_speakers_is_the_written_out_variance() -> None:
    """Var of the mean on the log scale is Σ_gh W_g W_h cov_gh / (ΣW)²; half-widths show it."""
    rng = np.random.default_rng(5)
    grouping, words, person = crossed(rng, 1, 8, 3)
    rates = rates_of_cells(grouping, rng.poisson(0.2 * person * words), words, words)
    u = rates.influence[0].reshape(3, 8) * rates.rate[0][:, None]
    variance = (u.sum(axis=0) ** 2).sum() / rates.rate[0].sum() ** 2
    low, high = mean_interval(rates.estimate, 0.1, correlations(rates, 0)[None], np.array([5.0]))
    assert np.log(high / low)[0] == pytest.approx(2 * stats.t.ppf(0.9, 5) * np.sqrt(variance), rel=1e-6)


def test_one_group_against_all_is_a_row_of_the_matrix(frame: Frame) -> None:
    """Correlations with a chosen group of each run are those of the whole matrix, whatever groups have in common."""
    for by in (("accent",), ("device",)):  # sentences in common; speakers and sentences in common
        for rates in (
            group_rates(frame, make_grouping(frame, by)),
            group_rates(replace(frame, prompt=None), make_grouping(frame, by)),
        ):
            chosen = np.array([0, 1])
            rows = correlations_with(rates, chosen)
            for run in (0, 1):
                assert rows[run] == pytest.approx(correlations(rates, run)[chosen[run]])


def test_interactions_of_groups_that_share_speakers_cover() -> None:
    """Ten speakers on both devices in two places: the ratio of ratios covers, and is narrower than unpaired."""
    rng = np.random.default_rng(6)
    grouping, words, person = crossed(rng, 600, 10, 2)
    place = rng.gamma(10, 0.1, (600, 10))  # what the place costs a speaker, on either device
    before = rates_of_cells(grouping, rng.poisson(0.15 * person * words), words, words)
    after = rates_of_cells(grouping, rng.poisson(0.25 * person * np.tile(place, (1, 2)) * words), words, words)
    found = change(after, before)
    effect = interact(found, np.ones(600, dtype=np.int64), 0.025)
    inside = (effect.ratio_low[:, 0] <= 1) & (effect.ratio_high[:, 0] >= 1)
    assert 0.93 < inside.mean() < 0.98
    points = (effect.low[:, 0] <= 0) & (effect.high[:, 0] >= 0)
    assert 0.93 < points.mean() < 0.985
    covariance, _ = found.shared_with(np.ones(600, dtype=np.int64))
    u = found.sides[0].influence - found.sides[1].influence
    assert covariance[0, 0] == pytest.approx((u[0, :10] * u[0, 10:]).sum())


@pytest.mark.slow
@pytest.mark.parametrize("lists", ["same", "different"])
@pytest.mark.parametrize("size", [8, 50, 200])
def test_differences_cover_where_speakers_read_the_same_sentences(size: int, lists: str) -> None:
    """Item SD 0.8 on the log scale, lists of 20: at least 93 % of 95 % intervals hold the truth (less 2 SE)."""
    rng = np.random.default_rng([7, size])
    sets = 500
    rates = simulation.draw(rng, simulation.World(), sets, [size, size], [[0.18, 0.10]], lists)[0]
    covered = simulation.between_two(rates, (0.18, 0.10))[0]
    assert covered.mean() > 0.93 - 2 * np.sqrt(0.93 * 0.07 / sets)
    if lists == "different" and size >= 50:
        alone = simulation.between_two(simulation.over_speakers(rates), (0.18, 0.10))[0]
        assert alone.mean() < 0.7


@pytest.mark.parametrize("lists", ["same", "different"])
def test_tests_over_speakers_hold_their_level_with_the_inflation(lists: str) -> None:
    """No group differs: relabelled speakers, each list its group's, alarm too often; with the factors they do not."""
    rng = np.random.default_rng(9)
    sets, draws = 300, 399
    rates = simulation.draw(rng, simulation.World(), sets, [20, 20], [[0.15, 0.15]], lists)[0]
    factor = rest_inflation(rates)
    assert factor is not None
    compared = np.ones(rates.rate.shape, dtype=bool)
    dealt = deal(rates.grouping, draws, rng)
    alarms = []
    for inflation in (None, factor):
        found = group_test(dealt, rates, compared, inflation)
        p = np.array([largest.p(score)[0] for largest, score in zip(found.largest, found.score, strict=True)])
        alarms.append(float((p <= 0.05).mean()))
    assert alarms[1] < 0.05 + 2 * np.sqrt(0.05 * 0.95 / sets)
    assert alarms[0] > (0.3 if lists == "different" else 0.01)


def test_inflation_is_the_ratio_of_variances(frame: Frame) -> None:
    """Two-way over speakers' variance of the log ratio of two engines, widened for fewer degrees of freedom."""
    grouping = make_grouping(frame, ("accent",))
    sums = paired_sums(frame, [(0, 1)])
    alone = paired_change(grouping, sums)
    both = paired_change(grouping, sums, paired_readings(frame, grouping, [(0, 1)]))
    assert change_inflation(alone) is None
    assert rest_inflation(alone.sides[0]) is None
    factors = change_inflation(both)
    assert factors is not None
    wider = stats.t.ppf(0.975, np.fmin(both.df, alone.df)) / stats.t.ppf(0.975, alone.df)
    expected = np.maximum((both.se_log / alone.se_log * wider) ** 2, 1.0)
    np.testing.assert_allclose(factors[0], expected)
    expected = np.maximum((both.se_difference / alone.se_difference * wider) ** 2, 1.0)
    np.testing.assert_allclose(factors[1], expected)


def test_degrees_of_freedom_leave_with_what_is_shared() -> None:
    """Groups with one list: a difference has the degrees of freedom of its speakers, not those of the sentences."""
    rng = np.random.default_rng(8)
    rates = simulation.draw(rng, simulation.World(), 50, [8, 8], [[0.15, 0.15]], "same")[0]
    first, second = (rates.estimate.map(lambda v, g=g: v[:, g]) for g in (0, 1))
    rho = np.array([correlations(rates, run)[0, 1] for run in range(50)])
    assert np.median(contrast(first, second, rho).df_ratio) < 16
    assert np.median(contrast(first, second).df_ratio) > 16
