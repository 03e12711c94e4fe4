"""A collection plan: what a manifest's speakers would let one see, and how many more are needed.

Nothing has been recognised yet, so rate and spread are assumed (or taken from an earlier run); the speakers and how
unevenly they speak come from the manifest. A group's log rate then has variance cv² / k_eff + 1 / (W n) with k_eff its
effective speakers and n its words, and the rest of the speakers likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from asrfair.stats.estimate.group_rates import group_rates
from asrfair.stats.frame import Floats, Frame
from asrfair.stats.groups import make_grouping
from asrfair.stats.plan.power import POWER, detectable_difference, speakers_needed
from asrfair.types import INTERSECTION, NOT_STATED

COLUMNS = [
    "attribute",
    "group",
    "speakers",
    "effective_speakers",
    "words",
    "detectable",
    "speakers_needed",
    "more_speakers",
]


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What is expected of a recogniser before it has run.

    Attributes:
        rate: Word error rate of the rest of the speakers, a fraction.
        cv: Coefficient of variation of the true rates between speakers of one group.
        difference: Difference in word error rate that should be found.
        level: Confidence of the test.
        power: Probability of finding it.
    """

    rate: float = 0.15
    cv: float = 0.6
    difference: float = 0.05
    level: float = 0.95
    power: float = POWER


def plan_table(words: pd.DataFrame, by: Sequence[tuple[str, ...]], assumed: Assumptions) -> pd.DataFrame:
    """Plan for every group against the rest of the speakers.

    Args:
        words: One row a speaker and combination of attribute values: ``speaker_id``, ``words`` and the attributes.
        by: Attributes and intersections.
        assumed: Rate, spread, and what should be found.

    Returns:
        :data:`COLUMNS`; ``detectable`` is the difference that the present speakers would show (NaN under three),
        ``speakers_needed`` and ``more_speakers`` are infinite where the rest of the speakers are too few.
    """
    rows: list[dict[str, object]] = []
    for names in by:
        stated = words[(words[list(names)] != NOT_STATED).all(axis=1)]
        label = stated[list(names)].agg(INTERSECTION.join, axis=1) if len(stated) else pd.Series(dtype=str)
        for group in sorted(label.unique()):
            inside = label == group
            rows.append(
                {"attribute": INTERSECTION.join(names), "group": group}
                | _row(_by_speaker(stated[inside]), _by_speaker(stated[~inside]), assumed)
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def in_several(words: pd.DataFrame, by: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Count the speakers who are in more than one group of an attribute, such as those who read in several styles.

    The plan takes groups as different people. A comparison within the same people finds smaller differences, by how far
    their own rates go together, which nobody knows before a recogniser has run.

    Args:
        words: As for :func:`plan_table`.
        by: Attributes and intersections.

    Returns:
        Attribute → how many, where there are any.
    """
    found = {}
    for names in by:
        stated = words[(words[list(names)] != NOT_STATED).all(axis=1) & (words["words"] > 0)]
        groups = stated[["speaker_id", *names]].drop_duplicates().groupby("speaker_id").size()
        if (groups > 1).any():
            found[INTERSECTION.join(names)] = int((groups > 1).sum())
    return found


def _by_speaker(rows: pd.DataFrame) -> Floats:
    words = rows.groupby("speaker_id")["words"].sum().to_numpy(dtype=np.float64)
    return words[words > 0]


def _row(own: Floats, rest: Floats, assumed: Assumptions) -> dict[str, object]:
    v1, k1 = _variance(own, assumed)
    v2, k2 = _variance(rest, assumed)
    row: dict[str, object] = {"speakers": len(own), "effective_speakers": k1, "words": int(own.sum())}
    if len(own) == 0 or len(rest) < 3:
        return {**row, "detectable": np.nan, "speakers_needed": np.nan, "more_speakers": np.nan}
    df = (v1 + v2) ** 2 / (v1**2 / max(k1 - 1, 0.5) + v2**2 / (k2 - 1))
    rate = np.array([assumed.rate])
    seen = detectable_difference(rate, np.sqrt([v1 + v2]), np.array([df]), assumed.level, assumed.power)[0]
    needed = speakers_needed(
        rate=rate,
        difference=assumed.difference,
        own_variance=np.array([v1]),
        own_speakers=np.array([len(own)]),
        other_variance=np.array([v2]),
        other_df=np.array([k2 - 1]),
        level=assumed.level,
        power=assumed.power,
    )[0]
    more = max(needed - len(own), 0.0)
    return {**row, "detectable": seen if len(own) > 2 else np.nan, "speakers_needed": needed, "more_speakers": more}


def _variance(words: Floats, assumed: Assumptions) -> tuple[float, float]:
    """Variance of a log rate, and effective speakers."""
    if len(words) == 0:
        return float("nan"), 0.0
    total = float(words.sum())
    effective = total**2 / float((words**2).sum())
    return assumed.cv**2 / effective + 1.0 / (assumed.rate * total), effective


def spread_in(frame: Frame, by: tuple[str, ...], engine: str | None = None) -> tuple[float, float]:
    """Word error rate and between-speaker coefficient of variation of an earlier run, in its first condition.

    The variance of speakers' rates around their group's is pooled over groups, less what counting errors alone gives.

    Args:
        frame: The scores of the earlier run.
        by: The attribute whose groups speakers are compared within.
        engine: Label; the first engine if not given.
    """
    run = 0 if engine is None else frame.engines.index(engine) * len(frame.conditions)
    rates = group_rates(frame, make_grouping(frame, by))
    group = rates.grouping.cell_group
    n, e = rates.cell_words[run].astype(np.float64), rates.cell_errors[run].astype(np.float64)
    w = np.nan_to_num(rates.rate[run])[group]
    use = (n > 0) & (w > 0) & (rates.speakers[run][group] > 1)
    share = n[use] / rates.words[run][group][use]
    squares = ((e[use] / n[use] / w[use] - 1.0) ** 2 * n[use]).sum()
    chance = ((1.0 - share) / w[use]).sum()
    spread = (squares - chance) / (n[use] * (1.0 - share)).sum()
    rate = float(e.sum() / n.sum())
    return rate, float(np.sqrt(max(spread, 0.0)))
