"""Two texts, or two lists of texts: how many words differ, as counts that add up; jiwer's objects in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asrfair.errors import InputError
from asrfair.scoring.align import count_errors
from asrfair.scoring.normalize import get_normalizer, use_normalizer
from asrfair.types import ErrorCounts

if TYPE_CHECKING:
    from jiwer import WordOutput


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Word errors of some utterances.

    Args:
        references: The words of each reference, normalized.
        hypotheses: The words of each hypothesis, normalized.
        utterances: Counts of each utterance.
        normalizer: The rules with their version.

    Example:
        >>> import asrfair as af
        >>> both = af.score("take two", "take to") + af.score("lie still", "lie still")
        >>> both.counts.substitutions, both.wer
        (1, 0.25)
    """

    references: tuple[tuple[str, ...], ...]
    hypotheses: tuple[tuple[str, ...], ...]
    utterances: tuple[ErrorCounts, ...]
    normalizer: str

    @property
    def counts(self) -> ErrorCounts:
        """All utterances together: counts are pooled, not rates averaged."""
        return sum(self.utterances, ErrorCounts.zero())

    @property
    def wer(self) -> float | None:
        """Word error rate, a fraction of the reference words; ``None`` without any."""
        return self.counts.wer

    def __add__(self, other: Scores) -> Scores:
        """Both sets of utterances as one.

        Raises:
            ValueError: They were normalized by different rules.
        """
        if not isinstance(other, Scores):
            return NotImplemented
        if self.normalizer != other.normalizer:
            raise ValueError(f"these scores make no sum: {self.normalizer} and {other.normalizer}")
        return Scores(
            references=self.references + other.references,
            hypotheses=self.hypotheses + other.hypotheses,
            utterances=self.utterances + other.utterances,
            normalizer=self.normalizer,
        )

    @cached_property
    def word_output(self) -> WordOutput:
        """The same as jiwer's ``WordOutput``: alignments, MER, WIL and WIP among it."""
        import jiwer

        words = jiwer.Compose([_Split()])
        return jiwer.process_words(
            [" ".join(said) for said in self.references],
            [" ".join(heard) for heard in self.hypotheses],
            reference_transform=words,
            hypothesis_transform=words,
        )

    def visualize(self) -> str:
        """The alignments as text, by jiwer's ``visualize_alignment``."""
        import jiwer

        return str(jiwer.visualize_alignment(self.word_output, skip_correct=False, show_measures=True))

    def __str__(self) -> str:
        rate = "no reference words" if self.wer is None else f"WER {100 * self.wer:.1f} %"
        return f"{rate} of {self.counts.ref_words:,} words in {len(self.utterances):,} utterances ({self.normalizer})"


class _Split:
    """Texts that are normalized already, as jiwer's lists of words; empty ones stay."""

    def __call__(self, texts: list[str]) -> list[list[str]]:
        return [text.split() for text in texts]


def score(
    references: str | Sequence[str] | WordOutput,
    hypotheses: str | Sequence[str] | None = None,
    *,
    normalizer: str | Callable[[str], Any] | None = None,
) -> Scores:
    """Count the word errors of texts.

    Args:
        references: What was said, a text or a list of them; or a ``jiwer.WordOutput``, whose words are taken as they are.
        hypotheses: What was recognised, as many.
        normalizer: ``whisper-english`` (by default, but for a ``WordOutput``), ``basic``, ``none``, a
            ``module:callable``, a function from text to text, or a ``jiwer.Compose``.

    Returns:
        Counts that add up, utterance by utterance.

    Raises:
        InputError: The two lists differ in length, or the normalizer is not known or fails.

    Example:
        >>> import asrfair as af
        >>> found = af.score(["Lie still, please.", "take two"], ["lie still please", "take to"])
        >>> found.wer
        0.2
        >>> found.utterances[1].substitutions
        1
        >>> import jiwer
        >>> lower = jiwer.Compose([jiwer.ToLowerCase(), jiwer.ReduceToListOfListOfWords()])
        >>> af.score("Lie still", "lie STILL", normalizer=lower).wer
        0.0
    """
    if hasattr(references, "alignments") and hasattr(references, "references"):
        output: Any = references
        said, heard = [" ".join(words) for words in output.references], [" ".join(w) for w in output.hypotheses]
        rules = get_normalizer(use_normalizer("none" if normalizer is None else normalizer))
    else:
        said = [references] if isinstance(references, str) else list(references)
        heard = [hypotheses] if isinstance(hypotheses, str) else list(hypotheses or [])
        rules = get_normalizer(use_normalizer("whisper-english" if normalizer is None else normalizer))
    if len(said) != len(heard):
        raise InputError(
            f"there are {len(said):,} references and {len(heard):,} hypotheses",
            remedy="Give one hypothesis for each reference; an empty text where nothing was recognised",
        )
    words = [(tuple(rules.words(a)), tuple(rules.words(b))) for a, b in zip(said, heard, strict=True)]
    names = ("hits", "substitutions", "deletions", "insertions")
    return Scores(
        references=tuple(a for a, _ in words),
        hypotheses=tuple(b for _, b in words),
        utterances=tuple(
            ErrorCounts(of=f"words, {rules.label}", **dict(zip(names, count_errors(a, b), strict=True)))
            for a, b in words
        ),
        normalizer=rules.label,
    )
