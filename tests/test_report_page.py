"""The pages: the answer first, every table of the run, nothing from the data that runs, what is absent named."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_runs import make_run

from asrfair.errors import InputError
from asrfair.report import RunData, load_run, write_report
from asrfair.report.html.drawing import Scale
from asrfair.report.html.engines import in_hundred
from asrfair.report.html.evidence import gather
from asrfair.report.html.utterances import Piece, dense, pieces
from asrfair.report.sections import SECTIONS
from asrfair.types import Clip

HOSTILE_GROUPS = (
    "<script>window.hacked=1</script>",
    '"><img src=x onerror=window.hacked=1>',
    "=HYPERLINK(1)",
    "{{ 7*7 }}",
)
HOSTILE_TEXT = "<b onmouseover=window.hacked=1>nine</b> </script><script>window.hacked=1</script> {{ 7*7 }}"


class Page(HTMLParser):
    """Collects what tests ask about: tags with their attributes, scripts, ids, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.cells: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        """Note scripts and the text of cells."""
        if self._inside == "script":
            self.scripts[-1] += data
        elif self.cells:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        """Leave the tag."""
        self._inside = ""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated run with its report."""
    folder = make_run(tmp_path_factory.mktemp("page") / "run")
    write_report(folder, plots=False)
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose groups, engines, texts and name try to get out of the page, with its report."""
    folder = make_run(
        tmp_path_factory.mktemp("hostile") / "run",
        groups={"accent": HOSTILE_GROUPS},
        engines=("<svg onload=window.hacked=1>", "javascript:1"),
        conditions=("clean", "</style><script>window.hacked=1</script>"),
        speakers=(6, 7),
        reference="the patient in room nine",
        hypothesis=HOSTILE_TEXT,
        name="</title><script>window.hacked=1</script>",
        findings=({"level": "finding", "text": "<img src=x onerror=window.hacked=1>", "id": "x"},),
    )
    write_report(folder, plots=False)
    return folder


def unpacked(text: str) -> str:
    """Undo what the page packs."""
    return gzip.decompress(base64.b64decode(text.strip())).decode("utf-8")


def _fragments(kind: str, text: str) -> list[str]:
    """Return the pieces of HTML that the page's script takes out of what is packed."""
    if kind == "rows":
        return [text]
    content = json.loads(text)
    return list(content["html"].values()) if kind == "variants" else [row[3] for row in content["rows"]]


def test_every_section_is_there_and_linked(run: Path) -> None:
    """Each section of the run has an anchor, and every link inside the page leads somewhere."""
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(set(ids)) == len(ids)
    links = {str(attributes["href"]) for tag, attributes in page.tags if tag == "a"}
    assert all(link.startswith("#") and (link[1:] in ids or "=" in link) for link in links)
    wanted = {section.anchor for section in SECTIONS} - {"subgroups", "faas", "thresholds"}
    assert wanted | {"answer", "engines", "map", "places", "errors", "absent", "provenance"} <= set(ids)


