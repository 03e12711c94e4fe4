"""The groups of one attribute as rows with a picture, for the first screen of a run of one engine in one place."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from asrfair.report.html.drawing import wer_scale
from asrfair.report.html.engines import WIDTH, in_hundred, said
from asrfair.report.html.views import link
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.titles import comparable


def group_chart(run: RunData, *, by: str, engine: str, condition: str, limit: int) -> tuple[Markup, int, int]:
    """Return the groups with the highest error rates and the one with the lowest, and how many of how many those are."""
    rows = run.disparity
    rows = rows[(rows["attribute"] == by) & (rows["engine"] == engine) & (rows["condition"] == condition)]
    every = [{str(key): value for key, value in row.items()} for row in comparable(rows).to_dict("records")]
    shown = every if len(every) <= limit else [*every[: limit - 1], every[-1]]
    highs = [float(row["ci_high"]) for row in every if not words.missing(row.get("ci_high"))]
    scale = wer_scale([float(row["rate"]) for row in every], highs, width=WIDTH)
    body = Markup("").join(_row(row, scale.draw(row["rate"], row.get("ci_low"), row.get("ci_high"))) for row in shown)
    return (
        Markup(
            '<table class="rank"><thead><tr><th scope="col">{}</th><th scope="col" class="d">'
            '<span class="visually-hidden">Picture</span>{}</th>'
            '<th scope="col" class="n">Wrong in 100</th></tr></thead><tbody>{}</tbody></table>'
        ).format(words.attribute_words(by).capitalize(), scale.axis(), body),
        len(shown),
        len(every),
    )


def _row(row: dict[str, Any], picture: Markup) -> Markup:
    href = link(engine=row["engine"], condition=row["condition"], by=row["attribute"], group=row["group"])
    return Markup(
        '<tr data-tip="{}"><th scope="row"><a href="{}">{}</a></th><td class="d">{}</td><td class="n"><b>{}</b></td></tr>'
    ).format(said(row), href, words.group_words(row["group"]), picture, in_hundred(row["rate"]))
