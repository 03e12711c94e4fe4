"""A suite: the TOML file that says which manifest, engines, conditions, groups, scoring and statistics make a run."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pydantic

from asrfair.acoustics.profiles import RendererName
from asrfair.data.stored.address import prefix_problem
from asrfair.data.tomlfile import TomlFile, did_you_mean
from asrfair.data.trust import name_code
from asrfair.errors import InputError
from asrfair.runs.gate_settings import GateSettings, GatesTable
from asrfair.runs.notify_settings import NotifySettings, NotifyTable
from asrfair.runs.threshold_settings import ThresholdTable
from asrfair.scoring.metric import allow_metric, counted_by
from asrfair.stats.claims.table import QUESTIONS
from asrfair.types import CLEAN, INTERSECTION, EngineSpec, GroupSettings, ScoringSettings, StatisticsSettings

MAX_CONDITIONS = 1000


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Suite(_Table):
    name: str = pydantic.Field(min_length=1)
    description: str = ""
    seed: int = pydantic.Field(default=1, ge=0)
    manifest: str = pydantic.Field(min_length=1)
    allow_outside: bool = False
    allow_remote: list[str] = []
    conditions: list[str] = pydantic.Field(default=[CLEAN], min_length=1)
    profiles: str | None = None
    render: RendererName = "processor"


class _Engine(_Table):
    name: str = pydantic.Field(min_length=1)
    label: str | None = None
    options: dict[str, Any] = {}


class _Grid(_Table):
    profile: str = pydantic.Field(min_length=1)
    snr_db: list[float] = []
    severity: list[str] = []


class _Groups(_Table):
    by: str | list[str | list[str]] = []
    where: dict[str, str] = {}
    min_speakers: int = pydantic.Field(default=5, ge=1)
    min_words: int = pydantic.Field(default=100, ge=0)
    reference: dict[str, str] = {}
    allow_inferred: bool = False


class _Scoring(_Table):
    normalizer: str = "whisper-english"
    characters: bool = True
    errors_as: Literal["excluded", "deletions"] = "excluded"
    empty_references: Literal["insertions", "excluded"] = "insertions"
    key_terms: list[str] = []
    key_terms_file: str | None = None


class _Statistics(_Table):
    interval: Literal["jackknife", "percentile"] = "jackknife"
    confidence: float = pydantic.Field(default=0.95, gt=0.5, lt=1)
    draws: int = pydantic.Field(default=2000, ge=100, le=1_000_000)
    seed: int = pydantic.Field(default=1, ge=0)
    adjust: list[str] = []
    subgroups: bool = False
    normalizers: list[str] = []
    metric: str = "wer"
    metrics: list[str] = []
    detect: float = pydantic.Field(default=0.05, gt=0, lt=1)
    faas: bool = False
    family: Literal["fdr", "strict"] = "fdr"
    prompts: Literal["sample", "fixed"] = "sample"


class _Claims(_Table):
    primary: list[str] = []


class _Report(_Table):
    title: str = ""
    audio: bool = False


class _File(_Table):
    suite: _Suite
    engine: list[_Engine] = pydantic.Field(min_length=1)
    grid: list[_Grid] = []
    groups: _Groups = _Groups()
    scoring: _Scoring = _Scoring()
    statistics: _Statistics = _Statistics()
    claims: _Claims = _Claims()
    report: _Report = _Report()
    gates: GatesTable = GatesTable()
    threshold: ThresholdTable | None = None
    notify: NotifyTable = NotifyTable()


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """What a run does. ``conditions`` are names such as ``clean`` and ``imaging-floor@moderate``.

    ``render`` is what puts audio into them: the processor, or the engine's device.
    """

    name: str
    path: Path
    sha256: str
    manifest: Path
    engines: tuple[EngineSpec, ...]
    description: str = ""
    seed: int = 1
    allow_outside: bool = False
    allow_remote: tuple[str, ...] = ()
    conditions: tuple[str, ...] = (CLEAN,)
    profiles: Path | None = None
    render: RendererName = "processor"
    groups: GroupSettings = field(default_factory=GroupSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    title: str = ""
    audio: bool = False
    gates: GateSettings = field(default_factory=GateSettings)
    threshold: ThresholdTable | None = None
    notify: NotifySettings = field(default_factory=NotifySettings)


def read_suite(path: Path) -> Suite:
    """Read a suite file; paths in it are relative to it.

    Raises:
        InputError: Anything in it is wrong, with the line and the nearest known key.
    """
    toml = TomlFile(path)
    content = toml.validate(_File)
    folder = path.resolve().parent
    labels: set[str] = set()
    engines = []
    for index, engine in enumerate(content.engine):
        label = engine.label or engine.name
        if label in labels:
            raise toml.error(
                f"two engines are called {label!r}", "engine", index, "name", remedy="Give each a 'label' of its own"
            )
        _check_label(label, toml, "engine", index, "label" if engine.label else "name")
        labels.add(label)
        options = absolute_paths(engine.options, folder)
        engines.append(EngineSpec(name=engine.name, label=label, options=options))
    conditions = tuple(dict.fromkeys(itertools.chain(content.suite.conditions, _expand(content.grid, toml))))
    if len(conditions) > MAX_CONDITIONS:
        raise toml.error(f"more than {MAX_CONDITIONS} conditions", "grid", remedy="Split the suite")
    name_code(
        [
            content.scoring.normalizer,
            *content.statistics.normalizers,
            *content.statistics.metrics,
            content.statistics.metric,
        ]
    )
    return Suite(
        name=content.suite.name,
        path=path,
        sha256=hashlib.sha256(toml.text.encode()).hexdigest(),
        description=content.suite.description,
        seed=content.suite.seed,
        manifest=_resolve(content.suite.manifest, folder, toml, "suite", "manifest"),
        allow_outside=content.suite.allow_outside,
        allow_remote=_remote(content.suite.allow_remote, toml),
        engines=tuple(engines),
        conditions=conditions,
        profiles=None
        if content.suite.profiles is None
        else _resolve(content.suite.profiles, folder, toml, "suite", "profiles"),
        render=content.suite.render,
        groups=_groups(content.groups),
        scoring=replace(_scoring(content.scoring, folder, toml), metrics=_counted(content.statistics)),
        statistics=_statistics(content.statistics, _primary(content.claims.primary, _groups(content.groups), toml)),
        title=content.report.title,
        audio=content.report.audio,
        gates=_gates(content.gates, conditions, _groups(content.groups), toml),
        notify=content.notify.settings(folder),
        threshold=content.threshold,
    )


def _remote(prefixes: list[str], toml: TomlFile) -> tuple[str, ...]:
    for index, prefix in enumerate(prefixes):
        problem = prefix_problem(prefix)
        if problem:
            raise toml.error(
                f"this cannot be allowed: {problem}", "suite", "allow_remote", index, value=prefix,
                remedy='Write, for example, allow_remote = ["s3://my-bucket/corpus"]',
            )  # fmt: skip
    return tuple(prefixes)


def _statistics(table: _Statistics, primary: tuple[str, ...]) -> StatisticsSettings:
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in table}
    return StatisticsSettings(**given, primary=primary)


def _counted(statistics: _Statistics) -> tuple[str, ...]:
    """The metrics of the user's own; whoever runs a suite has named what it names, so that it is imported."""
    names = (statistics.metric, *statistics.metrics)
    for name in names:
        allow_metric(name)
    return counted_by(names)


