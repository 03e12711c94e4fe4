"""Reads exports that came from elsewhere: schema, hash, plausibility, doubles. What cannot be trusted is named."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from asrfair.errors import InputError
from asrfair.lastmile.export import COUNTS, FORMAT, ROW, canonical
from asrfair.lastmile.settings import attribute_problem
from asrfair.types import INTERSECTION

MAX_BYTES = 100_000_000
_CODE = re.compile(r"[0-9a-f]{16}")
_MOST_INSERTIONS_A_WORD = 20
_MOST_WORDS_AN_UTTERANCE = 2000
_TELLING_ERRORS = 5

Name = Annotated[str, pydantic.Field(min_length=1, max_length=200)]
Code = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{16}$")]
Hash = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, pydantic.Field(ge=0, le=1_000_000_000)]


# JSON has no tuples: a list of this shape is one.
Sound = Annotated[tuple[Literal["room", "benchmark", "demo"], Name, Name, float, float, Count], pydantic.Strict(False)]


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Engine(_Table):
    name: Name
    fingerprint: Hash


class _Run(_Table):
    source: Literal["room", "benchmark", "demo"]
    engines: list[_Engine]
    conditions: list[Name]
    condition_hashes: list[str]
    normalizer: Name
    packages: dict[str, str]


class _Held(_Table):
    people: Count
    rows: Count
    groups_hidden: Count
    absent: Count = 0


class _Body(_Table):
    site: Code
    release: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 1
    asrfair: Name
    language: Name
    attributes: list[Name]
    least_speakers: Count
    least_words: Count
    runs: list[_Run] = pydantic.Field(min_length=1)
    columns: list[Name]
    rows: list[list[Any]] = pydantic.Field(min_length=1, max_length=1_000_000)
    acoustics: list[Sound]
    withheld: _Held


class _File(_Table):
    format: Name
    version: int
    sha256: Hash
    body: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Received:
    """An export that passed every check."""

    path: Path
    sha256: str
    body: dict[str, Any]

    @property
    def site(self) -> str:
        """The site's code."""
        return str(self.body["site"])


def read_exports(paths: Sequence[Path], *, skip_bad: bool = False) -> tuple[list[Received], list[str]]:
    """Read exports and refuse what cannot be trusted.

    Returns:
        The exports, in the order given, and why others were left out.

    Raises:
        InputError: The first problem, unless ``skip_bad``.
    """
    received: list[Received] = []
    refused: list[str] = []
    for path in paths:
        try:
            item = read_export(path)
            _check_double(item, received)
        except InputError as error:
            if not skip_bad:
                raise
            refused.append(str(error))
        else:
            received.append(item)
    return received, refused


