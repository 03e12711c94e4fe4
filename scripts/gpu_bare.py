"""Run a command in an environment that holds nothing but torch, transformers and the wheels that `make gpu-wheels` takes.

Nothing is installed: the distributions of this environment that the machine of `make gpu` would have are linked into a
folder, and Python is started without its own site-packages::

    python scripts/gpu_bare.py scripts/gpu.py --dry
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).parent))
from gpu_wheels import WHEELS

GIVEN = ("torch", "transformers", "safetensors")
"""What the machine has by itself, with whatever these need."""


def closure(names: tuple[str, ...]) -> set[str]:
    """Return the names of distributions and of all that they need here, optional extras left out."""
    found: set[str] = set()
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name in found:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # for another system
            continue
        found.add(name)
        for text in needs:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                left.append(canonicalize_name(need.name))
    return found


def link(names: set[str], folder: Path) -> None:
    """Link everything at the top of these distributions into a folder."""
    for name in names:
        distribution = importlib.metadata.distribution(name)
        for top in {path.parts[0] for path in distribution.files or () if path.parts[0] not in {"..", "__pycache__"}}:
            target = folder / top
            if not target.exists():
                target.symlink_to(Path(str(distribution.locate_file(top))).resolve())


def main() -> int:
    """Make the environment, run the command in it, and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="asrfair-bare-") as name:
        link(closure(GIVEN) | {canonicalize_name(wheel) for wheel in WHEELS}, Path(name))
        repository = Path(__file__).resolve().parent.parent
        environment = {**os.environ, "PYTHONPATH": f"{name}{os.pathsep}{repository}"}
        return subprocess.run([sys.executable, "-S", *sys.argv[1:]], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
