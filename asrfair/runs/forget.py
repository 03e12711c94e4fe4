"""Somebody leaves: their rows are taken out of a run folder, and what is published from it is made again without them.

What is under way stands in ``.forgetting.json`` until it is done, with the names that must not be left, so that a process
that is killed in the middle can be followed by the same command. What stays is ``forgotten.jsonl``: that somebody
left, and when; not who.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.data.runfile import RUN_FILE, changing, read_content, refuse_night, write_run_file
from asrfair.data.runlock import writing
from asrfair.data.sealed import opened, read_object, sealed
from asrfair.data.tablefile import PARQUET
from asrfair.data.wholefile import open_whole, sweep, sync_folder, write_json, write_whole
from asrfair.errors import InputError
from asrfair.recognise.journal import FILE_NAME, Journal
from asrfair.recognise.journal.store import replaced
from asrfair.recognise.transcribe.finalise import ROWS_PER_GROUP, write_results
from asrfair.report import write_report
from asrfair.runs.invariance_table import INVARIANCE_FILE
from asrfair.runs.pipeline import rescore

MARKER = ".forgetting.json"
REGISTER = "forgotten.jsonl"
WHY = "somebody is being forgotten (start `asrfair forget` again)"
_LEAST_TEXT = 16
"""A shorter transcript is anybody's, and no trace of one person."""
_MADE = ("scores.parquet", "readings.parquet", "ledger.csv", "claims.csv", "findings.json", INVARIANCE_FILE)
_TABLES = ("hypotheses", "timings", "achieved")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who leaves.

    Args:
        speaker_id: As the manifest calls them.
        utterance_ids: Of everything that they said.
        texts: Transcripts and references that nobody else has.
        others: Names of those who stay in which one of these names stands.
        extra: What else the command must remember until it is done.
    """

    speaker_id: str
    utterance_ids: frozenset[str]
    texts: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """All that must not be left."""
        return frozenset({self.speaker_id, *self.utterance_ids, *self.texts})


def person_of(folders: Iterable[Path], speaker_id: str) -> Person:
    """Gather what names somebody in folders that hold ``utterances.parquet``; nobody has no utterances."""
    ids: set[str] = set()
    texts: set[str] = set()
    others: set[str] = set()
    said: set[str] = set()
    for folder in folders:
        table = _read(folder / "utterances.parquet").to_pandas()
        mine = (table["speaker_id"] == speaker_id).to_numpy()
        ids |= set(table.loc[mine, "utterance_id"])
        others |= {*table.loc[~mine, "utterance_id"], *table.loc[~mine, "speaker_id"].unique()}
        texts |= set(table.loc[mine, "reference"])
        said |= set(table.loc[~mine, "reference"])
        if (folder / "hypotheses.parquet").is_file():
            heard = _read(folder / "hypotheses.parquet", ["utterance_id", "hypothesis"]).to_pandas()
            own = heard["utterance_id"].isin(ids).to_numpy()
            texts |= set(heard.loc[own, "hypothesis"])
            said |= set(heard.loc[~own, "hypothesis"])
    around = "\n".join(said)
    kept = {text for text in texts if isinstance(text, str) and len(text) >= _LEAST_TEXT and text not in around}
    names = {speaker_id, *ids}
    everybody = "\n".join(others)
    inside = [name for name in names if name in everybody]
    hold = {other for other in others if any(name in other for name in inside)} if inside else set()
    return Person(
        speaker_id=speaker_id, utterance_ids=frozenset(ids), texts=frozenset(kept), others=frozenset(hold - names)
    )


# --- what is under way, and what stays --------------------------------------------------------------------------


def pending(folder: Path) -> Person | None:
    """Return who was being forgotten in a folder when the process ended, if anybody was.

    Raises:
        InputError: The file that says so is damaged.
    """
    path = folder / MARKER
    try:
        content = opened(read_object(path, remedy="Give the speaker again once the file is removed"), path)
    except FileNotFoundError:
        return None
    return Person(
        speaker_id=str(content["speaker_id"]),
        utterance_ids=frozenset(content["utterance_ids"]),
        texts=frozenset(content["texts"]),
        others=frozenset(content["others"]),
        extra=content["extra"],
    )


def begin(folder: Path, person: Person) -> Person:
    """Write down, on disk, who is being forgotten; return the person with what else was remembered."""
    person = replace(person, extra={"when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), **person.extra})
    content = {
        "speaker_id": person.speaker_id,
        "utterance_ids": sorted(person.utterance_ids),
        "texts": sorted(person.texts),
        "others": sorted(person.others),
        "extra": dict(person.extra),
    }
    write_json(folder / MARKER, sealed(content), private=True)
    return person


def finish(folder: Path, person: Person) -> None:
    """Note in the register that somebody left, and forget who it was."""
    path = folder / REGISTER
    line = json.dumps({"what": "somebody left", "when": person.extra["when"]}, sort_keys=True) + "\n"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not before.endswith(line):
        write_whole(path, before + line, private=True)
    (folder / MARKER).unlink(missing_ok=True)
    sync_folder(folder)


def without(fingerprint: str) -> str:
    """Return what a manifest's fingerprint becomes where nobody can say what the manifest is now."""
    return hashlib.sha256(f"{fingerprint} without somebody".encode()).hexdigest()


# --- a run folder ------------------------------------------------------------------------------------------------


