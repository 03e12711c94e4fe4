"""Plots: golden images with tolerance, the same bytes twice, and legible in the cases that break plots."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_runs import NOISES, make_run

from asrfair.report import RunData, load_run
from asrfair.report.figures import planned_figures, slug, write_figures
from asrfair.report.fontset import families
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
from asrfair.report.style import distinct, figure_bytes, group_labels, shortened, style, svg_size
from asrfair.say import words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GOLDEN = Path(__file__).parent / "golden" / "report"
LONG = tuple(f"English as spoken in the {name} of the province, second language" for name in ("north", "south", "east"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A simulated run of two engines in five conditions."""
    return load_run(make_run(tmp_path_factory.mktemp("plots") / "run"))


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A simulated run of 60 groups."""
    groups = {"accent": tuple(f"accent {number:02d}" for number in range(60))}
    return load_run(make_run(tmp_path_factory.mktemp("wide") / "run", groups=groups, speakers=(6, 3, 9), utterances=2))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A simulated run of groups with long names, of which no one has enough speakers."""
    return load_run(make_run(tmp_path_factory.mktemp("long") / "run", groups={"accent": LONG}, speakers=(4, 2, 1)))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A simulated run of one group and one engine."""
    groups = {"accent": ("everybody else",)}
    return load_run(make_run(tmp_path_factory.mktemp("one") / "run", groups=groups, engines=("small",)))


def speakers(run: RunData, condition: str = "clean") -> Figure:
    """Draw the speakers of a run's first engine."""
    scores, utterances = run.scores(), run.utterances()
    assert scores is not None
    assert utterances is not None
    rates = speaker_rates(scores, utterances, attribute="accent")
    return speaker_strip(rates, attribute="accent", engine="small", condition=condition)


def curves(run: RunData) -> Figure:
    """Draw WER against SNR of a run's first engine."""
    snr = snr_of_conditions(list(run.conditions))
    return snr_curves(run.disparity, snr, attribute="accent", engine="small", profile="floor")


PLOTS: dict[str, Callable[[RunData], Figure]] = {
    "forest": lambda run: forest_plot(run.disparity, attribute="accent", condition="clean"),
    "heat": lambda run: heat_map(run.disparity, attribute="accent", engine="small"),
    "snr": curves,
    "widening": lambda run: gap_over_conditions(run.tables["interactions"], attribute="accent", engine="small"),
    "engines": lambda run: engine_against_engine(
        run.disparity, attribute="accent", condition="clean", engine_a="small", engine_b=run.engines[-1]
    ),
    "speakers": speakers,
    "coverage": lambda run: coverage_plot(run.tables["coverage"], attribute="accent"),
    "many": lambda run: engine_heat_map(run.disparity, attribute="accent", condition="clean"),
    "ranked": lambda run: ranked_engines(run.disparity, attribute="accent", condition="clean"),
}
CASES = [
    *((name, "run") for name in PLOTS),
    *((name, "wide") for name in PLOTS),
    *((name, "long") for name in PLOTS if name != "widening"),
    *((name, "one") for name in PLOTS if name not in {"widening", "engines"}),
]


def small_png(figure: Figure) -> Image.Image:
    """Return the plot at 60 dots an inch, grey: enough to see a moved bar, small enough to keep."""
    figure.set_dpi(60)
    picture = Image.open(io.BytesIO(figure_bytes(figure, "png")))
    width, height = (round(side * 60) for side in figure.get_size_inches())
    return picture.convert("L").resize((width, height), Image.Resampling.BOX)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), CASES)
