"""Which sentences speakers share, and what follows for the variance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from stats_runs import people, write_scored_run

from asrfair.stats.frame import load_frame
from asrfair.stats.groups import make_grouping
from asrfair.stats.measure.prompt_overlap import prompt_table
from asrfair.stats.prompts import find_prompts
from asrfair.types import GroupSettings


def test_sentences_of_several_speakers_are_numbered() -> None:
    """Texts that differ in case or spaces around are one sentence; others are not."""
    texts = pa.chunked_array([["Open the door", "open the door ", None], ["close it", "Close it!", "open the door"]])
    speaker = np.array([0, 1, 1, 0, 1, 2], dtype=np.int32)
    found = find_prompts(texts, speaker, np.array([3, 3, 0, 2, 2, 3]))
    assert found is not None
    assert found[0] == found[1] == found[5]
    assert len(set(found.tolist())) == 4


@pytest.mark.parametrize(("long", "prompts"), [(26, True), (28, False)])
def test_short_answers_in_conversations_are_no_prompts(long: int, prompts: bool) -> None:
    """Sentences are prompts from a tenth of the words on: 6 "yeah" beside 54 or more other words are, or are not."""
    texts = ["yeah"] * 6 + ["a", "b"]
    speaker = np.arange(8, dtype=np.int32)
    found = find_prompts(pa.array(texts), speaker, np.array([1] * 6 + [long, long]))
    assert (found is not None) == prompts


def test_repeats_by_one_speaker_and_unscored_ones_do_not_count(tmp_path: Path) -> None:
    """A speaker who says the same twice shares it with nobody, and neither does an utterance that was not scored."""
    table = people({"us": 1, "indian": 1}, utterances=2).assign(reference=["one", "one", "two", "one"])
    status = {("e", "clean"): ["scored", "scored", "scored", "error"]}
    run = write_scored_run(tmp_path, table, {("e", "clean"): [0, 1, 1, 1]}, [5] * 4, status=status)
    assert load_frame(run, GroupSettings()).prompt is None
    again = write_scored_run(tmp_path, table, {("e", "clean"): [0, 1, 1, 1]}, [5] * 4)
    frame = load_frame(again, GroupSettings())
    assert frame.prompt is not None
    assert "reference" not in frame.utterances
    assert pd.Series(frame.prompt).nunique() == 2


def test_words_that_other_groups_read_too_are_counted_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of words, of all other stated groups and of each; not stated readers and unscored readings share nothing."""
    monkeypatch.setattr("asrfair.stats.measure.prompt_overlap.MIN_PROMPTS", 3)
    read = [
        ("a1", "a", "one", 4), ("a1", "a", "two", 6), ("a1", "a", "only", 10), ("a2", "a", "one", 4),
        ("b1", "b", "one", 4), ("b1", "b", "three", 6), ("b1", "b", "two", 6),
        ("c1", "c", "three", 6), ("n1", "not_stated", "only", 10),
    ]  # fmt: skip
    table = pd.DataFrame(read, columns=["speaker_id", "accent", "reference", "words"])
    table.insert(0, "utterance_id", [f"u{number}" for number in range(len(table))])
    made = {("e", "clean"): [0] * 9, ("f", "clean"): [0] * 9}
    scored = ["scored"] * 6 + ["error"] + ["scored"] * 2
    status = {("e", "clean"): scored, ("f", "clean"): ["error", *scored[1:]]}  # scored by one engine is enough
    run = write_scored_run(tmp_path, table.drop(columns="words"), made, table["words"].tolist(), status=status)
    frame = load_frame(run, GroupSettings(by=(("accent",),)))
    groupings = [make_grouping(frame, ()), make_grouping(frame, ("accent",))]
    found = prompt_table(frame, groupings, fixed=False)
    everybody = found.iloc[0]
    assert (8, 4, 2.0, "") == tuple(everybody[["utterances", "sentences", "speakers_a_sentence", "flag"]])
    assert found.loc[0, ["shared_share", "closest_share", "farthest_share"]].isna().all()
    rows = found.iloc[1:].set_index("group")
    assert {"a": 4, "b": 2, "c": 1, "not_stated": 1} == rows["utterances"].to_dict()
    assert {"a": 3, "b": 2, "c": 1, "not_stated": 1} == rows["sentences"].to_dict()
    assert {"a": 4 / 3, "b": 1, "c": 1, "not_stated": 1} == rows["speakers_a_sentence"].to_dict()
    assert {"a": 8 / 24, "b": 1, "c": 1, "not_stated": 1} == rows["shared_share"].to_dict()
    assert {"a": "b", "b": "c", "c": "b", "not_stated": "a"} == rows["closest_group"].to_dict()
    assert {"a": 8 / 24, "b": 0.6, "c": 1, "not_stated": 1} == rows["closest_share"].to_dict()
    assert {"a": "c", "b": "a", "c": "a", "not_stated": "b"} == rows["farthest_group"].to_dict()
    assert {"a": 0, "b": 0.4, "c": 0, "not_stated": 0} == rows["farthest_share"].to_dict()
    assert {"a": "", "b": "few_sentences", "c": "few_sentences", "not_stated": "few_sentences"} == rows[
        "flag"
    ].to_dict()
    assert {"fixed_sentences"} == set(prompt_table(frame, groupings, fixed=True)["flag"])
