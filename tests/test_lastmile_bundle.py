"""The offline bundle: it installs with nothing but Python where no network is, and the demo runs there to its end."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from asrfair.cli.lastmile import lastmile
from asrfair.errors import EnvironmentFailedError, InputError
from asrfair.lastmile.bundle import make_bundle, pack_installed


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, made once by the command line; needs the package index, as a user's machine does."""
    folder = tmp_path_factory.mktemp("bundle") / "folder with a blank"
    done = CliRunner().invoke(lastmile, ["bundle", str(folder)])
    if isinstance(done.exception, EnvironmentFailedError) and not os.environ.get("CI"):
        pytest.skip(f"the wheels cannot be had here: {done.exception}")
    assert 0 == done.exit_code, done.output
    return folder


def offline(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program without a network, with no environment but PATH and HOME."""
    if (
        sys.platform != "linux"
        or subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("a namespace without a network cannot be made here")
    paths = dict.fromkeys([str(Path(sys._base_executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    environment = {"PATH": os.pathsep.join(paths), "HOME": str(folder), "PIP_INDEX_URL": "http://nowhere.invalid/"}
    command = ["unshare", "-n", *command]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=folder)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_bundle_installs_and_runs_the_demo_without_a_network(bundle: Path, tmp_path: Path) -> None:
    """From the copied folder and Python alone to the demo's report, in a network namespace that holds no network."""
    copied = tmp_path / "copied bundle"
    shutil.copytree(bundle, copied)
    done = offline(["sh", str(copied / "install.sh"), str(tmp_path / "env")], tmp_path)
    assert 0 == done.returncode, done.stdout + done.stderr
    program = tmp_path / "env" / "bin" / "asrfair"
    assert f"Installed. Start it with: {program}" in done.stdout
    done = offline([str(program), "demo", "--out", "run", "--workers", "2"], tmp_path)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
    assert "360 of 360 rows" in " ".join(done.stdout.split())
    done = offline([str(program), "lastmile", "init", "kit"], tmp_path)
    assert 0 == done.returncode, done.stdout + done.stderr
    again = offline(["sh", str(copied / "install.sh"), str(tmp_path / "env")], tmp_path)
    assert "is not empty" in again.stderr


@pytest.mark.slow
def test_a_damaged_or_foreign_wheel_is_not_installed(bundle: Path, tmp_path: Path) -> None:
    """One flipped bit, one missing and one added wheel each stop the installation and are named."""
    copied = tmp_path / "bundle"
    shutil.copytree(bundle, copied)
    wheel = next((copied / "wheels").glob("asrfair-*.whl"))
    data = wheel.read_bytes()

    def refused() -> str:
        command = [sys.executable, str(copied / "install.py"), str(tmp_path / "env")]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert 0 != done.returncode
        assert not (tmp_path / "env").exists()
        return done.stderr

    wheel.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    assert f"wheels/{wheel.name} is damaged" in refused()
    wheel.unlink()
    assert f"wheels/{wheel.name} is damaged or missing" in refused()
    wheel.write_bytes(data)
    (copied / "wheels" / "numpy-99-py3-none-any.whl").write_bytes(b"")
    assert "numpy-99-py3-none-any.whl is no part of this bundle" in refused()
    (copied / "wheels" / "numpy-99-py3-none-any.whl").unlink()
    (copied / "bundle.json").write_text(json.dumps({"python": [3, 2], "wanted": "asrfair"}), encoding="ascii")
    assert "These wheels are for Python 3.2" in refused()


@pytest.mark.slow
def test_the_bundle_says_nothing_about_where_it_was_made(bundle: Path, repository: Path) -> None:
    """No address of a package index and no path of the machine stands in it; the sums are those of the wheels."""
    texts = {path.name: path.read_text(encoding="ascii") for path in bundle.iterdir() if path.is_file()}
    assert {"README.txt", "SHA256SUMS", "bundle.json", "install.bat", "install.py", "install.sh"} == set(texts)
    for name, text in texts.items():
        assert not re.search(r"https?:|file:|/home/|/root/", text), name
        assert str(repository) not in text, name
    sums = dict(reversed(line.split("  ")) for line in texts["SHA256SUMS"].splitlines())
    wheels = sorted((bundle / "wheels").iterdir())
    expected = {f"wheels/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels}
    assert expected == sums
    with zipfile.ZipFile(next((bundle / "wheels").glob("asrfair-*.whl"))) as archive:
        packed = archive.namelist()
        assert not [name for name in packed if str(repository).encode() in archive.read(name)]
    assert "asrfair/_shipped/manifests/demo/demo.csv" in packed
    assert "asrfair/report/html/templates/page.html.j2" in packed


@pytest.mark.slow
def test_an_installed_asrfair_packs_itself_again(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle can be made from an installation without its source; what pip noted about the machine stays out."""
    import importlib.metadata

    site = tmp_path / "site"
    original = next((bundle / "wheels").glob("asrfair-*.whl"))
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", str(site), str(original)]
    subprocess.run(command, check=True, capture_output=True)
    found = next(iter(importlib.metadata.distributions(name="asrfair", path=[str(site)])))
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: found)
    packed = pack_installed(tmp_path)
    with zipfile.ZipFile(original) as first, zipfile.ZipFile(packed) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())
        for name in first.namelist():
            if not name.endswith("/RECORD"):
                assert first.read(name) == second.read(name), name
    again = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", str(tmp_path / "b")]
    subprocess.run([*again, str(packed)], check=True, capture_output=True)


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    """A folder that holds something, and a name that is no extra's."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="not empty"):
        make_bundle(tmp_path / "full")
    with pytest.raises(InputError, match="extra"):
        make_bundle(tmp_path / "new", extras=["dp] @ http://x"])
