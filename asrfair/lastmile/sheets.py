"""The words of a kit's sheets, in the language of its people: plain data files, and a kit may bring its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydantic

from asrfair.data.tomlfile import TomlFile
from asrfair.errors import InputError
from asrfair.lastmile.settings import Kit

OWN_FILE = "sheets.toml"
_SHIPPED = Path(__file__).parent / "sheets"
_FALLBACK = "en"


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class Consent(_Table):
    """The sheet that people sign."""

    title: str
    intro: str
    what_title: str
    what: list[str]
    agreement_title: str
    lines: list[str]
    draft: str


class Instructions(_Table):
    """The sheet for whoever runs the test."""

    title: str
    before_title: str
    before: list[str]
    ask_title: str
    nothing: str
    column: str
    one_of: str
    read_title: str
    folders: str
    file: str
    sentence: str
    then_title: str
    check: str
    noise: str
    run: str
    report: str
    export: str


class Sheets(_Table):
    """Both, and the language that they are in."""

    language: str = pydantic.Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    consent: Consent
    instructions: Instructions


def languages() -> list[str]:
    """Return the languages that ship."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def sheets_file(kit: Kit) -> Path:
    """Return the file of the kit's sheets: its own, else that of its language, else the English one."""
    own = kit.folder / OWN_FILE
    if own.is_file():
        return own
    named = kit.language.split("-")[0].lower()
    return _SHIPPED / f"{named if named in languages() else _FALLBACK}.toml"


def read_sheets(kit: Kit) -> Sheets:
    """Read the words of a kit's sheets.

    Raises:
        InputError: The kit's own file lacks something, or has a key that nobody knows.
    """
    return TomlFile(sheets_file(kit)).validate(Sheets)


def consent_statement(kit: Kit) -> str:
    """Return what a manifest says about consent: which text people signed, in which language, by its hash."""
    path = kit.folder / "CONSENT.md"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            "the kit has no consent sheet", file=path, remedy="Make it: asrfair lastmile init FOLDER"
        ) from error
    return f"signed on the sheet CONSENT ({read_sheets(kit).language}), SHA-256 {digest}"
