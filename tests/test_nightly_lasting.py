"""What was found stays found, small changes add up, an outage is none of the two, and looks are paid for."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nightly_nights import go, write_suite
from test_nightly_gates import small

from asrfair.cli.main import run
from asrfair.errors import InputError
from asrfair.nightly import History
from asrfair.nightly.baseline import find_baseline
from asrfair.nightly.chart import Chart, Step, advance, alarm_level, restlessness, steps_by_group
from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.lasting import GONE_NIGHTS, stay_found
from asrfair.nightly.night_to_night import Movement, Movements
from asrfair.nightly.outage import coverage_gates, failed_gates
from asrfair.nightly.paired_nights import Scored, news
from asrfair.nightly.relative import relative_gates
from asrfair.nightly.verdict import Verdict, to_junit, to_markdown
from asrfair.runs.gate_settings import GateSettings, Limits
from asrfair.types import GroupSettings

GROUPS = GroupSettings(by=(("accent",),))
BEFORE = {"a": 10, "b": 12, "c": 8, "d": 11, "e": 9}
AFTER = {"a": 20, "b": 24, "c": 17, "d": 22, "e": 18}
GATE = Gate(
    rule="max_increase", engine="e", condition="clean", attribute="accent", group="x", status="pass", limit=0.02,
    value=0.05, tonight=0.05,
)  # fmt: skip


def shaken(seed: int) -> Scored:
    """The quiet night with a few words moved at random."""
    rng = np.random.default_rng(seed)
    return small({name: wrong + int(rng.integers(-1, 2)) for name, wrong in BEFORE.items()})


def test_every_look_is_paid_for() -> None:
    """With four distinct nights three looks are taken; where tonight alone decides, its p-value is three times that alone."""
    nights = [small(AFTER), *(shaken(seed) for seed in range(3))]
    found = []
    for window in (1, 8):
        settings = GateSettings(limits=Limits(max_increase=0.0), window_nights=window)
        gates = relative_gates(nights, [small(BEFORE)], GROUPS, settings, steps={})
        found.append(next(gate for gate in gates if gate.group == "x"))
    one, three = found
    assert (1, 1) == (one.nights, three.nights)
    assert 0 < one.p < 0.3
    assert math.isclose(3 * one.p, three.p)


def test_a_night_that_repeats_the_last_is_no_look() -> None:
    """Nights with the same counts to the utterance are one look: p stays what it was, whatever their number."""
    settings = GateSettings(limits=Limits(max_increase=0.0))
    worse, before = small(AFTER), small(BEFORE)
    movements = Movements(still=("e",))
    once, often = (
        relative_gates([worse] * count, [before], GROUPS, settings, movements=movements, steps={}) for count in (1, 8)
    )
    assert [gate.p for gate in once] == [gate.p for gate in often]
    assert {(0,): [("e", "clean")]} == news([worse] * 3)
    assert {(0, 2): [("e", "clean")]} == news([worse, worse, before])


def test_what_was_found_stays_found_until_it_is_gone() -> None:
    """A figure that moves is gone after three nights nearer to the baseline; one that does not, at once."""
    found = stay_found(replace(GATE, status="fail"), None, Movement())
    assert (1, 0.05) == (found.found_nights, found.found)
    stays = stay_found(GATE, found, Movement())
    assert ("fail", 2) == (stays.status, stays.found_nights)
    low = replace(GATE, tonight=0.01, value=0.01)
    gate = stays
    for night in range(GONE_NIGHTS):
        gate = stay_found(low, gate, Movement())
        assert ("pass" if night == GONE_NIGHTS - 1 else "fail") == gate.status
    assert "pass" == stay_found(low, stays, Movement(sd=0.0)).status
    assert "fail" == stay_found(replace(low, status="not_tested"), stays, Movement()).status


def test_a_chart_adds_up_what_one_night_does_not_show() -> None:
    """Page's sum, written out: in units of the alarm level, down to zero and no lower."""
    level = alarm_level(1.5, 0.001, 30, 1)
    step = Step(increase=0.025, noise=0.01)
    one = advance(Chart(), step, 0.015, 0.001, 30, 1)
    assert math.isclose(1.0 / level, one.level)
    half = advance(Chart(), replace(step, news=0.5), 0.015, 0.001, 30, 1)
    assert math.isclose(0.5 / level, half.level)
    assert Chart() == advance(Chart(), replace(step, news=0.0), 0.015, 0.001, 30, 1)
    assert 0.0 == advance(Chart(), replace(step, increase=-0.5), 0.015, 0.001, 30, 1).level
    two = advance(one, replace(step, increase=0.035), 0.015, 0.001, 30, 1)
    assert (2, 0.03) == (two.nights, pytest.approx(two.mean))


