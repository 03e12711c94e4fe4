"""Gates: quiet while nothing changes, and not deaf when a small group gets worse."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from nightly_nights import go, write_suite

from asrfair.cli.main import app, run
from asrfair.errors import InputError
from asrfair.nightly import History
from asrfair.nightly.absolute import absolute_gates
from asrfair.nightly.baseline import measured_movements
from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.night_to_night import MIN_PAIRS, Movements
from asrfair.nightly.paired_nights import Scored, make_look, widths
from asrfair.nightly.relative import relative_gates
from asrfair.nightly.shrunken_variance import moderate
from asrfair.nightly.verdict import sentence
from asrfair.runs.gate_settings import GateSettings, Limits
from asrfair.runs.suite import read_suite
from asrfair.types import GroupSettings


@pytest.fixture(scope="module")
def simulation(repository: Path) -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("nightly_benchmark", repository / "benchmarks" / "nightly.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nightly_benchmark"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def edacc(shared_data: Path, simulation: ModuleType) -> dict[str, Scored]:
    """Two systems' real transcripts of EdAcc, scored."""
    found: dict[str, Scored] = simulation.edacc(shared_data)
    return found


@pytest.mark.shared
@pytest.mark.slow
def test_thirty_quiet_nights_and_then_a_group_of_five_gets_worse(
    edacc: dict[str, Scored], simulation: ModuleType
) -> None:
    """At most one false alarm in 30 nights without any tolerance; 3 points in five speakers are found as promised.

    Every alarm counts, of whatever size: the limit is zero, and chance alone decides. Errors move word by word, and
    in clumps, which a test over speakers alone took for changes in one month of six.
    """
    speakers = simulation.Speakers(edacc)
    assert 5 == (speakers.utterances["accent"] == simulation.CHANGED).sum()
    for seed, draw in enumerate((speakers.words, speakers.clumps)):
        month = simulation.month(speakers, draw, np.random.default_rng(seed), quiet=12)
        assert month.alarms <= 1
        assert 0 == month.others
        if draw == speakers.words:
            assert 0 < month.caught <= (month.promised or 30)  # 0: nothing was promised


def _plain(gate: Gate) -> dict[str, object]:
    return {**gate.to_json(), "chart": 0, "chart_mean": 0, "found": 0, "z": 0}


@pytest.mark.shared
def test_a_speaker_as_one_row_is_judged_as_all_utterances_are(edacc: dict[str, Scored], simulation: ModuleType) -> None:
    """What the simulation saves does not change a figure: gates of whole nights and of sums by speaker are the same."""
    speakers = simulation.Speakers(edacc)
    whole = list(edacc.values())
    ids = set.intersection(*(set(side.scores.loc[side.scores["status"] == "scored", "utterance_id"]) for side in whole))
    whole = [
        Scored(utterances=side.utterances, scores=side.scores[side.scores["utterance_id"].isin(ids)]) for side in whole
    ]
    added = [speakers.night(counts) for counts in speakers.counts]
    settings = GateSettings(limits=Limits(max_increase=0.0))
    steps = simulation.Nights(speakers, speakers.counts[0]).steps(speakers.counts[1])
    full = relative_gates([whole[1]], [whole[0]], simulation.GROUPS, settings)
    small = relative_gates([added[1]], [added[0]], simulation.GROUPS, settings, steps=steps)
    for one, other in zip(full, small, strict=True):
        assert _plain(one) == _plain(other)
        assert np.allclose([one.chart, one.chart_mean], [other.chart, other.chart_mean], equal_nan=True)


