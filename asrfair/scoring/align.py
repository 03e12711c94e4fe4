"""Counts of one alignment: the fewest substitutions, deletions and insertions between two sequences.

The total of errors (the Levenshtein distance) is unique; its split is not. The split reported here is that of the
alignment that rapidfuzz's ``Levenshtein.editops`` chooses (docs/scoring.md), which is also what jiwer reports.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from asrfair.errors import InputError

MAX_CELLS = 4_000_000_000
"""Largest product of the two lengths that is aligned: about two seconds. A megabyte of text (200,000 words, or a
million characters) is within it against any reference of up to 20,000 words and 4,000 characters."""

Split = tuple[int, int, int, int]
"""Hits, substitutions, deletions, insertions."""

Step = tuple[str, str, str]
"""``hit``, ``substitution``, ``deletion`` or ``insertion``; the reference's word; the hypothesis's word."""


class TooLongError(InputError):
    """Two texts are too long to be aligned in reasonable time."""


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> Split:
    """Count hits, substitutions, deletions and insertions.

    Args:
        reference: What was said: words, or a string for its characters.
        hypothesis: What was recognised, of the same kind.

    Raises:
        TooLongError: The product of the lengths is over :data:`MAX_CELLS`.
    """
    length, other = len(reference), len(hypothesis)
    if length * other > MAX_CELLS:
        raise TooLongError(
            f"aligning {length:,} with {other:,} words or characters would take too long",
            remedy=f"The limit is a product of {MAX_CELLS:,}; cut the audio, or mend the transcript",
        )
    steps = Levenshtein.editops(reference, hypothesis)
    errors = len(steps)
    if errors == 0:
        return length, 0, 0, 0
    surplus = other - length
    # Of S + D + I = errors and I - D = surplus one unknown is left, and none where at most one error is no surplus.
    if errors - abs(surplus) < 2:
        substitutions = errors - abs(surplus)
        deletions = max(-surplus, 0)
        return length - substitutions - deletions, substitutions, deletions, max(surplus, 0)
    # The edit script takes the letters of a hit from the first text and all others from the second.
    hits = steps.apply("h" * length, "e" * other).count("h")
    deletions = errors - (other - hits)
    return hits, length - hits - deletions, deletions, errors - (length - hits)


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps of the alignment that :func:`count_errors` counts, in the order of the text.

    Raises:
        TooLongError: The product of the lengths is over :data:`MAX_CELLS`.
    """
    if len(reference) * len(hypothesis) > MAX_CELLS:
        raise TooLongError("the texts are too long to be aligned")
    steps: list[Step] = []
    for code in Levenshtein.opcodes(reference, hypothesis):
        said = reference[code.src_start : code.src_end]
        heard = hypothesis[code.dest_start : code.dest_end]
        if code.tag == "equal":
            steps += [("hit", word, word) for word in said]
        elif code.tag == "replace":
            steps += [("substitution", word, other) for word, other in zip(said, heard, strict=True)]
        elif code.tag == "delete":
            steps += [("deletion", word, "") for word in said]
        else:
            steps += [("insertion", "", word) for word in heard]
    return tuple(steps)
