"""Makes docs/images/answer.png, the picture atop the README: the first screen of the demo's report, as a browser shows it.

asrfair demo --out demo-run
python scripts/make_readme_picture.py demo-run/report.html
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "answer.png"
WIDTH, HEIGHT = 1280, 800
SHOWN = 690
"""Pixels of the screen's height that the picture has: the answer, and what follows from it."""
COLOURS = 128
"""Enough for text and a chart; a picture of a README is downloaded with every clone."""


def main(page: Path) -> None:
    """Write the picture and print its size."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        tab.wait_for_load_state("load")
        shot = tab.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": SHOWN})
        browser.close()
    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    picture.save(OUT, optimize=True)
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
