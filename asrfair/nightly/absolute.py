"""Gates on what a group's figures are, which need no other night: a limit on a WER, a gap, an accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from asrfair.nightly.gate_outcome import WITHIN_CHANCE, Gate, GateStatus
from asrfair.runs.gate_settings import GateSettings
from asrfair.runs.threshold_settings import ThresholdTable
from asrfair.say.claims import claims_of
from asrfair.say.thresholds import target_words, threshold_words
from asrfair.scoring.metric import WER, Metric
from asrfair.types import GroupSettings

_SMALL = ("few_speakers", "few_words", "not_stated")


def absolute_gates(
    disparity: pd.DataFrame,
    gaps: pd.DataFrame,
    groups: GroupSettings,
    settings: GateSettings,
    *,
    metric: Metric = WER,
) -> list[Gate]:
    """Judge one night by itself.

    Args:
        disparity: The table ``disparity.csv``.
        gaps: The table ``gaps.csv``.
        groups: How small is too small.
        settings: The limits.
        metric: What the rates in the tables are of.
    """
    rule = "max_wer" if metric == WER else "max_rate"
    found: list[Gate] = []
    for row in disparity.to_dict("records"):
        limits = settings.of(str(row["condition"]), str(row["attribute"]), str(row["group"]))
        if limits.max_wer is not None:
            found.append(_of_group(row, rule, limits.max_wer, groups, settings))
        if limits.min_accuracy is not None:
            found.append(_of_group(row, "min_accuracy", limits.min_accuracy, groups, settings))
    for row in gaps.to_dict("records"):
        limits = settings.of(str(row["condition"]))
        if limits.max_gap is not None:
            found.append(_of_gap(row, limits.max_gap, settings))
    return [replace(gate, measure=metric.label) for gate in found]


def threshold_gates(
    thresholds: pd.DataFrame, claims: pd.DataFrame, table: ThresholdTable, settings: GateSettings
) -> list[Gate]:
    """Hold the thresholds of a night against ``max_threshold_db`` and ``max_threshold_gap_db``.

    Args:
        thresholds: The table ``thresholds.csv``.
        claims: The table ``claims.csv``: of differences only those beyond chance can fail.
        table: The limits.
        settings: Whether an estimate or its whole interval decides about a group.
    """
    found: list[Gate] = []
    for row in thresholds.to_dict("records") if table.max_threshold_db is not None else ():
        limit = float(table.max_threshold_db or 0.0)
        value, low, high = (_number(row[name]) for name in ("threshold", "ci_low", "ci_high"))
        status: GateStatus = "pass"
        note = target_words(str(row["target"]))
        if row["flag"]:
            status, note = "not_tested", str(row["flag"]).replace("_", " ")
        elif row["censored"]:
            status = "pass" if row["censored"] == "better" else "fail"
            note += f": {threshold_words(row)}"
        else:
            status, held = _held(value, low, limit, settings)
            note += f"; {held}" if held else ""
        found.append(
            _threshold_gate(row, "max_threshold_db", str(row["group"]), status, limit, (value, low, high), note)
        )
    for claim in claims_of(claims) if table.max_threshold_gap_db is not None else ():
        if claim.kind != "threshold":
            continue
        limit = float(table.max_threshold_gap_db or 0.0)
        note = target_words(claim.target)
        status = "fail" if claim.affirmed and claim.estimate > limit else "pass"
        if claim.estimate > limit and not claim.affirmed:
            status, note = "warn", f"{note}; {WITHIN_CHANCE}"
        row = {"engine": claim.engine, "place": claim.condition, "attribute": claim.attribute, "unit": claim.unit}
        group = f"{claim.group} − {claim.versus}"
        ends = (claim.estimate, claim.ci_low, claim.ci_high)
        found.append(_threshold_gate(row, "max_threshold_gap_db", group, status, limit, ends, note))
    return found


def _threshold_gate(
    row: Mapping[Any, Any], rule: str, group: str, status: GateStatus, limit: float, ends: tuple[float, float, float],
    note: str,
) -> Gate:  # fmt: skip
    return Gate(
        rule=rule, engine=str(row["engine"]), condition=str(row["place"]), attribute=str(row["attribute"]), group=group,
        status=status, limit=limit, value=ends[0], low=ends[1], high=ends[2], note=note, measure=str(row["unit"]),
    )  # fmt: skip


def _of_group(row: dict[Any, Any], rule: str, limit: float, groups: GroupSettings, settings: GateSettings) -> Gate:
    value, low, high = (_number(row[name]) for name in ("rate", "ci_low", "ci_high"))
    if rule == "min_accuracy":
        value, low, high = 1.0 - value, 1.0 - high, 1.0 - low
    small = [name for name in str(row["flag"] or "").split(";") if name in _SMALL]
    if int(row["speakers"]) < groups.min_speakers and "few_speakers" not in small:
        small.append("few_speakers")
    note = ""
    status: GateStatus
    if small and int(row["ref_words"]):
        status, note = "not_tested", ", ".join(small).replace("_", " ")
    elif not math.isfinite(value):
        status, note = "fail", "nothing was scored"
    else:
        least = rule == "min_accuracy"
        near = high if least else low
        sign = -1.0 if least else 1.0
        status, note = _held(sign * value, sign * near, sign * limit, settings)
    return Gate(
        rule=rule,
        engine=str(row["engine"]),
        condition=str(row["condition"]),
        attribute=str(row["attribute"]),
        group=str(row["group"]),
        status=status,
        limit=limit,
        value=value,
        low=low,
        high=high,
        note=note,
    )


def _of_gap(row: dict[Any, Any], limit: float, settings: GateSettings) -> Gate:
    value, low, high = (_number(row[name]) for name in ("gap", "gap_ci_low", "gap_ci_high"))
    status: GateStatus = "not_tested"
    note = "fewer than two groups are large enough"
    if math.isfinite(value):
        status, note = _held(value, low, limit, settings)
    return Gate(
        rule="max_gap",
        engine=str(row["engine"]),
        condition=str(row["condition"]),
        attribute=str(row["attribute"]),
        group=f"{row['worst_group']} − {row['best_group']}" if math.isfinite(value) else "worst − best",
        status=status,
        limit=limit,
        value=value,
        low=low,
        high=high,
        note=note,
    )


def _held(value: float, near: float, limit: float, settings: GateSettings) -> tuple[GateStatus, str]:
    """Return whether a figure is beyond its limit, and whether surely; ``near`` is the nearer end of its interval."""
    if value <= limit:
        return "pass", ""
    if settings.judge == "interval" and math.isfinite(near) and near <= limit:
        return "warn", WITHIN_CHANCE
    return "fail", ""


def _number(value: Any) -> float:
    return float(value) if value is not None and value == value else math.nan  # noqa: PLR0124 -- NaN
