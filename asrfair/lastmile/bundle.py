"""A folder that installs asrfair on a machine with only Python: wheels, their hashes and an install script."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asrfair
from asrfair.errors import EnvironmentFailedError, InputError, printable
from asrfair.lastmile import bundle_install

_README = """\
asrfair {version}, to be installed without a network
{line}

The machine needs Python {python} for {system} and about 1 GB of disk; nothing else, and no administrator.

1. Copy this whole folder to the machine.
2. In a terminal (Linux, macOS):   sh install.sh
   On Windows:                     install.bat
   Both check every wheel against SHA256SUMS, make the folder asrfair-env and install into it.
   Another place:                  sh install.sh /path/of/a/new/folder
3. Try it (some minutes, synthetic speech):

       asrfair-env/bin/asrfair demo --out demo-run        (Windows: asrfair-env\\Scripts\\asrfair demo --out demo-run)

   and open demo-run/report.html in a browser.
4. Measure your own room:

       asrfair-env/bin/asrfair lastmile init kit          then read kit/INSTRUCTIONS.html

To remove it, delete the folder asrfair-env.
"""
_SHELL = """\
#!/bin/sh
# Installs asrfair from this folder: sh install.sh [FOLDER]
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 1
for python in python{python} python3 python; do
    if command -v "$python" >/dev/null 2>&1 && "$python" -c '' >/dev/null 2>&1; then
        exec "$python" "$here/install.py" "$@"
    fi
done
echo "Python {python} was not found on this machine." >&2
exit 1
"""
_BATCH = '@py -{python} "%~dp0install.py" %*\r\n'
_NOT_PACKED = ("__pycache__", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What was made."""

    folder: Path
    wheels: int
    size_mb: float


def make_bundle(folder: Path, *, extras: Sequence[str] = ()) -> Bundle:
    """Gather the wheels of asrfair and all it needs, for this Python and this kind of machine.

    asrfair's own wheel is built from the checkout that runs, or packed again from the installed package; the others come
    from where pip on this machine gets them. How pip gets them is not written into the bundle.

    Args:
        folder: Where; it must be new or empty.
        extras: Extras of asrfair to take along.

    Raises:
        InputError: The folder is not empty, or an extra's name is none.
        EnvironmentFailedError: pip cannot get a wheel; its last lines are shown.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError("the folder is not empty", file=folder, remedy="Name a new one")
    for extra in extras:
        if not re.fullmatch(r"[a-z0-9-]{1,40}", extra):
            raise InputError("not the name of an extra", value=extra, remedy="docs/engines.md names them")
    suffix = f"[{','.join(extras)}]" if extras else ""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        checkout = Path(asrfair.__file__).resolve().parent.parent
        source = checkout if (checkout / "pyproject.toml").is_file() else pack_installed(Path(scratch))
        _gather(f"asrfair{suffix} @ {source.as_uri()}", wheels)
    files = sorted(wheels.glob("*.whl"))
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  wheels/{path.name}\n" for path in files]
    python = "{}.{}".format(*sys.version_info[:2])
    readme = _README.format(
        version=asrfair.__version__,
        line="=" * len(f"asrfair {asrfair.__version__}, to be installed without a network"),
        python=python,
        system=sys.platform,
    )
    texts = {
        "SHA256SUMS": "".join(sums),
        "bundle.json": json.dumps({"python": sys.version_info[:2], "wanted": f"asrfair{suffix}"}) + "\n",
        "install.py": Path(bundle_install.__file__).read_text(encoding="utf-8"),
        "install.sh": _SHELL.format(python=python),
        "install.bat": _BATCH.format(python=python),
        "README.txt": readme,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="ascii", newline="\n" if name != "install.bat" else "")
    return Bundle(folder=folder, wheels=len(files), size_mb=sum(path.stat().st_size for path in files) / 1e6)


def pack_installed(folder: Path) -> Path:
    """Pack the installed asrfair into a wheel again; what its installation noted about this machine stays out.

    Raises:
        EnvironmentFailedError: Its list of files is missing or names files that are not there.
    """
    found = importlib.metadata.distribution("asrfair")
    files = [path for path in found.files or () if path.parts[0] != ".." and not set(path.parts) & set(_NOT_PACKED)]
    record = []
    wheel = folder / f"asrfair-{found.version}-py3-none-any.whl"
    try:
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                data = Path(str(found.locate_file(path))).read_bytes()
                archive.writestr(path.as_posix(), data)
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                record.append(f'"{path.as_posix()}",sha256={digest},{len(data)}\n')
            name = f"asrfair-{found.version}.dist-info/RECORD"
            archive.writestr(name, "".join([*record, f"{name},,\n"]))
    except OSError as error:
        raise EnvironmentFailedError(
            f"this installation of asrfair is not whole: {error}", remedy="Install it again, then make the bundle"
        ) from error
    return wheel


def _gather(wanted: str, wheels: Path) -> None:
    """Let pip put the wheels of a requirement and all that it needs into a folder."""
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--wheel-dir", str(wheels), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed arguments
    if done.returncode:
        lines = "; ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise EnvironmentFailedError(
            f"pip could not gather the wheels: {printable(lines, limit=600)}",
            remedy="The bundle is made on a machine with a network, with the same Python and system as the other one",
        )
