"""The history: a folder a night, written aside and renamed into place, never changed afterwards.

``DIR/nights/night-000007/`` holds Parquet tables (each with the columns ``night`` and ``suite``) and JSON
files. A night is there as a whole or not at all: it is built under ``DIR/incoming/``, every file is forced to disk, and
one rename puts it in its place. Nights are ordered by their number, which only grows, not by the clock. Two
processes get two numbers: numbers are given out under a lock that dies with its holder, and a rename onto a folder that
exists fails.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrfair.data import wholefile
from asrfair.data.locks import lock, require_locks
from asrfair.data.runfile import NIGHT_FILE
from asrfair.data.wholefile import sync_folder
from asrfair.errors import EnvironmentFailedError, InputError

_FOLDER = re.compile(r"night-(\d{6,})")
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class Night:
    """One committed night.

    Args:
        number: Its place in the history: 1, 2, 3, …
        path: Its folder.
        token: What names the attempt that it came from; no two nights share one.
        suite: The suite's name.
        content: All of ``night.json``.
    """

    number: int
    path: Path
    token: str
    suite: str
    content: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """``pass`` or ``fail``."""
        return str(self.content.get("verdict", ""))


class History:
    """A folder with all nights of one or several suites.

    Args:
        folder: Made if need be.

    Raises:
        EnvironmentFailedError: The folder cannot be written, or the system has no file locks.
    """

    def __init__(self, folder: Path) -> None:
        require_locks()
        self.folder = folder
        with explained(folder):
            for name in ("nights", "incoming", "work", "accepted"):
                (folder / name).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the history's lock: for moments only, never while something is transcribed."""
        with explained(self.folder), (self.folder / "lock").open("a") as stream:
            lock(stream.fileno(), wait=True)
            yield

    def numbers(self) -> list[int]:
        """Return the numbers of all nights, ascending."""
        with explained(self.folder):
            found = [_FOLDER.fullmatch(entry.name) for entry in os.scandir(self.folder / "nights")]
        return sorted(int(match[1]) for match in found if match)

    def path(self, number: int) -> Path:
        """Return the folder of a night."""
        return self.folder / "nights" / f"night-{number:06}"

    def night(self, number: int) -> Night:
        """Read one night.

        Raises:
            InputError: There is no such night, or its file is damaged.
        """
        path = self.path(number)
        try:
            content = json.loads((path / NIGHT_FILE).read_text(encoding="utf-8"))
            return Night(
                number=number, path=path, token=str(content["token"]), suite=str(content["suite"]), content=content
            )
        except FileNotFoundError as error:
            raise InputError(
                "the history has no such night", file=self.folder, value=number, remedy=self._known()
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the night cannot be read: {error}",
                file=path / NIGHT_FILE,
                remedy="Restore it from a copy, or move the folder away",
            ) from error

    def nights(self, suite: str | None = None) -> list[Night]:
        """Return all nights, or those of one suite, oldest first."""
        found = [self.night(number) for number in self.numbers()]
        return [night for night in found if suite is None or night.suite == suite]

    def _known(self) -> str:
        numbers = self.numbers()
        return f"It has {numbers[0]} to {numbers[-1]}" if numbers else "It is empty"

    def commit(self, token: str, fill: Callable[[Path, int], Mapping[str, Any]]) -> Night:
        """Add a night: all of it, or nothing.

        Args:
            token: Names the attempt; if the history has a night of it already, that night is returned.
            fill: Called with an empty folder and the night's number; writes the tables there and returns what is to
                stand in ``night.json``.

        Raises:
            EnvironmentFailedError: The disk is full or cannot be written; the history is as it was.
        """
        with self.lock():
            present = self.find(token)
            if present is not None:
                return present
            numbers = self.numbers()
            number = max(numbers[-1] if numbers else 0, self._highest()) + 1
            aside = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.folder / "incoming"))
            try:
                content = {"night": number, "token": token, **fill(aside, number)}
                write_json(aside / NIGHT_FILE, content)
                sync_tree(aside)
                aside.chmod(0o755)
                aside.rename(self.path(number))
                sync_folder(self.folder / "nights")
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
        return self.night(number)

    def find(self, token: str) -> Night | None:
        """Return the night of an attempt, newest looked at first."""
        for number in reversed(self.numbers()):
            night = self.night(number)
            if night.token == token:
                return night
        return None

    # --- which night is the baseline ---------------------------------------------------------------------------

    def accept(self, number: int, reason: str, when: str) -> None:
        """Make a night the baseline from now on; the record stays.

        Raises:
            InputError: There is no such night.
        """
        night = self.night(number)
        with self.lock():
            records = self._records()
            place = (records[-1][0] if records else 0) + 1
            content = {"night": number, "suite": night.suite, "reason": reason, "when": when}
            aside = self.folder / "incoming" / f"accept-{os.getpid()}-{place}.json"
            write_json(aside, content)
            aside.rename(self.folder / "accepted" / f"{place:06}.json")
            sync_folder(self.folder / "accepted")

    def accepted(self, suite: str) -> int | None:
        """Return the number of the last accepted night of a suite that the history still has."""
        present = set(self.numbers())
        for _, record in reversed(self._records()):
            if record.get("suite") == suite and record.get("night") in present:
                return int(record["night"])
        return None

    def _records(self) -> list[tuple[int, dict[str, Any]]]:
        found = []
        for path in (self.folder / "accepted").glob("[0-9]*.json"):
            try:
                found.append((int(path.stem), json.loads(path.read_text(encoding="utf-8"))))
            except (OSError, ValueError) as error:
                raise InputError(
                    f"the record of an accepted night cannot be read: {error}", file=path, remedy="Move it away"
                ) from error
        return sorted(found, key=lambda item: item[0])

    # --- retention ---------------------------------------------------------------------------------------------

    def retain(self, keep: int, suite: str) -> list[int]:
        """Remove all but the newest ``keep`` nights of a suite; accepted nights stay whatever their age.

        Returns:
            The numbers of the nights removed.
        """
        with self.lock():
            kept = {record.get("night") for _, record in self._records()}
            nights = self.nights(suite)
            gone = [night.number for night in nights[: max(len(nights) - max(keep, 1), 0)] if night.number not in kept]
            numbers = self.numbers()
            if numbers:
                write_json(self.folder / "highest.json", {"night": max(numbers[-1], self._highest())})
            for number in gone:
                aside = self.folder / "incoming" / f"gone-{os.getpid()}-{number}"
                self.path(number).rename(aside)  # a reader sees the night whole or not at all
                shutil.rmtree(aside, ignore_errors=True)
                shutil.rmtree(self.folder / "rescored" / self.path(number).name, ignore_errors=True)
            self._sweep()
        return gone

    def _highest(self) -> int:
        """Return the highest number ever given out before the last removal: a number is never used again."""
        try:
            return int(json.loads((self.folder / "highest.json").read_text(encoding="utf-8"))["night"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _sweep(self) -> None:
        """Remove what killed processes left aside; nobody else writes there while the lock is held."""
        for entry in os.scandir(self.folder / "incoming"):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file and force it to disk, whole or not at all."""
    with explained(path.parent):
        wholefile.write_json(path, content)


def sync_tree(folder: Path) -> None:
    """Force a folder, and all files in it, to disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            with (Path(root) / name).open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(Path(root))


@contextmanager
def room_needed(folder: Path) -> Iterator[None]:
    """Turn a full disk, wherever it is met, into our error; other errors of the file system pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _failed(folder, error) from error


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the file system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise _failed(folder, error) from error


def _failed(folder: Path, error: OSError) -> EnvironmentFailedError:
    what = "the disk is full" if error.errno in _FULL else (error.strerror or str(error))
    return EnvironmentFailedError(
        f"the history cannot be written: {what}",
        file=folder,
        remedy="Nothing was lost: make room, check the permissions, and start the same command again",
    )
