"""VCTK 0.92 (and 0.80): txt/p225/p225_001.txt, wav48_silence_trimmed/p225/p225_001_mic1.flac, speaker-info.txt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame, read_text
from asrfair.data.manifest import AttributeCard, Card
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_AUDIO = re.compile(r"(?P<utterance>.+_[0-9]+)(?:_(?P<mic>mic[12]))?\.(?:flac|wav)")
_ACCENTS = {"NorthernIrish": "Northern Irish", "SouthAfrican": "South African", "NewZealand": "New Zealand"}

CARD = Card(
    name="vctk",
    version="0.92",
    licence="CC-BY-4.0",
    citation=(
        "Yamagishi, J., Veaux, C. and MacDonald, K. (2019). CSTR VCTK Corpus: English Multi-speaker Corpus for CSTR "
        "Voice Cloning Toolkit (version 0.92). University of Edinburgh. https://doi.org/10.7488/ds/2645"
    ),
    description="110 speakers reading newspaper sentences in a hemi-anechoic chamber",
    homepage="https://datashare.ed.ac.uk/handle/10283/3443",
    language="en",
    attributes={
        "accent": AttributeCard(
            description="accent, from speaker-info.txt", provenance="annotated", not_stated=("Unknown",)
        ),
        "region": AttributeCard(description="region of the accent, from speaker-info.txt", provenance="annotated"),
        "gender": AttributeCard(description="gender, from speaker-info.txt", provenance="annotated"),
        "age": AttributeCard(description="age in years, from speaker-info.txt", provenance="annotated"),
        "style": AttributeCard(
            description="newspaper sentences: read", provenance="recorded", level="utterance", values=("read",)
        ),
        "microphone": AttributeCard(
            description="mic1: DPA 4035; mic2: Sennheiser MKH 800", provenance="recorded", level="utterance"
        ),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read one microphone's recordings; one without transcript (all of p315) is kept and not scored."""
    mic = request.option("mic", "mic1", choices=("mic1", "mic2"))
    new = request.source / "wav48_silence_trimmed"
    audio = new if new.is_dir() else request.need("wav48")
    speakers = _speakers(request.need("speaker-info.txt"))
    rows = []
    for file in sorted(audio.rglob("*")):
        match = _AUDIO.fullmatch(file.name)
        if match is None or (match["mic"] or mic) != mic:
            continue
        speaker = file.parent.name
        text = request.source / "txt" / speaker / f"{match['utterance']}.txt"
        there = text.is_file()
        rows.append(
            {
                "utterance_id": match["utterance"],
                "speaker_id": speaker,
                "reference": " ".join(read_text(text).split()) if there else "",
                "audio": str(file.relative_to(request.source)),
                "exclude": "" if there else "no transcript",
                **speakers.get(speaker, {}),
                "style": "read",
                "microphone": match["mic"] or "",
            }
        )
    unknown = sorted({str(row["speaker_id"]) for row in rows} - set(speakers))
    notes = (f"speaker-info.txt says nothing about: {', '.join(unknown)}.",) if unknown else ()
    return ImportedCorpus(card=CARD, rows=frame(rows, request=request), notes=notes)


def _speakers(path: Path) -> dict[str, dict[str, str]]:
    """Read ``ID AGE GENDER ACCENTS REGION COMMENTS``, in columns of spaces; a comment stands in brackets."""
    speakers: dict[str, dict[str, str]] = {}
    lines = read_text(path).splitlines()
    if not lines or lines[0].split()[:4] != ["ID", "AGE", "GENDER", "ACCENTS"]:
        raise InputError("the file starts with ID AGE GENDER ACCENTS REGION", file=path, line=1, remedy="Is it VCTK's?")
    for number, line in enumerate(lines[1:], start=2):
        cells = re.sub(r"\(.*?\)", "", line).split()
        if not cells:
            continue
        if len(cells) < 4:
            raise InputError("a line is: ID AGE GENDER ACCENTS REGION", file=path, line=number, value=line)
        name = cells[0] if not cells[0].isdigit() else f"p{cells[0]}"
        speakers[name] = {
            "accent": _ACCENTS.get(cells[3], cells[3]),
            "region": " ".join(cells[4:]),
            "gender": {"F": "female", "M": "male"}.get(cells[2], cells[2]),
            "age": cells[1],
        }
    return speakers


IMPORTER = Importer(
    read=read,
    summary="VCTK: 110 speakers of English accents, read speech",
    layout="VCTK-Corpus-0.92/: speaker-info.txt, txt/p225/*.txt, wav48_silence_trimmed/p225/*_mic1.flac (0.80: wav48/)",
    options={"mic": "mic1 (default) or mic2"},
)
