"""Which plots a run gets, and under which names they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asrfair.report.loading import RunData
from asrfair.report.plots import (
    coverage_plot,
    engine_against_engine,
    engine_heat_map,
    forest_plot,
    gap_over_conditions,
    heat_map,
    ranked_engines,
    snr_curves,
    snr_of_conditions,
    speaker_rates,
    speaker_strip,
)
from asrfair.report.plots.thresholds import threshold_figure
from asrfair.report.style import save_figure
from asrfair.say import words
from asrfair.scoring.metric import WER
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class PlannedFigure:
    """One plot: file stem, section of the page it stands in (empty for none), title, and the call that draws it."""

    stem: str
    section: str
    title: str
    draw: Callable[[], Figure]


MAX_ENGINES: Final = 4
"""Engines that stand side by side in one figure, and that have figures of their own. Where a run has more, all of them
are in the heat map and the ranking, and the ones with the fewest errors have figures of their own."""
MAX_FIGURES: Final = 40
"""Figures of a run: what a reader may look through."""


def planned_figures(run: RunData) -> Iterator[PlannedFigure]:
    """Yield the plots that the run's tables allow, what matters most first, at most :data:`MAX_FIGURES`."""
    attributes = list(run.attributes)
    single = [name for name in attributes if INTERSECTION not in name] or attributes
    every = (
        *(plan for a in attributes for plan in _forests(run, a)),
        *(plan for a in single for plan in _heat_maps(run, a)),
        *(plan for a in single for plan in _snr_curves(run, a)),
        *(plan for a in single for plan in _thresholds(run, a)),
        *(plan for a in single for plan in _widenings(run, a)),
        *(plan for a in single for plan in _engine_pairs(run, a)),
        *_speakers(run, single),
        *(plan for a in attributes for plan in _coverage(run, a)),
    )
    yield from every[:MAX_FIGURES]


def threshold_title(claims: pd.DataFrame | None, *, engine: str, place: str, attribute: str) -> str:
    """Return the clearest finding about thresholds, or that there is none; of everybody alone, what is drawn."""
    if attribute == OVERALL_ATTRIBUTE:
        return f"{engine} in {place}: everybody's word error rate as it gets harder"
    if claims is not None and len(claims):
        yes = claims[
            claims["affirmed"].astype(str).str.lower().eq("true")
            & claims["kind"].isin(("threshold", "threshold_ratio"))
            & (claims["engine"] == engine)
            & (claims["condition"] == place)
            & (claims["attribute"] == attribute)
        ]
        if len(yes):
            return str(yes.sort_values("rank", kind="stable").iloc[0]["text"])
    name = words.attribute_words(attribute)
    return f"{engine} in {place} by {name}: no difference in what groups can bear is beyond chance"


def _thresholds(run: RunData, attribute: str) -> Iterator[PlannedFigure]:
    if "thresholds" not in run.tables or "threshold_levels" not in run.tables:
        return
    table, levels = run.tables["thresholds"], run.tables["threshold_levels"]
    own = set(_own_figures(run))
    for (engine, place), rows in table[table["attribute"] == attribute].groupby(["engine", "place"], sort=False):
        if engine not in own or (rows["flag"] != "").all():
            continue
        heard = levels[(levels["engine"] == engine) & (levels["place"] == place)]
        title = threshold_title(run.tables.get("claims"), engine=str(engine), place=str(place), attribute=attribute)
        draw = partial(
            threshold_figure, rows, heard, title=title, attribute=attribute, target=str(rows["target"].iloc[0]),
            confidence=run.confidence,
        )  # fmt: skip
        stem = slug(" ".join(("thresholds", str(engine), str(place), attribute)))
        yield PlannedFigure(stem=stem, section="thresholds", title=title, draw=draw)


def _own_figures(run: RunData) -> tuple[str, ...]:
    """Return the engines that get figures of their own, in the run's order."""
    if len(run.engines) <= MAX_ENGINES:
        return run.engines
    rows = run.disparity
    whole = rows[(rows["attribute"] == OVERALL_ATTRIBUTE) & (rows["condition"] == run.main_condition)]
    best = set(whole.sort_values("rate", kind="stable")["engine"].head(MAX_ENGINES))
    return tuple(name for name in run.engines if name in best)


