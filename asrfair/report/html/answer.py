"""The first screen: one sentence, one picture, three badges."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from asrfair.report.html.engines import engine_chart, ranked_engines
from asrfair.report.html.grouprows import group_chart
from asrfair.report.html.places import place_lines
from asrfair.report.html.views import Choices
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.titles import engines_title, groups_title, places_title

ENGINES_SHOWN: Final = 6
GROUPS_SHOWN: Final = 7


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
    lines, cut = place_lines(run, by=by, engine=engine) if len(run.conditions) > 1 else (Markup(""), "")
    if lines:
        return places_title(run.disparity, engine=engine) + (f". {cut}" if cut else ""), lines
    title = groups_title(run.disparity, attribute=by, engine=engine, condition=condition)
    chart, shown, total = group_chart(run, by=by, engine=engine, condition=condition, limit=GROUPS_SHOWN)
    return title + (f". {shown} of {total} groups shown" if shown < total else ""), chart
