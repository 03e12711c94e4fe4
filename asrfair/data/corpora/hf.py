"""Hugging Face ``datasets``: a folder of save_to_disk, or a dataset's name; audio is written out as it is stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame
from asrfair.data.corpora.generic import SYNONYMS
from asrfair.data.manifest import Card
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError, MissingExtraError, printable

_SIGNATURES = ((b"RIFF", ".wav"), (b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"\xff", ".mp3"))
_PLAIN = (str, int, float, bool)
_COLUMNS = ("utterance_id", "speaker_id", "reference", "language")


def read(request: ImportRequest) -> ImportedCorpus:
    """Read one split; every plain column that is none of ours is an attribute."""
    dataset = _load(request)
    names = list(dataset.column_names)
    mapping = {ours: request.option(ours, _guess(ours, names)) for ours in _COLUMNS}
    for ours, theirs in mapping.items():
        if (theirs or ours in {"speaker_id", "reference"}) and theirs not in names:
            raise InputError(
                f"the dataset has no column for {ours}",
                remedy=f"Name it: --option {ours}=…. {did_you_mean(theirs, names)}",
            )
    audio = request.option("audio", _guess_audio(dataset))
    if audio:
        import datasets

        dataset = dataset.cast_column(audio, datasets.Audio(decode=False))
    taken = {*mapping.values(), audio}
    rows = []
    for number, item in enumerate(dataset):
        key = (
            str(item[mapping["utterance_id"]])
            if mapping["utterance_id"]
            else f"{request.option('split', 'test')}-{number}"
        )
        row: dict[str, object] = {
            "utterance_id": key,
            "speaker_id": _text(item[mapping["speaker_id"]]),
            "reference": _text(item[mapping["reference"]]),
            "audio": _audio(item[audio], f"{number:06d}-{key}", request.out) if audio else "",
            "language": _text(item[mapping["language"]]) if mapping["language"] else "",
        }
        rows.append(
            row | {n: _text(v) for n, v in item.items() if n not in taken and (v is None or isinstance(v, _PLAIN))}
        )
    attributes = [name for name in rows[0] if name not in {*_COLUMNS, "audio"}] if rows else []
    notes = (
        [f"Attributes, whose provenance you should write into the card: {', '.join(attributes)}."] if attributes else []
    )
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", request.source.name).strip("-") or "dataset"
    info = dataset.info
    card = Card(
        name=name,
        version=str(info.version or ""),
        licence=info.license or "",
        citation=" ".join((info.citation or "").split()),
        homepage=info.homepage or "",
    )
    return ImportedCorpus(card=card, rows=frame(rows, request=request), notes=tuple(notes))


def _load(request: ImportRequest) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(extra="hf", package="datasets", needed_for="the importer 'hf'") from error
    split = request.option("split", "test")
    try:
        if request.source.is_dir():
            found = datasets.load_from_disk(str(request.source))
        else:
            config = request.option("config", "") or None
            found = datasets.load_dataset(str(request.source), config, split=split)
    except Exception as error:
        raise InputError(
            f"the dataset cannot be loaded: {type(error).__name__}: {printable(str(error), limit=300)}",
            file=request.source,
            remedy="Give a folder of save_to_disk, or a dataset's name with --option split=… and config=…",
        ) from error
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise InputError(f"the dataset has no split {split!r}", remedy=did_you_mean(split, found))
        found = found[split]
    return found


def _guess(ours: str, names: list[str]) -> str:
    folded = {name.casefold(): name for name in names}
    return next((folded[name] for name in (ours, *SYNONYMS[ours]) if name in folded), "")


def _guess_audio(dataset: Any) -> str:
    import datasets

    return next((name for name, kind in dataset.features.items() if isinstance(kind, datasets.Audio)), "")


def _audio(item: Any, key: str, out: Path) -> str:
    """Return the file of an item's audio; bytes are written as they are."""
    if not item:
        return ""
    data = item.get("bytes")
    if data is None:
        return str(Path(item["path"]).absolute()) if item.get("path") else ""
    suffix = next((suffix for start, suffix in _SIGNATURES if data.startswith(start)), ".wav")
    folder = out / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (re.sub(r"[^A-Za-z0-9_.-]+", "_", key)[:150] + suffix)
    path.write_bytes(data)
    return str(path.absolute())


def _text(value: object) -> str:
    return "" if value is None else str(value)


IMPORTER = Importer(
    read=read,
    summary="A Hugging Face dataset (needs pip install 'asrfair[hf]')",
    layout="a folder of Dataset.save_to_disk, or a name such as edinburghcstr/edacc, which is downloaded",
    options={
        "split": "which split (default test)",
        "config": "which configuration",
        "audio": "the audio column",
        **{name: f"the column of {name}" for name in _COLUMNS},
    },
)
