"""The author's part of a card, from TOML or Markdown: what no run can know, section by section."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pydantic

from asrfair.cards.outline import ALL_KEYS, Outline
from asrfair.data.tomlfile import MAX_BYTES, TomlFile, did_you_mean
from asrfair.errors import InputError

PLACEHOLDER: Final = "NAME OF THE SERVICE"
"""What `--init` writes for the author to replace; no card is built under it."""


class _Service(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    service: str
    version: str = ""
    date: str = ""
    provider: str = ""
    contact: str = ""
    licence: str = ""
    languages: list[str] = []
    vouched: list[str] = []


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    card: _Service
    prose: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Text:
    """One section's Markdown and the line of the file on which it starts."""

    markdown: str
    line: int


@dataclass(frozen=True, kw_only=True)
class AuthorProse:
    """What the author wrote.

    Args:
        path: The file.
        service: What the card is about.
        version: Of the service, as its maker counts it; likewise the other details, empty for nothing.
        date: When the card was written.
        provider: Who offers the service.
        contact: Where to ask.
        licence: Of the service or model.
        languages: Language codes.
        vouched: Phrases with numbers that no run can know ("16 kHz"); none may speak of how well it works.
        texts: Section key → its Markdown.
    """

    path: Path
    service: str
    version: str = ""
    date: str = ""
    provider: str = ""
    contact: str = ""
    licence: str = ""
    languages: tuple[str, ...] = ()
    vouched: tuple[str, ...] = ()
    texts: Mapping[str, Text] = field(default_factory=dict)

    @property
    def details(self) -> tuple[tuple[str, str], ...]:
        """What the author said about the service, as pairs for people."""
        rows = (
            ("Service", self.service),
            ("Version", self.version),
            ("Date of this card", self.date),
            ("Provider", self.provider),
            ("Languages", ", ".join(self.languages)),
            ("Licence", self.licence),
            ("Contact", self.contact),
        )
        return tuple((name, value) for name, value in rows if value)


def read_prose(path: Path, outline: Outline) -> AuthorProse:
    """Read the author's file, ``.toml`` or ``.md``.

    Raises:
        InputError: The file cannot be read, or has a section that the template does not know.
    """
    found = _from_markdown(path) if path.suffix.lower() in {".md", ".markdown"} else _from_toml(path)
    known = {section.key for section in outline}
    if " ".join(found.service.split()).casefold() in {"", PLACEHOLDER.casefold()}:
        raise InputError(
            "the card has no name yet",
            file=path,
            column="service",
            value=found.service,
            remedy="Write what the card is about, such as: Example Transcribe, version 3",
        )
    for key, text in found.texts.items():
        if key not in known:
            where = "this template" if key in ALL_KEYS else "any template"
            raise InputError(
                f"not a section of {where}", file=path, line=text.line, value=key, remedy=did_you_mean(key, known)
            )
    return found


def _from_toml(path: Path) -> AuthorProse:
    file = TomlFile(path)
    content = file.validate(_File)
    lines = file.text.splitlines()
    texts = {}
    for key, markdown in content.prose.items():
        line = file.line_of("prose", key) or 1
        opens = re.search(r"(\"\"\"|''')\s*$", lines[line - 1]) is not None
        texts[key] = Text(markdown=markdown, line=line + opens)
    card = content.card
    return AuthorProse(
        path=path,
        texts=texts,
        languages=tuple(card.languages),
        vouched=tuple(card.vouched),
        **card.model_dump(exclude={"languages", "vouched"}),
    )


def _from_markdown(path: Path) -> AuthorProse:
    """Read ``# Service``, then ``## Section`` after ``## Section``; bullets under ``## Vouched`` are the phrases."""
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise InputError(f"the file is larger than {MAX_BYTES} bytes", file=path)
        lines = raw.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror or error}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8", file=path, remedy="Save it as UTF-8") from error
    service, key = "", ""
    texts: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(lines, start=1):
        heading = re.match(r"(#{1,3})\s+(.+?)\s*#*\s*$", line)
        if heading and len(heading.group(1)) == 1 and not service:
            service = heading.group(2)
        elif heading and len(heading.group(1)) > 1:
            key = _key(heading.group(2))
            if key in texts:
                raise InputError("the section is there twice", file=path, line=number, value=heading.group(2))
            texts[key] = (number + 1, [])
        elif key:
            texts[key][1].append(line)
        elif line.strip():
            raise InputError(
                "text before the first section",
                file=path,
                line=number,
                remedy="Put it under a line such as ## Overview",
            )
    if not service:
        raise InputError(
            "the file names no service", file=path, line=1, remedy="Begin it with a line such as # My service"
        )
    vouched = texts.pop("vouched", (0, []))[1]
    return AuthorProse(
        path=path,
        service=service,
        vouched=tuple(line.lstrip("-* ").strip() for line in vouched if line.strip()),
        texts={k: Text(markdown="\n".join(v), line=n) for k, (n, v) in texts.items() if "".join(v).strip()},
    )


def _key(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def blank_prose(outline: Outline, engines: Iterable[str]) -> str:
    """Return a TOML file for the author to fill: every section of the template with what belongs into it."""
    lines = [
        "# What no run can know. Numbers about how well the service works are written as references, such as",
        '#   {{ wer("ENGINE", "clean", "overall", "all") }}     (the card fills them in from the runs)',
        f"# Engines of these runs: {', '.join(_comment(engine) for engine in engines)}",
        "# Delete the sections that you do not need; what the runs know is added to each by itself.",
        "",
        "[card]",
        f'service = "{PLACEHOLDER}"',
        'version = ""',
        'date = ""',
        'provider = ""',
        'contact = ""',
        'licence = ""',
        "languages = []",
        'vouched = []            # phrases with numbers that are no result: ["16 kHz", "ISO 8601"]',
        "",
        "[prose]",
    ]
    for section in outline:
        lines += [f"# {section.hint}", f"{section.key} = '''", "'''", ""]
    return "\n".join(lines)


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
