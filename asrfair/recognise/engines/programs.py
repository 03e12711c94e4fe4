"""Other people's programs: each with its children in a group that ends together, and never more output than is wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_running: set[int] = set()
"""Process groups that this process has started and not ended."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a program left behind: its exit code, its output, and whether that was cut off."""

    code: int
    output: bytes
    errors: bytes
    flooded: bool


def start_program(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], stdin: int, stderr: int
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own (where the system has them), its output in a pipe.

    Raises:
        OSError: It cannot be started.
        ValueError: An argument holds a NUL.
    """
    process = subprocess.Popen(  # noqa: S603 -- the user's own program, no shell
        list(arguments), stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, cwd=folder, env=dict(environment),
        start_new_session=os.name == "posix",
    )  # fmt: skip
    _running.add(process.pid)
    return process


def end_program(process: subprocess.Popen[bytes]) -> None:
    """End a program and everything that it has started."""
    _kill_group(process.pid)
    with contextlib.suppress(OSError):
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    _running.discard(process.pid)


def end_all() -> None:
    """End every program of this process: for a worker that is told to go."""
    for group in list(_running):
        _kill_group(group)


def _kill_group(group: int) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def run_bounded(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_s: float, most: int
) -> Outcome:
    """Run a program to its end; one that takes too long or writes too much is ended, and its children with it.

    Args:
        arguments: The program and its arguments.
        folder: Where it runs.
        environment: What it sees.
        timeout_s: How long it may take.
        most: Most bytes that are taken from its output; of its errors, the last of as many.

    Raises:
        TimeoutError: It took too long.
        ValueError: It cannot be called: an argument holds a NUL, or the system refuses.
    """
    try:
        process = start_program(
            arguments, folder=folder, environment=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise ValueError(str(error)) from error
    output = _Taker(process.stdout, most)
    errors = _Taker(process.stderr, most, last=True)
    deadline = time.monotonic() + timeout_s
    try:
        while process.poll() is None:
            if output.full:
                break
            if time.monotonic() > deadline:
                raise TimeoutError
            if output.more.wait(min(0.05, max(deadline - time.monotonic(), 0.001))):
                time.sleep(0.002)  # its output is closed: it is about to end
    finally:
        end_program(process)
    for taker in (output, errors):
        taker.thread.join(timeout=2)
    return Outcome(code=process.returncode, output=output.taken(), errors=errors.taken(), flooded=output.full)


class _Taker:
    """Reads a pipe in a thread: the first bytes and then no more, or only the last."""

    def __init__(self, stream: IO[bytes] | None, most: int, *, last: bool = False) -> None:
        assert stream is not None
        self._stream = stream
        self._most = most
        self._last = last
        self._content = bytearray()
        self.full = False
        self.more = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._stream:
            while part := self._stream.read1(65536):  # type: ignore[attr-defined]
                self._content += part
                if len(self._content) > self._most:
                    if not self._last:
                        self.full = True
                        break
                    del self._content[: -self._most]
        self.more.set()

    def taken(self) -> bytes:
        return bytes(self._content)
