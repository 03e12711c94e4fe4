"""A sample of `make torture`: faults at every kind of call, cut logs, flipped bits, damaged files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "count"), [("pools", 300), ("cuts", 20), ("faults", 30), ("kills", 6), ("flips", 10), ("fuzz", 1000)]
)
def test_a_sample_of_torture_finds_nothing(repository: Path, part: str, count: int) -> None:
    """Each part of the torture, small: no defect, and its count is printed."""
    sizes = [
        f"--{name}={count if name == part else 0}" for name in ("pools", "cuts", "faults", "kills", "flips", "fuzz")
    ]
    folders = [str(repository / name) for name in ("", "benchmarks", "tests")]
    done = subprocess.run(
        [sys.executable, "-m", "torture", *sizes],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{part}: " in done.stdout
    assert "0 defects" in done.stdout
