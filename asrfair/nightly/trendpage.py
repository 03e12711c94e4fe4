"""The trend page: a small picture for every group, its interval shaded, and the nights on which something changed.

The pictures are SVG drawn here, so that the page is one file without scripts that opens anywhere, in light and dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from asrfair.data.wholefile import PAGE_POLICY
from asrfair.errors import printable
from asrfair.nightly.trend import Mark, Panel, Trend
from asrfair.nightly.verdict import WORDS

WIDTH, HEIGHT = 330, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 16, 20
_DOTS = 100
"""Nights up to which each has a dot that says its figure."""
LEAST_SPAN = 5.0
"""Points that a picture spans at least: smaller movements are not blown up."""

_LEGEND = (
    "Each picture has a scale of its own. Shaded: the interval over speakers. Dotted: what the newest night was held "
    "against, by its rules. Red: a gate failed on that night. Dashed, with a letter: something changed, as listed below."
)
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--muted:#5b6570;--rule:#d5dae0;--page:#fff;--line:#0b5394;--bad:#b3261e;--warn:#8a5300}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--muted:#a3acb5;--rule:#3b4249;--page:#15181b;--line:#7db7f0;
--bad:#ff8a80;--warn:#ffb95c}}
body{font:16px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:72rem;padding:0 1rem;color:var(--ink);
background:var(--page);overflow-wrap:break-word}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .25rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr));gap:1rem 1.5rem}
figure{margin:0}figcaption{font-size:.9rem;line-height:1.3;min-height:2.6em}figcaption b{display:block}
svg{width:100%;height:auto;display:block}
svg text{font-size:11px;fill:var(--muted)}.rule{stroke:var(--rule)}.mark{stroke:var(--muted);stroke-dasharray:3 3}
.base{stroke:var(--ink);stroke-dasharray:1 3}.line{fill:none;stroke:var(--line);stroke-width:1.8}
.band{fill:var(--line);opacity:.16}.dot{fill:var(--line)}.bad{fill:var(--bad)}
.fail,.outage{color:var(--bad);font-weight:600}.warn{color:var(--warn);font-weight:600}.muted{color:var(--muted)}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--rule)}
td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
th,.pass,.warn,.fail,.outage{white-space:nowrap}summary{cursor:pointer;margin:.75rem 0}
@media print{body{margin:0}}
"""


def trend_page(trend: Trend) -> str:
    """Return the page."""
    numbers = [night.number for night in trend.nights]
    baseline = f"night {trend.accepted}" if trend.accepted is not None else "none"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8">{PAGE_POLICY}<title>{_text(trend.suite)}: trend</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><main>",
        f"<h1>{_text(trend.suite)}: {len(numbers)} night{'s' * (len(numbers) != 1)}</h1>",
        f"<p>{_newest(trend)} Accepted baseline: {baseline}.</p>",
        f'<p class="muted">{_LEGEND}</p>' if trend.sections else "",
        _changes(trend.marks),
    ]
    for section in trend.sections:
        parts.append(f"<h2>{_text(section.engine)}, {_text(section.condition)}</h2>")
        parts.append(_grid(section.overall, numbers, trend.marks))
        for attribute, panels in section.groups.items():
            parts.append(f"<h3>{_text(trend.measure)} by {_text(attribute)}, %</h3>")
            parts.append(_grid([panel for panel in panels if not panel.few], numbers, trend.marks))
            few = [panel for panel in panels if panel.few]
            if few:
                parts.append(
                    f"<details><summary>{len(few)} group{'s' * (len(few) != 1)} too small to be judged</summary>"
                )
                parts.append(_grid(few, numbers, trend.marks) + "</details>")
    parts.append(_nights(trend))
    parts.append("</main></body></html>")
    return "\n".join(part for part in parts if part) + "\n"


def _newest(trend: Trend) -> str:
    if not trend.nights:
        return "There is no night yet."
    night = trend.nights[-1]
    return f'The newest, night {night.number}, <span class="{_text(night.verdict)}">{_word(night.verdict)}</span>.'


def _word(verdict: str) -> str:
    return WORDS.get(verdict, "failed")


def _changes(marks: Sequence[Mark]) -> str:
    if not marks:
        return ""
    rows = "".join(
        f'<tr><td><b>{mark.letter}</b></td><td class="n">night {mark.night}</td>'
        f"<td>{'<br>'.join(_text(text) for text in mark.texts)}</td></tr>"
        for mark in marks
    )
    return f'<h2>What changed</h2><div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _nights(trend: Trend) -> str:
    rows = []
    for night in reversed(trend.nights):
        told = "<br>".join(_text(text) for text in trend.changes.get(night.number, ()))
        finished = str(night.content.get("finished", ""))[:16].replace("T", " ")
        rows.append(
            f'<tr><td class="n">{night.number}</td><td class="n">{_text(finished)}</td>'
            f'<td class="{_text(night.verdict)}">{_word(night.verdict)}</td><td>{told}</td></tr>'
        )
    head = "<tr><th>Night</th><th>Finished (UTC)</th><th>Verdict</th><th>What changed since the night before</th></tr>"
    return f'<h2>Nights</h2><div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _grid(panels: Sequence[Panel], numbers: Sequence[int], marks: Sequence[Mark]) -> str:
    return f'<div class="grid">{"".join(_figure(panel, numbers, marks) for panel in panels)}</div>' if panels else ""


