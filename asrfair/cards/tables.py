"""The tables of a card: as many numbers as a person reads, whatever the run's size; all of them are in the card's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from asrfair.cards.blocks import Block, Lines
from asrfair.cards.evidence import RunEvidence
from asrfair.cards.floors import Floor
from asrfair.cards.suppression import SUPPRESSED
from asrfair.report import definitions, runtables
from asrfair.report.figures import slug
from asrfair.report.tables import Column, Table
from asrfair.say import words
from asrfair.say.claims import affirmed, claims_of
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE

MAX_ROWS: Final = 30
"""Groups of one table; the rest is counted below it."""
MAX_SIDE: Final = 5
"""Engines or conditions that stand side by side in one table."""
F1: Final = Column(
    name="f1",
    heading="F1 %",
    kind="percent",
    low="f1_ci_low",
    high="f1_ci_high",
    says="Word recognition F1, from precision and recall of words.",
)


def groups_table(run: RunEvidence, frame: pd.DataFrame, name: str, title: str, first: Sequence[str]) -> Table:
    """Return rows of the run's groups with counts, WER and F1.

    Args:
        run: The run.
        frame: Its rows to show.
        name: Short name.
        title: What it shows.
        first: Columns that name a row.
    """
    known = runtables.table(run.shown, "groups")
    assert known is not None
    columns = {column.name: column for column in known.columns}
    wanted = (*first, "speakers", "utterances", "ref_words", "rate", "f1", "flag")
    return replace(
        known,
        name=slug(f"{run.name}-{name}"),
        title=f"{title} ({run.name})",
        columns=tuple(F1 if name == "f1" else columns[name] for name in wanted),
        frame=frame.reset_index(drop=True),
        caption=f"In brackets the {run.shown.confidence * 100:g} % interval over speakers of each group taken alone.",
        source="disparity.csv",
    )


def everybody(run: RunEvidence) -> list[Block]:
    """Return WER and F1 over everybody, an engine a row, in the condition shown first."""
    rows = run.groups[run.groups["attribute"] == OVERALL_ATTRIBUTE]
    here = rows[rows["condition"] == run.raw.main_condition].sort_values("rate", kind="stable")
    first = ("engine",) if len(run.raw.conditions) == 1 else ("engine", "condition")
    return [groups_table(run, here, "everybody", "Everybody together", first)]


def by_attribute(run: RunEvidence, attribute: str) -> list[Block]:
    """Return the groups of an attribute: with engines or conditions side by side, or with the range over many engines."""
    engines, conditions = run.raw.engines, run.raw.conditions
    name = words.attribute_words(attribute)
    if len(engines) == 1 and len(conditions) == 1:
        frame = _of(run, attribute, conditions[0])
        table = groups_table(run, worst(frame), f"{attribute}-{engines[0]}", f"{engines[0]} by {name}", ("group",))
        return _cut([table])
    if len(engines) == 1:
        parts = [conditions[at : at + MAX_SIDE] for at in range(0, len(conditions), MAX_SIDE)]
        tables = []
        for part in parts:
            here = run.shown.disparity
            shown = replace(run.shown, tables={"disparity": here[here["condition"].isin(part)]})
            tables.append(runtables.condition_by_condition(shown, attribute=attribute, engine=engines[0]))
    elif len(engines) <= MAX_SIDE:
        tables = [runtables.side_by_side(run.shown, attribute=attribute, condition=run.raw.main_condition)]
    else:
        tables = [_range_over_engines(run, attribute)]
    named = [
        replace(
            table,
            name=slug(f"{run.name}-{attribute}-{number}"),
            title=f"{table.title} ({run.name})",
            frame=_suppressed_last(table.frame),
        )
        for number, table in enumerate(tables)
    ]
    return _cut(named)


def worst(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the highest WER first and those without a number last."""
    return definitions.worst_first("rate")(frame)


