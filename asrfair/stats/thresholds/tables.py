"""What a search for thresholds heard, and its tables: thresholds, differences between groups, errors by level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.stats.estimate.psychometric import Threshold, difference, threshold
from asrfair.stats.thresholds.axis import Axis
from asrfair.types import GroupSettings

Floats: TypeAlias = npt.NDArray[np.float64]
SMALL = "few_speakers"

TABLES = ("thresholds", "threshold_gaps", "threshold_levels")
"""Names of the tables (files without ``.csv``)."""

_SAME = ["engine", "place", "parameter", "unit", "attribute"]
GAP_COLUMNS = [*_SAME, "target", "group", "other", "difference", "ci_low", "ci_high", "se", "df", "p"]
LEVEL_COLUMNS = [*_SAME, "group", "level", "errors", "words", "wer"]
THRESHOLD_COLUMNS = [
    *_SAME, "group", "speakers", "words", "target", "target_wer", "threshold", "ci_low", "ci_high", "censored",
    "heard_low", "heard_high", "usual_low", "usual_high", "curve_low", "curve_high", "curve_middle", "curve_slope", "flag",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Errors and words of one condition by utterance, shape (utterances,)."""

    errors: Floats
    words: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A rate, or with ``relative`` a multiple of the group's own clean rate."""

    value: float
    relative: bool

    @property
    def text(self) -> str:
        """As tables say it: ``30 %``, ``2 x clean``."""
        return f"{self.value:g} x clean" if self.relative else f"{100 * self.value:g} %"


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was heard of one engine in one place.

    Args:
        engine: Its label.
        axis: The parameter that was turned.
        clean: The recordings themselves.
        asymptote: Whether the recordings themselves are the best level.
        groups: (attribute, group, mask of utterances).
        speaker: The speaker of each utterance as a number.
        levels: What was heard, by value.
    """

    engine: str
    axis: Axis
    clean: Counts
    asymptote: bool
    groups: list[tuple[str, str, npt.NDArray[np.bool_]]]
    speaker: npt.NDArray[np.int64]
    levels: dict[float, Counts] = field(default_factory=dict)

    def threshold(self, mask: npt.NDArray[np.bool_], target: Target, *, confidence: float) -> Threshold:
        """Estimate one group's threshold from what has been heard so far."""
        values = sorted(self.levels)
        ids, places = np.unique(self.speaker[mask], return_inverse=True)

        def summed(values: Floats) -> Floats:
            return np.bincount(places, weights=values[mask], minlength=len(ids)).astype(np.float64)

        errors = np.column_stack([summed(self.levels[v].errors) for v in values])
        words = np.column_stack([summed(self.levels[v].words) for v in values])
        heard = words.sum(axis=1) > 0
        return threshold(
            np.array([self.axis.easier(v) for v in values]), errors[heard], words[heard], target=target.value,
            relative=target.relative, clean_errors=summed(self.clean.errors)[heard],
            clean_words=summed(self.clean.words)[heard], asymptote=self.asymptote, confidence=confidence,
        )  # fmt: skip


def threshold_tables(
    searches: Sequence[Search], targets: Sequence[Target], groups: GroupSettings, confidence: float
) -> dict[str, pd.DataFrame]:
    """Make the tables of searches, by the names of :data:`TABLES`.

    Args:
        searches: What was heard.
        targets: At which rates.
        groups: How small is too small.
        confidence: Coverage of the intervals.
    """
    rows: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    levels: list[dict[str, Any]] = []
    for search in searches:
        axis = search.axis
        same = {"engine": search.engine, "place": axis.place, "parameter": axis.parameter, "unit": axis.unit}
        levels += _level_rows(search, same)
        for target in targets:
            found: dict[str, dict[str, Threshold]] = {}
            for attribute, group, mask in search.groups:
                one = search.threshold(mask, target, confidence=confidence)
                speakers = len(np.unique(search.speaker[mask]))
                words = int(search.clean.words[mask].sum())
                small = speakers < groups.min_speakers or words < groups.min_words
                if not small:
                    found.setdefault(attribute, {})[group] = one
                who = {**same, "attribute": attribute, "group": group, "speakers": speakers, "words": words}
                rows.append(who | _row(one, search, target.text, small=small))
            for attribute, members in found.items():
                gaps += _gap_rows(members, {**same, "attribute": attribute, "target": target.text}, axis, confidence)
    return {
        "thresholds": pd.DataFrame(rows, columns=THRESHOLD_COLUMNS),
        "threshold_gaps": pd.DataFrame(gaps, columns=GAP_COLUMNS),
        "threshold_levels": pd.DataFrame(levels, columns=LEVEL_COLUMNS),
    }


def _level_rows(search: Search, same: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for attribute, group, mask in search.groups:
        for value, counts in [*sorted(search.levels.items()), (math.nan, search.clean)]:
            errors, words = float(counts.errors[mask].sum()), float(counts.words[mask].sum())
            rows.append(
                {**same, "attribute": attribute, "group": group, "level": value, "errors": int(errors),
                 "words": int(words), "wer": errors / words if words else math.nan}
            )  # fmt: skip
    return rows


def _row(found: Threshold, search: Search, target: str, *, small: bool) -> dict[str, Any]:
    axis, curve = search.axis, found.curve
    ends = sorted(axis.value(x) if math.isfinite(x) else math.nan for x in (found.low, found.high))
    there = math.isfinite(found.level)
    return {
        "target": target,
        "target_wer": found.target,
        "threshold": axis.value(found.level) if there else math.nan,
        "ci_low": ends[0] if there and not small else math.nan,
        "ci_high": ends[1] if there and not small else math.nan,
        "censored": found.censored,
        "heard_low": min(search.levels),
        "heard_high": max(search.levels),
        "usual_low": axis.usual[0] if axis.usual else math.nan,
        "usual_high": axis.usual[1] if axis.usual else math.nan,
        "curve_low": float(curve.low[0]),
        "curve_high": float(curve.high[0]),
        "curve_middle": float(curve.middle[0]),
        "curve_slope": float(curve.slope[0]),
        "flag": SMALL if small else "",
    }


def _gap_rows(
    groups: dict[str, Threshold], same: dict[str, Any], axis: Axis, confidence: float
) -> list[dict[str, Any]]:
    """Compare every two groups; the one that needs more stands first. By factors, the difference is a ratio."""
    rows = []
    names = sorted(groups)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            group, other = first, second
            if groups[second].level > groups[first].level:
                group, other = second, first
            found = difference(groups[group], groups[other], confidence=confidence)
            if not math.isfinite(found.p):
                continue
            ends = [math.exp(x) if axis.by_factors else x for x in (found.estimate, found.low, found.high)]
            rows.append({**same, "group": group, "other": other, "difference": ends[0], "ci_low": ends[1],
                         "ci_high": ends[2], "se": found.se, "df": found.df, "p": found.p})  # fmt: skip
    return rows
