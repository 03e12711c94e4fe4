"""Which nights tonight is held against, read back by tonight's rules."""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from asrfair.data.runfile import check_night, settings_of
from asrfair.errors import InputError
from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.history import OUTAGE, History, Night
from asrfair.nightly.night_to_night import Key, Movements
from asrfair.nightly.paired_nights import Scored
from asrfair.scoring import ScoreSummary, score_run
from asrfair.types import ScoringSettings

HELD = ("pass", "warn")
"""Verdicts of nights on which no gate failed."""
_MARKS = ("night", "suite", "recording")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What tonight is held against.

    Args:
        name: As people read it.
        nights: The nights; empty for a run folder, or where there is none yet.
        run: A run folder instead.
    """

    name: str
    nights: tuple[Night, ...] = ()
    run: Path | None = None

    @property
    def inputs(self) -> Mapping[str, Any] | None:
        """What the newest of the nights was made of; ``None`` for a run folder."""
        return self.nights[-1].content.get("inputs") if self.nights else None


def find_baseline(history: History, suite: str, wanted: str) -> Baseline | None:
    """Find the baseline.

    Args:
        history: The history.
        suite: The suite's name.
        wanted: ``accepted``, the number of a night, ``window:N`` (the newest N nights that no gate failed on, since the
            last that was accepted, and that one), or a run folder.

    Returns:
        ``None`` where the history has no night of this suite yet.

    Raises:
        InputError: There is no such night or folder, it is of another suite, or it was an outage.
    """
    if wanted == "accepted":
        number = history.accepted(suite)
        return None if number is None else Baseline(name=f"accepted night {number}", nights=(history.night(number),))
    if wanted.isdecimal():
        night = history.night(int(wanted))
        if night.suite != suite:
            raise InputError("that night is of another suite", value=night.suite, remedy="Name a night of this one")
        refuse_outage(night)
        return Baseline(name=f"night {night.number}", nights=(night,))
    if wanted.startswith("window:") and wanted[7:].isdecimal() and int(wanted[7:]):
        accepted = history.accepted(suite)
        if accepted is None:
            return None
        held = [night for night in history.nights(suite) if night.number > accepted and night.verdict in HELD]
        nights = [history.night(accepted), *held][-int(wanted[7:]) :]
        name = f"the {len(nights)} nights up to {nights[-1].number} that held"
        return Baseline(name=name, nights=tuple(nights))
    if not (Path(wanted) / "run.json").is_file():
        raise InputError(
            "this is no baseline",
            column="--baseline",
            value=wanted,
            remedy="Give 'accepted', the number of a night, 'window:N', or a run folder",
        )
    return Baseline(name=f"run {Path(wanted).resolve().name}", run=Path(wanted))


def refuse_outage(night: Night) -> None:
    """Let no night become a baseline of which too much was lost.

    Raises:
        InputError: It was an outage.
    """
    if night.verdict == OUTAGE:
        raise InputError(
            "of that night too much was lost to failures: it can be no baseline",
            value=f"night {night.number}",
            remedy="Name another night, or raise [gates] max_failed if that much is always lost, and run one",
        )


def last_judged(nights: Sequence[Night], name: str) -> Night | None:
    """Return the newest night that was held against this baseline and came to a verdict on it."""
    for night in reversed(nights):
        if night.verdict != OUTAGE and night.content.get("baseline") == name:
            return night
    return None


def gates_of(night: Night) -> dict[Key, Gate]:
    """Read a night's gates against its baseline back."""
    table = plain(night.path / "gates.parquet")
    names = {item.name for item in fields(Gate)}
    rows = table[table["rule"] == "max_increase"].reindex(columns=[c for c in table if c in names]).to_dict("records")
    gates = [Gate(**{str(key): _value(value) for key, value in row.items()}) for row in rows]
    return {(gate.engine, gate.condition, gate.attribute, gate.group): gate for gate in gates}


def changes_of(nights: Sequence[Night], name: str, most: int = 60) -> dict[Key, list[float]]:
    """Return how each group's charted figure moved over the nights that were held against this baseline."""
    found: dict[Key, list[float]] = {}
    for night in [night for night in nights if night.content.get("baseline") == name][-most:]:
        for key, gate in gates_of(night).items():
            found.setdefault(key, []).append(gate.z)
    return found


def _value(value: Any) -> Any:
    if value is None or value is pd.NA:
        return math.nan
    return value