def gaps(run: RunEvidence) -> list[Block]:
    """Return the gap between the worst and the best group; where that is long, in the condition shown first only."""
    table = runtables.table(run.shown, "gaps")
    found: list[Block] = []
    if table is not None:
        table = table.without("groups", "ratio", "macro_rate")
        if len(run.raw.conditions) == 1:
            table = table.without("condition")
        note = ""
        if len(table.frame) > MAX_ROWS:
            here = table.where(condition=run.raw.main_condition)
            single = here.frame[~here.frame["attribute"].str.contains(INTERSECTION, regex=False)]
            table = replace(here, frame=single.reset_index(drop=True))
            note = f"Single attributes, {words.condition_words(run.raw.main_condition)}; all are in the card's JSON."
        frame = table.frame.sort_values(["attribute", "worst_rate"], ascending=[True, False], kind="stable")
        shown = frame.groupby("attribute", sort=False).head(MAX_ROWS).reset_index(drop=True)
        caption = " ".join(filter(None, (table.caption, note)))
        title = f"{table.title} ({run.name})"
        found.append(replace(table, name=slug(f"{run.name}-gaps"), title=title, frame=shown, caption=caption))
    absent = [a for a in run.raw.attributes if any(a == cell[0] for cell in run.hidden)]
    if absent:
        names = words.listed([words.attribute_words(a) for a in absent])
        found.append(Lines(lines=(f"{run.name}: no gap is given by {names}, where groups are suppressed.",)))
    return found


def under_conditions(run: RunEvidence) -> Table:
    """Return WER over everybody, engines against conditions; the longer of the two are the rows."""
    rows = run.groups[run.groups["attribute"] == OVERALL_ATTRIBUTE]
    down, across = "condition", "engine"
    if len(run.raw.engines) > len(run.raw.conditions):
        down, across = across, down
    order = list(dict.fromkeys(rows[down]))
    frame = pd.DataFrame({down: order})
    say = words.condition_words if down == "condition" else str
    columns = [Column(name=down, heading=down.capitalize(), words=say)]
    for number, value in enumerate(dict.fromkeys(rows[across])):
        mine = rows[rows[across] == value].drop_duplicates(down).set_index(down).reindex(order)
        for name in ("rate", "ci_low", "ci_high"):
            frame[f"{name}_{number}"] = mine[name].to_numpy()
        heading = words.condition_words(value) if across == "condition" else str(value)
        columns.append(
            Column(
                name=f"rate_{number}",
                heading=run.raw.said(f"{heading} WER %"),
                kind="percent",
                low=f"ci_low_{number}",
                high=f"ci_high_{number}",
            )
        )
    return Table(
        name=slug(f"{run.name}-conditions"),
        title=f"Everybody, under each condition ({run.name})",
        columns=tuple(columns),
        frame=frame,
        caption=f"In brackets the {run.shown.confidence * 100:g} % interval over speakers.",
        source="disparity.csv",
    )


def thresholds(run: RunEvidence) -> list[Block]:
    """Return what is beyond chance in decibels, and how much each group can bear; nothing of a suppressed group."""
    table = runtables.table(run.raw, "thresholds")
    if table is None:
        return []
    touched = {attribute for attribute, _ in run.hidden}
    hidden = [cell in run.hidden for cell in zip(table.frame["attribute"], table.frame["group"], strict=True)]
    frame = table.frame[~np.array(hidden, dtype=bool)]
    frame = frame[frame["target"] == frame["target"].iloc[0]] if len(frame) > MAX_ROWS else frame
    claims = run.raw.tables.get("claims")
    found: list[Block] = []
    if claims is not None:
        said = [
            claim.text
            for claim in affirmed(claims_of(claims), "threshold", "threshold_ratio")
            if claim.attribute not in touched
        ]
        found += [Lines(lines=tuple(f"{run.name}: {text}" for text in said[:MAX_SIDE]))] if said else []
    name = slug(f"{run.name}-thresholds")
    title = f"{table.title} ({run.name})"
    shown = frame.head(MAX_ROWS).reset_index(drop=True)
    return [*found, replace(table, name=name, title=title, frame=shown)] if len(shown) else found


