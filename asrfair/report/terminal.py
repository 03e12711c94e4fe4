"""The short answer on a terminal, after ``asrfair run``, ``asrfair score`` and ``asrfair report``.

One screen at any size: the answer, a row an engine (or, of one engine, a row a group), and how much more there is, where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from asrfair.report.console import print_table, say, terminal
from asrfair.report.loading import RunData
from asrfair.report.runtables import condition_by_condition, side_by_side
from asrfair.report.style import distinct, stated_groups, worst_row
from asrfair.report.tables import Column, Table
from asrfair.say import words
from asrfair.say.answer import Answer
from asrfair.say.sample import counted_in, selection
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE

if TYPE_CHECKING:
    from rich.console import Console

MAX_ROWS: Final = 15
MAX_SIDE: Final = 3
"""Conditions that stand side by side; where there are more, the one shown first does."""
LONGEST_NAME: Final = 24


def print_run(run: RunData, *, console: Console | None = None) -> None:
    """Print the answer, the engines or the groups, and what the report has beyond that."""
    console = console or terminal()
    answer = run.answer
    if run.where:
        say(console, selection(run.where, counted_in(run.tables)))
    say(console, answer.lead, style="bold")
    for sentence in answer.sentences:
        say(console, f"- {sentence.text}")
    more: list[str] = []
    attributes = [name for name in run.attributes if INTERSECTION not in name] or list(run.attributes)
    if attributes:
        console.print()
        table, left_out = _engines(run, attributes[0]) if len(run.engines) > 1 else _groups(run, attributes[0])
        more += left_out
        print_table(table, console=console)
        if len(run.attributes) > 1:
            more.append(words.counted(len(run.attributes) - 1, "attribute"))
    shown = {name for item in answer.sentences for name in item.claim_ids} | set(answer.lead_ids)
    unsaid = _affirmed(run) - shown
    if unsaid:
        more.append(words.counted(len(unsaid), "claim"))
    if more:
        where = "report.html" if (run.path / "report.html").is_file() else "report.md"
        say(console, f"+{', '.join(more)}: {run.path / where}")
    console.print()
    _badges(answer, console)


def _badges(answer: Answer, console: Console) -> None:
    for name, text in (
        ("How sure", answer.badges.sure),
        ("What would break it", answer.badges.breaks),
        ("Next", answer.badges.next),
    ):
        say(console, f"{name}: {text}")


def _engines(run: RunData, attribute: str) -> tuple[Table, list[str]]:
    """Return a row an engine, the fewest errors first, and what is not in it."""
    condition = run.main_condition
    here = run.disparity[(run.disparity["condition"] == condition)]
    whole = here[here["attribute"] == OVERALL_ATTRIBUTE].sort_values("rate", kind="stable", na_position="last")
    groups = here[here["attribute"] == attribute]
    groups = groups[stated_groups(groups["group"]) & groups["rate"].notna()]
    gaps = run.tables.get("gaps", pd.DataFrame())
    holds = _engines_with_claims(run, attribute, condition)
    rows: list[dict[str, Any]] = []
    kept = whole.head(MAX_ROWS)
    names = distinct([str(name) for name in kept["engine"]], LONGEST_NAME)
    for name, (_, row) in zip(names, kept.iterrows(), strict=True):
        one: dict[str, Any] = {"engine": name, "rate": row["rate"], "ci_low": row["ci_low"], "ci_high": row["ci_high"]}
        mine = groups[groups["engine"] == row["engine"]]
        if len(mine):
            worst = worst_row(mine)
            one |= {
                "worst": distinct([words.group_words(worst["group"])], LONGEST_NAME)[0],
                "worst_rate": worst["rate"],
            }
        if len(gaps):
            gap = gaps[
                (gaps["engine"] == row["engine"]) & (gaps["condition"] == condition) & (gaps["attribute"] == attribute)
            ]
            one["gap"] = float(gap["gap"].iloc[0]) if len(gap) else float("nan")
        one["sure"] = "" if holds is None else "holds" if row["engine"] in holds else "open"
        rows.append(one)
    what = words.attribute_words(attribute)
    table = Table(
        name="engines",
        title=f"Engines, {words.condition_words(condition)}",
        columns=(
            Column(name="engine", heading="Engine"),
            Column(name="rate", heading="WER %", kind="percent", low="ci_low", high="ci_high"),
            Column(name="worst", heading=f"Worst {what}"),
            Column(name="worst_rate", heading="its WER", kind="percent"),
            Column(name="gap", heading="Gap", kind="percent"),
            Column(name="sure", heading="Claim", kind="note"),
        ),
        frame=pd.DataFrame(rows),
        caption="Claim: holds where a claim about these groups is beyond chance (claims.csv), open where none is."
        if holds is not None
        else "",
        source="gaps.csv",
    )
    left_out = [words.counted(len(whole) - len(kept), "engine")] if len(whole) > len(kept) else []
    if len(run.conditions) > 1:
        left_out.append(words.counted(len(run.conditions) - 1, "condition"))
    return table, left_out


def _engines_with_claims(run: RunData, attribute: str, condition: str) -> set[str] | None:
    claims = run.tables.get("claims")
    if claims is None:
        return None
    mine = claims[(claims["attribute"] == attribute) & (claims["condition"] == condition) & _holding(claims)]
    return set(mine[mine["kind"].isin({"group", "gap", "worst"})]["engine"])


def _affirmed(run: RunData) -> set[str]:
    claims = run.tables.get("claims")
    return set() if claims is None else set(claims.loc[_holding(claims), "id"].astype(str))


def _holding(claims: pd.DataFrame) -> pd.Series[bool]:
    return claims["affirmed"].astype(str).str.lower().isin({"true", "1", "1.0"})


def _groups(run: RunData, attribute: str) -> tuple[Table, list[str]]:
    """Return the groups of one engine, the highest WER first and small groups below, and what is not in the table."""
    if 1 < len(run.conditions) <= MAX_SIDE:
        table = condition_by_condition(run, attribute=attribute, engine=run.engines[0])
        hidden: Sequence[str] = ()
    else:
        table = side_by_side(run, attribute=attribute, condition=run.main_condition)
        hidden = run.conditions[1:]
    table = table.without("flag")
    frame = table.frame
    small = frame["speakers"] < run.min_speakers
    kept = pd.concat([frame[~small], frame[small]], ignore_index=True).head(MAX_ROWS)
    kept["group"] = distinct([words.group_words(name) for name in kept["group"]], LONGEST_NAME)
    left_out = [words.counted(len(frame) - len(kept), "group")] if len(frame) > len(kept) else []
    if hidden:
        left_out.append(words.counted(len(hidden), "condition"))
    few = int((kept["speakers"] < run.min_speakers).sum())
    notes = (f"Without interval: fewer than {run.min_speakers} speakers.",) if few else ()
    shown = Table(
        name=table.name, title=table.title, columns=table.columns, frame=kept, caption=table.caption, notes=notes,
        source=table.source,
    )  # fmt: skip
    return shown, left_out
