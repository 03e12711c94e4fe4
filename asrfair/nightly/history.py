"""The history: a folder a night, written aside and renamed into place, never changed afterwards.

``DIR/nights/night-000007/`` holds Parquet tables (each with the columns ``night`` and ``suite``) and JSON
files. A night is there as a whole or not at all: it is built under ``DIR/incoming/``, every file is forced to disk, and
one rename puts it in its place. Nights are ordered by their number, which only grows, not by the clock. Two
processes get two numbers: numbers are given out under a lock that dies with its holder, and a rename onto a folder that
exists fails.
"""

from __future__ import annotations

import errno
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
from asrfair.data.provenance import sha256_file
from asrfair.data.runfile import NIGHT_FILE, check_night
from asrfair.data.sealed import opened, read_object, sealed
from asrfair.data.wholefile import own_folder, sync_folder
from asrfair.errors import EnvironmentFailedError, InputError

OUTAGE = "outage"
"""The verdict of a night of which too much was lost; it is never a baseline."""
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
            own_folder(folder)
            for name in ("nights", "incoming", "work", "accepted"):
                own_folder(folder / name)

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
            content = opened(read_object(path / NIGHT_FILE), path / NIGHT_FILE)
            return Night(
                number=number, path=path, token=str(content["token"]), suite=str(content["suite"]), content=content
            )
        except FileNotFoundError as error:
            raise InputError(
                "the history has no such night", file=self.folder, value=number, remedy=self._known()
            ) from error
        except KeyError as error:
            raise InputError(
                f"the night cannot be read: it has no {error}",
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
        """Add a night: all of it, or nothing. The first one of its suite that is no outage is accepted with it.

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
            self._sweep()
            aside = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.folder / "incoming"))
            try:
                content = {"night": number, "token": token, **fill(aside, number)}
                content["files"] = {path.name: sha256_file(path) for path in sorted(aside.iterdir()) if path.is_file()}
                write_json(aside / NIGHT_FILE, sealed(content))
                sync_tree(aside)
                suite = str(content["suite"])
                if content.get("verdict") != OUTAGE and all(night.verdict == OUTAGE for night in self.nights(suite)):
                    self._accept(number, suite, "the first night", str(content.get("finished", "")))
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
            self._accept(number, night.suite, reason, when)

    def _accept(self, number: int, suite: str, reason: str, when: str) -> None:
        acceptance = self._acceptances() + 1
        record = {"night": number, "suite": suite, "reason": reason, "when": when}
        write_json(self.folder / "accepted" / f"{acceptance:06}.json", sealed(record))
        self._mark(accepted=acceptance)

    def accepted(self, suite: str) -> int | None:
        """Return the number of the last accepted night of a suite that the history still has.

        Records are looked at from the newest on. One that is gone or damaged may have been of this suite, so nothing
        older is taken instead of it: a gate that has lost its baseline must not pass.

        Returns:
            ``None`` where the history has no night of this suite, or none that is no outage.

        Raises:
            InputError: The history has nights of this suite, and which one was accepted cannot be read.
        """
        present = set(self.numbers())
        mine = [night.number for night in self.nights(suite) if night.verdict != OUTAGE]
        if not mine:
            return None
        for index in range(self._acceptances(), 0, -1):
            record = self._record(index)
            if record["suite"] == suite and record["night"] in present and record["night"] in mine:
                return int(record["night"])
        raise InputError(
            "the history has nights of this suite, and no record of one that was accepted",
            file=self.folder / "accepted",
            remedy=_accept_again(mine[-1]),
        )

    def _acceptances(self) -> int:
        """Return the number of the last record of an accepted night, whether or not its file is still there."""
        names = (path.stem for path in (self.folder / "accepted").glob("[0-9]*.json"))
        return max(
            [*(int(name) for name in names if name.isdecimal()), int(self._marks().get("accepted", 0))], default=0
        )

    def _record(self, number: int) -> dict[str, Any]:
        path = self.folder / "accepted" / f"{number:06}.json"
        remedy = "Restore it from a copy. " + _accept_again("NIGHT")
        try:
            record = opened(read_object(path, remedy=remedy), path)
            int(record["night"]), str(record["suite"])
        except FileNotFoundError as error:
            raise InputError("the record of an accepted night is gone", file=path, remedy=remedy) from error
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("the record of an accepted night is damaged", file=path, remedy=remedy) from error
        except InputError as error:
            raise InputError(
                f"the record of an accepted night is damaged: {error.message}", file=path, remedy=remedy
            ) from error
        return record

    # --- retention ---------------------------------------------------------------------------------------------

    def retain(self, keep: int, suite: str, every: int = 0) -> list[int]:
        """Remove all but the newest ``keep`` nights of a suite; accepted nights stay whatever their age.

        Args:
            keep: How many of the newest stay.
            suite: The suite's name.
            every: Thin the older ones instead of removing them: of those whose numbers fall into one block of so many,
                the last stays.

        Returns:
            The numbers of the nights removed.
        """
        with self.lock():
            kept: set[Any] = {self._record(index)["night"] for index in range(self._acceptances(), 0, -1)}
            nights = self.nights(suite)
            older = [night.number for night in nights[: max(len(nights) - max(keep, 1), 0)]]
            if every:
                kept |= set({number // every: number for number in older}.values())
            gone = [number for number in older if number not in kept]
            numbers = self.numbers()
            if numbers:
                self._mark(night=max(numbers[-1], self._highest()))
            for number in gone:
                aside = self.folder / "incoming" / f"gone-{os.getpid()}-{number}"
                self.path(number).rename(aside)  # a reader sees the night whole or not at all
                shutil.rmtree(aside, ignore_errors=True)
                shutil.rmtree(self.folder / "rescored" / self.path(number).name, ignore_errors=True)
            self._sweep()
        return gone

    def _highest(self) -> int:
        """Return the highest number ever given out before the last removal: a number is never used again."""
        return int(self._marks().get("night", 0))

    def _marks(self) -> dict[str, Any]:
        """Return what the history remembers beside its files: numbers that are never given out again.

        Raises:
            InputError: The file is damaged.
        """
        path = self.folder / "highest.json"
        try:
            found = opened(read_object(path), path)
            return {name: int(value) for name, value in found.items()}
        except FileNotFoundError:
            return {}
        except (TypeError, ValueError) as error:
            raise InputError("the file is damaged", file=path, remedy="Restore it from a copy") from error

    def _mark(self, **marks: int) -> None:
        write_json(self.folder / "highest.json", sealed({**self._marks(), **marks}))

    # --- is everything as it was written? ----------------------------------------------------------------------

    def verify(self) -> Iterator[InputError]:
        """Read every night, every record and every file of them; yield what is not as it was written."""
        for number in self.numbers():
            try:
                check_night(self.path(number))
            except InputError as error:
                yield error
        try:
            acceptances = self._acceptances()
        except InputError as error:
            yield error
            return
        for index in range(acceptances, 0, -1):
            try:
                self._record(index)
            except InputError as error:
                yield error

    def _sweep(self) -> None:
        """Remove what killed processes left aside; nobody else writes there while the lock is held."""
        for entry in os.scandir(self.folder / "incoming"):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def _accept_again(number: int | str) -> str:
    return f"Or look at the nights and accept one: asrfair nightly SUITE --history DIR --accept {number} --reason …"


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
