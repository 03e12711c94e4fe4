"""The pictures of a search for thresholds, and one page of Markdown that holds its sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from asrfair.report.figures import slug, threshold_title
from asrfair.report.plots.thresholds import threshold_figure
from asrfair.report.style import save_figure
from asrfair.report.tables import markdown_text
from asrfair.runs.threshold import Thresholds
from asrfair.say.claims import affirmed, claims_of
from asrfair.say.thresholds import none_affirmed, target_words, threshold_words
from asrfair.say.words import attribute_words, group_words
from asrfair.stats.thresholds.tables import SMALL
from asrfair.types import OVERALL_ATTRIBUTE

PAGE = "threshold.md"


def write_threshold_report(
    found: Thresholds, claims: pd.DataFrame, failed: Sequence[str], *, confidence: float
) -> list[Path]:
    """Write ``threshold.md`` and ``plots/threshold-….png`` and ``.svg``; return what was written."""
    written: list[Path] = []
    pictures: list[str] = []
    table, levels = found.thresholds, found.tables["threshold_levels"]
    for (engine, place), rows in table.groupby(["engine", "place"], sort=False):
        heard = levels[(levels["engine"] == engine) & (levels["place"] == place)]
        large = list(dict.fromkeys(rows["attribute"][rows["flag"] == ""]))
        target = str(rows["target"].iloc[0])
        for attribute in [name for name in large if name != OVERALL_ATTRIBUTE] or large:  # everybody where no group is
            title = threshold_title(claims, engine=str(engine), place=str(place), attribute=attribute)
            figure = threshold_figure(
                rows, heard, title=title, attribute=attribute, target=target, confidence=confidence
            )
            name = slug(f"threshold-{engine}-{place}-{attribute}")
            written += save_figure(figure, found.run / "plots" / name)
            pictures.append(f"![{engine}, {place}, {attribute}](plots/{name}.png)")
    page = found.run / PAGE
    page.write_text("\n".join(_lines(found, claims, failed, pictures)) + "\n", encoding="utf-8")
    return [page, *written]


def _lines(found: Thresholds, claims: pd.DataFrame, failed: Sequence[str], pictures: list[str]) -> list[str]:
    lines = ["# How much each group can bear", ""]
    if failed:
        lines += ["**Gates that failed:**", "", *(f"- {markdown_text(text)}" for text in failed), ""]
    yes = affirmed(claims_of(claims))
    lines += [f"- {markdown_text(claim.text)}" for claim in yes] or [f"- {none_affirmed(len(claims))}"]
    tested = (
        f"{len(claims)} differences were tested together, {len(yes)} affirmed (`claims.csv`). A threshold is the level at "
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
        cells = (row["engine"], row["place"], attribute_words(row["attribute"]), group_words(row["group"]))
        shown = " | ".join(markdown_text(str(cell)) for cell in cells)
        lines.append(f"| {shown} | {row['speakers']} | {target_words(row['target'])} | {said} |")
    return [*lines, "", *pictures]
