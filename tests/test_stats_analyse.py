"""A scored run becomes tables: columns, flags, families, determinism, and the real figures of EdAcc."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import write_scored_run

from asrfair.errors import InputError
from asrfair.scoring.metric import WER
from asrfair.stats import analyse_run, named
from asrfair.stats.analyse import Analysis
from asrfair.types import GroupSettings, StatisticsSettings

SETTINGS = GroupSettings(by=(("accent",), ("gender",), ("accent", "gender")), reference={"accent": "us"})
FIXED = {
    "disparity": (
        "engine,condition,attribute,group,utterances,speakers,effective_speakers,ref_words,hits,substitutions,deletions,"
        "insertions,wer,ci_low,ci_high,sim_low,sim_high,failed,scored_share,wer_capped,capped_ci_low,capped_ci_high,flag"
    ),
    "gaps": (
        "engine,condition,attribute,groups,best_group,worst_group,best_wer,worst_wer,worst_ci_low,worst_ci_high,gap,"
        "gap_ci_low,gap_ci_high,ratio,ratio_ci_low,ratio_ci_high,macro_wer,macro_ci_low,macro_ci_high,micro_wer,"
        "micro_ci_low,micro_ci_high,spread_sd,gap_capped,flag"
    ),
    "coverage": "attribute,group,speakers,utterances,ref_words,hours",
    "ledger_by_group": "engine,condition,attribute,group,reason,utterances,share",
    "differences": (
        "engine,condition,attribute,group,versus,versus_group,difference,ci_low,ci_high,sim_low,sim_high,ratio,"
        "ratio_ci_low,ratio_ci_high,mdd,mdd_corrected,speakers_needed,flag"
    ),
    "comparisons": ("engine_a,engine_b,condition,attribute,group,difference,ci_low,ci_high,mapsswe_z,mapsswe_p,flag"),
    "interactions": (
        "engine,condition,attribute,group,reference_group,difference_in_differences,ci_low,ci_high,"
        "ratio_of_ratios,ratio_ci_low,ratio_ci_high,scales_disagree,flag"
    ),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two engines, two conditions; 24 us, 9 indian, 3 welsh speakers and 4 who did not say."""
    rng = np.random.default_rng(11)
    accents = ["us"] * 24 + ["indian"] * 9 + ["welsh"] * 3 + ["not_stated"] * 4
    speaker = np.repeat(np.arange(len(accents)), 6)
    utterances = pd.DataFrame(
        {
            "utterance_id": [f"u{i:04d}" for i in range(len(speaker))],
            "speaker_id": [f"s{s:02d}" for s in speaker],
            "accent": np.array(accents)[speaker],
            "gender": np.where(speaker % 2 == 0, "female", "male"),
            "duration_s": 3.0,
        }
    )
    words = rng.integers(8, 20, len(speaker))
    own = rng.gamma(4, 0.25, len(accents))[speaker]
    group = pd.Series(accents).map({"us": 0.1, "indian": 0.25, "welsh": 0.2, "not_stated": 0.15}).to_numpy()[speaker]
    errors = {
        (engine, condition): rng.poisson(own * group * words * better * harder).tolist()
        for engine, better in (("small", 1.3), ("large", 1.0))
        for condition, harder in (("clean", 1.0), ("ward", 2.0))
    }
    status = {("small", "ward"): ["error" if i == 0 else "scored" for i in range(len(speaker))]}
    folder = write_scored_run(tmp_path_factory.mktemp("run"), utterances, errors, words.tolist(), status=status)
    (folder / "ledger.csv").write_text(
        "engine,condition,utterance_id,speaker_id,reason,detail\n"
        "small,ward,u0000,s00,engine_error,boom\nlarge,clean,u0150,s25,repetition_loop,\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def analysis(run: Path) -> Analysis:
    """All tables."""
    return analyse_run(run, SETTINGS, StatisticsSettings(faas=True), full=True)


@pytest.mark.parametrize("name", list(FIXED))
def test_tables_have_their_columns_in_order(analysis: Analysis, name: str) -> None:
    """The columns that other stages rely on, in the table and in the file."""
    assert list(named(analysis.tables[name], WER).columns) == FIXED[name].split(",")
    assert (analysis.run / f"{name}.csv").read_text(encoding="utf-8").splitlines()[0] == FIXED[name]


def test_rows_stand_in_the_order_of_the_suite_with_everybody_first(analysis: Analysis) -> None:
    """Engines, then conditions, then attributes as asked for; not stated is the last group."""
    table = analysis.tables["disparity"]
    first = table.groupby(["engine", "condition"], sort=False).head(1)
    assert first[["engine", "condition"]].to_numpy().tolist() == [
        ["small", "clean"], ["small", "ward"], ["large", "clean"], ["large", "ward"]
    ]  # fmt: skip
    assert (first["attribute"] == "overall").all()
    one = table[(table["engine"] == "small") & (table["condition"] == "clean") & (table["attribute"] == "accent")]
    assert one["group"].tolist() == ["indian", "us", "welsh", "not_stated"]


def test_small_and_not_stated_groups_are_shown_flagged_and_not_compared(analysis: Analysis) -> None:
    """Three Welsh speakers: a rate, a flag, no interval, no test; four who did not say: the same, not in the gap."""
    table = analysis.tables["disparity"].set_index(["attribute", "group"]).sort_index()
    welsh = table.loc[("accent", "welsh")]
    assert (welsh["flag"].str.contains("few_speakers") & welsh["ci_low"].isna() & (welsh["rate"] > 0)).all()
    assert (table.loc[("accent", "not_stated")]["flag"] == "not_stated;few_speakers").all()
    gaps = analysis.tables["gaps"]
    assert (gaps[gaps["attribute"] == "accent"]["groups"] == 2).all()
    differences = analysis.tables["differences"]
    assert differences[differences["group"] == "welsh"][["ci_low", "mdd"]].isna().all(axis=None)
    assert "not_stated" not in set(differences["group"])


def test_counts_add_up(analysis: Analysis) -> None:
    """Groups of an attribute sum to everybody; rates are pooled counts."""
    table = analysis.tables["disparity"]
    counts = ["utterances", "ref_words", "hits", "substitutions", "deletions", "insertions", "failed"]
    sums = table.groupby(["engine", "condition", "attribute"])[counts].sum().reset_index()
    for _, part in sums.groupby(["engine", "condition"]):
        assert (part[counts] == part[counts].iloc[0]).all().all()
    errors = table["substitutions"] + table["deletions"] + table["insertions"]
    assert np.allclose(errors / table["ref_words"], table["rate"])
    assert table[table["condition"] == "ward"]["failed"].max() == 1


def test_the_ledger_is_counted_by_group(analysis: Analysis) -> None:
    """A failed utterance of a us speaker is one of the 144 of that group."""
    table = analysis.tables["ledger_by_group"]
    row = table[(table["attribute"] == "accent") & (table["reason"] == "engine_error")].iloc[0]
    assert (row["engine"], row["condition"], row["group"], row["utterances"]) == ("small", "ward", "us", 1)
    assert row["share"] == pytest.approx(1 / 144)


def test_coverage_says_who_is_in_the_data(analysis: Analysis) -> None:
    """Speakers, utterances and hours of every group."""
    table = analysis.tables["coverage"].set_index(["attribute", "group"])
    assert table.loc[("accent", "indian"), ["speakers", "utterances"]].tolist() == [9, 54]
    assert table.loc[("overall", "all"), "hours"] == pytest.approx(240 * 3 / 3600)


def test_the_named_reference_group_is_compared_with(analysis: Analysis) -> None:
    """Rows versus reference exist for accent only, never for the reference itself; the difference is the rates'."""
    table = analysis.tables["differences"]
    named = table[table["versus"] == "reference"]
    assert set(named["attribute"]) == {"accent"}
    assert set(named["group"]) == {"indian", "welsh"}
    rates = analysis.tables["disparity"].set_index(["engine", "condition", "attribute", "group"])["rate"]
    row = named[named["group"] == "indian"].iloc[0]
    key = (row["engine"], row["condition"], "accent")
    assert row["difference"] == pytest.approx(rates[(*key, "indian")] - rates[(*key, "us")])
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    assert row["sim_low"] <= row["ci_low"]


def test_differences_are_shown_and_claims_test_them(analysis: Analysis) -> None:
    """Indian against us is a factor of 2.5: the interval excludes none, and the one p-value stands in the claims."""
    table = analysis.tables["differences"]
    found = table[(table["group"] == "indian") & (table["versus"] == "rest")]
    assert (found["ci_low"] > 0).any()
    assert (found["mdd_corrected"] > found["mdd"]).all()
    assert not [name for name in table.columns if name.startswith(("p_", "q_"))]
    claims = analysis.tables["claims"]
    assert (claims[(claims["kind"] == "group") & (claims["group"] == "indian")]["affirmed"]).any()


def test_engines_are_compared_on_what_both_were_scored_on(analysis: Analysis) -> None:
    """In the ward the failed utterance is left out for both; overall the smaller engine is worse."""
    table = analysis.tables["comparisons"]
    ward = table[(table["condition"] == "ward") & (table["attribute"] == "overall")].iloc[0]
    frame = analysis.frame
    rates = [frame.numerator[e, 1, 1:].sum() / frame.denominator[e, 1, 1:].sum() for e in (0, 1)]
    assert ward["difference"] == pytest.approx(rates[0] - rates[1])
    d = (frame.numerator[0, 1, 1:] - frame.numerator[1, 1, 1:]).astype(float)
    assert ward["mapsswe_z"] == pytest.approx(d.mean() / (d.std(ddof=1) / math.sqrt(len(d))))
    assert 0 < ward["ci_low"] < ward["difference"] < ward["ci_high"]


def test_places_are_compared_with_the_clean_condition(analysis: Analysis) -> None:
    """Difference-in-differences of pooled rates against the named group; noise doubles all, so no ratio is found."""
    table = analysis.tables["interactions"]
    assert set(table["condition"]) == {"ward"}
    row = table[(table["engine"] == "large") & (table["group"] == "indian")].iloc[0]
    rates = analysis.tables["disparity"].set_index(["engine", "condition", "attribute", "group"])["rate"]
    change = [rates[("large", "ward", "accent", g)] - rates[("large", "clean", "accent", g)] for g in ("indian", "us")]
    assert row["difference_in_differences"] == pytest.approx(change[0] - change[1])
    assert row["ratio_ci_low"] < 1 < row["ratio_ci_high"]


def test_the_fairness_score_comes_with_its_flaws(analysis: Analysis) -> None:
    """With two groups the raw scores are 0 and 100, and the row says so."""
    table = analysis.tables["faas"]
    accent = table[table["attribute"] == "accent"]
    assert accent["caution"].str.startswith("with two groups the scores are 0 and 100").all()
    assert np.allclose(accent["category_score"], 100 * 24 / 33)
    factor = np.where(accent["p"] < 0.05, accent["p"] / 0.05, 1)
    assert np.allclose(accent["faas"], 10 * np.log10(accent["category_score"] * factor / accent["rate"]))


def test_the_same_settings_give_the_same_files(run: Path, analysis: Analysis) -> None:
    """Byte for byte, and another attribute asked for changes nothing in the tables of this one."""
    before = {name: (run / f"{name}.csv").read_bytes() for name in FIXED}
    analyse_run(run, SETTINGS, StatisticsSettings(faas=True), full=True)
    assert before == {name: (run / f"{name}.csv").read_bytes() for name in FIXED}
    alone = analyse_run(run, GroupSettings(by=(("gender",),)), StatisticsSettings()).tables["gaps"]
    both = analysis.tables["gaps"]
    same = both[both["attribute"] == "gender"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, same)


def test_percentile_intervals_are_flagged_where_there_are_few_resamples(run: Path) -> None:
    """Three speakers have ten resamples: shown, because it was asked for, and flagged."""
    table = analyse_run(
        run, GroupSettings(by=(("accent",),), min_speakers=3), StatisticsSettings(interval="percentile", draws=500)
    ).tables["disparity"]
    welsh = table[table["group"] == "welsh"]
    assert welsh["flag"].str.contains("few_resamples").all()
    assert (welsh["ci_low"] <= welsh["rate"]).all()


def test_a_run_without_groups_has_everybody_and_no_gap(run: Path) -> None:
    """Only the overall row; gaps.csv has its header."""
    tables = analyse_run(run, GroupSettings(), StatisticsSettings()).tables
    assert set(tables["disparity"]["attribute"]) == {"overall"}
    assert tables["gaps"].empty
    assert list(named(tables["gaps"], WER).columns) == FIXED["gaps"].split(",")


def test_a_reference_that_compares_nothing_is_refused(run: Path) -> None:
    """An attribute that is not grouped by, and a group that does not exist, are errors with the nearest name."""
    with pytest.raises(InputError, match="Did you mean 'accent'"):
        analyse_run(run, GroupSettings(by=(("accent",),), reference={"acent": "us"}), StatisticsSettings())
    with pytest.raises(InputError, match="Did you mean 'welsh'"):
        analyse_run(run, GroupSettings(by=(("accent",),), reference={"accent": "welch"}), StatisticsSettings())


@pytest.mark.parametrize("seed", range(12))
def test_any_run_gives_tables(tmp_path: Path, seed: int) -> None:
    """Few speakers, no words, no errors, failed engines, odd names: every table is made and bounds hold the figures."""
    rng = np.random.default_rng(seed)
    size, speakers = int(rng.integers(1, 100)), int(rng.integers(1, 25))
    speaker = rng.integers(0, speakers, size)
    accents = np.array(["us", "indian", "not_stated", "a,b", "=x", "NA"])[rng.integers(0, rng.integers(1, 7), speakers)]
    utterances = pd.DataFrame(
        {
            "utterance_id": [f"u{i}" for i in range(size)],
            "speaker_id": [f"s{i}" for i in speaker],
            "accent": accents[speaker],
            "gender": np.array(["p", "q", "r"])[rng.integers(0, rng.integers(1, 4), size)],
        }
    )
    words = rng.integers(0, 30, size) * int(rng.random() < 0.9)
    places = [(engine, place) for engine in ("a", "b")[: rng.integers(1, 3)] for place in ("clean", "ward")]
    errors = {place: (rng.integers(0, 12, size) * int(rng.random() < 0.8)).tolist() for place in places}
    statuses = ["scored", "error", "excluded", "no_reference", "missing"]
    chances = rng.dirichlet([5, 0.3, 0.3, 0.3, 0.3]) if rng.random() < 0.9 else [0, 1, 0, 0, 0]
    status = {place: rng.choice(statuses, size, p=chances).tolist() for place in places}
    folder = write_scored_run(tmp_path, utterances, errors, words.tolist(), status=status)
    settings = GroupSettings(by=SETTINGS.by, min_speakers=int(rng.integers(1, 6)), min_words=int(rng.integers(0, 50)))
    tables = analyse_run(folder, settings, StatisticsSettings(draws=100, faas=True), full=True).tables
    rates, gaps = tables["disparity"], tables["gaps"]
    for table, low, value, high in (
        (rates, "ci_low", "rate", "ci_high"), (gaps, "gap_ci_low", "gap", "gap_ci_high"),
    ):  # fmt: skip
        known = table[table[low].notna()]
        assert ((known[low] <= known[value] + 1e-12) & (known[value] <= known[high] + 1e-12)).all()