def _primary(names: list[str], groups: GroupSettings, toml: TomlFile) -> tuple[str, ...]:
    """Questions that were asked before the data: an attribute, a kind of question, or one question."""
    known = (*(INTERSECTION.join(by) for by in groups.by), *QUESTIONS)
    for index, name in enumerate(names):
        if name.partition(":")[0] not in known:
            raise toml.error(
                "the run does not ask this", "claims", "primary", index, value=name, remedy=did_you_mean(name, known)
            )
    return tuple(names)


def _gates(table: GatesTable, conditions: tuple[str, ...], groups: GroupSettings, toml: TomlFile) -> GateSettings:
    for name in table.condition:
        if name not in conditions:
            raise toml.error(
                "these gates are for a condition that the suite does not have",
                "gates",
                "condition",
                name,
                remedy=f"The suite has: {', '.join(conditions)}",
            )
    attributes = [INTERSECTION.join(by) for by in groups.by]
    for attribute, limits in table.group.items():
        if attribute not in attributes:
            raise toml.error(
                "these gates are for groups that the suite does not make",
                "gates",
                "group",
                attribute,
                remedy=f"Its [groups] has: {', '.join(attributes) or 'none'}",
            )
        for name, limit in limits.items():
            if limit.max_gap is not None:
                raise toml.error(
                    "a gap is between groups, and no group has one", "gates", "group", attribute, name, "max_gap"
                )
    return table.settings()


