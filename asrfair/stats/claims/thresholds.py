"""Which group needs how much more than another for the same rate: questions from the table of differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from asrfair.stats.claims.question import Question
from asrfair.stats.claims.table import THRESHOLD, THRESHOLD_RATIO, Row
from asrfair.stats.compare.multiplicity import holm
from asrfair.stats.thresholds.axis import by_factors


def threshold_questions(gaps: pd.DataFrame, thresholds: pd.DataFrame) -> Iterator[Question]:
    """Ask of every engine, place, target and attribute whether its groups' thresholds differ: Holm over the pairs.

    Args:
        gaps: ``threshold_gaps``.
        thresholds: ``thresholds``.
    """
    if gaps.empty:
        return
    names = ["engine", "place", "parameter", "target", "attribute", "group"]
    level = {tuple(str(row[name]) for name in names): float(row["threshold"]) for _, row in thresholds.iterrows()}
    blocks = gaps.groupby(names[:-1], sort=False)
    for key, block in blocks:
        where = tuple(str(part) for part in key)
        records = [{str(k): v for k, v in row.items()} for row in block.to_dict("records")]
        corrected = holm(np.array([row["p"] for row in records], dtype=np.float64))
        name = ":".join((THRESHOLD, *where))
        own = {group: value for (*place, group), value in level.items() if tuple(place) == where}
        rows = partial(_rows, records, corrected.tolist(), own, name)
        yield Question(name=name, p=float(np.nanmin(corrected)), rows=rows)


def _rows(
    records: Sequence[Mapping[str, Any]], corrected: Sequence[float], level: Mapping[str, float], name: str,
    error: float,
) -> Iterator[Row]:  # fmt: skip
    for row, p in zip(records, corrected, strict=True):
        ratio = by_factors(str(row["parameter"]))
        # the level at which Holm's procedure decides about this row, so that the interval says the same
        each = error * float(row["p"]) / p if p > 0 else error
        estimate = np.log(row["difference"]) if ratio else float(row["difference"])
        half = -special.stdtrit(float(row["df"]), each / 2.0) * float(row["se"])
        ends = (estimate, estimate - half, estimate + half)
        value, low, high = (float(np.exp(end)) if ratio else float(end) for end in ends)
        yield Row(
            kind=THRESHOLD_RATIO if ratio else THRESHOLD, engine=str(row["engine"]), condition=str(row["place"]),
            attribute=str(row["attribute"]), group=str(row["group"]), versus=str(row["other"]), p=p, estimate=value,
            ci_low=low, ci_high=high, level=1.0 - each, table="thresholds", rate=level.get(str(row["group"]), np.nan),
            versus_rate=level.get(str(row["other"]), np.nan), question=name, parameter=str(row["parameter"]),
            unit=str(row["unit"]), target=str(row["target"]),
        )  # fmt: skip
