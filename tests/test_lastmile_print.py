"""What is signed is on paper: the sign-off page, printed, shows every column to its end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from test_lastmile_merge import site

from asrfair.lastmile.export import COUNTS, make_export
from asrfair.lastmile.signoff import sign_off_page

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("ASRFAIR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.slow
def test_the_sign_off_page_prints_whole(tmp_path: Path) -> None:
    """At the width of the paper no cell lies beyond the edge, and the PDF holds the last column of every row."""
    if not CHROMIUM:
        if os.environ.get("ASRFAIR_REQUIRE_BROWSER"):
            pytest.fail("no Chromium found")
        pytest.skip("no Chromium found")
    playwright = pytest.importorskip("playwright.sync_api")
    pypdf = pytest.importorskip("pypdf")
    made = make_export(site(tmp_path / "kit", 1))
    (_, page_file) = sign_off_page(made).write(tmp_path / "SIGN-OFF")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1032, "height": 700})  # A4 across, less its margins, at 96 dpi
        page.goto(page_file.as_uri())
        page.emulate_media(media="print")
        edges = page.eval_on_selector_all("th, td", "cells => cells.map(c => c.getBoundingClientRect().right)")
        assert max(edges) <= 1032
        pdf = page.pdf(prefer_css_page_size=True)
        browser.close()
    (tmp_path / "page.pdf").write_bytes(pdf)
    text = "\n".join(sheet.extract_text() for sheet in pypdf.PdfReader(tmp_path / "page.pdf").pages)
    assert all(name in text for name in COUNTS)
    # A code is copied from paper letter for letter: no two letters of it printed as one ("ff" as a ligature).
    joined = "".join(text.split())
    assert all(str(row[3]) in joined for row in made.body["rows"])
    assert made.sha256[:12] in text
