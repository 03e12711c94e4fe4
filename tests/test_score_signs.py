"""Loops and lengths that speech does not have."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrfair.scoring.normalize import get_normalizer
from asrfair.scoring.signs import MAX_PHRASE_WORDS, MIN_LOOP_WORDS, MIN_REPEATS, Loop, find_loop, out_of_proportion


def longest_loop(words: list[str]) -> int:
    """Words that the longest loop covers, by looking at every place and width."""
    best = 0
    for width in range(1, MAX_PHRASE_WORDS + 1):
        for start in range(len(words)):
            stop = start + width
            while stop < len(words) and words[stop] == words[stop - width]:
                stop += 1
            covered = stop - start
            if covered // width >= MIN_REPEATS and covered >= MIN_LOOP_WORDS:
                best = max(best, covered)
    return best


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=40))
def test_a_loop_is_found_wherever_there_is_one(words: list[str]) -> None:
    """The search that skips finds a loop if and only if the exhaustive one does."""
    assert bool(longest_loop(words)) == (find_loop(words) is not None)


def test_the_phrase_is_named() -> None:
    """The loop names its phrase, its repeats and its start."""
    words = ["well", "then", *["thank", "you", "very", "much"] * 6, "bye"]
    assert Loop(phrase=("thank", "you", "very", "much"), repeats=6, start=2) == find_loop(words)


def test_people_repeat_themselves() -> None:
    """What the reference repeats as well is no loop; a loop of it at more than twice the length is."""
    said = ["no"] * 9
    assert find_loop(["no"] * 10, said) is None
    assert find_loop(["no"] * 40, said) is not None
    assert find_loop(["no"] * 7) is None


def test_proportion() -> None:
    """Far too long or far too short is a sign, a few words more or less are not."""
    assert [True, True, False, False, False] == [
        out_of_proportion(1, 12),
        out_of_proportion(40, 5),
        out_of_proportion(1, 6),
        out_of_proportion(0, 50),
        out_of_proportion(50, 0),
    ]


@pytest.mark.shared
@pytest.mark.parametrize("system", ["whisper-large-v3-turbo", "distil-large-v3.5", "whisper-small"])
def test_loops_that_another_audit_found_are_found(shared_data: Path, system: str) -> None:
    """Every loop that the published audit of EdAcc lists is a loop here, or out of proportion."""
    rules = get_normalizer("whisper-english")
    with (shared_data / "edacc" / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        references = {row["utt_id"]: re.sub("<[A-Z_]+>", "", row["reference"]) for row in csv.DictReader(stream)}
    with (shared_data / "edacc" / "hypotheses" / f"{system}.csv").open(encoding="utf-8", newline="") as stream:
        hypotheses = {row["utt_id"]: row["hypothesis"] for row in csv.DictReader(stream)}
    published = json.loads((shared_data / "edacc" / "published" / f"{system}.json").read_text(encoding="utf-8"))
    listed = [name for group in published["hallucination_loops_by_group"].values() for name in group["utt_ids"]]
    assert listed
    unmarked = []
    for name in listed:
        reference, hypothesis = rules.words(references[name]), rules.words(hypotheses[name])
        marked = find_loop(hypothesis, reference) or out_of_proportion(len(reference), len(hypothesis)) or not reference
        if not marked:
            unmarked.append(name)
    assert [] == unmarked
