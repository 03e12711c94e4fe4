"""The table of claims: one row a hypothesis that was tested, affirmed or not; sentences are made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

GROUP, GAP, WORST = "group", "gap", "worst"
ENGINE, GAP_ENGINE, WORST_ENGINE = "engine", "gap_engine", "worst_engine"
CONDITION, INTERACTION, INTERACTION_RATIO = "condition", "interaction", "interaction_ratio"
ADJUSTED, SUBGROUP, OMNIBUS = "adjusted", "subgroup", "omnibus"
THRESHOLD, THRESHOLD_RATIO = "threshold", "threshold_ratio"

QUESTIONS = (GROUP, ENGINE, CONDITION, SUBGROUP, THRESHOLD)
"""What the questions at the root of a run's family are about."""

RATIOS = (INTERACTION_RATIO, ADJUSTED, SUBGROUP, THRESHOLD_RATIO)
"""Kinds whose estimate is a ratio (1 means no difference); that of all others is a difference of rates."""

A_DECIBEL = 0.03
"""Points of WER that a decibel is worth where claims are put in order: curves fall by 3 to 7 points a decibel there."""

NOT_ASKED = "not_asked"
"""Flag of a claim that would be affirmed if what it rests on were."""

AND = "|"
"""Joins the groups in ``among``."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One hypothesis. Texts are empty and numbers NaN where they do not apply.

    Attributes:
        kind: What is asked, one of the constants of this module.
        engine: The engine it is about; of a comparison of engines the first.
        condition: The condition it is about.
        attribute: The attribute whose groups are compared.
        group: The group it is about.
        p: P-value of its own test, allowing for the other tests of the same question.
        p_adjusted: P-value in the family of the run.
        affirmed: Whether the run says so.
        estimate: Difference of rates (fractions of WER) or ratio (see :data:`RATIOS`).
        ci_low: Lower bound of the estimate.
        ci_high: Upper bound.
        level: Confidence of the interval, after allowing for what was looked at.
        table: The file (without ``.csv``) that has its numbers.
        versus: What it is compared with: a second engine, a reference group, a condition; empty for all others.
        rate: Word error rate of what it is about.
        versus_rate: Word error rate of what it is compared with.
        among: Of a claim about the worst: all groups that may be truly the worst, joined by :data:`AND`.
        question: Name of the question it belongs to; the questions of a run are one family.
        flag: Why it cannot be affirmed, whatever its p-value.
        basis: ``capped`` where it rests on rates without what lies over the cap of insertions (loops).
        parameter: Of a claim about thresholds, what was turned; the place is its ``condition``, and ``rate`` and
            ``versus_rate`` are the thresholds.
        unit: Unit of the estimate, where it is no rate.
        target: Rate at which thresholds are taken.
    """

    kind: str
    engine: str = ""
    condition: str = ""
    attribute: str = ""
    group: str = ""
    p: float = np.nan
    p_adjusted: float = np.nan
    affirmed: bool = False
    estimate: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    level: float = np.nan
    table: str = ""
    versus: str = ""
    rate: float = np.nan
    versus_rate: float = np.nan
    among: str = ""
    question: str = ""
    flag: str = ""
    basis: str = ""
    parameter: str = ""
    unit: str = ""
    target: str = ""

    @property
    def id(self) -> str:
        """The same in every run of the same suite."""
        parts = (
            self.kind,
            self.engine,
            self.versus,
            self.condition,
            self.parameter,
            self.target,
            self.attribute,
            self.group,
        )
        return ":".join(part for part in parts if part)


COLUMNS = (
    *("id", "kind", "engine", "condition", "attribute", "group", "affirmed", "p", "p_adjusted", "estimate"),
    *("ci_low", "ci_high", "level", "rank", "table", "versus", "rate", "versus_rate", "among", "question", "flag"),
    *("basis", "parameter", "unit", "target"),
)


def claim_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Make the table: what matters most first (``rank`` 1 = affirmed, certain and large)."""
    table = pd.DataFrame([{"id": row.id, **asdict(row)} for row in rows], columns=[c for c in COLUMNS if c != "rank"])
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    order = np.lexsort((np.arange(len(table)), table["p"].fillna(2.0), -_size(table), ~table["affirmed"]))
    table = table.iloc[order].reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1)
    return table[list(COLUMNS)]


def _size(table: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How large an effect is at least, in points of WER: the bound nearer to no effect (a ratio times a rate of .1).

    Which group is the worst, and that groups differ at all, are no sizes: they come after what is.
    """
    ratio = table["kind"].isin(RATIOS).to_numpy()
    scale = np.where((table["kind"] == THRESHOLD).to_numpy(), A_DECIBEL, 1.0)
    with np.errstate(all="ignore"):
        low, high = (
            np.where(ratio, 0.1 * np.log(table[name].astype(float)), scale * table[name].astype(float))
            for name in ("ci_low", "ci_high")
        )
    size: np.ndarray[tuple[int], np.dtype[np.float64]] = np.where(
        (np.sign(low) * np.sign(high) > 0) & ~table["kind"].isin((WORST, OMNIBUS)).to_numpy(),
        np.minimum(np.abs(low), np.abs(high)),
        0.0,
    )
    return size
