"""How numbers and flags are said to people: one place, so that every page says the same thing the same way.

A rate is a fraction in files and a percentage with one decimal in what people read. A value that is not there is
shown as an en dash, never as zero and never as "nan".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

from asrfair.types import CLEAN, NOT_STATED, OVERALL_ATTRIBUTE

Kind = Literal["text", "count", "percent", "points", "ratio", "p", "decimal", "number", "hours", "flag", "note"]
"""How a column is shown: ``percent`` a rate, ``points`` a difference of rates in percentage points."""

ABSENT: Final = "–"

FLAGS: Final[dict[str, str]] = {
    "few_speakers": "too few speakers",
    "few_words": "too few words",
    "no_speakers": "no interval: speakers are not known",
    "one_speaker": "one speaker says nearly everything",
    "no_errors": "no errors counted",
    "no_words": "no reference words",
    "no_interval": "no interval",
    "wide": "interval spans more than a factor of ten",
    "few_resamples": "too few speakers to resample",
    "few_sentences": "too few sentences to stand for others",
    "fixed_sentences": "for these sentences only",
    "at_bound": "at the end of its scale",
    "not_stated": "not compared: not stated",
    "one_group": "one group only",
    "no_group": "no group is large enough",
    "other_side_too_small": "the other side is too small",
    "imbalanced": "differs from the other groups",
    "inferred": "attribute was inferred, not stated",
    "not_significant": "could be chance",
    "not_confirmed": "not confirmed on held-out speakers",
    "confirmed": "confirmed on held-out speakers",
    "no_convergence": "the model did not converge",
    "little_overlap": "too few alike to match",
    "overdispersed": "more spread than the model expects",
    "resynthesis_costs": "the resynthesis itself costs a point or more",
    "scales_disagree": "difference and ratio disagree",
}
"""Flag of a file → the words beside the number. A flag that is not here is shown with its underscores out."""

REASONS: Final[dict[str, str]] = {
    "excluded": "excluded by the manifest",
    "empty_reference": "nothing left of the reference",
    "empty_hypothesis": "nothing recognised (all words count as deleted)",
    "engine_error": "the engine failed",
    "unreadable_audio": "audio could not be read",
    "truncated_audio": "audio was cut short",
    "worker_timed_out": "no answer in time",
    "missing_hypothesis": "no hypothesis",
    "unknown_utterance": "hypothesis for an unknown utterance",
    "duplicate_hypothesis": "two hypotheses for one utterance",
    "not_scorable": "too long to be aligned, or not readable by the normalizer",
    "repetition_loop": "the engine repeats itself",
    "text_on_silence": "text where nobody speaks",
    "length_out_of_proportion": "hypothesis far longer or shorter than the reference",
}
"""Reason of the ledger → what it says to people."""


METRICS: Final[dict[str, str]] = {
    "cer": "character error rate",
    "word_precision": "word precision",
    "word_recall": "word recall",
    "word_f1": "word recognition F1",
    "substitution_rate": "substitutions a word",
    "deletion_rate": "deletions a word",
    "insertion_rate": "insertions a word",
    "key_term_recall": "key terms recognised",
    "empty_rate": "nothing recognised",
    "loop_rate": "engine repeats itself",
    "failure_rate": "engine failed",
}
"""Metrics of asrfair, all shares → what they are called."""


def metric_words(metric: str) -> str:
    """Return the words for a metric; a user's own keeps its name."""
    return METRICS.get(metric, metric.replace("_", " "))


def metric_kind(row: Mapping[str, object]) -> Kind:
    """Return how the value of a metric is shown: shares as percentages, a user's own metric as a number."""
    return "percent" if row.get("metric") in METRICS else "number"


def left_out_words(item: str) -> str:
    """Return the words for what was left out: a failure's reason in words, an id as it is."""
    return "any failure" if item == "any" else REASONS.get(item, item)


