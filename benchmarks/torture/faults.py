"""Faults on purpose, in a forked child: an error, a kill or a power cut at the n-th call that changes a file.

Patched are the calls that asrfair's one way of writing makes (open, write, fsync, rename), at the level of ``os``.
SQLite writes in C: its faults are a limit on the size of files (``RLIMIT_FSIZE``) and cut logs (see ``power``).
"""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "ENOMEM": errno.ENOMEM}
KILL, POWER = "kill", "power"


@dataclass
class Shim:
    """Counts calls, and does what was asked for at one of them."""

    kind: str
    at: int
    aside: Path
    calls: int = 0
    names: list[str] = field(default_factory=list)
    unsynced: dict[str, Path] = field(default_factory=dict)
    renamed: list[tuple[Path, Path | None]] = field(default_factory=list)

    def hit(self) -> None:
        """Count a call; raise, or end the process, if it is the one."""
        self.calls += 1
        if self.calls != self.at:
            return
        if self.kind in ERRORS:
            raise OSError(ERRORS[self.kind], os.strerror(ERRORS[self.kind]))
        if self.kind == POWER:
            self.cut()
        if self.kind in {KILL, POWER}:
            os.kill(os.getpid(), signal.SIGKILL)

    def cut(self) -> None:
        """Lose what was not forced to disk: unsynced bytes from a random place on, names that were not synced."""
        dice = random.Random(self.at)
        for path in set(self.unsynced.values()):
            if path.exists():
                size = path.stat().st_size
                _real["truncate"](path, dice.randint(0, size))
        for target, before in reversed(self.renamed):
            if dice.random() < 0.5:
                continue
            if before is None:
                target.unlink(missing_ok=True) if not target.is_dir() else shutil.rmtree(target)
            else:
                shutil.copyfile(before, target)

    def install(self) -> None:
        """Put the shim in place, in this process, for good."""

        def opening(path: Any, flags: int, *more: Any, **named: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR):
                self.hit()
            return _real["open"](path, flags, *more, **named)

        def fdopen(descriptor: int, *more: Any, **named: Any) -> Any:
            stream = _real["fdopen"](descriptor, *more, **named)
            if more and "w" in more[0]:
                path = Path(f"/proc/self/fd/{descriptor}").readlink()
                self.unsynced[str(descriptor)] = path
                return _Writer(stream, self)
            return stream

        def fsync(descriptor: int) -> None:
            self.hit()
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            _real["fsync"](descriptor)
            self.unsynced = {key: value for key, value in self.unsynced.items() if value != path}
            self.renamed = [item for item in self.renamed if item[0].parent != path]

        def moving(name: str) -> Callable[..., None]:
            def move(source: Any, target: Any, *more: Any, **named: Any) -> None:
                self.hit()
                place, before = Path(target), None
                if place.is_file():
                    before = self.aside / f"{self.calls}"
                    shutil.copyfile(place, before)
                _real[name](source, target, *more, **named)
                self.renamed.append((place, before))

            return move

        os.open, os.fdopen, os.fsync = opening, fdopen, fsync  # type: ignore[assignment]
        os.replace, os.rename = moving("replace"), moving("rename")


_real: dict[str, Any] = {
    "open": os.open, "fdopen": os.fdopen, "fsync": os.fsync, "replace": os.replace, "rename": os.rename,
    "truncate": os.truncate,
}  # fmt: skip


class _Writer(io.RawIOBase):
    """A stream whose writes are counted."""

    def __init__(self, stream: Any, shim: Shim) -> None:
        self._stream = stream
        self._shim = shim

    def write(self, data: Any) -> int:
        self._shim.hit()
        return int(self._stream.write(data))

    def __getattribute__(self, name: str) -> Any:
        if name in {"write", "_stream", "_shim", "__class__"}:
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_stream"), name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *details: object) -> None:
        self._stream.close()


@dataclass(frozen=True)
class Outcome:
    """How a child ended: its exit code (negative: the signal), what it said, and how many calls it made."""

    code: int
    said: str
    calls: int


def in_child(work: Callable[[], int], folder: Path, *, kind: str = "", at: int = 0, seconds: float = 120.0) -> Outcome:
    """Run something in a forked child, with a fault if one is named; a child that hangs is killed and told of."""
    said, counted = folder / "said", folder / "calls"
    aside = folder / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for path in (said, counted):
        path.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            stream = _real["open"](said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            sys.stdout = io.TextIOWrapper(os.fdopen(os.dup(1), "wb", 0), write_through=True)
            sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb", 0), write_through=True)
            signal.alarm(int(seconds))
            shim = Shim(kind=kind, at=at, aside=aside)
            shim.install()
            code = work()
            counted.write_text(str(shim.calls))
        except BaseException:  # noqa: BLE001 -- a child's last words
            traceback.print_exc()
            code = 99
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    calls = int(counted.read_text()) if counted.exists() else 0
    return Outcome(code=code, said=said.read_text(errors="replace") if said.exists() else "", calls=calls)


def complaint(outcome: Outcome) -> str:
    """Return what is wrong with how a child ended, or the empty string."""
    if outcome.code == -signal.SIGALRM:
        return "it hangs"
    if "Traceback" in outcome.said or "defect" in outcome.said or outcome.code == 99:
        return f"a traceback: {outcome.said[-1500:]}"
    if outcome.code not in {0, 2, 3, -signal.SIGKILL}:
        return f"exit code {outcome.code}: {outcome.said[-500:]}"
    return ""