def test_movement_is_measured_by_successive_differences() -> None:
    """The written-out formula; nights in the look are left out; a change of inputs is no movement."""
    key = ("e", "clean", "accent", "x")
    values = [0.10, 0.12, 0.11, 0.14, 0.13]
    movements = Movements(differences={key: [*np.diff(values).tolist(), math.nan]}, checked={key: 0.5})
    assert MIN_PAIRS == 3
    found = movements.of(key)
    squares = [0.02**2, 0.01**2, 0.03**2, 0.01**2]
    assert math.isclose(math.sqrt(sum(squares) / 8), found.sd)
    assert 2 * 16 / 11 == found.df
    assert 0.5 == found.band
    assert math.isclose(math.sqrt(sum(squares[:3]) / 6), movements.of(key, left_out=2).sd)
    assert math.isnan(movements.of(key, left_out=3).sd)
    silent = Movements(still=("e",)).of(key)
    assert (0.0, math.inf) == (silent.sd, silent.df)


def test_movement_is_measured_between_nights_with_the_same_inputs(tmp_path: Path) -> None:
    """A new version of a package counts as chance, a new model does not; a group that a night lacks has no difference."""
    history = History(tmp_path)
    inputs = [{"package": {"numpy": str(n)}, "engine": {"e": {"model": "a" if n < 3 else "b"}}} for n in range(5)]
    for number, wer in enumerate((0.1, 0.12, 0.11, 0.2, None)):

        def fill(folder: Path, _: int, number: int = number, wer: float | None = wer) -> dict[str, object]:
            row = {"engine": "e", "condition": "c", "attribute": "accent", "group": "x", "wer": wer}
            pd.DataFrame([row]).astype({"wer": "float64"}).to_parquet(folder / "groups.parquet")
            return {"suite": "s", "inputs": inputs[number]}

        history.commit(str(number), fill)
    found = measured_movements(history.nights()).differences["e", "c", "accent", "x"]
    assert np.allclose([0.02, -0.01, np.nan, np.nan], found, equal_nan=True)


def test_what_a_figure_does_by_itself_is_no_alarm() -> None:
    """An increase that every speaker shows is chance if the group moves as much every night."""
    before = small({"a": 10, "b": 12, "c": 8, "d": 11, "e": 9})
    after = small({"a": 20, "b": 24, "c": 16, "d": 22, "e": 18})
    groups = GroupSettings(by=(("accent",),))
    settings = GateSettings(limits=Limits(max_increase=0.05))
    keys = [("e", "clean", "accent", "x"), ("e", "clean", "overall", "all")]
    for size, status in ((0.05, "warn"), (0.001, "fail")):
        movements = Movements(differences=dict.fromkeys(keys, [size, -size] * 10))
        gates = relative_gates([after], [before], groups, settings, movements=movements, steps={})
        assert {status} == {gate.status for gate in gates}


def test_moderated_variances_equal_the_written_out_formula() -> None:
    """With variances alike, each moves towards the others; with one group or two, nothing is borrowed."""
    variance, df = np.array([1.0, 1.1, 0.9, 1.05, 0.0]), np.array([4.0, 4.0, 4.0, 4.0, 4.0])
    steadied, freedom = moderate(variance, df)
    assert [16.0] * 4 == freedom[:4].tolist()  # own 4, and no more than the other groups' 12
    e = np.log(variance[:4]) - (-0.5772156649 + 1.0) + np.log(2.0)  # digamma(2) = 1 − γ
    prior = math.exp(e.mean())
    assert np.allclose(steadied[:4], (12.0 * prior + 4.0 * variance[:4]) / 16.0, rtol=1e-9)
    assert math.isnan(steadied[4])
    alone, own = moderate(variance[:2], df[:2])
    assert variance[:2].tolist() == alone.tolist()
    assert [4.0, 4.0] == own.tolist()


def test_moderated_degrees_of_freedom_are_those_of_the_model() -> None:
    """Variances drawn with 8 prior degrees of freedom give about that many back."""
    rng = np.random.default_rng(1)
    true = 8.0 * 2.0 / rng.chisquare(8.0, 4000)
    variance = true * rng.chisquare(5.0, 4000) / 5.0
    steadied, freedom = moderate(variance, np.full(4000, 5.0))
    assert abs(freedom.mean() - 13.0) < 1.0
    assert abs(np.log(steadied) - np.log(true)).mean() < abs(np.log(variance) - np.log(true)).mean()


