"""What the driver's own tool says, read from a stand-in that prints as it does; no GPU is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asrfair.data import gpu, provenance

TOOL = """#!/bin/sh
case "$1" in
*driver_version*) echo "NVIDIA A, x1, 81559, 570.1"; echo "NVIDIA B, 81559, 570.1" ;;
*) echo "NVIDIA A, x1, 10, 500, 81559"; echo "NVIDIA B, 90, 2000, 81559"; echo "C, [N/A], [N/A], [N/A]" ;;
esac
"""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Let no test remember another's devices."""
    provenance.gpus.cache_clear()
    yield
    provenance.gpus.cache_clear()


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a nvidia-smi on the path."""
    path = tmp_path / "nvidia-smi"
    path.write_text(TOOL)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.usefixtures("tool")
def test_devices_are_listed_as_the_driver_prints_them() -> None:
    """A comma in a name and a number that is not to be had do not shift the columns."""
    first, second, third = gpu.gpus()
    assert {"name": "NVIDIA A, x1", "use_percent": 10.0, "used_mib": 500.0, "total_mib": 81559.0} == first
    assert 90.0 == second["use_percent"]
    assert third["used_mib"] != third["used_mib"]
    assert ("NVIDIA A, x1, 81559 MiB, 570.1", "NVIDIA B, 81559 MiB, 570.1") == provenance.gpus()


@pytest.mark.usefixtures("tool")
def test_only_the_devices_of_an_engine_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second device alone, or both; nothing on the processor."""
    monkeypatch.setattr(gpu, "EVERY_S", 0.01)
    expected = {("cuda:1",): (90.0, 2000.0), ("cuda", "cuda:1"): (50.0, 2000.0)}
    for devices, (use, peak) in expected.items():
        with gpu.watched(devices) as found:
            time.sleep(0.3)
        assert {"use_percent": pytest.approx(use), "peak_mib": peak} == found
    with gpu.watched(["cpu"]) as found:
        pass
    assert {} == found


def test_without_the_tool_there_are_no_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No driver, no failure."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [] == gpu.gpus()
    assert () == provenance.gpus()
