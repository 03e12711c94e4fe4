"""Small formulas and branches of the gates, written out again: what only months of simulated nights would show."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from test_nightly_gates import small

from asrfair.nightly.absolute import absolute_gates, threshold_gates
from asrfair.nightly.chart import (
    SHARE,
    Chart,
    Step,
    _upper,
    advance,
    alarms,
    charted,
    restlessness,
    steps_by_group,
    steps_of,
)
from asrfair.nightly.gate_outcome import WITHIN_CHANCE, Gate
from asrfair.nightly.lasting import stay_found
from asrfair.nightly.night_to_night import Movement, Movements
from asrfair.nightly.outage import _beyond
from asrfair.nightly.paired_nights import make_look
from asrfair.nightly.relative import _p_nights, _spread, relative_gates
from asrfair.nightly.shrunken_variance import _inverse_trigamma
from asrfair.runs.gate_settings import GateSettings, Limits
from asrfair.runs.threshold_settings import ThresholdTable
from asrfair.types import GroupSettings

GATE = Gate(
    rule="max_increase", engine="e", condition="clean", attribute="accent", group="x", status="pass", limit=0.02,
    value=0.03, tonight=0.03,
)  # fmt: skip
GROUP = {
    "engine": "e", "condition": "clean", "attribute": "accent", "group": "x", "speakers": 5, "ref_words": 900,
    "rate": 0.2, "ci_low": 0.15, "ci_high": 0.25, "flag": "",
}  # fmt: skip
GAP = {
    "engine": "e", "condition": "clean", "attribute": "accent", "worst_group": "x", "best_group": "y", "gap": 0.1,
    "gap_ci_low": 0.04, "gap_ci_high": 0.2,
}  # fmt: skip

BEFORE, AFTER = (
    dict(zip("abcde", (10, 12, 8, 11, 9), strict=True)),
    dict(zip("abcde", (20, 24, 17, 22, 18), strict=True)),
)
KEY = ("e", "clean", "accent", "x")


def _of(limits: Limits, gap: dict[str, object] | None = None, judge: str = "estimate", **row: object) -> Gate:
    disparity, gaps = pd.DataFrame([{**GROUP, **row}] * (gap is None)), pd.DataFrame([gap] * (gap is not None))
    settings = GateSettings(limits=limits, judge=judge)  # type: ignore[arg-type]
    (found,) = absolute_gates(disparity, gaps, GroupSettings(min_speakers=5, min_words=100), settings)
    return found


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, ("fail", "")),
        ({"flag": "wide;no_errors"}, ("fail", "")),
        ({"flag": "few_words"}, ("not_tested", "few words")),
        ({"flag": "not_stated;wide"}, ("not_tested", "not stated")),
        ({"flag": "few_speakers"}, ("not_tested", "few speakers")),
        ({"flag": "few_speakers;few_words", "speakers": 2}, ("not_tested", "few speakers, few words")),
        ({"speakers": 4}, ("not_tested", "few speakers")),
        ({"flag": None, "speakers": 5}, ("fail", "")),
        ({"flag": "few_words", "ref_words": 0, "rate": math.nan}, ("fail", "nothing was scored")),
        ({"rate": math.nan}, ("fail", "nothing was scored")),
        ({"rate": 0.1}, ("pass", "")),
    ],
)
def test_a_small_groups_flag_keeps_an_absolute_gate_from_judging(
    row: dict[str, object], expected: tuple[str, str]
) -> None:
    """Few speakers, few words and not stated, by flag or by count, are not judged; silence fails; the limit itself passes."""
    found = _of(Limits(max_wer=0.1), **row)
    assert expected == (found.status, found.note)


def test_a_floor_of_accuracy_is_the_mirror_image_of_a_ceiling_of_errors() -> None:
    """1 − WER with its ends exchanged; on the floor is a pass, and the interval's upper end, on the floor, warns."""
    found = _of(Limits(min_accuracy=0.85))
    assert ("min_accuracy", "fail") == (found.rule, found.status)
    assert pytest.approx([0.8, 0.75, 0.85]) == [found.value, found.low, found.high]
    assert "pass" == _of(Limits(min_accuracy=0.8)).status
    for floor, status in ((0.85, "warn"), (0.851, "fail"), (0.8, "pass")):
        assert status == _of(Limits(min_accuracy=floor), judge="interval").status
    for ceiling, status in ((0.15, "warn"), (0.149, "fail"), (0.2, "pass")):
        assert status == _of(Limits(max_wer=ceiling), judge="interval").status
    assert "fail" == _of(Limits(max_wer=0.1), judge="interval", ci_low=math.nan).status