def small(errors: dict[str, int]) -> Scored:
    """Ten utterances of five speakers of 100 words each; ``errors`` of each speaker's utterances."""
    rows = [(f"{speaker}-{n}", speaker) for speaker in ("a", "b", "c", "d", "e") for n in range(2)]
    utterances = pd.DataFrame(rows, columns=["utterance_id", "speaker_id"]).assign(reference="word", accent="x")
    scores = pd.DataFrame({"engine": "e", "condition": "clean", "utterance_id": utterances["utterance_id"]})
    scores["status"] = "scored"
    wrong = utterances["speaker_id"].map(errors).to_numpy()
    for name in (
        "hits",
        "substitutions",
        "deletions",
        "insertions",
        "char_hits",
        "char_substitutions",
        "char_deletions",
        "char_insertions",
        "key_terms",
        "key_term_hits",
    ):
        scores[name] = np.int32(0)
    scores["hits"] = (100 - wrong).astype(np.int32)
    scores["substitutions"] = wrong.astype(np.int32)
    return Scored(utterances=utterances, scores=scores)


def test_looks_pool_nights_by_adding_counts() -> None:
    """Powers of two up to the window; counts add up, and an utterance that one night lacks is left out of all."""
    assert [1, 2, 4] == widths(7, 8)
    assert [1, 2, 4, 8] == widths(30, 8)
    night = small(dict.fromkeys("abcde", 10))
    lacking = Scored(utterances=night.utterances, scores=night.scores.iloc[1:])
    look = make_look([night, lacking], [night], GroupSettings(by=(("accent",),)))
    assert look is not None
    newest, before = look.pairs[0]
    assert 2 * 9 * 10 == look.frame.sums("substitutions")[newest].sum()
    assert 10 * 10 == look.frame.sums("substitutions")[before].sum()
    changed = Scored(utterances=night.utterances.assign(reference="other"), scores=night.scores)
    assert make_look([night], [changed], GroupSettings()) is None


def test_an_unchanged_night_has_p_one_and_a_better_one_does_not_fail() -> None:
    """Nothing moved: p is 1. Every speaker better: no alarm, the test looks one way."""
    settings = GateSettings(limits=Limits(max_increase=0.0))
    night = small({"a": 10, "b": 12, "c": 8, "d": 11, "e": 9})
    same = relative_gates([night], [night], GroupSettings(by=(("accent",),)), settings)
    assert {1.0} == {gate.p for gate in same}
    better = small({"a": 5, "b": 6, "c": 4, "d": 5, "e": 5})
    found = relative_gates([better], [night], GroupSettings(by=(("accent",),)), settings)
    assert {"pass"} == {gate.status for gate in found}
    assert all(gate.value < 0 for gate in found)


def test_the_limit_the_band_and_chance_must_all_be_passed() -> None:
    """A sure increase below the limit, or within the band of an engine that is not deterministic, is no alarm."""
    before = small({"a": 10, "b": 12, "c": 8, "d": 11, "e": 9})
    after = small({"a": 20, "b": 24, "c": 16, "d": 22, "e": 18})
    groups = GroupSettings(by=(("accent",),))

    def result(limit: float, checked: float) -> set[str]:
        settings = GateSettings(limits=Limits(max_increase=limit))
        keys = [("e", "clean", "accent", "x"), ("e", "clean", "overall", "all")]
        movements = Movements(checked=dict.fromkeys(keys, checked))
        gates = relative_gates([after], [before], groups, settings, movements=movements, steps={})
        return {gate.status for gate in gates}

    assert {"fail"} == result(0.05, math.nan)
    assert {"pass"} == result(0.15, math.nan)
    assert {"warn"} == result(0.05, 0.2)


