"""``kit.toml``: what a customer says about its room, its recogniser and whom it wants to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic

from asrfair.acoustics.profiles import NAME
from asrfair.data.manifest.card import CANONICAL_COLUMNS, attribute_name_problem
from asrfair.data.tomlfile import TomlFile
from asrfair.errors import InputError

KIT_FILE = "kit.toml"
DEMO = "demo"
"""The benchmark speech that ships: synthetic, so that it shows what the room does and nothing about people."""

_COLUMNS = frozenset(
    {"site", "source", "speaker", "groups", "utterances", "key_terms", "key_term_hits", "failed", "errors", "cell"}
)


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Kit(_Table):
    name: str = pydantic.Field(min_length=1, max_length=100)
    language: str = "en"
    speakers: int = pydantic.Field(default=6, ge=1, le=999)


class _Room(_Table):
    name: Annotated[str, pydantic.Field(pattern=f"^{NAME.pattern}$")] = "our-room"
    snr_db: float | None = pydantic.Field(default=None, ge=-20, le=60)


class _Engine(_Table):
    name: str = pydantic.Field(default="pocketsphinx", min_length=1)
    options: dict[str, Any] = {}


class _Benchmark(_Table):
    manifest: str = DEMO
    severities: list[str] = pydantic.Field(default=["moderate"], max_length=20)


class _Attribute(_Table):
    question: str = ""
    values: list[str] = pydantic.Field(default=[], max_length=100)


class _Groups(_Table):
    by: list[str | list[str]] = ["accent", "gender"]
    min_speakers: int = pydantic.Field(default=3, ge=1)


class _Scoring(_Table):
    normalizer: str = "whisper-english"


class _Export(_Table):
    min_speakers: int = pydantic.Field(default=3, ge=2)
    min_words: int = pydantic.Field(default=10, ge=1)


class _Privacy(_Table):
    budget: float = pydantic.Field(default=3.0, gt=0, le=100)
    most_words: int = pydantic.Field(default=300, ge=10, le=1_000_000)


class _File(_Table):
    kit: _Kit
    room: _Room = _Room()
    engine: _Engine = _Engine()
    benchmark: _Benchmark = _Benchmark()
    groups: _Groups = _Groups()
    attributes: dict[str, _Attribute] = {}
    scoring: _Scoring = _Scoring()
    export: _Export = _Export()
    privacy: _Privacy = _Privacy()


@dataclass(frozen=True, kw_only=True)
class Kit:
    """A kit folder and what its ``kit.toml`` says.

    Attributes:
        folder: The folder.
        name: What the customer calls the test.
        language: Language of the prompts.
        speakers: For how many people sheets are prepared.
        room: Name of the room's noise profile.
        snr_db: Signal-to-noise ratio of the profile's severity ``moderate``; ``None``: measured on people's recordings.
        engine: Name of the recogniser.
        options: Its options.
        benchmark: ``demo`` or the path of a manifest.
        severities: At which severities benchmark speech is put into the room.
        by: Whom to compare, as in a suite.
        group_speakers: A group with fewer speakers is shown and flagged.
        questions: What people are asked, by attribute.
        values: The answers that may leave the site, by attribute.
        normalizer: How text is compared.
        export_speakers: Fewer speakers than this never share a visible group in an export.
        export_words: A speaker's row with fewer reference words stays at home.
        privacy_budget: Most epsilon that all differentially private releases of this kit may spend together.
        privacy_words: Words of one speaker that a private release counts at most.
    """

    folder: Path
    name: str
    language: str
    speakers: int
    room: str
    snr_db: float | None
    engine: str
    options: Mapping[str, Any]
    benchmark: str
    severities: tuple[str, ...]
    by: tuple[tuple[str, ...], ...]
    group_speakers: int
    questions: Mapping[str, str]
    values: Mapping[str, tuple[str, ...]]
    normalizer: str
    export_speakers: int
    export_words: int
    privacy_budget: float
    privacy_words: int

    @property
    def recordings(self) -> Path:
        """Where people's recordings lie: one folder a speaker."""
        return self.folder / "recordings"

    @property
    def room_folder(self) -> Path:
        """Where recordings of the empty room lie."""
        return self.folder / "room"

    @property
    def profiles(self) -> Path:
        """Where the room's noise profile is written."""
        return self.folder / "profiles"

    def run_folder(self, source: str) -> Path:
        """Where a run lies: ``room`` (people's recordings) or ``benchmark`` (benchmark speech put into the room)."""
        return self.folder / "runs" / source


def attribute_problem(name: str) -> str:
    """Return why a kit's attribute cannot have this name, or the empty string."""
    if name in CANONICAL_COLUMNS or name in _COLUMNS:
        return f"{name!r} is a column that every kit or export has"
    return attribute_name_problem(name)


def read_kit(folder: Path) -> Kit:
    """Read the kit in a folder.

    Raises:
        InputError: There is none, or its ``kit.toml`` is wrong; the message names the line.
    """
    path = folder / KIT_FILE
    if not path.is_file():
        raise InputError(
            "this folder holds no last-mile kit", file=folder, remedy="Make one first: asrfair lastmile init FOLDER"
        )
    toml = TomlFile(path)
    content = toml.validate(_File)
    for name in content.attributes:
        problem = attribute_problem(name)
        if problem:
            raise toml.error(problem, "attributes", name, remedy="Choose another name")
    by = tuple((item,) if isinstance(item, str) else tuple(item) for item in content.groups.by)
    for item in by:
        for name in item:
            if name not in content.attributes:
                raise toml.error(
                    "the groups name an attribute that is not described",
                    "groups",
                    "by",
                    value=name,
                    remedy=f"Write [attributes.{name}] with a question, or take it out",
                )
    return Kit(
        folder=folder,
        name=content.kit.name,
        language=content.kit.language,
        speakers=content.kit.speakers,
        room=content.room.name,
        snr_db=content.room.snr_db,
        engine=content.engine.name,
        options=content.engine.options,
        benchmark=content.benchmark.manifest,
        severities=tuple(content.benchmark.severities),
        by=by,
        group_speakers=content.groups.min_speakers,
        questions={name: item.question for name, item in content.attributes.items()},
        values={name: tuple(item.values) for name, item in content.attributes.items()},
        normalizer=content.scoring.normalizer,
        export_speakers=content.export.min_speakers,
        export_words=content.export.min_words,
        privacy_budget=content.privacy.budget,
        privacy_words=content.privacy.most_words,
    )
