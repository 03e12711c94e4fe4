"""From an importer's rows to a manifest on disk: paths made relative, durations measured, nothing overwritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest
from asrfair.data.corpora.registry import find_importer
from asrfair.data.manifest import AttributeCard
from asrfair.data.manifest.audiocheck import probe_all
from asrfair.data.manifest.audiopaths import is_inside
from asrfair.data.manifest.card import CANONICAL_COLUMNS, REQUIRED_COLUMNS, attribute_name_problem
from asrfair.data.manifest.write import write_manifest
from asrfair.data.tablefile import STRING_DTYPE
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import AsrfairError, InputError, printable

TABLE_FORMATS = ("csv", "jsonl", "parquet")


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """What was written, and what there is to say about it."""

    card: Path
    table: Path
    rows: int
    speakers: int
    notes: tuple[str, ...]


def import_corpus(
    name: str,
    source: Path,
    out: Path,
    *,
    options: Mapping[str, str] | None = None,
    manifest_name: str = "",
    table_format: str = "csv",
    durations: bool = True,
    copy_audio: bool = False,
    overwrite: bool = False,
) -> ImportResult:
    """Import a corpus and write its card and table into ``out``.

    Args:
        name: An importer's name, ``module:function`` or ``file.py:function``.
        source: The corpus as it was unpacked.
        out: The folder of the manifest.
        options: The importer's own options.
        manifest_name: The manifest's name and its files' stem; by default the importer's.
        table_format: ``csv``, ``jsonl`` or ``parquet``.
        durations: Whether audio files are opened to fill in durations that the corpus does not state.
        copy_audio: Whether audio is copied into ``out``, so that the manifest stands alone.
        overwrite: Whether an earlier manifest may be replaced.

    Raises:
        InputError: The corpus, or an option, is not what the importer expects.
    """
    importer = find_importer(name)
    _check_options(importer, options or {})
    corpus = _read(importer, name, ImportRequest(source=source, options=options or {}, out=out))
    rows, notes = corpus.rows.copy(), list(corpus.notes)
    _check_rows(rows, source)
    stem = manifest_name or corpus.card.name
    card_path = out / f"{stem}.toml"
    if not overwrite and (card_path.exists() or (out / f"{stem}.{table_format}").exists()):
        raise InputError("there is a manifest already", file=card_path, remedy="Choose another --name, or --overwrite")
    if "audio" in rows:
        rows, more = _place_audio(rows, source, out, durations=durations, copy_audio=copy_audio)
        notes += more
    attributes = {column: AttributeCard() for column in rows.columns if column not in CANONICAL_COLUMNS}
    attributes |= {column: card for column, card in corpus.card.attributes.items() if column in rows}
    card = replace(corpus.card, name=stem, table=f"{stem}.{table_format}", attributes=attributes)
    out.mkdir(parents=True, exist_ok=True)
    write_manifest(card, rows, card_path)
    excluded = int((rows["exclude"] != "").sum()) if "exclude" in rows else 0
    if excluded:
        reasons = rows.loc[rows["exclude"] != "", "exclude"].value_counts()
        listing = ", ".join(f"{count:,} {reason}" for reason, count in reasons.head(6).items())
        notes.append(f"{excluded:,} rows are kept and not scored: {listing}.")
    return ImportResult(
        card=card_path,
        table=out / card.table,
        rows=len(rows),
        speakers=int(rows["speaker_id"].nunique()),
        notes=tuple(notes),
    )


def _read(importer: Importer, name: str, request: ImportRequest) -> ImportedCorpus:
    """Run an importer; what goes wrong in it is told as the corpus' or the importer's fault, not as a crash."""
    try:
        corpus = importer.read(request)
    except (AsrfairError, OSError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"the importer {name} failed: {type(error).__name__}: {printable(str(error))}",
            file=request.source,
            remedy="Is this the corpus as it is distributed? ASRFAIR_TRACEBACK=1 shows where",
        ) from error
    if not isinstance(corpus, ImportedCorpus):
        raise InputError(
            f"the importer {name} returned {type(corpus).__name__}, not an ImportedCorpus",
            remedy="See docs/importers.md",
        )
    return corpus


def _check_options(importer: Importer, options: Mapping[str, str]) -> None:
    if importer.options is None:
        return
    for name in options:
        if name not in importer.options:
            raise InputError(f"the importer has no option {name!r}", remedy=did_you_mean(name, importer.options))


def _check_rows(rows: Any, source: Path) -> None:
    if not isinstance(rows, pd.DataFrame) or rows.empty:
        raise InputError("the importer found no utterance", file=source, remedy="Is this the corpus' own folder?")
    missing = [column for column in REQUIRED_COLUMNS if column not in rows]
    if missing:
        raise InputError(
            f"the importer gave no column {', '.join(missing)}", file=source, remedy="See docs/importers.md"
        )
    for column in rows.columns:
        problem = "" if column in CANONICAL_COLUMNS else attribute_name_problem(str(column))
        if problem:
            raise InputError(problem, file=source, column=str(column), remedy="Give the attribute another name")
    repeated = rows["utterance_id"].duplicated()
    if repeated.any():
        value = rows.loc[repeated, "utterance_id"].iloc[0]
        raise InputError(
            f"{int(repeated.sum())} utterance ids occur more than once",
            file=source,
            column="utterance_id",
            value=value,
            remedy="Is the same part of the corpus there twice?",
        )


def _place_audio(
    rows: pd.DataFrame, source: Path, out: Path, *, durations: bool, copy_audio: bool
) -> tuple[pd.DataFrame, list[str]]:
    notes: list[str] = []
    folder = source if source.is_dir() else source.parent
    written = rows["audio"].astype(str)
    absolute = {value: os.path.abspath(folder / value) for value in written.unique() if value}  # noqa: PTH100 -- keeps links
    there = {path for path in absolute.values() if Path(path).is_file()}
    if len(there) < len(absolute):
        notes.append(f"{len(absolute) - len(there):,} of {len(absolute):,} audio files are not there.")
    if durations:
        rows = _with_durations(rows, _looked_up(written, absolute), there)
    if copy_audio:
        for path in sorted(there):
            target = out / "audio" / _below(Path(path), folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or not target.samefile(path):
                shutil.copy2(path, target)
        placed = {value: str(Path("audio") / _below(Path(path), folder)) for value, path in absolute.items()}
    else:
        start = os.path.abspath(out)  # noqa: PTH100
        placed = {value: os.path.relpath(path, start) for value, path in absolute.items()}
        if absolute and not all(is_inside(Path(path), out) for path in list(absolute.values())[:1000]):
            notes.append(
                "The audio lies outside the manifest's folder: read it with --allow-outside, import into the corpus' "
                "own folder, or copy the audio with --copy-audio."
            )
    rows["audio"] = _looked_up(written, placed)
    return rows, notes


def _with_durations(rows: pd.DataFrame, paths: pd.Series[str], there: set[str]) -> pd.DataFrame:
    rows = rows.copy()
    known = (
        pd.to_numeric(rows["duration_s"], errors="coerce") if "duration_s" in rows else pd.Series(np.nan, rows.index)
    )
    cut = pd.Series(False, rows.index)
    for name in ("start_s", "end_s"):
        if name in rows:
            cut |= pd.to_numeric(rows[name], errors="coerce").notna()
    wanted = known.isna() & ~cut & paths.isin(there)
    facts = probe_all(sorted(set(paths[wanted])))
    measured = {path: round(fact.duration_s, 4) for path, fact in facts.items() if not fact.problem}
    rows["duration_s"] = known.where(~wanted, paths.map(measured))
    return rows


def _below(path: Path, folder: Path) -> Path:
    try:
        return path.relative_to(Path(os.path.abspath(folder)))  # noqa: PTH100
    except ValueError:
        return Path(*path.parts[1:])


def _looked_up(values: pd.Series[str], known: Mapping[str, str]) -> pd.Series[str]:
    return pd.Series([known.get(value, "") for value in values.tolist()], index=values.index, dtype=STRING_DTYPE)
