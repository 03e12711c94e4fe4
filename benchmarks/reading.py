"""How much there is to read of a run: the page's height, printed pages, words, size, and when it can be used.

    python benchmarks/reading.py RUN…                 # run folders, or report.html files
    python benchmarks/reading.py --made-up /tmp/x     # also a made-up run of 25 engines × 108 accents
    python benchmarks/reading.py RUN --hold           # exit code 1 where a limit of its size is passed

Needs a Chromium (``ASRFAIR_CHROMIUM``) and the Python package playwright.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from made_up import make_made_up_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LIMITS: Final = {"small": (10_000, 12), "large": (20_000, 25)}
"""Pixels at a width of 1280, and printed pages, of runs with up to four engines and with more."""
MAX_BYTES: Final = 4_000_000
CARD_WORDS: Final = 80


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a reader of one page is in for."""

    page: Path
    engines: int
    height_px: int
    phone_px: int
    printed: int
    words: int
    card_words: int
    size: int
    usable_s: float

    def passed(self) -> list[str]:
        """Return the limits that are passed."""
        height, pages = LIMITS["small" if self.engines <= 4 else "large"]
        found = (
            (self.height_px > height, f"{self.height_px} px, at most {height}"),
            (self.printed > pages, f"{self.printed} printed pages, at most {pages}"),
            (self.size > MAX_BYTES, f"{self.size} bytes, at most {MAX_BYTES}"),
            (self.card_words >= CARD_WORDS, f"{self.card_words} words in the answer, under {CARD_WORDS}"),
        )
        return [text for bad, text in found if bad]


def read_page(browser: Browser, page: Path) -> Reading:
    """Open a page as a reader would, on a laptop, a phone and paper."""
    heights = {}
    for width, height in ((1280, 800), (390, 844)):
        context = browser.new_context(viewport={"width": width, "height": height})
        tab = context.new_page()
        start = time.perf_counter()
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector("body[data-ready]")
        usable = time.perf_counter() - start
        heights[width] = (int(tab.evaluate("document.documentElement.scrollHeight")), usable)
        if width == 1280:
            words = len(tab.locator("body").inner_text().split())
            card = " ".join(tab.locator("#answer .lead, #answer .badges").all_inner_texts())
            engines = max(tab.locator("#pick-engine option").count(), 1)
            paper = tab.pdf(format="A4")
        context.close()
    return Reading(
        page=page,
        engines=engines,
        height_px=heights[1280][0],
        phone_px=heights[390][0],
        printed=len(re.findall(rb"/Type\s*/Page\b", paper)),
        words=words,
        card_words=len(card.split()),
        size=page.stat().st_size,
        usable_s=heights[1280][1],
    )


def chromium() -> str | None:
    """Return the browser's path."""
    return os.environ.get("ASRFAIR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def main() -> int:
    """Print a line a page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--made-up", type=Path)
    parser.add_argument("--hold", action="store_true")
    chosen = parser.parse_args()
    from playwright.sync_api import sync_playwright

    pages = [run / "report.html" if run.is_dir() else run for run in chosen.runs]
    if chosen.made_up:
        pages.append(make_made_up_run(chosen.made_up) / "report.html")
    code = 0
    print(
        f"{'px at 1280':>10} {'px at 390':>9} {'printed':>7} {'words':>6} {'answer':>6} {'kB':>5} {'usable s':>8}  page"
    )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for page in pages:
            one = read_page(browser, page)
            print(
                f"{one.height_px:>10} {one.phone_px:>9} {one.printed:>7} {one.words:>6} {one.card_words:>6} "
                f"{one.size // 1000:>5} {one.usable_s:>8.2f}  {page}"
            )
            for text in one.passed() if chosen.hold else ():
                print(f"  too much: {text}")
                code = 1
        browser.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
