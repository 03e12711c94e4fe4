"""The page in a real browser: pickers, tables, utterances, links, keyboard, accessibility, and no script from the data."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Self

import pytest
from edacc_card import EDACC_CARD
from report_runs import make_run
from test_report_page import HOSTILE_GROUPS, HOSTILE_TEXT

from asrfair.cli.main import run as command
from asrfair.report import load_run, write_report
from asrfair.report.html.serve import RunSite, Server, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from made_up import make_made_up_run
from reading import read_page

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("ASRFAIR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = Path(pytest.importorskip("axe_playwright_python").__file__).parent
WIDTHS = {"phone": 390, "laptop": 1280}
HEIGHTS = {"phone": 844, "laptop": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips with a reason where there is none (``ASRFAIR_REQUIRE_BROWSER=1`` makes that fail)."""
    message = "no Chromium found (apt-get install chromium, or set ASRFAIR_CHROMIUM)"
    if not CHROMIUM:
        if os.environ.get("ASRFAIR_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated run with its report; 30 groups in 5 conditions make the group table longer than the page shows."""
    groups = {"accent": tuple(f"accent {number:02d}" for number in range(30)), "gender": ("female", "male")}
    folder = make_run(
        tmp_path_factory.mktemp("browser") / "run",
        groups=groups,
        speakers=(6, 3, 9),
        utterances=2,
        findings=[{"level": "finding", "text": f"Finding {n}.", "id": str(n)} for n in range(8)],
    )
    write_report(folder, plots=False)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of few groups with every section of the report, for what looks at each element of the page."""
    folder = make_run(
        tmp_path_factory.mktemp("small") / "run",
        groups={"accent": ("us", "indian", "nigerian")},
        conditions=("clean", "floor@snr=10", "floor@snr=0"),
        speakers=(7, 9, 3),
        texts=True,
        findings=[{"level": level, "text": f"A {level}.", "id": level} for level in ("finding", "limit", "warning")],
    )
    write_report(folder, plots=False)
    return folder


class Visit:
    """A page that is open, with everything that it logged and asked for."""

    def __init__(self, browser: Browser, file: Path, **context: object) -> None:
        self.context = browser.new_context(accept_downloads=True, reduced_motion="reduce", **context)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.logged: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.logged.append(message.text))
        self.page.on("pageerror", lambda error: self.logged.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.still = context.get("java_script_enabled") is False
        self.page.set_default_timeout(90_000)
        self.open(file.as_uri())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def open(self, address: str) -> None:
        """Open an address and wait until the page's script has done what the address says."""
        self.page.goto(address)
        if not self.still:
            self.page.wait_for_selector("body[data-ready]")

    def ready(self, state: str) -> None:
        """Wait until the page shows a state."""
        self.page.wait_for_selector(f'body[data-ready="{state}"]')

    def column(self, table: str, number: int) -> list[str]:
        """Return the cells of a column as they are shown."""
        rows = self.page.locator(f"#{table} tbody tr")
        return rows.evaluate_all(f"rows => rows.map(row => row.cells[{number}].innerText.split('\\n')[0])")

    def numbers(self, table: str, number: int) -> list[float]:
        """Return the raw values of a column, nothing left out."""
        rows = self.page.locator(f"#{table} tbody tr")
        found = rows.evaluate_all(f"rows => rows.map(row => row.cells[{number}].dataset.v)")
        return [float(value) for value in found if value]


def axe(visit: Visit) -> None:
    """Hold that axe-core finds no violation in what is shown now."""
    visit.page.evaluate((AXE / "axe.min.js").read_text(encoding="utf-8"))
    result = visit.page.evaluate("rules => axe.run({runOnly: rules})", RULES)
    assert [] == [(v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in result["violations"]]
    assert len(result["passes"]) > 25


def test_the_page_asks_for_nothing_and_logs_nothing(browser: Browser, run: Path) -> None:
    """Opened from disk, the page makes no request beyond itself and its own data, and no console message."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.wait_for_load_state()
        assert [] == [url for url in visit.asked[1:] if not url.startswith("data:")]
        assert [] == visit.logged


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(browser: Browser, small: Path, scheme: str, width: str) -> None:
    """axe-core finds no violation of WCAG 2.2 AA, on a phone and a laptop, in light and dark."""
    context = {"viewport": {"width": WIDTHS[width], "height": 900}, "color_scheme": scheme, "bypass_csp": True}
    with Visit(browser, small / "report.html", **context) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
        visit.page.wait_for_timeout(500)
        axe(visit)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(browser: Browser, run: Path, width: str) -> None:
    """Wide tables scroll inside the page; the page itself does not scroll sideways."""
    with Visit(browser, run / "report.html", viewport={"width": WIDTHS[width], "height": 900}) as visit:
        assert WIDTHS[width] >= visit.page.evaluate("document.documentElement.scrollWidth")


def first_screen(browser: Browser, page: Path, scheme: str, width: str) -> None:
    """Hold that lead, picture and three badges stand in the first screen, in less than 80 words."""
    context = {"viewport": {"width": WIDTHS[width], "height": HEIGHTS[width]}, "color_scheme": scheme}
    with Visit(browser, page, **context) as visit:
        card = visit.page.locator("#answer")
        for part in (".lead", "figure", ".badges div:nth-child(3)"):
            box = card.locator(part).first.bounding_box()
            assert box is not None, part
            assert box["height"] > 10, part
            assert box["y"] + box["height"] <= HEIGHTS[width], part
        assert card.locator("figure svg, figure table").count() >= 1
        assert 3 == card.locator(".badges dd").count()
        assert all(card.locator(".badges dd").all_inner_texts())
        words = [*card.locator(".lead").all_inner_texts(), *card.locator(".badges").all_inner_texts()]
        assert len(" ".join(words).split()) < 80
        assert WIDTHS[width] >= visit.page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_screen_is_the_answer(browser: Browser, small: Path, scheme: str, width: str) -> None:
    """One sentence, one picture, three badges, on a phone and a laptop, in light and dark."""
    first_screen(browser, small / "report.html", scheme, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_among_the_utterances(browser: Browser, small: Path, width: str) -> None:
    """The utterances of a group, opened, and the statistics break no rule either."""
    with Visit(
        browser, small / "report.html", viewport={"width": WIDTHS[width], "height": 900}, bypass_csp=True
    ) as visit:
        visit.page.locator("#expert").click()
        visit.page.locator("#group-table tbody th a").first.click()
        visit.page.wait_for_selector("#reader[open] li")
        axe(visit)


def test_pickers_drive_every_chart_and_table(browser: Browser, run: Path) -> None:
    """Another engine and place change title, rows, heat map and the address; the numbers are those of the files."""
    data = load_run(run).disparity
    with Visit(browser, run / "report.html") as visit:
        page = visit.page
        before = page.locator("#groups-chart-title").inner_text()
        page.locator("#pick-engine").select_option("small")
        page.locator("#pick-condition").select_option("floor@snr=0")
        visit.ready("engine=small&condition=floor%40snr%3D0")
        title = page.locator("#groups-chart-title").inner_text()
        assert title != before
        rows = data[
            (data["engine"] == "small") & (data["condition"] == "floor@snr=0") & (data["attribute"] == "accent")
        ]
        known = rows[rows["ci_low"].notna()]
        assert str(known.sort_values("rate")["group"].iloc[-1]) in title
        wer = next(i for i, text in enumerate(page.locator("#group-table th .h").all_inner_texts()) if "wrong" in text)
        assert sorted(rows["rate"]) == pytest.approx(sorted(visit.numbers("group-table", wer)))
        assert "floor@snr=0" in page.locator("#map-title").inner_text()
        worst = data[(data["condition"] == "floor@snr=0") & (data["attribute"] == "accent") & data["ci_low"].notna()]
        assert str(worst.sort_values("rate")["group"].iloc[-1]) in page.locator("#map-title").inner_text()
        page.locator("#gaps > summary").click()
        page.wait_for_function("() => document.querySelectorAll('#table-gaps tbody tr').length === 1")
        page.locator("#pick-by").select_option("gender")
        page.wait_for_function("() => document.querySelectorAll('#group-table tbody tr').length === 2")


def test_a_link_brings_back_what_was_seen(browser: Browser, run: Path) -> None:
    """The address holds pickers and open group; opened elsewhere it shows the same."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.locator("#pick-engine").select_option("small")
        visit.ready("engine=small")
        visit.page.locator("#group-table tbody th a", has_text="accent 07").click()
        visit.page.wait_for_selector("#reader[open]")
        address = visit.page.url
        shown = visit.page.locator("#reader-title").inner_text()
    assert "group=accent+07" in address
    with Visit(browser, run / "report.html") as visit:
        visit.page.goto("about:blank")
        visit.open(address)
        assert "small" == visit.page.locator("#pick-engine").input_value()
        visit.page.wait_for_selector("#reader[open]")
        assert shown == visit.page.locator("#reader-title").inner_text()
        visit.page.keyboard.press("Escape")
        visit.page.wait_for_selector("#reader:not([open])", state="attached")
        assert "group" not in visit.page.url


def test_every_number_leads_to_its_utterances(browser: Browser, small: Path) -> None:
    """A cell of the heat map opens the utterances of its group and engine; kind and word filter them."""
    with Visit(browser, small / "report.html") as visit:
        page = visit.page
        page.locator("#map table.heat tbody tr", has_text="nigerian").locator("td").nth(1).click()
        page.wait_for_selector("#reader[open] li")
        engine = page.locator("#map table.heat thead th").nth(2).inner_text()
        assert page.locator("#reader-title").inner_text().startswith("nigerian")
        assert engine in page.locator("#reader-title").inner_text()
        assert "12 of 12 shown" in page.locator("#reader-status").inner_text()
        assert all("nigerian" in text for text in page.locator("#reader .who").all_inner_texts())
        assert "in" == page.locator("#reader del").first.inner_text()
        page.locator("#kind").select_option("d")
        page.wait_for_function("() => document.querySelectorAll('#reader li').length === 0")
        page.locator("#kind").select_option("s")
        page.locator("#word").fill("and")
        page.wait_for_function("() => document.querySelectorAll('#reader li').length === 12")
        page.locator("#word").fill("patient")
        page.wait_for_function("() => document.querySelectorAll('#reader li').length === 0")


def test_exact_numbers_where_one_points(browser: Browser, run: Path) -> None:
    """Pointing at a cell tells group, engine, error rate, interval and speakers."""
    data = load_run(run).disparity
    with Visit(browser, run / "report.html") as visit:
        row = visit.page.locator("#map table.heat tbody tr", has_text="accent 03")
        row.locator("td").first.hover()
        engine = visit.page.locator("#map table.heat thead th").nth(1).inner_text()
        told = visit.page.locator("#tip").inner_text()
        wanted = data[
            (data["group"] == "accent 03") & (data["engine"] == engine) & (data["condition"] == "clean")
        ].iloc[0]
        assert f"accent 03, {engine}: {100 * wanted['rate']:.1f}" in told
        assert f"{wanted['speakers']} speakers" in told


def test_sorting_keeps_small_groups_below(browser: Browser, run: Path) -> None:
    """A click sorts by value, a second one turns it round; groups without an interval stay at the end."""
    with Visit(browser, run / "report.html") as visit:
        heads = visit.page.locator("#group-table thead th")
        wer = next(i for i, text in enumerate(heads.all_inner_texts()) if "wrong" in text)
        button = heads.nth(wer).locator("button")
        for direction, back in (("descending", True), ("ascending", False)):
            button.press("Enter")
            visit.page.wait_for_selector(f"#group-table th[aria-sort={direction}]")
            visit.page.wait_for_timeout(200)
            small = visit.page.locator("#group-table tbody tr").evaluate_all(
                "r => r.map(x => x.classList.contains('small'))"
            )
            assert sorted(small) == small
            values = visit.numbers("group-table", wer)
            large = values[: small.index(True)]
            assert sorted(large, reverse=back) == large
        heads.nth(0).locator("button").click()
        visit.page.wait_for_timeout(200)
        assert "none" == heads.nth(wer).get_attribute("aria-sort")


def test_searching_finds_words_wherever_they_stand(browser: Browser, run: Path) -> None:
    """Every word is looked for in every row, also of engines and places that are not picked; the count is said."""
    with Visit(browser, run / "report.html") as visit:
        box = visit.page.locator("#group-table")
        box.locator("input[type=search]").fill("small 29 snr=0 accent")
        visit.page.wait_for_function(
            "() => [...document.querySelectorAll('#group-table tbody tr')].every(r => r.cells[0].textContent.includes('29'))"
        )
        found = visit.page.locator("#group-table tbody tr").all_inner_texts()
        assert found
        assert all("small" in text and "accent 29" in text and "floor@snr=0" in text for text in found)
        box.locator("input[type=search]").fill("nobody at all")
        visit.page.wait_for_function("() => document.querySelectorAll('#group-table tbody tr').length === 0")
        assert box.locator(".status").inner_text().startswith("0 of ")


def test_long_tables_hold_only_the_rows_in_sight(browser: Browser, run: Path) -> None:
    """Hundreds of rows scroll smoothly: the page holds some tens of them, and the last one is reached."""
    with Visit(browser, run / "report.html") as visit:
        page = visit.page
        page.locator("#group-table .every").check()
        page.wait_for_selector("#group-table table.virtual")
        count = int(page.locator("#group-table").get_attribute("data-count") or 0)
        assert str(count + 1) == page.locator("#group-table table").get_attribute("aria-rowcount")
        assert page.locator("#group-table tbody tr").count() < 120
        page.locator("#group-table .scroll").evaluate("part => { part.scrollTop = part.scrollHeight }")
        page.wait_for_selector(f"#group-table tr[aria-rowindex='{count + 1}']")
        assert page.locator("#group-table tbody tr").count() < 120


def test_headings_stay_in_sight(browser: Browser, run: Path) -> None:
    """The heading row of a scrolled table stays at its top."""
    with Visit(browser, run / "report.html") as visit:
        scroll = visit.page.locator("#group-table .scroll")
        scroll.evaluate("part => { part.scrollTop = 400 }")
        top, head = scroll.bounding_box(), visit.page.locator("#group-table thead th").first.bounding_box()
        assert top is not None
        assert head is not None
        assert top["y"] == pytest.approx(head["y"], abs=2)


def test_downloads_are_the_numbers_of_the_file(browser: Browser, run: Path) -> None:
    """Every table downloads as CSV; the one of the gaps is the file of the run folder, byte for byte after the mark."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.locator("#gaps > summary").click()
        with visit.page.expect_download() as waiting:
            visit.page.locator("#table-gaps button.csv").click()
        assert "gaps.csv" == waiting.value.suggested_filename
        text = Path(waiting.value.path()).read_bytes()
        assert (run / "gaps.csv").read_bytes() == text.removeprefix("\ufeff".encode())
        with visit.page.expect_download() as waiting:
            visit.page.locator("#group-table button.csv").click()
        rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8-sig"))))
        assert len(load_run(run).disparity) - 10 == len(rows)


def test_deep_links_open_what_they_name(browser: Browser, run: Path) -> None:
    """A link to a folded part opens it; links of the contents lead to their sections."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.evaluate("location.hash = 'coverage'")
        visit.page.wait_for_function("() => document.getElementById('coverage').open")
        visit.page.locator("nav a", has_text="Errors").click()
        visit.page.wait_for_timeout(300)
        assert visit.page.url.endswith("#errors")
        assert visit.page.locator("#errors h2").evaluate("part => part.getBoundingClientRect().top") < 800


def test_the_keyboard_reaches_everything(browser: Browser, run: Path) -> None:
    """Tab starts at the link past the contents; what scrolls takes the focus; arrows move in a map, Enter opens."""
    with Visit(browser, run / "report.html") as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert "Skip to the answer" == page.evaluate("document.activeElement.textContent")
        assert 0 == page.locator(".scroll:not([tabindex='0'])").count()
        assert 1 == page.locator("#map td[tabindex='0']").count()
        page.locator("#map td[tabindex='0']").focus()
        for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
            page.keyboard.press(key)
        at = "document.activeElement.parentElement.cells[0].dataset.group"
        group = page.evaluate(at)
        assert 2 == page.evaluate("document.activeElement.cellIndex")
        assert page.locator("#tip").is_visible()
        page.keyboard.press("Enter")
        page.wait_for_selector("#reader[open]")
        assert page.locator("#reader-title").inner_text().startswith(group)
        assert "reader-title" == page.evaluate("document.activeElement.id")


def test_charts_have_names(browser: Browser, run: Path) -> None:
    """Each figure is named by its title; each table and picture in it has a name for screen readers."""
    with Visit(browser, run / "report.html") as visit:
        for figure in visit.page.locator("figure").all():
            named = figure.get_attribute("aria-labelledby")
            assert visit.page.locator(f"#{named}").inner_text().strip()
        for picture in visit.page.locator("svg:not([aria-hidden])").all():
            assert picture.get_attribute("aria-label")
        tree = visit.page.locator("#map").aria_snapshot()
        assert "grid" in tree
        assert 'rowheader "accent 00"' in tree


def test_statistics_are_one_click_away(browser: Browser, run: Path) -> None:
    """Words wrong in a hundred first; a button shows decimals, intervals, utterances and words, and the link says so."""
    with Visit(browser, run / "report.html") as visit:
        row = visit.page.locator("#group-table tbody tr").first
        assert row.locator("b.pl").is_visible()
        assert row.locator("i.x").is_hidden()
        visit.page.locator("#expert").click()
        assert row.locator("b.pl").is_hidden()
        assert row.locator("i.x").is_visible()
        assert "statistics=1" in visit.page.url


def test_without_scripts_the_page_still_tells(browser: Browser, run: Path) -> None:
    """With scripts off the answer, the groups and the maps stand there, and no control that would do nothing."""
    with Visit(browser, run / "report.html", java_script_enabled=False) as visit:
        assert 30 == visit.page.locator("#group-table tbody tr").count()
        assert visit.page.locator("#map table.heat td").count() >= 60
        assert visit.page.locator(".lead").is_visible()
        assert visit.page.locator(".tools").first.is_hidden()
        assert visit.page.locator(".pickers").is_hidden()
        assert 0 == visit.page.locator("th button").count()


def test_paper_has_no_controls(browser: Browser, run: Path) -> None:
    """In print, controls and what is folded are left out."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.emulate_media(media="print")
        for part in (".tools", "nav", ".pickers", "#specialists details"):
            assert visit.page.locator(part).first.is_hidden(), part


def test_text_from_the_data_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    """Scripts planted in groups, engines, conditions, texts, names and findings stay text, also after unpacking."""
    run = make_run(
        tmp_path / "run",
        groups={"accent": (*HOSTILE_GROUPS, *(f"<img src=x onerror=window.hacked=1> {n}" for n in range(30)))},
        engines=("<svg onload=window.hacked=1>", "javascript:window.hacked=1"),
        conditions=("clean", "</style><script>window.hacked=1</script>", "</script><script>window.hacked=1</script>"),
        speakers=(5,),
        utterances=1,
        hypothesis=HOSTILE_TEXT,
        name="</title><script>window.hacked=1</script>",
        findings=({"level": "limit", "text": "<img src=x onerror=window.hacked=1>", "id": "x"},),
    )
    write_report(run, plots=False)
    with Visit(browser, run / "report.html") as visit:
        visit.page.locator("#group-table .every").check()
        visit.page.locator("#pick-engine").select_option(index=0)
        visit.page.locator("#pick-condition").select_option(index=2)
        visit.page.wait_for_timeout(300)
        visit.page.locator("table.heat td").first.hover()
        visit.page.locator("#group-table tbody th a").nth(2).click()
        visit.page.wait_for_selector("#reader[open]")
        visit.page.wait_for_timeout(300)
        assert visit.page.evaluate("window.hacked") is None
        assert [] == visit.logged
        assert 0 == visit.page.locator("[onerror], [onload], [onmouseover], iframe, object").count()
        assert 1 == visit.page.locator("script:not([type])").count()


def test_hypotheses_are_shown_as_text(browser: Browser, small: Path) -> None:
    """The words of the worst utterances are marked, and nothing else in them is."""
    with Visit(browser, small / "report.html") as visit:
        assert "in" == visit.page.locator("#errors del").nth(1).inner_text()
        assert "and" == visit.page.locator("#errors ins").nth(1).inner_text()


@pytest.mark.slow
def test_the_viewer_shows_every_utterance(browser: Browser, small: Path) -> None:
    """Served, the same page asks its server: a group's utterances come, filters work, a second run can be chosen."""
    sites = [RunSite(load_run(small)), RunSite(load_run(small))]
    with Server(Site(runs=sites)) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            context = browser.new_context(reduced_motion="reduce", bypass_csp=True)
            page = context.new_page()
            logged: list[str] = []
            page.on("console", lambda message: logged.append(message.text))
            page.goto(server.address)
            page.wait_for_selector("body[data-ready]")
            page.locator("#group-table tbody th a", has_text="indian").click()
            page.wait_for_selector("#reader[open] li")
            assert "20 of 36 shown" in page.locator("#reader-status").inner_text()
            page.locator("#reader-more").click()
            page.wait_for_function("() => document.querySelectorAll('#reader li').length === 36")
            page.locator("#kind").select_option("i")
            page.wait_for_function("() => document.querySelectorAll('#reader li').length === 0")
            page.evaluate((AXE / "axe.min.js").read_text(encoding="utf-8"))
            assert [] == page.evaluate("rules => axe.run({runOnly: rules})", RULES)["violations"]
            page.locator("#close").click()
            page.locator("nav a.run").nth(1).click()
            page.wait_for_url("**/1/")
            assert [] == logged
            context.close()
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def edacc(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of EdAcc's four systems, scored and analysed here."""
    folder = tmp_path_factory.mktemp("edacc")
    card = folder / "edacc.toml"
    card.write_text(EDACC_CARD.format(table=json.dumps(str(shared_data / "edacc" / "manifest.csv"))), encoding="utf-8")
    arguments = ["score", "--manifest", str(card), "--where", "audited_group=1", "--by", "accent", "--draws", "200"]
    arguments += ["--min-speakers", "3", "--out", str(folder / "run")]
    for file in sorted((shared_data / "edacc" / "hypotheses").glob("*.csv")):
        arguments += ["--hypotheses", f"{file.stem}={file}"]
    assert 0 == command(arguments)
    return folder / "run" / "report.html"


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 25 engines × 108 accents, made up, scored and analysed here."""
    return make_made_up_run(tmp_path_factory.mktemp("made-up")) / "report.html"


@pytest.fixture(scope="module")
def demo(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the demo: of ``make demo`` where that was run, else of a run of its own."""
    ready = repository / "demo-run"
    if (ready / "claims.csv").is_file():
        folder = tmp_path_factory.mktemp("demo")
        write_report(ready, plots=False, out=folder)
        return folder / "report.html"
    run = tmp_path_factory.mktemp("demo") / "run"
    assert 0 == command(["demo", "--out", str(run)])
    return run / "report.html"


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("which", ["demo", "edacc", "made_up"])
def test_first_screens_of_real_sizes(
    browser: Browser, which: str, width: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    """The demo, EdAcc and 25 × 108 answer in the first screen too."""
    first_screen(browser, request.getfixturevalue(which), scheme, width)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("which", ["demo", "edacc", "made_up"])
def test_pages_of_real_sizes_can_be_read(browser: Browser, which: str, request: pytest.FixtureRequest) -> None:
    """Length, printed pages, size and the words of the answer stay within limits at each size."""
    found = read_page(browser, request.getfixturevalue(which))
    assert [] == found.passed()


@pytest.mark.slow
def test_25_engines_and_108_accents_can_be_explored(browser: Browser, made_up: Path) -> None:
    """Every engine and group is on the page; words find one of 2,775 rows; any cell opens its utterances."""
    with Visit(browser, made_up, viewport={"width": 1280, "height": 800}) as visit:
        page = visit.page
        page.locator("#pick-by").select_option("accent")
        page.wait_for_function("() => document.querySelectorAll('#group-table tbody tr').length === 108")
        assert 25 == page.locator("#engines tbody tr").count()
        assert 25 == page.locator("#map thead th[data-pick]").count()
        assert 108 == page.locator("#map tbody tr:not(.all) th[data-group]").count()
        assert 108 == page.locator("#group-table tbody tr").count()
        assert "6 of 25 engines shown" in page.locator("#picture-title").inner_text()
        page.locator("#group-table input[type=search]").fill("medium yoruba")
        page.wait_for_function(
            "() => [...document.querySelectorAll('#group-table tbody tr')].every(r => /yoruba/.test(r.textContent))"
        )
        assert all("whisper_medium" in text for text in page.locator("#group-table tbody tr").all_inner_texts())
        page.locator("#map tbody tr", has_text="kanuri").locator("td").last.click()
        page.wait_for_selector("#reader[open] li")
        assert page.locator("#reader-title").inner_text().startswith("kanuri")
