"""Titles of charts are true of everything that was measured: each is read and compared with the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from report_runs import make_run
from test_report_page import unpacked

from asrfair.report import RunData, load_run
from asrfair.report.html.conditions import TOP, condition_lines
from asrfair.report.html.page import html_page
from asrfair.report.html.views import choices_of
from asrfair.say.titles import comparable, conditions_title, engines_title, groups_title, map_title, places_title

ENGINES = tuple(f"engine {number}" for number in range(9))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Nine engines, twelve accents, a third of them small, two places."""
    groups = {"accent": tuple(f"accent {number:02d}" for number in range(12)), "gender": ("female", "male")}
    folder = tmp_path_factory.mktemp("titles") / "run"
    make_run(folder, groups=groups, engines=ENGINES, conditions=("clean", "floor@snr=0"), speakers=(6, 3, 9))
    return load_run(folder)


def percent(value: float) -> str:
    """Return a rate as titles say it."""
    return f"{100 * value:.1f}\u00a0%"


def rows(run: RunData, **equal: str) -> pd.DataFrame:
    """Return the rows of the group table with these values."""
    table = run.disparity
    for name, value in equal.items():
        table = table[table[name] == value]
    return table


def known(table: pd.DataFrame) -> pd.DataFrame:
    """Return rows of groups that are large enough, the highest first."""
    return table[table["ci_low"].notna()].sort_values("rate", ascending=False, kind="stable")


def test_titles_name_the_extremes_of_all_engines(run: RunData) -> None:
    """Highest and lowest of groups, engines, maps and places are those of the tables, over all engines."""
    for condition in run.conditions:
        where = {"clean": "as recorded"}.get(condition, condition)
        whole = rows(run, attribute="overall", condition=condition).sort_values("rate")
        title = engines_title(run.disparity, condition=condition)
        assert title.startswith(f"Of 9 engines, {whole['engine'].iloc[0]} makes the fewest")
        assert f"{whole['engine'].iloc[-1]} the most ({percent(whole['rate'].iloc[-1])}), {where}" in title
        for by in ("accent", "gender"):
            every = known(rows(run, attribute=by, condition=condition))
            title = map_title(run.disparity, attribute=by, condition=condition)
            top, low = every.iloc[0], every.iloc[-1]
            assert f"is that of {top['group']} with {top['engine']} ({percent(top['rate'])})" in title
            assert f"the lowest that of {low['group']} with {low['engine']} ({percent(low['rate'])}), {where}" in title
            for engine in run.engines:
                mine = known(rows(run, attribute=by, condition=condition, engine=engine))
                title = groups_title(run.disparity, attribute=by, engine=engine, condition=condition)
                assert f"{mine['group'].iloc[0]} has the highest error rate ({percent(mine['rate'].iloc[0])})" in title
                assert (
                    f"{mine['group'].iloc[-1]} the lowest ({percent(mine['rate'].iloc[-1])}): {engine}, {where}"
                    in title
                )
    for engine in run.engines:
        whole = rows(run, attribute="overall", engine=engine).sort_values("rate")
        title = conditions_title(run.disparity, engine=engine)
        assert percent(whole["rate"].iloc[0]) in title
        assert percent(whole["rate"].iloc[-1]) in title
        every = known(rows(run, attribute="accent", engine=engine))
        high, low = every.iloc[0], every.iloc[-1]
        where = [{"clean": "as recorded"}.get(row["condition"], row["condition"]) for row in (high, low)]
        title = places_title(run.disparity, attribute="accent", engine=engine)
        assert f"that of {high['group']}, {where[0]} ({percent(high['rate'])})" in title
        assert f", {where[1]} ({percent(low['rate'])}): {engine}" in title


def test_a_picture_of_places_holds_its_intervals(run: RunData) -> None:
    """No interval is cut at the top while it is not far longer than the values."""
    svg, _ = condition_lines(run, by="gender", engine=ENGINES[0])
    ends = [float(y) for pair in re.findall(r'class="ci"[^>]*y1="([0-9.]+)" y2="([0-9.]+)"', svg) for y in pair]
    assert len(ends) > 4
    assert min(ends) > TOP


@pytest.mark.slow
def test_every_title_of_the_page_is_one_of_these(run: RunData) -> None:
    """The page's titles, also those that stand in it packed, are made here, each for what is picked."""
    page = html_page(run)
    choices = choices_of(run)
    shown = dict(re.findall(r'<span class="view" id="([a-z-]+-title)" data-follows="[^"]*">([^<]+)</span>', page))
    assert {"groups-chart-title", "engines-title", "map-title", "places-title"} == set(shown)
    made = {
        "groups-chart-title": lambda by, engine, condition: groups_title(
            run.disparity,
            attribute=choices.by[by],
            engine=choices.engine[engine],
            condition=choices.condition[condition],
        ),
        "engines-title": lambda condition: engines_title(run.disparity, condition=choices.condition[condition]),
        "map-title": lambda by, condition: map_title(
            run.disparity, attribute=choices.by[by], condition=choices.condition[condition]
        ),
        "places-title": lambda by, engine: places_title(
            run.disparity, attribute=choices.by[by], engine=choices.engine[engine]
        ),
    }
    count = 0
    for packed in re.findall(r'class="variants">([^<]+)<', page):
        content = json.loads(unpacked(packed))
        for key, title in content["html"].items() if content["of"] in made else ():
            assert made[content["of"]](*map(int, key.split("|"))) == title
            count += 1
    assert count > 50
    assert "6 of 9 engines shown" in page


def test_groups_that_are_too_small_lead_no_title(run: RunData) -> None:
    """What has no interval is compared only where nothing else is left."""
    table = rows(run, attribute="accent", condition="clean", engine=ENGINES[0])
    assert comparable(table)["ci_low"].notna().all()
    small = table[table["ci_low"].isna()]
    assert len(small) == len(comparable(small))
    title = groups_title(small.head(1), attribute="accent", engine=ENGINES[0], condition="clean")
    assert title.endswith("Fewer than two groups can be compared")


def test_an_absent_number_is_no_extreme(tmp_path: Path) -> None:
    """A place in which nothing was scored says so."""
    data = load_run(make_run(tmp_path / "run", conditions=("clean",), engines=("small",)))
    nothing = data.disparity.assign(rate=float("nan"))
    assert "nothing was scored" in engines_title(nothing, condition="clean")
    assert "nothing was scored" in map_title(nothing, attribute="accent", condition="clean")
    assert "nothing was scored" in conditions_title(nothing, engine="small")
    assert "nothing was scored" in places_title(nothing, attribute="accent", engine="small")
