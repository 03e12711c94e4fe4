"""Small scored runs for the tests of the statistics, from rows given by the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asrfair.data.runfile import write_run_file
from asrfair.stats.frame import Frame, load_frame
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

LEDGER = ("engine", "condition", "utterance_id", "reason")


def write_scored_run(
    run: Path,
    utterances: pd.DataFrame,
    errors: Mapping[tuple[str, str], Sequence[int]],
    words: Sequence[int],
    *,
    status: Mapping[tuple[str, str], Sequence[str]] | None = None,
    counts: Mapping[str, Sequence[int]] | None = None,
    provenance: Mapping[str, str] | None = None,
    normalizer: str = "basic",
) -> Path:
    """Write utterances.parquet, scores.parquet and run.json.

    Args:
        run: The folder.
        utterances: utterance_id, speaker_id and attributes; reference, exclude and duration_s are added if missing.
        errors: For each engine and condition the errors of each utterance (substitutions as far as there are words,
            insertions beyond).
        words: Reference words of each utterance.
        status: Statuses where not all are scored.
        counts: Further columns of the scores, the same for all engines and conditions.
        provenance: Of attributes, where not self-reported.
        normalizer: As recorded.
    """
    run.mkdir(parents=True, exist_ok=True)
    table = utterances.copy()
    for name, value in (("reference", "word"), ("exclude", ""), ("duration_s", np.nan), ("language", "en")):
        if name not in table:
            table[name] = value
    table = table.sort_values("utterance_id", kind="stable")
    order = table.index.to_numpy()
    table.to_parquet(run / "utterances.parquet", index=False)
    blocks = []
    for (engine, condition), made in errors.items():
        n, e = np.asarray(words)[order], np.asarray(made)[order]
        stood = np.asarray((status or {}).get((engine, condition), ["scored"] * len(n)), dtype=object)[order]
        block = pd.DataFrame(
            {"engine": engine, "condition": condition, "utterance_id": table["utterance_id"], "status": stood}
        )
        substituted = np.minimum(e, n)
        values = {
            "hits": n - substituted,
            "substitutions": substituted,
            "deletions": np.zeros_like(n),
            "insertions": e - substituted,
            **{name: np.asarray(column)[order] for name, column in (counts or {}).items()},
        }
        for name, column in values.items():
            block[name] = np.where(stood == "scored", column, 0).astype(np.int32)
        blocks.append(block)
    pd.concat(blocks, ignore_index=True).to_parquet(run / "scores.parquet", index=False)
    fixed = {"utterance_id", "speaker_id", "reference", "exclude", "duration_s", "language"}
    attributes = {
        name: {"description": "", "provenance": (provenance or {}).get(name, "self-reported")}
        for name in table.columns
        if name not in fixed
    }
    about: dict[str, Any] = {
        "manifest": {"name": "made", "attributes": attributes},
        "groups": {**asdict(GroupSettings()), "by": []},
        "scoring": {**asdict(ScoringSettings(normalizer=normalizer)), "normalizer_version": f"{normalizer}@1"},
        "statistics": asdict(StatisticsSettings()),
    }
    write_run_file(run, about)
    return run


def people(groups: Mapping[str, int], *, utterances: int, attribute: str = "accent") -> pd.DataFrame:
    """One row an utterance: ``groups`` maps a group to its number of speakers, each with so many utterances."""
    rows = [
        {"speaker_id": f"{group}-{speaker}", attribute: group}
        for group, count in groups.items()
        for speaker in range(count)
        for _ in range(utterances)
    ]
    table = pd.DataFrame(rows)
    table.insert(0, "utterance_id", [f"u{number:05d}" for number in range(len(table))])
    return table


def frame_of(run: Path, *by: tuple[str, ...], **settings: Any) -> tuple[Frame, GroupSettings]:
    """Load a run grouped by the attributes given."""
    groups = GroupSettings(by=by, **settings)
    return load_frame(run, groups), groups


def ledger(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Make a ledger of (engine, condition, utterance, reason)."""
    return pd.DataFrame(rows, columns=list(LEDGER)).astype(str)
