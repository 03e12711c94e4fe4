"""One table definition, every format: the same numbers in each, and nothing in the data that a format would obey."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from report_runs import make_run
from rich.console import Console

from asrfair.cli.main import app
from asrfair.errors import InputError
from asrfair.report import Column, RunData, Table, all_tables, load_run, print_run, print_table, table, write_table
from asrfair.report.definitions import DEFINITIONS
from asrfair.report.runtables import side_by_side
from asrfair.report.sections import SECTIONS
from asrfair.report.tables import latex_text, markdown_text, to_csv, to_json, to_latex, to_markdown
from asrfair.say import words

ABSENT = {"thresholds", "subgroups", "faas"}
"""Tables that the simulated run does not have."""

HOSTILE = [
    "<script>alert(1)</script>",
    "=1+1|`rm`",
    "a|b\nc",
    r"\input{/etc/passwd} $x$ 100% & #_^~{}",
    "[red]bold[/red]",
    "![x](javascript:alert(1))",
    "\u202egnp.exe\x1b[31m",
    'quote " and, comma',
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A simulated run of two engines in five conditions."""
    return load_run(make_run(tmp_path_factory.mktemp("tables") / "run"))


def hostile_table() -> Table:
    """A table whose every text cell is hostile."""
    frame = pd.DataFrame({"group": HOSTILE, "speakers": range(1, 9), "wer": np.linspace(0.1, 0.8, 8)})
    columns = (
        Column(name="group", heading="Group"),
        Column(name="speakers", heading="Speakers", kind="count"),
        Column(name="wer", heading="WER %", kind="percent"),
    )
    return Table(name="hostile", title="Hostile", columns=columns, frame=frame)


def cells_of_markdown(text: str) -> list[list[str]]:
    """Read the body of a Markdown table."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def cells_of_latex(text: str) -> list[list[str]]:
    """Read the body of a LaTeX table."""
    body = text.split(r"\midrule")[1].split(r"\bottomrule", maxsplit=1)[0].replace(r"\endhead", "")
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in body.split(r"\\") if row.strip()]


def test_every_table_of_the_run_is_there(run: RunData) -> None:
    """A run gives a table for every file that it has, in the report's order."""
    assert [name for name in DEFINITIONS if name not in ABSENT] == list(all_tables(run))
    assert {section.table for section in SECTIONS if section.table} == set(DEFINITIONS)


@pytest.mark.parametrize("name", [name for name in DEFINITIONS if name not in ABSENT])
def test_formats_for_programs_hold_the_numbers_of_the_file(run: RunData, name: str, tmp_path: Path) -> None:
    """CSV, JSON and Parquet give back every value of the run's CSV, unrounded, under the file's names."""
    found = table(run, name)
    assert found is not None
    files = {path.suffix: path for path in write_table(found, tmp_path)}
    assert {".csv", ".md", ".tex", ".json", ".parquet"} == set(files)
    expected = found.as_written.reset_index(drop=True)
    header = (run.path / found.source).read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header == list(expected.columns)
    rows = json.loads(files[".json"].read_text(encoding="utf-8"))["rows"]
    parquet = pd.read_parquet(files[".parquet"])
    text = list(csv.DictReader(io.StringIO(files[".csv"].read_text(encoding="utf-8"))))
    for column in expected.columns:
        if not pd.api.types.is_numeric_dtype(expected[column]):
            assert expected[column].tolist() == [row[column] for row in rows] == parquet[column].tolist()
            continue
        wanted = expected[column].to_numpy(float)
        np.testing.assert_array_equal(wanted, np.array([row[column] for row in rows], dtype=float))
        np.testing.assert_array_equal(wanted, parquet[column].to_numpy(float))
        np.testing.assert_array_equal(wanted, np.array([float(row[column] or "nan") for row in text]))


def test_formats_for_people_hold_the_numbers_of_disparity_csv(run: RunData) -> None:
    """Markdown and LaTeX say each group's WER and interval as disparity.csv has them, to a tenth of a percent."""
    found = table(run, "groups")
    assert found is not None
    where = [column.name for column in found.shown].index("rate")
    markdown, latex = cells_of_markdown(to_markdown(found)), cells_of_latex(to_latex(found))
    assert len(found.frame) == len(markdown) == len(latex)
    with (run.path / "disparity.csv").open(encoding="utf-8") as stream:
        file = {(r["engine"], r["condition"], r["attribute"], r["group"]): r for r in csv.DictReader(stream)}
    keys = ("engine", "condition", "attribute", "group")
    for row, from_markdown, from_latex in zip(found.rows(), markdown, latex, strict=True):
        source = file[tuple(row[key] for key in keys)]
        ends = [source["ci_low"], source["ci_high"]]
        shown = f"{100 * float(source['wer']):.1f}"
        if all(ends):
            shown += " ({:.1f}–{:.1f})".format(*(100 * float(end) for end in ends))
        assert shown == from_markdown[where]
        assert shown.replace("–", "--") == from_latex[where]


