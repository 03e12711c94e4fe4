"""The first screen: one sentence, one picture, three badges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup

from asrfair.report.html.conditions import condition_lines
from asrfair.report.html.engines import engine_chart, ranked_engines
from asrfair.report.html.grouprows import group_chart
from asrfair.report.html.views import Choices
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.answer import Answer
from asrfair.say.titles import conditions_title, engines_title, groups_title

ENGINES_SHOWN: Final = 6
GROUPS_SHOWN: Final = 7
MAX_WORDS: Final = 76
"""Words of sentence and badges in the first screen; with their marks they stay under 80."""
MIN_WORDS: Final = 8
"""A badge is not cut to fewer."""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """One badge of the first screen; ``cut`` says that its text goes on below."""

    label: str
    text: str
    cut: bool = False


def card_badges(answer: Answer) -> list[Badge]:
    """Return the badges, cut where the first screen would have more words than it may; whole they stand below."""
    badges = [
        Badge(label="How sure", text=answer.badges.sure),
        Badge(label="What breaks it", text=answer.badges.breaks),
        Badge(label="Next", text=answer.badges.next),
    ]
    if _count(answer.lead, badges) > MAX_WORDS:
        badges = [_cut(badge, badge.text.find(". ") + 1 or len(badge.text)) for badge in badges]
    while (over := _count(answer.lead, badges) - MAX_WORDS) > 0:
        longest = max(badges, key=lambda badge: len(badge.text.split()))
        words_of = longest.text.split()
        kept = len(words_of) - over
        if kept < MIN_WORDS:
            break
        place = badges.index(longest)
        badges[place] = replace(longest, text=" ".join(words_of[:kept]).rstrip(",;:") + " …", cut=True)
    return badges


def _count(lead: str, badges: list[Badge]) -> int:
    return len(" ".join([lead, *(f"{badge.label} {badge.text.removesuffix(' …')}" for badge in badges)]).split())


def _cut(badge: Badge, end: int) -> Badge:
    return replace(badge, text=badge.text[:end], cut=badge.cut or end < len(badge.text))


def card_picture(run: RunData, choices: Choices) -> tuple[str, Markup]:
    """Return the title and the picture of the first screen: engines ranked, places, or groups."""
    by, condition = choices.start("by"), choices.start("condition")
    if len(run.engines) > 1:
        total = len(ranked_engines(run, by=by, condition=condition))
        title = engines_title(run.disparity, condition=condition)
        if total > ENGINES_SHOWN:
            title += f". {ENGINES_SHOWN} of {words.counted(total, 'engine')} shown"
        return title, engine_chart(run, by=by, condition=condition, limit=ENGINES_SHOWN)
    engine = run.engines[0]
    lines, cut = condition_lines(run, by=by, engine=engine) if len(run.conditions) > 1 else (Markup(""), "")
    if lines:
        return conditions_title(run.disparity, engine=engine) + (f". {cut}" if cut else ""), lines
    title = groups_title(run.disparity, attribute=by, engine=engine, condition=condition)
    chart, shown, total = group_chart(run, by=by, engine=engine, condition=condition, limit=GROUPS_SHOWN)
    return title + (f". {shown} of {total} groups shown" if shown < total else ""), chart
