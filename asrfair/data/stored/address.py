"""Addresses of recordings that are no files of their own.

``STORE`` or ``STORE#MEMBER``: the store is a local path or a URL (``s3://``, ``gs://``, ``https://``, ``hf://``). With a
member it is a tar file (``shards/000.tar#utt.flac``: the member's name) or a Parquet file (``test.parquet#audio/17``:
column and row, counted from 0). A ``#`` that does not follow ``.tar`` or ``.parquet`` is part of the name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = ("s3", "gs", "https", "hf")
"""What a manifest may name where its user allows it. Never ``http``: anybody on the way could put other words in."""

URL_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9+.-]*://"
MEMBER_PATTERN: Final = r"(?is)^(.*?\.(?:tar|parquet)(?:\?[^#]*)?)#(.*)$"
"""Both are RE2's too: whole columns are cut with them."""

_URL = re.compile(URL_PATTERN)
_MEMBER = re.compile(MEMBER_PATTERN)
_CELL = re.compile(r"(?s)(.+)/(0|[1-9][0-9]{0,17})")
MOST_CHARACTERS: Final = 4000


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where bytes lie: ``member`` of ``store``, or the whole of it where that is empty."""

    store: str
    member: str = ""

    @property
    def remote(self) -> bool:
        """Whether it must be fetched."""
        return is_url(self.store)

    @property
    def name(self) -> str:
        """The name whose suffix says what the bytes are; empty for a cell of a Parquet file."""
        if not self.member:
            return self.store.partition("?")[0].rpartition("/")[2]
        return "" if self.parquet else self.member.rpartition("/")[2]

    @property
    def parquet(self) -> bool:
        """Whether the store is a Parquet file."""
        return self.store.partition("?")[0].lower().endswith(".parquet")

    @property
    def cell(self) -> tuple[str, int]:
        """Column and row of a Parquet file's member.

        Raises:
            ValueError: The member does not say ``COLUMN/ROW``.
        """
        found = _CELL.fullmatch(self.member)
        if found is None:
            raise ValueError("a recording in a Parquet file is COLUMN/ROW, such as audio/17, counted from 0")
        return found[1], int(found[2])


def parse(text: str) -> Address:
    """Take an address apart; any text is one."""
    found = _MEMBER.match(text)
    return Address(store=text) if found is None else Address(store=found[1], member=found[2])


def is_url(text: str) -> bool:
    """Return whether a text begins as a URL does."""
    return _URL.match(text) is not None


def as_audio(text: str) -> Path | str:
    """Return the audio of an utterance: the path of a file, or the text of an address that is none."""
    if ("#" in text or "://" in text) and (is_url(text) or _MEMBER.match(text)):
        return text
    return Path(text)


def shown(text: str) -> str:
    """Return an address without the query, which may hold a signature that is as good as a password."""
    address = parse(text)
    store = address.store.partition("?")[0] if address.remote else address.store
    return f"{store}#{address.member}" if address.member else store


def store_problem(store: str) -> str:
    """Return why a URL cannot be a store, or the empty string."""
    scheme = store.partition("://")[0]
    if scheme not in SCHEMES:
        what = "http is not safe from changes on the way" if scheme.lower() == "http" else "no such kind of address"
        return f"{what}: it is one of {', '.join(f'{name}://' for name in SCHEMES)}"
    if len(store) > MOST_CHARACTERS or not store.isprintable() or any(sign in store for sign in (" ", "\\", "#")):
        return "the address has characters that no address has, or too many"
    try:
        parts = urlsplit(store)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "this is no address"
    if not host or not parts.path.strip("/"):
        return "the address names no file"
    if "@" in parts.netloc or (port is not None and scheme != "https"):
        return "an address holds no user, password or (but for https) port"
    if parts.query and scheme != "https":
        return "only an https address has a query"
    if any(part in {".", ".."} for part in re.split(r"/|%2[fF]", re.sub(r"%2[eE]", ".", parts.path))):
        return "an address does not climb with . or .."
    return ""


def is_allowed(store: str, allowed: Sequence[str]) -> bool:
    """Return whether a URL lies below one of the addresses that the user allows."""
    return any(store == prefix or store.startswith(f"{prefix.rstrip('/')}/") for prefix in allowed)


def prefix_problem(prefix: str) -> str:
    """Return why something cannot be allowed, or the empty string: a scheme and at least a host or bucket."""
    if not is_url(prefix) or prefix.partition("://")[2].strip("/") == "":
        return "name a bucket, host or folder, such as s3://my-bucket or https://example.org/corpus"
    return store_problem(f"{prefix.rstrip('/')}/x")


def prefix_of(store: str) -> str:
    """Return what would allow a store: its bucket, its host, or its repository."""
    scheme, _, rest = store.partition("://")
    parts = rest.split("/")
    depth = 1 if scheme != "hf" else 3 if parts[0] in {"datasets", "spaces"} else 2
    return f"{scheme}://{'/'.join(parts[:depth])}"
