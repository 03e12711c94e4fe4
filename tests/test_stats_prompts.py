"""Which sentences speakers share, and what follows for the variance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from stats_runs import people, write_scored_run

from asrfair.stats.frame import load_frame
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
