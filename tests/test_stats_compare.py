"""Comparing two runs: shared utterances only, paired by speaker, refused where it would compare something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import people, write_scored_run

from asrfair.cli.main import run as run_cli
from asrfair.errors import InputError
from asrfair.say.claims import comparison_sentences
from asrfair.say.left_out import left_out_sentences
from asrfair.stats.compare.runs import compare_runs
from asrfair.types import GroupSettings, StatisticsSettings

GROUPS = GroupSettings(by=(("accent",),))


def two_runs(tmp_path: Path, *, better: float = 0.5, normalizer: str = "basic") -> tuple[Path, Path]:
    """The same 24 speakers twice; the second run makes ``better`` times the errors; it lacks some utterances."""
    rng = np.random.default_rng(0)
    table = people({"uk": 12, "us": 12}, utterances=10)
    person = np.repeat(rng.gamma(4, 0.25, 24), 10)
    words = np.full(240, 20)
    first = rng.poisson(20 * 0.3 * person)
    second = rng.poisson(20 * 0.3 * better * person)
    one = write_scored_run(tmp_path / "monday", table, {("e", "clean"): first, ("f", "clean"): first}, words)
    changed = table.assign(reference=["other" if i < 3 else "word" for i in range(240)])
    extra = pd.DataFrame({"utterance_id": ["x1"], "speaker_id": ["new"], "accent": ["us"], "reference": ["word"]})
    later = pd.concat([changed.iloc[:235], extra], ignore_index=True)
    status = ["error" if i == 10 else "scored" for i in range(236)]
    two = write_scored_run(
        tmp_path / "tuesday",
        later,
        {("e", "clean"): np.append(second[:235], 3)},
        np.append(words[:235], 20),
        status={("e", "clean"): status},
        normalizer=normalizer,
    )
    return one, two


def test_only_what_both_runs_have_is_compared(tmp_path: Path) -> None:
    """Missing, new and changed utterances are counted and left out; rates are those of the rest."""
    one, two = two_runs(tmp_path)
    found = compare_runs(one, two, GROUPS, StatisticsSettings())
    assert (232, 5, 1, 3) == (found.shared, found.only_first, found.only_second, found.changed)
    assert (("e", "e"),) == found.pairs
    scores = [
        pd.read_parquet(run / "scores.parquet").query("engine == 'e'").set_index("utterance_id") for run in (one, two)
    ]
    ids = [f"u{i:05d}" for i in range(3, 235) if i != 10]
    errors = [s.loc[ids, ["substitutions", "insertions"]].to_numpy().sum() for s in scores]
    overall = found.table[found.table["attribute"] == "overall"].iloc[0]
    assert overall["wer_a"] == pytest.approx(errors[0] / (20 * 231))
    assert overall["difference"] == pytest.approx((errors[0] - errors[1]) / (20 * 231))
    assert overall["ci_low"] > 0
    assert (
        "e (tuesday) makes fewer errors than e (monday) on the same speakers" in comparison_sentences(found.claims)[0]
    )


def test_no_difference_is_not_called_one(tmp_path: Path) -> None:
    """Two runs of equal quality: the interval holds zero and the sentence says so."""
    one, two = two_runs(tmp_path, better=1.0)
    found = compare_runs(one, two, GROUPS, StatisticsSettings())
    overall = found.table.iloc[0]
    assert overall["ci_low"] < 0 < overall["ci_high"]
    assert "Between" in comparison_sentences(found.claims)[0]


def test_different_rules_are_refused(tmp_path: Path) -> None:
    """Runs under different normalizers would compare the normalizers."""
    one, two = two_runs(tmp_path, normalizer="none")
    with pytest.raises(InputError, match="scored by different rules"):
        compare_runs(one, two, GROUPS, StatisticsSettings())


def test_engines_must_be_found(tmp_path: Path) -> None:
    """A pair names engines of the runs; runs without a common label need one."""
    one, two = two_runs(tmp_path)
    found = compare_runs(one, two, GROUPS, StatisticsSettings(), pairs=[("f", "e")])
    assert (("f", "e"),) == found.pairs
    with pytest.raises(InputError, match="no such engine"):
        compare_runs(one, two, GROUPS, StatisticsSettings(), pairs=[("f", "g")])
    scores = pd.read_parquet(two / "scores.parquet").assign(engine="other")
    scores.to_parquet(two / "scores.parquet", index=False)
    with pytest.raises(InputError, match="no engine of the same label"):
        compare_runs(one, two, GROUPS, StatisticsSettings())


def test_runs_without_common_utterances_are_refused(tmp_path: Path) -> None:
    """Another manifest is another question."""
    one, _ = two_runs(tmp_path)
    table = people({"uk": 5}, utterances=4).assign(utterance_id=[f"v{i}" for i in range(20)])
    other = write_scored_run(tmp_path / "other", table, {("e", "clean"): [1] * 20}, [10] * 20)
    with pytest.raises(InputError, match="share no utterance"):
        compare_runs(one, other, GROUPS, StatisticsSettings())


def test_guessed_attributes_need_permission(tmp_path: Path) -> None:
    """An inferred attribute is not grouped by unless that was asked for."""
    table = people({"uk": 5, "us": 5}, utterances=4)
    runs = [
        write_scored_run(
            tmp_path / name, table, {("e", "clean"): [1] * 40}, [10] * 40, provenance={"accent": "inferred"}
        )
        for name in ("a", "b")
    ]
    with pytest.raises(InputError, match="guessed"):
        compare_runs(*runs, GROUPS, StatisticsSettings())


def test_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables on the terminal, one JSON object on request, a CSV file where it is asked for."""
    one, two = two_runs(tmp_path)
    out = tmp_path / "comparison.csv"
    assert 0 == run_cli(["compare", str(one), str(two), "--by", "accent", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "232 utterances in both" in printed
    assert "e (monday) − e (tuesday), clean" in printed
    assert ["overall", "accent", "accent"] == pd.read_csv(out)["attribute"].tolist()
    assert 0 == run_cli(["compare", str(one), str(two), "--by", "accent", "--json", "--min-speakers", "3"])
    content = json.loads(capsys.readouterr().out)
    assert [["e", "e"]] == content["pairs"]
    assert 3 == len(content["comparisons"])


def test_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is no run ends with exit code 2 and a remedy."""
    one, _ = two_runs(tmp_path)
    assert 2 == run_cli(["compare", str(one), str(tmp_path)])
    assert "not a run folder" in capsys.readouterr().err


def failing(tmp_path: Path) -> tuple[Path, Path]:
    """Two engines, 40 speakers, 800 utterances; the second gives nothing for the 230 on which the first does worst."""
    rng = np.random.default_rng(4)
    table = people({"uk": 20, "us": 20}, utterances=20)
    table["gender"] = np.where(np.arange(800) % 40 < 20, "f", "m")
    hard = rng.gamma(2, 0.5, 800) * np.where(table["accent"] == "us", 1.5, 0.7)
    words = np.full(800, 20)
    first, second = (rng.poisson(20 * 0.2 * hard * better) for better in (1.0, 1.02))
    lacking = np.argsort(-hard)[:230]
    status = np.full(800, "scored", dtype=object)
    status[lacking] = "error"
    one = write_scored_run(tmp_path / "a", table, {("a", "clean"): first}, words)
    two = write_scored_run(tmp_path / "b", table, {("b", "clean"): second}, words, status={("b", "clean"): status})
    return one, two


def test_what_a_failing_service_leaves_out_is_counted_and_bounded(tmp_path: Path) -> None:
    """570 of 800: who, how hard it is, and the difference as the other did and at worst, written out."""
    one, two = failing(tmp_path)
    found = compare_runs(one, two, GROUPS, StatisticsSettings())
    row = found.left_out[found.left_out["attribute"] == "overall"].iloc[0]
    assert (row["utterances"], row["compared"], row["only_a"], row["only_b"], row["neither"]) == (800, 570, 230, 0, 0)
    a, b = (pd.read_parquet(run / "scores.parquet").set_index("utterance_id") for run in (one, two))
    has = (b["status"] == "scored").reindex(a.index)
    e_a, e_b = (t[["substitutions", "deletions", "insertions"]].sum(axis=1).reindex(a.index) for t in (a, b))
    assert row["wer_a_only_a"] == pytest.approx(e_a[~has].sum() / (20 * 230))
    assert row["wer_a_compared"] == pytest.approx(e_a[has].sum() / (20 * 570))
    apart = (e_a[has] - e_b[has]).sum()
    assert row["difference"] == pytest.approx(apart / (20 * 570))
    assert row["difference_as_other"] == pytest.approx(apart / (20 * 800))
    assert row["difference_lowest"] == pytest.approx((apart + (e_a[~has] - 20).sum()) / (20 * 800))
    assert row["difference_highest"] == pytest.approx((apart + e_a[~has].sum()) / (20 * 800))
    groups = found.left_out[found.left_out["attribute"] == "accent"]
    assert groups["compared"].sum() == 570
    told = " ".join(left_out_sentences(found.left_out)).replace("\u00a0", " ")
    assert "570 of 800 utterances that could be scored are compared; b (b) lacks 230 (28.7 %)" in told
    assert "it is harder, and leaving it out flatters b (b)" in told
    assert "accent: us (" in told
    assert "which makes fewer errors on all of them is open" in told


def test_what_the_first_run_lacks_bends_the_other_way(tmp_path: Path) -> None:
    """The two runs exchanged: the same counts on the other side, bounds with the other sign."""
    one, two = failing(tmp_path)
    there = compare_runs(one, two, GROUPS, StatisticsSettings()).left_out
    back = compare_runs(two, one, GROUPS, StatisticsSettings()).left_out
    assert there["only_a"].tolist() == back["only_b"].tolist()
    assert np.allclose(there["difference_lowest"], -back["difference_highest"])
    assert np.allclose(there["wer_a_only_a"], back["wer_b_only_b"])


def test_where_limits_every_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --where gender=f utterances, speakers and what is left out are those of women, and the output says so."""
    one, two = failing(tmp_path)
    found = compare_runs(one, two, GroupSettings(by=(("accent",),), where={"gender": "f"}), StatisticsSettings())
    assert found.shared == 400
    assert found.left_out.iloc[0]["utterances"] == 400
    assert run_cli(["compare", str(one), str(two), "--by", "accent", "--where", "gender=f"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Only utterances with gender = f." in out
    assert "of 400 utterances that could be scored" in out
    assert "400 utterances in both" in out
    assert run_cli(["compare", str(one), str(two), "--by", "accent", "--where", "gender=f", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["where"] == {"gender": "f"}
    assert told["left_out"][0]["utterances"] == 400
