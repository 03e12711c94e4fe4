"""What a table says of the sample itself: who was scored, loops beside the rates, speakers nobody named, small groups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import people, write_scored_run

from asrfair.cli.main import run as command
from asrfair.data.manifest import inspect_manifest, read_manifest
from asrfair.errors import InputError
from asrfair.report import load_run
from asrfair.say import cautions
from asrfair.say.answer import make_answer
from asrfair.say.claims import read_claims, worded
from asrfair.stats import analyse_run
from asrfair.stats.estimate.group_rates import group_rates
from asrfair.stats.estimate.rate_interval import interval
from asrfair.stats.frame import load_frame
from asrfair.stats.groups import make_grouping
from asrfair.stats.measure.capped import capped
from asrfair.types import GroupSettings, StatisticsSettings

BY = GroupSettings(by=(("accent",),), min_words=1)


def errors_of(table: pd.DataFrame, rate: float, seed: int = 1) -> list[int]:
    """Poisson errors on ten words an utterance."""
    return np.random.default_rng(seed).poisson(10 * rate, len(table)).tolist()


def test_the_share_that_was_scored_counts_failures_and_not_exclusions(tmp_path: Path) -> None:
    """Of 20 utterances 4 excluded, 2 failed, 6 missing: 8 of the 16 that could be scored; the other engine has all."""
    table = people({"us": 5}, utterances=4)
    status = ["excluded"] * 4 + ["error"] * 2 + ["missing"] * 6 + ["scored"] * 8
    made = {("half", "clean"): [1] * 20, ("whole", "clean"): [1] * 20}
    stood = {("half", "clean"): status, ("whole", "clean"): ["excluded"] * 4 + ["scored"] * 16}
    run = write_scored_run(tmp_path, table, made, [10] * 20, status=stood)
    found = analyse_run(run, BY, StatisticsSettings()).tables["disparity"]
    assert found["scored_share"].tolist() == [0.5, 0.5, 1.0, 1.0]


def test_rates_stand_with_and_without_loops(tmp_path: Path) -> None:
    """One utterance of 300 insertions: the capped rate and its interval stand beside, in the run that loops only."""
    table = people({"indian": 6, "us": 6}, utterances=5)
    calm = errors_of(table, 0.2)
    loops = [*calm[:3], 300, *calm[4:]]
    run = write_scored_run(tmp_path, table, {("calm", "clean"): calm, ("loops", "clean"): loops}, [10] * 60)
    analysis = analyse_run(run, BY, StatisticsSettings())
    disparity = analysis.tables["disparity"].set_index(["engine", "group"])
    assert disparity.loc["calm", ["rate_capped", "capped_ci_low", "capped_ci_high"]].isna().all().all()
    frame = load_frame(run, BY)
    grouping = make_grouping(frame, ("accent",))
    rates = group_rates(capped(frame), grouping)
    assert disparity.loc[("loops", "indian"), "rate_capped"] == pytest.approx((sum(calm[:30]) - calm[3] + 20) / 300)
    assert disparity.loc[("loops", "indian"), "rate"] == pytest.approx((sum(calm[:30]) - calm[3] + 300) / 300)
    low, high = interval(rates.estimate, 0.95)
    own = disparity.loc[("loops", "indian")]
    assert [own["capped_ci_low"], own["capped_ci_high"]] == pytest.approx([low[1, 0], high[1, 0]])
    gaps = analysis.tables["gaps"].set_index("engine")
    assert np.isnan(gaps.loc["calm", "gap_capped"])
    assert gaps.loc["loops", "gap_capped"] == pytest.approx(abs(rates.rate[1, 0] - rates.rate[1, 1]))


def test_without_speakers_there_are_rates_and_nothing_else(tmp_path: Path) -> None:
    """Nobody said who speaks: point estimates with a flag, no interval, no comparison, no claim."""
    table = people({"indian": 8, "us": 8}, utterances=5).assign(speaker_id="")
    made = {("a", "clean"): errors_of(table, 0.3), ("b", "clean"): errors_of(table, 0.1)}
    run = write_scored_run(tmp_path, table, made, [10] * 80)
    for interval_kind in ("jackknife", "percentile"):
        settings = StatisticsSettings(draws=200, interval=interval_kind)
        tables = analyse_run(
            run, GroupSettings(by=(("accent",),), min_speakers=1, min_words=1), settings, full=True
        ).tables
        disparity = tables["disparity"]
        assert disparity["rate"].notna().all()
        assert (
            disparity["flag"]
            .str.split(";")
            .map(lambda flags: "no_speakers" in flags and "few_speakers" not in flags)
            .all()
        )
        assert (disparity["speakers"] == 0).all()
        assert disparity[["ci_low", "ci_high", "sim_low", "sim_high"]].isna().all().all()
        assert tables["gaps"]["gap"].isna().all()
        assert (tables["coverage"]["speakers"] == 0).all()
        assert not tables["claims"]["affirmed"].any()


def write_manifest(folder: Path, speakers: list[str]) -> Path:
    """A bare table of utterances."""
    rows = [f"u{n},{speaker},one two three,{'us' if n % 2 else 'indian'}" for n, speaker in enumerate(speakers)]
    path = folder / "manifest.csv"
    path.write_text("utterance_id,speaker_id,reference,accent\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_manifest_without_speakers_is_read_with_one_message(tmp_path: Path) -> None:
    """All cells empty: one warning for all rows; some empty: an error that says what to do."""
    manifest = inspect_manifest(write_manifest(tmp_path, [""] * 500))
    told = [problem for problem in manifest.structural if problem.column == "speaker_id"]
    assert [problem.severity for problem in told] == ["warning"]
    assert len(read_manifest(write_manifest(tmp_path, [""] * 500)).table) == 500
    with pytest.raises(InputError, match="the utterance has no speaker"):
        read_manifest(write_manifest(tmp_path, ["a"] * 10 + [""] * 490))


def test_transcripts_of_nobody_in_particular_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`asrfair score` on a manifest without speakers ends well and writes a report."""
    path = write_manifest(tmp_path, [""] * 40)
    hypotheses = tmp_path / "h.csv"
    rows = [f"u{n},one two {'three' if n % 3 else 'four'}" for n in range(40)]
    hypotheses.write_text("utterance_id,text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    arguments = ["score", "--manifest", str(path), "--hypotheses", f"e={hypotheses}", "--by", "accent"]
    assert command([*arguments, "--out", str(tmp_path / "run")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Speakers are not known: rates stand without intervals" in told
    assert read_claims(tmp_path / "run").empty


def test_those_who_did_not_say_are_never_worst_best_or_compared(tmp_path: Path) -> None:
    """The rate of not_stated is the highest here, and the second highest is the worst group."""
    table = people({"a": 6, "b": 6, "not_stated": 6}, utterances=5)
    table["accent"] = table["speaker_id"].str.split("-").str[0]
    rate = table["accent"].map({"a": 0.1, "b": 0.3, "not_stated": 0.9}).to_numpy()
    made = np.random.default_rng(2).poisson(10 * rate).tolist()
    run = write_scored_run(tmp_path, table, {("e", "clean"): made}, [10] * 90)
    tables = analyse_run(run, BY, StatisticsSettings(), full=True).tables
    gap = tables["gaps"].iloc[0]
    assert (gap["best_group"], gap["worst_group"], gap["groups"]) == ("a", "b", 2)
    assert "not_stated" not in set(tables["differences"]["group"])
    assert "not_stated" not in set(tables["claims"]["group"])
    low = write_scored_run(tmp_path, table, {("e", "clean"): (np.array(made) * (rate < 0.9)).tolist()}, [10] * 90)
    assert analyse_run(low, BY, StatisticsSettings()).tables["gaps"].iloc[0]["best_group"] == "a"


def test_groups_with_too_few_words_get_no_interval_and_take_no_part(tmp_path: Path) -> None:
    """Six speakers of 30 words together, under a minimum of 100: shown, flagged, in no comparison."""
    table = people({"a": 6, "b": 6, "few": 6}, utterances=5)
    words = np.where(table["accent"] == "few", 1, 10)
    made = np.random.default_rng(3).poisson(np.where(table["accent"] == "few", 0.9, 2.0)).tolist()
    run = write_scored_run(tmp_path, table, {("e", "clean"): made}, words.tolist())
    tables = analyse_run(run, GroupSettings(by=(("accent",),), min_words=100), StatisticsSettings(), full=True).tables
    few = tables["disparity"].set_index("group").loc["few"]
    assert few["flag"] == "few_words"
    assert np.isnan(few[["ci_low", "ci_high", "sim_low", "sim_high"]].astype(float)).all()
    assert few["rate"] > 0
    assert tables["gaps"].iloc[0]["groups"] == 2
    assert "few" not in {tables["gaps"].iloc[0][name] for name in ("best_group", "worst_group")}
    assert tables["differences"].set_index(["versus", "group"]).loc[("rest", "few"), ["ci_low", "mdd"]].isna().all()
    looser = GroupSettings(by=(("accent",),), min_words=30)
    assert analyse_run(run, looser, StatisticsSettings()).tables["gaps"].iloc[0]["groups"] == 3


def test_where_is_named_and_obeyed_by_every_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --where gender=f the terminal, JSON, report.md, findings, ledger totals and what plots are drawn from are of women."""
    rows = [
        f"u{n:03d},s{n % 20},one two three,{'us' if n % 2 else 'indian'},{'f' if n % 20 < 14 else 'm'}"
        for n in range(200)
    ]
    path = tmp_path / "manifest.csv"
    path.write_text("utterance_id,speaker_id,reference,accent,gender\n" + "\n".join(rows) + "\n", encoding="utf-8")
    hypotheses = tmp_path / "h.csv"
    told = [f"u{n:03d},one two {'three' if n % 3 else 'four'}" for n in range(200) if n % 5]
    hypotheses.write_text("utterance_id,text\n" + "\n".join(told) + "\n", encoding="utf-8")
    run = tmp_path / "run"
    arguments = ["score", "--manifest", str(path), "--hypotheses", f"e={hypotheses}", "--by", "accent"]
    arguments += ["--where", "gender=f", "--out", str(run)]
    assert command(arguments) == 0
    out = " ".join(capsys.readouterr().out.split())
    women = [n for n in range(200) if n % 20 < 14]
    missing = sum(n % 5 == 0 for n in women)
    assert f"Only utterances with gender = f: {len(women)} utterances, and every count here is of these." in out
    assert f"{len(women) - missing} of {len(women)} rows" in out
    assert f"{missing} missing hypothesis" in out
    assert "Only utterances with gender = f" in (run / "report.md").read_text(encoding="utf-8")
    assert "Only utterances with gender = f" in (run / "report.html").read_text(encoding="utf-8")
    assert "Only utterances with gender = f" in (run / "findings.json").read_text(encoding="utf-8")
    data = load_run(run)
    drawn = [data.scores(), data.utterances()]
    assert [len(table) for table in drawn if table is not None] == [len(women), len(women)]
    ledger = data.ledger()
    assert ledger is not None
    assert len(ledger) == missing
    assert pd.read_csv(run / "ledger_by_group.csv").query("attribute == 'overall'")["utterances"].sum() == missing
    assert pd.read_csv(run / "coverage.csv").query("attribute == 'overall'")["utterances"].item() == len(women)
    assert command([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["where"], answer["rows"], answer["ledger"]) == (
        {"gender": "f"},
        len(women),
        {"missing_hypothesis": missing},
    )


def test_an_order_of_engines_names_those_that_lack_utterances(tmp_path: Path) -> None:
    """The best of three engines has a fifth of the utterances: the order says so, and so does the first caution."""
    table = people({"us": 10, "indian": 10}, utterances=10)
    rates = {"good": 0.05, "fair": 0.3, "poor": 0.5}
    made = {(name, "clean"): errors_of(table, rate, seed) for seed, (name, rate) in enumerate(rates.items())}
    status = {("good", "clean"): ["scored" if n % 5 == 0 else "missing" for n in range(200)]}
    run = write_scored_run(tmp_path, table, made, [10] * 200, status=status)
    tables = analyse_run(run, BY, StatisticsSettings(draws=500), full=True).tables
    answer = make_answer({**tables, "claims": worded(tables["claims"])}, {})
    everything = " ".join([answer.lead, *(item.text for item in answer.sentences)]).replace("\u00a0", " ")
    assert "good only 20.0 %" in everything
    assert "Not all utterances were transcribed: good has 20.0 %" in answer.cautions[0].replace("\u00a0", " ")


def test_ids_of_utterances_for_speakers_are_told(tmp_path: Path) -> None:
    """One utterance a speaker everywhere: a caution that intervals are over utterances; with two each there is none."""
    table = people({"us": 40, "indian": 40}, utterances=1)
    run = write_scored_run(tmp_path / "one", table, {("e", "clean"): errors_of(table, 0.2)}, [10] * 80)
    tables = analyse_run(run, BY, StatisticsSettings(draws=200), full=True).tables
    assert any("Every utterance has a speaker of its own" in item.text for item in cautions.warnings(tables, "clean"))
    table = people({"us": 20, "indian": 20}, utterances=2)
    run = write_scored_run(tmp_path / "two", table, {("e", "clean"): errors_of(table, 0.2)}, [10] * 80)
    tables = analyse_run(run, BY, StatisticsSettings(draws=200), full=True).tables
    assert not any("speaker of its own" in item.text for item in cautions.warnings(tables, "clean"))


def test_the_tables_say_which_sentences_each_group_read(tmp_path: Path) -> None:
    """Two accents share half a list, a third has its own: shares of words, nearest and farthest, and the caution."""
    table = people({"a": 6, "b": 6, "c": 6}, utterances=10)
    lists = {"a": range(10), "b": range(5, 15), "c": range(50, 60)}
    table["reference"] = [f"sentence {lists[accent][n % 10]}" for n, accent in enumerate(table["accent"])]
    run = write_scored_run(tmp_path, table, {("e", "clean"): errors_of(table, 0.2)}, [10] * 180)
    tables = analyse_run(run, BY, StatisticsSettings(draws=200), full=True).tables
    found = tables["prompts"].set_index("group")
    assert found["sentences"].to_dict() == {"all": 25, "a": 10, "b": 10, "c": 10}
    assert found.loc["a", "speakers_a_sentence"] == 6
    assert found.loc["all", "speakers_a_sentence"] == pytest.approx((5 * 12 + 20 * 6) / 25)
    assert found.loc["a", ["shared_share", "closest_group", "closest_share"]].tolist() == [0.5, "b", 0.5]
    assert found.loc["a", ["farthest_group", "farthest_share"]].tolist() == ["c", 0.0]
    assert (run / "prompts.csv").is_file()
    warned = " ".join(item.text for item in cautions.warnings(tables, "clean"))
    assert "groups read different sentences" in warned
    fixed = analyse_run(run, BY, StatisticsSettings(draws=200, prompts="fixed"), full=True).tables
    assert fixed["prompts"]["flag"].eq("fixed_sentences").all()
    width = [t["disparity"].set_index("group").eval("ci_high - ci_low")["a"] for t in (tables, fixed)]
    assert width[0] >= width[1]
    write_scored_run(
        tmp_path, table.assign(reference=np.arange(180).astype(str)), {("e", "clean"): [1] * 180}, [10] * 180
    )
    assert "prompts" not in analyse_run(run, BY, StatisticsSettings(draws=200)).tables
    assert not (run / "prompts.csv").exists()
