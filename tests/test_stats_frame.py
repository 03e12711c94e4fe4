"""Counts of a run, as arrays and as sums by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import write_scored_run

from asrfair.errors import InputError
from asrfair.scoring.metric import METRICS, Metric
from asrfair.stats import gather
from asrfair.stats.frame import frame_of, load_frame
from asrfair.stats.groups import make_grouping
from asrfair.types import STATUSES, GroupSettings

UTTERANCES = pd.DataFrame(
    {
        "utterance_id": [f"u{i}" for i in range(6)],
        "speaker_id": ["a", "a", "b", "b", "c", "c"],
        "accent": ["us", "us", "indian", "indian", "not_stated", "not_stated"],
        "device": ["phone", "desk", "phone", "phone", "desk", "desk"],
    }
)
WORDS = [10, 20, 30, 40, 50, 60]
ERRORS = {("one", "clean"): [1, 2, 3, 4, 5, 6], ("two", "clean"): [0, 0, 9, 50, 0, 1]}
BOTH = GroupSettings(by=(("accent",), ("device",), ("accent", "device")))


def test_sums_by_group_are_those_of_a_pandas_groupby(tmp_path: Path) -> None:
    """Errors of accent × device equal those of a plain group-by, and intersections are named with their values."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    frame = load_frame(run, BOTH)
    grouping = make_grouping(frame, ("accent", "device"))
    sums = grouping.groups(grouping.cells(frame.sums("substitutions", "insertions")))
    names = UTTERANCES["accent"] + " × " + UTTERANCES["device"]
    for row, made in zip(sums, ERRORS.values(), strict=True):
        expected = pd.Series(made).groupby(names).sum()
        assert expected.to_dict() == dict(zip(grouping.names, row.tolist(), strict=True))
    assert grouping.names == ("indian × phone", "us × desk", "us × phone", "not_stated × desk")
    assert grouping.stated.tolist() == [True, True, True, False]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    """A shuffled table of scores gives the same arrays."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    before = load_frame(run, BOTH)
    scores = pd.read_parquet(run / "scores.parquet")
    shuffled = pd.concat([scores[scores["engine"] == name].sample(frac=1, random_state=1) for name in ("one", "two")])
    shuffled.to_parquet(run / "scores.parquet", index=False)
    after = load_frame(run, BOTH)
    assert np.array_equal(before.numerator, after.numerator)
    assert np.array_equal(before.counts, after.counts)


def test_blocks_of_any_size_give_the_same_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading four rows at a time equals reading all at once."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    whole = load_frame(run, BOTH)
    monkeypatch.setattr(gather, "BLOCK_ROWS", 4)
    assert np.array_equal(whole.counts, load_frame(run, BOTH).counts)


def test_where_lets_in_only_what_it_names(tmp_path: Path) -> None:
    """Other utterances are left out everywhere and counted."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    frame = load_frame(run, GroupSettings(by=(("accent",),), where={"device": "phone"}))
    assert frame.utterances["utterance_id"].tolist() == ["u0", "u2", "u3"]
    assert frame.filtered_out == 3
    assert frame.numerator[1, 0].tolist() == [0, 9, 50]


def test_what_was_not_scored_counts_nothing(tmp_path: Path) -> None:
    """An engine error leaves zeros and its status; a row that is not there is missing."""
    status = {("one", "clean"): ["error", *["scored"] * 5]}
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS, status=status)
    scores = pd.read_parquet(run / "scores.parquet")
    scores[~((scores["engine"] == "two") & (scores["utterance_id"] == "u5"))].to_parquet(run / "scores.parquet")
    frame = load_frame(run, BOTH)
    assert [STATUSES[code] for code in frame.status[:, 0, [0, 5]].ravel()] == ["error", "scored", "scored", "missing"]
    assert frame.denominator[0, 0, 0] == 0
    assert frame.scored.sum(axis=-1).ravel().tolist() == [5, 5]


def test_wrong_tables_are_refused_with_a_remedy(tmp_path: Path) -> None:
    """An unknown attribute names the nearest one; doubled, foreign and missing rows and files are errors."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    with pytest.raises(InputError, match="Did you mean 'accent'"):
        load_frame(run, GroupSettings(by=(("acent",),)))
    with pytest.raises(InputError, match="no utterance is left"):
        load_frame(run, GroupSettings(where={"accent": "martian"}))
    scores = pd.read_parquet(run / "scores.parquet")
    pd.concat([scores, scores.iloc[:1]]).to_parquet(run / "scores.parquet")
    with pytest.raises(InputError, match="scored twice"):
        load_frame(run, BOTH)
    scores.replace({"utterance_id": {"u0": "u99"}}).to_parquet(run / "scores.parquet")
    with pytest.raises(InputError, match="u99"):
        load_frame(run, BOTH)
    scores.drop(columns="hits").to_parquet(run / "scores.parquet")
    with pytest.raises(InputError, match="lacks a column"):
        load_frame(run, BOTH)
    (run / "scores.parquet").unlink()
    with pytest.raises(InputError, match="missing"):
        load_frame(run, BOTH)


def test_a_speaker_is_resampled_in_the_group_with_most_of_the_words(tmp_path: Path) -> None:
    """Speaker a spoke 20 words at a desk and 10 by phone: home is the desk."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    frame = load_frame(run, BOTH)
    grouping = make_grouping(frame, ("device",))
    words = grouping.cells(frame.sums("hits", "substitutions", "deletions"))[0]
    assert grouping.spans
    assert [grouping.names[group] for group in grouping.home(words)] == ["desk", "phone", "desk"]


def test_tables_in_memory_make_the_frame_of_the_run_folder(tmp_path: Path) -> None:
    """frame_of two DataFrames has the arrays of load_frame, also where there are more columns and missing values."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    of_files = load_frame(run, BOTH)
    utterances = pd.read_parquet(run / "utterances.parquet").replace({"accent": {"not_stated": None}})
    of_memory = frame_of(utterances, pd.read_parquet(run / "scores.parquet").assign(mine=2), BOTH)
    assert of_files.utterances.equals(of_memory.utterances[of_files.utterances.columns])
    for name in ("speaker", "status", "numerator", "denominator", "words", "atom", "atom_speaker", "scored"):
        assert np.array_equal(getattr(of_files, name), getattr(of_memory, name)), name
    for name in of_files.quantities:
        assert np.array_equal(of_files.sums(name), of_memory.sums(name)), name
    assert (2 * of_memory.scored.reshape(2, -1) == of_memory.sums("mine")).all()


def test_a_frame_is_of_any_metric(tmp_path: Path) -> None:
    """Numerator and denominator follow the metric; of a share of which more is better, what is missed is counted."""
    run = write_scored_run(tmp_path, UTTERANCES, ERRORS, WORDS)
    own = Metric(name="insertions_only", numerator=("insertions",), denominator=("hits", "insertions"))
    assert [0, 0, 0, 10, 0, 0] == load_frame(run, BOTH, metric=own).numerator[1, 0].tolist()
    recall = load_frame(run, BOTH, metric=METRICS["word_recall"])
    assert "word_recall_missed" == recall.metric.name
    assert [1, 2, 3, 4, 5, 6] == recall.numerator[0, 0].tolist()
    assert (recall.sums(*recall.metric.numerator) == recall.sums("substitutions", "deletions")).all()
    with pytest.raises(InputError, match="lacks a column"):
        load_frame(run, BOTH, metric=Metric(name="unknown"))