def test_markdown_obeys_nothing() -> None:
    """Hostile cells stay one cell each: no tag, link, code, emphasis or new row."""
    text = to_markdown(hostile_table())
    assert 8 == len(cells_of_markdown(text))
    assert "<script" not in text.replace("\\<", "")
    assert not re.search(r"(?<!\\)[`\[\]<>*]", text)
    assert r"\<script\>alert(1)\</script\>" == markdown_text(HOSTILE[0])


def test_latex_obeys_nothing() -> None:
    """Every character that LaTeX acts on is escaped, so a cell cannot run a command or end the row."""
    text = to_latex(hostile_table())
    assert 8 == len(cells_of_latex(text))
    assert r"\input" not in text
    assert (
        r"\textbackslash{}input\{/etc/passwd\} \$x\$ 100\% \& \#\_\textasciicircum{}\textasciitilde{}\{\}"
        == latex_text(HOSTILE[3])
    )


def test_csv_runs_no_formula() -> None:
    """A cell that a spreadsheet would run gets an apostrophe, and quotes and line breaks survive."""
    rows = list(csv.DictReader(io.StringIO(to_csv(hostile_table()))))
    assert "'=1+1|`rm`" == rows[1]["group"]
    assert [HOSTILE[2], HOSTILE[7]] == [rows[2]["group"], rows[7]["group"]]


def test_terminal_obeys_nothing() -> None:
    """Neither rich mark-up nor escape sequences nor direction marks in a cell reach the terminal."""
    console = Console(width=160, record=True, file=io.StringIO())
    print_table(hostile_table(), console=console)
    text = console.export_text()
    assert "[red]bold[/red]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_long_latex_tables_break_over_pages(run: RunData) -> None:
    """More than 40 rows make a longtable, fewer a table."""
    found = table(run, "groups")
    assert found is not None
    assert r"\begin{longtable}" in to_latex(found)
    assert r"\begin{tabular}" in to_latex(found.head(3))


def test_missing_values_are_dashes_and_null() -> None:
    """Nothing is shown as a dash, written as null in JSON and as an empty cell in CSV; never as nan."""
    frame = pd.DataFrame({"group": ["a"], "wer": [float("nan")], "ci_low": [float("nan")], "ci_high": [float("nan")]})
    column = Column(name="wer", heading="WER %", kind="percent", low="ci_low", high="ci_high")
    found = Table(name="t", title="T", columns=(Column(name="group", heading="Group"), column), frame=frame)
    assert [["a", "–"]] == cells_of_markdown(to_markdown(found))
    assert {"group": "a", "wer": None, "ci_low": None, "ci_high": None} == json.loads(to_json(found))["rows"][0]
    assert "group,wer,ci_low,ci_high\na,,,\n" == to_csv(found)


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (0.2345, "percent", "23.4"),
        (0.0, "percent", "0.0"),
        (1.2346, "percent", "123.5"),
        (12.345, "percent", "1,234.5"),
        (-0.0001, "points", "0.0"),
        (-0.05, "points", "−5.0"),
        (0.05, "points", "+5.0"),
        (1.234, "ratio", "1.23"),
        (float("inf"), "ratio", "∞"),
        (0.0004, "p", "< 0.001"),
        (0.04, "p", "0.040"),
        (12345, "count", "12,345"),
        (None, "count", "–"),
        ("few_speakers;few_words", "flag", "too few speakers, too few words"),
        ("brand_new_flag", "flag", "brand new flag"),
    ],
)
def test_numbers_are_said_the_same_way_everywhere(value: object, kind: words.Kind, shown: str) -> None:
    """Rates become percentages with one decimal, minus is a minus, flags become words."""
    assert shown == words.number(value, kind)


def test_where_and_head_keep_the_definition(run: RunData) -> None:
    """Rows can be picked for a smaller table without touching columns or values."""
    found = table(run, "groups")
    assert found is not None
    part = found.where(engine="small", condition="clean", attribute="accent").head(2)
    assert ["nigerian", "indian"] == part.frame["group"].tolist()
    assert found.columns == part.columns


def test_side_by_side_has_a_column_an_engine(run: RunData) -> None:
    """The short table has the worst group first, its speakers, and a WER column an engine with the file's numbers."""
    found = side_by_side(run, attribute="accent", condition="clean")
    assert ["Group", "Speakers", "small WER %", "large WER %", "Note"] == [column.heading for column in found.shown]
    rows = run.disparity
    first = rows[
        (rows["group"] == found.frame["group"][0]) & (rows["engine"] == "large") & (rows["condition"] == "clean")
    ]
    assert first["rate"].iloc[0] == found.frame["rate_1"][0]


