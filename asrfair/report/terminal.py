"""The short answer on a terminal, after ``asrfair run``, ``asrfair score`` and ``asrfair report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asrfair.report.loading import RunData
from asrfair.report.runtables import place_by_place, side_by_side
from asrfair.report.summary import summarise
from asrfair.report.tables import print_table, say, terminal
from asrfair.say import words
from asrfair.say.sample import counted_in, selection

if TYPE_CHECKING:
    from rich.console import Console

MAX_TABLES = 6
MAX_CONDITIONS = 4


def print_run(run: RunData, *, console: Console | None = None) -> None:
    """Print the answer in sentences, the groups in the condition shown first, and what cannot be concluded."""
    console = console or terminal()
    summary = summarise(run)
    if run.where:
        say(console, selection(run.where, counted_in(run.tables)))
    say(console, summary.lead, style="bold")
    for shown, attribute in enumerate(run.attributes):
        console.print()
        if shown == MAX_TABLES:
            say(console, f"{words.counted(len(run.attributes) - shown, 'more attribute')}: see report.md.")
            break
        if len(run.engines) == 1 and 1 < len(run.conditions) <= MAX_CONDITIONS:
            shown_table = place_by_place(run, attribute=attribute, engine=run.engines[0])
        else:
            shown_table = side_by_side(run, attribute=attribute, condition=run.main_condition)
        print_table(shown_table, console=console)
    told = (
        ("Found", summary.findings),
        ("Not to be concluded", summary.limits),
        ("What may mislead", summary.warnings),
    )
    for heading, lines in told:
        if lines:
            console.print()
            say(console, heading, style="bold")
        for line in lines:
            say(console, f"- {line}")
