"""Scores a chunk of hypotheses: normalize, align, count. Runs in worker processes, so what goes in and out is small."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from asrfair.errors import InputError
from asrfair.scoring.align import TooLongError, count_errors
from asrfair.scoring.counts import Counts
from asrfair.scoring.key_terms import KeyTerms
from asrfair.scoring.metric import QUANTITIES, Metric, MetricFailedError, get_metric, use_metric
from asrfair.scoring.normalize import NormalizerFailedError, get_normalizer
from asrfair.scoring.normalize.variants import MAX_READINGS, Site, Variants, count_readings, readings, with_choice
from asrfair.scoring.signs import find_loop, out_of_proportion

_MEMORY = 100_000


class Reading(NamedTuple):
    """One way to read a reference, and how the hypothesis fares against it."""

    source: str
    text: str
    ref_words: int
    errors: int
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Task:
    """Rows to score: normalized references, raw hypotheses, and further references of some rows by index."""

    references: list[str]
    hypotheses: list[str]
    alternatives: dict[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """What came of a task, a row each.

    Args:
        counts: What was counted.
        notes: (row, reason, detail) of what looks wrong.
        readings: Row → the readings of its reference, where there are several.
    """

    counts: Counts
    notes: list[tuple[int, str, str]]
    readings: dict[int, tuple[Reading, ...]]


class Scorer:
    """A normalizer and what is counted; remembers normalized texts, since conditions and engines share many.

    Args:
        normalizer: Its name, with variants if any.
        characters: Whether characters are counted.
        key_terms: Words or phrases whose recall is counted.
        metrics: Metrics of one's own.
    """

    def __init__(
        self,
        normalizer: str,
        *,
        characters: bool = True,
        key_terms: tuple[str, ...] = (),
        metrics: tuple[str, ...] = (),
    ) -> None:
        self._normalizer = get_normalizer(normalizer)
        self._characters = characters
        self._terms = KeyTerms(key_terms, self._normalizer.words) if key_terms else None
        self._metrics = own_metrics(metrics)
        self.quantities = quantities_of(metrics)
        rules = self._normalizer.variants
        self._variants = Variants(rules, self._normalizer.words) if rules else None
        self._known: dict[str, str] = {}
        self._sites: dict[str, list[Site]] = {}

    def score(self, task: Task) -> TaskResult:
        """Score a task. A row that cannot be scored has zeros and a note ``not_scorable``; nothing is raised for it."""
        counts: list[tuple[int, ...]] = []
        notes: list[tuple[int, str, str]] = []
        chosen_readings: dict[int, tuple[Reading, ...]] = {}
        for row, (text, raw) in enumerate(zip(task.references, task.hypotheses, strict=True)):
            try:
                hypothesis = self._words(raw)
                reference = text.split()
                if self._variants is not None or row in task.alternatives:
                    reference, found = self._best_reading((text, *task.alternatives.get(row, ())), hypothesis)
                    if len(found) > 1:
                        chosen_readings[row] = found
                counts.append(self._count(reference, hypothesis))
            except (NormalizerFailedError, TooLongError, MetricFailedError) as error:
                notes.append((row, "not_scorable", error.message))
                counts.append((0,) * len(self.quantities))
                continue
            loop = find_loop(hypothesis, reference)
            if loop is not None:
                phrase = " ".join(loop.phrase)
                notes.append((row, "repetition_loop", f"{loop.repeats} times: {phrase}"))
            if out_of_proportion(len(reference), len(hypothesis)):
                detail = f"{len(hypothesis)} words for {len(reference)}"
                notes.append((row, "length_out_of_proportion", detail))
        return TaskResult(
            counts=_table(self.quantities, counts),
            notes=notes,
            readings=chosen_readings,
        )

    def _count(self, reference: list[str], hypothesis: list[str]) -> tuple[int, ...]:
        """The quantities of one utterance, in the order of :attr:`quantities`."""
        by_word = count_errors(reference, hypothesis)
        by_character = count_errors(" ".join(reference), " ".join(hypothesis)) if self._characters else (0, 0, 0, 0)
        terms = (0, 0) if self._terms is None else self._terms.count(reference, hypothesis)
        own = itertools.chain.from_iterable(metric.counts(reference, hypothesis) for metric in self._metrics)
        return (*by_word, *by_character, *terms, *own)

    def _words(self, text: str) -> list[str]:
        known = self._known.get(text)
        if known is not None:
            return known.split(" ") if known else []
        found = self._normalizer.words(text)
        if len(self._known) >= _MEMORY:
            self._known.clear()
        if len(text) < 1000:
            self._known[text] = " ".join(found)
        return found

    def _best_reading(self, texts: tuple[str, ...], hypothesis: list[str]) -> tuple[list[str], tuple[Reading, ...]]:
        """Return the reading with the fewest errors (the first of equals, so the written one if it is no worse)."""
        tried: list[tuple[int, str, list[str]]] = []
        for number, text in enumerate(texts):
            source = "alternative" if number else "reference"
            reference = text.split()
            tried.append((sum(count_errors(reference, hypothesis)[1:]), source, reference))
            if self._variants is None:
                continue
            sites = self._sites_of(text, reference, self._variants)
            if count_readings(sites) <= MAX_READINGS:
                tried += [
                    (sum(count_errors(reading, hypothesis)[1:]), f"{source} variant", reading)
                    for reading in itertools.islice(readings(reference, sites), 1, None)
                ]
            else:
                errors, reading = _settle(reference, sites, hypothesis)
                tried.append((errors, f"{source} variant", reading))
        best = min(range(len(tried)), key=lambda index: tried[index][0])
        found = tuple(
            Reading(source=source, text=" ".join(words), ref_words=len(words), errors=errors, chosen=index == best)
            for index, (errors, source, words) in enumerate(tried)
        )
        return tried[best][2], found

    def _sites_of(self, text: str, reference: list[str], variants: Variants) -> list[Site]:
        sites = self._sites.get(text)
        if sites is None:
            sites = variants.sites(reference)
            if len(self._sites) < _MEMORY:
                self._sites[text] = sites
        return sites


def own_metrics(names: Sequence[str]) -> list[Metric]:
    """The metrics among the named ones that have to be counted utterance by utterance, each once."""
    known = (get_metric(name) for name in dict.fromkeys(names))
    return [found for found in known if found.count is not None]


def quantities_of(names: Sequence[str]) -> tuple[str, ...]:
    """What is counted of every utterance if these metrics are asked for."""
    return (*QUANTITIES, *itertools.chain.from_iterable((*m.numerator, *m.denominator) for m in own_metrics(names)))


def _table(names: tuple[str, ...], counts: list[tuple[int, ...]]) -> Counts:
    flat = itertools.chain.from_iterable(counts)
    values = np.fromiter(flat, np.int64, len(names) * len(counts)).reshape(len(counts), len(names))
    return Counts(names=names, values=values)


def _settle(reference: list[str], sites: list[Site], hypothesis: list[str]) -> tuple[int, list[str]]:
    """Settle the places of a reference one after the other, each by the fewest errors given those before it."""
    choice = [0] * len(sites)
    best = sum(count_errors(reference, hypothesis)[1:])
    for index, (_, _, forms) in enumerate(sites):
        kept = 0
        for number in range(1, len(forms)):
            choice[index] = number
            errors = sum(count_errors(with_choice(reference, sites, choice), hypothesis)[1:])
            if errors < best:
                best, kept = errors, number
        choice[index] = kept
    return best, with_choice(reference, sites, choice)


_scorer: Scorer | None = None


def start_worker(normalizer: str, characters: bool, key_terms: tuple[str, ...], metrics: tuple[str, ...]) -> None:
    """Make this process's scorer; the initializer of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    for name in metrics:
        use_metric(name)  # the parent process was given it
    global _scorer  # noqa: PLW0603 -- a worker process has exactly one
    _scorer = Scorer(normalizer, characters=characters, key_terms=key_terms, metrics=metrics)


def score_in_worker(task: Task) -> TaskResult:
    """Score a task with this process's scorer.

    Raises:
        InputError: The process was not started with :func:`start_worker`.
    """
    if _scorer is None:
        raise InputError("this process has no scorer")
    return _scorer.score(task)
