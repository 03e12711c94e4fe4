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

from asrfair.data.manifest import Manifest
from asrfair.data.runfile import RUN_FILE, changing, read_content, refuse_night, write_run_file
from asrfair.data.runlock import writing
from asrfair.data.sealed import opened, read_object, sealed
from asrfair.data.tablefile import PARQUET
from asrfair.data.wholefile import open_whole, sweep, sync_folder, write_json, write_whole
from asrfair.errors import InputError
from asrfair.recognise.journal import FILE_NAME, Journal
from asrfair.recognise.journal.store import replaced
from asrfair.recognise.transcribe.finalise import ROWS_PER_GROUP
from asrfair.report import write_report
from asrfair.runs.invariance_table import INVARIANCE_FILE
from asrfair.runs.pipeline import rescore
from asrfair.runs.threshold import failed_gates, say_thresholds
from asrfair.runs.threshold_again import rename_manifest, steps_of, thresholds_again
from asrfair.runs.threshold_report import PAGE, write_threshold_report
from asrfair.runs.threshold_search import LEVELS, read_rules
from asrfair.stats.thresholds.tables import TABLES as THRESHOLDS

MARKER = ".forgetting.json"
REGISTER = "forgotten.jsonl"
WHY = "somebody is being forgotten (start `asrfair forget` again)"
_LEAST_TEXT = 16
"""A shorter transcript is anybody's, and no trace of one person."""
_SCORED = ("scores.parquet", "readings.parquet", "ledger.csv")
_MADE = (*_SCORED, "claims.csv", "findings.json", INVARIANCE_FILE, PAGE, *(f"{name}.csv" for name in THRESHOLDS))
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


def person_of(folders: Iterable[Path], speaker_id: str, known: Iterable[str] = ()) -> Person:
    """Gather what names somebody in folders that hold ``utterances.parquet``; nobody has no utterances.

    Of folders without that table, which were cut off while something was heard, only transcripts are looked at.

    Args:
        folders: Of runs.
        speaker_id: Who.
        known: Ids of their utterances that are known from elsewhere.
    """
    ids: set[str] = set(known)
    texts: set[str] = set()
    others: set[str] = set()
    said: set[str] = set()
    cut_off = []
    for folder in folders:
        if not (folder / "utterances.parquet").is_file():
            cut_off.append(folder)
            continue
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
    for folder in cut_off:
        if (folder / FILE_NAME).is_file():
            with Journal(folder) as journal:
                for name, text in journal.texts():
                    (texts if name in ids else said).add(text)
    return _person(speaker_id, ids, texts=texts, others=others, said=said)


def person_cut_off(run: Path, speaker_id: str, manifest: Manifest | None) -> Person:
    """Gather what names somebody in a run that was cut off before it had a table of who spoke.

    Its journal knows utterances and not whose they are: theirs are those that the manifest has no more.

    Args:
        run: The run folder.
        speaker_id: Who.
        manifest: The manifest that they have left.

    Raises:
        InputError: There is no manifest, or it has nothing to do with the run.
    """
    if manifest is None:
        raise InputError(
            "the run was cut off before it had a table of who spoke", file=run,
            remedy="Give the manifest from which you have taken the person: --manifest FILE; or remove the folder",
        )  # fmt: skip
    stay = set(manifest.table["utterance_id"])
    with Journal(run) as journal:
        known = journal.utterances()
        ids = known - stay
        if ids and not known & stay:
            raise InputError(
                "nobody in this run is in the manifest", file=run, remedy="Give its own, without the person"
            )
        texts: set[str] = set()
        said = set(manifest.table["reference"])
        for name, text in journal.texts():
            (texts if name in ids else said).add(text)
    others = stay | set(manifest.table["speaker_id"])
    return _person(speaker_id, ids, texts=texts, others=others, said=said)


def _person(
    speaker_id: str, ids: Collection[str], *, texts: Collection[str], others: Collection[str], said: Collection[str]
) -> Person:
    """Keep of somebody's texts those that nobody else has (``said``), and of the others' names those with theirs in it."""
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


def is_run(folder: Path) -> bool:
    """Whether a folder is a run, a search for thresholds, or one of these that was cut off."""
    return any((folder / name).exists() for name in (RUN_FILE, FILE_NAME, LEVELS))


