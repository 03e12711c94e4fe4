"""Signs that a hypothesis is not a transcript of the utterance: loops, and lengths that speech does not have.

They mark rows of the ledger, with the utterance still scored; what they cost a group is told by the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIN_REPEATS = 4
"""A loop repeats its phrase at least so often without a break …"""
MIN_LOOP_WORDS = 8
"""… and covers at least so many words …"""
MAX_PHRASE_WORDS = 30
"""… of a phrase of at most so many."""
MAX_RATIO = 3
"""A hypothesis is out of proportion beyond this many times the words of the reference, or below its inverse …"""
MIN_DIFFERENCE = 10
"""… if it is also off by at least so many words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """A phrase said over and over: its words, how often in full, and where it starts."""

    phrase: tuple[str, ...]
    repeats: int
    start: int


def find_loop(hypothesis: Sequence[str], reference: Sequence[str] = ()) -> Loop | None:
    """Return the loop that covers most words of a hypothesis, or ``None``.

    A phrase that the reference itself repeats at least half as often is no loop: people do say *no no no no*.

    Args:
        hypothesis: Normalized words.
        reference: Normalized words.
    """
    size = len(hypothesis)
    # Four repeats of a phrase over eight words or more leave at least six words that were said before.
    if size < MIN_LOOP_WORDS or size - len(set(hypothesis)) < 6:
        return None
    best: tuple[int, Loop] | None = None
    for width in range(1, min(MAX_PHRASE_WORDS, size // MIN_REPEATS) + 1):
        if best is not None and best[0] + width >= size:
            break
        start, covered = _longest_repetition(hypothesis, width)
        if covered and (best is None or covered > best[0] + width):
            phrase = tuple(hypothesis[start : start + width])
            best = covered, Loop(phrase=phrase, repeats=covered // width, start=start)
    if best is None:
        return None
    loop = best[1]
    return None if 2 * _repeats(loop.phrase, reference) >= loop.repeats else loop


def _longest_repetition(words: Sequence[str], width: int) -> tuple[int, int]:
    """Return start and length in words of the longest stretch that repeats ``width`` words often enough to be a loop.

    In such a stretch at least ``needed`` words in a row equal the one ``width`` words on, so looking at every
    ``needed``-th word finds them all.
    """
    end = len(words) - width
    needed = max((MIN_REPEATS - 1) * width, MIN_LOOP_WORDS - width)
    best_start = best = 0
    position = needed - 1
    while position < end:
        if words[position] == words[position + width]:
            start, stop = position, position + 1
            while start > 0 and words[start - 1] == words[start - 1 + width]:
                start -= 1
            while stop < end and words[stop] == words[stop + width]:
                stop += 1
            if stop - start >= needed and stop - start + width > best:
                best_start, best = start, stop - start + width
            position = stop
        position += needed
    return best_start, best


def _repeats(phrase: tuple[str, ...], words: Sequence[str]) -> int:
    """Return how often in a row a text says a phrase, at most."""
    width, best = len(phrase), 0
    for start in range(len(words) - width + 1):
        count = 0
        while tuple(words[start + count * width : start + (count + 1) * width]) == phrase:
            count += 1
        best = max(best, count)
    return best


def out_of_proportion(ref_words: int, hyp_words: int) -> bool:
    """Return whether a hypothesis is far too long or far too short for its reference (both not empty)."""
    if not ref_words or not hyp_words:
        return False
    longer, shorter = max(ref_words, hyp_words), min(ref_words, hyp_words)
    return longer > MAX_RATIO * shorter and longer - shorter >= MIN_DIFFERENCE
