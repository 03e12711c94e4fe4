"""The page that somebody signs before counts leave: everything that would leave, row by row, and what the rows mean."""

from __future__ import annotations

from asrfair.lastmile.export import COUNTS, ROW, Export
from asrfair.lastmile.pages import Page
from asrfair.lastmile.run_kit import BENCHMARK, ROOM
from asrfair.lastmile.settings import DEMO
from asrfair.lastmile.suppress import SUPPRESSED

_MEANINGS = (
    "recordings",
    "words recognised",
    "words that became another",
    "words that were lost",
    "words that nobody said",
    "how often your own words were said; not which",
    "how often they came through",
    "recordings for which the recogniser failed",
)
_SOURCES = {
    ROOM: "the people who read here",
    BENCHMARK: "your benchmark speech",
    DEMO: "synthetic voices that ship with asrfair and are nobody",
}


def sign_off_page(made: Export) -> Page:
    """Return the page of exactly what would leave, row by row."""
    body = made.body
    page = Page(title="What would leave this site")
    page.text(
        "Below is everything, to the last number. No audio, no transcript, no name and none of your words is in it. "
        "The codes for people are made with a secret key that stays in this folder (.site-key)."
    )
    page.heading("About the test")
    page.items(
        [
            f"Code of this site: {body['site']}; release {body['release']}",
            f"asrfair {body['asrfair']}, language {body['language']}",
            *(
                f"{run['source']}: engines {', '.join(e['name'] for e in run['engines'])}; conditions "
                f"{', '.join(run['conditions'])}; rules {run['normalizer']}; "
                + ", ".join(f"{name} {version}" for name, version in run["packages"].items())
                + "; hashes "
                + ", ".join([*(e["fingerprint"] for e in run["engines"]), *run["condition_hashes"]])
                for run in body["runs"]
            ),
        ]
    )
    page.heading("Counts")
    page.text("One line for each person (under a code), recogniser, condition and combination of groups.")
    page.items([f"{name}: {meaning}" for name, meaning in zip(COUNTS, _MEANINGS, strict=True)])
    attributes = list(body["attributes"])
    for source, title in _SOURCES.items():
        rows = [(*row[1:4], *row[4], *row[5:]) for row in body["rows"] if row[0] == source]
        if rows:
            page.heading(f"Counts of {title} (source “{source}”)")
            page.table([*ROW[1:4], *attributes, *COUNTS], rows)
    page.heading("Sound, averaged over all people")
    page.table(["source", "condition", "quantity", "mean", "standard deviation", "recordings"], body["acoustics"])
    held = body["withheld"]
    page.heading("What stays")
    page.text(
        f"Every line below looks like those of at least {body['least_speakers']} people, hidden answers included, and rows "
        f"of fewer than {body['least_words']} words stay: {held['groups_hidden']} answers of {held['people']} people were "
        f"hidden (“{SUPPRESSED}”), {held['rows']} rows were left out."
    )
    if held["absent"]:
        page.text(
            f"{held['absent']} people stay out of this export: laid beside an earlier one, it would show them by "
            "themselves. Who came since waits until there are more; where somebody left, some others are left out too."
        )
    page.heading("Sign-off")
    page.text(f"SHA-256 of the content: {made.sha256}")
    page.text(f"Code: {made.code}")
    page.line("Agreed by, date")
    return page
