"""The card of a manifest: what the corpus is, under which terms, and where each attribute comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from asrfair.data.tomlfile import TomlFile
from asrfair.errors import printable
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE, Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Level = Literal["speaker", "utterance"]

REQUIRED_COLUMNS = ("utterance_id", "speaker_id", "reference")
ALTERNATIVES = "alternative_references"
"""Further transcripts of the same speech, a JSON list or separated by ``|``; scoring takes the best of them."""
OPTIONAL_COLUMNS = ("audio", "start_s", "end_s", "channel", "duration_s", "language", "exclude", ALTERNATIVES)
CANONICAL_COLUMNS = REQUIRED_COLUMNS + OPTIONAL_COLUMNS

ALIASES = {"utt_id": "utterance_id", "audio_path": "audio", "audio_filepath": "audio", "duration": "duration_s"}
"""Column names of other tools that are understood where neither our name nor a ``[columns]`` entry is there."""

RESERVED = frozenset(
    {OVERALL_ATTRIBUTE, "reference_raw", "engine", "condition", "attribute", "group", "status", "hypothesis"}
    | {"error", "confidence", "words", "hits", "substitutions", "deletions", "insertions", "ref_words", "wer", "flag"}
)
"""Names that tables of results use, so that no attribute can have them."""

MAX_PATTERNS = 50
MAX_PATTERN_LENGTH = 1000


@dataclass(frozen=True, kw_only=True)
class AttributeCard:
    """What one attribute means and who said so.

    Args:
        description: For the reader of a table.
        provenance: ``self-reported``, ``annotated``, ``recorded`` or ``inferred``; ``None`` where nobody says.
        level: ``speaker`` (one value a speaker; two are a warning) or ``utterance``.
        not_stated: Values of the table that mean that nothing was stated, such as ``Don't know``.
        values: The values that may occur; empty means any.
    """

    description: str = ""
    provenance: Provenance | None = None
    level: Level = "speaker"
    not_stated: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """The card, with every attribute of the table in ``attributes`` once a manifest is read.

    ``columns`` maps our column names to those of the table; ``ignore`` names columns that are no attributes;
    ``reference_remove`` are RE2 patterns taken out of references.
    """

    name: str
    version: str = ""
    table: str = ""
    licence: str = ""
    citation: str = ""
    consent: str = ""
    description: str = ""
    homepage: str = ""
    language: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    reference_remove: tuple[str, ...] = ()
    attributes: Mapping[str, AttributeCard] = field(default_factory=dict)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _ManifestSection(_Strict):
    name: str = Field(min_length=1, max_length=200)
    version: str = "1"
    table: str = Field(min_length=1, max_length=4000)
    licence: str = ""
    citation: str = ""
    consent: str = ""
    description: str = ""
    homepage: str = ""
    language: str = ""
    ignore: list[str] = []


class _ReferenceSection(_Strict):
    remove: list[str] = Field(default=[], max_length=MAX_PATTERNS)


class _AttributeSection(_Strict):
    description: str = ""
    provenance: Provenance | None = None
    level: Level = "speaker"
    not_stated: list[str] = []
    values: list[str] = []


class _CardFile(_Strict):
    manifest: _ManifestSection
    columns: dict[str, str] = {}
    reference: _ReferenceSection = _ReferenceSection()
    attributes: dict[str, _AttributeSection] = {}


def read_card(toml: TomlFile) -> Card:
    """Check a card and return it.

    Raises:
        InputError: A key is unknown or wrong, an attribute's name cannot be used, or a pattern is not RE2's.
    """
    if "manifest" not in toml.data:
        raise toml.error(
            "this is not a manifest's card: it has no [manifest] section",
            remedy="A card starts with [manifest], name = … and table = …; see docs/manifests.md",
        )
    content = toml.validate(_CardFile)
    for ours in content.columns:
        if ours not in CANONICAL_COLUMNS:
            _check_attribute_name(toml, ours, "columns", ours)
    for name in content.attributes:
        if name in CANONICAL_COLUMNS:
            raise toml.error(
                f"{name!r} is a column of every manifest, not an attribute",
                "attributes",
                name,
                remedy="Rename it with [columns]",
            )
        _check_attribute_name(toml, name, "attributes", name)
    for position, pattern in enumerate(content.reference.remove):
        problem = _pattern_problem(pattern)
        if problem:
            raise toml.error(
                f"pattern {position + 1} of reference.remove cannot be used: {problem}",
                "reference",
                "remove",
                value=pattern,
                remedy="Patterns are RE2's (no look-around, no back-references, so that none can hang)",
            )
    return Card(
        **content.manifest.model_dump(exclude={"ignore"}),
        columns=content.columns,
        ignore=tuple(content.manifest.ignore),
        reference_remove=tuple(content.reference.remove),
        attributes={
            name: AttributeCard(
                description=section.description,
                provenance=section.provenance,
                level=section.level,
                not_stated=tuple(section.not_stated),
                values=tuple(section.values),
            )
            for name, section in content.attributes.items()
        },
    )


def load_card(path: Path) -> Card:
    """Read the card at ``path`` (see :func:`read_card`)."""
    return read_card(TomlFile(path))


def attribute_name_problem(name: str) -> str:
    """Return why a column cannot be an attribute under this name, or the empty string."""
    if name in RESERVED:
        return f"{name!r} is a name that tables of results use"
    if not name or name != name.strip() or not name.isprintable():
        return "an attribute's name is plain text without control characters or outer spaces"
    if any(sign in name for sign in (INTERSECTION.strip(), ",", "=")):
        return f"an attribute's name cannot hold '{INTERSECTION.strip()}', ',' or '='"
    return ""


def _check_attribute_name(toml: TomlFile, name: str, *keys: str) -> None:
    problem = attribute_name_problem(name)
    if problem:
        raise toml.error(problem, *keys, remedy="Choose another name")


def _pattern_problem(pattern: str) -> str:
    if not pattern:
        return "it is empty"
    if len(pattern) > MAX_PATTERN_LENGTH:
        return f"it is longer than {MAX_PATTERN_LENGTH} characters"
    try:
        pc.replace_substring_regex(pa.array(["", "a"]), pattern=pattern, replacement="")
    except pa.ArrowException as error:
        return printable(str(error).removeprefix("Invalid regular expression: "), limit=200)
    except UnicodeEncodeError:
        return "it is not valid text"
    return ""
