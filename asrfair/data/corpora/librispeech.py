"""LibriSpeech (and corpora laid out like it): split/speaker/chapter/*.flac with *.trans.txt, and SPEAKERS.TXT."""

from __future__ import annotations

from pathlib import Path

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame, read_text
from asrfair.data.manifest import AttributeCard, Card
from asrfair.errors import InputError

_SUFFIXES = (".flac", ".wav", ".mp3", ".opus", ".ogg")

CARD = Card(
    name="librispeech",
    licence="CC-BY-4.0",
    citation="Panayotov, V. et al. (2015). Librispeech: an ASR corpus based on public domain audio books. ICASSP 2015.",
    description="Read English audio books; speakers' accents are not stated",
    homepage="https://www.openslr.org/12",
    language="en",
    attributes={
        "gender": AttributeCard(
            description="sex, from SPEAKERS.TXT", provenance="annotated", values=("female", "male")
        ),
        "style": AttributeCard(
            description="audio books: read", provenance="recorded", level="utterance", values=("read",)
        ),
        "split": AttributeCard(description="the subset, such as test-other", provenance="recorded"),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read the splits below the folder, or the folder itself if it is one split."""
    speakers = _speakers(request.source)
    rows = []
    transcripts = sorted(request.source.rglob("*.trans.txt"))
    for path in transcripts:
        speaker, split = path.parent.parent.name, path.parent.parent.parent.name
        folder = path.parent.relative_to(request.source)
        suffixes = {file.stem: file.suffix for file in path.parent.iterdir() if file.suffix.lower() in _SUFFIXES}
        for line in read_text(path).splitlines():
            utterance, _, text = line.strip().partition(" ")
            if utterance:
                rows.append(
                    {
                        "utterance_id": utterance,
                        "speaker_id": speaker,
                        "reference": text,
                        "audio": str(folder / f"{utterance}{suffixes.get(utterance, '.flac')}"),
                        "gender": speakers.get(speaker, ""),
                        "style": "read",
                        "split": split,
                    }
                )
    wanted = request.option("split", "")
    if wanted:
        rows = [row for row in rows if row["split"] == wanted]
    notes = () if speakers else ("SPEAKERS.TXT is not there: nobody's gender is stated.",)
    return ImportedCorpus(card=CARD, rows=frame(rows, request=request), notes=notes)


def _speakers(source: Path) -> dict[str, str]:
    """Read ``ID | SEX | SUBSET | MINUTES | NAME``, beside the splits or one folder up."""
    for path in (source / "SPEAKERS.TXT", source.parent / "SPEAKERS.TXT", source / "speakers.tsv"):
        if path.is_file():
            break
    else:
        return {}
    genders = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith(";") or not line.strip() or cells[0].upper() == "ID":
            continue
        if len(cells) < 2:
            raise InputError("a line of SPEAKERS.TXT is: ID | SEX | SUBSET | MINUTES | NAME", file=path, line=number)
        genders[cells[0]] = {"F": "female", "M": "male"}.get(cells[1].upper(), cells[1])
    return genders


IMPORTER = Importer(
    read=read,
    summary="LibriSpeech, and corpora laid out like it",
    layout="LibriSpeech/: SPEAKERS.TXT, test-clean/{speaker}/{chapter}/{speaker}-{chapter}.trans.txt and *.flac",
    options={"split": "only this one, such as test-other"},
)