def test_the_alarm_level_keeps_its_promise() -> None:
    """Among fresh paths on which nothing changes, about as many alarm within the horizon as may; a low K needs more."""
    rng = np.random.default_rng(5)
    reference, chance = 1.5, 0.02
    level = alarm_level(reference, chance, 30, 1)
    paths = 20_000
    baseline = rng.standard_normal(paths)
    total = np.zeros(paths)
    alarmed = np.zeros(paths, dtype=bool)
    for _ in range(30):
        total = np.maximum(total + rng.standard_normal(paths) - baseline - reference, 0.0)
        alarmed |= total >= level
    assert 0.5 * chance < alarmed.mean() <= 1.1 * chance
    assert alarm_level(0.5, chance, 30, 1) > level > alarm_level(4.0, chance, 30, 1)
    assert alarm_level(1.5, 1e-7, 30, 1) > alarm_level(1.5, 1e-3, 30, 1)


def test_the_noise_of_a_step_is_that_of_its_utterances() -> None:
    """Σd²/(1 + 1/B) over the words; what the night before had told already is no news."""
    errors, base = np.array([3.0, 0.0, 2.0, 5.0]), np.array([1.0, 1.0, 2.0, 5.0])
    words, group = np.full(4, 10.0), np.array([0, 0, 0, 1])
    first, other = steps_by_group(errors, base, np.full(4, np.nan), words, group, 2, 1)
    assert math.isclose(1 / 30, first.increase)
    assert math.isclose(math.sqrt(5 / 2) / 30, first.noise)
    assert (1.0, 0.0) == (first.news, other.news)
    again, _ = steps_by_group(errors, base, errors, words, group, 2, 1)
    assert 0.0 == again.news
    half, _ = steps_by_group(errors, base, np.array([3.0, 1.0, 2.0, 5.0]), words, group, 2, 1)
    assert (0.2, -1.0) == (half.news, half.z)


def test_nights_that_move_as_a_whole_count_for_less() -> None:
    """Successive nights three times as far apart as utterances say make the noise about three times as large."""
    rng = np.random.default_rng(1)
    assert restlessness(rng.standard_normal(50)) < 1.4
    assert 1.8 < restlessness(3 * rng.standard_normal(50)) < 4
    assert restlessness([50.0]) < 1.3  # one change among quiet nights


def with_lost(night: Scored, count: int) -> Scored:
    """A night of which the last rows came back with an error."""
    status = ["scored"] * (len(night.scores) - count) + ["error"] * count
    return Scored(utterances=night.utterances, scores=night.scores.assign(status=status))


def test_what_was_lost_is_judged_for_everybody_and_where_it_falls_on_one_group() -> None:
    """A share beyond the limit is an outage; one group that is lost whole is one, though everybody's share is small."""
    settings = GateSettings(limits=Limits(max_failed=0.05, min_coverage=0.95))
    night = small(BEFORE)
    assert ["pass"] == [gate.status for gate in failed_gates(night, GROUPS, settings)]
    assert ["fail"] == [gate.status for gate in failed_gates(with_lost(night, 1), GROUPS, settings)]
    ids = [f"u{n}" for n in range(400)]
    utterances = pd.DataFrame(
        {"utterance_id": ids, "speaker_id": ids, "reference": "a", "accent": ["y"] * 390 + ["x"] * 10}
    )
    scores = pd.concat([night.scores.iloc[:1]] * 400, ignore_index=True).assign(utterance_id=ids)
    lost = with_lost(Scored(utterances=utterances, scores=scores), 10)
    found = failed_gates(lost, GROUPS, settings)
    assert [("all", "pass"), ("x", "fail")] == [(gate.group, gate.status) for gate in found]
    whole = Scored(utterances=utterances, scores=scores)
    for tonight, baseline in ((lost, whole), (whole, lost)):
        covered = coverage_gates(tonight, [baseline], GROUPS, settings)
        assert [("all", "pass"), ("x", "fail")] == [(gate.group, gate.status) for gate in covered]
    assert ["pass"] == [gate.status for gate in coverage_gates(whole, [whole], GROUPS, settings)]


def test_an_outage_has_its_word_and_code_and_is_no_baseline(tmp_path: Path) -> None:
    """A dead engine ends with code 3 and the word outage, also with no gate of its own; nothing accepts such a night."""
    history = tmp_path / "h"
    suite = write_suite(tmp_path / "s", gates="[gates]\nmax_increase = 0.02\n", options={"failures": 0.9})
    out = tmp_path / "out"
    arguments = ["nightly", str(suite), "--history", str(history), "--workers", "1", "--out", str(out)]
    assert 3 == run(arguments)
    assert "outage" == json.loads((out / "verdict.json").read_text(encoding="utf-8"))["verdict"]
    assert ": outage" in (out / "verdict.md").read_text(encoding="utf-8")
    kept = History(history)
    assert kept.accepted("small") is None
    assert 2 == run([*arguments[:4], "--accept", "1"])
    with pytest.raises(InputError, match="no baseline"):
        find_baseline(kept, "small", "1")
    suite = write_suite(tmp_path / "s", gates="[gates]\nmax_increase = 0.02\n")
    assert 0 == run(arguments)
    assert 2 == kept.accepted("small")
    write_suite(tmp_path / "s", gates="[gates]\nmax_increase = 0.02\n", options={"failures": 0.5})
    assert 3 == run(arguments)
    assert [2] == [night.number for night in find_baseline(kept, "small", "window:7").nights]


