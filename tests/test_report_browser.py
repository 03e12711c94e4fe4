"""The page in a real browser: sorting, filtering, download, links, accessibility, and no script from the data."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from report_runs import make_run
from test_report_page import HOSTILE_GROUPS, HOSTILE_TEXT

from asrfair.report import load_run, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("ASRFAIR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = {"phone": 390, "laptop": 1366}


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
        self.page.set_default_timeout(120_000)
        self.page.set_default_timeout(90_000)
        self.page.goto(file.as_uri())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def column(self, table: str, number: int) -> list[str]:
        """Return the cells of a column as they are shown."""
        rows = self.page.locator(f"#{table} tbody tr")
        return rows.evaluate_all(f"rows => rows.map(row => row.cells[{number}].innerText.split('\\n')[0])")

    def numbers(self, table: str, number: int) -> list[float]:
        """Return the raw values of a column, nothing left out."""
        rows = self.page.locator(f"#{table} tbody tr")
        found = rows.evaluate_all(f"rows => rows.map(row => row.cells[{number}].dataset.v)")
        return [float(value) for value in found if value]


def test_the_page_asks_for_nothing_and_logs_nothing(browser: Browser, run: Path) -> None:
    """Opened from disk, the page makes no request beyond itself and its own data, and no console message."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.wait_for_load_state()
        assert [] == [url for url in visit.asked[1:] if not url.startswith("data:")]
        assert [] == visit.logged


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(browser: Browser, small: Path, scheme: str, width: str) -> None:
    """axe-core finds no violation of WCAG 2.2 AA, on a phone and a laptop, in light and dark."""
    folder = Path(pytest.importorskip("axe_playwright_python").__file__).parent
    context = {"viewport": {"width": WIDTHS[width], "height": 900}, "color_scheme": scheme, "bypass_csp": True}
    with Visit(browser, small / "report.html", **context) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
        visit.page.evaluate((folder / "axe.min.js").read_text(encoding="utf-8"))
        result = visit.page.evaluate("rules => axe.run({runOnly: rules})", RULES)
        assert [] == [(v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in result["violations"]]
        assert len(result["passes"]) > 30


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(browser: Browser, run: Path, width: str) -> None:
    """Wide tables scroll inside the page; the page itself does not scroll sideways."""
    with Visit(browser, run / "report.html", viewport={"width": WIDTHS[width], "height": 900}) as visit:
        assert WIDTHS[width] >= visit.page.evaluate("document.documentElement.scrollWidth")


def test_sorting_by_number_and_by_name(browser: Browser, run: Path) -> None:
    """A click sorts by value (largest first), a second one turns it round; names sort as names."""
    with Visit(browser, run / "report.html") as visit:
        heads = visit.page.locator("#groups-accent thead th")
        wer = next(i for i, text in enumerate(heads.all_inner_texts()) if text.startswith("WER"))
        button = heads.nth(wer).locator("button")
        button.click()
        visit.page.wait_for_function("() => document.querySelector('#groups-accent th[aria-sort=descending]')")
        visit.page.wait_for_timeout(300)
        values = visit.numbers("groups-accent", wer)
        data = load_run(run).disparity
        assert float(data[data["attribute"] == "accent"]["wer"].max()) == values[0]
        assert sorted(values, reverse=True) == values
        button.press("Enter")
        visit.page.wait_for_timeout(300)
        assert sorted(visit.numbers("groups-accent", wer)) == visit.numbers("groups-accent", wer)
        assert "ascending" == heads.nth(wer).get_attribute("aria-sort")
        heads.nth(0).locator("button").click()
        visit.page.wait_for_timeout(300)
        assert sorted(visit.column("groups-accent", 0)) == visit.column("groups-accent", 0)
        assert "none" == heads.nth(wer).get_attribute("aria-sort")


def test_filtering_finds_rows_that_were_packed(browser: Browser, run: Path) -> None:
    """Menu and search together leave the rows that match, also those that the page had packed; the count is said."""
    with Visit(browser, run / "report.html") as visit:
        box = visit.page.locator("#groups-accent")
        assert "300 rows" == box.locator(".status").inner_text()
        box.locator("select").nth(0).select_option("large")
        box.locator("select").nth(1).select_option("floor@snr=0")
        box.locator("input").fill("accent 29")
        visit.page.wait_for_function("() => document.querySelectorAll('#groups-accent tbody tr').length === 1")
        assert ["accent 29"] == visit.column("groups-accent", 0)
        assert "1 of 300 rows" == box.locator(".status").inner_text()
        box.locator("input").fill("nobody at all")
        visit.page.wait_for_function("() => document.querySelectorAll('#groups-accent tbody tr').length === 0")
        assert "0 of 300 rows" == box.locator(".status").inner_text()


def test_more_rows_come_on_request(browser: Browser, run: Path) -> None:
    """The button below a long table shows the rest."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.locator("#groups-accent .more button").click()
        visit.page.wait_for_function("() => document.querySelectorAll('#groups-accent tbody tr').length === 300")
        assert visit.page.locator("#groups-accent .more button").is_hidden()


def test_downloads_are_the_numbers_of_the_file(browser: Browser, run: Path) -> None:
    """Every table downloads as CSV; the one of the gaps is the file of the run folder, byte for byte after the mark."""
    with Visit(browser, run / "report.html") as visit:
        buttons = visit.page.locator("button.csv")
        assert buttons.count() == visit.page.locator("table.data").count()
        with visit.page.expect_download() as waiting:
            visit.page.locator("#table-gaps button.csv").click()
        assert "gaps.csv" == waiting.value.suggested_filename
        text = Path(waiting.value.path()).read_bytes()
        assert (run / "gaps.csv").read_bytes() == text.removeprefix("\ufeff".encode())
        with visit.page.expect_download() as waiting:
            visit.page.locator("#groups-accent button.csv").click()
        rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8-sig"))))
        assert 300 == len(rows)


def test_deep_links_open_what_they_name(browser: Browser, run: Path) -> None:
    """A link to a folded heat map opens it; links of the contents lead to their sections."""
    with Visit(browser, run / "report.html") as visit:
        folded = visit.page.locator("details.heat:not([open])").first.get_attribute("id")
        visit.page.evaluate("anchor => { location.hash = anchor }", folded)
        visit.page.wait_for_function("anchor => document.getElementById(anchor).open", arg=folded)
        visit.page.locator("nav a", has_text="Who is in the data").click()
        visit.page.wait_for_timeout(800)
        assert visit.page.url.endswith("#coverage")
        assert visit.page.locator("#coverage h2").evaluate("part => part.getBoundingClientRect().top") < 400


def test_the_keyboard_reaches_everything(browser: Browser, run: Path) -> None:
    """Tab starts at the link past the contents; tables that scroll take the focus."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.keyboard.press("Tab")
        assert "Skip to the answer" == visit.page.evaluate("document.activeElement.textContent")
        assert 0 == visit.page.locator(".scroll:not([tabindex='0'])").count()


def test_without_scripts_the_page_still_tells(browser: Browser, run: Path) -> None:
    """With scripts off the answer and the first rows stand there, and no control that would do nothing."""
    with Visit(browser, run / "report.html", java_script_enabled=False) as visit:
        assert visit.page.locator("#groups-accent tbody tr").count() >= 100
        assert visit.page.locator(".tools").first.is_hidden()
        assert 0 == visit.page.locator("th button").count()


def test_printing_opens_what_is_folded_and_hides_controls(browser: Browser, run: Path) -> None:
    """Paper has no controls, and the whole text."""
    with Visit(browser, run / "report.html") as visit:
        visit.page.emulate_media(media="print")
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert visit.page.locator(".tools").first.is_hidden()
        assert visit.page.locator("nav").is_hidden()
        assert 0 == visit.page.locator("details:not([open])").count()


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
        visit.page.locator("table.data thead th button").first.click()
        visit.page.locator("[id^=groups-accent] .more button").first.click()
        visit.page.wait_for_timeout(500)
        assert visit.page.locator("[id^=groups-accent] tbody tr").count() > 120
        assert visit.page.evaluate("window.hacked") is None
        assert [] == visit.logged
        assert 0 == visit.page.locator("[onerror], [onload], [onmouseover], iframe, object").count()
        assert 1 == visit.page.locator("script:not([type])").count()


def test_hypotheses_are_shown_as_text(browser: Browser, small: Path) -> None:
    """The words of the worst utterances are marked, and nothing else in them is."""
    with Visit(browser, small / "report.html") as visit:
        assert "in" == visit.page.locator("#worst-1 del").first.inner_text()
        assert "and" == visit.page.locator("#worst-1 ins").first.inner_text()
