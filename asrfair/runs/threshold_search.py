"""The search for thresholds as steps: which levels come next, whoever hears them, a recogniser or what was heard before.

What it depends on beside the answers is :class:`Rules`, which stands in ``threshold.json``: with that and the folder
``levels/`` the same steps can be taken again without the suite, its recordings and its recogniser.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pydantic

from asrfair.data.runfile import settings_from_json, settings_to_json
from asrfair.data.sealed import read_object
from asrfair.data.wholefile import write_json
from asrfair.errors import InputError
from asrfair.runs.threshold_settings import ThresholdTable
from asrfair.stats.estimate.psychometric import coarse_levels, next_level
from asrfair.stats.frame import Frame
from asrfair.stats.thresholds.axis import Axis
from asrfair.stats.thresholds.tables import Counts, Search, Target
from asrfair.types import (
    CLEAN,
    INTERSECTION,
    OVERALL_ATTRIBUTE,
    OVERALL_GROUP,
    GroupSettings,
    ScoringSettings,
    StatisticsSettings,
)

COARSE = 3
LEVELS = "levels"
"""Folder of what was heard."""

FILE = "threshold.json"
Hear: TypeAlias = Callable[[Sequence[str], str], Frame]
"""Gives the scores of one engine under conditions; the second argument names the step."""

_AXES = pydantic.TypeAdapter(list[Axis])


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a search depends on beside what is heard.

    Args:
        engines: Labels, in order; what the n-th heard lies in ``levels/engine-n``.
        axes: What is turned, a place each.
        asymptotes: For each, whether the recordings themselves are its best level.
        table: What is looked for.
        groups: For whom.
        scoring: How errors are counted.
        statistics: How sure.
    """

    engines: tuple[str, ...]
    axes: tuple[Axis, ...]
    asymptotes: tuple[bool, ...]
    table: ThresholdTable
    groups: GroupSettings
    scoring: ScoringSettings
    statistics: StatisticsSettings


class NotHeardError(Exception):
    """A step was never heard to its end, or at other levels.

    Args:
        name: Of the step.
        begun: Whether it was begun, at these levels.
    """

    def __init__(self, name: str, begun: bool) -> None:
        super().__init__(name)
        self.begun = begun


def write_rules(run: Path, rules: Rules, about: Mapping[str, Any]) -> None:
    """Write ``threshold.json``; ``about`` is what else it says: suite, manifest, seed."""
    settings = settings_to_json(rules.groups, rules.scoring, rules.statistics)
    content = {
        **about, "threshold": rules.table.model_dump(), "engines": list(rules.engines),
        "axes": [asdict(axis) for axis in rules.axes], "asymptotes": list(rules.asymptotes), **settings,
    }  # fmt: skip
    write_json(run / FILE, content)


def read_rules(run: Path) -> Rules | None:
    """Read ``threshold.json``; ``None`` where there is none, or one of a version that did not keep the rules.

    Raises:
        InputError: It is damaged.
    """
    path = run / FILE
    try:
        content = read_object(path, remedy="Search again: asrfair threshold SUITE --out ANOTHER")
    except FileNotFoundError:
        return None
    if "axes" not in content:
        return None
    groups, scoring, statistics = settings_from_json(content, file=path)
    try:
        return Rules(
            engines=tuple(str(label) for label in content["engines"]),
            axes=tuple(_AXES.validate_python(content["axes"])),
            asymptotes=tuple(bool(item) for item in content["asymptotes"]),
            table=ThresholdTable.model_validate(content["threshold"]), groups=groups, scoring=scoring,
            statistics=statistics,
        )  # fmt: skip
    except (pydantic.ValidationError, KeyError, TypeError) as error:
        raise InputError(
            "this is not what a search for thresholds writes", file=path,
            remedy="Search again: asrfair threshold SUITE --out ANOTHER",
        ) from error  # fmt: skip


def targets_of(table: ThresholdTable) -> list[Target]:
    """Return the rates at which thresholds are taken; the search aims at the first."""
    stated = ((table.wer, False), (table.times_clean, True))
    return [Target(value=value, relative=relative) for value, relative in stated if value is not None]


def engine_folder(run: Path, number: int) -> Path:
    """Return where lies what an engine heard, counted from 0."""
    return run / LEVELS / f"engine-{number + 1}"


def place_step(place: int, step: int | None) -> str:
    """Return the name of a step: the coarse levels of a place together, then one by one, counted with them."""
    return f"place-{place + 1}-coarse" if step is None else f"place-{place + 1}-{step}"


