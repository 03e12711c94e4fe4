"""The tables of a run, made from their definitions: one, all, or groups with engines or places side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from asrfair.report.definitions import DEFINITIONS, FLAG, GROUP, SPEAKERS
from asrfair.report.loading import RunData
from asrfair.report.tables import Column, Table
from asrfair.say import words
from asrfair.scoring.metric import WER
from asrfair.types import OVERALL_ATTRIBUTE


def table(run: RunData, name: str) -> Table | None:
    """Return one table of a run by its name in :data:`DEFINITIONS`; ``None`` where the run does not have it."""
    definition = DEFINITIONS[name]
    frame = run.tables.get(definition.source)
    if frame is None:
        return None
    ordered = definition.order(frame) if definition.order else frame
    return Table(
        name=name,
        title=run.said(definition.title),
        columns=_columns(run, tuple(column for column in definition.columns if _says_something(column.name, frame))),
        frame=ordered.reset_index(drop=True),
        caption=run.said(definition.caption.format(confidence=f"{run.confidence * 100:g} %")),
        notes=definition.notes,
        source=f"{definition.source}.csv",
        metric=run.metric,
    )


def _says_something(name: str, frame: pd.DataFrame) -> bool:
    """Leave out what is empty without loops, and the share that was scored where everything was."""
    if name in {"rate_capped", "gap_capped"}:
        return name in frame and bool(frame[name].notna().any())
    if name == "scored_share":
        return name in frame and bool((frame[name] < 1).any())
    return True


def _columns(run: RunData, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns with the name of the metric where they speak of WER."""
    if run.metric == WER:
        return columns
    return tuple(replace(item, heading=run.said(item.heading), says=run.said(item.says)) for item in columns)


def all_tables(run: RunData) -> dict[str, Table]:
    """Return every table that the run has, in the order of :data:`DEFINITIONS`."""
    found = {name: table(run, name) for name in DEFINITIONS}
    return {name: item for name, item in found.items() if item is not None}


def overall(run: RunData) -> Table:
    """Return the rows for everybody only: an engine and condition a row."""
    frame = run.disparity[run.disparity["attribute"] == OVERALL_ATTRIBUTE].reset_index(drop=True)
    found = table(run, "groups")
    assert found is not None
    return Table(
        name="overall",
        title="Everybody together",
        columns=tuple(column for column in found.columns if column.name not in {"attribute", "group"}),
        frame=frame,
        caption="The average hides who it fails: read the groups below.",
        source="disparity.csv",
        metric=run.metric,
    )


def side_by_side(run: RunData, *, attribute: str, condition: str) -> Table:
    """Return the groups of one attribute in one condition with a WER column an engine, the worst mean WER first.

    The frame's columns are ``group``, ``speakers``, ``ref_words`` and, for engine number *i*, ``wer_i``, ``ci_low_i``,
    ``ci_high_i``; ``flag`` joins the engines' flags.
    """
    rows = run.disparity[(run.disparity["attribute"] == attribute) & (run.disparity["condition"] == condition)]
    return _side_by_side(
        run,
        rows,
        "engine",
        lambda engine: run.said(f"{engine} WER %"),
        f"Word error rate by {words.attribute_words(attribute)}, {words.condition_words(condition)}",
    )


def condition_by_condition(run: RunData, *, attribute: str, engine: str) -> Table:
    """Return the groups of one attribute for one engine with a WER column a condition; columns as in `side_by_side`."""
    rows = run.disparity[(run.disparity["attribute"] == attribute) & (run.disparity["engine"] == engine)]
    return _side_by_side(
        run,
        rows,
        "condition",
        lambda condition: run.said(f"{words.condition_words(condition)} WER %"),
        f"Word error rate of {engine} by {words.attribute_words(attribute)}",
    )


def _side_by_side(run: RunData, frame: pd.DataFrame, over: str, heading: Callable[[str], str], title: str) -> Table:
    order = (
        frame.groupby("group", sort=False)["rate"]
        .mean()
        .sort_values(ascending=False, kind="stable", na_position="last")
    )
    wide = pd.DataFrame({"group": order.index.astype(str)})
    grouped = frame.groupby("group", sort=False)
    for name in ("speakers", "ref_words"):
        wide[name] = grouped[name].max().reindex(order.index).to_numpy()
    columns = [GROUP, SPEAKERS]
    for number, value in enumerate(dict.fromkeys(frame[over])):
        mine = frame[frame[over] == value].drop_duplicates("group").set_index("group").reindex(order.index)
        for name in ("rate", "ci_low", "ci_high"):
            wide[f"{name}_{number}"] = mine[name].to_numpy() if name in mine else float("nan")
        columns.append(
            Column(
                name=f"rate_{number}",
                heading=heading(value),
                kind="percent",
                low=f"ci_low_{number}",
                high=f"ci_high_{number}",
            )
        )
    if "flag" in frame.columns:
        flags = grouped["flag"].agg(
            lambda cells: ";".join(dict.fromkeys(f for c in cells for f in str(c).split(";") if f))
        )
        wide["flag"] = flags.reindex(order.index).to_numpy()
    return Table(
        name="groups-side-by-side",
        title=title,
        columns=(*columns, FLAG),
        frame=wide,
        caption=f"In brackets the {run.confidence * 100:g} % interval over speakers.",
        source="disparity.csv",
        metric=run.metric,
    )
