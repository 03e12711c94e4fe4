"""Somebody else's transcripts: a manifest and hypothesis files become a run folder, with no audio and no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.hypotheses import read_hypotheses
from asrfair.data.manifest import Manifest
from asrfair.errors import InputError
from asrfair.recognise.transcribe.finalise import HYPOTHESES
from asrfair.types import CLEAN


@dataclass(frozen=True, kw_only=True, slots=True)
class HypothesisFile:
    """One file of transcripts: of which engine, under which condition."""

    engine: str
    condition: str
    path: Path


def parse_hypothesis_file(text: str) -> HypothesisFile:
    """Read ``LABEL=FILE`` or ``LABEL@CONDITION=FILE``.

    Raises:
        InputError: There is no label or no file in it.
    """
    label, equals, path = text.partition("=")
    engine, at, condition = label.partition("@")
    if not equals or not engine.strip() or not path.strip() or (at and not condition.strip()) or "\0" in path:
        raise InputError(
            "hypotheses are given as LABEL=FILE or LABEL@CONDITION=FILE",
            value=text,
            remedy="For example: --hypotheses whisper-small=out.csv",
        )
    if not label.isprintable():
        raise InputError("a label must be printable", value=text, remedy="Choose another label")
    return HypothesisFile(engine=engine.strip(), condition=condition.strip() or CLEAN, path=Path(path.strip()))


def write_hypotheses(files: Sequence[HypothesisFile], manifest: Manifest, run: Path) -> dict[str, int]:
    """Write ``hypotheses.parquet``, a row group a file, so that memory holds one file at a time.

    An utterance of the manifest that a file lacks gets a row with status ``missing``; rows for utterances that the
    manifest does not know are kept, for the ledger.

    Returns:
        Rows by status.

    Raises:
        InputError: Two files are of the same engine and condition, or one cannot be read.
    """
    seen: dict[tuple[str, str], Path] = {}
    for file in files:
        key = (file.engine, file.condition)
        if key in seen:
            raise InputError(
                f"two files hold hypotheses of {file.engine!r} under {file.condition!r}",
                file=file.path,
                remedy="Give each a label of its own, or a condition: LABEL@CONDITION=FILE",
            )
        seen[key] = file.path
    known = pd.Index(manifest.table["utterance_id"])
    counts: dict[str, int] = {}
    temporary = run / "hypotheses.parquet.partial"
    writer: pq.ParquetWriter | None = None
    try:
        for file in _grouped(files):
            table = _table(file, manifest.table, known)
            for entry in table.column("status").combine_chunks().value_counts().to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
            if writer is None:
                writer = pq.ParquetWriter(temporary, HYPOTHESES, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    temporary.replace(run / "hypotheses.parquet")
    return counts


def _grouped(files: Sequence[HypothesisFile]) -> list[HypothesisFile]:
    engines = list(dict.fromkeys(file.engine for file in files))
    conditions = list(dict.fromkeys(file.condition for file in files))
    return sorted(files, key=lambda file: (engines.index(file.engine), conditions.index(file.condition)))


def _table(file: HypothesisFile, manifest: pd.DataFrame, known: pd.Index[str]) -> pa.Table:
    frame = read_hypotheses(file.path, utterances=manifest)
    missing = known.difference(pd.Index(frame["utterance_id"]), sort=False)
    frame = frame.assign(status="ok")
    frame.loc[frame["hypothesis"].str.strip() == "", "status"] = "empty"
    if len(missing):
        frame = pd.concat([frame, pd.DataFrame({"utterance_id": missing, "hypothesis": "", "status": "missing"})])
    frame = frame.sort_values("utterance_id", kind="stable")
    size = len(frame)
    text = {
        "engine": pa.repeat(file.engine, size),
        "condition": pa.repeat(file.condition, size),
        "error": pa.repeat("", size),
        "utterance_id": pa.array(frame["utterance_id"], pa.string(), from_pandas=True),
        "status": pa.array(frame["status"], pa.string(), from_pandas=True),
        "hypothesis": pa.array(frame["hypothesis"], pa.large_string(), from_pandas=True),
        "confidence": pa.array(pd.to_numeric(frame["confidence"], errors="coerce"), pa.float64(), from_pandas=True)
        if "confidence" in frame
        else pa.nulls(size, pa.float64()),
        "language": _optional(frame, "language", pa.string()),
        "words": _optional(frame, "words", pa.large_string()),
    }
    return pa.table([text[name] for name in HYPOTHESES.names], schema=HYPOTHESES)


def _optional(frame: pd.DataFrame, name: str, kind: pa.DataType) -> pa.Array:
    if name not in frame:
        return pa.array([""] * len(frame), kind)
    return pa.array(frame[name].fillna(""), kind, from_pandas=True)
