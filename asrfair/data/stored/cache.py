"""Whole objects on the local disk, as many as there is room for: what was used longest ago goes first.

The folder is the user's own (``ASRFAIR_CACHE``, by default ``asrfair/audio`` in the user's cache folder) and closed to
others: what lies there are people's voices. All processes of a machine share it, and one object is fetched once.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from asrfair.data.stored import objects
from asrfair.data.stored.https import FetchError
from asrfair.data.stored.objects import Stat
from asrfair.data.stored.tarshard import Stretch

FOLDER_VARIABLE: Final = "ASRFAIR_CACHE"
BOUND_VARIABLE: Final = "ASRFAIR_CACHE_GB"
BOUND_GB: Final = 20.0
_MEMBERS: Final = ".members"
_STALE_S: Final = 24 * 3600.0
_LOCKS: Final = 64


def folder() -> Path:
    """Return where objects are kept."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "asrfair" / "audio"


def bound_bytes() -> int:
    """Return how much may lie there.

    Raises:
        FetchError: The variable holds no number.
    """
    try:
        return int(float(os.environ.get(BOUND_VARIABLE) or BOUND_GB) * 1e9)
    except (ValueError, OverflowError) as error:
        raise FetchError(f"{BOUND_VARIABLE} is not a number of gigabytes", again=False) from error


def key_of(url: str, stat: Stat) -> str:
    """Return the name of an object in the cache: another version of it has another."""
    return hashlib.sha256(f"{url}\0{stat.version}\0{stat.size}".encode("utf-8", "surrogatepass")).hexdigest()[:48]


def held(key: str) -> BinaryIO | None:
    """Open an object if it is there; it stays readable when it is thrown out meanwhile."""
    path = folder() / key
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return None
    with suppress(OSError):
        os.utime(path)
    return stream


def fetched(url: str, stat: Stat) -> BinaryIO:
    """Open an object, and fetch it before if need be.

    Raises:
        FetchError: It cannot be had, or is larger than the cache may be.
        OSError: The disk is full, or the folder cannot be written to.
    """
    key = key_of(url, stat)
    stream = held(key)
    if stream is not None:
        return stream
    root = folder()
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(root, key):
        stream = held(key)  # somebody else was faster
        if stream is not None:
            return stream
        _make_room(root, stat.size)
        path = root / f"{key}.{secrets.token_hex(6)}.part"
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                for block in objects.read(url, 0, stat.size):
                    target.write(block)
            stream = path.open("rb")
            path.replace(root / key)
        except BaseException:
            if stream is not None:
                stream.close()
            path.unlink(missing_ok=True)
            raise
    return stream


def remember_members(key: str, members: dict[str, Stretch]) -> None:
    """Keep where a shard's members lie, for when the shard itself is thrown out."""
    path = folder() / f"{key}{_MEMBERS}"
    part = path.with_name(f"{key}.{secrets.token_hex(6)}.part")
    with suppress(OSError):  # it only saves time
        part.write_text(json.dumps(members), encoding="ascii")
        part.replace(path)


def known_members(key: str) -> dict[str, Stretch] | None:
    """Return where a shard's members lie, if that was kept."""
    try:
        content = json.loads((folder() / f"{key}{_MEMBERS}").read_text(encoding="ascii"))
        return {str(name): (int(start), int(size)) for name, (start, size) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _make_room(root: Path, size: int) -> None:
    bound = bound_bytes()
    if size > bound:
        raise FetchError(
            f"it is larger ({size / 1e9:.1f} GB) than what may be kept on this disk; set {BOUND_VARIABLE}", again=False
        )
    now = time.time()
    files: list[tuple[bool, float, int, Path]] = []
    for path in root.iterdir():
        with suppress(OSError):
            about = path.stat()
            if path.suffix == ".part" and now - about.st_mtime > _STALE_S:
                path.unlink()  # of a process that was killed
            elif path.suffix != ".lock":
                # Lists of members go last: they are small, and save reading a whole shard for one of them.
                files.append((path.suffix == _MEMBERS, about.st_mtime, about.st_size, path))
    total = sum(item[2] for item in files) + size
    for _, _, freed, path in sorted(files, key=lambda item: item[:2]):
        if total <= bound:
            return
        if path.suffix != ".part":
            with suppress(OSError):
                path.unlink()
                total -= freed


@contextmanager
def _locked(root: Path, key: str) -> Iterator[None]:
    """Hold one of a few locks, so that two processes do not fetch one object. Without such locks (Windows) both do."""
    descriptor = os.open(root / f"{int(key[:8], 16) % _LOCKS}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
