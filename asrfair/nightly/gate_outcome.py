"""What became of one gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import pandas as pd

GateStatus = Literal["pass", "warn", "fail", "not_tested"]

WITHIN_CHANCE = "beyond the limit, but within chance"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate: one rule for one engine, condition, attribute and group.

    Args:
        rule: ``max_wer`` (``max_rate`` of another metric), ``max_gap``, ``min_accuracy``, ``max_failed``, ``min_coverage``,
            ``max_increase``, ``max_threshold_db`` or ``max_threshold_gap_db`` (whose values are in ``measure``).
        engine: The engine's label.
        condition: The condition's name.
        attribute: The attribute.
        group: The group; ``worst − best`` for a gap.
        status: ``not_tested`` where too little is known of the group; ``warn`` beyond the limit, but within chance.
        limit: What the suite allows, a fraction.
        value: What was found, a fraction (for ``max_increase`` the difference to the baseline).
        low: Lower bound of its interval, where there is one.
        high: Upper bound.
        baseline: The baseline's WER (``max_increase`` only).
        tonight: The difference to the baseline tonight alone (``max_increase`` only).
        nights: Nights pooled in the look that decided, of which ``value`` is (``max_increase`` only).
        p: P-value of that look, for all looks of the night (``max_increase`` only).
        p_holm: Corrected for all gates of the night.
        level: What ``p_holm`` is held against: what tonight may spend.
        band: How much the figure moves from night to night when nothing changes.
        power_nights: In how many nights an increase of the suite's ``detect`` is found with probability 0.8; 0 where
            it is not found within the window.
        chart: Where the group's chart stands, 1 and more being an alarm (``max_increase`` only).
        chart_mean: Mean increase over the nights since the chart last rose from zero.
        chart_nights: How many those are.
        z: The change since the night before in units of what the group's utterances alone would make of it.
        found: The increase as it was when the gate first failed; NaN where it holds.
        found_nights: For how many nights it has been found, tonight included; 0 where it holds.
        below: Nights in a row, tonight last, on which a found increase was not there.
        note: A few words for the reader.
        measure: What the rate is called.
    """

    rule: str
    engine: str
    condition: str
    attribute: str
    group: str
    status: GateStatus
    limit: float
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    baseline: float = math.nan
    tonight: float = math.nan
    nights: int = 0
    p: float = math.nan
    p_holm: float = math.nan
    level: float = math.nan
    band: float = math.nan
    power_nights: int | None = None
    chart: float = math.nan
    chart_mean: float = math.nan
    chart_nights: int = 0
    z: float = math.nan
    found: float = math.nan
    found_nights: int = 0
    below: int = 0
    note: str = ""
    measure: str = "WER"

    @property
    def name(self) -> str:
        """The group and the rule, as JUnit and people read them."""
        return f"{self.rule} · {self.attribute} = {self.group}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields; numbers that are not known are ``None``."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }


def gates_table(gates: Sequence[Gate]) -> pd.DataFrame:
    """Return gates as rows; every column has the same type on every night, also where it is empty."""
    types = {"float": "float64", "int": "int64", "int | None": "Int64"}
    columns = {item.name: types.get(str(item.type), "str") for item in fields(Gate)}
    return pd.DataFrame([vars(gate) for gate in gates], columns=list(columns)).astype(columns)