def test_plots_look_as_they_did(name: str, case: str, request: pytest.FixtureRequest) -> None:
    """Each plot differs from its golden image by no more than fonts and rasterizers do.

    ``ASRFAIR_UPDATE_GOLDEN=1`` writes the images anew; look at them before they are committed.
    """
    picture = small_png(PLOTS[name](request.getfixturevalue(case)))
    path = GOLDEN / f"{name}-{case}.png"
    if os.environ.get("ASRFAIR_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, optimize=True)
    golden = Image.open(path).convert("L")
    assert abs(golden.width - picture.width) <= 3
    assert abs(golden.height - picture.height) <= 3
    size = (golden.width // 2, golden.height // 2)
    first, second = (np.asarray(image.resize(size, Image.Resampling.BOX), dtype=float) for image in (golden, picture))
    assert np.sqrt(np.mean((first - second) ** 2)) < 8.0


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    """PNG and SVG of every plot are the same bytes when drawn twice."""
    groups = {"accent": ("us", "indian", "scottish")}
    run = load_run(make_run(tmp_path / "run", groups=groups, engines=("small",), conditions=NOISES[:3]))
    first = {path.name: path.read_bytes() for path in write_figures(run, tmp_path / "a")}
    second = {path.name: path.read_bytes() for path in write_figures(run, tmp_path / "b")}
    assert first == second
    assert {".png", ".svg"} == {Path(name).suffix for name in first}


def test_every_kind_of_plot_is_planned(run: RunData) -> None:
    """A run with conditions, engines and speakers gets all seven kinds of plot."""
    kinds = {planned.stem.split("-")[0] for planned in planned_figures(run)}
    assert {"forest", "heat", "snr", "widening", "engines", "speakers", "coverage"} == kinds


def test_plots_say_how_many_speakers(run: RunData) -> None:
    """The labels of groups carry their number of speakers."""
    for name in ("forest", "heat", "snr", "engines", "speakers", "coverage"):
        assert b"speakers" in figure_bytes(PLOTS[name](run), "svg"), name


def test_titles_state_the_worst_group_that_has_an_interval(run: RunData) -> None:
    """A group of three speakers is drawn, but the title speaks of the worst one that is large enough."""
    svg = figure_bytes(PLOTS["forest"](run), "svg").decode()
    assert "Worst accent, as recorded – indian: " in svg


@pytest.mark.slow
def test_no_text_leaves_the_figure(wide: RunData, long: RunData, one: RunData, run: RunData) -> None:
    """Every label, title and caption lies inside the picture, whatever the names and the number of groups."""
    for data in (run, wide, long, one):
        for name, draw in PLOTS.items():
            if name == "widening" and "interactions" not in data.tables:
                continue
            figure = draw(data)
            figure.canvas.draw()  # type: ignore[no-untyped-call]
            width, height = figure.bbox.width, figure.bbox.height
            boxes = [text.get_window_extent() for text in _texts(figure) if text.get_text().strip()]
            assert all(b.x0 > -2 and b.y0 > -2 and b.x1 < width + 2 and b.y1 < height + 2 for b in boxes), name


def _texts(figure: Figure) -> list[object]:
    found: list[object] = [*figure.texts]
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        if axes.get_legend():
            found += axes.get_legend().get_texts()
    return found


SCRIPTS = (
    *(
        "ภาษาไทยถิ่นอีสาน",
        "हिन्दी (क्षेत्रीय)",
        "普通话（北方）",
        "경상도 한국어",
        "தமிழ் (யாழ்ப்பாணம்)",
        "العربية الفصحى",
        "עברית מזרחית",
    ),
)
"""Groups named in Thai, Hindi, Chinese, Korean, Tamil, Arabic and Hebrew."""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A simulated run whose groups are named in seven scripts."""
    groups = {"accent": SCRIPTS}
    return load_run(
        make_run(tmp_path_factory.mktemp("scripts") / "run", groups=groups, speakers=(6, 3, 9), utterances=2)
    )


def test_no_letter_of_seven_scripts_is_missing(scripts: RunData) -> None:
    """Every letter of every plot has a glyph in a font that ships, and no label leaves the picture."""
    for name, draw in PLOTS.items():
        figure = draw(scripts)
        with style(), warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.canvas.draw()  # type: ignore[no-untyped-call]
            width = figure.bbox.width
            boxes = [text.get_window_extent() for text in _texts(figure) if text.get_text().strip()]
        assert all(box.x0 > -2 and box.x1 < width + 2 for box in boxes), name


def test_right_to_left_names_are_set_in_their_order() -> None:
    """A Hebrew name begins at its right end, and the number of speakers follows the name as in every other label."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    def outline(text: str) -> np.ndarray:
        return np.asarray(TextPath((0, 0), text, prop=FontProperties(family=list(families()), size=100)).vertices)

    with style():
        label, last, tail = (outline(text) for text in (group_labels(["אב"], [5])[0], "ב", "(5 speakers)"))
    first_drawn = label[label[:, 0] <= last[:, 0].max() + 1]
    assert np.allclose(first_drawn[:, 0].max(), last[:, 0].max(), atol=1.0)
    ending = label[label[:, 0] >= label[:, 0].max() - np.ptp(tail[:, 0]) - 1]
    assert np.allclose(np.ptp(ending[:, 0]), np.ptp(tail[:, 0]), atol=2.0)
    assert np.allclose(np.sort(ending[:, 1])[:5], np.sort(tail[:, 1])[:5], atol=2.0)


def test_a_letter_that_no_font_has_is_no_warning() -> None:
    """Cuneiform is drawn as a frame, without a warning."""
    frame = pd.DataFrame({"attribute": ["a"], "group": ["\U00012000"], "speakers": [6], "utterances": [9]})
    assert figure_bytes(coverage_plot(frame, attribute="a"), "png")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A simulated run of seven engines and 45 groups, in which one engine has looped and others have too."""
    groups = {"accent": tuple(f"accent {number:02d}" for number in range(45))}
    path = make_run(
        tmp_path_factory.mktemp("crowd") / "run", groups=groups, speakers=(6, 3, 9), utterances=2,
        engines=tuple(f"engine-{letter}" for letter in "abcdefg"), conditions=("clean",),
    )  # fmt: skip
    data = load_run(path)
    rows = data.disparity
    looped = (rows["engine"] == "engine-f") & (rows["group"] == "accent 20")
    data.tables["disparity"].loc[looped, ["rate", "ci_low", "ci_high"]] = [4.321, 2.0, 7.0]  # type: ignore[index]
    return data


def test_titles_agree_with_the_tables_over_all_engines(crowd: RunData) -> None:
    """Of every planned figure, each percentage in the title is in the tables, and the worst is the worst of all engines."""
    clean = crowd.disparity[crowd.disparity["condition"] == "clean"]
    known = {words.percent(value) for value in clean["rate"]} | {words.percent(value) for value in _medians(crowd)}
    stems = []
    for planned in planned_figures(crowd):
        stems.append(planned.stem)
        title = planned.draw().texts[0].get_text().replace("\n", " ")
        for found in re.findall(r"[\d,,.]+\u00a0%", title):
            assert found in known, (planned.stem, title)
        if planned.stem.startswith(("groups-engines", "forest")):
            assert "accent 20: 432.1\u00a0% of words wrong with engine-f" in title
            assert "(40 of 45 groups shown)" in title
        if planned.stem.startswith("ranked"):
            whole = clean[clean["attribute"] == "overall"].sort_values("rate")
            assert f"{words.percent(whole['rate'].iloc[0])} with {whole['engine'].iloc[0]}" in title
            assert f"{words.percent(whole['rate'].iloc[-1])} with {whole['engine'].iloc[-1]}" in title
    assert {"groups-engines-accent", "ranked-accent"} <= set(stems)
    title = forest_plot(crowd.disparity, attribute="accent", condition="clean").texts[0].get_text().replace("\n", " ")
    assert "432.1" in title
    assert "4 of 7 engines shown" in title


def _medians(run: RunData) -> list[float]:
    scores, utterances = run.scores("clean"), run.utterances()
    assert scores is not None
    assert utterances is not None
    rates = speaker_rates(scores, utterances, attribute="accent")
    return list(rates.groupby(["engine", "group"])["rate"].median())


def test_every_engine_is_drawn_or_counted(crowd: RunData) -> None:
    """The heat map and the ranking of seven engines have a label for each of them."""
    for name in ("many", "ranked"):
        labels = {text.get_text() for text in _texts(PLOTS[name](crowd))}  # type: ignore[attr-defined]
        assert {f"engine-{letter}" for letter in "abcdefg"} <= labels, name


def test_a_rate_far_above_the_others_does_not_flatten_them(crowd: RunData) -> None:
    """An axis ends at 150 % where one group has 432 %, which stands there as an arrow with its number."""
    for figure in (
        forest_plot(crowd.disparity, attribute="accent", condition="clean", engines=("engine-f",)),
        ranked_engines(crowd.disparity, attribute="accent", condition="clean"),
    ):
        assert figure.axes[0].get_xlim()[1] <= 150
        assert "432.1" in {text.get_text() for text in figure.axes[0].texts}


def test_claims_mark_the_cells_that_hold(crowd: RunData) -> None:
    """A dot stands in the cell of an affirmed group claim, and in no other."""
    claims = pd.DataFrame(
        {"kind": "group", "attribute": "accent", "condition": "clean", "engine": ["engine-f", "engine-a"],
         "group": ["accent 20", "accent 30"], "affirmed": ["true", "false"]}
    )  # fmt: skip
    figure = engine_heat_map(crowd.disparity, attribute="accent", condition="clean", claims=claims)
    assert 1 == len(figure.axes[0].lines)


def test_one_speaker_is_one_dot(run: RunData) -> None:
    """The strip of a group has as many dots as the group has speakers."""
    figure = speakers(run)
    dots = {len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o"}
    assert {8, 12, 6, 3} == dots


def test_hostile_names_are_drawn_and_not_run() -> None:
    """Dollar signs start no formula, tags stay text, control characters become spaces."""
    frame = pd.DataFrame(
        {
            "engine": "e<b>",
            "condition": "clean",
            "attribute": "a",
            "group": ["$\\frac{1}{0", "<script>alert(1)</script>", "a\x00b\x1b"],
            "speakers": [5, 6, 7],
            "utterances": 9,
            "rate": [0.1, 0.2, 0.3],
            "ci_low": [0.05, 0.1, 0.2],
            "ci_high": [0.2, 0.3, 0.5],
        }
    )
    svg = figure_bytes(forest_plot(frame, attribute="a", condition="clean"), "svg")
    assert b"<script" not in svg
    assert b"frac{1}{0" in svg
    assert b"\x1b" not in svg


def test_signal_to_noise_ratios_come_from_names_or_achieved_values() -> None:
    """A ratio in the name counts; otherwise what was achieved; a condition with neither has none."""
    achieved = pd.DataFrame(
        {"condition": ["ward@mild"], "attribute": "overall", "group": "all", "quantity": "snr_db", "mean": [14.96]}
    )
    names = ["clean", "floor@snr=5", "floor@mild,noise.snr_db=-2.5", "ward@mild", "codec"]
    found = snr_of_conditions(names, achieved)
    assert [
        ("floor@snr=5", "floor", 5.0),
        ("floor@mild,noise.snr_db=-2.5", "floor", -2.5),
        ("ward@mild", "ward", 15.0),
    ] == [tuple(row) for row in found.to_numpy()]


def test_speaker_rates_add_counts_up(run: RunData) -> None:
    """A speaker's WER is their summed errors over their summed words."""
    scores, utterances = run.scores(), run.utterances()
    assert scores is not None
    assert utterances is not None
    rates = speaker_rates(scores, utterances, attribute="accent × gender")
    first = rates.iloc[0]
    mine = utterances[utterances["speaker_id"] == first["speaker_id"]]["utterance_id"]
    rows = scores[scores["utterance_id"].isin(mine) & (scores["engine"] == first["engine"])]
    rows = rows[rows["condition"] == first["condition"]]
    errors = rows[["substitutions", "deletions", "insertions"]].to_numpy().sum()
    assert errors / rows[["hits", "substitutions", "deletions"]].to_numpy().sum() == first["rate"]
    assert " × " in first["group"]


def test_asking_for_what_is_not_there_says_so(run: RunData) -> None:
    """A plot of an unknown attribute, engine or profile raises a ValueError that names it."""
    with pytest.raises(ValueError, match="shoe size"):
        forest_plot(run.disparity, attribute="shoe size", condition="clean")
    with pytest.raises(ValueError, match="nobody"):
        heat_map(run.disparity, attribute="accent", engine="nobody")
    snr = snr_of_conditions(["clean"])
    with pytest.raises(ValueError, match="fewer than two"):
        snr_curves(run.disparity, snr, attribute="accent", engine="small", profile="floor")


def test_file_names_are_plain_and_distinct() -> None:
    """Names become lower-case ASCII; two names that would fall together get a hash."""
    assert "forest-accent-x-gender" == slug("forest accent × gender")
    assert slug("../../etc/passwd") != slug("etc passwd")
    assert "/" not in slug("../../etc/passwd")
    assert slug("é") != slug("è")


def test_long_labels_keep_both_ends() -> None:
    """A cut label shows how it begins and how it ends."""
    text = shortened(LONG[0], 34)
    assert 34 >= len(text)
    assert text.startswith("English as")
    assert text.endswith("language")


def test_labels_can_be_told_apart() -> None:
    """Names with the same beginning and end keep the part in which they differ; equal ones get a number."""
    labels = distinct(LONG)
    assert 3 == len(set(labels))
    assert all(word in label for word, label in zip(("north", "south", "east"), labels, strict=True))
    same = distinct(["x" * 60 + "a" + "y" * 60, "x" * 60 + "b" + "y" * 60])
    assert 2 == len(set(same))
    assert ["us", "scottish"] == distinct(["us", "scottish"])


def test_svg_size_is_in_css_pixels(run: RunData) -> None:
    """The page gives pictures their natural size."""
    figure = PLOTS["forest"](run)
    width, height = figure.get_size_inches()
    assert (round(96 * width), round(96 * height)) == pytest.approx(svg_size(figure_bytes(figure, "svg")), abs=1)