def _plan(
    draw: Callable[..., Figure], data: object, *, section: str, stem: tuple[str, ...], title: str, **how: Any
) -> PlannedFigure:
    return PlannedFigure(stem=slug(" ".join(stem)), section=section, title=title, draw=partial(draw, data, **how))


def _forests(run: RunData, attribute: str) -> Iterator[PlannedFigure]:
    condition, name = run.main_condition, words.attribute_words(attribute)
    rows = run.disparity[(run.disparity["attribute"] == attribute) & (run.disparity["condition"] == condition)]
    if not rows["rate"].notna().any():
        return
    if len(run.engines) > MAX_ENGINES:
        yield _plan(
            engine_heat_map,
            run.disparity,
            section="groups",
            stem=("groups-engines", attribute),
            title=run.said("WER") + f" by {name} and engine, {words.condition_words(condition)}",
            attribute=attribute,
            condition=condition,
            claims=run.tables.get("claims"),
        )
        if INTERSECTION not in attribute:
            yield _plan(
                ranked_engines,
                run.disparity,
                section="comparisons",
                stem=("ranked", attribute),
                title=run.said("Engines by WER")
                + f", everybody and the worst {name}, {words.condition_words(condition)}",
                attribute=attribute,
                condition=condition,
                min_speakers=run.min_speakers,
                confidence=run.confidence,
            )
    else:
        yield _plan(
            forest_plot,
            run.disparity,
            section="groups",
            stem=("forest", attribute),
            title=run.said("WER") + f" by {name} with intervals, {words.condition_words(condition)}",
            attribute=attribute,
            condition=condition,
            confidence=run.confidence,
        )


def _heat_maps(run: RunData, attribute: str) -> Iterator[PlannedFigure]:
    if len(run.conditions) < 2:
        return
    for engine in _own_figures(run):
        rows = run.disparity[(run.disparity["attribute"] == attribute) & (run.disparity["engine"] == engine)]
        if rows["rate"].notna().any():
            yield _plan(
                heat_map,
                run.disparity,
                section="",
                stem=("heat", attribute, engine),
                title=run.said("WER") + f" by {words.attribute_words(attribute)} and condition, {engine}",
                attribute=attribute,
                engine=engine,
            )


def _snr_curves(run: RunData, attribute: str) -> Iterator[PlannedFigure]:
    snr = snr_of_conditions(list(run.conditions), run.tables.get("achieved_by_group"))
    counts = snr.groupby("profile", sort=False)["snr_db"].nunique()
    for profile in [str(name) for name, count in counts.items() if count >= 2]:
        levels = set(snr[snr["profile"] == profile]["condition"])
        for engine in _own_figures(run):
            rows = run.disparity[(run.disparity["attribute"] == attribute) & (run.disparity["engine"] == engine)]
            if rows[rows["condition"].isin(levels) & rows["rate"].notna()]["condition"].nunique() >= 2:
                yield _plan(
                    snr_curves,
                    run.disparity,
                    section="conditions",
                    stem=("snr", attribute, profile, engine),
                    title=run.said("WER")
                    + f" against noise level by {words.attribute_words(attribute)}, {profile}, {engine}",
                    snr=snr,
                    attribute=attribute,
                    engine=engine,
                    profile=profile,
                    confidence=run.confidence,
                )


def _widenings(run: RunData, attribute: str) -> Iterator[PlannedFigure]:
    table = run.tables.get("interactions")
    if table is None:
        return
    for engine in _own_figures(run):
        rows = table[(table["attribute"] == attribute) & (table["engine"] == engine)]
        if rows["difference_in_differences"].notna().any():
            yield _plan(
                gap_over_conditions,
                table,
                section="interactions",
                stem=("widening", attribute, engine),
                title=f"How conditions move the gaps by {words.attribute_words(attribute)}, {engine}",
                attribute=attribute,
                engine=engine,
                confidence=run.confidence,
            )


