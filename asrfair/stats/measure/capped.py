"""Rates that a loop cannot carry: of each utterance at most as many insertions as its reference has words.

A recogniser that repeats a phrase hundreds of times on one utterance in a thousand makes a rate whose spread no sample
shows: intervals of what happened to be drawn then hold far less often than they say (docs/statistics.md). With loops in
sight the rates are shown with and without what lies over the cap, and claims rest on the capped ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.stats.frame import Frame

LOOP = "repetition_loop"
"""Reason of the ledger."""

MIN_EXCESS = 30
"""An utterance with so many insertions more than its reference has words is taken for a loop, whatever it says."""


def loops_in_sight(frame: Frame, ledger: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which runs (engine × condition) have loops among their scored utterances, shape (R,).

    Args:
        frame: The scores.
        ledger: Columns engine, condition, utterance_id, reason.
    """
    runs = {pair: index for index, pair in enumerate(frame.runs())}
    found = np.zeros(len(runs), dtype=bool)
    found[frame.excess[frame.excess[:, 2] >= MIN_EXCESS, 0]] = True
    loops = ledger[ledger["reason"] == LOOP]
    known = frame.utterances["utterance_id"]
    loops = loops[
        loops["utterance_id"].isin(known[known.isin(loops["utterance_id"])])
    ]  # a long list is slow to look in
    for pair in loops[["engine", "condition"]].drop_duplicates().itertuples(index=False, name=None):
        if pair in runs:
            found[runs[pair]] = True
    return found


def capped(frame: Frame, runs: npt.NDArray[np.bool_] | None = None) -> Frame:
    """Return the frame with the insertions of each utterance capped at its reference words.

    Args:
        frame: The scores.
        runs: Which runs, shape (R,); all by default.
    """
    excess = frame.excess if runs is None else frame.excess[runs[frame.excess[:, 0]]]
    if not len(excess):
        return frame
    run, utterance, words = excess.T
    sides, counts = {}, frame.counts.copy()
    engine, condition = np.divmod(run, len(frame.conditions))
    for name in ("numerator", "denominator"):
        parts, side = getattr(frame.metric, name), getattr(frame, name).copy()
        times = parts.count("insertions") - parts.count("-insertions")
        side[engine, condition, utterance] -= (times * words).astype(side.dtype)
        sides[name] = side
    place = (engine, condition, frame.atom[utterance], np.full(len(run), frame.quantities.index("insertions")))
    np.subtract.at(counts, place, words)
    left = np.zeros((0, 3), dtype=np.int64) if runs is None else frame.excess[~runs[frame.excess[:, 0]]]
    return replace(frame, **sides, counts=counts, excess=left)


def for_claims(frame: Frame, ledger: pd.DataFrame) -> Frame:
    """Return the scores that claims rest on: capped in the runs that have loops in sight, the same object otherwise."""
    runs = loops_in_sight(frame, ledger)
    return capped(frame, runs) if runs.any() else frame
