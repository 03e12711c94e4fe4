"""WER against signal-to-noise ratio by group: who falls first when it gets loud."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from asrfair.report.plots.lines import Line, draw_lines
from asrfair.report.style import group_name
from asrfair.types import CLEAN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SNR: Final = re.compile(r"(?:^|[,@.])snr(?:_db)?=(-?\d+(?:\.\d+)?)(?=,|$)")
QUANTITIES: Final = ("snr_db", "noise.snr_db", "snr")
"""Achieved quantities that say what the signal-to-noise ratio was, the first that a run has counts."""


def snr_of_conditions(conditions: list[str], achieved: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the conditions that have a signal-to-noise ratio: columns ``condition``, ``profile``, ``snr_db``.

    Args:
        conditions: Names such as ``imaging-floor@snr=5``; the ratio is read from the name.
        achieved: Rows of ``achieved_by_group.csv``; their mean over everybody is taken where the name has no ratio.
    """
    measured = _measured(achieved)
    rows = []
    for name in conditions:
        profile, _, suffix = name.partition("@")
        found = _SNR.search(suffix)
        snr_db = float(found.group(1)) if found else measured.get(name)
        if name != CLEAN and snr_db is not None:
            rows.append({"condition": name, "profile": profile, "snr_db": snr_db})
    return pd.DataFrame(rows, columns=["condition", "profile", "snr_db"])


def snr_curves(
    disparity: pd.DataFrame, snr: pd.DataFrame, *, attribute: str, engine: str, profile: str, confidence: float = 0.95
) -> Figure:
    """Draw WER against signal-to-noise ratio, a line a group, louder noise to the left; clean audio stands apart.

    Args:
        disparity: Rows of ``disparity.csv``.
        snr: What :func:`snr_of_conditions` returned.
        attribute: The attribute (or intersection) to show.
        engine: The engine's label.
        profile: The noise profile whose ratios are compared.
        confidence: Coverage of the intervals, for the caption.

    Raises:
        ValueError: The profile has fewer than two ratios, or there is no such row.
    """
    levels = snr[snr["profile"] == profile].sort_values("snr_db")
    mine = disparity[(disparity["attribute"] == attribute) & (disparity["engine"] == engine)]
    rows = mine.merge(levels, on="condition").sort_values("snr_db", kind="stable")
    if rows["snr_db"].nunique() < 2:
        raise ValueError(
            f"profile {profile!r} has fewer than two signal-to-noise ratios for {attribute!r} and {engine!r}"
        )
    ratios = sorted(set(levels["snr_db"]))
    clean_at = ratios[-1] + 1.2 * max(np.median(np.diff(ratios)), 1.0)
    clean = mine[mine["condition"] == CLEAN].assign(snr_db=clean_at)
    both = pd.concat([rows, clean], ignore_index=True)
    lines = [_line(str(group), both.loc[places]) for group, places in both.groupby("group", sort=False).groups.items()]
    lines.sort(key=lambda line: -np.nan_to_num(line.y[0], nan=-1.0))
    ticks = [(ratio, f"{ratio:g}") for ratio in ratios] + ([(clean_at, "clean")] if len(clean) else [])
    return draw_lines(
        lines,
        title=_title(lines, engine, profile, ratios[0]),
        x_label="Signal-to-noise ratio, dB (louder noise to the left)",
        y_label="Word error rate, %",
        caption=f"thin bars: {confidence * 100:g} % interval over speakers",
        x_ticks=ticks,
        gap_before=clean_at if len(clean) else None,
    )


def _line(group: str, both: pd.DataFrame) -> Line:
    low, high = (100 * both[name].to_numpy(float) if name in both else None for name in ("ci_low", "ci_high"))
    return Line(
        name=group_name(group),
        speakers=int(both["speakers"].max()),
        x=both["snr_db"].to_numpy(float),
        y=100 * both["rate"].to_numpy(float),
        low=low,
        high=high,
    )


def _title(lines: list[Line], engine: str, profile: str, lowest: float) -> str:
    sure = [line for line in lines if line.low is not None and np.isfinite(line.low[0])] or lines
    worst, best = sure[0], sure[-1]
    last = f", {best.y[0]:.1f} % for {best.name}" if len(sure) > 1 else ""
    return f"{profile} at {lowest:g} dB: WER of {worst.y[0]:.1f} % for {worst.name}{last} ({engine})"


def _measured(achieved: pd.DataFrame | None) -> dict[str, Any]:
    if achieved is None:
        return {}
    for quantity in QUANTITIES:
        rows = achieved[(achieved["quantity"] == quantity) & achieved["mean"].notna()]
        if len(rows):
            everybody = rows[rows["attribute"] == "overall"]
            rows = everybody if len(everybody) else rows
            return {
                str(name): round(float(value), 1) for name, value in rows.groupby("condition")["mean"].mean().items()
            }
    return {}
