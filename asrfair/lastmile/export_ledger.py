"""``exports.jsonl``: what left a kit, one line a release. It stays at the site; what may leave next depends on it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from asrfair.errors import InputError
from asrfair.lastmile.settings import Kit

LEDGER_FILE = "exports.jsonl"

Shown = dict[str, dict[str, list[str]]]
"""Person (``source/code``) → attribute → the answers that left for them."""


def note(kit: Kit, entry: Mapping[str, Any]) -> None:
    """Add a line to the ledger, with the time."""
    line = {"time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), **entry}
    with (kit.folder / LEDGER_FILE).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, sort_keys=True) + "\n")


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
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            entry = json.loads(line)
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
