"""Collect the claims of a run from its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from asrfair.stats.claims.table import (
    ADJUSTED,
    ENGINE,
    GAP,
    GROUP,
    INTERACTION_RATIO,
    SUBGROUP,
    WORST,
    Row,
    claim_frame,
)
from asrfair.stats.compare.multiplicity import holm
from asrfair.types import OVERALL_ATTRIBUTE, StatisticsSettings

LEVEL = 0.05


def comparison_claims(comparisons: pd.DataFrame, statistics: StatisticsSettings) -> pd.DataFrame:
    """Make the claims of a comparison of two runs, from its table."""
    return claim_frame([_levelled(row, statistics) for row in _engines({"comparisons": comparisons})])


def claim_table(tables: Mapping[str, pd.DataFrame], statistics: StatisticsSettings) -> pd.DataFrame:
    """Make the table of claims.

    Args:
        tables: Tables by name.
        statistics: Confidence.
    """
    rows = [row for make in (_groups, _gaps, _engines, _places, _adjusted, _subgroups) for row in make(tables)]
    return claim_frame([_levelled(row, statistics) for row in rows])


def _levelled(row: Row, statistics: StatisticsSettings) -> Row:
    from dataclasses import replace

    return replace(row, level=statistics.confidence)


def _records(tables: Mapping[str, pd.DataFrame], name: str) -> list[dict[str, Any]]:
    table = tables.get(name)
    return [] if table is None else [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _where(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(row[name]) for name in ("engine", "condition", "attribute", "group")}


def _rates(tables: Mapping[str, pd.DataFrame]) -> dict[tuple[str, str, str, str], float]:
    return {
        (r["engine"], r["condition"], r["attribute"], r["group"]): float(r["wer"])
        for r in _records(tables, "disparity")
    }


def _groups(tables: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    rates = _rates(tables)
    for row in _records(tables, "differences"):
        if row["versus"] != "rest" or not np.isfinite(row["p_max_t"]):
            continue
        where: dict[str, Any] = {name: str(row[name]) for name in ("engine", "condition", "attribute", "group")}
        rate = rates[where["engine"], where["condition"], where["attribute"], where["group"]]
        yield Row(
            kind=GROUP, **where, p=row["p_permutation"], p_adjusted=row["p_max_t"],
            affirmed=bool(row["p_max_t"] <= LEVEL), estimate=row["difference"], ci_low=row["sim_low"],
            ci_high=row["sim_high"], table="differences", rate=rate, versus_rate=rate - row["difference"],
            question=":".join([GROUP, where["engine"], where["condition"], where["attribute"]]),
        )  # fmt: skip


def _gaps(tables: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    groups = pd.DataFrame([(row.engine, row.condition, row.attribute, row.affirmed) for row in _groups(tables)])
    for row in _records(tables, "gaps"):
        if not np.isfinite(row["gap"]):
            continue
        where: dict[str, Any] = {name: str(row[name]) for name in ("engine", "condition", "attribute")}
        open_ = not groups.empty and bool(groups[(groups[[0, 1, 2]] == list(where.values())).all(axis=1)][3].any())
        question = ":".join([GROUP, *where.values()])
        yield Row(
            kind=GAP, **where, group=str(row["worst_group"]), versus=str(row["best_group"]),
            affirmed=bool(open_ and row["gap_ci_low"] > 0), estimate=row["gap"], ci_low=row["gap_ci_low"],
            ci_high=row["gap_ci_high"], table="gaps", rate=row["worst_wer"], versus_rate=row["best_wer"],
            question=question,
        )  # fmt: skip
        yield Row(
            kind=WORST, **where, group=str(row["worst_group"]), estimate=row["worst_wer"], ci_low=row["worst_ci_low"],
            ci_high=row["worst_ci_high"], table="gaps", rate=row["worst_wer"], question=question,
        )  # fmt: skip


def _engines(tables: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    rows = [row for row in _records(tables, "comparisons") if row["attribute"] == OVERALL_ATTRIBUTE]
    adjusted = holm(np.array([row["p_permutation"] for row in rows], dtype=np.float64))
    for row, p in zip(rows, adjusted, strict=True):
        if np.isfinite(p):
            yield Row(
                kind=ENGINE, engine=str(row["engine_a"]), versus=str(row["engine_b"]), condition=str(row["condition"]),
                p=row["p_permutation"], p_adjusted=float(p), affirmed=bool(p <= LEVEL), estimate=row["difference"],
                ci_low=row["ci_low"], ci_high=row["ci_high"], table="comparisons", question=ENGINE,
            )  # fmt: skip


def _places(tables: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    for row in _records(tables, "interactions"):
        if np.isfinite(row["p"]):
            yield Row(
                kind=INTERACTION_RATIO, **_where(row),
                versus=str(row["reference_group"]), p=row["p"], p_adjusted=row["p_holm"],
                affirmed=bool(row["p_holm"] <= LEVEL), estimate=row["ratio_of_ratios"], ci_low=row["ratio_ci_low"],
                ci_high=row["ratio_ci_high"], table="interactions", question=INTERACTION_RATIO,
            )  # fmt: skip


def _adjusted(tables: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    for row in _records(tables, "adjusted"):
        if np.isfinite(row["p_holm"]):
            confounded = "confounded" in str(row["flag"])
            yield Row(
                kind=ADJUSTED, **_where(row),
                versus=str(row["reference_group"]), p=row["p"], p_adjusted=row["p_holm"],
                affirmed=bool(row["p_holm"] <= LEVEL and not confounded), estimate=row["adjusted_ratio"],
                ci_low=row["ci_low"], ci_high=row["ci_high"], table="adjusted", rate=row["raw_ratio"],
                question=ADJUSTED, flag="confounded" if confounded else "",
            )  # fmt: skip


def _subgroups(tables: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    for row in _records(tables, "subgroups"):
        if np.isfinite(row["p_held_out_holm"]):
            yield Row(
                kind=SUBGROUP, engine=str(row["engine"]), condition=str(row["condition"]), group=str(row["subgroup"]),
                p=row["p_held_out"], p_adjusted=row["p_held_out_holm"], affirmed=row["flag"] == "confirmed",
                estimate=row["held_out_ratio"], ci_low=row["ci_low"], ci_high=row["ci_high"], table="subgroups",
                rate=row["held_out_wer"], versus_rate=row["held_out_wer_rest"], question=SUBGROUP,
            )  # fmt: skip
