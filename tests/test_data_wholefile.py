"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrfair.data.wholefile import open_whole, subfolder, sweep, write_whole
from asrfair.errors import InputError


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """A link that stands where a file is written is replaced; what it points at stays as it is."""
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    target = tmp_path / "run" / "report.md"
    target.parent.mkdir()
    target.symlink_to(precious)
    write_whole(target, "ours")
    assert precious.read_text() == "mine"
    assert target.read_text() == "ours"
    assert not target.is_symlink()


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    """An error in the middle leaves the old file, and nothing beside it."""
    path = tmp_path / "table.csv"
    write_whole(path, "old")
    with pytest.raises(TypeError), open_whole(path) as stream:
        stream.writelines([b"ne", "no bytes"])
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_private_file_is_its_owners(tmp_path: Path) -> None:
    """What holds transcripts can be read by its owner only, whatever the umask and whatever was there."""
    path = tmp_path / "hypotheses.parquet"
    path.write_text("old")
    path.chmod(0o644)
    write_whole(path, "new", private=True)
    assert path.stat().st_mode & 0o777 == 0o600


def test_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Plots are not written into a folder that a link in the run points at."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    (run / "plots").symlink_to(elsewhere)
    with pytest.raises(InputError, match="link"):
        subfolder(run, "plots")


def test_sweep_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    """Half-written files are hidden, and one call removes them and nothing else."""
    (tmp_path / ".scores.parquet.123-abcd.tmp").write_text("half")
    (tmp_path / "kept.tmp").write_text("a user's own")
    sweep(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["kept.tmp"]
