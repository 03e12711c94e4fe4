"""Progress: lines when piped, a bar on a terminal, nothing when not wanted."""

from __future__ import annotations

import io

import pytest

from asrfair.progress import Progress, clock


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Pretend."""
        return True


def test_piped_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """About ten lines with share, rate and time left, no control characters, the last at 100 %."""
    now = [0.0]
    monkeypatch.setattr("asrfair.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with Progress(100, total_s=200.0, description="engine", stream=stream) as progress:
        for _ in range(100):
            now[0] += 0.5
            progress.advance(1, 2.0)
    lines = stream.getvalue().splitlines()
    assert 10 == len(lines)
    assert "engine: 10 % (10/100, 2.0/s, 4.0× real time, 0:45 left)" == lines[0]
    assert "engine: 100 % (100/100, 2.0/s, 4.0× real time)" == lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    """The bar shows counts; a description with mark-up is shown as it is."""
    stream = Terminal()
    with Progress(3, description="[red]x[/red]", stream=stream) as progress:
        progress.advance(2)
        progress.describe("[b]y")
        progress.advance(1)
    assert "3/3" in stream.getvalue()
    assert "[b]y" in stream.getvalue()


def test_disabled_progress_is_silent() -> None:
    """Nothing is printed, and counting still works."""
    stream = io.StringIO()
    with Progress(2, enabled=False, stream=stream) as progress:
        progress.advance(2)
    assert ("", 2) == (stream.getvalue(), progress.done)


def test_time_left_follows_audio_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long utterances come first: after a tenth of the results and half of the audio, half the time is left."""
    now = [0.0]
    monkeypatch.setattr("asrfair.progress.time.monotonic", lambda: now[0])
    progress = Progress(100, total_s=100.0, enabled=False)
    assert progress.eta_s() is None
    now[0] = 60.0
    progress.advance(10, 50.0)
    assert 60.0 == progress.eta_s()


def test_clock() -> None:
    """Minutes and seconds, and hours where there are some."""
    assert ("0:07", "2:05", "1:01:01") == (clock(7.2), clock(125), clock(3661))
