"""``exports.jsonl``: what left a kit, one line a release. It stays at the site; what may leave next depends on it."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from asrfair.data.locks import lock
from asrfair.data.plainread import read_bytes
from asrfair.data.sealed import as_json, digest
from asrfair.data.wholefile import OWNER_FILE, write_whole
from asrfair.errors import InputError
from asrfair.lastmile.settings import Kit

LEDGER_FILE = "exports.jsonl"
LOCK_FILE = ".releasing"
CHECKSUM = "checksum"

Shown = dict[str, dict[str, list[str]]]
"""Person (``source/code``) → attribute → the answers that left for them."""


@contextmanager
def releasing(kit: Kit) -> Iterator[None]:
    """Hold the kit for a release: what was spent is looked at and added to by one process at a time."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(kit.folder / LOCK_FILE, flags, OWNER_FILE)
    try:
        with suppress(ImportError):  # Windows: one person at one machine
            lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def note(kit: Kit, entry: Mapping[str, Any]) -> None:
    """Add a line to the ledger, with the time and its checksum, and force it to disk: what is released is spent."""
    path = kit.folder / LEDGER_FILE
    line = as_json({"time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), **entry})
    line[CHECKSUM] = digest(line)
    try:
        before = read_bytes(path)
    except FileNotFoundError:
        before = b""
    write_whole(path, before + json.dumps(line, sort_keys=True).encode() + b"\n", private=True)


def spent_epsilon(kit: Kit) -> float:
    """Return the epsilon that the kit's releases have spent.

    Raises:
        InputError: The ledger is damaged; nothing can then be released.
    """
    return sum(float(entry["epsilon"]) for entry in _entries(kit) if entry["kind"] == "private")


def shown_before(kit: Kit) -> list[Shown]:
    """Return what each earlier export of counts showed of each person.

    Raises:
        InputError: The ledger is damaged; nothing can then be released.
    """
    return [entry["shown"] for entry in _entries(kit) if entry["kind"] == "counts"]


def _entries(kit: Kit) -> list[dict[str, Any]]:
    path = kit.folder / LEDGER_FILE
    if not path.is_file():
        return []
    found = []
    checked = False
    text = read_bytes(path).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = json.loads(line)
            checked = checked or CHECKSUM in entry  # lines from before there were checksums come first
            if checked and entry.pop(CHECKSUM, "") != digest(entry):
                raise ValueError("its checksum differs")  # noqa: TRY301 -- explained below
            if entry["kind"] == "private":
                float(entry["epsilon"])
            else:
                for answers in entry["shown"].values():
                    _ = [value for values in answers.values() for value in values]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                "the ledger of releases is damaged", file=path, line=number, remedy="Restore it from a backup"
            ) from error
        found.append(entry)
    return found
