"""`make gpu`: the tests of the device and benchmarks/gpu.py, on a machine that need not have this project's environment.

It takes Python 3.11 or newer with torch and transformers, this checkout, and a folder of wheels for what else is missing
(`make gpu-wheels` fills one elsewhere); no network, no pip. Wheels are unpacked into a temporary folder, and only those
that this Python does not have already::

    python scripts/gpu.py --wheels gpu-wheels --out gpu-result [--dry]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TESTS = ("tests/test_gpu_device.py", "tests/test_recognise_engines_pipeline.py")
LONGEST_S = 9 * 60


def unpack(wheels: Path, folder: Path) -> None:
    """Unpack the wheels whose modules cannot be found."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split("/")[0] for name in archive.namelist()}
            modules = {top.removesuffix(".py") for top in tops if top.isidentifier() or top.endswith(".py")}
            public = {name for name in modules if not name.startswith("_")} or modules
            if not public or any(importlib.util.find_spec(name) is None for name in public):
                archive.extractall(folder)


def main() -> int:
    """Run both, and return the worse exit code; the benchmark runs even if a test fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, default=Path("gpu-wheels"))
    parser.add_argument("--out", type=Path, default=Path("gpu-result"))
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            parser.exit(3, f"{name} is not installed here: make gpu is for a machine that has it\n")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="asrfair-gpu-") as folder:
        unpack(arguments.wheels, Path(folder))
        places = [str(REPOSITORY), *os.environ.get("PYTHONPATH", "").split(os.pathsep), folder]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in places if place)}
        flags = ["-S"] if sys.flags.no_site else []
        tests = subprocess.run(
            [sys.executable, *flags, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "-m", "engines", *TESTS],
            cwd=REPOSITORY, env=environment, check=False,
        ).returncode  # fmt: skip
        left_s = LONGEST_S - (time.monotonic() - started) - 45
        command = [sys.executable, *flags, "benchmarks/gpu.py", "--out", str(arguments.out.resolve())]
        command += ["--minutes", f"{left_s / 60:.1f}", *(["--dry"] if arguments.dry else [])]
        bench = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
    print(f"done after {time.monotonic() - started:.0f} s; tests {tests}, benchmark {bench}; see {arguments.out}")
    return max(tests, bench)


if __name__ == "__main__":
    sys.exit(main())
