"""Gates that need no other night: a limit on a WER, a gap, an accuracy, a share of failures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from asrfair.nightly.gate_outcome import Gate, GateStatus
from asrfair.runs.gate_settings import GateSettings
from asrfair.scoring.metric import WER, Metric
from asrfair.types import GroupSettings

_SMALL = ("few_speakers", "few_words", "not_stated")


def absolute_gates(
    disparity: pd.DataFrame,
    gaps: pd.DataFrame,
    scores: pd.DataFrame,
    groups: GroupSettings,
    settings: GateSettings,
    *,
    metric: Metric = WER,
) -> list[Gate]:
    """Judge one night by itself.

    Args:
        disparity: The table ``disparity.csv``.
        gaps: The table ``gaps.csv``.
        scores: ``engine``, ``condition``, ``status`` of every row.
        groups: How small is too small.
        settings: The limits.
        metric: What the columns of the tables hold, which are called as those of WER are.
    """
    rule = "max_wer" if metric == WER else "max_rate"
    found: list[Gate] = []
    for row in disparity.to_dict("records"):
        limits = settings.of(str(row["condition"]))
        if limits.max_wer is not None:
            found.append(_of_group(row, rule, limits.max_wer, groups, settings))
        if limits.min_accuracy is not None:
            found.append(_of_group(row, "min_accuracy", limits.min_accuracy, groups, settings))
    for row in gaps.to_dict("records"):
        limits = settings.of(str(row["condition"]))
        if limits.max_gap is not None:
            found.append(_of_gap(row, limits.max_gap, settings))
    failed = scores["status"].isin(["error", "missing"])
    asked = failed | (scores["status"] == "scored")
    for (engine, condition), rows in scores[asked].groupby(["engine", "condition"], sort=False):
        limit = settings.of(str(condition)).max_failed
        if limit is not None:
            share = float(failed[rows.index].mean())
            status: GateStatus = "fail" if share > limit else "pass"
            found.append(
                Gate(
                    rule="max_failed",
                    engine=str(engine),
                    condition=str(condition),
                    attribute="overall",
                    group="all",
                    status=status,
                    limit=limit,
                    value=share,
                    note=f"{int(failed[rows.index].sum()):,} of {len(rows):,} utterances",
                )
            )
    return [replace(gate, measure=metric.label) for gate in found]


def _of_group(row: dict[Any, Any], rule: str, limit: float, groups: GroupSettings, settings: GateSettings) -> Gate:
    value, low, high = (_number(row[name]) for name in ("wer", "ci_low", "ci_high"))
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
        sure = settings.judge == "interval"
        if rule == "min_accuracy":
            status = "fail" if (high if sure and math.isfinite(high) else value) < limit else "pass"
        else:
            status = "fail" if (low if sure and math.isfinite(low) else value) > limit else "pass"
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
    judged = low if settings.judge == "interval" and math.isfinite(low) else value
    status: GateStatus = "not_tested" if not math.isfinite(value) else "fail" if judged > limit else "pass"
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
        note="" if math.isfinite(value) else "fewer than two groups are large enough",
    )


def _number(value: Any) -> float:
    return float(value) if value is not None and value == value else math.nan  # noqa: PLR0124 -- NaN
