"""L2-ARCTIC: a folder a speaker with wav/ and transcript/, suitcase_corpus/ with spontaneous speech, README.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame, read_text
from asrfair.data.manifest import AttributeCard, Card

if TYPE_CHECKING:
    from pathlib import Path

_ROW = re.compile(r"^\|\s*(?P<speaker>[A-Z]{3,6})\s*\|\s*(?P<gender>[MF])\s*\|\s*(?P<language>[A-Za-z ]+?)\s*\|")

SPEAKERS: dict[str, tuple[str, str]] = {
    name: (gender, language)
    for language, names in {
        "Arabic": "ABA:M SKA:F YBAA:M ZHAA:F",
        "Chinese": "BWC:M LXC:F NCC:F TXHC:M",
        "Hindi": "ASI:M RRBI:M SVBI:F TNI:F",
        "Korean": "HJK:F HKK:M YDCK:F YKWK:M",
        "Spanish": "EBVS:M ERMS:M MBMPS:F NJS:F",
        "Vietnamese": "HQTV:M PNV:F THV:F TLV:M",
    }.items()
    for name, gender in (pair.split(":") for pair in names.split())
}
"""The speakers of release 5, as its README lists them; used where the README is not there."""

CARD = Card(
    name="l2_arctic",
    version="5.0",
    licence="CC-BY-NC-4.0",
    citation="Zhao, G. et al. (2018). L2-ARCTIC: A Non-native English Speech Corpus. Interspeech 2018, 2783–2787.",
    description="24 non-native speakers of English, two women and two men of each of six native languages",
    homepage="https://psi.engr.tamu.edu/l2-arctic-corpus/",
    language="en",
    attributes={
        "native_language": AttributeCard(description="native language, from the README", provenance="annotated"),
        "gender": AttributeCard(description="gender, from the README", provenance="annotated"),
        "style": AttributeCard(
            description="read: ARCTIC sentences; spontaneous: the suitcase story",
            provenance="recorded",
            level="utterance",
            values=("read", "spontaneous"),
        ),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read the sentences, and with ``suitcase=yes`` the spontaneous stories."""
    speakers = _speakers(request.source / "README.md")
    rows = []
    for folder in sorted(path for path in request.source.rglob("transcript") if path.is_dir()):
        suitcase = folder.parent.name == "suitcase_corpus"
        if suitcase and request.option("suitcase", "no", choices=("yes", "no")) == "no":
            continue
        for path in sorted(folder.glob("*.txt")):
            speaker = path.stem.upper() if suitcase else folder.parent.name
            gender, language = speakers.get(speaker, ("", ""))
            audio = folder.parent / "wav" / f"{path.stem}.wav"
            rows.append(
                {
                    "utterance_id": f"suitcase-{speaker}" if suitcase else f"{speaker}-{path.stem}",
                    "speaker_id": speaker,
                    "reference": " ".join(read_text(path).split()),
                    "audio": str(audio.relative_to(request.source)),
                    "native_language": language,
                    "gender": {"F": "female", "M": "male"}.get(gender, gender),
                    "style": "spontaneous" if suitcase else "read",
                }
            )
    unknown = sorted({str(row["speaker_id"]) for row in rows} - set(speakers))
    notes = (f"Nothing is known about: {', '.join(unknown)}.",) if unknown else ()
    return ImportedCorpus(card=CARD, rows=frame(rows, request=request), notes=notes)


def _speakers(readme: Path) -> dict[str, tuple[str, str]]:
    if not readme.is_file():
        return SPEAKERS
    found = {}
    for line in read_text(readme).splitlines():
        match = _ROW.match(line)
        if match:
            found[match["speaker"]] = (match["gender"], match["language"])
    return found or SPEAKERS


IMPORTER = Importer(
    read=read,
    summary="L2-ARCTIC: non-native English of six native languages",
    layout="l2arctic_release_v5.0/: README.md, ABA/{wav,transcript}/arctic_a0001.{wav,txt}, suitcase_corpus/",
    options={"suitcase": "yes: the spontaneous stories too (default no)"},
)
