"""A gate never passes because what it is held against has gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from nightly_nights import go, write_suite

from asrfair.cli.main import run
from asrfair.errors import InputError
from asrfair.nightly import History


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with one accepted night, and a suite that has become much worse since."""
    folder = tmp_path_factory.mktemp("accepted")
    go(write_suite(folder), folder / "history")
    write_suite(folder, options={"substitutions": 0.45})
    return folder


def _delete(path: Path) -> None:
    path.unlink()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b'"night": 1') + 9] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [_delete, _flip, lambda path: path.write_text("{}"), lambda path: path.write_text("")]
)
def test_a_lost_baseline_is_an_error(
    nights: Path, tmp_path: Path, damage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record of the accepted night deleted, damaged or emptied: exit 2, no night, nothing accepted in its place."""
    import shutil

    history = tmp_path / "history"
    shutil.copytree(nights / "history", history)
    damage(history / "accepted" / "000001.json")
    assert 2 == run(["nightly", str(nights / "suite.toml"), "--history", str(history)])
    assert "accepted night" in capsys.readouterr().err.replace("record of one that was accepted", "accepted night")
    assert History(history).numbers() == [1]
    # The way out that the message names: look, and accept one.
    arguments = [
        "nightly",
        str(nights / "suite.toml"),
        "--history",
        str(history),
        "--accept",
        "1",
        "--reason",
        "looked",
    ]
    assert 0 == run(arguments)
    assert History(history).accepted("small") == 1


def test_a_newer_acceptance_that_is_gone_is_missed(nights: Path, tmp_path: Path) -> None:
    """The last record deleted: the one before it is not taken instead."""
    import shutil

    history = tmp_path / "history"
    shutil.copytree(nights / "history", history)
    kept = History(history)
    kept.accept(1, "again", "now")
    (history / "accepted" / "000002.json").unlink()
    with pytest.raises(InputError, match="gone"):
        kept.accepted("small")


def test_a_kill_between_acceptance_and_night_leaves_a_first_night(tmp_path: Path) -> None:
    """The record of the first night is written before the night: a night that never came leaves nothing to trip over."""
    suite = write_suite(tmp_path)
    kept = History(tmp_path / "history")
    kept._accept(1, "small", "the first night", "then")
    assert kept.accepted("small") is None
    assert go(suite, tmp_path / "history").night.number == 1
    assert kept.accepted("small") == 1
