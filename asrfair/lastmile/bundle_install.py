"""Installs asrfair from the wheels beside this file, without a network: python3 install.py [FOLDER].

`asrfair lastmile bundle` copies this file as it is; it runs where nothing but Python is, so that it imports nothing else.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Check Python and every wheel, make a virtual environment, install into it, and say how to start."""
    bundle = json.loads((HERE / "bundle.json").read_text(encoding="ascii"))
    wanted = bundle["python"]
    if list(sys.version_info[:2]) != wanted:
        shown = "{}.{}".format(*wanted)
        sys.exit(
            f"These wheels are for Python {shown}; this is {sys.version.split()[0]}. Run: python{shown} install.py"
        )
    check_wheels()
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "asrfair-env").resolve()
    if target.exists() and any(target.iterdir()):
        sys.exit(f"{target} is not empty. Name another folder: python3 install.py FOLDER")
    try:
        import ensurepip  # noqa: F401 -- some systems pack it apart from Python
        import venv
    except ImportError:
        sys.exit("This Python lacks its module venv. On Debian and Ubuntu: apt install python3-venv")
    venv.create(str(target), with_pip=True)
    scripts = target / ("Scripts" if os.name == "nt" else "bin")
    # Settings of pip on this machine, which may name a server, are not read.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    command = [str(scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--find-links", str(HERE / "wheels"), bundle["wanted"]]
    code = subprocess.call(command, env=environment)  # noqa: S603 -- fixed arguments
    if code:
        sys.exit(code)
    print(f"Installed. Start it with: {scripts / 'asrfair'}")  # noqa: T201 -- this is a program


def check_wheels() -> None:
    """Stop unless exactly the wheels of SHA256SUMS are there, byte for byte."""
    sums = {}
    for line in (HERE / "SHA256SUMS").read_text(encoding="ascii").splitlines():
        digest, _, name = line.partition("  ")
        sums[name] = digest
    there = {f"wheels/{path.name}" for path in (HERE / "wheels").iterdir()}
    for name in sorted(there - set(sums)):
        sys.exit(f"{name} is no part of this bundle. Take it out, or copy the folder again")
    for name, digest in sums.items():
        if name not in there or hashlib.sha256((HERE / name).read_bytes()).hexdigest() != digest:
            sys.exit(f"{name} is damaged or missing. Copy the folder again")


if __name__ == "__main__":
    main()
