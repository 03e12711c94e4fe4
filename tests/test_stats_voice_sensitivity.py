"""Tests of the table of sensitivity: the same utterances with a changed voice, paired, by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import frame_of, people, write_scored_run

from asrfair.stats.analyse import analyse_run
from asrfair.stats.explain.voice_sensitivity import NOTHING, sensitivity_table, voice_changes
from asrfair.stats.groups import make_grouping
from asrfair.types import GroupSettings, StatisticsSettings

ENGINE = "e"
ASKED = {
    "voice-pitch@unchanged": {"pitch.semitones_asked": 0.0, "pitch.melody_percent_asked": 0.0, "pitch.semitones": 0.02},
    "voice-pitch@higher": {"pitch.semitones_asked": 2.0, "pitch.melody_percent_asked": 0.0, "pitch.semitones": 1.9},
    "own@dull": {"effort.tilt_db_per_octave_asked": -3.0},
    "street": {"noise.snr_db_asked": 5.0},
}


def _run(folder: Path, errors: dict[str, np.ndarray], asked: dict[str, dict[str, float]]) -> Path:
    table = people({"a": 12, "b": 12}, utterances=4)
    words = np.full(len(table), 10)
    run = write_scored_run(folder, table, {(ENGINE, name): made for name, made in errors.items()}, words)
    rows = [
        {"condition": condition, "utterance_id": utterance, "quantity": key, "value": value, "text": None}
        for condition, quantities in asked.items()
        if condition in errors
        for utterance in table["utterance_id"]
        for key, value in quantities.items()
    ]
    columns = ["condition", "utterance_id", "quantity", "value", "text"]
    pd.DataFrame(rows, columns=columns).to_parquet(run / "achieved.parquet")
    return run


def _errors(seed: int, more: dict[str, int]) -> np.ndarray:
    """Errors of 12 + 12 speakers × 4 utterances, by 10 words; ``more`` to each utterance of a group."""
    rng = np.random.default_rng(seed)
    base = np.repeat(rng.integers(1, 4, 24), 4)
    return base + np.repeat([more.get("a", 0), more.get("b", 0)], 48)


def _table(run: Path) -> pd.DataFrame:
    frame, groups = frame_of(run, ("accent",))
    groupings = [make_grouping(frame, ()), make_grouping(frame, ("accent",))]
    return sensitivity_table(frame, groupings, groups, StatisticsSettings())


def test_changes_are_against_the_same_profile_unchanged(tmp_path: Path) -> None:
    """Two errors more of ten words in one group are 20 points there and none elsewhere; by hand from the counts."""
    errors = {
        "clean": _errors(1, {}),
        "voice-pitch@unchanged": _errors(1, {"a": 1, "b": 1}),
        "voice-pitch@higher": _errors(1, {"a": 1, "b": 3}),
        "own@dull": _errors(1, {"a": 2}),
        "street": _errors(1, {"a": 5, "b": 5}),
    }
    table = _table(_run(tmp_path, errors, ASKED)).set_index(["condition", "group"])
    higher = table.loc["voice-pitch@higher"]
    assert {"voice-pitch@unchanged"} == set(higher["against"])
    assert 0.0 == pytest.approx(higher.loc["a", "difference"])
    assert 0.2 == pytest.approx(higher.loc["b", "difference"])
    assert ("pitch, semitones", "+2", "+1.9") == tuple(higher.loc["b", ["change", "asked", "achieved"]])
    assert higher.loc["b", "ci_low"] < 0.2 < higher.loc["b", "ci_high"]
    assert "clean" == table.loc[("own@dull", "a"), "against"]
    assert 0.2 == pytest.approx(table.loc[("own@dull", "a"), "difference"])
    assert "street" not in table.index.get_level_values(0)
    assert (12, 48, 480) == tuple(higher.loc["b", ["speakers", "utterances", "ref_words"]])


def test_what_the_resynthesis_costs_is_a_row_and_flagged(tmp_path: Path) -> None:
    """Ten points for nothing are flagged, none is not; the row says that nothing was changed."""
    cheap = {"clean": _errors(1, {}), "voice-pitch@unchanged": _errors(1, {})}
    dear = {"clean": _errors(1, {}), "voice-pitch@unchanged": _errors(1, {"a": 1, "b": 1})}
    for number, (errors, expected) in enumerate(((cheap, ""), (dear, "resynthesis_costs"))):
        table = _table(_run(tmp_path / str(number), errors, ASKED))
        assert {NOTHING} == set(table["change"])
        assert {"clean"} == set(table["against"])
        assert {expected} == set(table["flag"])


def test_only_utterances_of_both_count(tmp_path: Path) -> None:
    """An utterance that one side lacks is left out of both rates."""
    errors = {"clean": _errors(1, {}), "own@dull": _errors(1, {"a": 1})}
    run = _run(tmp_path, errors, ASKED)
    scores = pd.read_parquet(run / "scores.parquet")
    lost = (scores["condition"] == "own@dull") & (scores["utterance_id"] == "u00000")
    scores.loc[lost, "status"] = "error"
    scores.to_parquet(run / "scores.parquet", index=False)
    table = _table(run).set_index("group")
    assert 47 == table.loc["a", "utterances"]
    assert 0.1 == pytest.approx(table.loc["a", "difference"])


def test_small_groups_have_no_interval(tmp_path: Path) -> None:
    """Fewer speakers than asked for: the number stands, flagged, without an interval."""
    errors = {"clean": _errors(1, {}), "own@dull": _errors(1, {"a": 1})}
    run = _run(tmp_path, errors, ASKED)
    frame, _ = frame_of(run, ("accent",))
    groups = GroupSettings(by=(("accent",),), min_speakers=13)
    table = sensitivity_table(frame, [make_grouping(frame, ("accent",))], groups, StatisticsSettings())
    assert {"few_speakers"} == set(table["flag"])
    assert table["ci_low"].isna().all()
    assert 0.1 == pytest.approx(table.set_index("group").loc["a", "difference"])


def test_a_run_without_such_conditions_has_no_table(tmp_path: Path) -> None:
    """Noise is no voice; without clean and without an unchanged condition there is nothing to compare with."""
    run = _run(tmp_path / "noise", {"clean": _errors(1, {}), "street": _errors(1, {"a": 1})}, ASKED)
    assert {} == voice_changes(frame_of(run, ("accent",))[0])
    assert _table(run).empty
    analyse_run(run, GroupSettings(by=(("accent",),)), StatisticsSettings(), full=True)
    assert not (run / "sensitivity.csv").exists()
    alone = _run(tmp_path / "alone", {"own@dull": _errors(1, {})}, ASKED)
    assert _table(alone).empty


def test_the_table_is_part_of_a_runs_files(tmp_path: Path) -> None:
    """A full analysis writes sensitivity.csv beside the others."""
    errors = {"clean": _errors(1, {}), "own@dull": _errors(1, {"a": 1})}
    run = _run(tmp_path, errors, ASKED)
    analyse_run(run, GroupSettings(by=(("accent",),)), StatisticsSettings(), full=True)
    written = pd.read_csv(run / "sensitivity.csv")
    assert {"all", "a", "b"} >= set(written["group"]) - {"all"}
    assert 3 == len(written)


def test_speakers_count_who_were_heard_in_both_conditions(tmp_path: Path) -> None:
    """A speaker of whom one condition lacks everything is none of the eleven, whichever of the two it is; nor are the words."""
    errors = {"clean": _errors(1, {}), "own@dull": _errors(1, {"a": 1})}
    for lacking in errors:
        run = _run(tmp_path / lacking, errors, ASKED)
        scores = pd.read_parquet(run / "scores.parquet")
        lost = (scores["condition"] == lacking) & scores["utterance_id"].isin([f"u{n:05d}" for n in range(4)])
        scores.loc[lost, "status"] = "error"
        scores.to_parquet(run / "scores.parquet", index=False)
        table = _table(run).set_index("group")
        assert (11, 44, 440) == tuple(table.loc["a", ["speakers", "utterances", "ref_words"]])
        assert (23, 92, 920) == tuple(table.loc["all", ["speakers", "utterances", "ref_words"]])
        before = errors["clean"][4:48].sum() / 440
        assert [before, before + 0.1] == pytest.approx(table.loc["a", ["rate_against", "rate"]].tolist())


def test_speakers_who_are_not_known_are_none(tmp_path: Path) -> None:
    """Without speaker ids there are rates and no speakers."""
    run = _run(tmp_path, {"clean": _errors(1, {}), "own@dull": _errors(1, {"a": 1})}, ASKED)
    pd.read_parquet(run / "utterances.parquet").assign(speaker_id="").to_parquet(run / "utterances.parquet")
    table = _table(run).iloc[1:]
    assert {0} == set(table["speakers"])
    assert [0.1, 0.0] == pytest.approx(table["difference"].tolist())