def person_in_run(run: Path, speaker_id: str, manifest: Manifest | None) -> Person:
    """Gather what names somebody in a run or a search for thresholds, finished or not.

    Args:
        run: The folder.
        speaker_id: Who.
        manifest: The manifest that they have left, where it is known.

    Raises:
        InputError: It is a night, is damaged, or was cut off and there is no manifest.
    """
    refuse_night(run)
    if (run / RUN_FILE).is_file():
        read_content(run)
    folders = [run, *steps_of(run)]
    if any((folder / "utterances.parquet").is_file() for folder in folders):
        person = person_of(folders, speaker_id)
    else:
        person = person_cut_off(next((f for f in folders if (f / FILE_NAME).is_file()), run), speaker_id, manifest)
    return replace(person, extra={"fingerprints": _fingerprints(run, manifest.fingerprint if manifest else "")})


def plan_run(run: Path, person: Person) -> tuple[list[str], list[str]]:
    """Return what would be done to a run folder, and what cannot be, in sentences.

    Raises:
        InputError: It is a night, or holds nobody else.
    """
    refuse_night(run)
    steps = steps_of(run)
    tables = [f / "utterances.parquet" for f in (run, *steps) if (f / "utterances.parquet").is_file()]
    rest: set[str] = set()
    for path in tables:
        rest |= set(_read(path, ["speaker_id"])["speaker_id"].to_pylist())
    if not person.utterance_ids:
        renamed = not tables and any(old != new for old, new in person.extra.get("fingerprints", {}).items())
        return ([f"{run}: goes by the manifest that was given"], []) if renamed else ([], [])
    if tables and not rest - {person.speaker_id}:
        raise InputError("nobody else is in this run", file=run, remedy="Remove the folder")
    count = f"{len(person.utterance_ids):,} utterances"
    missed = [f"copies of {run.name}'s report, and cards made from it, that lie elsewhere"]
    if not tables:
        done = [f"{run}: {count} that the manifest has no more leave its journal; the command that began it goes on"]
    elif (run / RUN_FILE).is_file():
        done = [f"{run}: {count} leave its tables and its journal; all else is made again"]
    else:
        done = [f"{run}: {count} leave its tables and its journals"]
    if steps:
        done.append(
            f"{run / LEVELS}: {count} leave what was heard at each level; thresholds are made again, unless other levels "
            "would be heard without them: those the command that began it hears"
        )
    if (run / INVARIANCE_FILE).exists():
        done.append(f"{run / INVARIANCE_FILE}: removed; it can only be made again with the recogniser")
    if _has_tables(run):
        done.append(f"{run / 'tables'}: removed; asrfair report RUN --tables makes it again")
    content = read_content(run) if (run / RUN_FILE).is_file() else {}
    if not content and not steps:
        missed.append(
            "if this is a part (--shard) that was cut off, which utterances are its own has changed: begin all anew"
        )
    conditions = [str(item["name"]) for item in content.get("conditions", []) if _mixes(str(item["name"]))]
    if conditions:
        missed.append(
            f"transcripts of others under {', '.join(conditions)}: those conditions mix in speech of the manifest; run "
            "them again"
        )
    return done, missed


def _fingerprints(run: Path, manifest: str) -> dict[str, str]:
    """Return what a run's manifest is called by → what it will be called by: ``manifest`` where that is known."""
    old = manifest_of(run)
    return {old: manifest or without(old)} if old else {}


def manifest_of(run: Path) -> str:
    """Return the fingerprint of the manifest of a run or a search, finished or not; empty where nothing says it."""
    if (run / RUN_FILE).is_file():
        return str(read_content(run).get("manifest", {}).get("fingerprint", ""))
    for folder in (run, *steps_of(run)):
        if (folder / FILE_NAME).is_file():
            with Journal(folder) as journal:
                return journal.fingerprints().get("the manifest", "")
    return ""


