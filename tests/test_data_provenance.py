"""Provenance: what a result was made with, and nothing about who made it or where."""

from __future__ import annotations

import getpass
import hashlib
import json
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

import asrfair
from asrfair.data.provenance import collect, git_revision, sha256_file, sha256_paths, usable_cores


def test_collect_names_packages_git_and_hardware() -> None:
    """The three parts are there, are JSON, and hold real versions."""
    found = json.loads(json.dumps(collect()))
    assert {"packages", "git", "hardware"} == set(found)
    assert asrfair.__version__ == found["packages"]["asrfair"]
    assert platform.python_version() == found["packages"]["python"]
    assert np.__version__ == found["packages"].get("numpy", np.__version__)
    assert found["hardware"]["cores"] >= 1


def test_collect_tells_nothing_about_person_or_place() -> None:
    """No host name, no user name, no path."""
    text = json.dumps({"packages": collect()["packages"], "hardware": collect()["hardware"]})
    assert str(Path.home()) not in text
    assert platform.node() not in text or len(platform.node()) < 3
    assert getpass.getuser() == "root" or getpass.getuser() not in text


def test_git_revision_of_a_checkout(tmp_path: Path) -> None:
    """Revision and whether tracked files were changed; None where there is no checkout."""
    assert git_revision(tmp_path) is None

    def git(*arguments: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *name, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "x")
    found = git_revision(tmp_path)
    assert found is not None
    assert (40, False) == (len(found["revision"]), found["dirty"])
    (tmp_path / "a").write_text("2")
    again = git_revision(tmp_path)
    assert again is not None
    assert again["dirty"] is True


def test_hashes_follow_content_not_place(tmp_path: Path) -> None:
    """A file's hash is SHA-256; a folder's does not change when it is moved, and does when a file in it does."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x").write_bytes(b"abc")
    assert hashlib.sha256(b"abc").hexdigest() == sha256_file(tmp_path / "one" / "x")
    before = sha256_paths([tmp_path / "one"])
    (tmp_path / "one").rename(tmp_path / "two")
    assert before == sha256_paths([tmp_path / "two"])
    (tmp_path / "two" / "x").rename(tmp_path / "two" / "y")
    assert before != sha256_paths([tmp_path / "two"])


def test_cores_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Affinity limits the number of workers."""
    usable_cores.cache_clear()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    assert 1 == usable_cores()
    usable_cores.cache_clear()
