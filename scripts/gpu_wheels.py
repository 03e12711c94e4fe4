"""Fetch what `make gpu` needs beside torch and transformers into a folder: wheels for Python 3.12 on Linux.

Versions and hashes are those of requirements/dev.txt. pandas, pyarrow and matplotlib are not among them: nothing on the
way from recordings to hypotheses needs them::

    python scripts/gpu_wheels.py gpu-wheels
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

WHEELS = (
    "annotated-types", "cffi", "iniconfig", "packaging", "pluggy", "pycparser", "pydantic", "pydantic-core", "pygments",
    "pyroomacoustics", "pytest", "pytest-timeout", "scipy", "soundfile", "soxr", "typing-extensions", "typing-inspection",
)  # fmt: skip
MOST_MB = 60
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PYTHON = "3.12"


def locked(text: str, names: tuple[str, ...]) -> str:
    """Return the entries of a hashed requirements file for these distributions, markers taken for Python 3.12 on Linux.

    Raises:
        SystemExit: One is not in the file.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = {}
    for entry in text.replace("\\\n", " ").splitlines():
        head, *hashes = entry.split("--hash=")
        if not head.strip() or head.lstrip().startswith("#"):
            continue
        need = Requirement(head.strip())
        here = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
        if need.marker is None or need.marker.evaluate({**here, "platform_system": "Linux"}):
            pins = " ".join(f"--hash={each.strip()}" for each in hashes)
            found[canonicalize_name(need.name)] = f"{need.name}{need.specifier} {pins}"
    missing = [name for name in names if canonicalize_name(name) not in found]
    if missing:
        raise SystemExit(f"requirements/dev.txt does not hold {', '.join(missing)}: run make lock")
    return "".join(f"{found[canonicalize_name(name)]}\n" for name in names)


def main() -> int:
    """Fetch, list, and fail if it is too much to carry."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lock = Path(__file__).resolve().parent.parent / "requirements" / "dev.txt"
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as wanted:
        wanted.write(locked(lock.read_text(encoding="utf-8"), WHEELS))
        wanted.flush()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp", "--dest", str(folder),
                   "--require-hashes", "--requirement", wanted.name]  # fmt: skip
        for platform in PLATFORMS:
            command += ["--platform", platform]
        subprocess.run(command, check=True)
    sizes = {path.name: path.stat().st_size / 1e6 for path in folder.glob("*.whl")}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size:7.1f} MB  {name}")
    total = sum(sizes.values())
    print(f"{total:7.1f} MB  in {len(sizes)} wheels in {folder}")
    return 0 if total <= MOST_MB else 1


if __name__ == "__main__":
    sys.exit(main())
