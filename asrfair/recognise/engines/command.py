"""``command``: any program as an engine, through JSON lines on its standard input and output, or one call a file.

Two ways, told apart by whether an argument holds ``{audio}``:

- *lines* (no ``{audio}``): the program is started once a worker and stays. It reads one JSON object a line,
  ``{"utterance_id", "audio", "sample_rate_hz", "duration_s", "language"}`` (``audio`` is a WAV file that exists until
  the answer), and answers each with one line: ``{"utterance_id", "text"}`` or ``{"utterance_id", "error"}``.
- *template*: the program is started for each utterance with ``{audio}`` (and ``{language}``, ``{utterance_id}``)
  filled in, and its standard output is the text.

No shell is involved in either.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pydantic
import soundfile

from asrfair.errors import EngineError, InputError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.recognise.engines.programs import end_program, run_bounded, start_program
from asrfair.recognise.engines.python import hypothesis_from_reply
from asrfair.types import Clip, EngineSpec, Hypothesis

MAX_LINE_BYTES = 1_000_000
LINES_AHEAD = 16


class CommandOptions(pydantic.BaseModel):
    """Options of the ``command`` engine.

    Args:
        command: The program and its arguments. A program with a slash is taken relative to the suite.
        timeout_s: Longest wait for one utterance; then it is an error and the program is started anew.
        sample_rate_hz: The rate of the WAV files (16-bit, mono).
        version: Your word for what the program is now; a resumed run refuses when it has changed.
        environment: Names of environment variables that the program may see, beside PATH, HOME, LANG and TMPDIR.
    """

    model_config = pydantic.ConfigDict(extra="forbid")
    command: list[str] = pydantic.Field(min_length=1)
    timeout_s: float = pydantic.Field(default=300.0, gt=0)
    sample_rate_hz: int = pydantic.Field(default=16_000, ge=1_000, le=384_000)
    version: str = ""
    environment: list[str] = []


class Command(EngineBase):
    """Runs the user's program."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(CommandOptions, spec)
        self._arguments = self._resolve()
        self._template = any("{audio}" in argument for argument in self._arguments[1:])
        self._folder = Path(tempfile.mkdtemp(prefix="asrfair-command-"))
        self._process: _LineProcess | None = None
        if not self._template:
            self._process = self._start()

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:  # noqa: ARG003 -- same for every context
        """Return the traits: one program a worker, one utterance at a time."""
        return EngineTraits(sample_rate_hz=read_options(CommandOptions, spec).sample_rate_hz, parallel="processes")

    def _resolve(self) -> list[str]:
        program = self.options.command[0]
        found = str(self.context.path(program)) if os.sep in program else shutil.which(program)
        if found is None or not Path(found).is_file():
            raise InputError(
                "there is no such program",
                column="command",
                value=program,
                remedy="Give its path relative to the suite",
            )
        return [found, *self.options.command[1:]]

    def _environment(self) -> dict[str, str]:
        names = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", *self.options.environment}
        return {name: os.environ[name] for name in names if name in os.environ}

    def _start(self) -> _LineProcess:
        return _LineProcess(self._arguments, self.context.base, self._environment())

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Write each clip to a WAV file, ask the program, remove the file."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Hypothesis:
        path = self._folder / "clip.wav"
        soundfile.write(path, clip.samples, clip.sample_rate_hz, subtype="PCM_16")
        try:
            return self._call(clip, path) if self._template else self._ask(clip, path)
        finally:
            path.unlink(missing_ok=True)

    def _call(self, clip: Clip, path: Path) -> Hypothesis:
        values = {"{audio}": str(path), "{language}": clip.language or "", "{utterance_id}": clip.utterance_id}
        arguments = [self._arguments[0]]
        for argument in self._arguments[1:]:
            for name, value in values.items():
                argument = argument.replace(name, value)  # noqa: PLW2901 -- fills one placeholder after the other
            arguments.append(argument)
        try:
            done = run_bounded(
                arguments, folder=self.context.base, environment=self._environment(), timeout_s=self.options.timeout_s,
                most=MAX_LINE_BYTES,
            )  # fmt: skip
        except TimeoutError:
            return _error(clip, f"no answer within {self.options.timeout_s:g} s")
        except ValueError as error:
            return _error(clip, f"the program cannot be called: {error}")
        if done.flooded:
            return _error(clip, f"the program wrote more than {MAX_LINE_BYTES:,} bytes")
        if done.code != 0:
            tail = done.errors.decode("utf-8", "replace").strip()[-300:]
            return _error(clip, f"the program ended with exit code {done.code}: {tail}")
        return hypothesis_from_reply(clip, done.output.decode("utf-8", "replace").strip())

    def _ask(self, clip: Clip, path: Path) -> Hypothesis:
        if self._process is None:
            self._process = self._start()
        request = {
            "utterance_id": clip.utterance_id,
            "audio": str(path),
            "sample_rate_hz": clip.sample_rate_hz,
            "duration_s": round(clip.duration_s, 6),
            "language": clip.language,
        }
        try:
            reply = self._process.ask(request, self.options.timeout_s)
        except (OSError, TimeoutError, ValueError) as error:
            self._process.stop()
            self._process = None
            return _error(clip, str(error))
        if reply.get("utterance_id") != clip.utterance_id:
            self._process.stop()
            self._process = None
            return _error(clip, "the program answered for another utterance")
        message = reply.get("error")
        if isinstance(message, str) and message:
            return _error(clip, message)
        return hypothesis_from_reply(clip, reply)

    def fingerprint(self) -> dict[str, str]:
        """Return the program's name, its arguments and the version that the user states."""
        return {
            "command": " ".join([Path(self._arguments[0]).name, *self.options.command[1:]]),
            "version": self.options.version,
        }

    def close(self) -> None:
        """Stop the program and remove the temporary folder."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)


class _LineProcess:
    """A program that answers one JSON line with one JSON line; a thread reads, so that a wait can end."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        try:
            self._process = start_program(
                arguments, folder=folder, environment=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise EngineError(
                f"the program cannot be started: {error}", remedy="Check that it is executable"
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        self._lines: queue.Queue[bytes] = queue.Queue(maxsize=LINES_AHEAD)
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := self._stdout.readline(MAX_LINE_BYTES):
                if not self._keep(line):
                    return
        self._keep(b"")

    def _keep(self, line: bytes) -> bool:
        """Hold a line; a program that writes more than is asked for is held back by its pipe."""
        while not self._ended:
            with contextlib.suppress(queue.Full):
                self._lines.put(line, timeout=0.2)
                return True
        return False

    def ask(self, request: dict[str, object], timeout_s: float) -> dict[str, object]:
        """Send one line and wait for one."""
        self._stdin.write(json.dumps(request).encode() + b"\n")
        self._stdin.flush()
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f"no answer within {timeout_s:g} s") from None
        if not line:
            code = self._process.wait(timeout=10)
            raise OSError(f"the program ended with exit code {code}")
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("the program's answer is not a JSON line") from None
        if not isinstance(reply, dict):
            raise ValueError("the program's answer is not a JSON object")  # noqa: TRY004 -- bad content, not a wrong type in code
        return reply

    def stop(self) -> None:
        """End the program, kindly and then not, and whatever it has started."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        end_program(self._process)
        self._reader.join(timeout=2)
        with contextlib.suppress(OSError):
            self._stdout.close()


def _error(clip: Clip, message: str) -> Hypothesis:
    return Hypothesis(utterance_id=clip.utterance_id, status="error", error=message)
