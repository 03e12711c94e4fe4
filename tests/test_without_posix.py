"""What a laptop without POSIX's own modules (Windows) can do: everything but a history, which says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nightly_nights import write_suite

WITHOUT = """
import os, signal, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "termios", "pwd", "grp"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for module, names in ((os, ("sched_getaffinity", "sysconf", "fork", "killpg", "setsid")), (signal, ("SIGKILL", "SIGHUP"))):
    for name in names:
        delattr(module, name)
"""
FORBIDDEN = set('<>:"|?*\\')


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which every Python, workers included, lacks them."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


def asrfair(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    command = [sys.executable, "-m", "asrfair.cli.main", *map(str, arguments)]
    return subprocess.run(command, check=False, env=environment, capture_output=True, encoding="utf-8")


@pytest.mark.slow
def test_runs_and_kits_do_without_and_a_history_says_that_it_cannot(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A run with two workers, a kit and its check work; every file's name is one that Windows takes."""
    suite = write_suite(tmp_path / "s", count=12, audio=True, conditions=("clean", "imaging-floor@snr=5"),
                        options={"parallel": "processes"})  # fmt: skip
    done = asrfair(environment, "run", suite, "--out", tmp_path / "run", "--workers", "2")
    assert 0 == done.returncode, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
    assert 0 == asrfair(environment, "lastmile", "init", tmp_path / "kit").returncode
    checked = asrfair(environment, "lastmile", "check", tmp_path / "kit")
    assert checked.returncode in (0, 1)
    assert "There is no recording of speaker-01" in checked.stdout
    assert [] == [path for path in tmp_path.rglob("*") if FORBIDDEN & set(path.name)]
    refused = asrfair(environment, "nightly", suite, "--history", tmp_path / "history")
    assert 3 == refused.returncode
    assert "needs the file locks of Linux and macOS" in refused.stderr
    assert "defect" not in refused.stderr