def test_nothing_comes_from_elsewhere(run: Path) -> None:
    """The page names no address: pictures are inside, and the policy allows no request and no other script."""
    text = (run / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert all(
        str(a.get("src", "data:")).startswith("data:") for tag, a in page.tags if tag in {"img", "audio", "script"}
    )
    policy = next(str(a["content"]) for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    own = next(script for script in page.scripts if '"use strict"' in script)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")


def test_tables_of_the_page_hold_the_numbers_of_disparity_csv(run: Path) -> None:
    """Raw values in cells, packed rows and packed CSV are those of disparity.csv."""
    text = (run / "report.html").read_text(encoding="utf-8")
    with (run / "disparity.csv").open(encoding="utf-8") as stream:
        file = [row for row in csv.DictReader(stream) if row["attribute"] != "overall"]
    box = text[text.index('id="group-table"') : text.index('<section id="engines"')]
    packed = re.findall(r'class="(rows|file)">([^<]+)<', box)
    static = re.findall(r'<td class="n" data-v="([^"]*)"><span', box)
    later = [
        v for kind, part in packed if kind == "rows" for v in re.findall(r'data-v="([^"]*)"><span', unpacked(part))
    ]
    assert sorted(float(row["wer"]) for row in file) == sorted(map(float, [*static, *later]))
    download = next(unpacked(part) for kind, part in packed if kind == "file")
    names = ("engine", "condition", "attribute", "group")
    rows = {tuple(r[name] for name in names): r for r in csv.DictReader(io.StringIO(download))}
    assert len(file) == len(rows)
    for row in file:
        assert row == rows[tuple(row[name] for name in names)]


def test_the_median_of_the_speakers_is_ticked_where_there_is_an_interval() -> None:
    """The tick stands at the middle speaker; a group without interval, or of one speaker, has none."""
    scale = Scale(low=0.0, high=0.5, width=110)
    drawn = str(scale.draw(0.2, 0.1, 0.4, (0.1, 0.25, 0.5)))
    assert f'class="md" d="M{scale.position(0.25):.1f} ' in drawn
    assert 'class="md"' not in str(scale.draw(0.2, None, None, (0.1, 0.25, 0.5)))
    assert 'class="md"' not in str(scale.draw(0.2, 0.1, 0.4, (0.1,)))


def test_long_tables_are_packed(tmp_path: Path) -> None:
    """Rows beyond the first ones are packed, counted, and found again when unpacked."""
    groups = {"accent": tuple(f"accent {number}" for number in range(40))}
    run = make_run(tmp_path / "run", groups=groups, conditions=("clean", "a", "b"), speakers=(5,), utterances=1)
    write_report(run, plots=False)
    text = (run / "report.html").read_text(encoding="utf-8")
    box = text[text.index('id="group-table"') : text.index('<section id="engines"')]
    rest = unpacked(re.findall(r'class="rows">([^<]+)<', box)[0])
    assert 40 * 3 * 2 == 40 + rest.count("<tr ")
    assert "40 of 240 rows are shown" in box


def test_hostile_text_stays_text(hostile: Path) -> None:
    """Neither the page nor what it unpacks has a tag, attribute or template expression that came from the data."""
    text = (hostile / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    packed = re.findall(r'class="(rows|variants|utterances)">([^<]+)<', text)
    fragments = [html for kind, part in packed for html in _fragments(kind, unpacked(part))]
    everything = [page, *map(Page, fragments)]
    assert {"rows", "variants"} <= {kind for kind, _ in packed}
    tags = [pair for part in everything for pair in part.tags]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert not any("hacked" in script for script in page.scripts if "gzip" not in script)
    assert {"svg", "path", "circle"} >= {tag for tag, _ in tags if tag in {"svg", "path", "circle", "object", "iframe"}}
    assert not [tag for tag, _ in tags if tag == "img"]
    assert "{{ 7*7 }}" in text
    assert HOSTILE_GROUPS[0] in page.cells


def test_hostile_markdown_stays_text(hostile: Path) -> None:
    """report.md has no tag that is not escaped."""
    text = (hostile / "report.md").read_text(encoding="utf-8")
    assert "<script" not in text.replace("\\<", "")
    assert "<img" not in text.replace("\\<", "")


def test_absent_tables_are_named_with_what_makes_them(tmp_path: Path) -> None:
    """Without the optional tables the pages have the groups, and say what would make each missing section."""
    run = make_run(tmp_path / "run", conditions=("clean",), engines=("small",))
    for path in run.glob("*.csv"):
        if path.name != "disparity.csv":
            path.unlink()
    for path in run.glob("*.parquet"):
        path.unlink()
    assert ["report.md", "report.html"] == [path.name for path in write_report(run, plots=False)]
    page, markdown = ((run / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for text in (page, markdown):
        assert "two or more conditions, clean among them, in one run" in text
        assert "two or more engines in one run" in text
    assert 'id="gaps"' not in page
    assert "Not shown: the run folder holds no hypotheses." in page


def test_utterances_that_cannot_be_aligned_say_why(run: Path) -> None:
    """Texts that do not give the run's counts are not shown, and the page says why."""
    assert "scored with other rules" in (run / "report.html").read_text(encoding="utf-8")


def test_a_run_without_groups_says_so(tmp_path: Path) -> None:
    """A run with nobody to compare still has a report, which says for whom it cannot speak."""
    run = make_run(tmp_path / "run", conditions=("clean",), engines=("small",))
    lines = (run / "disparity.csv").read_text(encoding="utf-8").splitlines()
    (run / "disparity.csv").write_text(
        "\n".join([lines[0], *(x for x in lines if ",overall," in x)]) + "\n", encoding="utf-8"
    )
    for name in ("gaps", "differences", "metrics", "influence", "adjusted", "normalizers"):
        (run / f"{name}.csv").unlink()
    write_report(run, plots=True)
    assert "cannot say for whom" in (run / "report.md").read_text(encoding="utf-8")


def test_the_answer_says_which_groups_are_too_small(run: Path) -> None:
    """Groups below the smallest size are named among the limits."""
    text = (run / "report.md").read_text(encoding="utf-8")
    limits = text[text.index("## What cannot be concluded") : text.index("## What may mislead")].splitlines()
    assert any("nigerian (3)" in line and "fewer than 5 speakers" in line for line in limits)


def test_no_word_claims_what_a_table_cannot_show(run: Path) -> None:
    """Nothing in the pages calls a service fair or unbiased."""
    for name in ("report.html", "report.md"):
        text = (run / name).read_text(encoding="utf-8")
        text = re.sub(r'<script type="application/gzip.*?</script>', "", text, flags=re.DOTALL).replace("asrfair", "")
        assert not re.search(r"\b(un)?(fair|biased)\b|bias-free", text, re.IGNORECASE)


def test_worst_utterances_are_aligned(run: Path) -> None:
    """Struck-out and underlined words are those that the alignment calls lost and added."""
    steps = (("hit", "the", "the"), ("substitution", "cat", "hat"), ("deletion", "sat", ""), ("insertion", "", "down"))
    assert [
        Piece(kind="same", text="the"),
        Piece(kind="lost", text="cat sat"),
        Piece(kind="added", text="hat down"),
    ] == list(pieces(steps))


def test_long_utterances_are_cut_around_their_errors() -> None:
    """Of a long utterance the stretch with most errors is shown; a short one is whole."""
    hit, wrong = ("hit", "a", "a"), ("insertion", "", "b")
    steps = [hit] * 200 + [wrong] * 40 + [hit] * 200
    start, end = dense(steps)
    assert 60 == end - start
    assert 40 == sum(step == wrong for step in steps[start:end])
    assert (0, 90) == dense([hit] * 90)


def test_the_worst_utterances_are_those_with_excess_errors(tmp_path: Path) -> None:
    """First stands what has most errors beyond the engine's rate, and every group of every engine has its own."""
    run = load_run(make_run(tmp_path / "run", conditions=("clean",), groups={"accent": ("us", "indian")}))
    evidence = gather(run)
    assert evidence.worst is not None
    worst = evidence.worst
    assert sorted(worst["excess"], reverse=True) == list(worst["excess"])
    scores = run.scores("clean")
    assert scores is not None
    for engine, rows in scores.groupby("engine"):
        errors = rows[["substitutions", "deletions", "insertions"]].to_numpy().sum(axis=1)
        words = rows[["hits", "substitutions", "deletions"]].to_numpy().sum(axis=1)
        excess = errors - words * errors.sum() / words.sum()
        assert worst[worst["engine"] == engine]["excess"].max() == pytest.approx(excess.max())
        wrong = int((errors > 0).sum())
        assert wrong == evidence.counts[str(engine), "clean", "overall", "all"]
    assert {("small", "us"), ("small", "indian"), ("large", "us"), ("large", "indian")} == set(
        zip(worst["engine"], worst["by accent"], strict=True)
    )


def test_numbers_are_plain_first() -> None:
    """Words wrong in a hundred have no digits that nobody needs."""
    assert ["8", "0.4", "101", "–", "0"] == [in_hundred(value) for value in (0.0812, 0.004, 1.0149, None, 0.0)]


def test_recordings_are_in_the_page_only_when_given(tmp_path: Path) -> None:
    """Without a source of recordings there is no audio element; with one, MP3 data that decodes to the clip."""
    import soundfile

    run = make_run(tmp_path / "run", conditions=("clean",), engines=("small",), utterances=1, texts=True)
    write_report(run, plots=False)
    assert "<audio" not in (run / "report.html").read_text(encoding="utf-8")
    tone = np.sin(np.arange(16000) / 20).astype(np.float32)
    write_report(
        run, plots=False, audio=lambda utterance, _: Clip(utterance_id=utterance, samples=tone, sample_rate_hz=16000)
    )
    found = re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', (run / "report.html").read_text(encoding="utf-8"))
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(found[0])))
    assert 16000 == rate
    assert 1.0 == pytest.approx(len(samples) / rate, abs=0.2)


def test_worst_utterances_stand_in_the_page(tmp_path: Path) -> None:
    """The page shows speaker, groups and the marked words of the worst utterances."""
    run = make_run(tmp_path / "run", conditions=("clean",), engines=("small",), utterances=1, texts=True)
    write_report(run, plots=False)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "the patient <del>in</del> <ins>and</ins> room " in text
    assert "speaker speaker-0000 · us, female" in text


def test_the_same_run_gives_the_same_pages(run: Path, tmp_path: Path) -> None:
    """Both pages are the same bytes when written again."""
    write_report(run, plots=False, out=tmp_path)
    for name in ("report.html", "report.md"):
        assert (run / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.slow
def test_a_large_run_makes_a_small_page(tmp_path: Path) -> None:
    """60 groups × 20 conditions × 4 engines: under 4 MB, and without the plots' folder well under a minute."""
    groups = {"accent": tuple(f"accent of region {number}" for number in range(60))}
    profiles = [f"{name}@snr={snr}" for name in ("floor", "ward", "street", "car") for snr in (20, 10, 5)]
    conditions = ("clean", *profiles, *(f"place-{number}" for number in range(7)))
    engines = ("small", "medium", "large", "service")
    run = make_run(
        tmp_path / "run", groups=groups, engines=engines, conditions=conditions, speakers=(5, 9), utterances=1
    )
    start = time.process_time()
    write_report(run, plots=False)
    assert time.process_time() - start < 40
    assert (run / "report.html").stat().st_size < 4_000_000
    assert 20 * 60 * 4 == sum(load_run(run).disparity["attribute"] == "accent")


def test_json_that_is_damaged_is_named(run: Path, tmp_path: Path) -> None:
    """A findings.json that is no list of sentences is an error with the file's name."""
    for name in ("run.json", "disparity.csv"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "findings.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"findings\.json"):
        load_run(tmp_path)
    (tmp_path / "findings.json").write_text(json.dumps({"text": "x"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"findings\.json"):
        load_run(tmp_path)


def test_run_data_knows_its_parts(run: Path) -> None:
    """Engines, conditions and attributes come in the order of the suite."""
    data: RunData = load_run(run)
    assert ("small", "large") == data.engines
    assert "clean" == data.main_condition == data.conditions[0]
    assert ("accent", "gender", "accent × gender") == data.attributes
    assert (0.95, 5, "simulated") == (data.confidence, data.min_speakers, data.name)
