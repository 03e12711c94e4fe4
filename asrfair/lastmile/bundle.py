"""A folder that installs asrfair on a machine with only Python: wheels, their hashes and an install script."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asrfair
from asrfair.errors import EnvironmentFailedError, InputError, printable

_INSTALL = '''\
"""Installs asrfair from the wheels beside this file, without a network: python install.py [FOLDER]"""

import hashlib
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
WHEELS = HERE / "wheels"
WANTED = "asrfair{extras}"


def main():
    if sys.version_info[:2] != {python}:
        sys.exit("These wheels are for Python {shown}; this is " + sys.version.split()[0])
    for line in (HERE / "SHA256SUMS").read_text(encoding="ascii").splitlines():
        digest, name = line.split("  ", 1)
        path = HERE / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            sys.exit("damaged or missing: " + name + ". Copy the folder again")
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "asrfair-env").resolve()
    venv.create(target, with_pip=True)
    folder = target / ("Scripts" if sys.platform == "win32" else "bin")
    python = folder / ("python.exe" if sys.platform == "win32" else "python")
    pip = [str(python), "-m", "pip", "install", "--no-index", "--find-links", str(WHEELS), WANTED]
    code = subprocess.call(pip)
    if code:
        sys.exit(code)
    print("Installed. Start it with:", folder / "asrfair")


main()
'''


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What was made."""

    folder: Path
    wheels: int
    size_mb: float


def make_bundle(folder: Path, *, extras: Sequence[str] = (), source: Path | None = None) -> Bundle:
    """Download or build the wheels of asrfair and all it needs, for this Python and this kind of machine.

    Args:
        folder: Where; it must be new or empty.
        extras: Extras of asrfair to take along.
        source: A checkout to build asrfair from; by default the one that runs, if it is one, else the package index.

    Raises:
        InputError: The folder is not empty, or an extra's name is none.
        EnvironmentFailedError: pip cannot get a wheel; its last lines are shown.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError("the folder is not empty", file=folder, remedy="Name a new one")
    for extra in extras:
        if not re.fullmatch(r"[a-z0-9-]{1,40}", extra):
            raise InputError("not the name of an extra", value=extra)
    checkout = source or Path(asrfair.__file__).resolve().parent.parent
    suffix = f"[{','.join(extras)}]" if extras else ""
    is_checkout = (checkout / "pyproject.toml").is_file()
    wanted = f"asrfair{suffix} @ {checkout.as_uri()}" if is_checkout else f"asrfair{suffix}=={asrfair.__version__}"
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--wheel-dir", str(wheels), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed arguments
    if done.returncode:
        lines = "; ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise EnvironmentFailedError(
            f"pip could not gather the wheels: {printable(lines, limit=600)}",
            remedy="The bundle is made on a machine with a network, with the same Python and system as the other one",
        )
    files = sorted(wheels.glob("*.whl"))
    (folder / "SHA256SUMS").write_text(
        "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  wheels/{path.name}\n" for path in files),
        encoding="ascii",
        newline="\n",
    )
    version = sys.version_info[:2]
    script = _INSTALL.replace("{extras}", suffix).replace("{python}", repr(tuple(version)))
    script = script.replace("{shown}", ".".join(map(str, version)))
    (folder / "install.py").write_text(script, encoding="utf-8", newline="\n")
    (folder / "README.txt").write_text(
        "asrfair, to be installed without a network.\n\n    python install.py\n    asrfair-env/bin/asrfair demo\n\n"
        f"For Python {version[0]}.{version[1]} on {sys.platform}.\n",
        encoding="utf-8",
        newline="\n",
    )
    size = sum(path.stat().st_size for path in files) / 1e6
    return Bundle(folder=folder, wheels=len(files), size_mb=size)
