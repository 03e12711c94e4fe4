"""``run.json``: what a run was made of, enough to make it again, and the checksums of its tables.

What may differ between equal runs is under ``volatile``, the checksums too: ``volatile.tables`` (SHA-256 by file) and
``volatile.sha256`` (of all of ``run.json`` but itself). A run that is being changed says so (``volatile.unfinished``),
so that one that was cut off is not read as if its tables belonged together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pydantic

from asrfair.data.provenance import sha256_file
from asrfair.data.runlock import writing
from asrfair.data.sealed import as_json, damaged, digest, opened, read_object
from asrfair.data.trust import require_named
from asrfair.data.wholefile import write_json
from asrfair.errors import InputError, RunDamagedError
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

RUN_FILE = "run.json"
NIGHT_FILE = "night.json"
"""What makes a folder a night of a history (see :mod:`asrfair.nightly.history`)."""

_SECTIONS = ("suite", "manifest", "groups", "scoring", "statistics", "packages", "volatile")
_LISTS = ("engines", "conditions")
_changing: set[Path] = set()
_checked: dict[Path, tuple[tuple[str, int, int], ...]] = {}


def refuse_night(run: Path) -> None:
    """Keep a night as it was: nothing is scored or transcribed into its folder.

    Raises:
        InputError: The folder is a night of a history.
    """
    if (run / NIGHT_FILE).exists():
        raise InputError(
            "this folder is a night of a history, and nights are never changed",
            file=run,
            remedy="Score old nights by other rules with 'asrfair nightly SUITE --history DIR --rescore', or copy the folder",
        )


def write_run_file(run: Path, content: Mapping[str, Any]) -> None:
    """Write ``run.json`` in one step, with its checksum; table checksums are added by :func:`changing`."""
    plain = as_json(content)
    volatile = {key: value for key, value in plain.get("volatile", {}).items() if key not in {"sha256", "tables"}}
    tables = content.get("volatile", {}).get("tables")
    plain["volatile"] = {**volatile, **({} if tables is None else {"tables": tables})}
    plain["volatile"]["sha256"] = digest(plain)
    write_json(run / RUN_FILE, plain)


def read_run_file(run: Path, *, unfinished: bool = False) -> dict[str, Any]:
    """Read ``run.json`` of a run folder; check it, and the tables beside it, against their checksums.

    Args:
        run: The run folder.
        unfinished: Whether a run whose tables were being changed when its process ended may be read: to change them
            again.

    Raises:
        InputError: The folder is no run folder, a file is not what was written, or the run is unfinished.
    """
    path = run / RUN_FILE
    content = read_content(run)
    volatile = content.get("volatile", {})
    if volatile.get("unfinished"):
        if not unfinished:
            raise InputError(
                f"the run was cut off, or is still at work: {volatile['unfinished']}",
                file=path,
                remedy="Start the command that was cut off again, or make the tables anew: asrfair score RUN",
            )
    elif (run / NIGHT_FILE).exists():
        check_night(run)
    elif "tables" in volatile:
        check_tables(run, volatile["tables"], optional=True)
    return content


def read_content(run: Path) -> dict[str, Any]:
    """Read ``run.json`` and check its own checksum and shape; tables are not looked at.

    Raises:
        InputError: The folder is no run folder, or the file is damaged.
    """
    path = run / RUN_FILE
    try:
        content = read_object(path, remedy="Run the suite again")
    except FileNotFoundError as error:
        raise InputError(
            "this is not a run folder: it has no run.json",
            file=run,
            remedy="Make one with 'asrfair run' or 'asrfair score'",
        ) from error
    for name, kind, what in (*((n, dict, "an object") for n in _SECTIONS), *((n, list, "a list") for n in _LISTS)):
        if name in content and not isinstance(content[name], kind):
            raise InputError(f"{name} is not {what}", file=path, remedy="Run the suite again")
    for name in _LISTS:
        keys = ("label", "name") if name == "engines" else ("name",)
        for item in content.get(name, []):
            if not isinstance(item, dict) or not all(isinstance(item.get(key, ""), str) for key in keys):
                raise InputError(f"{name} holds something else than {name}", file=path, remedy="Run the suite again")
    volatile = content.get("volatile", {})
    plain = {**content, "volatile": {key: value for key, value in volatile.items() if key != "sha256"}}
    if volatile.get("sha256") != digest(plain):
        raise damaged(path)
    if not isinstance(volatile.get("tables", {}), dict):
        raise InputError("volatile.tables is not an object", file=path, remedy="Run the suite again")
    return content


def table_files(run: Path) -> list[Path]:
    """Return the tables of a run folder: its Parquet and CSV files."""
    return sorted(
        path
        for path in run.iterdir()
        if path.suffix in {".parquet", ".csv"} and not path.name.startswith(".") and path.is_file()
    )


def check_tables(run: Path, tables: Mapping[str, Any], *, optional: bool = False, remember: bool = True) -> None:
    """Compare tables with their checksums; those that this process has found whole are not read again.

    Args:
        run: The folder.
        tables: SHA-256 by the name of the file.
        optional: Whether a table may be gone (who needs it says so).
        remember: Whether tables that were found whole before are believed.

    Raises:
        InputError: A table is not what was written, or is gone.
    """
    marks: list[tuple[str, int, int]] = []
    for name in sorted(tables):
        path = run / Path(name).name
        if path.is_symlink() or not path.is_file():
            if optional and not path.is_symlink():
                continue
            raise InputError("the table is gone", file=path, remedy="Restore it from a copy, or make the run again")
        status = path.stat()
        marks.append((f"{name} {tables[name]}", status.st_size, status.st_mtime_ns))
    if remember and _checked.get(run.resolve()) == tuple(marks):
        return
    for name in sorted(tables):
        path = run / Path(name).name
        if path.is_file() and sha256_file(path) != tables[name]:
            raise RunDamagedError(
                "the table is not what was written: its checksum differs",
                file=path,
                remedy="Restore it from a copy; or make the tables anew (asrfair score RUN, or the suite again)",
            )
    if remember:
        _checked[run.resolve()] = tuple(marks)


def check_night(folder: Path) -> None:
    """Compare a night's files with their checksums; a folder that is no night, or an old one, has none.

    Raises:
        InputError: A file is not what was written.
    """
    path = folder / NIGHT_FILE
    try:
        content = opened(read_object(path), path)
    except FileNotFoundError:
        return
    files = content.get("files", {})
    if not isinstance(files, dict):
        raise damaged(path)
    check_tables(folder, files)


@contextmanager
def changing(run: Path, what: str) -> Iterator[None]:
    """Hold a run folder while its tables change: one writer, and never two halves that are read as one.

    ``run.json`` says what is under way until it is done, then the checksums of all tables. An error that left every
    table as it was leaves ``run.json`` as it was too.

    Args:
        run: The run folder; made if need be.
        what: What is done, as a reader would say it.

    Raises:
        InputError: Another process is writing there.
    """
    with writing(run):
        place = run.resolve()
        if place in _changing:
            yield
            return
        _changing.add(place)
        try:
            yield from _change(run, what)
        finally:
            _changing.discard(place)


def _change(run: Path, what: str) -> Iterator[None]:
    before = _readable(run)
    stamps = _stamps(run)
    if before is not None:
        write_run_file(run, _with(before, unfinished=what))
    try:
        yield
    except BaseException:
        if before is not None and _stamps(run) == stamps and not before.get("volatile", {}).get("unfinished"):
            write_run_file(run, before)
        raise
    after = _readable(run)
    if after is not None:
        tables = {path.name: sha256_file(path) for path in table_files(run)}
        write_run_file(run, _with(after, tables=tables))


def _readable(run: Path) -> dict[str, Any] | None:
    """Return ``run.json`` where there is one; a damaged one is replaced by whoever writes the run anew."""
    try:
        return read_content(run)
    except InputError:
        return None


def _with(content: Mapping[str, Any], **marks: Any) -> dict[str, Any]:
    volatile = {k: v for k, v in content.get("volatile", {}).items() if k not in {"unfinished", "tables", "sha256"}}
    return {**content, "volatile": {**volatile, **marks}}


def _stamps(run: Path) -> list[tuple[str, int, int]]:
    return [(path.name, path.stat().st_mtime_ns, path.stat().st_ino) for path in table_files(run)]


def settings_to_json(
    groups: GroupSettings, scoring: ScoringSettings, statistics: StatisticsSettings
) -> dict[str, dict[str, Any]]:
    """Return the three settings as JSON objects."""
    return {
        "groups": {**asdict(groups), "by": [list(item) for item in groups.by]},
        "scoring": {**asdict(scoring), "key_terms": list(scoring.key_terms), "metrics": list(scoring.metrics)},
        "statistics": asdict(statistics),
    }


def settings_of(run: Path, *, unfinished: bool = False) -> tuple[GroupSettings, ScoringSettings, StatisticsSettings]:
    """Read the settings of a run folder; see :func:`read_run_file` and :func:`settings_from_json`."""
    return settings_from_json(read_run_file(run, unfinished=unfinished), file=run / RUN_FILE)


_GROUPS = pydantic.TypeAdapter(GroupSettings)
_SCORING = pydantic.TypeAdapter(ScoringSettings)
_STATISTICS = pydantic.TypeAdapter(StatisticsSettings)
_RANGES = {
    "min_speakers": (1, math.inf),
    "min_words": (0, math.inf),
    "confidence": (0.5, 1 - 1e-9),
    "draws": (100, 1_000_000),
    "seed": (0, math.inf),
    "detect": (0, 1),
}


def settings_from_json(
    content: Mapping[str, Any], *, file: Path = Path(RUN_FILE)
) -> tuple[GroupSettings, ScoringSettings, StatisticsSettings]:
    """Read the settings back out of ``run.json``.

    Args:
        content: What :func:`read_run_file` returned.
        file: Where from, for messages.

    Raises:
        InputError: They are not what this version of asrfair writes, or name code that the user has not named.
    """
    try:
        scoring = dict(content["scoring"])
        scoring.pop("normalizer_version", None)  # what was found when scoring, not a setting
        groups = _GROUPS.validate_python(_known(content["groups"], GroupSettings))
        rules = _SCORING.validate_python(_known(scoring, ScoringSettings))
        statistics = _STATISTICS.validate_python(_known(content["statistics"], StatisticsSettings))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"run.json has settings that are none: {first['msg']}",
            file=file,
            column=where or None,
            remedy="Run the suite again",
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"run.json lacks settings: {error}", file=file, remedy="Run the suite again") from error
    require_named([rules.normalizer, *statistics.normalizers], file=file)  # metrics: asrfair.scoring.metric
    return groups, rules, statistics


def _known(section: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Return a section whose keys the settings have and whose numbers are in range."""
    found = dict(section)
    unknown = found.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise KeyError(f"there is no setting {min(unknown)!r}")
    for name, (low, high) in _RANGES.items():
        if name in found and not low <= found[name] <= high:
            raise ValueError(f"{name} is {found[name]!r}")
    return found
