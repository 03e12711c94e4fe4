"""Somebody else's transcripts: a manifest and hypothesis files become a run folder, with no audio and no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.data.hypotheses import FORMATS, check_known, read_hypotheses
from asrfair.data.manifest import Manifest
from asrfair.data.tablefile import PARQUET, suffix_of
from asrfair.data.wholefile import open_whole
from asrfair.errors import InputError
from asrfair.recognise.transcribe.finalise import HYPOTHESES
from asrfair.types import CLEAN


@dataclass(frozen=True, kw_only=True, slots=True)
class HypothesisFile:
    """Transcripts of one engine under one condition: a file, or several that each hold a part of the utterances."""

    engine: str
    condition: str
    paths: tuple[Path, ...]


def hypothesis_files(text: str) -> list[HypothesisFile]:
    """Read what ``--hypotheses`` takes.

    ``LABEL=FILE`` and ``LABEL@CONDITION=FILE`` are one engine's transcripts; where the file is a folder or a pattern
    (``LABEL=parts/*.csv``), its files are parts of them. A folder or pattern without a label is a file an engine, each
    called after its file (``whisper-small.csv``, ``whisper-small@telephone.csv.gz``).

    Raises:
        InputError: There is no label or no file in it, or nothing matches.
    """
    label, equals, path = text.partition("=")
    if "\0" not in text and (not equals or _exists(text)):
        paths = _matching(text)
        if paths is not None:
            return [_labelled(_stem(path), (path,), text) for path in paths]
    if not equals or not path.strip() or "\0" in text:
        raise InputError(
            "hypotheses are given as LABEL=FILE, LABEL@CONDITION=FILE, or a folder or pattern of files called LABEL.csv",
            value=text,
            remedy="For example: --hypotheses whisper-small=out.csv",
        )
    return [_labelled(label, tuple(_matching(path.strip()) or [Path(path.strip())]), text)]


def _labelled(label: str, paths: tuple[Path, ...], text: str) -> HypothesisFile:
    engine, at, condition = label.partition("@")
    if not engine.strip() or (at and not condition.strip()):
        raise InputError(
            "a label is ENGINE or ENGINE@CONDITION",
            value=text,
            remedy="For example: --hypotheses whisper-small=out.csv",
        )
    if not label.isprintable():
        raise InputError("a label must be printable", value=text, remedy="Choose another label")
    return HypothesisFile(engine=engine.strip(), condition=condition.strip() or CLEAN, paths=paths)


def _matching(text: str) -> list[Path] | None:
    """Return the files of a folder or pattern, by name; ``None`` where the text is neither.

    Raises:
        InputError: No file of a known format is there.
    """
    path = Path(text)
    if _exists(text):
        if not path.is_dir():
            return None
        found = sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    elif any(c in text for c in "*?["):
        start = Path(path.anchor)
        found = sorted(item for item in start.glob(str(path.relative_to(start))) if item.is_file())
    else:
        return None
    known = [item for item in found if suffix_of(item) in FORMATS]
    if not known:
        raise InputError(
            "no file of hypotheses is there", file=text, remedy=f"Known formats: {', '.join(FORMATS)}, also with .gz"
        )
    return known


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _stem(path: Path) -> str:
    return path.name[: len(path.name) - len(".gz") * (path.suffix.lower() == ".gz")].rpartition(".")[0]


def write_hypotheses(files: Sequence[HypothesisFile], manifest: Manifest, run: Path) -> dict[str, int]:
    """Write ``hypotheses.parquet``, a row group a file, so that memory holds one file at a time.

    An utterance of the manifest that a file lacks gets a row with status ``missing``; rows for utterances that the
    manifest does not know are kept, for the ledger.

    Returns:
        Rows by status.

    Raises:
        InputError: Two files are of the same engine and condition, or one cannot be read.
    """
    seen: set[tuple[str, str]] = set()
    for file in files:
        key = (file.engine, file.condition)
        if key in seen:
            raise InputError(
                f"two files hold hypotheses of {file.engine!r} under {file.condition!r}",
                file=file.paths[0],
                remedy="Give each a label of its own, or a condition: LABEL@CONDITION=FILE",
            )
        seen.add(key)
    known = pd.Index(manifest.table["utterance_id"])
    counts: dict[str, int] = {}
    with (
        open_whole(run / "hypotheses.parquet", private=True) as stream,
        pq.ParquetWriter(stream, HYPOTHESES, **PARQUET) as writer,
    ):
        for file in _grouped(files):
            table = _table(file, manifest.table, known)
            for entry in table.column("status").combine_chunks().value_counts().to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
            writer.write_table(table)
    return counts


def _grouped(files: Sequence[HypothesisFile]) -> list[HypothesisFile]:
    engines = list(dict.fromkeys(file.engine for file in files))
    conditions = list(dict.fromkeys(file.condition for file in files))
    return sorted(files, key=lambda file: (engines.index(file.engine), conditions.index(file.condition)))


def _table(file: HypothesisFile, manifest: pd.DataFrame, known: pd.Index[str]) -> pa.Table:
    frame = _rows(file, manifest)
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


def _rows(file: HypothesisFile, manifest: pd.DataFrame) -> pd.DataFrame:
    """Read a file, or its parts one below the other; every part has utterances of the manifest."""
    frames = []
    for path in file.paths:
        frame = read_hypotheses(path, utterances=manifest)
        check_known(path, frame["utterance_id"], manifest["utterance_id"])
        frames.append(frame.assign(part=str(path)))
    whole = pd.concat(frames, ignore_index=True)
    repeated = whole[whole["utterance_id"].duplicated(keep=False)]
    differ = repeated.groupby("utterance_id", sort=False)["hypothesis"].transform("nunique") > 1
    if differ.any():
        first = repeated[differ].iloc[0]
        other = repeated[(repeated["utterance_id"] == first["utterance_id"]) & (repeated["part"] != first["part"])]
        raise InputError(
            f"two parts have different hypotheses for one utterance, the other is {Path(other['part'].iloc[0]).name}",
            file=first["part"],
            value=first["utterance_id"],
            remedy="Leave one of them, or give each engine its own label",
        )
    return whole.drop(columns="part")


def _optional(frame: pd.DataFrame, name: str, kind: pa.DataType) -> pa.Array:
    if name not in frame:
        return pa.array([""] * len(frame), kind)
    return pa.array(frame[name].fillna(""), kind, from_pandas=True)
