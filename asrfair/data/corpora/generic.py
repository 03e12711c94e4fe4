"""Any table that names its columns: ours, those of well-known tools, or what the user says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest
from asrfair.data.manifest import Card
from asrfair.data.manifest.card import CANONICAL_COLUMNS
from asrfair.data.tablefile import read_table
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "utterance_id": ("utt_id", "uttid", "utt", "id", "segment_id", "clip_id", "file_id", "key"),
    "speaker_id": ("speaker", "spk_id", "spk", "client_id", "user_id", "participant_id", "talker"),
    "reference": ("text", "transcript", "transcription", "sentence", "ref", "normalized_text", "utterance"),
    "audio": ("audio_path", "audio_filepath", "audio_file", "path", "file", "filename", "file_name", "wav", "wav_path"),
    "start_s": ("start", "start_time", "begin", "offset", "segment_start_time"),
    "end_s": ("end", "end_time", "stop", "segment_end_time"),
    "duration_s": ("duration", "dur", "duration_seconds", "length_s", "audio_duration"),
    "channel": ("ch",),
    "language": ("lang", "locale"),
    "exclude": ("exclusion", "exclude_reason"),
}
"""Our column → names that other tools give it, the first found wins. Times are taken to be seconds."""


def read(request: ImportRequest) -> ImportedCorpus:
    """Rename the columns of a table; every column that is none of ours is an attribute."""
    table = read_table(request.source)
    mapping = _mapping(request, list(table.columns))
    rows = pd.DataFrame({ours: table[theirs] for ours, theirs in mapping.items()})
    notes = [f"Columns: {', '.join(f'{ours} = {theirs}' for ours, theirs in mapping.items() if ours != theirs)}."]
    if "speaker_id" not in rows:
        raise InputError(
            "no column says who speaks, and without that no interval can be computed",
            file=request.source,
            remedy="Name it: --option speaker_id=COLUMN",
        )
    if "reference" not in rows:
        raise InputError(
            "no column says what was said", file=request.source, remedy="Name it: --option reference=COLUMN"
        )
    if "utterance_id" not in rows:
        stems = rows["audio"].str.replace(r"\.[^./]*$", "", regex=True) if "audio" in rows else None
        if stems is not None and stems.is_unique and (stems != "").all():
            rows["utterance_id"] = stems
            notes.append("No column has ids: they are the audio paths without suffix.")
        else:
            rows["utterance_id"] = [f"row-{number}" for number in range(1, len(rows) + 1)]
            notes.append("No column has ids: they are the numbers of the rows.")
    left = [name for name in table.columns if name not in mapping.values()]
    for name in left:
        rows[name] = table[name]
    if left:
        notes.append(f"Attributes, whose provenance you should write into the card: {', '.join(left)}.")
    return ImportedCorpus(card=Card(name=request.source.stem), rows=rows, notes=tuple(notes))


def _mapping(request: ImportRequest, names: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for ours, theirs in request.options.items():
        if theirs not in names:
            raise InputError(
                f"the table has no column {theirs!r}", file=request.source, remedy=did_you_mean(theirs, names)
            )
        mapping[ours] = theirs
    folded = {name.casefold(): name for name in reversed(names)}
    for ours in CANONICAL_COLUMNS:
        if ours in mapping:
            continue
        for candidate in (ours, *SYNONYMS.get(ours, ())):
            found = folded.get(candidate)
            if found is not None and found not in mapping.values():
                mapping[ours] = found
                break
    return mapping


IMPORTER = Importer(
    read=read,
    summary="Any CSV, TSV, JSON Lines or Parquet table of utterances",
    layout="a table; columns are recognised by name, or named: --option reference=sentence --option accent=dialect",
    options=None,
)
