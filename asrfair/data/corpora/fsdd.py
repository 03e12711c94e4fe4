"""FSDD, the Free Spoken Digit Dataset: recordings/{digit}_{speaker}_{take}.wav and a metadata.py about the speakers."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame, read_text
from asrfair.data.manifest import AttributeCard, Card
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<take>[0-9]+)\.wav")

CARD = Card(
    name="fsdd",
    version="1.0.10",
    licence="CC-BY-SA-4.0",
    citation="Jackson, Z. et al. Free Spoken Digit Dataset. https://doi.org/10.5281/zenodo.1342401",
    description="Spoken digits at 8 kHz. Six speakers: an accent is one or two persons, so none can be assessed.",
    homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
    language="en",
    attributes={
        "accent": AttributeCard(description="country/accent, from metadata.py", provenance="annotated"),
        "gender": AttributeCard(description="gender, from metadata.py", provenance="annotated"),
        "digit": AttributeCard(description="the digit spoken", provenance="recorded", level="utterance"),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read every recording; speakers that metadata.py does not know have no stated attributes."""
    folder = request.need("recordings")
    path = request.source / "metadata.py"
    speakers = _speakers(path) if path.is_file() else {}
    rows, other = [], 0
    for file in sorted(folder.glob("*.wav")):
        match = _NAME.fullmatch(file.name)
        if match is None:
            other += 1
            continue
        about = speakers.get(match["speaker"], {})
        rows.append(
            {
                "utterance_id": file.stem,
                "speaker_id": match["speaker"],
                "reference": DIGITS[int(match["digit"])],
                "audio": f"recordings/{file.name}",
                "accent": str(about.get("accent", "")),
                "gender": str(about.get("gender", "")),
                "digit": match["digit"],
            }
        )
    notes = [f"{other:,} files of recordings/ have other names and were left out."] if other else []
    unknown = sorted({str(row["speaker_id"]) for row in rows} - set(speakers))
    if unknown:
        notes.append(f"metadata.py says nothing about: {', '.join(unknown)}.")
    return ImportedCorpus(card=CARD, rows=frame(rows, request=request), notes=tuple(notes))


def _speakers(path: Path) -> dict[str, dict[str, object]]:
    """Read the dictionary of metadata.py as a literal: the file is never run."""
    try:
        for node in ast.parse(read_text(path)).body:
            if isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == "metadata" for t in node.targets
            ):
                content = ast.literal_eval(node.value)
                return {str(name): dict(about) for name, about in dict(content).items()}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(
            "metadata.py is not a plain dictionary", file=path, remedy="Use the corpus' own file"
        ) from error
    raise InputError("metadata.py has no 'metadata'", file=path, remedy="Use the corpus' own file")


IMPORTER = Importer(
    read=read,
    summary="Free Spoken Digit Dataset",
    layout="the repository: recordings/{digit}_{speaker}_{take}.wav and metadata.py (read, never run)",
)
