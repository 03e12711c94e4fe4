"""Error rates over conditions as lines: everybody and the groups that matter most, with one engine."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

import pandas as pd
from markupsafe import Markup, escape

from asrfair.report.html.drawing import ticks, wer_scale
from asrfair.report.html.engines import in_hundred, said
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.finding import records
from asrfair.say.titles import comparable
from asrfair.types import OVERALL_ATTRIBUTE

MAX_LINES: Final = 4
"""Groups drawn beside everybody; the best one and the worst ones of the worst place."""
MAX_CONDITIONS: Final = 7
TOP: Final = 14
HEIGHT: Final = 190
FOOT: Final = 40


def condition_lines(run: RunData, *, by: str, engine: str) -> tuple[Markup, str]:
    """Return the picture and what it does not show; empty for more than a few conditions.

    Widths are in percent, so that it fits any screen.
    """
    rows = run.disparity[run.disparity["engine"] == engine]
    whole = rows[(rows["attribute"] == OVERALL_ATTRIBUTE) & rows["rate"].notna()]
    conditions = [name for name in run.conditions if (whole["condition"] == name).any()]
    if not 2 <= len(conditions) <= MAX_CONDITIONS:
        return Markup(""), ""
    worst = str(whole.sort_values("rate", kind="stable")["condition"].iloc[-1])
    groups = _groups(rows, by, worst)
    lines = [("everybody", whole)] + [(g, rows[(rows["attribute"] == by) & (rows["group"] == g)]) for g in groups]
    scale = wer_scale(
        [float(frame["rate"].max()) for _, frame in lines],
        [float(frame["ci_high"].max()) for _, frame in lines[1:] if frame["ci_high"].notna().any()],
        width=HEIGHT,
    )
    top = scale.high
    drawn, labels = [], []
    for number, (name, frame) in enumerate(lines):
        cells = {row["condition"]: row for row in records(frame)}
        text, last = _line(words.group_words(name), number, [cells.get(condition) for condition in conditions], top)
        drawn.append(text)
        if last is not None:
            labels.append((last[0], f"{_short(words.group_words(name))} {last[1]}", number))
    body = "".join([_axis(top), *_condition_names(conditions), *drawn, *_labels(labels)])
    total = len(comparable(rows[(rows["attribute"] == by) & (rows["condition"] == worst)]))
    by_words = words.attribute_words(by)
    shown = f"{len(groups)} of {total} groups by {by_words} drawn" if len(groups) < total else ""
    said_of = f"Words wrong in 100 by place, {engine}: everybody and {len(groups)} groups by {by_words}"
    svg = f'<svg class="lines" height="{TOP + HEIGHT + FOOT}" role="img" aria-label="{escape(said_of)}">{body}</svg>'
    return Markup(svg), shown  # noqa: S704 -- texts are escaped


def _groups(rows: pd.DataFrame, by: str, worst: str) -> list[str]:
    if by == OVERALL_ATTRIBUTE:
        return []
    found = [str(g) for g in comparable(rows[(rows["attribute"] == by) & (rows["condition"] == worst)])["group"]]
    return found if len(found) <= MAX_LINES else [*found[: MAX_LINES - 1], found[-1]]


def _x(index: int, count: int) -> float:
    return 10 + 52 * index / max(count - 1, 1)


def _y(value: float, top: float) -> float:
    return TOP + HEIGHT * (1 - min(value, top) / top)


def _line(
    name: str, number: int, cells: list[dict[str, object] | None], top: float
) -> tuple[str, tuple[float, str] | None]:
    points = [
        (_x(index, len(cells)), _y(float(str(row["rate"])), top), row)
        for index, row in enumerate(cells)
        if row is not None and not words.missing(row["rate"])
    ]
    strokes = "".join(
        f'<line x1="{a[0]:.1f}%" y1="{a[1]:.1f}" x2="{b[0]:.1f}%" y2="{b[1]:.1f}"/>' for a, b in pairwise(points)
    )
    bars = "".join(
        f'<line class="ci" x1="{x:.1f}%" x2="{x:.1f}%" y1="{_y(float(str(row["ci_low"])), top):.1f}" '
        f'y2="{_y(float(str(row["ci_high"])), top):.1f}"/>'
        for x, _, row in points
        if number and not words.missing(row.get("ci_low"))
    )
    dots = "".join(
        f'<circle cx="{x:.1f}%" cy="{y:.1f}" r="4" data-tip="{escape(name)}, '
        f'{escape(words.condition_words(row["condition"]))}: {escape(said(row))}"/>'
        for x, y, row in points
    )
    last = (points[-1][1], in_hundred(points[-1][2]["rate"])) if points else None
    return f'<g class="s{number}">{bars}{strokes}{dots}</g>', last


def _labels(labels: list[tuple[float, str, int]]) -> list[str]:
    """Return the names at the right, moved apart so that none covers another."""
    placed: list[str] = []
    floor = TOP - 2.0
    for y, text, number in sorted(labels):
        floor = max(y + 4, floor + 15)
        placed.append(f'<text class="s{number}" x="65%" y="{floor:.1f}">{escape(text)}</text>')
    return placed


def _condition_names(conditions: list[str]) -> list[str]:
    drawn = []
    for number, condition in enumerate(conditions):
        lines = _broken(words.condition_words(condition))
        spans = "".join(
            f'<tspan x="{_x(number, len(conditions)):.1f}%" dy="{13 if part else 0}">{escape(line)}</tspan>'
            for part, line in enumerate(lines)
        )
        drawn.append(f'<text class="t" text-anchor="middle" y="{TOP + HEIGHT + 16}">{spans}</text>')
    return drawn


def _broken(name: str) -> list[str]:
    """Return a condition's name in at most two lines."""
    parts = [part for part in re.split(r"(?<=[-\s])|(?=@)", name) if part]
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1] + part) > 13 and len(lines) < 2:
            lines.append("")
        lines[-1] += part
    return [_short(line.strip(), 15) for line in lines]


def _short(text: str, limit: int = 24) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _axis(top: float) -> str:
    return "".join(
        f'<line class="a" x1="8%" x2="62%" y1="{_y(tick, top):.1f}" y2="{_y(tick, top):.1f}"/>'
        f'<text class="t" x="7%" text-anchor="end" y="{_y(tick, top) + 4:.1f}">{100 * tick:.0f}</text>'
        for tick in ticks(top)
    )
