"""The trend: WER of every group and every gap over the nights, as one page and as one picture, beside the history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.nightly.history import Night
from asrfair.nightly.rescore import table_by_rules

MAX_NIGHTS = 400
"""Older nights stay in the history and are not drawn."""
MARKED = ("engine", "package", "manifest", "normalizer", "noise", "condition", "suite")
_GAP = "worst − best"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One group, or one gap, over the nights.

    Args:
        name: The group's name, or whose gap it is.
        points: (night, value, low, high) in percent or points; bounds are NaN where there are none.
        failed: Nights on which a gate of it failed.
        baseline: What the newest night was held against, NaN where nothing was.
        few: Whether it is too small to be judged.
        gap: Whether it is a gap, in points.
    """

    name: str
    points: tuple[tuple[int, float, float, float], ...]
    failed: frozenset[int] = frozenset()
    baseline: float = math.nan
    few: bool = False
    gap: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """One engine in one condition: everybody, the gaps, and the groups of each attribute, the worst first."""

    engine: str
    condition: str
    overall: tuple[Panel, ...]
    groups: dict[str, tuple[Panel, ...]]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A night on which something that decides the figures changed; ``letter`` names it in the pictures."""

    letter: str
    night: int
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Trend:
    """All that the page and the picture show.

    Args:
        suite: The suite's name.
        nights: The nights, oldest first.
        accepted: The baseline's number.
        sections: One for each engine and condition.
        marks: The changes, in the order of the nights.
        changes: Every sentence about a change, by night.
        measure: What the rates are called.
    """

    suite: str
    nights: tuple[Night, ...]
    accepted: int | None
    sections: tuple[Section, ...]
    marks: tuple[Mark, ...]
    changes: dict[int, tuple[str, ...]]
    measure: str = "WER"


def read_trend(
    suite: str, nights: Sequence[Night], accepted: int | None, rules: Mapping[str, Any] | None = None
) -> Trend:
    """Gather what the nights hold."""
    if rules is None:
        rules = nights[-1].content.get("inputs", {}).get("normalizer", {}) if nights else {}
    groups, gaps = (_table([table_by_rules(night, name, rules) for night in nights]) for name in ("groups", "gaps"))
    gates, changes = (_table([night.path / f"{name}.parquet" for night in nights]) for name in ("gates", "changes"))
    told: dict[int, list[str]] = {}
    marked: dict[int, list[str]] = {}
    for row in changes.to_dict("records"):
        told.setdefault(int(row["night"]), []).append(str(row["text"]))
        if row["kind"] in MARKED and row["name"] != "sha256":  # of the suite's file: its gates or its wording
            marked.setdefault(int(row["night"]), []).append(str(row["text"]))
    failed: dict[tuple[str, ...], set[int]] = {}
    against: dict[tuple[str, ...], float] = {}
    for row in gates.to_dict("records"):
        group = _GAP if row["rule"] == "max_gap" else str(row["group"])
        key = (str(row["engine"]), str(row["condition"]), str(row["attribute"]), group)
        if row["status"] == "fail":
            failed.setdefault(key, set()).add(int(row["night"]))
        if nights and row["rule"] == "max_increase" and int(row["night"]) == nights[-1].number:
            against[key] = _number(row["baseline"]) * 100

    def panel(key: tuple[str, ...], name: str, rows: pd.DataFrame, columns: tuple[str, str, str]) -> Panel:
        few = "flag" in rows and any(word in str(rows["flag"].iloc[-1]) for word in ("few_", "not_stated"))
        return Panel(
            name=name,
            points=_points(rows, *columns),
            failed=frozenset(failed.get(key, ())),
            baseline=against.get(key, math.nan),
            few=few and columns[0] == "wer",
            gap=columns[0] == "gap",
        )

    sections = []
    for (engine, condition), part in groups.groupby(["engine", "condition"], sort=False) if len(groups) else ():
        overall: list[Panel] = []
        by: dict[str, tuple[Panel, ...]] = {}
        for attribute, rows in part.groupby("attribute", sort=False):
            panels = [
                panel((str(engine), str(condition), str(attribute), str(group)), str(group), own, _WER)
                for group, own in rows.groupby("group", sort=False)
            ]
            panels = sorted((p for p in panels if p.points), key=lambda p: (p.few, -p.points[-1][1]))
            if attribute == "overall":
                overall += [Panel(**{**vars(p), "name": "everybody"}) for p in panels]
            elif panels:
                by[str(attribute)] = tuple(panels)
        own_gaps = gaps[(gaps["engine"] == engine) & (gaps["condition"] == condition)] if len(gaps) else gaps
        for attribute, rows in own_gaps.groupby("attribute", sort=False) if len(own_gaps) else ():
            key = (str(engine), str(condition), str(attribute), _GAP)
            found = panel(key, f"gap by {attribute}", rows, ("gap", "gap_ci_low", "gap_ci_high"))
            overall += [found] if found.points else []
        sections.append(Section(engine=str(engine), condition=str(condition), overall=tuple(overall), groups=by))
    return Trend(
        suite=suite,
        nights=tuple(nights),
        accepted=accepted,
        sections=tuple(sections),
        marks=tuple(
            Mark(letter=_letter(index), night=night, texts=tuple(marked[night]))
            for index, night in enumerate(sorted(marked))
        ),
        changes={night: tuple(texts) for night, texts in told.items()},
        measure=str(nights[-1].content.get("measure", "WER")) if nights else "WER",
    )


_WER = ("wer", "ci_low", "ci_high")


def _letter(place: int) -> str:
    """Count as A, B, … Z, AA, AB, … do."""
    return (_letter(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def _table(paths: Sequence[Path]) -> pd.DataFrame:
    parts = [part for part in map(pd.read_parquet, paths) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _points(rows: pd.DataFrame, value: str, low: str, high: str) -> tuple[tuple[int, float, float, float], ...]:
    columns = [pd.to_numeric(rows[name]).to_numpy(dtype="float64") * 100 for name in (value, low, high)]
    found = zip(rows["night"].tolist(), *(column.tolist() for column in columns), strict=True)
    return tuple((int(night), v, a, b) for night, v, a, b in found if math.isfinite(v))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
