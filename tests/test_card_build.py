"""Cards in every template and format, from real transcripts; their numbers are those of the run's tables."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from card_runs import GOLDEN, score_demo, steady, write_prose
from edacc_card import EDACC_CARD
from report_runs import NOISES, make_run

from asrfair.cards import FORMATS, OUTLINES, blank_prose, gather, read_prose, write_card
from asrfair.cards.as_json import schema
from asrfair.cards.build import build_card
from asrfair.cli.main import run as command
from asrfair.errors import InputError, MissingExtraError
from asrfair.report.tables import Table

SYSTEM = "parakeet-tdt-0.6b-v3"


@pytest.fixture(scope="module")
def demo(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run folder."""
    return score_demo(repository, tmp_path_factory.mktemp("card") / "demo")


@pytest.fixture(scope="module")
def edacc(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of EdAcc with one system; three of seven accents have fewer than five speakers."""
    folder = tmp_path_factory.mktemp("card-edacc")
    table = json.dumps(str(shared_data / "edacc" / "manifest.csv"))
    (folder / "edacc.toml").write_text(EDACC_CARD.format(table=table), encoding="utf-8")
    code = command(
        [
            "score", "--manifest", str(folder / "edacc.toml"), "--hypotheses",
            f"parakeet={shared_data / 'edacc' / 'hypotheses' / SYSTEM}.csv", "--by", "accent", "--where",
            "audited_group=1", "--normalizer", "whisper-english", "--min-speakers", "3", "--draws", "200",
            "--seed", "1", "--out", str(folder / "run"), "--no-html",
        ]
    )  # fmt: skip
    assert code == 0
    return folder / "run"


def rows_of(run: Path, name: str) -> list[dict[str, str]]:
    """A run's table, read by the standard library alone."""
    with (run / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def check_floors(runs: dict[str, Path], floors: list[dict[str, object]]) -> int:
    """Recompute every floor from counts and bounds of the CSV files; return how many there were."""
    checked = 0
    for floor in floors:
        run = runs[str(floor["run"])]
        mine = lambda row: (row["engine"], row["condition"]) == (floor["engine"], floor["condition"])  # noqa: B023, E731
        groups = [
            row
            for row in rows_of(run, "disparity")
            if mine(row) and row["attribute"] != "overall" and "not_stated" not in row["group"].split(" × ")
        ]
        large = [row for row in groups if int(row["speakers"]) >= 5 and int(row["ref_words"]) >= 100]
        names = {(row["attribute"], row["group"]) for row in large}
        assert floor["too_small"] == len(groups) - len(large)
        assert floor["groups"] == sum(" × " not in row["attribute"] for row in large)
        assert floor["intersections"] == sum(" × " in row["attribute"] for row in large)
        if floor["measure"] == "wer":
            rates = [
                sum(int(row[k]) for k in ("substitutions", "deletions", "insertions")) / int(row["ref_words"])
                for row in large
            ]
            assert floor["value"] == pytest.approx(max(rates), abs=1e-12)
            assert floor["bound"] == max(float(row["sim_high"]) for row in large)
        else:
            rates = []
            for row in large:
                hits, wrong = int(row["hits"]), int(row["substitutions"])
                precision = hits / (hits + wrong + int(row["insertions"]))
                recall = hits / (hits + wrong + int(row["deletions"]))
                rates.append(2 * precision * recall / (precision + recall))
            bounds = [
                float(row["sim_low"])
                for row in rows_of(run, "metrics")
                if mine(row) and row["metric"] == "word_f1" and (row["attribute"], row["group"]) in names
            ]
            assert floor["value"] == pytest.approx(min(rates), abs=1e-12)
            assert floor["bound"] == min(bounds)
        assert f"{100 * float(str(floor['value'])):.1f}" in str(floor["sentence"])
        checked += 1
    return checked


@pytest.mark.parametrize("template", ["aws", "model-card", "hf"])
def test_markdown_cards_are_the_golden_ones(demo: Path, tmp_path: Path, template: str) -> None:
    """The demo's cards are, but for version and commit, those in golden/card (ASRFAIR_UPDATE_GOLDEN=1 writes them)."""
    prose = write_prose(tmp_path / "prose.toml", key="intended_use")
    out = write_card([demo], prose, tmp_path / "card.md", template=template)
    text = steady(out.read_text(encoding="utf-8"))
    golden = GOLDEN / f"demo-{template}.md"
    if os.environ.get("ASRFAIR_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8", newline="\n")
    assert golden.read_text(encoding="utf-8") == text


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("template", ["aws", "model-card", "hf", "json"])
def test_edacc_and_demo_make_one_card_in_every_template(demo: Path, edacc: Path, tmp_path: Path, template: str) -> None:
    """Two corpora stand in one card, in every format of every template."""
    prose = write_prose(tmp_path / "prose.toml", key="intended_use")
    for form in FORMATS[template]:
        out = write_card([demo, edacc], prose, tmp_path / f"card.{form}", template=template, form=form)
        content = out.read_bytes()
        assert len(content) > 1000
        if form != "pdf":
            assert b"parakeet" in content
            assert b"pocketsphinx" in content


@pytest.mark.slow
@pytest.mark.shared
def test_floors_of_edacc_and_demo_recomputed_by_hand(demo: Path, edacc: Path, tmp_path: Path) -> None:
    """Floors of two corpora equal those computed from the CSV files; three accents of EdAcc are too small to say."""
    prose = write_prose(tmp_path / "prose.toml")
    card = json.loads(write_card([demo, edacc], prose, tmp_path / "card.json").read_text(encoding="utf-8"))
    assert check_floors({"asrfair-demo": demo, "edacc": edacc}, card["floors"]) == 4
    assert {0, 3} == {floor["too_small"] for floor in card["floors"]}
    hidden = [row["group"] for row in card["runs"][1]["groups"] if row["status"] == "suppressed"]
    assert ["Indian English", "Irish English", "Jamaican English"] == hidden


@pytest.mark.parametrize("template", ["aws", "model-card", "json"])
def test_json_cards_follow_the_published_schema_and_the_tables(demo: Path, tmp_path: Path, template: str) -> None:
    """The JSON validates; every published number is that of disparity.csv, unrounded."""
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    prose = write_prose(tmp_path / "prose.toml", key="intended_use")
    card = json.loads(write_card([demo], prose, tmp_path / "card.json", template=template).read_text(encoding="utf-8"))
    assert [] == list(Draft202012Validator(schema()).iter_errors(card))
    written = {(r["condition"], r["attribute"], r["group"]): r for r in card["runs"][0]["groups"]}
    table = rows_of(demo, "disparity")
    assert len(table) == len(written)
    for row in table:
        mine = written[row["condition"], row["attribute"], row["group"]]
        for name in ("speakers", "utterances", "ref_words", "hits", "wer", "ci_low", "ci_high", "sim_low", "sim_high"):
            assert float(row[name]) == mine[name]
    assert check_floors({"asrfair-demo": demo}, card["floors"]) == 2


def test_html_and_markdown_show_the_numbers_of_the_table(demo: Path, tmp_path: Path) -> None:
    """Every group's WER with its interval stands in the pages, rounded from disparity.csv."""
    prose = write_prose(tmp_path / "prose.toml")
    pages = [
        write_card([demo], prose, tmp_path / f"card.{form}").read_text(encoding="utf-8") for form in ("html", "md")
    ]
    for row in rows_of(demo, "disparity"):
        cell = "{:.1f} ({:.1f}–{:.1f})".format(*(100 * float(row[name]) for name in ("wer", "ci_low", "ci_high")))
        for page in pages:
            assert cell in page.replace("\\", "")


@pytest.mark.parametrize("every_group", [False, True])
def test_model_index_validates_with_huggingface_hub(demo: Path, tmp_path: Path, *, every_group: bool) -> None:
    """The Hub's own library reads the front matter and finds the table's numbers: everybody and the worst, or every group."""
    from huggingface_hub import ModelCard

    prose = write_prose(tmp_path / "prose.toml", key="intended_use")
    out = write_card([demo], prose, tmp_path / "README.md", template="hf", every_group=every_group)
    card = ModelCard.load(out)
    results = card.data.eval_results
    table = {(r["attribute"], r["group"]): float(r["wer"]) for r in rows_of(demo, "disparity")}
    found = {
        (r.dataset_args["attribute"], r.dataset_args["group"]): r.metric_value
        for r in results
        if r.metric_type == "wer"
    }
    named = set(table) if every_group else {("overall", "all"), ("accent", "Scottish English"), ("gender", "female")}
    assert {key: round(100 * wer, 6) for key, wer in table.items() if key in named} == found
    assert {"wer", "f1"} == {result.metric_type for result in results}
    assert "automatic-speech-recognition" == results[0].task_type
    assert "apache-2.0" == card.data.license
    assert card.data.to_dict()["model-index"][0]["name"] == "Example <b>Transcribe</b>"


def test_pdf_holds_the_text_and_is_the_same_twice(demo: Path, tmp_path: Path) -> None:
    """The PDF's text has sections, floors and numbers; the same card gives the same bytes."""
    from pypdf import PdfReader

    prose = write_prose(tmp_path / "prose.toml")
    one = write_card([demo], prose, tmp_path / "one.pdf").read_bytes()
    assert one == write_card([demo], prose, tmp_path / "two.pdf").read_bytes()
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(one)).pages)
    text = re.sub(r"\s+", " ", text)
    for words in ("Fairness and bias", "for every one of 4 groups", "Glossary", "Scottish English"):
        assert words in text
    wer = next(float(row["wer"]) for row in rows_of(demo, "disparity") if row["group"] == "female")
    assert f"{100 * wer:.1f}" in text