def forget_in_run(
    run: Path, person: Person, *, workers: int | None = None, say: Callable[[str], None] = lambda _text: None
) -> None:
    """Take somebody's rows out of a run, or a search for thresholds, finished or not; may be done again.

    All that can be made without a recogniser is made again; what was cut off goes on with the command that began it.

    Args:
        run: The run folder.
        person: Who; ``extra["fingerprints"]`` are hashes that change with them (:func:`person_in_run`).
        workers: Processes for scoring.
        say: Told what is done.

    Raises:
        InputError: The folder is no run, or another process is writing there.
    """
    refuse_night(run)
    hashes = person.extra.get("fingerprints", {})
    with writing(run):
        html, markdown = (run / "report.html").exists(), (run / "report.md").exists()
        with changing(run, WHY):
            content = read_content(run) if (run / RUN_FILE).is_file() else {}
            _clear(run)
            for folder in (run, *steps_of(run)):
                _take_out(folder, person.utterance_ids, hashes, made=content.get("suite", {}).get("description", ""))
            rename_manifest(run, hashes)
            if content:
                content = json.loads(replaced(json.dumps(content), hashes))
                content["manifest"]["rows"] = _rows(run / "utterances.parquet")
                content.pop("invariance", None)
                for name in ("transcribe", "shards"):  # counts and seconds of everybody, the person too
                    content["volatile"].pop(name, None)
                write_run_file(run, content)
                if "shard" not in content:
                    say(f"{run}: its tables are made again.")
                    for note in rescore(run, workers=workers, report=False, left=True).notes:
                        say(note)
            elif steps_of(run):
                _search_again(run, workers, say)
        if content and (html or markdown):
            write_report(run, html=html)


def _search_again(run: Path, workers: int | None, say: Callable[[str], None]) -> None:
    """Make the tables and pages of a search by itself again, where that needs no level that was not heard."""
    rules = read_rules(run)
    found = None
    if rules is not None:
        found = thresholds_again(run, rules.groups, rules.scoring, rules.statistics, workers=workers, left=True)
    if rules is None or found is None:
        say(
            f"{run}: without them other levels would be heard: start the search again, which goes on with what is there."
        )
        return
    say(f"{run}: its tables are made again.")
    claims = say_thresholds(rules.statistics, found)
    failed = failed_gates(found.thresholds, claims, rules.table)
    write_threshold_report(found, claims, failed, confidence=rules.statistics.confidence)


def _take_out(folder: Path, gone: Collection[str], hashes: Mapping[str, str], *, made: str) -> None:
    """Filter what was heard, table by table, and the journal where there is one."""
    for name in ("utterances", *_TABLES):
        if (folder / f"{name}.parquet").is_file():
            _keep(folder / f"{name}.parquet", gone, made=made if name != "utterances" else "")
    if (folder / FILE_NAME).exists():
        with Journal(folder) as journal:
            journal.forget(sorted(gone), hashes)
    for name in _SCORED:
        (folder / name).unlink(missing_ok=True)
    sweep(folder)


def _keep(path: Path, gone: Collection[str], *, made: str = "") -> None:
    """Write a table without some utterances, in row groups as whoever ``made`` it does."""
    table = _read(path)
    kept = table.filter(pc.invert(pc.is_in(table["utterance_id"], pa.array(sorted(gone), table["utterance_id"].type))))
    kept = kept.combine_chunks().replace_schema_metadata(None)
    size = {"transcripts from files": None, "transcripts in memory": 1 << 20}.get(made, ROWS_PER_GROUP)
    with open_whole(path, private=True) as stream, pq.ParquetWriter(stream, kept.schema, **PARQUET) as writer:
        for part in _by_file(kept) if size is None else [kept] if kept.num_rows else []:
            writer.write_table(part, row_group_size=size)


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


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
    """Return the run folders in a folder, itself aside, also those that were cut off before they had a ``run.json``."""
    return sorted({path.parent for name in (RUN_FILE, FILE_NAME) for path in folder.glob(f"*/{name}")})


def known_in(run: Path) -> set[str]:
    """Return the ids of all utterances that a run's table knows, and its journal where it was cut off before it had one."""
    if (run / "utterances.parquet").is_file():
        return set(_read(run / "utterances.parquet", ["utterance_id"])["utterance_id"].to_pylist())
    with Journal(run) as journal:
        return journal.utterances()
