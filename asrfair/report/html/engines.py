"""Engines in order of their error rate: everybody and the worst group of each, with intervals, a row an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from asrfair.report.html.drawing import HEIGHT, Scale, wer_scale
from asrfair.report.html.views import link
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.finding import records
from asrfair.say.titles import comparable, engines_title
from asrfair.types import OVERALL_ATTRIBUTE

WIDTH: Final = 300
KEY: Final = Markup('<span class="key"></span>')
KEY_WORST: Final = Markup('<span class="key two"></span>')


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One engine: its rows of everybody and of its worst group (``None`` where no group can be named)."""

    engine: str
    overall: dict[str, Any]
    worst: dict[str, Any] | None


def ranked_engines(run: RunData, *, by: str, condition: str) -> list[Ranked]:
    """Return the engines of a condition, the fewest errors over everybody first."""
    rows = run.disparity[run.disparity["condition"] == condition]
    found = []
    whole = rows[(rows["attribute"] == OVERALL_ATTRIBUTE) & rows["rate"].notna()]
    mine = dict(list(rows[rows["attribute"] == by].groupby("engine", sort=False)))
    for overall in records(whole.sort_values("rate", kind="stable")):
        engine = overall["engine"]
        groups = comparable(mine[engine]) if engine in mine else rows.iloc[:0]
        worst = None
        if len(groups) > 1 and by != OVERALL_ATTRIBUTE:
            worst = records(groups.head(1))[0]
        found.append(Ranked(engine=engine, overall=overall, worst=worst))
    return found


def engine_chart(run: RunData, *, by: str, condition: str, limit: int = 0) -> Markup:
    """Return the ranked engines as a table with a picture a row.

    Args:
        run: What to show.
        by: The attribute whose worst group is shown.
        condition: The condition.
        limit: Engines shown; 0 shows all. Where some are left out, the best and the worst stay.
    """
    every = ranked_engines(run, by=by, condition=condition)
    shown = every
    if limit and len(every) > limit:
        shown = [*every[: limit - 2], *every[-2:]]
    scale = _scale(every)
    told = any(item.worst for item in every)
    body = Markup("").join(_row(item, scale, by, condition, told=told) for item in shown)
    if len(shown) < len(every):
        body = Markup("").join(
            [
                *(_row(item, scale, by, condition, told=told) for item in shown[:-2]),
                Markup('<tr class="cut"><td colspan="4">… {} engines between …</td></tr>').format(
                    len(every) - len(shown)
                ),
                *(_row(item, scale, by, condition, told=told) for item in shown[-2:]),
            ]
        )
    name = words.attribute_words(by)
    worst = Markup('<th scope="col">{}Worst {}</th>').format(KEY_WORST, name) if told else Markup("")
    return Markup(
        '<table class="rank"><caption class="visually-hidden">Words wrong in 100, everybody and the worst {}</caption>'
        '<thead><tr><th scope="col">Engine</th><th scope="col" class="d"><span class="visually-hidden">Picture</span>{}</th>'
        '<th scope="col" class="n">{}Everybody</th>{}</tr></thead><tbody>{}</tbody></table>'
    ).format(name, scale.axis(), KEY, worst, body)


def engine_title(run: RunData, condition: str) -> str:
    """Return the chart's title, which is true of all engines."""
    return engines_title(run.disparity, condition=condition)


def _scale(every: list[Ranked]) -> Scale:
    rows = [row for item in every for row in (item.overall, item.worst) if row]
    highs = [float(row["ci_high"]) for row in rows if not words.missing(row.get("ci_high"))]
    return wer_scale([float(row["rate"]) for row in rows], highs, width=WIDTH)


def _row(item: Ranked, scale: Scale, by: str, condition: str, *, told: bool) -> Markup:
    overall, worst = item.overall, item.worst
    tips = [f"everybody: {said(overall)}"]
    named = Markup("<td>–</td>") if told else Markup("")
    if worst:
        tips.append(f"{words.group_words(worst['group'])}: {said(worst)}")
        named = Markup('<td><b>{}</b> <a href="{}">{}</a></td>').format(
            in_hundred(worst["rate"]),
            link(engine=item.engine, condition=condition, by=by, group=str(worst["group"])),
            words.group_words(worst["group"]),
        )
    return Markup(
        '<tr data-tip="{}"><th scope="row"><a href="{}">{}</a></th><td class="d">{}</td>'
        '<td class="n"><b>{}</b></td>{}</tr>'
    ).format(
        " · ".join(tips),
        link(engine=item.engine, condition=condition, by=by, group="all"),
        item.engine,
        _picture(overall, worst, scale),
        in_hundred(overall["rate"]),
        named,
    )


def _picture(overall: dict[str, Any], worst: dict[str, Any] | None, scale: Scale) -> Markup:
    """Return everybody (full circle) and the worst group (diamond) on one line."""
    parts = str(scale.draw(overall["rate"], overall.get("ci_low"), overall.get("ci_high")))
    if not worst:
        return Markup(parts)  # noqa: S704 -- numbers only
    second = str(scale.draw(worst["rate"], worst.get("ci_low"), worst.get("ci_high")))
    inner = second[second.index(">") + 1 : second.rindex("</svg>")]
    middle = HEIGHT // 2
    return Markup(  # noqa: S704 -- numbers only
        parts.replace("</svg>", f'<g class="w2" transform="translate(0 {middle - 3})">{inner}</g></svg>')
        .replace(f'viewBox="0 0 {scale.width} {HEIGHT}"', f'viewBox="0 0 {scale.width} {HEIGHT + 6}"')
        .replace('class="iv"', 'class="iv two"')
    )


def in_hundred(wer: object) -> str:
    """Return an error rate as words wrong in a hundred, without digits that nobody needs."""
    if words.missing(wer):
        return words.ABSENT
    value = 100 * float(str(wer))
    return f"{value:.1f}" if 0 < value < 1 else f"{value:,.0f}"


def said(row: Mapping[str, Any]) -> str:
    """Return a row's exact numbers for those who point at it."""
    inside = words.interval(row.get("ci_low"), row.get("ci_high"), "percent")
    return (
        f"{words.percent(row['rate'])} ({inside + chr(160) + '%' if inside else 'no interval'}), "
        f"{words.counted(int(row['speakers']), 'speaker')}, {words.counted(int(row['ref_words']), 'word')}"
    )
