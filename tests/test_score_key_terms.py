"""Key-term recall: the customer's words, counted."""

from __future__ import annotations

from asrfair.scoring.key_terms import KeyTerms
from asrfair.scoring.normalize import get_normalizer

WORDS = get_normalizer("basic").words


def test_terms_are_counted_once_for_each_time_they_were_said() -> None:
    """Each occurrence in the reference counts, and is recalled if the hypothesis has it as often."""
    terms = KeyTerms(("warfarin", "Contrast agent"), WORDS)
    reference = WORDS("Warfarin and warfarin, then the contrast agent.")
    assert (3, 2) == terms.count(reference, WORDS("warfarin and war fair in then the contrast agent"))
    assert (3, 3) == terms.count(reference, reference)
    assert (3, 0) == terms.count(reference, [])


def test_terms_that_were_not_said_do_not_count() -> None:
    """A term that only the hypothesis has is no recall."""
    assert (0, 0) == KeyTerms(("stop",), WORDS).count(["go"], ["stop"])


def test_a_phrase_needs_its_words_in_a_row() -> None:
    """The words of a phrase apart are not the phrase; occurrences do not overlap."""
    terms = KeyTerms(("a a",), WORDS)
    assert (1, 0) == terms.count(["a", "a", "a"], ["a", "b", "a"])


def test_terms_go_through_the_normalizer() -> None:
    """Terms that the rules make equal are one; terms that vanish are none."""
    assert (("stop",), ("x", "ray")) == KeyTerms(("Stop!", "stop", "...", "x ray"), WORDS).terms
