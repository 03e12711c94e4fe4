"""Key terms: of the customer's words (drug names, commands), how many came through."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class KeyTerms:
    """A vocabulary list under a normalizer.

    A term of several words is found as these words in a row. Occurrences of one term do not overlap; different terms
    are counted each on their own, so *heart* is also found in *heart attack*. A term occurs in an utterance as often as
    the reference has it, and is recalled as often as the hypothesis has it too, at whatever place.

    Args:
        terms: The list as the user wrote it; terms that the normalizer makes equal count once.
        words: The normalizer, text to words.
    """

    def __init__(self, terms: Sequence[str], words: Callable[[str], list[str]]) -> None:
        self.terms = tuple(dict.fromkeys(term for term in (tuple(words(text)) for text in terms) if term))
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        for term in self.terms:
            self._by_first.setdefault(term[0], []).append(term)

    def count(self, reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int]:
        """Return how often terms occur in the reference, and how many of these occurrences were recalled."""
        occurrences = recalled = 0
        for first in self._by_first.keys() & set(reference):
            for term in self._by_first[first]:
                said = _occurrences(term, reference)
                if said:
                    occurrences += said
                    recalled += min(said, _occurrences(term, hypothesis))
        return occurrences, recalled


def _occurrences(term: tuple[str, ...], words: Sequence[str]) -> int:
    if len(term) == 1:
        return words.count(term[0])
    found = position = 0
    while position + len(term) <= len(words):
        if tuple(words[position : position + len(term)]) == term:
            found += 1
            position += len(term)
        else:
            position += 1
    return found
