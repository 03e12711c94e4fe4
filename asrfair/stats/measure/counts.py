"""The sums that metrics are functions of: counts of words, of failures in the ledger, and times."""

from __future__ import annotations

import numpy as np
import pandas as pd

from asrfair.data.tablefile import to_numbers
from asrfair.errors import InputError
from asrfair.scoring.ledger import GAVE_NOTHING, LOOKS_WRONG
from asrfair.stats.frame import Floats, Frame
from asrfair.types import SCORED


def ledger_counts(frame: Frame, ledger: pd.DataFrame) -> dict[str, Floats]:
    """Occurrences of each reason by run and atom, (R, A); an utterance counts once a reason."""
    runs = {pair: index for index, pair in enumerate(frame.runs())}
    pairs = zip(ledger["engine"], ledger["condition"], strict=True)
    run = np.array([runs.get(pair, -1) for pair in pairs], dtype=np.int64)
    row = pd.Index(frame.utterances["utterance_id"]).get_indexer(pd.Index(ledger["utterance_id"]))
    atoms = len(frame.atom_speaker)
    status = frame.status.reshape(len(runs), -1)

    def count(reasons: tuple[str, ...], *, scored: bool) -> Floats:
        wanted = (run >= 0) & (row >= 0) & ledger["reason"].isin(reasons).to_numpy()
        cells = np.unique(run[wanted] * len(frame.utterances) + row[wanted])
        r, u = np.divmod(cells, len(frame.utterances))
        if scored:
            keep = status[r, u] == SCORED
            r, u = r[keep], u[keep]
        summed = np.bincount(r * atoms + frame.atom[u], minlength=len(runs) * atoms)
        return summed.reshape(len(runs), atoms).astype(np.float64)

    found = {reason: count((reason,), scored=True) for reason in LOOKS_WRONG}
    found["failed"] = count(GAVE_NOTHING, scored=False)
    scored_failed = count(GAVE_NOTHING, scored=True)
    utterances = frame.scored.reshape(len(runs), atoms).astype(np.float64)
    found["utterances"] = utterances
    found["attempted"] = utterances + found["failed"] - scored_failed
    return found


def timings(frame: Frame) -> dict[str, Floats]:
    """Seconds of work and of audio by run and atom, (R, A), over utterances that were timed."""
    if not frame.has_table("timings"):
        raise InputError(
            "there are no timings",
            file=frame.table_path("timings"),
            remedy="Latency can be shown for runs made by 'asrfair run'",
        )
    table = frame.table("timings", ["engine", "condition", "utterance_id", "latency_s"])
    runs = {pair: index for index, pair in enumerate(frame.runs())}
    pairs = zip(table["engine"], table["condition"], strict=True)
    run = np.array([runs.get(pair, -1) for pair in pairs], dtype=np.int64)
    row = pd.Index(frame.utterances["utterance_id"]).get_indexer(pd.Index(table["utterance_id"]))
    latency = table["latency_s"].to_numpy(dtype=np.float64)
    keep = (run >= 0) & (row >= 0) & np.isfinite(latency)
    run, row, latency = run[keep], row[keep], latency[keep]
    duration = np.full(len(frame.utterances), np.nan)
    if "duration_s" in frame.utterances:
        duration = to_numbers(frame.utterances["duration_s"]).to_numpy()
    long = np.nan_to_num(duration[row])
    atoms = len(frame.atom_speaker)
    cell = run * atoms + frame.atom[row]

    def add(values: Floats) -> Floats:
        total: Floats = np.bincount(cell, weights=values, minlength=len(runs) * atoms).astype(np.float64)
        return total.reshape(len(runs), atoms)

    return {
        "latency_s": add(latency),
        "timed": add(np.ones(len(latency))),
        "timed_latency_s": add(np.where(long > 0, latency, 0.0)),
        "duration_s": add(long),
    }
