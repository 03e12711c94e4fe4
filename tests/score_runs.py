"""Small run folders for tests of scoring."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd


def write_run(
    run: Path,
    utterances: list[dict[str, str]],
    hypotheses: list[dict[str, str]],
) -> Path:
    """Write the two tables that scoring reads; what a row leaves out has an ordinary value."""
    run.mkdir(parents=True, exist_ok=True)
    defaults = {"speaker_id": "s", "reference": "", "exclude": "", "language": "en"}
    pd.DataFrame([{**defaults, **row} for row in utterances]).to_parquet(run / "utterances.parquet")
    ordinary = {"engine": "e", "condition": "clean", "status": "ok", "hypothesis": "", "error": ""}
    pd.DataFrame([{**ordinary, **row} for row in hypotheses]).to_parquet(run / "hypotheses.parquet")
    return run


def write_shared_run(run: Path, folder: Path) -> pd.DataFrame:
    """Write the run of a real corpus with all its systems, and return its manifest."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    utterances = [
        {
            "utterance_id": row["utt_id"],
            "speaker_id": row["speaker_id"],
            "reference": re.sub("<[A-Z_]+>", "", row["reference"]),
            "exclude": row.get("exclusion", ""),
        }
        for row in rows
    ]
    hypotheses = []
    for path in sorted((folder / "hypotheses").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                status = "ok" if row["hypothesis"].strip() else "empty"
                text = row["hypothesis"] if status == "ok" else ""
                hypotheses.append(
                    {"engine": path.stem, "utterance_id": row["utt_id"], "hypothesis": text, "status": status}
                )
    write_run(run, utterances, hypotheses)
    return pd.DataFrame(rows)


def ledger(run: Path) -> list[tuple[str, str]]:
    """The ledger as (utterance, reason) pairs, in order."""
    with (run / "ledger.csv").open(encoding="utf-8", newline="") as stream:
        return [(row["utterance_id"], row["reason"]) for row in csv.DictReader(stream)]


def scores(run: Path) -> pd.DataFrame:
    """The scores, by utterance."""
    return pd.read_parquet(run / "scores.parquet").set_index("utterance_id")
