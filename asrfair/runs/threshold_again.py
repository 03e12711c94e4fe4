"""Thresholds once more without a recogniser, from what a search heard: by other rules, or without somebody who left."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.data.sealed import read_object
from asrfair.data.wholefile import open_whole, write_json
from asrfair.recognise.journal import FILE_NAME as JOURNAL
from asrfair.recognise.journal import Journal
from asrfair.runs.threshold import Thresholds, write_thresholds
from asrfair.runs.threshold_search import (
    FILE,
    LEVELS,
    Hear,
    NotHeardError,
    Rules,
    engine_folder,
    read_rules,
    searches_of,
)
from asrfair.scoring import score_run
from asrfair.stats.frame import Frame, load_frame
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

OTHER_RULES = (
    "Thresholds: made again from the levels that were heard. The rules of before chose those; a search by these rules may "
    "choose others."
)
NONE_HERE = (
    "Thresholds: none, although the suite has a [threshold] table. Parts of a run do not search, and levels that were not "
    "heard cannot be scored: asrfair run SUITE --out RUN hears what is missing."
)
DROPPED = (
    "Thresholds: left out. They were made by other rules, and what was heard at each level is not in this folder: run the "
    "suite again."
)
_COPIED = ("utterances.parquet", "hypotheses.parquet")


def steps_of(run: Path) -> list[Path]:
    """Return the folders of what a search heard."""
    return sorted(path for path in (run / LEVELS).glob("engine-*/*") if path.is_dir() and not path.is_symlink())


def copy_levels(run: Path, out: Path) -> None:
    """Copy what thresholds are made again from into another folder."""
    for path in (run / FILE, *(step / name for step in steps_of(run) for name in _COPIED)):
        if path.is_file():
            with path.open("rb") as source, open_whole(out / path.relative_to(run), private=True) as stream:
                shutil.copyfileobj(source, stream)


def thresholds_again(
    run: Path, groups: GroupSettings, scoring: ScoringSettings, statistics: StatisticsSettings, *,
    scored: Frame | None = None, workers: int | None = None, left: bool = False,
) -> Thresholds | None:  # fmt: skip
    """Make the tables again from what was heard; ``None`` where something of it is missing.

    By the rules of the search its steps are taken again, one by one. By other rules the levels stay those that the search
    chose.

    Args:
        run: The folder.
        groups: For whom.
        scoring: How errors are counted.
        statistics: How sure.
        scored: The run whose search it is, scored by these rules, if it is one's.
        workers: Processes for scoring.
        left: Whether rows have left what was heard: steps that the search would not take without them are removed, so
            that it ends, once it is started again, with the bytes of one that they were never in.

    Raises:
        InputError: A file is damaged.
    """
    rules = read_rules(run)
    if rules is None:
        return None
    now = replace(rules, groups=groups, scoring=scoring, statistics=statistics)
    same = _counting(rules) == _counting(now)

    def hear_with(number: int) -> Hear:
        return _Heard(folder=engine_folder(run, number), rules=now, workers=workers)

    searches = searches_of(now, run, hear_with, scored, new_levels=same, trim=same and left)
    whole = [search for search in searches if search is not None]
    return write_thresholds(run, now, whole) if len(whole) == len(searches) else None


def rename_manifest(run: Path, hashes: Mapping[str, str]) -> None:
    """Write down by what name the manifest of a search goes, once somebody has left it."""
    path = run / FILE
    if path.is_file():
        content = read_object(path)
        content["manifest"] = hashes.get(str(content.get("manifest")), content.get("manifest"))
        write_json(path, content)


def _counting(rules: Rules) -> tuple[GroupSettings, ScoringSettings, float]:
    """Return what thresholds depend on: not which metrics are counted beside."""
    return rules.groups, replace(rules.scoring, metrics=()), rules.statistics.confidence


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """Gives what was heard, scored by the rules as they are now."""

    folder: Path
    rules: Rules
    workers: int | None

    def __call__(self, names: Sequence[str], name: str) -> Frame:
        run = self.folder / name
        path = run / "hypotheses.parquet"
        if not path.is_file():
            raise NotHeardError(name, _begun(run, names))
        heard = pc.unique(pq.read_table(path, columns=["condition"], partitioning=None)["condition"]).to_pylist()
        if names and list(names) != heard:
            raise NotHeardError(name, False)
        score_run(run, self.rules.scoring, workers=self.workers)
        return load_frame(run, self.rules.groups)


def _begun(run: Path, names: Sequence[str]) -> bool:
    """Whether a step was cut off that would hear these levels."""
    if not (run / JOURNAL).is_file():
        return False
    with Journal(run) as journal:
        found = {name for name in journal.fingerprints() if name.startswith("condition ")}
    return found == {f"condition {name!r}" for name in names}
