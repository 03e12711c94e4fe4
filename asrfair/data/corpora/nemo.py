"""NeMo manifests: a JSON object a line with audio_filepath, duration, text, offset, and whatever else."""

from __future__ import annotations

import pandas as pd

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest
from asrfair.data.manifest import Card
from asrfair.data.tablefile import read_table
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError

_SPEAKERS = ("speaker", "speaker_id", "spk", "spk_id", "client_id")
_OWN = frozenset({"audio_filepath", "duration", "text", "offset", "utt_id", "id", "utterance_id", "lang", "language"})
_PREDICTIONS = frozenset({"pred_text", "wer", "cer", "pred_text_wer"})


def read(request: ImportRequest) -> ImportedCorpus:
    """Read the manifest; every further key is an attribute, except predictions."""
    table = read_table(request.source, kind="jsonl")
    names = list(table.columns)
    for name in ("audio_filepath", "text"):
        if name not in table:
            raise InputError(f"no line has the key {name!r}", file=request.source, remedy="Is it a NeMo manifest?")
    speaker = request.option("speaker", next((name for name in _SPEAKERS if name in table), ""))
    if speaker not in table:
        raise InputError(
            "no key says who speaks, and without that no interval can be computed",
            file=request.source,
            remedy=f"Name it: --option speaker=KEY. {did_you_mean(speaker, names)}",
        )
    start = (
        pd.to_numeric(table["offset"], errors="coerce") if "offset" in table else pd.Series(float("nan"), table.index)
    )
    duration = pd.to_numeric(table["duration"], errors="coerce") if "duration" in table else start * float("nan")
    ids = next((table[name] for name in ("utterance_id", "utt_id", "id") if name in table), None)
    if ids is None:
        ids = table["audio_filepath"].str.replace(r"\.[^./]*$", "", regex=True)
        if not ids.is_unique:
            ids = ids + "@" + start.fillna(0).map(lambda value: f"{value:.3f}")
    rows = pd.DataFrame(
        {
            "utterance_id": ids,
            "speaker_id": table[speaker],
            "reference": table["text"],
            "audio": table["audio_filepath"],
            "start_s": start,
            "end_s": start + duration,
            "duration_s": duration,
        }
    )
    language = next((name for name in ("lang", "language") if name in table), None)
    if language is not None:
        rows["language"] = table[language]
    attributes = [name for name in names if name not in _OWN | _PREDICTIONS and name != speaker]
    for name in attributes:
        rows[name] = table[name]
    notes = []
    if attributes:
        notes.append(f"Attributes, whose provenance you should write into the card: {', '.join(attributes)}.")
    left = sorted(_PREDICTIONS & set(names))
    if left:
        notes.append(f"Predictions were left out ({', '.join(left)}): give them to 'asrfair score' as hypotheses.")
    return ImportedCorpus(card=Card(name=request.source.stem), rows=rows, notes=tuple(notes))


IMPORTER = Importer(
    read=read,
    summary="A NeMo manifest (JSON Lines)",
    layout='a file of lines such as {"audio_filepath": "a.wav", "duration": 2.1, "text": "…", "speaker": "…"}',
    options={"speaker": "the key that says who speaks (default: speaker, speaker_id …)"},
)
