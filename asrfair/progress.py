"""Shows how far a run is: a bar with rate and time left on a terminal, a plain line now and then otherwise."""

from __future__ import annotations

import sys
import time
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

LINE_EVERY_S = 30.0
LINES = 10
"""Without a terminal: about this many lines a run, and one every ``LINE_EVERY_S`` at least."""


class Progress:
    """A progress display on standard error, used as a context manager.

    Args:
        total: Results to come.
        total_s: Seconds of audio to come, if known: the time left then follows audio, not counts.
        description: What is under way.
        enabled: If false, nothing is ever printed.
        stream: Where to print; standard error by default.
    """

    def __init__(
        self,
        total: int,
        *,
        total_s: float = 0.0,
        description: str = "",
        enabled: bool = True,
        stream: IO[str] | None = None,
    ) -> None:
        self.total = total
        self.total_s = total_s
        self.done = 0
        self.done_s = 0.0
        self._description = description
        self._stream = stream if stream is not None else sys.stderr
        self._enabled = enabled and total > 0
        self._bar: Any = None
        self._task: Any = None
        self._start = time.monotonic()
        self._printed = self._start
        self._printed_at = 0

    def __enter__(self) -> Self:
        self._start = self._printed = time.monotonic()
        if self._enabled and self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:3.0f} % {task.fields[figures]}", markup=False),
                console=Console(file=self._stream),
                refresh_per_second=4,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self.total, figures="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, figures=self.figures())
            self._bar.stop()
        elif self._enabled and self.done != self._printed_at:
            self._line()

    def describe(self, description: str) -> None:
        """Say what is under way now."""
        self._description = description
        if self._bar is not None:
            self._bar.update(self._task, description=description)

    def advance(self, count: int, seconds: float = 0.0) -> None:
        """Count results, and the seconds of audio in them."""
        self.done += count
        self.done_s += seconds
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, figures=self.figures())
        elif self._enabled:
            now = time.monotonic()
            step = max(self.total // LINES, 1)
            due = self.done // step > self._printed_at // step and now - self._printed >= 1.0
            if due or now - self._printed >= LINE_EVERY_S:
                self._line()

    def eta_s(self) -> float | None:
        """Return the seconds that are left at the rate so far; ``None`` before there is one."""
        share = self.done_s / self.total_s if self.total_s > 0 and self.done_s > 0 else self.done / max(self.total, 1)
        if share <= 0:
            return None
        return max((time.monotonic() - self._start) * (1 / min(share, 1.0) - 1), 0.0)

    def figures(self) -> str:
        """Return counts, rate and time left in words."""
        elapsed = max(time.monotonic() - self._start, 1e-9)
        parts = [f"{self.done:,}/{self.total:,}", f"{self.done / elapsed:,.1f}/s"]
        if self.done_s:
            parts.append(f"{self.done_s / elapsed:,.1f}× real time")
        left = self.eta_s()
        parts.append("" if left is None or self.done >= self.total else f"{clock(left)} left")
        return ", ".join(part for part in parts if part)

    def _line(self) -> None:
        self._printed = time.monotonic()
        self._printed_at = self.done
        share = 100 * self.done / max(self.total, 1)
        print(f"{self._description}: {share:.0f} % ({self.figures()})", file=self._stream, flush=True)


def clock(seconds: float) -> str:
    """Return a duration as ``m:ss`` or ``h:mm:ss``."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