def plan_run(run: Path, person: Person) -> tuple[list[str], list[str]]:
    """Return what would be done to a run folder, and what cannot be, in sentences.

    Raises:
        InputError: It is a night, was cut off before its tables were written, or holds nobody else.
    """
    refuse_night(run)
    content = read_content(run)
    if not (run / "utterances.parquet").is_file():
        raise InputError(
            "the run was cut off before it had a table of who spoke",
            file=run,
            remedy="Finish it with the command that began it, or remove the folder",
        )
    table = _read(run / "utterances.parquet", ["utterance_id", "speaker_id"])
    rest = set(table["speaker_id"].to_pylist()) - {person.speaker_id}
    if person.utterance_ids and not rest:
        raise InputError("nobody else is in this run", file=run, remedy="Remove the folder")
    done = [f"{run}: {len(person.utterance_ids):,} utterances leave its tables and its journal; all else is made again"]
    if (run / INVARIANCE_FILE).exists():
        done.append(f"{run / INVARIANCE_FILE}: removed; it can only be made again with the recogniser")
    if _has_tables(run):
        done.append(f"{run / 'tables'}: removed; asrfair report RUN --tables makes it again")
    missed = [f"copies of {run.name}'s report, and cards made from it, that lie elsewhere"]
    conditions = [str(item["name"]) for item in content.get("conditions", []) if _mixes(str(item["name"]))]
    if conditions:
        missed.append(
            f"transcripts of others under {', '.join(conditions)}: those conditions mix in speech of the manifest; run "
            "them again"
        )
    return done, missed


def fingerprints_of(run: Path, manifest: str = "") -> dict[str, str]:
    """Return what a run's manifest is called by → what it will be called by.

    Args:
        run: The run folder.
        manifest: The fingerprint of the manifest without the person, where that is known.
    """
    old = str(read_content(run).get("manifest", {}).get("fingerprint", ""))
    return {old: manifest or without(old)} if old else {}


def forget_in_run(
    run: Path, person: Person, *, workers: int | None = None, say: Callable[[str], None] = lambda _text: None
) -> None:
    """Take somebody's rows out of a run folder and make everything else in it again; may be done again.

    Args:
        run: The run folder.
        person: Who; ``extra["fingerprints"]`` are hashes that change with them (:func:`fingerprints_of`).
        workers: Processes for scoring.
        say: Told what is done.

    Raises:
        InputError: The folder is no run, or another process is writing there.
    """
    refuse_night(run)
    with writing(run):
        html, markdown = (run / "report.html").exists(), (run / "report.md").exists()
        with changing(run, WHY):
            content = read_content(run)
            hashes = person.extra.get("fingerprints", {})
            _results(run, content, person.utterance_ids, hashes)
            rows = _keep(run / "utterances.parquet", person.utterance_ids)
            content = json.loads(replaced(json.dumps(content), hashes))
            content["manifest"]["rows"] = rows
            content.pop("invariance", None)
            for name in ("transcribe", "shards"):  # counts and seconds of everybody, the person too
                content["volatile"].pop(name, None)
            _clear(run)
            write_run_file(run, content)
            if "shard" not in content:
                say(f"{run}: its tables are made again.")
                rescore(run, workers=workers, report=False)
        if html or markdown:
            write_report(run, html=html)


def _results(run: Path, content: Mapping[str, Any], gone: Collection[str], hashes: Mapping[str, str]) -> None:
    """Filter what was heard: through the journal where there is one, else table by table."""
    if (run / FILE_NAME).exists():
        engines = [str(item["label"]) for item in content["engines"]]
        conditions = [str(item["name"]) for item in content["conditions"]]
        with Journal(run) as journal:
            journal.forget(sorted(gone), hashes)
            write_results(journal, run, engines=engines, conditions=conditions)
        return
    made = str(content.get("suite", {}).get("description", ""))
    for name in _TABLES:
        if (run / f"{name}.parquet").is_file():
            _keep(run / f"{name}.parquet", gone, made=made)


def _keep(path: Path, gone: Collection[str], *, made: str = "") -> int:
    """Write a table without some utterances, in row groups as whoever ``made`` it does; return its rows."""
    table = _read(path)
    kept = table.filter(pc.invert(pc.is_in(table["utterance_id"], pa.array(sorted(gone), table["utterance_id"].type))))
    kept = kept.combine_chunks().replace_schema_metadata(None)
    size = {"transcripts from files": None, "transcripts in memory": 1 << 20}.get(made, ROWS_PER_GROUP)
    with open_whole(path, private=True) as stream, pq.ParquetWriter(stream, kept.schema, **PARQUET) as writer:
        for part in _by_file(kept) if size is None else [kept] if kept.num_rows else []:
            writer.write_table(part, row_group_size=size)
    return int(kept.num_rows)


def _by_file(table: pa.Table) -> list[pa.Table]:
    if not table.num_rows:
        return []
    frame = pd.DataFrame({name: table[name].to_pandas() for name in ("engine", "condition")})
    starts = (frame != frame.shift()).any(axis=1)
    places = [*starts[starts].index.tolist(), len(frame)]
    return [table.slice(a, b - a) for a, b in itertools.pairwise(places)]


def _clear(run: Path) -> None:
    """Remove what is made again, so that nothing of before is left beside it."""
    for name in _MADE:
        (run / name).unlink(missing_ok=True)
    for folder in ("plots", "tables"):
        if (run / folder).is_dir() and not (run / folder).is_symlink():
            shutil.rmtree(run / folder)
    sweep(run)


def _has_tables(run: Path) -> bool:
    return (run / "tables").is_dir()


def _mixes(condition: str) -> bool:
    """Whether a condition mixes speech of the manifest into others'; one that cannot be read any more does not say."""
    from asrfair.acoustics import needs_manifest, parse_condition

    with suppress(Exception):
        return needs_manifest(parse_condition(condition))
    return False


def _read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns, partitioning=None, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the table cannot be read: {error}", file=path, remedy="Restore it from a copy") from error


def runs_below(folder: Path) -> list[Path]:
    """Return the run folders in a folder, itself aside."""
    return sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}"))