def test_absolute_gates() -> None:
    """A limit is held by the estimate, or by the interval's near end; small groups are not judged; silence fails."""
    rows = pd.DataFrame(
        {
            "engine": "e",
            "condition": "clean",
            "attribute": "accent",
            "group": ["x", "few", "silent"],
            "speakers": [9, 2, 0],
            "ref_words": [900, 90, 0],
            "rate": [0.2, 0.9, math.nan],
            "ci_low": [0.15, math.nan, math.nan],
            "ci_high": [0.25, math.nan, math.nan],
            "flag": ["", "few_speakers", "few_words"],
        }
    )
    gaps = pd.DataFrame(
        [
            {
                "engine": "e",
                "condition": "clean",
                "attribute": "accent",
                "worst_group": "x",
                "best_group": "y",
                "gap": 0.1,
                "gap_ci_low": 0.01,
                "gap_ci_high": 0.2,
            }
        ]
    )
    limits = Limits(max_wer=0.18, max_gap=0.05, min_accuracy=0.82)
    found = absolute_gates(rows, gaps, GroupSettings(), GateSettings(limits=limits))
    expected = ["fail", "fail", "not_tested", "not_tested", "fail", "fail", "fail"]
    assert expected == [gate.status for gate in found]
    sure = absolute_gates(rows, gaps, GroupSettings(), GateSettings(limits=limits, judge="interval"))
    assert ["warn", "warn", "warn"] == [sure[0].status, sure[1].status, sure[6].status]
    own = GateSettings(limits=limits, groups={("accent", "x"): Limits(max_wer=0.3)})
    assert "pass" == absolute_gates(rows, gaps, GroupSettings(), own)[0].status


def test_the_figure_of_tonight_stands_beside_that_of_the_pool() -> None:
    """Where several nights were pooled, the reader is told both; a night alone is said as such."""
    gate = Gate(
        rule="max_increase", engine="e", condition="clean", attribute="accent", group="x", status="fail", limit=0.01,
        value=0.013, tonight=0.027, baseline=0.175,
    )  # fmt: skip
    pooled = (
        "e, clean, accent = x: WER +2.7 points tonight, +1.3 over 4 nights against the baseline's 17.5 % (limit +1.0)"
    )
    assert pooled == sentence(replace(gate, nights=4))
    assert "e, clean, accent = x: WER +1.3 points against the baseline's 17.5 % (limit +1.0)" == sentence(gate)


def test_gates_of_a_suite_are_checked(tmp_path: Path) -> None:
    """Unknown keys, conditions that the suite lacks and impossible numbers are errors that name the line."""
    for gates, words in (
        ("[gates]\nmax_weer = 0.1\n", "max_wer"),
        ('[gates.condition."noisy"]\nmax_wer = 0.1\n', "condition"),
        ("[gates]\nalpha = 2.0\n", "alpha"),
        ("[gates.group.age.old]\nmax_wer = 0.1\n", "accent"),
        ("[gates.group.accent.us]\nmax_gap = 0.1\n", "gap"),
    ):
        with pytest.raises(InputError, match=words):
            read_suite(write_suite(tmp_path, gates=gates))
    suite = read_suite(write_suite(tmp_path, gates="[gates]\nmax_wer = 0.1\n[gates.condition.clean]\nmax_gap = 0.2\n"))
    always = Limits(max_wer=0.1, max_failed=0.05, min_coverage=0.95)
    assert replace(always, max_gap=0.2) == suite.gates.of("clean")
    assert always == suite.gates.of("other")


