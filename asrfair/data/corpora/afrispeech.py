"""AfriSpeech-200: transcripts/{accent}/{split}.csv and audio unpacked from audio/{accent}/{split}/…tar.gz."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pandas as pd

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest
from asrfair.data.manifest import AttributeCard, Card
from asrfair.data.tablefile import read_table
from asrfair.errors import InputError

_ATTRIBUTES = ("accent", "gender", "age_group", "country", "domain")
_UNSTATED = ("other", "Other")

CARD = Card(
    name="afrispeech",
    licence="CC-BY-NC-SA-4.0",
    citation=(
        "Olatunji, T. et al. (2023). AfriSpeech-200: Pan-African Accented Speech Dataset for Clinical and General "
        "Domain ASR. TACL 11, 1669–1685."
    ),
    description="Clinical and general sentences read by 2,463 speakers with 120 African accents",
    homepage="https://huggingface.co/datasets/tobiolatunji/afrispeech-200",
    language="en",
    attributes={
        "accent": AttributeCard(description="accent, mostly the first language", provenance="self-reported"),
        "gender": AttributeCard(description="gender", provenance="self-reported", not_stated=_UNSTATED),
        "age_group": AttributeCard(description="age band in years", provenance="self-reported"),
        "country": AttributeCard(description="country, ISO code", provenance="self-reported"),
        "style": AttributeCard(
            description="sentences: read", provenance="recorded", level="utterance", values=("read",)
        ),
        "domain": AttributeCard(description="clinical or general text", provenance="recorded", level="utterance"),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read a split of one accent, or of all; audio is found by the last two parts of its stated path."""
    split = request.option("split", "test", choices=("test", "dev", "train"))
    accent = request.option("accent", "")
    folder = request.need("transcripts")
    paths = sorted(path for path in folder.rglob(f"{split}.csv") if not accent or path.parent.name == accent)
    if not paths:
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:20])
        raise InputError(f"no {split}.csv for {accent or 'any accent'}", file=folder, remedy=f"There are: {names}")
    tables = [_table(path) for path in paths]
    table = pd.concat(tables, ignore_index=True).fillna("")
    repeated = table["audio_ids"].duplicated()
    table = table[~repeated].reset_index(drop=True)
    found = {f"{path.parent.name}/{path.name}": path for path in request.source.rglob("*.wav")}
    tails = ["/".join(PurePosixPath(path).parts[-2:]) for path in table["audio_paths"]]
    rows = pd.DataFrame(
        {
            "utterance_id": table["audio_ids"],
            "speaker_id": table["user_ids"],
            "reference": table["transcript"],
            "audio": [str(found[tail].relative_to(request.source)) if tail in found else tail for tail in tails],
            "duration_s": pd.to_numeric(table["duration"], errors="coerce") if "duration" in table else float("nan"),
        }
    )
    rows["style"] = "read"
    for name in _ATTRIBUTES:
        if name in table:
            rows[name] = table[name].str.strip()
    twice = int(repeated.sum())
    notes = (f"{twice:,} rows repeat the audio of another table and are in no row.",) if twice else ()
    return ImportedCorpus(card=CARD, rows=rows, notes=notes)


def _table(path: Path) -> pd.DataFrame:
    table = read_table(path)
    for name in ("user_ids", "audio_ids", "audio_paths", "transcript"):
        if name not in table:
            raise InputError(f"the table has no column {name!r}", file=path, line=1, remedy="Is it AfriSpeech's?")
    return table


IMPORTER = Importer(
    read=read,
    summary="AfriSpeech-200: clinical and general English with African accents",
    layout="the repository, archives unpacked: transcripts/{accent}/{split}.csv, below it {folder}/{file}.wav",
    options={"split": "test (default), dev or train", "accent": "only this accent's folder"},
)
