"""Engine against engine on the same speakers: paired intervals over speakers, and MAPSSWE.

MAPSSWE (Gillick & Cox 1989) takes each utterance for an independent segment: z = mean(d) / (sd(d) / √n), d the
difference in errors. It is what other tools print and stands here for that reason; what is said of engines are claims over speakers. With
few speakers who say much its p-value is too small, since utterances of one speaker are not independent.

Only utterances that both engines have been scored on are compared.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from asrfair.stats.estimate.paired import paired_change, paired_sums
from asrfair.stats.estimate.two_way import paired_readings
from asrfair.stats.frame import Floats, Frame
from asrfair.stats.groups import Grouping
from asrfair.types import SCORED, GroupSettings, StatisticsSettings

COLUMNS = [
    "engine_a",
    "engine_b",
    "condition",
    "attribute",
    "group",
    "difference",
    "ci_low",
    "ci_high",
    "mapsswe_z",
    "mapsswe_p",
    "flag",
]


def comparison_table(
    frame: Frame, groupings: list[Grouping], groups: GroupSettings, statistics: StatisticsSettings
) -> pd.DataFrame:
    """Compare every two engines in every condition and group: ``comparisons.csv``.

    ``difference`` is the WER of the first engine minus that of the second.

    Args:
        frame: The scores.
        groupings: The attributes, the overall group among them.
        groups: How small is too small.
        statistics: Confidence.
    """
    conditions = len(frame.conditions)
    named = [(a, b, c) for a, b in itertools.combinations(range(len(frame.engines)), 2) for c in range(conditions)]
    if not named:
        return pd.DataFrame(columns=COLUMNS)
    pairs = [(a * conditions + c, b * conditions + c) for a, b, c in named]
    sums = paired_sums(frame, pairs)
    parts: list[pd.DataFrame] = []
    tail = (1.0 - statistics.confidence) / 2
    for grouping in groupings:
        found = paired_change(grouping, sums, paired_readings(frame, grouping, pairs))
        low, high = found.difference_bounds(tail)
        speakers = grouping.groups((grouping.cells(sums[2, 0]) > 0).astype(np.int64))
        words = found.first.words
        few = {"few_speakers": speakers < groups.min_speakers, "few_words": words < max(groups.min_words, 1)}
        shown = ~(few["few_speakers"] | few["few_words"])
        z = np.stack([mapsswe(frame, grouping, *pair) for pair in named])
        z = np.where(shown, z, np.nan)
        size = len(grouping.names)
        parts.append(
            pd.DataFrame(
                {
                    "engine_a": np.repeat([frame.engines[a] for a, _, _ in named], size),
                    "engine_b": np.repeat([frame.engines[b] for _, b, _ in named], size),
                    "condition": np.repeat([frame.conditions[c] for _, _, c in named], size),
                    "attribute": grouping.attribute,
                    "group": np.tile(np.array(grouping.names, dtype=object), len(named)),
                    "difference": found.difference.ravel(),
                    "ci_low": np.where(shown, low, np.nan).ravel(),
                    "ci_high": np.where(shown, high, np.nan).ravel(),
                    "mapsswe_z": z.ravel(),
                    "mapsswe_p": 2.0 * special.ndtr(-np.abs(z)).ravel(),
                    "pair": np.repeat(np.arange(len(named)), size),
                    "flag": joined(few, grouping).ravel(),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True).sort_values("pair", kind="stable", ignore_index=True)
    return table[COLUMNS]


def mapsswe(frame: Frame, grouping: Grouping, engine_a: int, engine_b: int, condition: int) -> Floats:
    """Matched-pairs z of each group, shape (G,); NaN with fewer than two utterances, 0 where no utterance differs."""
    both = (frame.status[engine_a, condition] == SCORED) & (frame.status[engine_b, condition] == SCORED)
    rows = np.flatnonzero(both)
    d = (frame.numerator[engine_a, condition, rows] - frame.numerator[engine_b, condition, rows]).astype(np.float64)
    group = grouping.utterance_group[rows]
    size = len(grouping.names)
    n = np.bincount(group, minlength=size)
    total = np.bincount(group, weights=d, minlength=size)
    squares = np.bincount(group, weights=d * d, minlength=size)
    with np.errstate(all="ignore"):
        variance = (squares - total**2 / n) / (n - 1)
        z = np.where(squares == 0, 0.0, total / np.sqrt(n * variance))
    return np.where(n > 1, z, np.nan)


def joined(flags: dict[str, npt.NDArray[np.bool_]], grouping: Grouping) -> npt.NDArray[np.object_]:
    """Names of the flags that are set, joined by semicolons; ``not_stated`` first."""
    shape = next(iter(flags.values())).shape
    text = np.where(grouping.stated, "", "not_stated").astype(object)
    text = np.broadcast_to(text, shape).copy()
    for name, where in flags.items():
        text[where] = np.where(text[where] == "", name, text[where] + f";{name}")
    return text