@pytest.mark.slow
def test_the_command_ends_with_the_verdict(tmp_path: Path) -> None:
    """Exit 0 or 1; JSON, JUnit and Markdown say the same; accepting makes the next baseline."""
    from xml.etree import ElementTree as ET

    suite, history, out = write_suite(tmp_path / "s"), tmp_path / "h", tmp_path / "out"
    base = ["nightly", str(suite), "--history", str(history), "--workers", "1", "--json", "--out", str(out)]
    first = CliRunner().invoke(app, base, standalone_mode=False)
    assert 0 == first.return_value, first.output
    write_suite(tmp_path / "s", options={"substitutions": 0.6})
    second = CliRunner().invoke(app, base, standalone_mode=False)
    assert 1 == second.return_value, second.output
    whole = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    assert json.loads(second.output) == whole
    assert "fail" == whole["verdict"]
    (verdict,) = whole["suites"]
    assert "fail" == verdict["verdict"]
    assert "accepted night 1" == verdict["baseline"]
    assert any("option substitutions changed from 0.2 to 0.6" in change["text"] for change in verdict["changes"])
    junit = ET.parse(out / "junit.xml").getroot()
    assert str(len(verdict["failed"])) == junit.get("failures")
    assert str(len(verdict["gates"])) == junit.get("tests")
    assert len(verdict["failed"]) == len(junit.findall(".//failure"))
    assert "night 2: failed" in (out / "verdict.md").read_text(encoding="utf-8")
    page = (history / "trend" / "small.html").read_text(encoding="utf-8")
    assert "stroke-dasharray" in page
    assert "option substitutions" in page
    accept = CliRunner().invoke(app, [*base[:4], "--accept", "2", "--reason", "meant"], standalone_mode=False)
    assert 0 == accept.return_value
    third = go(suite, history)
    assert "pass" == third.verdict.word
    assert {"code"} >= {change.kind for change in third.verdict.changes}  # a commit while the tests run
    assert "accepted night 2" == third.verdict.baseline
    for wanted, name in (("1", "night 1"), ("window:2", "the 2 nights up to 3 that held")):
        verdict = go(suite, history, baseline=wanted).verdict
        assert name == verdict.baseline
    with pytest.raises(InputError, match="no baseline"):
        go(suite, history, baseline="yesterday")


@pytest.mark.slow
def test_several_suites_have_one_verdict(tmp_path: Path) -> None:
    """Each suite has its own nights; one that fails for want of an engine does not keep the others from theirs."""
    from xml.etree import ElementTree as ET

    history, out = tmp_path / "h", tmp_path / "out"
    one, other = (write_suite(tmp_path / name, name=name, count=20) for name in ("wards", "streets"))
    folder = tmp_path / "broken"
    broken = write_suite(
        folder,
        name="broken",
        count=4,
        audio=True,
        engine="python",
        options={"callable": "away:hear", "source_dir": "."},
    )
    base = ["--history", str(history), "--workers", "1", "--json", "--out", str(out)]
    assert 0 == run(["nightly", str(one), str(other), *base])
    assert ["wards", "streets"] == [night.suite for night in History(history).nights()]
    write_suite(tmp_path / "streets", name="streets", options={"substitutions": 0.7})
    assert 1 == run(["nightly", str(one), str(other), *base])
    whole = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    assert ("fail", ["pass", "fail"]) == (whole["verdict"], [suite["verdict"] for suite in whole["suites"]])
    assert ["accepted night 1", "accepted night 2"] == [suite["baseline"] for suite in whole["suites"]]
    junit = ET.parse(out / "junit.xml").getroot()
    assert ["asrfair nightly wards", "asrfair nightly streets"] == [suite.get("name") for suite in junit]
    assert str(len(whole["suites"][1]["failed"])) == junit.get("failures")
    page = (out / "verdict.md").read_text(encoding="utf-8")
    assert "1 of 2 suites failed" in page
    assert "| wards | 3 | passed | 0 | 0 |" in page

    assert 3 == run(["nightly", str(broken), str(one), *base])
    whole = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    assert "no verdict" == whole["verdict"]
    assert ["broken"] == [item["suite"] for item in whole["no_verdict"]]
    assert ["wards"] == [suite["suite"] for suite in whole["suites"]]
    assert "1" == ET.parse(out / "junit.xml").getroot().get("errors")
    assert 2 == run(["nightly", str(one), str(one), *base])
    assert {"wards": 3, "streets": 2} == Counter(night.suite for night in History(history).nights())