def floors_table(floors: Sequence[Floor]) -> Table:
    """Return what holds for every group as one table, an engine and condition of a run a row."""
    rows = []
    for f1, wer in zip(*(_of_measure(floors, measure) for measure in ("f1", "wer")), strict=True):
        rows.append(
            {
                "run": f1.run,
                "engine": f1.engine,
                "condition": f1.condition,
                "groups": f1.groups + f1.intersections,
                "f1": f1.value,
                "f1_bound": f1.bound,
                "wer": wer.value,
                "wer_bound": wer.bound if wer.bound is not None and wer.bound <= 1 else None,
                "too_small": f1.too_small,
                "sure": f1.joint_confidence,
            }
        )
    frame = pd.DataFrame(rows)
    few = floors[0]
    size = f"{words.counted(few.min_speakers, 'speaker')} and {words.counted(few.min_words, 'word')}"
    columns = [
        Column(name="run", heading="Run"),
        Column(name="engine", heading="Engine"),
        Column(name="condition", heading="Condition", words=words.condition_words),
        Column(name="groups", heading="Groups", kind="count"),
        Column(name="f1", heading="F1 at least, %", kind="percent"),
        Column(name="f1_bound", heading="lower bound", kind="percent"),
        Column(name="wer", heading="WER at most, %", kind="percent"),
        Column(name="wer_bound", heading="upper bound", kind="percent"),
        Column(name="too_small", heading="Too small to say", kind="count"),
        Column(name="sure", heading="Bounds hold with, %", kind="percent"),
    ]
    columns = [c for c in columns if c.name not in {"run", "condition"} or len(set(frame[c.name])) > 1]
    return Table(
        name="floors",
        title="What holds for every group",
        columns=tuple(columns),
        frame=frame.reset_index(drop=True),
        caption=f"Groups and intersections with at least {size}; the bounds are simultaneous: they hold for all of them "
        "together, with the confidence in the last column or more. An en dash: they have no bound in common, or none below 100 %.",
        source="disparity.csv",
    )


def _of_measure(floors: Sequence[Floor], measure: str) -> list[Floor]:
    return [floor for floor in floors if floor.measure == measure]


def _of(run: RunEvidence, attribute: str, condition: str) -> pd.DataFrame:
    rows = run.groups
    return rows[(rows["attribute"] == attribute) & (rows["condition"] == condition)]


def _range_over_engines(run: RunEvidence, attribute: str) -> Table:
    """Return, a group a row, the engines with the fewest and the most errors; worst median first."""
    rows = _of(run, attribute, run.raw.main_condition)
    found = []
    for group, part in rows.groupby("group", sort=False):
        known = part[part["rate"].notna()].sort_values("rate", kind="stable")
        one = {"group": group, "speakers": part["speakers"].max(), "ref_words": part["ref_words"].max(), "flag": ""}
        if len(known):
            first, last = known.iloc[0], known.iloc[-1]
            one |= {"low": first["rate"], "low_engine": first["engine"], "middle": known["rate"].median()}
            one |= {"high": last["rate"], "high_engine": last["engine"]}
        else:
            one["flag"] = SUPPRESSED
        found.append(one)
    frame = pd.DataFrame(found)
    if "middle" in frame:
        frame = frame.sort_values("middle", ascending=False, kind="stable", na_position="last")
    condition = words.condition_words(run.raw.main_condition)
    return Table(
        name="groups-range",
        title=run.raw.said("WER")
        + f" by {words.attribute_words(attribute)} over {len(run.raw.engines)} engines, {condition}",
        columns=(
            definitions.GROUP,
            definitions.SPEAKERS,
            Column(name="ref_words", heading="Words", kind="count"),
            Column(name="low", heading=run.raw.said("Lowest WER %"), kind="percent"),
            Column(name="low_engine", heading="with"),
            Column(name="middle", heading=run.raw.said("Median WER %"), kind="percent"),
            Column(name="high", heading=run.raw.said("Highest WER %"), kind="percent"),
            Column(name="high_engine", heading="with"),
            definitions.FLAG,
        ),
        frame=frame.reset_index(drop=True),
        caption="The engines with the fewest and the most errors for each group, and the median over all engines.",
        source="disparity.csv",
    )


def _suppressed_last(frame: pd.DataFrame) -> pd.DataFrame:
    if "flag" not in frame:
        return frame
    hidden = frame["flag"].astype(str).str.contains(SUPPRESSED)
    return pd.concat([frame[~hidden], frame[hidden]], ignore_index=True)


def _cut(tables: Sequence[Table]) -> list[Block]:
    """Return the tables with their first rows; what is left out is counted, and suppressed groups are named."""
    found: list[Block] = []
    for table in tables:
        frame = table.frame
        if len(frame) <= MAX_ROWS:
            found.append(table)
            continue
        hidden = frame[frame["flag"].astype(str).str.contains(SUPPRESSED)] if "flag" in frame else frame.head(0)
        told = frame.drop(index=hidden.index)
        notes = []
        if len(told) > MAX_ROWS:
            notes.append(f"{len(told) - MAX_ROWS} further groups with lower WER are in the card's JSON.")
        if len(hidden):
            names = words.listed([words.group_words(group) for group in hidden["group"]], limit=8)
            notes.append(f"{words.counted(len(hidden), 'group')} suppressed: {names}.")
        found.append(replace(table, frame=told.head(MAX_ROWS).reset_index(drop=True), notes=tuple(notes)))
    return found