def _check_label(label: str, toml: TomlFile, *keys: str | int) -> None:
    if not label.isprintable() or "@" in label or len(label) > 120:
        raise toml.error(
            "an engine's label must be printable, without '@', at most 120 characters",
            *keys,
            value=label,
            remedy="Change it",
        )


def _resolve(text: str, folder: Path, toml: TomlFile, *keys: str) -> Path:
    if "\0" in text:
        raise toml.error("a path holds a null byte", *keys, value=text)
    path = (folder / text).resolve()
    try:
        found = path.exists()
    except OSError:
        found = False
    if not found:
        raise toml.error(
            "there is no such file or folder", *keys, value=text, remedy="Paths are relative to the suite file"
        )
    return path


def absolute_paths(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Options whose key ends in ``_file``, ``_dir`` or is ``path`` name files relative to the suite."""
    return {
        key: str((folder / value).resolve())
        if isinstance(value, str) and "\0" not in value and (key in {"path", "file"} or key.endswith(("_file", "_dir")))
        else value
        for key, value in options.items()
    }


def _expand(grids: list[_Grid], toml: TomlFile) -> Iterator[str]:
    for index, grid in enumerate(grids):
        if bool(grid.snr_db) == bool(grid.severity):
            raise toml.error(
                "a grid needs either snr_db or severity", "grid", index, remedy="For example: snr_db = [20, 10, 5, 0]"
            )
        if "@" in grid.profile:
            raise toml.error("a grid's profile is a bare name", "grid", index, "profile", value=grid.profile)
        for snr_db in grid.snr_db:
            if not math.isfinite(snr_db):
                raise toml.error("an SNR must be finite", "grid", index, "snr_db", value=snr_db)
            yield f"{grid.profile}@snr={snr_db:g}"
        for severity in grid.severity:
            yield f"{grid.profile}@{severity}"


def _groups(table: _Groups) -> GroupSettings:
    wanted = [table.by] if isinstance(table.by, str) else table.by
    by = tuple((item,) if isinstance(item, str) else tuple(item) for item in wanted)
    return GroupSettings(**{**dict(table), "by": tuple(dict.fromkeys(item for item in by if item))})


def _scoring(table: _Scoring, folder: Path, toml: TomlFile) -> ScoringSettings:
    terms = list(table.key_terms)
    if table.key_terms_file is not None:
        terms += read_key_terms(_resolve(table.key_terms_file, folder, toml, "scoring", "key_terms_file"))
    return ScoringSettings(
        normalizer=table.normalizer,
        characters=table.characters,
        errors_as=table.errors_as,
        empty_references=table.empty_references,
        key_terms=tuple(dict.fromkeys(terms)),
    )


def read_key_terms(path: Path) -> list[str]:
    """Read a vocabulary list: one term a line, ``#`` begins a comment.

    Raises:
        InputError: The file cannot be read or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"the vocabulary list cannot be read: {error}", file=path, remedy="It is a UTF-8 text file, one term a line"
        ) from error
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
