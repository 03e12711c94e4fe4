"""Kaldi data directories: text, utt2spk, wav.scp, segments, and every spk2… and utt2… beside them as attributes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame, read_text
from asrfair.data.manifest import AttributeCard, Card
from asrfair.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NOT_ATTRIBUTES = frozenset({"utt2spk", "utt2dur", "utt2num_frames", "utt2uniq", "utt2score", "utt2lang"})
GENDERS = {"m": "male", "f": "female"}


@dataclass(frozen=True, kw_only=True)
class KaldiData:
    """The files of one data directory, by utterance, speaker or recording.

    ``recordings`` maps a recording to its audio file; one that a command makes (a pipe) maps to "" and is never run.
    """

    text: Mapping[str, str]
    speakers: Mapping[str, str]
    recordings: Mapping[str, str]
    segments: Mapping[str, tuple[str, float, float]] = field(default_factory=dict)
    by_speaker: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    by_utterance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)


def read_pairs(path: Path) -> dict[str, str]:
    """Return a Kaldi map: the first word of a line → the rest of it.

    Raises:
        InputError: A key occurs twice, with the line.
    """
    pairs: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        key, _, rest = line.strip().replace("\t", " ", 1).partition(" ")
        if not key:
            continue
        if key in pairs:
            raise InputError(
                "the key occurs twice", file=path, line=number, value=key, remedy="Run Kaldi's fix_data_dir"
            )
        pairs[key] = rest.strip()
    return pairs


def read_kaldi(folder: Path) -> KaldiData:
    """Read a data directory; ``text`` and ``utt2spk`` must be there.

    Raises:
        InputError: A file is missing or a line of ``segments`` or ``utt2dur`` has no numbers.
    """
    for name in ("text", "utt2spk"):
        if not (folder / name).is_file():
            raise InputError(
                "a Kaldi data directory needs this file", file=folder / name, remedy="Give the directory that holds it"
            )
    recordings = read_pairs(folder / "wav.scp") if (folder / "wav.scp").is_file() else {}
    by_speaker, by_utterance = {}, {}
    for path in sorted(folder.iterdir()):
        kind, _, attribute = path.name.partition("2")
        if not path.is_file() or path.name in _NOT_ATTRIBUTES or not attribute.isidentifier() or attribute == "utt":
            continue
        if kind == "spk":
            by_speaker[attribute] = read_pairs(path)
        elif kind == "utt":
            by_utterance[attribute] = read_pairs(path)
    return KaldiData(
        text=read_pairs(folder / "text"),
        speakers=read_pairs(folder / "utt2spk"),
        recordings={key: "" if value.endswith("|") else value for key, value in recordings.items()},
        segments=_segments(folder / "segments") if (folder / "segments").is_file() else {},
        by_speaker=by_speaker,
        by_utterance=by_utterance,
        durations=_durations(folder / "utt2dur") if (folder / "utt2dur").is_file() else {},
    )


def _segments(path: Path) -> dict[str, tuple[str, float, float]]:
    segments = {}
    for number, (key, rest) in enumerate(read_pairs(path).items(), start=1):
        parts = rest.split()
        try:
            segments[key] = (parts[0], float(parts[1]), float(parts[2]))
        except (IndexError, ValueError) as error:
            raise InputError(
                "a line of segments is: utterance recording start end", file=path, line=number, value=rest
            ) from error
    return segments


def _durations(path: Path) -> dict[str, float]:
    try:
        return {key: float(value) for key, value in read_pairs(path).items()}
    except ValueError as error:
        raise InputError("a duration is no number", file=path, remedy="A line is: utterance seconds") from error


def rows_of(data: KaldiData) -> list[dict[str, object]]:
    """Return a row for every utterance of ``text`` or ``utt2spk``; one that is in only one of them is not scored."""
    rows = []
    for utterance in dict.fromkeys([*data.text, *data.speakers]):
        speaker = data.speakers.get(utterance, "")
        recording, start, end = data.segments.get(utterance, (utterance, None, None))
        row: dict[str, object] = {
            "utterance_id": utterance,
            "speaker_id": speaker,
            "reference": data.text.get(utterance, ""),
            "audio": data.recordings.get(recording, ""),
            "start_s": start,
            "end_s": end,
            "duration_s": data.durations.get(utterance),
            "exclude": "",
        }
        if not speaker:
            row["exclude"] = "no speaker in utt2spk"
        elif utterance not in data.text:
            row["exclude"] = "no transcript in text"
        for name, values in data.by_speaker.items():
            row[name] = values.get(speaker, "")
        for name, values in data.by_utterance.items():
            row[name] = values.get(utterance, "")
        if "gender" in row:
            row["gender"] = GENDERS.get(str(row["gender"]).lower(), row["gender"])
        rows.append(row)
    return rows


def pipe_note(data: KaldiData) -> tuple[str, ...]:
    """Return a sentence about recordings that only a command makes."""
    piped = sum(not path for path in data.recordings.values())
    return (f"{piped:,} recordings of wav.scp are commands, which are never run: they have no audio.",) if piped else ()


def read(request: ImportRequest) -> ImportedCorpus:
    """Read one data directory; ``root`` is what relative paths of wav.scp start from."""
    data = read_kaldi(request.source)
    rows = frame(rows_of(data), request=request)
    root = request.option("root", "")
    if root:
        base = request.source / root
        rows["audio"] = [str(base / path) if path else "" for path in rows["audio"]]
    levels = dict.fromkeys(data.by_utterance, "utterance")
    attributes = {
        name: AttributeCard(description=f"{name}, as the data directory states it", level=levels.get(name, "speaker"))  # type: ignore[arg-type]
        for name in (*data.by_speaker, *data.by_utterance)
    }
    card = Card(name=request.source.name, attributes=attributes)
    return ImportedCorpus(card=card, rows=rows, notes=pipe_note(data))


IMPORTER = Importer(
    read=read,
    summary="A Kaldi data directory",
    layout="text, utt2spk, wav.scp (files; commands are not run), segments, spk2gender and any other spk2…, utt2…",
    options={"root": "folder, relative to the data directory, that relative paths of wav.scp start from"},
)