def searches_of(
    rules: Rules,
    run: Path,
    hear_with: Callable[[int], Hear],
    scored: Frame | None,
    *,
    new_levels: bool = True,
    trim: bool = False,
) -> list[Search | None]:
    """Take the steps of a search, engine by engine and place by place.

    Args:
        rules: What it depends on.
        run: The folder.
        hear_with: Who hears for an engine, counted from 0.
        scored: A run of the suite; where it has the recordings themselves, they are not heard again.
        new_levels: Whether levels are chosen, from what was heard before; else those are taken that were heard.
        trim: Whether to remove steps that the search does not take.

    Returns:
        A search an engine and place; ``None`` where one needs what was never heard (:class:`NotHeardError`).
    """
    found: list[Search | None] = []
    for number, label in enumerate(rules.engines):
        hear = hear_with(number)
        try:
            if scored is not None and CLEAN in scored.conditions:
                clean, own = scored, _counts(scored, scored.conditions.index(CLEAN), number)
            else:
                clean = hear([CLEAN], CLEAN)
                own = _counts(clean, 0)
        except NotHeardError:
            found += [None] * len(rules.axes)
            continue
        for index, axis in enumerate(rules.axes):
            search = Search(
                engine=label, axis=axis, clean=own, groups=_groups(clean, rules.groups),
                speaker=clean.speaker.astype(np.int64), asymptote=rules.asymptotes[index],
            )  # fmt: skip
            folder, begun = engine_folder(run, number), False
            try:
                _coarse(search, hear, index)
                if new_levels:
                    _choose(search, hear, rules.table, index)
                else:
                    _take(search, hear, folder, rules.table.levels, index)
            except NotHeardError as missing:
                found.append(None)
                begun = missing.begun
            else:
                found.append(search)
            if trim:  # what it did not take belongs to another search
                for step in range(len(search.levels) + 1 + begun, rules.table.levels + 1):
                    shutil.rmtree(folder / place_step(index, step), ignore_errors=True)
    return found


def _coarse(search: Search, hear: Hear, place: int) -> None:
    """Hear the coarse levels together."""
    axis = search.axis
    low, high = _ends(axis)
    first = list(dict.fromkeys(axis.rounded(x) for x in coarse_levels(low, high, COARSE)))
    frame = hear([axis.condition(value) for value in first], place_step(place, None))
    for position, value in enumerate(first):
        search.levels[value] = _counts(frame, position)


def _choose(search: Search, hear: Hear, table: ThresholdTable, place: int) -> None:
    """Hear one level after another where the groups' curves cross the target."""
    axis, target = search.axis, targets_of(table)[0]
    low, high = _ends(axis)
    while len(search.levels) < table.levels:
        found = []
        for _, _, mask in search.groups:
            one = search.threshold(mask, target, confidence=0.95)
            found.append(float(one.curve.reaches(np.array([one.target]))[0]))
        tried = [axis.easier(value) for value in search.levels]
        value = axis.rounded(next_level(sorted(tried), found, low, high))
        if value in search.levels:
            break
        frame = hear([axis.condition(value)], place_step(place, len(search.levels) + 1))
        search.levels[value] = _counts(frame, 0)


def _take(search: Search, hear: Hear, folder: Path, levels: int, place: int) -> None:
    """Take the levels that were heard, whatever chose them."""
    for step in range(len(search.levels) + 1, levels + 1):
        name = place_step(place, step)
        if not (folder / name).is_dir():
            break
        frame = hear([], name)
        search.levels[_level_of(frame.conditions[0])] = _counts(frame, 0)


def _ends(axis: Axis) -> tuple[float, float]:
    low, high = sorted((axis.easier(axis.low), axis.easier(axis.high)))
    return low, high


def _level_of(condition: str) -> float:
    """Return the level in a condition's name (:meth:`Axis.condition`)."""
    try:
        return float(condition.rpartition("=")[2])
    except ValueError:
        return math.nan


def _counts(frame: Frame, place: int, engine: int = 0) -> Counts:
    """Return the counts of one engine in one condition of a frame."""
    return Counts(
        errors=frame.numerator[engine, place].astype(float), words=frame.denominator[engine, place].astype(float)
    )


def _groups(frame: Frame, settings: GroupSettings) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    everybody = np.ones(len(frame.utterances), dtype=bool)
    groups = [(OVERALL_ATTRIBUTE, OVERALL_GROUP, everybody)]
    for names in settings.by:
        labels = frame.utterances[names[0]].astype(str)
        for name in names[1:]:
            labels = labels + INTERSECTION + frame.utterances[name].astype(str)
        groups += [(INTERSECTION.join(names), g, (labels == g).to_numpy()) for g in sorted(labels.unique())]
    return groups
