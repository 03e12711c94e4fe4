"""Where a night is made: a run folder below the history that is resumed if its process died."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asrfair.data.locks import lock
from asrfair.data.wholefile import own_folder, write_whole
from asrfair.nightly.history import History, explained

TOKEN_FILE = "token"  # noqa: S105 -- the name of a file


@dataclass(frozen=True, kw_only=True)
class WorkFolder:
    """A run folder, and the token of the night that will come out of it."""

    run: Path
    token: str


@contextmanager
def work_folder(history: History, suite: str, identity: str) -> Iterator[WorkFolder]:
    """Hold a work folder that nobody else uses; one that a killed process left behind is taken over.

    Args:
        history: The history.
        suite: The suite's name.
        identity: What the run depends on; a folder left behind by another identity is thrown away.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", suite.lower()).strip("-")[:40] or "suite"
    stem = f"{slug}-{hashlib.sha256(suite.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    with explained(history.folder):
        descriptor, folder = _first_free(history.folder / "work", stem)
    try:
        with explained(history.folder):
            wanted = hashlib.sha256(identity.encode()).hexdigest()
            token = _token(folder, wanted)
            if token is None or history.find(token) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                token = _begin(folder, wanted)
        yield WorkFolder(run=folder / "run", token=token)
    finally:
        os.close(descriptor)  # and with it the lock


def remove(folder: WorkFolder) -> None:
    """Throw a work folder away, after its night was committed."""
    shutil.rmtree(folder.run.parent, ignore_errors=True)


def _first_free(parent: Path, stem: str) -> tuple[int, Path]:
    number = 0
    while True:
        folder = parent / f"{stem}-{number}"
        descriptor = os.open(parent / f"{folder.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock(descriptor, wait=False)
        except BlockingIOError:
            os.close(descriptor)
            number += 1
            continue
        return descriptor, folder


def _token(folder: Path, wanted: str) -> str | None:
    try:
        token, identity = (folder / TOKEN_FILE).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return token if identity == wanted else None


def _begin(folder: Path, identity: str) -> str:
    own_folder(folder)
    token = secrets.token_hex(16)
    write_whole(folder / TOKEN_FILE, f"{token} {identity}\n", private=True)
    return token