def test_a_gap_of_fewer_than_two_groups_is_not_judged() -> None:
    """Without a gap there is a gate that says why; with one its limit, or the lower end of its interval, decides."""
    none = _of(Limits(max_gap=0.05), {**GAP, "gap": math.nan})
    assert ("not_tested", "worst − best", "fewer than two groups are large enough") == (
        none.status,
        none.group,
        none.note,
    )
    found = _of(Limits(max_gap=0.05), GAP)
    assert ("fail", "x − y", 0.1, 0.04, 0.2) == (found.status, found.group, found.value, found.low, found.high)
    chance = _of(Limits(max_gap=0.05), GAP, "interval")
    assert ("warn", WITHIN_CHANCE) == (chance.status, chance.note)
    assert "pass" == _of(Limits(max_gap=0.1), GAP).status


def test_of_differences_in_decibels_only_those_beyond_chance_fail() -> None:
    """Above the limit and affirmed fails, above and not affirmed warns, at the limit passes; other claims have no gate."""
    claim = {
        "kind": "threshold", "engine": "e", "condition": "street", "attribute": "accent", "group": "x", "versus": "y",
        "affirmed": True, "estimate": 3.1, "ci_low": 1.0, "ci_high": 5.0, "unit": "dB", "target": "30 %", "p": 0.01,
        "p_adjusted": 0.01, "level": 0.95, "rank": 1, "rate": math.nan, "versus_rate": math.nan, "among": "", "id": "1",
        "table": "", "question": "", "flag": "", "basis": "", "parameter": "noise.snr_db", "text": "",
    }  # fmt: skip
    changes = [{}, {"affirmed": False}, {"estimate": 3.0}, {"estimate": 3.0, "affirmed": False}, {"kind": "group"}]
    claims = pd.DataFrame([{**claim, **change} for change in changes])
    table = ThresholdTable(max_threshold_gap_db=3.0)
    found = threshold_gates(pd.DataFrame([{"flag": ""}]), claims, table, GateSettings())
    assert ["fail", "warn", "pass", "pass"] == [gate.status for gate in found]
    first = found[0]
    assert ("x − y", 3.0, 3.1, 1.0, 5.0) == (first.group, first.limit, first.value, first.low, first.high)
    assert [] == threshold_gates(pd.DataFrame([{"flag": ""}]), claims, ThresholdTable(), GateSettings())


def test_the_noise_of_a_step_falls_with_the_baselines_nights() -> None:
    """Four nights of baseline: √(Σd² / (1 + 1/4)) over the words; without words there is neither noise nor increase."""
    errors, base = np.array([3.0, 0.0, 2.0]), np.array([1.0, 1.0, 2.0])
    words, group, last = np.array([10.0, 20.0, 10.0]), np.zeros(3, dtype=np.int64), np.full(3, np.nan)
    step, empty = steps_by_group(errors, base, last, words, group, 2, 4)
    assert (1 / 40, 2 / 40) == (step.increase, pytest.approx(step.noise))
    assert math.isnan(step.z)
    assert (0.0, 0.0) == (empty.noise, empty.news)
    assert math.isnan(empty.increase)


def test_what_the_night_before_did_not_tell_is_news() -> None:
    """Utterances that it lacks count with their whole change; more than all is no news than all."""
    errors, base, words = np.array([3.0, 0.0]), np.array([1.0, 1.0]), np.array([10.0, 10.0])
    group = np.zeros(2, dtype=np.int64)
    (half,) = steps_by_group(errors, base, np.array([3.0, np.nan]), words, group, 1, 1)
    assert (1 / 5, -1.0) == (half.news, half.z)
    (more,) = steps_by_group(errors, base, np.array([9.0, 0.0]), words, group, 1, 1)
    assert (1.0, -1.0) == (more.news, more.z)


def test_a_step_is_of_one_night_whatever_is_pooled() -> None:
    """Two nights against three: mean errors of each over the words of one; 0.12 less 0.10, noise Σ(2² + …)/(1 + 1/3)."""
    before = small(dict.fromkeys("abcde", 10))
    nights = [small(dict.fromkeys("abcde", wrong)) for wrong in (11, 13)]
    groups = GroupSettings(by=(("accent",),))
    look = make_look(nights, [before] * 3, groups)
    assert look is not None
    steps = steps_of(look, make_look([before], [before] * 3, groups), groups, 3)
    assert {("e", "clean", "overall", "all"), ("e", "clean", "accent", "x")} == set(steps)
    for step in steps.values():
        assert 0.02 == pytest.approx(step.increase)
        assert math.sqrt(10 * 2**2 / (4 / 3)) / 1000 == pytest.approx(step.noise)
        assert (1.0, pytest.approx(20 / math.sqrt(40))) == (step.news, step.z)