def test_pdf_without_its_library_names_the_extra(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Typst the message names the pip command."""
    monkeypatch.setitem(__import__("sys").modules, "typst", None)
    with pytest.raises(MissingExtraError, match=re.escape("asrfair[pdf]")):
        write_card([demo], write_prose(tmp_path / "prose.toml"), tmp_path / "card.pdf")


LONG = tuple(f"English as spoken in the {place} of the province, second language" for place in ("north", "far south"))
SCRIPTS = ("ภาษาไทยถิ่นอีสาน", "हिन्दी", "普通话", "한국어", "தமிழ்", "العربية", "עברית")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "engines", "conditions", "pages"),
    [
        ({"accent": LONG, "gender": ("female", "male")}, ("small", "large"), NOISES, 6),
        ({"accent": SCRIPTS, "gender": ("female", "male")}, ("one",), ("clean",), 6),
        (
            {"accent": tuple(f"accent-{number:03d}" for number in range(108))},
            tuple(f"wav2vec2_extra_large_{number:02d}" for number in range(25)), ("clean",), 8,
        ),
    ],
)  # fmt: skip
def test_pdf_is_tagged_short_and_breaks_no_word(
    tmp_path: Path,
    groups: dict[str, tuple[str, ...]],
    engines: tuple[str, ...],
    conditions: tuple[str, ...],
    pages: int,
) -> None:
    """Long names, many scripts, 25 engines × 108 accents: PDF/UA, few pages, and every word of every table in one piece."""
    from pypdf import PdfReader

    folder = make_run(
        tmp_path / "run", groups=groups, engines=engines, conditions=conditions, speakers=(6, 8, 2), utterances=1
    )
    prose = write_prose(tmp_path / "prose.toml").read_text(encoding="utf-8")
    plain = re.sub(r"The overall WER.*\n.*\n", "", prose)
    (tmp_path / "plain.toml").write_text(plain, encoding="utf-8")
    reader = PdfReader(write_card([folder], tmp_path / "plain.toml", tmp_path / "card.pdf"))
    assert pages >= len(reader.pages)
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert reader.root_object["/Lang"].startswith("en")
    assert "/StructTreeRoot" in reader.root_object
    assert "pdfuaid:part" in reader.root_object["/Metadata"].get_object().get_data().decode()
    text = "\n".join(page.extract_text() for page in reader.pages)
    found = set(re.split(r"[\s\u00a0]+", text))
    card = build_card(gather([folder]), read_prose(tmp_path / "plain.toml", OUTLINES["aws"]), "aws")
    tables = [block for part in card.sections for block in part.blocks if isinstance(block, Table)]
    words = {
        word
        for table in tables
        for row in table.rows()
        for column in table.shown
        for word in re.split(r"[\s\u00a0]+", column.show_both(row))
        if word.isascii() and word
    }
    assert len(words) > 20
    assert words - found == set()


@pytest.mark.slow
@pytest.mark.browser
def test_html_prints_on_few_pages(tmp_path: Path) -> None:
    """A card of 25 engines and 108 accents prints on eight pages or fewer."""
    from pypdf import PdfReader

    chromium = shutil.which("chromium") or pytest.skip("no Chromium")
    groups = {"accent": tuple(f"accent-{number:03d}" for number in range(108))}
    engines = tuple(f"wav2vec2_extra_large_{number:02d}" for number in range(25))
    folder = make_run(
        tmp_path / "run", groups=groups, engines=engines, conditions=("clean",), speakers=(6, 8, 2), utterances=1
    )
    (tmp_path / "prose.toml").write_text('[card]\nservice = "Mine"\n', encoding="utf-8")
    page = write_card([folder], tmp_path / "prose.toml", tmp_path / "card.html")
    command_line = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--no-pdf-header-footer",
        f"--print-to-pdf={tmp_path / 'x.pdf'}",
    ]
    subprocess.run([*command_line, f"file://{page}"], check=True, capture_output=True, timeout=120)
    assert len(PdfReader(tmp_path / "x.pdf").pages) <= 8


def test_hostile_prose_and_names_run_nothing(demo: Path, tmp_path: Path) -> None:
    """Tags of the author and of the service's name are shown as text; pictures and headings are not obeyed."""
    text = "<script>alert()</script> ![x](http://example.org/x.png)\n\n# Heading"
    prose = write_prose(tmp_path / "prose.toml", text)
    page = write_card([demo], prose, tmp_path / "card.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>Transcribe" not in page
    assert set(re.findall(r'<img src="([a-z:/+]*)', page)) == {"data:image/svg+xml"}
    assert 1 == page.count("<h1")
    markdown = write_card([demo], prose, tmp_path / "card.md").read_text(encoding="utf-8")
    assert "<script" not in markdown
    assert "\n# Heading" not in markdown
    assert not re.search(r"(?<!\\)!\[", markdown)


def test_every_template_can_be_begun_and_built(demo: Path, tmp_path: Path) -> None:
    """--init writes a file that is read again as it is and builds a card; it never overwrites."""
    for template in OUTLINES:
        blank = tmp_path / f"{template}.toml"
        assert 0 == command(["card", str(demo), "--template", template, "--init", "--out", str(blank)])
        with pytest.raises(InputError, match="no name yet"):
            read_prose(blank, OUTLINES[template])
        blank.write_text(blank.read_text(encoding="utf-8").replace("NAME OF THE SERVICE", "Mine"), encoding="utf-8")
        assert "" == read_prose(blank, OUTLINES[template]).version
        out = tmp_path / f"{template}.{FORMATS[template][0]}"
        assert 0 == command(["card", str(demo), "--template", template, "--prose", str(blank), "--out", str(out)])
        assert 2 == command(["card", str(demo), "--template", template, "--init", "--out", str(blank)])


def test_markdown_prose_is_the_same_as_toml(demo: Path, tmp_path: Path) -> None:
    """An author may write Markdown: headings are sections, bullets under Vouched are phrases."""
    path = tmp_path / "prose.md"
    path.write_text("# Service\n\n## Intended use\n\nSpeech at 16 kHz.\n\n## Vouched\n\n- 16 kHz\n", encoding="utf-8")
    out = write_card([demo], path, tmp_path / "card.md", template="model-card")
    assert "## Intended use\n\nSpeech at 16 kHz." in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[card]\nservice = 's'\n[prose]\noverveiw = 'x'\n", "overview"),
        ("[card]\nservise = 's'\n", "service"),
        ("[prose]\n", "required"),
    ],
)
def test_mistakes_in_the_prose_file_name_line_and_remedy(tmp_path: Path, content: str, message: str) -> None:
    """An unknown section or key names the nearest known one."""
    path = tmp_path / "prose.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_prose(path, OUTLINES["aws"])


def test_a_template_that_has_no_such_format_says_which_it_has(demo: Path, tmp_path: Path) -> None:
    """A README for the Hub cannot be a PDF."""
    with pytest.raises(InputError, match="Formats: md"):
        write_card([demo], write_prose(tmp_path / "p.toml"), tmp_path / "card.pdf", template="hf")


def test_blank_prose_shows_engine_names_on_one_line(demo: Path) -> None:
    """A newline in a label cannot break out of the comment that lists engines."""
    assert "evil =" not in blank_prose(OUTLINES["aws"], ["a\nevil = 1"]).split("\n")
    assert ("pocketsphinx",) == gather([demo]).engines