def scored(
    folder: Path, rules: Mapping[str, Any], own_rules: Mapping[str, Any] | None, scoring: ScoringSettings
) -> Scored:
    """Read a night or a run; score its transcripts again if it was scored by other rules. No audio is needed.

    Args:
        folder: A night's folder, or a run folder.
        rules: Tonight's rules, as :func:`asrfair.nightly.changes.inputs_of` lists them.
        own_rules: The folder's, likewise; ``None`` to read them from its ``run.json``.
        scoring: Tonight's settings.
    """
    check_night(folder)
    utterances = plain(folder / "utterances.parquet")
    if own_rules is None:
        _, settings, _ = settings_of(folder)
        same = settings == scoring
    else:
        same = dict(own_rules) == dict(rules)
    if same:
        return Scored(utterances=utterances, scores=plain(folder / "scores.parquet"))
    with tempfile.TemporaryDirectory(prefix="asrfair-rescore-") as name:
        score_again(folder, Path(name), scoring)
        return Scored(utterances=utterances, scores=plain(Path(name) / "scores.parquet"))


def score_again(folder: Path, again: Path, scoring: ScoringSettings) -> ScoreSummary:
    """Score a night's transcripts by other rules, in a run folder of their own; the night stays as it is.

    Args:
        folder: A night's folder, or a run folder.
        again: An empty folder.
        scoring: The rules.
    """
    for name in ("utterances", "hypotheses"):
        plain(folder / f"{name}.parquet").to_parquet(again / f"{name}.parquet", index=False)
    if (folder / "run.json").is_file():
        shutil.copyfile(folder / "run.json", again / "run.json")
    return score_run(again, scoring, workers=1)


def plain(path: Path, marks: Sequence[str] = _MARKS) -> pd.DataFrame:
    """Read a table of a night, without the columns that only nights have."""
    try:
        frame: pd.DataFrame = pq.read_table(path, partitioning=None, page_checksum_verification=True).to_pandas()
    except (OSError, ValueError) as error:
        raise InputError(
            f"the table cannot be read: {error}", file=path, remedy="Name another baseline with --baseline"
        ) from error
    return frame.drop(columns=[name for name in marks if name in frame])


def same_inputs(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None, *, but: Collection[str] = ()) -> bool:
    """Whether two nights were made of the same things, those in ``but`` aside; a suite file's wording does not count."""
    if one is None or other is None:
        return False
    return _deciding(one, but) == _deciding(other, but)


def _deciding(inputs: Mapping[str, Any], but: Collection[str]) -> dict[str, Any]:
    found = {key: value for key, value in inputs.items() if key != "suite" and key not in but}
    found["seed"] = inputs.get("suite", {}).get("seed")
    return found


def alike_before(nights: Sequence[Night], inputs: Mapping[str, Any], after: int, most: int) -> list[Night]:
    """Return the nights right before tonight that had the same inputs, newest first, none up to ``after``."""
    found: list[Night] = []
    for night in reversed(nights):
        if night.verdict == OUTAGE:
            continue
        if night.number <= after or len(found) >= most or not same_inputs(night.content.get("inputs"), inputs):
            break
        found.append(night)
    return found


def measured_movements(
    nights: Sequence[Night],
    checked: pd.DataFrame | None = None,
    still: Collection[str] = (),
    most: int = 60,
) -> Movements:
    """Measure how much each group's WER moved between successive nights on which nothing changed.

    Nights with other inputs than tonight's count too, each beside its like: an engine's new version is taken to move as
    much as the old one did. Packages may differ: where some package is new every night, none would be left to measure by,
    and one that does move figures makes the estimate larger, never smaller.

    Args:
        nights: All nights of the suite, oldest first.
        checked: Tonight's ``invariance.csv``, if the suite asks for it.
        still: Engines that say that they always give the same answer.
        most: How many of the newest nights are used.
    """
    newest = [night for night in nights if night.verdict != OUTAGE][-most:]
    values: dict[Key, list[float]] = {}
    for index, night in enumerate(newest):
        table = plain(night.path / "groups.parquet")
        columns = [table[name] for name in ("engine", "condition", "attribute", "group", "wer")]
        for engine, condition, attribute, group, wer in zip(*columns, strict=True):
            key = (str(engine), str(condition), str(attribute), str(group))
            values.setdefault(key, [math.nan] * len(newest))[index] = math.nan if wer is None else float(wer)
    alike = [
        same_inputs(one.content.get("inputs"), other.content.get("inputs"), but=("package", "code"))
        for one, other in itertools.pairwise(newest)
    ]
    differences = {key: np.where(alike, np.diff(found), math.nan).tolist() for key, found in values.items()}
    moved: dict[Key, float] = {}
    for row in checked.to_dict("records") if checked is not None else ():
        place_of = (str(row["engine"]), str(row["condition"]), str(row["attribute"]), str(row["group"]))
        moved[place_of] = abs(float(row["difference"]))
    return Movements(differences=differences, checked=moved, still=still)