def test_the_terminal_answer_fits_narrow_and_piped(run: RunData) -> None:
    """On 80 columns no line is longer; piped, a table's rows are never folded."""
    narrow = Console(width=80, force_terminal=True, color_system=None, record=True, file=io.StringIO())
    print_run(run, console=narrow)
    lines = narrow.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert {"small", "large"} <= {line.split(" ")[0] for line in lines}


@pytest.mark.slow
@pytest.mark.parametrize("engines", [1, 2, 5, 25])
@pytest.mark.parametrize("width", [80, 64])
def test_every_table_on_80_columns_names_or_counts_every_engine(tmp_path: Path, engines: int, width: int) -> None:
    """Each table of a run, and the answer: no line is too long, no word is split, every engine is there or counted."""
    labels = tuple(f"wav2vec2_large_{number:02d}" for number in range(engines))
    groups = {"accent": ("Scottish English", "Nigerian English", "us", "indian")}
    conditions = ("clean", "floor@snr=5")
    data = load_run(make_run(tmp_path / "run", groups=groups, engines=labels, conditions=conditions, utterances=1))
    for draw in (print_run, *(partial(_print, item.head(30)) for item in all_tables(data).values())):
        console = Console(width=width, force_terminal=True, color_system=None, record=True, file=io.StringIO())
        draw(data, console=console)
        text = console.export_text()
        assert max(map(len, text.splitlines())) <= width
        for item in all_tables(data).values():
            if draw is not print_run and draw.args[0].name == item.name:  # type: ignore[attr-defined]
                assert {w.strip(",") for c in item.shown for w in c.heading.split()} <= set(
                    re.split(r"[\s:,]+", text)
                ), item.name
        for word in set(re.findall(r"wav\S*", text)):
            assert word.rstrip(":,.;") in labels, word
    console = Console(width=width, force_terminal=True, color_system=None, record=True, file=io.StringIO())
    print_run(data, console=console)
    text = console.export_text()
    found = {label for label in labels if re.search(rf"^ ?{label} ", text, re.MULTILINE)}
    counted = re.search(r"\+(\d+) engines?", text)
    if engines > 1:
        assert engines == len(found) + (int(counted[1]) if counted else 0)
    assert len(found) <= 15


def _print(item: Table, _: RunData, *, console: Console) -> None:
    print_table(item, console=console)


def test_columns_that_do_not_fit_are_named(run: RunData) -> None:
    """On a narrow terminal the headings of the columns that are left out stand below the table."""
    found = table(run, "gaps")
    assert found is not None
    console = Console(width=60, force_terminal=True, color_system=None, record=True, file=io.StringIO())
    print_table(found, console=console)
    text = console.export_text()
    assert re.search(r"^\+\d+ columns: ", text, re.MULTILINE)
    flat = " ".join(text.split())
    assert all(column.heading in flat or column.heading.split()[-1] in flat for column in found.shown)


def test_plain_writes_ascii_lines_and_no_colour(run: RunData, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR, also by --plain, no escape code and no box-drawing character is written."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(app, ["--plain", "report", str(run.path), "--no-html", "--no-plots"])
    assert 0 == result.exit_code
    assert "\x1b" not in result.output
    assert not re.search("[\u2500-\u257f]", result.output)
    assert "NO_COLOR" not in os.environ


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("wer,", "weer,", 1), "column is missing"),
        (lambda text: re.sub(r"\n(small,clean,overall,all),\d+", r"\n\1,many", text, count=1), "not a number"),
        (lambda text: text.splitlines()[0] + "\n", "no rows"),
    ],
)
def test_damaged_tables_are_named(run: RunData, tmp_path: Path, change: object, message: str) -> None:
    """A missing column, a word where a number stands and an empty table are errors that name the file."""
    (tmp_path / "run.json").write_text((run.path / "run.json").read_text(encoding="utf-8"), encoding="utf-8")
    text = (run.path / "disparity.csv").read_text(encoding="utf-8")
    (tmp_path / "disparity.csv").write_text(change(text), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        load_run(tmp_path)


def test_a_folder_without_tables_says_what_to_do(tmp_path: Path) -> None:
    """A folder that was not scored names the command that scores it."""
    with pytest.raises(InputError, match="asrfair score"):
        load_run(tmp_path)
    with pytest.raises(InputError, match="asrfair run"):
        load_run(tmp_path / "nowhere")


def test_an_unknown_format_names_the_known_ones(run: RunData, tmp_path: Path) -> None:
    """A misspelt format is an error that suggests the right one."""
    found = table(run, "coverage")
    assert found is not None
    with pytest.raises(InputError, match="Did you mean 'latex'"):
        write_table(found, tmp_path, ("latx",))


def test_groups_named_like_numbers_stay_text(tmp_path: Path) -> None:
    """Groups called 1, NA and None are groups, not numbers or nothing."""
    found = load_run(make_run(tmp_path / "run", groups={"level": ("1", "NA", "None")}, conditions=("clean",)))
    assert {"1", "NA", "None"} == set(found.disparity[found.disparity["attribute"] == "level"]["group"])
