"""What a result was made with: packages, git revision, hardware, hashes of files. No host or user names, no paths."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrfair.data import gpu

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHUNK = 1 << 20


def collect() -> dict[str, Any]:
    """Return ``{"packages": {name: version}, "git": {...} | None, "hardware": {...}}``.

    ``packages`` holds Python and every installed distribution that asrfair or one of its extras asks for, directly or
    not. ``git`` is the revision of asrfair's checkout, and ``None`` for an installed wheel. ``hardware`` may differ
    between runs that are otherwise identical; the rest may not.
    """
    return {"packages": packages(), "git": git_revision(), "hardware": hardware()}


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def sha256_paths(paths: Iterable[Path]) -> str:
    """Return one SHA-256 over files and folders (recursively): their names and bytes, not where they lie."""
    hasher = hashlib.sha256()
    for root in paths:
        files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
        for file in files:
            name = file.relative_to(root).as_posix() if root.is_dir() else ""
            hasher.update(f"{len(name)}:{name}:{sha256_file(file)}\n".encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()


def packages() -> dict[str, str]:
    """Return Python's version and those of all installed packages that asrfair leads to, sorted by name."""
    return dict(_packages())


@cache  # hundreds of files of metadata, which stay as they are while a process has these packages imported
def _packages() -> dict[str, str]:
    found: dict[str, str] = {}
    pending = ["asrfair"]
    while pending:
        name = pending.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[key] = distribution.version
        for requirement in distribution.requires or ():
            # Extras of asrfair count (an engine may need them) but not its tools; extras of other packages do not.
            marker = requirement.partition(";")[2].replace(" ", "")
            if "extra==" not in marker or (key == "asrfair" and 'extra=="dev"' not in marker.replace("'", '"')):
                match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
                if match:
                    pending.append(match.group())
    from asrfair.version import __version__

    found["asrfair"] = __version__
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


def git_revision(folder: Path | None = None) -> dict[str, Any] | None:
    """Return ``{"revision": ..., "dirty": ...}`` of the checkout that holds ``folder`` (default: asrfair's own).

    Returns ``None`` where there is no checkout, no git, or no commit.
    """
    root = Path(__file__).resolve().parent.parent.parent if folder is None else folder
    if folder is None and not (root / ".git").exists():
        return None
    revision = _git(root, "rev-parse", "HEAD")
    if not revision:
        return None
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "dirty": status is None or bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 -- fixed arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607 -- git is wherever PATH says
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def usable_cores() -> int:
    """Return how many processor cores this process may use: its affinity, and a container's quota (cgroup v2)."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()[:2]
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return cores


def free_memory_bytes() -> int | None:
    """Return the memory that can be used without swapping, a container's limit (cgroup v2) included; ``None``: unknown."""
    free: list[int] = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError, IndexError):
        pass
    try:
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            free.append(max(0, int(limit) - int((group / "memory.current").read_text(encoding="ascii"))))
    except (OSError, ValueError):
        pass
    return min(free, default=None)


def hardware() -> dict[str, Any]:
    """Return processor, cores, memory in GiB, operating system, and the names of NVIDIA devices."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "gpus": gpus(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or sys.platform


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


@cache
def gpus() -> tuple[str, ...]:
    """Return name, memory and driver of every NVIDIA device; empty without one."""
    return tuple(
        f"{name}, {memory} MiB, {driver}"
        for name, memory, driver in gpu.query("name", "memory.total", "driver_version")
    )
