"""CORAAL, the Corpus of Regional African American Language: long interviews, a tab-separated transcript and metadata.

Lines of a transcript are short, so consecutive lines of the interviewee are joined into snippets, as Koenecke et al.
(2020, Racial disparities in automated speech recognition, PNAS 117) did; lines that overlap others, or that the
transcriber did not understand, are kept apart and not scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame
from asrfair.data.manifest import AttributeCard, Card
from asrfair.data.tablefile import read_table
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_PAUSE = re.compile(r"^\s*\(pause[^)]*\)\s*$", re.IGNORECASE)
_UNCLEAR = re.compile(r"/(?:\?+|unintelligible|inaudible|RD-[^/]*)[^/]*/", re.IGNORECASE)
_COLUMNS = {
    "Gender": "gender",
    "Age": "age",
    "Age.Group": "age_group",
    "Edu.Group": "education",
    "CORAAL.SEC.Group": "socioeconomic_group",
    "CORAAL.Sub": "component",
}

CARD = Card(
    name="coraal",
    licence="CC-BY-NC-SA-4.0",
    citation="Kendall, T. and Farrington, C. The Corpus of Regional African American Language. https://doi.org/10.7264/1ad5-6t35",
    description="Sociolinguistic interviews with speakers of African American Language from several places in the USA",
    homepage="https://oraal.github.io/coraal",
    language="en",
    reference_remove=(r"<[^<>]*>", r"\([^()]*\)", r"[/\[\]]"),
    attributes={
        "gender": AttributeCard(description="gender, from the metadata", provenance="annotated", not_stated=("NA",)),
        "age": AttributeCard(description="age in years at the interview", provenance="annotated", not_stated=("NA",)),
        "age_group": AttributeCard(
            description="age group of the corpus' design", provenance="annotated", not_stated=("NA",)
        ),
        "education": AttributeCard(description="education group", provenance="annotated", not_stated=("NA",)),
        "socioeconomic_group": AttributeCard(
            description="socioeconomic group of the corpus' design", provenance="annotated", not_stated=("NA",)
        ),
        "style": AttributeCard(
            description="interviews: conversational",
            provenance="recorded",
            level="utterance",
            values=("conversational",),
        ),
        "component": AttributeCard(
            description="component: place and time, such as DCB, PRV, ROC", provenance="recorded"
        ),
    },
)


@dataclass(frozen=True, kw_only=True)
class _Line:
    number: int
    speaker: str
    start: float
    end: float
    text: str


def read(request: ImportRequest) -> ImportedCorpus:
    """Read every interview of every metadata table below the folder."""
    longest = _longest(request)
    texts = {path.stem: path for path in request.source.rglob("*.txt")}
    audio = {path.stem: path for path in request.source.rglob("*.wav")}
    records: list[dict[str, object]] = []
    missing: list[str] = []
    pauses = 0
    for path in sorted(path for stem, path in texts.items() if "metadata" in stem.casefold()):
        table = read_table(path, kind="tsv")
        for column in ("CORAAL.File", "CORAAL.Spkr"):
            if column not in table:
                raise InputError(f"the metadata has no column {column}", file=path, line=1, remedy="Is it CORAAL's?")
        for about in table.drop_duplicates("CORAAL.File").to_dict(orient="records"):
            name = str(about["CORAAL.File"])
            if name not in texts:
                missing.append(name)
                continue
            lines = list(_lines(texts[name]))
            spoken = [line for line in lines if not _PAUSE.match(line.text)]
            pauses += len(lines) - len(spoken)
            file = audio[name].relative_to(request.source) if name in audio else f"{name}.wav"
            known = {ours: str(about[theirs]) for theirs, ours in _COLUMNS.items() if theirs in about}
            for row in _snippets(spoken, str(about["CORAAL.Spkr"]), longest):
                start, end = float(str(row["start_s"])), float(str(row["end_s"]))
                of_speaker = known if row["speaker_id"] == about["CORAAL.Spkr"] else {}
                key = f"{name}-{round(start * 1000):08d}-{round(end * 1000):08d}-{row.pop('number')}"
                records.append(
                    row
                    | {"utterance_id": key, "audio": str(file), "style": "conversational"}
                    | dict.fromkeys(known, "")
                    | of_speaker
                )
    notes = [f"{pauses:,} lines are pauses, not speech, and are in no row."]
    if missing:
        notes.append(f"{len(missing):,} interviews have no transcript, such as {missing[0]}.")
    return ImportedCorpus(card=CARD, rows=frame(records, request=request), notes=tuple(notes))


def _longest(request: ImportRequest) -> float:
    value = request.option("longest_s", "30")
    try:
        longest = float(value)
    except ValueError:
        longest = -1.0
    if not 0 <= longest <= 3600:
        raise InputError("longest_s is a number of seconds from 0 to 3600", value=value, remedy="0 joins nothing")
    return longest


def _lines(path: Path) -> Iterator[_Line]:
    table = read_table(path, kind="tsv")
    for column in ("Line", "Spkr", "StTime", "Content", "EnTime"):
        if column not in table:
            raise InputError(f"the transcript has no column {column}", file=path, line=1, remedy="Is it CORAAL's?")
    columns = (table[name].tolist() for name in ("Spkr", "StTime", "Content", "EnTime"))
    for row, (speaker, start, text, end) in enumerate(zip(*columns, strict=True)):
        try:
            yield _Line(number=row + 1, speaker=speaker.strip(), start=float(start), end=float(end), text=text)
        except ValueError as error:
            raise InputError(
                "StTime and EnTime are seconds", file=path, line=row + 2, value=f"{start} {end}"
            ) from error


def _snippets(lines: list[_Line], interviewee: str, longest: float) -> Iterator[dict[str, object]]:
    """Yield a row a snippet: usable lines of the interviewee joined, every other line by itself with a reason."""
    joined: list[_Line] = []
    lines = sorted(lines, key=lambda line: (line.start, line.end))
    latest = 0.0
    for index, line in enumerate(lines):
        following = lines[index + 1].start if index + 1 < len(lines) else float("inf")
        overlaps = line.start < latest - 1e-6 or line.end > following + 1e-6 or "[" in line.text or "]" in line.text
        latest = max(latest, line.end)
        reason = _reason(line, interviewee, overlaps=overlaps)
        if joined and (reason or line.end - joined[0].start > longest):
            yield _row(joined, "")
            joined = []
        if reason:
            yield _row([line], reason)
        else:
            joined.append(line)
    if joined:
        yield _row(joined, "")


def _reason(line: _Line, interviewee: str, *, overlaps: bool) -> str:
    if line.speaker != interviewee:
        return "not the interviewee"
    if line.end <= line.start:
        return "no duration in the transcript"
    if overlaps:
        return "overlapping speech"
    return "not understood by the transcriber" if _UNCLEAR.search(line.text) else ""


def _row(lines: list[_Line], reason: str) -> dict[str, object]:
    start, end = lines[0].start, max(line.end for line in lines)
    return {
        "number": lines[0].number,
        "speaker_id": lines[0].speaker,
        "reference": " ".join(line.text.strip() for line in lines),
        "start_s": start,
        "end_s": end if end > start else start + 0.001,
        "exclude": reason,
    }


IMPORTER = Importer(
    read=read,
    summary="CORAAL: interviews in African American Language",
    layout="any folders with DCB_metadata_….txt, DCB_se1_ag1_f_01_1.txt (Line, Spkr, StTime, Content, EnTime) and .wav",
    options={
        "longest_s": "join consecutive lines of the interviewee up to this many seconds (default 30; 0 joins none)"
    },
)
