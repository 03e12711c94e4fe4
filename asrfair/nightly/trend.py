"""The trend page: WER of every group over the nights, with intervals, gaps, and the nights on which something changed.

The pictures are SVG drawn here, so that the page is one file without scripts that opens anywhere.
"""

from __future__ import annotations

import html
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from asrfair.errors import printable
from asrfair.nightly.history import History, Night, explained

WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 150, 14, 30
_COLOURS = ("#0b6e99", "#b3540a", "#3d7a37", "#8a3b8f", "#6b6b00", "#a31515", "#1f4fa3", "#5c4033")
MAX_NIGHTS = 400
"""Older nights stay in the history and are not drawn."""
MARKED = ("engine", "package", "manifest", "normalizer", "noise", "condition", "suite")

_LEGEND = (
    "Bars are intervals over speakers. "
    "Dashed lines mark nights on which an engine, package, manifest, rule or noise file changed."
)
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.25rem .75rem;border-bottom:1px solid #ccc}
td.n{text-align:right;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}figure{margin:1.5rem 0}
.fail{color:#a31515;font-weight:600}@media print{body{margin:0}}
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a picture: ``points`` are (night, value, low, high), bounds NaN where there are none."""

    name: str
    points: Sequence[tuple[int, float, float, float]]


def write_trend(history: History, suite: str) -> list[Path]:
    """Write ``trend/SUITE.html`` below the history, in one step; return the files written.

    Args:
        history: The history.
        suite: The suite's name.
    """
    nights = history.nights(suite)[-MAX_NIGHTS:]
    folder = history.folder / "trend"
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in suite)[:60] or "suite"
    path = folder / f"{name}.html"
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{name}.{os.getpid()}"
        aside.write_text(trend_page(suite, nights, history.accepted(suite)), encoding="utf-8")
        aside.replace(path)
    return [path]


def trend_page(suite: str, nights: Sequence[Night], accepted: int | None) -> str:
    """Return the page.

    Args:
        suite: The suite's name.
        nights: The nights to show, oldest first.
        accepted: The baseline's number.
    """
    groups = _table(nights, "groups")
    gaps = _table(nights, "gaps")
    changes = _table(nights, "changes")
    marked = changes[changes["kind"].isin(MARKED)] if len(changes) else changes
    marks: dict[int, list[str]] = {}
    for night, text in zip(marked.get("night", ()), marked.get("text", ()), strict=True):
        marks.setdefault(int(night), []).append(str(text))
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{_text(suite)}: trend</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><main>",
        f"<h1>{_text(suite)}: {len(nights)} nights</h1>",
        f"<p>Accepted baseline: night {accepted if accepted is not None else 'none'}. {_LEGEND}</p>",
    ]
    for (engine, condition), part in groups.groupby(["engine", "condition"], sort=False) if len(groups) else ():
        parts.append(f"<h2>{_text(engine)}, {_text(condition)}</h2>")
        for attribute, rows in part.groupby("attribute", sort=False):
            lines = [
                Line(name=str(group), points=_points(own, "wer", "ci_low", "ci_high"))
                for group, own in rows.groupby("group", sort=False)
            ]
            parts.append(_figure(f"WER by {attribute}, percent", lines, marks))
        own_gaps = gaps[(gaps["engine"] == engine) & (gaps["condition"] == condition)]
        lines = [
            Line(name=str(attribute), points=_points(rows, "gap", "gap_ci_low", "gap_ci_high"))
            for attribute, rows in own_gaps.groupby("attribute", sort=False)
        ]
        parts.append(_figure("Gap between the worst and the best group, points", lines, marks))
    parts += [
        "<h2>Nights</h2>",
        "<table><thead><tr><th>Night</th><th>Finished</th><th>Verdict</th><th>What changed</th>",
    ]
    parts.append("</tr></thead><tbody>")
    for night in reversed(nights):
        told: list[str] = changes.loc[changes["night"] == night.number, "text"].tolist() if len(changes) else []
        verdict = "failed" if night.verdict == "fail" else "passed"
        parts.append(
            f'<tr><td class="n">{night.number}</td><td>{_text(str(night.content.get("finished", "")))}</td>'
            f'<td class="{_text(night.verdict)}">{verdict}</td>'
            f"<td>{'<br>'.join(_text(item) for item in told)}</td></tr>"
        )
    parts.append("</tbody></table></main></body></html>")
    return "\n".join(parts) + "\n"


def _table(nights: Sequence[Night], name: str) -> pd.DataFrame:
    parts = [pd.read_parquet(night.path / f"{name}.parquet") for night in nights]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _points(rows: pd.DataFrame, value: str, low: str, high: str) -> list[tuple[int, float, float, float]]:
    columns = [pd.to_numeric(rows[name]).to_numpy(dtype="float64") * 100 for name in (value, low, high)]
    found = zip(rows["night"].tolist(), *(column.tolist() for column in columns), strict=True)
    return [(int(night), v, a, b) for night, v, a, b in found if math.isfinite(v)]


def _figure(title: str, lines: Sequence[Line], marks: dict[int, list[str]]) -> str:
    """Draw lines over nights; the caption says what the picture shows, the table below the pictures says the rest."""
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    first, last = min(p[0] for p in points), max(p[0] for p in points)
    tops = [b if math.isfinite(b) else v for _, v, _, b in points]
    top = max(min(max(tops), 2 * max(p[1] for p in points)), 1e-9) * 1.05

    def x(night: float) -> float:
        return _LEFT + (night - first + 0.5) / (last - first + 1) * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (1 - min(max(value, 0.0), top) / top) * (HEIGHT - _TOP - _BOTTOM)

    out = [f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(title)}">']
    for share in (0.0, 0.5, 1.0):
        level = top / 1.05 * share
        out.append(f'<path d="M{_LEFT} {y(level):.1f}H{WIDTH - _RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{_LEFT - 6}" y="{y(level) + 4:.1f}" font-size="11" text-anchor="end">{level:.1f}</text>')
    for night, texts in marks.items():
        if first <= night <= last:
            out.append(
                f'<path d="M{x(night):.1f} {_TOP}V{HEIGHT - _BOTTOM}" stroke="#444" stroke-dasharray="3 3">'
                f"<title>night {night}: {_text('; '.join(texts))}</title></path>"
            )
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        shift = (number - (len(lines) - 1) / 2) * min(3.0, 40 / (last - first + 1) / max(len(lines), 1))
        for night, _, low, high in line.points:
            if math.isfinite(low) and math.isfinite(high):
                at = f"M{x(night) + shift:.1f} {y(high):.1f}V{y(low):.1f}"
                out.append(f'<path d="{at}" stroke="{colour}" stroke-opacity=".35"/>')
        path = "".join(
            f"{'L' if index else 'M'}{x(night) + shift:.1f} {y(value):.1f}"
            for index, (night, value, _, _) in enumerate(line.points)
        )
        out.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for night, value, _, _ in line.points:
            told = _text(f"{line.name}, night {night}: {value:.1f}")
            place = f'cx="{x(night) + shift:.1f}" cy="{y(value):.1f}"'
            out.append(f'<circle {place} r="2.5" fill="{colour}"><title>{told}</title></circle>')
        if number < 14:
            out.append(f'<text x="{WIDTH - _RIGHT + 8}" y="{_TOP + 10 + 13 * number}" font-size="11" fill="{colour}">')
            out.append(f"{_text(line.name[:24])}</text>")
    out.extend(
        f'<text x="{x(night):.1f}" y="{HEIGHT - 12}" font-size="11" text-anchor="middle">{night}</text>'
        for night in dict.fromkeys((first, (first + last) // 2, last))
    )
    out.append(f"</svg><figcaption>{_text(title)}, by night</figcaption></figure>")
    return "".join(out)


def _text(value: object) -> str:
    return html.escape(printable(str(value), limit=600))