def read_export(path: Path) -> Received:
    """Read and check one export by itself.

    Raises:
        InputError: It is no export, was changed after it was written, or its counts cannot be.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError("the file is too large for an export", file=path, remedy="Is it an export?")
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", file=path, remedy="Check its name and place"
        ) from error
    try:
        content = json.loads(text.decode())
        file = _File.model_validate(content)
        digest = hashlib.sha256(canonical(file.body).encode()).hexdigest()
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"this is not an export of asrfair: {_first(error)}", file=path, remedy="Ask the site for a new one"
        ) from error
    if file.format != FORMAT or file.version != 1:
        kind = f"{file.format} {file.version}"
        raise InputError(
            "this version of asrfair does not read this kind of export",
            file=path,
            value=kind,
            remedy="Use the version of asrfair that wrote it, or a newer one",
        )
    if digest != file.sha256:
        raise InputError(
            "the export was changed after it was written: its hash does not fit its content",
            file=path,
            remedy="Ask the site for a new one",
        )
    try:
        _Body.model_validate(file.body)
    except pydantic.ValidationError as error:
        raise InputError(
            f"the export's content is malformed: {_first(error)}", file=path, remedy="Ask the site for a new one"
        ) from error
    problem = _implausible(file.body)
    if problem:
        raise InputError(f"the export's counts cannot be: {problem}", file=path, remedy="Ask the site what happened")
    return Received(path=path, sha256=file.sha256, body=file.body)


def _first(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        one = error.errors(include_url=False)[0]
        return f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
    return str(error)


def _implausible(body: dict[str, Any]) -> str:
    """Return what about the rows contradicts itself or what speech can be; empty if nothing."""
    if body["columns"] != list(ROW):
        return "other columns than an export has"
    if len(set(body["attributes"])) != len(body["attributes"]):
        return "an attribute stands there twice"
    problem = next(filter(None, map(attribute_problem, body["attributes"])), "")
    if problem:
        return problem
    known = {
        (run["source"], engine["name"], condition)
        for run in body["runs"]
        for engine in run["engines"]
        for condition in run["conditions"]
    }
    seen: set[str] = set()
    for number, row in enumerate(body["rows"], start=1):
        where = f"row {number}: "
        if len(row) != len(ROW) or not all(isinstance(cell, str) for cell in row[:4]):
            return where + "other columns than an export has"
        if not _CODE.fullmatch(row[3]):
            return where + "a speaker's code is none"
        if (row[0], row[1], row[2]) not in known:
            return where + "a source, engine or condition that the export does not describe"
        groups, values = row[4], row[5:]
        if not isinstance(groups, list) or len(groups) != len(body["attributes"]):
            return where + "not one group an attribute"
        if not all(is_name(text) for text in (*groups, row[1], row[2])):
            return where + "a group, engine or condition has no name that can be printed"
        if not all(type(value) is int and 0 <= value <= 1_000_000_000 for value in values):
            return where + "a count is no whole number from 0"
        key = json.dumps(row[:5])
        if key in seen:
            return where + "the same cell twice"
        seen.add(key)
        counts = dict(zip(COUNTS, values, strict=True))
        words = counts["hits"] + counts["substitutions"] + counts["deletions"]
        if counts["key_term_hits"] > counts["key_terms"]:
            return where + "more key terms recalled than said"
        if counts["insertions"] > _MOST_INSERTIONS_A_WORD * (words + 10 * counts["utterances"] + 10):
            return where + "far more words inserted than said"
        if words > _MOST_WORDS_AN_UTTERANCE * counts["utterances"]:
            return where + "more words than its utterances can hold"
        if not counts["utterances"] and not counts["failed"]:
            return where + "counts of no utterance"
    return ""


def is_name(text: Any) -> bool:
    """Tell whether something is a text that can name a group, engine or condition in a table."""
    return isinstance(text, str) and 0 < len(text) <= 200 and text.isprintable() and INTERSECTION.strip() not in text


def _check_double(item: Received, received: Sequence[Received]) -> None:
    """Refuse an export whose people, counts or sounds were received already, whatever its site is called."""
    for other in received:
        if item.sha256 == other.sha256:
            raise InputError(
                "the same export was given twice", file=item.path, value=other.path.name, remedy="Leave one out"
            )
        if _people(item) & _people(other):
            if item.site == other.site:
                raise InputError(
                    "two exports of one site hold the same people",
                    file=item.path,
                    value=other.path.name,
                    remedy="Give only the later one",
                )
            raise InputError(
                "two sites' exports hold the same people's codes, which no two sites share: one is a copy",
                file=item.path,
                value=other.path.name,
                remedy="Ask both sites, and leave out the copy",
            )
        if _copied(item, other):
            raise InputError(
                "another site's export holds the same counts or sounds: one is a copy",
                file=item.path,
                value=other.path.name,
                remedy="Ask both sites, and leave out the copy",
            )


def _people(item: Received) -> set[str]:
    return {row[3] for row in item.body["rows"] if row[0] != "demo"}


def _copied(item: Received, other: Received) -> bool:
    """Tell whether most telling counts of the smaller export stand in the other one, or all its measured sounds.

    Two sites that read the same sentences to a good recogniser share rows of few errors by chance. Rows of at least five
    errors are telling; three of them, or four means of sounds with their spreads, do not agree by chance.
    """
    one, two = _telling(item), _telling(other)
    least = min(one.total(), two.total())
    if least >= 3 and (one & two).total() >= 0.8 * least:
        return True
    sounds, others = _sounds(item), _sounds(other)
    return len(sounds) >= 4 and sounds == others


def _telling(item: Received) -> Counter[tuple[int, ...]]:
    errors = [ROW.index(name) for name in ("substitutions", "deletions", "insertions")]
    rows = [row for row in item.body["rows"] if row[0] != "demo"]
    return Counter(tuple(row[5:]) for row in rows if sum(row[i] for i in errors) >= _TELLING_ERRORS)


def _sounds(item: Received) -> set[tuple[Any, ...]]:
    return {tuple(line[1:]) for line in item.body["acoustics"] if line[0] == "room" and line[4] > 0}
