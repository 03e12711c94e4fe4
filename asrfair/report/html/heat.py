"""Groups × engines and groups × conditions as tables whose cells are coloured: darker is worse, each says its number.

Rows and columns are sorted by error rate. Groups too small for an interval are hatched and stand below; a dot marks
what is beyond chance among these speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd
from markupsafe import Markup, escape

from asrfair.report.html.engines import in_hundred, said
from asrfair.report.html.views import Choices, breakable, link
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.finding import records
from asrfair.types import OVERALL_ATTRIBUTE

STEPS: Final = 9
DARKEST: Final = 1.0
"""Error rates of this and above have the darkest colour: one loop does not make all others pale."""
MAX_GROUPS: Final = 200
UPRIGHT: Final = 7
"""Columns up to which headings are not turned."""

Certain = frozenset[tuple[str, str, str, str]]
"""(engine, condition, attribute, group) whose error rate is higher than others' beyond chance."""


def certain_groups(run: RunData) -> Certain:
    """Return the groups that are worse beyond chance, given everything that was looked at."""
    claims = run.tables.get("claims")
    if claims is None:
        return frozenset()
    yes = claims[(claims["kind"] == "group") & (claims["affirmed"] == "true") & (claims["estimate"] > 0)]
    names = ("engine", "condition", "attribute", "group")
    return frozenset(zip(*(yes[name].astype(str) for name in names), strict=True))


def engine_map(run: RunData, choices: Choices, certain: Certain, *, by: str, condition: str) -> Markup:
    """Return groups × engines in one condition."""
    rows = run.disparity[run.disparity["condition"] == condition]
    columns = [name for name in _order(rows, "engine", worst_first=False) if name in choices.engine]
    return _map(run, rows, by, "engine", columns, {"condition": condition}, choices, certain)


def condition_map(run: RunData, choices: Choices, certain: Certain, *, by: str, engine: str) -> Markup:
    """Return groups × conditions with one engine; conditions stand in suite order."""
    rows = run.disparity[run.disparity["engine"] == engine]
    columns = [name for name in choices.condition if (rows["condition"] == name).any()]
    return _map(run, rows, by, "condition", columns, {"engine": engine}, choices, certain)


def _order(rows: pd.DataFrame, over: str, *, worst_first: bool) -> list[str]:
    whole = rows[rows["attribute"] == OVERALL_ATTRIBUTE]
    return [str(name) for name in whole.sort_values("rate", ascending=not worst_first, kind="stable")[over]]


def _map(
    run: RunData,
    every: pd.DataFrame,
    by: str,
    over: str,
    columns: Sequence[str],
    fixed: dict[str, str],
    choices: Choices,
    certain: Certain,
) -> Markup:
    rows = every[every["attribute"] == by]
    if rows.empty:
        return Markup("<p>Nobody was asked for {}.</p>").format(words.attribute_words(by))
    cells = {(row["group"], row[over]): row for row in records(rows)}
    whole = {row[over]: row for row in records(every[every["attribute"] == OVERALL_ATTRIBUTE])}
    large, small = _sorted_groups(rows)
    shown = [*large, *small][:MAX_GROUPS]
    top = min(max((float(row["rate"]) for row in cells.values() if not words.missing(row["rate"])), default=1), DARKEST)

    def cell(row: dict[str, object] | None, group: str, column: str) -> str:
        if row is None or words.missing(row["rate"]):
            return "<td>–</td>"
        step = min(int(float(str(row["rate"])) / (top or 1.0) * STEPS), STEPS - 1)
        key = (*((column, fixed["condition"]) if over == "engine" else (fixed["engine"], column)), by, group)
        marks = f"h{step}" + (" sm" if _small(row) else "")
        sure = '<i class="sure">•</i>' if key in certain else ""
        return f'<td class="{marks}" data-tip="{escape(said(row))}">{in_hundred(row["rate"])}{sure}</td>'

    everybody = "".join(cell(whole.get(column), "all", column) for column in columns)
    lines = [f'<tr class="all"><th scope="row" data-group="all">everybody</th>{everybody}</tr>']
    for group in shown:
        if small and group == small[0]:
            text = f"{words.counted(len(small), 'group')} with too few speakers or words for an interval"
            lines.append(f'<tr class="cut"><th scope="rowgroup" colspan="{len(columns) + 1}">{text}</th></tr>')
        href = link(**{"engine": choices.start("engine"), **fixed, "by": by, "group": group})
        lines.append(
            f'<tr><th scope="row" data-group="{escape(group)}"><a href="{href}">{escape(words.group_words(group))}</a>'
            f"</th>{''.join(cell(cells.get((group, column)), group, column) for column in columns)}</tr>"
        )
    heads = "".join(
        f'<th scope="col" data-pick="{escape(name)}"><span>'
        f"{breakable(words.condition_words(name) if over == 'condition' else name)}</span></th>"
        for name in columns
    )
    turned = " turned" if len(columns) > UPRIGHT else ""
    left = f'<p class="caption">{len(large) + len(small) - len(shown)} more groups are in disparity.csv.</p>'
    return Markup(  # noqa: S704 -- every text of the data was escaped above
        f'<div class="scroll tall" tabindex="0" role="region" aria-label="Heat map of {escape(words.attribute_words(by))} '
        f'and {over}"><table class="heat{turned}" data-over="{over}"'
        + "".join(f' data-{name}="{escape(value)}"' for name, value in fixed.items())
        + f'><caption class="visually-hidden">Words wrong in 100 by {escape(words.attribute_words(by))} and {over}</caption>'
        f'<thead><tr><th scope="col">{escape(words.attribute_words(by))}</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{_legend(run, top)}"
        + (left if len(shown) < len(large) + len(small) else "")
    )


def _sorted_groups(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the groups with an interval somewhere and those without, the worst over all columns first."""
    totals = rows.assign(weighted=rows["rate"] * rows["ref_words"]).groupby("group", sort=False)
    pooled = totals["weighted"].sum() / totals["ref_words"].sum()
    known = totals["ci_low"].count() > 0 if "ci_low" in rows else pooled.isna()
    ordered = pooled.sort_values(ascending=False, kind="stable", na_position="last").index
    return [str(g) for g in ordered if known[g]], [str(g) for g in ordered if not known[g]]


def _small(row: dict[str, object]) -> bool:
    return words.missing(row.get("ci_low"))


def _legend(run: RunData, top: float) -> str:
    """Return the key of the colours, the hatching and the dot."""
    steps = "".join(f'<span class="h{step}">{100 * top * step / STEPS:.0f}</span>' for step in range(0, STEPS, 2))
    return (
        f'<p class="legend">Words wrong in 100, from {steps} on. <span class="h1 sm">hatched</span>: too small to '
        f"conclude from (fewer than {run.min_speakers} speakers, or too few words). "
        '<span><i class="sure">•</i></span> worse than others beyond chance. Point at a cell for exact numbers; open it '
        "for its utterances.</p>"
    )