def test_a_chart_goes_on_from_where_the_night_before_left_it() -> None:
    """K is half of what is to be found, or of the limit where that is more; a fifth of alpha is shared by the tests."""
    settings = GateSettings(alpha=0.06, horizon_nights=5, detect=0.03)
    step = Step(increase=0.04, noise=0.01, z=1.5)
    kept = replace(GATE, chart=0.5, chart_mean=0.02, chart_nights=2)
    before = {("e", "clean", "accent", "x"): kept}
    start = Chart(level=0.5, mean=0.02, nights=2)
    for limit, reference in ((0.02, 0.015), (0.05, 0.025)):
        expected = advance(start, step, reference, SHARE * 0.06 / 4, 5, 2)
        found = charted(replace(GATE, limit=limit), step, 4, 2, settings, before)
        assert (expected.level, expected.mean, 3) == (found.chart, found.chart_mean, found.chart_nights)
        assert 1.5 == found.z
    silent = charted(GATE, None, 4, 2, settings, before)
    assert (0.5, 0.02, 2) == (silent.chart, silent.chart_mean, silent.chart_nights)
    assert 0.0 == charted(GATE, None, 4, 2, settings, {}).chart


def test_a_chart_alarms_at_its_level_and_beyond_the_limit() -> None:
    """Both are needed: the sum at 1 or more, and a mean increase above the limit."""
    for level, mean, expected in ((1.0, 0.021, True), (0.99, 0.021, False), (1.5, 0.02, False)):
        assert expected == alarms(replace(GATE, chart=level, chart_mean=mean))


def test_the_tail_beyond_the_paths_is_exponential() -> None:
    """Of a sample of log(n / rank) the quantile is −log p, within the sample and far beyond it."""
    sample = np.log(1000.0 / np.maximum(np.arange(1000), 0.5))
    for chance in (0.1, 0.02, 1e-3, 1e-9):
        assert -math.log(chance) == pytest.approx(_upper(sample, chance))


def test_restlessness_is_the_median_change_over_that_of_chance() -> None:
    """Nine nights at z = 3 beside the eight of chance: 3 / √0.455; quiet nights and unknown ones change nothing."""
    assert 3 / math.sqrt(stats.chi2(1).median()) == pytest.approx(restlessness([3.0] * 5 + [-3.0] * 4 + [math.nan] * 9))
    assert 1.0 == restlessness([0.1] * 9)


@pytest.mark.parametrize(("tonight", "gone"), [(0.03, True), (0.031, False)])
def test_what_was_found_is_gone_when_it_is_nearer_to_none(tonight: float, gone: bool) -> None:
    """Half of the 6 points that were found, or less; a figure that does not move by itself is then gone at once."""
    earlier = replace(GATE, status="fail", found=0.06, found_nights=2)
    found = stay_found(replace(GATE, tonight=tonight), earlier, Movement(sd=0.0))
    assert (("pass", 0) if gone else ("fail", 3)) == (found.status, found.found_nights)
    assert gone == (not found.note)
    wide = replace(GATE, limit=0.04, tonight=0.04)
    assert "pass" == stay_found(wide, earlier, Movement(sd=0.0)).status


def test_what_was_found_is_the_larger_of_look_and_chart() -> None:
    """A chart that alarms counts with its mean; one that does not, does not; the note says for how long."""
    fails = replace(GATE, status="fail", value=0.03, chart=1.0, chart_mean=0.05)
    first = stay_found(fails, None, Movement())
    assert (0.05, 1) == (first.found, first.found_nights)
    assert 0.03 == stay_found(replace(fails, chart=0.9), None, Movement()).found
    assert 0.03 == stay_found(replace(fails, chart_mean=math.nan), None, Movement()).found
    second = stay_found(replace(GATE, tonight=0.05), first, Movement())
    assert "found 1 night ago, and neither accepted nor gone" == second.note
    assert "found 2 nights ago, and neither accepted nor gone" == stay_found(GATE, second, Movement()).note
    assert (1, 0.05) == (second.found_nights - 1, second.found)
    back = stay_found(replace(GATE, tonight=0.05), replace(second, below=2), Movement())
    assert ("fail", 0) == (back.status, back.below)