def said(panel: Panel) -> str:
    """Return the newest figure of a panel in words, with its interval and its distance from the baseline."""
    _, value, low, high = panel.points[-1]
    text = f"{value:.1f} points" if panel.gap else f"{value:.1f} %"
    if math.isfinite(low) and math.isfinite(high):
        text += f" ({low:.1f}–{high:.1f})"
    if math.isfinite(panel.baseline):
        text += f", {value - panel.baseline:+.1f} on the baseline".replace("-", "−")
    return text


def span(panel: Panel) -> tuple[float, float]:
    """Return the lowest and the highest figure that a picture shows: all of the intervals, and some room."""
    known = [v for point in panel.points for v in point[1:] if math.isfinite(v)]
    known += [panel.baseline] if math.isfinite(panel.baseline) else []
    low, high = min(known), max(known)
    room = max((LEAST_SPAN - (high - low)) / 2, 0.05 * (high - low))
    return max(low - room, 0.0), high + room


def _levels(bottom: float, top: float) -> list[float]:
    """Return the round figures at which a picture has a line: three to six."""
    step = 10.0 ** math.floor(math.log10((top - bottom) / 2))
    step = next(step * factor for factor in (1, 2, 5, 10) if (top - bottom) / (step * factor) <= 5)
    return [step * index for index in range(math.ceil(bottom / step), math.floor(top / step) + 1)]


def _figure(panel: Panel, numbers: Sequence[int], marks: Sequence[Mark]) -> str:
    bottom, top = span(panel)
    index_of = {number: index for index, number in enumerate(numbers)}

    def x(number: int) -> float:
        return _LEFT + (index_of[number] + 0.5) / len(numbers) * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (top - value) / (top - bottom) * (HEIGHT - _TOP - _BOTTOM)

    title = f"{panel.name}: {said(panel)}"
    out = [
        f'<figure><figcaption><b>{_text(panel.name)}</b><span class="muted">{_text(said(panel))}</span></figcaption>'
    ]
    out.append(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(title)}">')
    for level in _levels(bottom, top):
        out.append(f'<path class="rule" d="M{_LEFT} {y(level):.1f}H{WIDTH - _RIGHT}"/>')
        out.append(f'<text x="{_LEFT - 5}" y="{y(level) + 4:.1f}" text-anchor="end">{level:g}</text>')
    free = 0.0
    for mark in marks:
        if mark.night not in index_of:
            continue
        at = x(mark.night)
        out.append(f'<path class="mark" d="M{at:.1f} {_TOP}V{HEIGHT - _BOTTOM}"><title>{_told(mark)}</title></path>')
        if at >= free:  # a letter more would lie on the last
            out.append(f'<text x="{at:.1f}" y="{_TOP - 4}" text-anchor="middle">{mark.letter}</text>')
            free = at + 12
    if math.isfinite(panel.baseline):
        out.append(f'<path class="base" d="M{_LEFT} {y(panel.baseline):.1f}H{WIDTH - _RIGHT}"/>')
    band = [(x(n), y(low), y(high)) for n, _, low, high in panel.points if math.isfinite(low) and math.isfinite(high)]
    if len(band) == 1:  # of one night alone there is no area
        at, lower, upper = band[0]
        band = [(at - 3, lower, upper), (at + 3, lower, upper)]
    if band:
        edge = [f"{at:.1f} {upper:.1f}" for at, _, upper in band] + [
            f"{at:.1f} {lower:.1f}" for at, lower, _ in reversed(band)
        ]
        out.append(f'<path class="band" d="M{"L".join(edge)}Z"/>')
    line = "L".join(f"{x(night):.1f} {y(value):.1f}" for night, value, _, _ in panel.points)
    out.append(f'<path class="line" d="M{line}"/>')
    for night, value, _, _ in panel.points:
        bad = night in panel.failed
        if not bad and len(numbers) > _DOTS:
            continue
        told = f"night {night}: {value:.1f}{', a gate failed' if bad else ''}"
        out.append(
            f'<circle class="{"bad" if bad else "dot"}" cx="{x(night):.1f}" cy="{y(value):.1f}" r="{4 if bad else 2}">'
            f"<title>{told}</title></circle>"
        )
    shown = dict.fromkeys((numbers[0], numbers[len(numbers) // 2], numbers[-1]))
    for number in shown:
        out.append(f'<text x="{x(number):.1f}" y="{HEIGHT - 5}" text-anchor="middle">{number}</text>')
    out.append("</svg></figure>")
    return "".join(out)


def _told(mark: Mark) -> str:
    return f"night {mark.night}: {_text('; '.join(mark.texts))}"


def _text(value: object) -> str:
    return html.escape(printable(str(value), limit=600))
