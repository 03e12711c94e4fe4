"""The one family of errors that a user may meet, and the exit code of each.

Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 an engine or the environment failed.
"""

from __future__ import annotations

from pathlib import Path


class AsrfairError(Exception):
    """Anything that the command line prints without a traceback.

    Args:
        message: What is wrong, in one sentence.
        remedy: What the reader should do about it.
        file: The file in which it is wrong.
        line: One-based line (or table row, header not counted as data) in that file.
        column: The column or key in that file.
        value: The offending value; it is shortened and escaped when shown.

    Example:
        >>> import asrfair as af
        >>> try:
        ...     af.score("take two", "take two", normalizer="whisper-englisch")
        ... except af.AsrfairError as error:
        ...     error.value, error.exit_code
        ('whisper-englisch', 2)
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        file: Path | str | None = None,
        line: int | None = None,
        column: str | None = None,
        value: object = None,
    ) -> None:
        self.message = message
        self.remedy = remedy
        self.file = None if file is None else Path(file)
        self.line = line
        self.column = column
        self.value = value
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ""
        if self.file is not None:
            where = printable(str(self.file), limit=500)
            if self.line is not None:
                where += f":{self.line}"
            where += ": "
        what = printable(self.message, limit=2000)
        if self.column is not None:
            what += f" (column {printable(self.column, limit=80)!r})"
        if self.value is not None:
            what += f" [value: {printable(str(self.value), limit=120)!r}]"
        if self.remedy:
            what += f". {printable(self.remedy, limit=1000)}"
        return where + what

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.remedy, self.file, self.line, self.column, self.value)


def _rebuild(
    kind: type[AsrfairError],
    message: str,
    remedy: str,
    file: Path | None,
    line: int | None,
    column: str | None,
    value: object,
) -> AsrfairError:
    return kind(message, remedy=remedy, file=file, line=line, column=column, value=value)


class InputError(AsrfairError):
    """A file or option that the user gave is wrong (exit code 2)."""


class RunInUseError(InputError):
    """Another process is writing this run; what it holds must not be touched."""


class RunChangedError(InputError):
    """The folder holds a run of other inputs, engines, settings or formats: it cannot go on as this one."""


class RunDamagedError(InputError):
    """What the folder holds of a run cannot be read."""


class GateFailedError(AsrfairError):
    """A gate of a suite failed (exit code 1)."""

    exit_code = 1


class EngineError(AsrfairError):
    """A recogniser cannot be started or has failed as a whole (exit code 3)."""

    exit_code = 3


class EnvironmentFailedError(AsrfairError):
    """The machine lacks something: disk, a device, a library (exit code 3)."""

    exit_code = 3


class MissingExtraError(EnvironmentFailedError):
    """An optional dependency is not installed; the message names the pip command."""

    def __init__(self, *, extra: str, package: str, needed_for: str) -> None:
        self.extra = extra
        self.package = package
        self.needed_for = needed_for
        super().__init__(
            f"{needed_for} needs the Python package {package!r}, which is not installed",
            remedy=f"Run: pip install 'asrfair[{extra}]'",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_missing, (self.extra, self.package, self.needed_for)


def _rebuild_missing(extra: str, package: str, needed_for: str) -> MissingExtraError:
    return MissingExtraError(extra=extra, package=package, needed_for=needed_for)


def printable(text: str, *, limit: int = 200) -> str:
    """Return ``text`` fit for a terminal: control, bidirectional and unprintable characters escaped, length cut.

    Args:
        text: Anything that came from a file.
        limit: Longest result in characters; a cut is marked with an ellipsis.
    """
    clipped = text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"
    if clipped.isprintable():
        return clipped
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in clipped
    )
