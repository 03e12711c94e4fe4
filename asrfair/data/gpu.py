"""What NVIDIA devices are doing, as ``nvidia-smi`` tells it: for a look, and for the whole of a stretch of work."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

EVERY_S = 0.5


def query(*fields: str) -> list[list[str]]:
    """Return fields of ``nvidia-smi --query-gpu`` for each NVIDIA device, as it prints them; nothing without one."""
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (line.rsplit(",", len(fields) - 1) for line in listing.splitlines() if line.strip())
    return [[cell.strip() for cell in row] for row in rows]


def gpus() -> list[dict[str, str | float]]:
    """Return name, use in per cent, used and total memory in MiB of each NVIDIA device; nothing without one."""
    found: list[dict[str, str | float]] = []
    for name, *numbers in query("name", "utilization.gpu", "memory.used", "memory.total"):
        values = [float(number) if number.replace(".", "", 1).isdigit() else float("nan") for number in numbers]
        found.append({"name": name, "use_percent": values[0], "used_mib": values[1], "total_mib": values[2]})
    return found


@contextmanager
def watched(devices: Sequence[str]) -> Iterator[dict[str, float]]:
    """Look at the devices twice a second while the block runs; fill the mapping at its end.

    Args:
        devices: Names as torch has them. ``cuda`` and ``cuda:N`` are watched, in the driver's order; others are not,
            and without any the mapping stays empty.

    Yields:
        ``use_percent``, the mean over looks and devices, and ``peak_mib``, the most memory in use on one of them.
    """
    found: dict[str, float] = {}
    wanted = [int(name.partition(":")[2] or 0) for name in devices if name.startswith("cuda")]
    if not wanted:
        yield found
        return
    looks: list[tuple[float, float]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY_S):
            seen = gpus()
            looks.extend(
                (float(seen[index]["use_percent"]), float(seen[index]["used_mib"]))
                for index in wanted
                if index < len(seen)
            )

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
    if looks:
        found["use_percent"] = sum(use for use, _ in looks) / len(looks)
        found["peak_mib"] = max(used for _, used in looks)