@pytest.mark.slow
def test_a_lasting_change_fails_every_night_until_it_is_accepted(tmp_path: Path) -> None:
    """The same worse transcripts night after night: each fails, and the first after the acceptance passes."""
    history, gates = tmp_path / "h", "[gates]\nmax_increase = 0.02\n"
    suite = write_suite(tmp_path / "s", gates=gates)
    for _ in range(2):
        assert "pass" == go(suite, history).verdict.word
    write_suite(tmp_path / "s", gates=gates, options={"substitutions": 0.5})
    words = [go(suite, history).verdict.word for _ in range(4)]
    assert ["fail"] * 4 == words
    assert 0 == run(["nightly", str(suite), "--history", str(history), "--accept", "6", "--reason", "meant"])
    assert "pass" == go(suite, history).verdict.word


def test_a_warning_is_seen_everywhere() -> None:
    """Beyond the limit, within chance: a word of its own, a row in Markdown, a line in JUnit, exit code 0."""
    verdict = Verdict(suite="s", night=3, baseline="b", gates=(replace(GATE, status="warn", note="n"),), counts={})
    assert ("warn", 0) == (verdict.word, verdict.exit_code)
    page = to_markdown(verdict)
    assert "passed with warnings" in page
    assert "0 of 1 gates failed, 1 warned" in page
    assert "| +5.0 |" in page
    assert b"WARN e, clean, accent = x" in to_junit([verdict])


def test_a_warning_is_seen_through_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A night that is above a limit, within chance: exit code 0, a line in the terminal, a word in trend and JUnit."""
    gates = '[gates]\nmax_wer = 0.34\njudge = "interval"\n'
    suite = write_suite(tmp_path / "s", gates=gates, options={"substitutions": 0.27})
    out = tmp_path / "out"
    assert 0 == run(["nightly", str(suite), "--history", str(tmp_path / "h"), "--workers", "1", "--out", str(out)])
    said = " ".join(capsys.readouterr().out.split())
    assert "WARN fake, clean, accent = us" in said
    assert "1 warned" in said
    assert "warn" == json.loads((out / "verdict.json").read_text(encoding="utf-8"))["verdict"]
    assert "WARN fake, clean, accent = us" in (out / "junit.xml").read_text(encoding="utf-8")
    assert 'class="warn"' in (tmp_path / "h" / "trend" / "small.html").read_text(encoding="utf-8")


def test_transcripts_from_files_that_change_are_no_changed_inputs(tmp_path: Path) -> None:
    """A service's answers lie in another file every night: nothing is listed as changed, and nights are pooled."""
    folder = tmp_path / "s"
    manifest = pd.read_csv(write_suite(folder).parent / "manifest.csv")
    for number in (1, 2):
        table = manifest[["utterance_id", "reference"]].rename(columns={"reference": "hypothesis"})
        table.loc[: number * 3, "hypothesis"] = "nothing"
        table.to_csv(folder / f"night{number}.csv", index=False)
        suite = write_suite(folder, engine="precomputed", options={"file": f"night{number}.csv"})
        result = go(suite, tmp_path / "h")
    assert {"code", "suite"} >= {change.kind for change in result.verdict.changes}
    assert not [change for change in result.verdict.changes if change.kind == "engine"]


def test_older_nights_are_thinned(tmp_path: Path) -> None:
    """Of the nights older than those kept, the last of each block of numbers stays, and what was accepted."""
    history = History(tmp_path)
    for number in range(20):
        history.commit(str(number), lambda _folder, _night: {"suite": "s", "verdict": "pass"})
    history.accept(2, "first", "now")
    assert [1, 2, 6, 13, 16, *range(17, 21)] == sorted(set(range(1, 21)) - set(history.retain(4, "s", 7)))
    assert [1, 2, 6, 13, 16, *range(17, 21)] == history.numbers()
    assert [] == history.retain(4, "s", 7)


@pytest.mark.slow
def test_bisect_says_which_of_several_changes_did_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two options changed, and one of them made the gates fail: each is run alone, and the harmful one is named."""
    history, gates = tmp_path / "h", "[gates]\nmax_increase = 0.02\n"
    suite = write_suite(tmp_path / "s", gates=gates)
    go(suite, history)
    write_suite(tmp_path / "s", gates=gates, options={"substitutions": 0.6, "insertions": 0.001})
    assert "fail" == go(suite, history).verdict.word
    before = sorted(path.name for path in (history / "nights").rglob("*"))
    assert 0 == run(["nightly", str(suite), "--history", str(history), "--workers", "1", "--bisect"])
    said = capsys.readouterr().out
    assert "overall = all: the option substitutions of fake, from 0.2 to 0.6 did it" in said
    assert "points  only the option insertions of fake, from its default to 0.001" in said
    assert before == sorted(path.name for path in (history / "nights").rglob("*"))
    assert (history / "bisect" / "night-000002.json").is_file()
    assert 2 == run(["nightly", str(suite), "--history", str(history), "--bisect", "1"])