def test_a_group_that_loses_more_than_chance_would_take() -> None:
    """Of ten at 5 %, three or more are lost by chance with 1.15 %, four with 0.10 %; a night may spend 0.17 %."""
    settings = GateSettings(alpha=0.05, horizon_nights=30)
    assert [False, True] == [_beyond(count, 10, 0.05, settings) for count in (3, 4)]
    assert _beyond(3, 10, 0.05, replace(settings, alpha=0.35))
    assert not _beyond(5, 10, 0.5, replace(settings, alpha=0.9, horizon_nights=1))


def test_an_increase_is_held_against_what_the_figure_does_by_itself() -> None:
    """Student's t of difference / (σ √(1/n + 1/m)); a decrease is no alarm, and what never moves has moved surely."""
    movement = Movement(sd=0.01, df=5.0)
    assert 0.01 * math.sqrt(1 / 4 + 1 / 2) == pytest.approx(_spread(0.01, 4, 2))
    expected = stats.t(5.0).sf(0.02 / (0.01 * math.sqrt(0.75)))
    assert expected == pytest.approx(_p_nights(0.02, movement, 4, 2))
    assert [1.0, 1.0] == [_p_nights(value, movement, 4, 2) for value in (0.0, -0.02)]
    assert 0.0 == _p_nights(1e-9, Movement(sd=0.0, df=math.inf), 4, 2)


@pytest.mark.parametrize("value", [1e-8, 1e-3, 0.5, 4.0, 1e3, 1e9])
def test_the_inverse_of_trigamma(value: float) -> None:
    """Trigamma of it is what went in, from variances that are all alike to those that have nothing in common."""
    assert value == pytest.approx(float(special.polygamma(1, _inverse_trigamma(value))), rel=1e-3)


def _relative(movements: Movements | None = None, least: tuple[int, int] = (5, 1000), **settings: Any) -> list[Gate]:
    groups = GroupSettings(by=(("accent",),), min_speakers=least[0], min_words=least[1])
    limits = {"limits": Limits(max_increase=0.0), **settings}
    return relative_gates(
        [small(AFTER)], [small(BEFORE)], groups, GateSettings(**limits), movements=movements, steps={}
    )


def test_a_gate_against_the_baseline_holds_its_figures() -> None:
    """202 for 100 errors in 1,000 words; Holm's correction for two gates; four fifths of alpha, evenly over the nights."""
    for gate in _relative():
        assert (0.102, 0.1) == (pytest.approx(gate.value), gate.baseline)
        assert (gate.value, 1, 0.8 * 0.05 / 30) == (gate.tonight, gate.nights, pytest.approx(gate.level))
        assert 2 * gate.p == pytest.approx(gate.p_holm)
        assert gate.status == ("fail" if gate.p_holm <= gate.level else "warn")
        assert math.isnan(gate.band)
    assert 0 == _relative(limits=Limits(max_increase=0.03))[0].power_nights


@pytest.mark.parametrize(("checked", "status"), [(0.03, "fail"), (0.04, "warn")])
def test_an_increase_within_two_standard_deviations_of_what_moves_anyway_only_warns(
    checked: float, status: str
) -> None:
    """The band is twice what a difference of two nights varies by: 2 √2 times what tonight's check moved."""
    moved = {KEY: checked, ("e", "clean", "overall", "all"): checked}
    for gate in _relative(Movements(checked=moved), alpha=0.9, horizon_nights=1):
        assert 2 * math.sqrt(2) * checked == pytest.approx(gate.band)
        assert (status, WITHIN_CHANCE if status == "warn" else "") == (gate.status, gate.note)


@pytest.mark.parametrize(
    ("least", "note"), [((5, 1000), ""), ((6, 1), "few speakers (5)"), ((1, 1001), "few words (1000)")]
)
def test_small_groups_are_not_held_against_the_baseline(least: tuple[int, int], note: str) -> None:
    """As many as asked for are enough; one less is said, with how many there are, and has no p-value."""
    for gate in _relative(least=least):
        if note:
            assert ("not_tested", note) == (gate.status, gate.note)
        assert bool(note) == math.isnan(gate.p)


def test_speakers_and_nights_must_both_say_that_it_is_no_chance() -> None:
    """The larger of the two p-values: of a figure that moves by 20 points a night, 10 points more are nothing."""
    moved = {key: [0.2, -0.2, 0.2, -0.2] for key in (KEY, ("e", "clean", "overall", "all"))}
    expected = stats.t(2 * 16 / 11).sf(0.102 / 0.2)
    assert [expected] * 2 == pytest.approx([gate.p for gate in _relative(Movements(differences=moved))])
    still = {key: [1e-6, -1e-6, 1e-6, -1e-6] for key in moved}
    assert all(1e-9 < gate.p < 0.01 for gate in _relative(Movements(differences=still)))
