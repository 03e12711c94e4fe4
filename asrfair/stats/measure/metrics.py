"""Beyond WER: what else is measured, as functions of a group's summed counts, and how a user's own come in."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.stats.frame import Floats

Counts = Mapping[str, Floats]
"""Sums by name, all of one shape: the quantities of ``scores.parquet`` and errors, ref_words, hyp_words, char_errors,
ref_chars, utterances (scored), attempted (scored or failed), and by reason of the ledger empty_hypothesis,
repetition_loop, text_on_silence, length_out_of_proportion, failed (the engine gave nothing)."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A function of summed counts.

    Args:
        name: As shown.
        function: From counts to values of the same shape; NaN where undefined.
        scale: On which the interval is symmetric: ``log`` (rates), ``logit`` (shares) or ``identity``.
        ratio: Numerator and denominator where the metric is nothing but a ratio of two counts.
        events: Whether that numerator counts events (and has at least the spread of a Poisson count).
        most: The largest value that there can be; bounds are cut there.
        needs: Counts that must not be all zero; the metric is left out otherwise.
    """

    name: str
    function: Callable[[Counts], Floats]
    scale: str = "log"
    ratio: tuple[str, str] | None = None
    events: bool = True
    most: float = float("inf")
    needs: tuple[str, ...] = ("ref_words",)


def ratio_metric(
    name: str,
    numerator: str,
    denominator: str,
    *,
    scale: str = "log",
    events: bool = True,
    most: float = float("inf"),
) -> Metric:
    """Make a metric that is one count over another."""

    def value(counts: Counts) -> Floats:
        return _divide(counts[numerator], counts[denominator])

    return Metric(
        name=name,
        function=value,
        scale=scale,
        ratio=(numerator, denominator),
        events=events,
        most=most,
        needs=(denominator,),
    )


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    quotient: Floats = np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0
    )
    return quotient


def _f1(counts: Counts) -> Floats:
    """Harmonic mean of word precision and recall: 2 hits / (reference words + hypothesis words)."""
    return _divide(2 * counts["hits"], counts["ref_words"] + counts["hyp_words"])


METRICS: tuple[Metric, ...] = (
    ratio_metric("cer", "char_errors", "ref_chars"),
    ratio_metric("word_precision", "hits", "hyp_words", scale="logit"),
    ratio_metric("word_recall", "hits", "ref_words", scale="logit"),
    Metric(name="word_f1", function=_f1, scale="logit"),
    ratio_metric("substitution_rate", "substitutions", "ref_words"),
    ratio_metric("deletion_rate", "deletions", "ref_words"),
    ratio_metric("insertion_rate", "insertions", "ref_words"),
    ratio_metric("key_term_recall", "key_term_hits", "key_terms", scale="logit"),
    ratio_metric("empty_rate", "empty_hypothesis", "attempted", most=1.0),
    ratio_metric("loop_rate", "repetition_loop", "attempted", most=1.0),
    ratio_metric("failure_rate", "failed", "attempted", most=1.0),
)
"""The metrics of every full analysis (word precision, recall and F1 as AWS AI Service Cards define them)."""

LATENCY: tuple[Metric, ...] = (
    ratio_metric("latency_s", "latency_s", "timed", events=False),
    ratio_metric("real_time_factor", "timed_latency_s", "duration_s", events=False),
)
"""Mean seconds an utterance, and seconds of work a second of audio. Only on request: times differ from run to run."""

SCALES = ("log", "logit", "identity")


def requested_metrics(names: Sequence[str]) -> tuple[list[Metric], bool]:
    """Return the metrics of the settings beside the standard ones, and whether times are needed.

    Args:
        names: ``latency``, or ``module:callable``: a function from counts to an array. Its attributes ``scale`` (one of
            log, logit, identity; identity by default) and ``name`` are looked at.

    Raises:
        InputError: A name is neither, or cannot be imported.
    """
    found: list[Metric] = []
    for name in dict.fromkeys(names):
        if name == "latency":
            found.extend(LATENCY)
            continue
        module, colon, attribute = name.partition(":")
        if not colon:
            raise InputError(
                "unknown metric", value=name, remedy=f"{did_you_mean(name, ['latency'])}, or your own 'module:callable'"
            )
        try:
            function: Any = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(
                f"the metric cannot be imported: {error}",
                value=name,
                remedy="Give 'module:callable', with the module's folder on PYTHONPATH",
            ) from error
        scale = getattr(function, "scale", "identity")
        if not callable(function) or scale not in SCALES:
            raise InputError(
                "a metric is a function with a scale of log, logit or identity",
                value=name,
                remedy="See docs/statistics.md",
            )
        found.append(Metric(name=str(getattr(function, "name", name)), function=function, scale=scale, needs=()))
    return found, "latency" in names
