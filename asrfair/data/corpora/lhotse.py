"""Lhotse: cuts, or supervisions with their recordings, as JSON Lines (also .gz); a row a supervision."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame
from asrfair.data.manifest import Card
from asrfair.data.manifest.card import CANONICAL_COLUMNS
from asrfair.errors import InputError, printable

_MAX_LINE = 64_000_000


def read(request: ImportRequest) -> ImportedCorpus:
    """Read cuts, or supervisions where ``recordings`` names the recordings."""
    recordings = request.option("recordings", "")
    known = {}
    if recordings:
        path = request.source.parent / recordings
        known = {str(item.get("id")): item for _, item in _objects(path)}
    rows: list[dict[str, object]] = []
    mixed = 0
    for line, item in _objects(request.source):
        try:
            if "supervisions" in item:
                if item.get("type") not in {None, "MonoCut", "Cut", "MultiCut"} or "recording" not in item:
                    mixed += 1
                    continue
                rows.extend(_cut_rows(item))
            else:
                rows.append(_row(item, known.get(str(item["recording_id"]), {}), float(item["start"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"the line is neither a cut nor a supervision: {type(error).__name__} {printable(str(error))}",
                file=request.source,
                line=line,
                remedy="Give cuts, or supervisions with --option recordings=FILE",
            ) from error
    notes = []
    if mixed:
        notes.append(f"{mixed:,} cuts are mixed, padded or without recording, and are in no row.")
    attributes = [name for name in (rows[0] if rows else {}) if name not in CANONICAL_COLUMNS]
    if attributes:
        notes.append(f"Attributes, whose provenance you should write into the card: {', '.join(attributes)}.")
    name = request.source.name.split(".")[0]
    return ImportedCorpus(card=Card(name=name), rows=frame(rows, request=request), notes=tuple(notes))


def _cut_rows(cut: dict[str, Any]) -> Iterator[dict[str, object]]:
    for supervision in cut["supervisions"]:
        # A supervision's start counts from the cut's start, and may lie before it.
        yield _row(supervision, cut["recording"], float(cut.get("start", 0)) + float(supervision["start"]))


def _row(supervision: dict[str, Any], recording: dict[str, Any], start: float) -> dict[str, object]:
    channel = supervision.get("channel", 0)
    source = next((s for s in recording.get("sources", []) if s.get("type") == "file"), None)
    several = len(recording.get("channel_ids") or (source or {}).get("channels") or [0]) > 1
    start = max(start, 0.0)
    row: dict[str, object] = {
        "utterance_id": str(supervision["id"]),
        "speaker_id": str(supervision.get("speaker") or ""),
        "reference": str(supervision.get("text") or ""),
        "audio": str(source["source"]) if source else "",
        "start_s": round(start, 6),
        "end_s": round(start + float(supervision["duration"]), 6),
        "channel": channel if several and isinstance(channel, int) else "",
        "duration_s": round(float(supervision["duration"]), 6),
        "language": str(supervision.get("language") or ""),
        "exclude": "" if supervision.get("speaker") else "no speaker",
    }
    about = {"gender": supervision.get("gender"), **(supervision.get("custom") or {})}
    return row | {name: _text(value) for name, value in about.items() if name not in row}


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            while line := stream.readline(_MAX_LINE):
                number += 1
                if not line.strip():
                    continue
                item = json.loads(line.decode("utf-8"))
                if not isinstance(item, dict):
                    raise InputError("the line is not a JSON object", file=path, line=number, remedy="Is it Lhotse's?")
                yield number, item
    except (OSError, EOFError) as error:
        raise InputError(f"the file cannot be read: {error}", file=path, remedy="Check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"the line is not JSON: {printable(str(error), limit=120)}",
            file=path,
            line=number,
            remedy="Is it Lhotse's?",
        ) from error


IMPORTER = Importer(
    read=read,
    summary="Lhotse cuts or supervisions",
    layout="cuts.jsonl or .jsonl.gz; or supervisions.jsonl(.gz) with --option recordings=recordings.jsonl(.gz)",
    options={"recordings": "the recordings' file, relative to the supervisions'"},
)