def _engine_pairs(run: RunData, attribute: str) -> Iterator[PlannedFigure]:
    """The engine with the lowest WER over everybody against each of the others."""
    condition = run.main_condition
    rows = run.disparity[run.disparity["condition"] == condition]
    whole = rows[rows["attribute"] == OVERALL_ATTRIBUTE].sort_values("rate", kind="stable")["engine"].tolist()
    for other in whole[1:MAX_ENGINES]:
        part = rows[(rows["attribute"] == attribute) & rows["rate"].notna()]
        shared = set(part[part["engine"] == whole[0]]["group"]) & set(part[part["engine"] == other]["group"])
        if shared:
            yield _plan(
                engine_against_engine,
                run.disparity,
                section="comparisons",
                stem=("engines", attribute, other, whole[0]),
                title=f"{other} against {whole[0]} by {words.attribute_words(attribute)}",
                attribute=attribute,
                condition=condition,
                engine_a=other,
                engine_b=whole[0],
                confidence=run.confidence,
            )


def _speakers(run: RunData, attributes: list[str]) -> Iterator[PlannedFigure]:
    """One figure an attribute and engine; the scores are read when the first of them is drawn, and not before."""
    known = run.utterance_columns()
    if not known or not (run.path / "scores.parquet").is_file():
        return
    rows = run.disparity[(run.disparity["condition"] == run.main_condition) & run.disparity["rate"].notna()]
    for attribute in attributes:
        if not set(attribute.split(INTERSECTION)) <= known:
            continue
        rates = cache(partial(_rates, run, attribute))
        for engine in _own_figures(run):
            if ((rows["engine"] == engine) & (rows["attribute"] == attribute)).any():
                yield _plan(
                    _draw_speakers,
                    rates,
                    section="speakers",
                    stem=("speakers", attribute, engine),
                    title=run.said("WER") + f" of each speaker by {words.attribute_words(attribute)}, {engine}",
                    attribute=attribute,
                    engine=engine,
                    condition=run.main_condition,
                    min_speakers=run.min_speakers,
                )


def _rates(run: RunData, attribute: str) -> pd.DataFrame:
    scores, utterances = run.scores(run.main_condition), run.utterances()
    assert scores is not None
    assert utterances is not None
    return speaker_rates(scores, utterances, attribute=attribute, metric=run.metric)


def _draw_speakers(rates: Callable[[], pd.DataFrame], **how: Any) -> Figure:
    return speaker_strip(rates(), **how)


def _coverage(run: RunData, attribute: str) -> Iterator[PlannedFigure]:
    table = run.tables.get("coverage")
    if table is not None and (table["attribute"] == attribute).any():
        yield _plan(
            coverage_plot,
            table,
            section="",
            stem=("coverage", attribute),
            title=f"Speakers by {words.attribute_words(attribute)}",
            attribute=attribute,
            min_speakers=run.min_speakers,
        )


def write_figures(run: RunData, folder: Path) -> list[Path]:
    """Draw every planned plot into ``folder`` as PNG and SVG; return the files."""
    return [
        path
        for planned in planned_figures(run)
        for path in save_figure(labelled(planned.draw(), run), folder / planned.stem)
    ]


def labelled(figure: Figure, run: RunData) -> Figure:
    """Call WER by the name of the run's metric, wherever it stands in a plot."""
    if run.metric != WER:
        from matplotlib.text import Text

        for text in figure.findobj(Text):
            text.set_text(run.said(text.get_text()))
    return figure


def slug(text: str) -> str:
    """Return text fit for file names and links: lower-case letters, digits, hyphens; a hash where it lost some."""
    import hashlib

    plain = re.sub(r"[^a-z0-9]+", "-", text.lower().replace("×", "x")).strip("-")[:60]
    lossless = re.fullmatch(r"[A-Za-z0-9 _.×@=-]{1,60}", text) is not None and plain != ""
    return plain if lossless else f"{plain or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
