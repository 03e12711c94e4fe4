"""Counts of alignments: the same as jiwer's on every pair, and as the written-out recursion says."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrfair.scoring.align import MAX_CELLS, TooLongError, align, count_errors

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "hash", "longer"]), max_size=12)


def oracle(reference: str, hypothesis: str) -> tuple[int, int, int, int]:
    """Hits, substitutions, deletions, insertions by jiwer."""
    out = jiwer.process_words(reference, hypothesis)
    return out.hits, out.substitutions, out.deletions, out.insertions


def distance(reference: tuple[str, ...], hypothesis: tuple[str, ...]) -> int:
    """The Levenshtein distance by its recursion."""

    @cache
    def cost(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        same = cost(i - 1, j - 1) + (reference[i - 1] != hypothesis[j - 1])
        return min(same, cost(i - 1, j) + 1, cost(i, j - 1) + 1)

    return cost(len(reference), len(hypothesis))


def real_pairs(shared_data: Path) -> list[tuple[str, str]]:
    """Every reference with every system's hypothesis, as they stand in the files."""
    pairs: list[tuple[str, str]] = []
    for corpus in ("edacc", "artie_bias"):
        with (shared_data / corpus / "manifest.csv").open(encoding="utf-8", newline="") as stream:
            references = {row["utt_id"]: row["reference"].lower() for row in csv.DictReader(stream)}
        for path in sorted((shared_data / corpus / "hypotheses").glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as stream:
                pairs += [(references[r["utt_id"]], r["hypothesis"].lower()) for r in csv.DictReader(stream)]
    return pairs


@pytest.mark.shared
def test_counts_are_jiwers_on_all_real_pairs(shared_data: Path) -> None:
    """Total and split of errors are those of jiwer.process_words on all real pairs."""
    pairs = [(r, h) for r, h in real_pairs(shared_data) if r.split()]
    assert len(pairs) > 40_000
    different = [(r, h) for r, h in pairs if count_errors(r.split(), h.split()) != oracle(r, h)]
    assert [] == different


@pytest.mark.shared
def test_character_counts_are_jiwers_on_real_pairs(shared_data: Path) -> None:
    """Characters, spaces included, are counted as jiwer.process_characters does."""
    for reference, hypothesis in real_pairs(shared_data)[::40]:
        r, h = " ".join(reference.split()), " ".join(hypothesis.split())
        if r:
            out = jiwer.process_characters(r, h)
            assert (out.hits, out.substitutions, out.deletions, out.insertions) == count_errors(r, h)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(WORDS.filter(bool), WORDS)
def test_counts_are_jiwers_and_their_total_is_the_distance(reference: list[str], hypothesis: list[str]) -> None:
    """The split is jiwer's, the total the Levenshtein distance, and the lengths add up."""
    hits, substitutions, deletions, insertions = count_errors(reference, hypothesis)
    assert oracle(" ".join(reference), " ".join(hypothesis)) == (hits, substitutions, deletions, insertions)
    assert distance(tuple(reference), tuple(hypothesis)) == substitutions + deletions + insertions
    assert (len(reference), len(hypothesis)) == (hits + substitutions + deletions, hits + substitutions + insertions)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(WORDS, WORDS)
def test_the_alignment_is_the_one_that_was_counted(reference: list[str], hypothesis: list[str]) -> None:
    """The steps hold the texts in order, and their numbers are the counts."""
    steps = align(reference, hypothesis)
    assert reference == [word for _, word, _ in steps if word]
    assert hypothesis == [word for _, _, word in steps if word]
    names = [name for name, _, _ in steps]
    kinds = ("hit", "substitution", "deletion", "insertion")
    assert count_errors(reference, hypothesis) == tuple(names.count(kind) for kind in kinds)
    assert all(said == heard for name, said, heard in steps if name == "hit")


def test_empty_sides() -> None:
    """Nothing recognised is all deletions; words where nothing was said are all insertions; nothing is no error."""
    assert (0, 0, 2, 0) == count_errors(["a", "b"], [])
    assert (0, 0, 0, 2) == count_errors([], ["a", "b"])
    assert (0, 0, 0, 0) == count_errors([], [])


def documented_alignment(reference: list[str], hypothesis: list[str]) -> tuple[tuple[str, str, str], ...]:
    """The alignment as docs/scoring.md describes it, written out."""
    said, heard = list(reference), list(hypothesis)
    before, after, steps = [], [], []
    while said and heard and said[0] == heard[0]:
        before.append(("hit", said.pop(0), heard.pop(0)))
    while said and heard and said[-1] == heard[-1]:
        after.append(("hit", said.pop(), heard.pop()))
    i, j = len(said), len(heard)
    cost = [[distance(tuple(said[:a]), tuple(heard[:b])) for b in range(j + 1)] for a in range(i + 1)]
    while i and j:
        if cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
            steps.append(("deletion", said[i], ""))
        elif j > 1 and cost[i][j - 1] == cost[i - 1][j - 1] - 1:
            j -= 1
            steps.append(("insertion", "", heard[j]))
        else:
            i, j = i - 1, j - 1
            steps.append(("hit" if said[i] == heard[j] else "substitution", said[i], heard[j]))
    steps += [("deletion", word, "") for word in reversed(said[:i])]
    steps += [("insertion", "", word) for word in reversed(heard[:j])]
    return (*before, *reversed(steps), *reversed(after))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(WORDS, WORDS)
def test_the_documented_tie_break(reference: list[str], hypothesis: list[str]) -> None:
    """Where alignments tie, the one that docs/scoring.md describes is taken."""
    assert documented_alignment(reference, hypothesis) == align(reference, hypothesis)


def test_a_megabyte_against_a_sentence_is_counted() -> None:
    """A runaway hypothesis of a megabyte is aligned with an ordinary reference."""
    hits, substitutions, deletions, insertions = count_errors(["the", "cat"], ["the"] * 250_000)
    assert (1, 1, 0, 249_998) == (hits, substitutions, deletions, insertions)


def test_two_texts_that_are_both_huge_are_refused() -> None:
    """Above the documented limit the pair is refused at once, not aligned for minutes."""
    size = int(MAX_CELLS**0.5) + 1
    with pytest.raises(TooLongError, match="too long"):
        count_errors("a" * size, "b" * size)
    with pytest.raises(TooLongError):
        align("a" * size, "b" * size)