def missing(value: object) -> bool:
    """Tell whether a cell holds nothing: ``None``, NaN or the empty string."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def number(value: object, kind: Kind) -> str:
    """Return one value as people read it, without its unit; an en dash where there is none.

    Args:
        value: A number, or nothing (``None``, NaN, empty string).
        kind: How to show it. Rates are fractions on the way in and percentages on the way out.
    """
    if missing(value):
        return ABSENT
    if kind in {"text", "note"}:
        return str(value)
    if kind == "flag":
        return flag_words(str(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        try:
            value = float(str(value))
        except ValueError:
            return str(value)
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "p":
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    if kind == "number":
        # What is left of sums that cancel is no digit to read.
        return "0" if abs(value) < 1e-9 else f"{value:.3g}".replace("-", "−")
    text = {
        "percent": f"{100 * value:,.1f}",
        "points": f"{100 * value:+,.1f}",
        "ratio": f"{value:,.2f}",
        "hours": f"{value:.2f}",
        "decimal": f"{value:.1f}",
    }[kind]
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def interval(low: object, high: object, kind: Kind) -> str:
    """Return ``low–high`` as people read it, or the empty string where there is no interval.

    A minus sign next to an en dash is hard to read, so intervals that can be negative are joined by "to".
    """
    if missing(low) or missing(high):
        return ""
    first, last = number(low, kind), number(high, kind)
    joint = " to " if kind == "points" or first.startswith("−") else "–"
    return f"{first}{joint}{last}"


def percent(value: object) -> str:
    """Return a fraction as a percentage for running text: ``23.4 %``."""
    return ABSENT if missing(value) else number(value, "percent") + "\u00a0%"


def points(value: object) -> str:
    """Return a difference of rates for running text, without sign: ``12.3 points``."""
    return ABSENT if missing(value) else number(value, "percent") + " percentage points"


def flag_words(flag: object) -> str:
    """Return the words for a flag cell such as ``few_speakers;few_words``; the empty string where there is none."""
    if missing(flag):
        return ""
    words = [part.strip() for part in str(flag).split(";")]
    words = [{"true": "yes", "false": "", "1": "yes", "0": ""}.get(part.lower(), part) for part in words]
    return ", ".join(FLAGS.get(part, part.replace("_", " ")) for part in words if part)


def reason_words(reason: str) -> str:
    """Return the words for a reason of the ledger, or for several that are joined by semicolons."""
    parts = [part.strip() for part in reason.split(";")]
    return ", ".join(REASONS.get(part, part.replace("_", " ")) for part in parts if part)


def covariate_words(covariates: str) -> str:
    """Return the words for what an adjusted comparison holds fixed: ``length+snr_db`` → "length, SNR"."""
    return ", ".join(attribute_words(part) for part in covariates.split("+"))


def group_words(group: object) -> str:
    """Return a group's name for people: ``not_stated`` becomes "not stated", everything else stays as it is."""
    return str(group).replace(NOT_STATED, "not stated")


QUANTITIES: Final[dict[str, str]] = {
    "snr_estimate_db": "SNR (estimated)",
    "effective_snr_db": "SNR (effective)",
    "snr_end_db": "SNR at the end",
    "snr_db_asked": "SNR asked for",
    "snr_a_db": "SNR (A-weighted)",
    "snr_db": "SNR",
    "level_dbfs": "level",
    "active_level_dbfs": "speech level",
    "active_fraction": "share of speech",
    "clipped_fraction": "share clipped",
    "headroom_gain_db": "gain for headroom",
}
"""What is measured of recordings and utterances → what people read."""


def attribute_words(attribute: object) -> str:
    """Return an attribute, covariate or measured quantity as people read it; ``noise.snr_db`` is "noise: SNR"."""
    text = str(attribute)
    if text == OVERALL_ATTRIBUTE:
        return "everybody"
    effect, dot, quantity = text.partition(".")
    said = QUANTITIES.get(quantity if dot else text, (quantity if dot else text).replace("_", " "))
    return f"{effect}: {said}" if dot else said


def condition_words(condition: object) -> str:
    """Return a condition's name for people."""
    return "as recorded" if condition == CLEAN else str(condition)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun in the right number: ``1 speaker``, ``3 speakers``."""
    return f"{number(count, 'count')} {noun}{'' if count == 1 else 's'}"


def listed(items: list[str], *, limit: int = 5) -> str:
    """Return items as a list in a sentence: ``a, b and c``; the tail is counted when there are more than ``limit``."""
    if len(items) > limit:
        return ", ".join(items[: limit - 1]) + f" and {len(items) - limit + 1} more"
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""
