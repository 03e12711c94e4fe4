"""``exports.jsonl``: what left a kit, one line a release. It stays at the site; what may leave next depends on it.

Each line holds its number and the seal of the line before it, and is sealed with the site's key, so that no line can be
changed, taken out or put in. The number of releases, sealed likewise, stands beside it in ``.releases``: a ledger that
was cut or deleted is noticed. Exports carry their number too, so that who receives them notices a gap.

What this cannot stop: somebody who restores ledger, count and key together from an older copy of the folder, or deletes
all three, begins again from there. The numbers in the exports then repeat, which the receiver can see.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from asrfair.data.locks import lock
from asrfair.data.plainread import read_bytes
from asrfair.data.wholefile import OWNER_FILE, write_whole
from asrfair.errors import InputError
from asrfair.lastmile.settings import Kit
from asrfair.lastmile.site_key import COUNT_FILE, LEDGER_FILE, site_key

LOCK_FILE = ".releasing"

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


def note(kit: Kit, entry: Mapping[str, Any]) -> int:
    """Add a line to the ledger, with the time, and force it to disk; return its number.

    Raises:
        InputError: The ledger is damaged.
    """
    key = site_key(kit)
    before = read_ledger(kit)
    line = {
        **entry,
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "number": len(before) + 1,
        "previous": before[-1]["seal"] if before else "",
    }
    _check(line, kit, len(before) + 1)
    line["seal"] = _seal(key, line)
    path = kit.folder / LEDGER_FILE
    text = read_bytes(path) if before else b""
    write_whole(path, text + json.dumps(line, sort_keys=True).encode() + b"\n", private=True)
    _count(kit, key, line)
    return int(line["number"])


def rename_person(kit: Kit, codes: Mapping[str, str], lines: int) -> None:
    """Call a person by another code in every line, and seal the chain and the count anew; may be done again.

    What earlier exports showed of somebody who left bounds what may leave next; who it was does not.

    Args:
        kit: The kit; held by :func:`releasing`.
        codes: The code as it is → as it will be.
        lines: How many lines the ledger had when it was last found whole: a count that does not fit them is then the mark
            of a process that was killed in here.

    Raises:
        InputError: The ledger is damaged.
    """
    if not lines:
        return
    key = site_key(kit)
    found = _lines(kit, key)
    if len(found) != lines:
        raise _damaged(kit, f"{lines} releases were made, and the ledger has {len(found)}", len(found) + 1)
    sealed: list[dict[str, Any]] = []
    for entry in found:
        line = {name: value for name, value in entry.items() if name != "seal"}
        if line["kind"] == "counts":
            line["shown"] = {_renamed(who, codes): answers for who, answers in line["shown"].items()}
        line["previous"] = sealed[-1]["seal"] if sealed else ""
        sealed.append({**line, "seal": _seal(key, line)})
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in sealed)
    write_whole(kit.folder / LEDGER_FILE, text, private=True)
    _count(kit, key, sealed[-1])


def _renamed(who: str, codes: Mapping[str, str]) -> str:
    source, _, code = who.partition("/")
    return f"{source}/{codes.get(code, code)}"


def spent_epsilon(kit: Kit) -> float:
    """Return the epsilon that the kit's releases have spent.

    Raises:
        InputError: The ledger is damaged; nothing can then be released.
    """
    return math.fsum(entry["epsilon"] for entry in read_ledger(kit) if entry["kind"] == "private")


def shown_before(kit: Kit) -> list[Shown]:
    """Return what each earlier export of counts showed of each person.

    Raises:
        InputError: The ledger is damaged; nothing can then be released.
    """
    return [entry["shown"] for entry in read_ledger(kit) if entry["kind"] == "counts"]


def read_ledger(kit: Kit) -> list[dict[str, Any]]:
    """Read the ledger, checking every line, the chain and the count.

    Raises:
        InputError: A line is damaged or not sealed by this site, or lines are missing.
    """
    found = _lines(kit, site_key(kit)) if (kit.folder / LEDGER_FILE).is_file() else []
    counted, seal = _counted(kit)
    if counted > len(found) or (counted == len(found) and found and seal != found[-1]["seal"]):
        raise _damaged(kit, f"{counted} releases were made, and the ledger has {len(found)}", len(found) + 1)
    return found


def _lines(kit: Kit, key: bytes) -> list[dict[str, Any]]:
    """Read the lines and check each, and the chain.

    Raises:
        InputError: A line is damaged or not sealed by this site.
    """
    path = kit.folder / LEDGER_FILE
    found: list[dict[str, Any]] = []
    if not path.is_file():
        return found
    for number, line in enumerate(read_bytes(path).decode("utf-8", "replace").splitlines(), start=1):
        try:
            entry = json.loads(line)
            _check(entry, kit, number)
            seal = str(entry.pop("seal"))
            whole = hmac.compare_digest(seal, _seal(key, entry))
            chained = entry["number"] == number and entry["previous"] == (found[-1]["seal"] if found else "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(kit, "the ledger of releases is damaged", number) from error
        if not (whole and chained):
            raise _damaged(kit, "this line of the ledger was not written by this site, or was changed", number)
        found.append({**entry, "seal": seal})
    return found


def _check(entry: Mapping[str, Any], kit: Kit, number: int) -> None:
    """Check what a line says.

    Raises:
        InputError: An epsilon is none.
        KeyError: Something is missing.
    """
    if entry["kind"] == "private":
        epsilon = entry["epsilon"]
        if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < math.inf:
            raise _damaged(kit, "an epsilon is a number above zero", number)
    else:
        for answers in entry["shown"].values():
            _ = [value for values in answers.values() for value in values]


def _seal(key: bytes, entry: Mapping[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), key=key, digest_size=16, person=b"asrfair ledger").hexdigest()


def _count(kit: Kit, key: bytes, line: Mapping[str, Any]) -> None:
    content = {"releases": line["number"], "last": line["seal"]}
    content["seal"] = _seal(key, content)
    write_whole(kit.folder / COUNT_FILE, json.dumps(content, sort_keys=True) + "\n", private=True)


def _counted(kit: Kit) -> tuple[int, str]:
    """Return how many releases were made, and the last one's seal.

    Raises:
        InputError: The count is damaged, or missing beside a ledger of more than its last line.
    """
    path = kit.folder / COUNT_FILE
    if not path.is_file():
        return 0, ""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        whole = hmac.compare_digest(str(content.pop("seal")), _seal(site_key(kit), content))
        found = int(content["releases"]), str(content["last"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole, found = False, (0, "")
    if not whole:
        raise InputError(
            "the number of releases cannot be read, or was changed", file=path, remedy="Restore it from a backup"
        )
    return found


def _damaged(kit: Kit, text: str, line: int) -> InputError:
    return InputError(
        text,
        file=kit.folder / LEDGER_FILE,
        line=line,
        remedy="Restore it from a backup; without it nothing more may leave",
    )
