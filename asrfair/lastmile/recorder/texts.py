"""What the recording page says, by language: one JSON file each in ``texts/``; what a language lacks is said in English."""

from __future__ import annotations

import html
import json
from functools import cache
from importlib import resources

USED_LINK = "This link has been used. In the terminal where asrfair runs, press Enter: it shows a new one."
NO_LINK = "Open this page with the link that asrfair shows in its terminal."
DISK_FULL = "The disk of this computer is full. Nothing was lost but this sentence: make room, then press “Save again”."
DISK_WRONG = "The recording could not be written to the disk. Fetch whoever looks after this computer."

RIGHT_TO_LEFT = frozenset({"ar", "arc", "dv", "fa", "ha", "he", "khw", "ks", "ku", "ps", "ur", "yi"})


@cache
def _texts(language: str) -> dict[str, str]:
    file = resources.files(__package__).joinpath("texts", f"{language}.json")
    if not file.is_file():
        return {}
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return found


def languages() -> list[str]:
    """Return the languages that the page speaks."""
    folder = resources.files(__package__).joinpath("texts")
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def page_texts(language: str) -> dict[str, str]:
    """Return the page's sentences in the language of a kit (``de`` serves ``de-AT``), English where it has none."""
    short = language.lower().split("-")[0].split("_")[0]
    found = _texts(short)
    said = short if found else "en"
    return {
        **_texts("en"),
        **found,
        "language": said,
        "direction": "rtl" if said in RIGHT_TO_LEFT else "ltr",
        "prompt_direction": "rtl" if short in RIGHT_TO_LEFT else "auto",
    }


def plain_page(text: str) -> str:
    """Return a page that says one sentence, for a browser that may not see more."""
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>asrfair</title></head>'
    return f"{head}<body><main><h1>asrfair</h1><p>{html.escape(text)}</p></main></body></html>"
