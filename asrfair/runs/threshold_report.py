"""The pictures of a search for thresholds, and one page of Markdown that holds its sentences and tables."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from asrfair.report.plots.thresholds import GroupCurve, draw_thresholds
from asrfair.report.style import save_figure
from asrfair.runs.threshold import SMALL, Search, Thresholds, threshold_words
from asrfair.runs.threshold_settings import ThresholdTable
from asrfair.types import OVERALL_ATTRIBUTE

PAGE = "threshold.md"


def write_threshold_report(found: Thresholds, table: ThresholdTable, *, confidence: float) -> list[Path]:
    """Write ``threshold.md`` and ``plots/threshold-….png`` and ``.svg``; return what was written."""
    written: list[Path] = []
    pictures: list[str] = []
    for search in found.searches:
        for attribute in dict.fromkeys(a for a, _, _ in search.groups):
            if attribute == OVERALL_ATTRIBUTE and len({a for a, _, _ in search.groups}) > 1:
                continue
            name = _slug(f"threshold-{search.engine}-{search.axis.place}-{attribute}")
            figure_files = _picture(found, search, attribute, table, found.run / "plots" / name, confidence)
            written += figure_files
            if figure_files:
                pictures.append(f"![{search.engine}, {search.axis.place}, {attribute}](plots/{name}.png)")
    page = found.run / PAGE
    page.write_text("\n".join(_lines(found, pictures)) + "\n", encoding="utf-8")
    return [page, *written]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()


def _picture(
    found: Thresholds, search: Search, attribute: str, table: ThresholdTable, stem: Path, confidence: float
) -> list[Path]:
    axis = search.axis
    relative = table.wer is None
    target = table.times_clean if table.wer is None else table.wer
    assert target is not None
    rows = found.thresholds
    mine = rows[(rows["engine"] == search.engine) & (rows["place"] == axis.place) & (rows["attribute"] == attribute)]
    curves = []
    for _, group, mask in (g for g in search.groups if g[0] == attribute):
        row = mine[mine["group"] == group].iloc[0]
        if row["flag"] == SMALL:
            continue
        one = search.threshold(mask, target, relative=relative, confidence=confidence)
        values = np.array(sorted(search.levels))
        easier = np.linspace(min(map(axis.easier, values)), max(map(axis.easier, values)), 200)
        rates = [search.levels[v].errors[mask].sum() / max(search.levels[v].words[mask].sum(), 1) for v in values]
        curves.append(
            GroupCurve(
                name=group, speakers=int(row["speakers"]), levels=values, rates=np.array(rates),
                curve_x=np.array([axis.value(x) for x in easier]), curve_y=one.curve.at(easier),
                threshold=float(row["threshold"]), low=float(row["ci_low"]), high=float(row["ci_high"]),
            )
        )  # fmt: skip
    if not curves:
        return []
    curves.sort(key=lambda c: -axis.sign * (c.threshold if math.isfinite(c.threshold) else -math.inf))
    figure = draw_thresholds(
        curves, title=_title(found, search, attribute), usual=axis.usual, by_factors=axis.by_factors,
        x_label=f"{_named(axis.key)} of {axis.label}, {axis.place}" + (f", {axis.unit}" if axis.unit else ""),
        target=target if not relative else float(np.nan), harder_right=axis.sign < 0, confidence=confidence,
    )  # fmt: skip
    return save_figure(figure, stem)


def _named(key: str) -> str:
    """Return a parameter as an axis names it."""
    return "Signal-to-noise ratio" if key == "snr_db" else key.rpartition("_")[0].replace("_", " ") or key


def _title(found: Thresholds, search: Search, attribute: str) -> str:
    gaps = found.gaps
    mine = gaps[
        (gaps["engine"] == search.engine) & (gaps["place"] == search.axis.place) & (gaps["attribute"] == attribute)
    ]
    affirmed = mine[mine["affirmed"]].sort_values("p_adjusted", kind="stable")
    if len(affirmed):
        return str(affirmed.iloc[0]["text"])
    return (
        f"{search.engine} in {search.axis.place} by {attribute}: no difference between groups that is more than chance"
    )


def _lines(found: Thresholds, pictures: list[str]) -> list[str]:
    lines = ["# How much each group can bear", ""]
    if found.failed:
        lines += ["**Gates that failed:**", "", *(f"- {text}" for text in found.failed), ""]
    affirmed = found.gaps[found.gaps["affirmed"]].sort_values("p_adjusted", kind="stable")
    lines += [f"- {text}" for text in affirmed["text"]] or ["- No difference between groups is more than chance."]
    tested = (
        f"{len(found.gaps)} differences were tested together (Holm), {len(affirmed)} affirmed. A threshold is the level at "
        "which the pooled word error rate reaches the target; intervals are over speakers."
    )
    lines += [
        "",
        tested,
        "",
        "| engine | place | attribute | group | speakers | target | threshold |",
        "|---|---|---|---|---:|---|---|",
    ]
    for row in found.thresholds.to_dict("records"):
        said = threshold_words(row) + (" · too few speakers for an interval" if row["flag"] == SMALL else "")
        lines.append(
            f"| {row['engine']} | {row['place']} | {row['attribute']} | {row['group']} | {row['speakers']} | "
            f"{row['target']} | {said} |"
        )
    return [*lines, "", *pictures]
