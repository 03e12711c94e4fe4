"""Titles of charts that are true of everything that was measured, not only of what a chart has room for.

A title names extremes among the groups that are large enough for an interval (among all where none is). It says what
the numbers are, and claims no difference: that is what claims are for.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from asrfair.say import words
from asrfair.types import OVERALL_ATTRIBUTE


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups large enough for an interval, all with a number where there is none; the worst first."""
    known = rows[rows["ci_low"].notna() & rows["rate"].notna()] if "ci_low" in rows else rows.iloc[:0]
    rows = known if len(known) else rows[rows["rate"].notna()]
    return rows.sort_values("rate", ascending=False, kind="stable")


def groups_title(disparity: pd.DataFrame, *, attribute: str, engine: str, condition: str) -> str:
    """Which groups have the highest and the lowest error rate with one engine in one condition."""
    every = _rows(disparity, attribute=attribute, condition=condition, engine=engine)
    rows = comparable(every)
    where = f"{engine}, {words.condition_words(condition)}"
    name = words.attribute_words(attribute)
    if len(rows) < 2:
        return f"Word errors by {name}: {where}. Fewer than two groups can be compared"
    worst, best = rows.iloc[0], rows.iloc[-1]
    of = f"Of {len(rows)} groups by {name} large enough to compare" if len(rows) < len(every) else f"By {name}"
    return (
        f"{of}, {words.group_words(worst['group'])} has the highest error rate ({words.percent(worst['rate'])}) and "
        f"{words.group_words(best['group'])} the lowest ({words.percent(best['rate'])}): {where}"
    )


def engines_title(disparity: pd.DataFrame, *, condition: str) -> str:
    """Which engines make the fewest and the most errors over everybody."""
    rows = _rows(disparity, attribute=OVERALL_ATTRIBUTE, condition=condition)
    rows = rows[rows["rate"].notna()].sort_values("rate", kind="stable")
    where = words.condition_words(condition)
    if rows.empty:
        return f"Engines: nothing was scored, {where}"
    low, high = rows.iloc[0], rows.iloc[-1]
    return (
        f"Of {words.counted(len(rows), 'engine')}, {low['engine']} makes the fewest errors over everybody "
        f"({words.percent(low['rate'])}) and {high['engine']} the most ({words.percent(high['rate'])}), {where}"
    )


def map_title(disparity: pd.DataFrame, *, attribute: str, condition: str) -> str:
    """The highest and the lowest error rate of all groups and engines."""
    every = _rows(disparity, attribute=attribute, condition=condition)
    rows = comparable(every)
    where, name = words.condition_words(condition), words.attribute_words(attribute)
    if rows.empty:
        return f"Word errors by {name} and engine: nothing was scored, {where}"
    ends = (f"{words.group_words(row['group'])} with {row['engine']}" for row in _ends(rows))
    return f"{_extremes(every, rows, name, *ends)}, {where}"


def places_title(disparity: pd.DataFrame, *, attribute: str, engine: str) -> str:
    """The highest and the lowest error rate of an attribute's groups over all places, with one engine."""
    every = _rows(disparity, attribute=attribute, engine=engine)
    rows = comparable(every)
    name = words.attribute_words(attribute)
    if rows.empty:
        return f"Word errors by {name} and place: nothing was scored, {engine}"
    ends = (f"{words.group_words(row['group'])}, {words.condition_words(row['condition'])}" for row in _ends(rows))
    return f"{_extremes(every, rows, name, *ends)}: {engine}"


def _ends(rows: pd.DataFrame) -> tuple[pd.Series[Any], pd.Series[Any]]:
    return rows.iloc[0], rows.iloc[-1]


def _extremes(every: pd.DataFrame, rows: pd.DataFrame, name: str, highest: str, lowest: str) -> str:
    """Say which has the highest and which the lowest rate, and where groups too small to compare were left out."""
    which = "of groups large enough to compare " if len(rows) < len(every) else ""
    high, low = (words.percent(row["rate"]) for row in _ends(rows))
    return f"The highest error rate {which}by {name} is that of {highest} ({high}), the lowest that of {lowest} ({low})"


def conditions_title(disparity: pd.DataFrame, *, engine: str) -> str:
    """Everybody's error rate in the best and the worst place, with one engine."""
    rows = disparity[(disparity["attribute"] == OVERALL_ATTRIBUTE) & (disparity["engine"] == engine)]
    rows = rows[rows["rate"].notna()].sort_values("rate", kind="stable")
    if rows.empty:
        return f"Places: nothing was scored, {engine}"
    low, high = rows.iloc[0], rows.iloc[-1]
    return (
        f"Over everybody {engine} has {words.percent(low['rate'])} of words wrong in the best place "
        f"({words.condition_words(low['condition'])}) and {words.percent(high['rate'])} in the worst "
        f"({words.condition_words(high['condition'])})"
    )


def _rows(disparity: pd.DataFrame, **equal: str) -> pd.DataFrame:
    for name, value in equal.items():
        disparity = disparity[disparity[name] == value]
    return disparity
