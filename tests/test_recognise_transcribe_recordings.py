"""Recordings that are replaced between two sessions of a run are noticed, and nothing old is mixed with anything new."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from nightly_nights import go as go_night
from nightly_nights import write_suite
from transcribe_child import contents, go, make_manifest, spec

from asrfair.errors import InputError
from asrfair.recognise.journal import Journal
from asrfair.recognise.transcribe import TranscribeSummary

LISTENING = spec("Listening", parallel="inline")


def listen(folder: Path, **more: object) -> TranscribeSummary:
    """Transcribe the manifest of a folder, or go on."""
    return go(folder / "manifest.csv", folder / "run", [LISTENING], **more)


def longer(path: Path) -> None:
    """Write other audio of another length in place of a recording."""
    soundfile.write(path, np.zeros(30_000), 16_000)


def kinds(summary: TranscribeSummary) -> list[str]:
    """The kinds of a run's events."""
    return [event.kind for event in summary.events]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest with audio and its complete run."""
    make_manifest(tmp_path, 6, audio=True)
    assert {"ok": 6} == listen(tmp_path).counts
    return tmp_path


def test_a_replaced_recording_is_refused_and_nothing_is_written(folder: Path) -> None:
    """Another size, or no file: the message names utterances and files; put back, the run goes on."""
    before = contents(folder / "run")
    kept = {number: (folder / f"u{number:04}.wav").read_bytes() for number in range(5)}
    for number in kept:
        longer(folder / f"u{number:04}.wav")
    (folder / "u0001.wav").unlink()
    with pytest.raises(InputError, match=r"5 recording.* 'u0000' \('u0000.wav'\).* and 2 more") as caught:
        listen(folder)
    assert 2 == caught.value.exit_code
    assert str(folder) not in caught.value.message
    assert before == contents(folder / "run")
    for number, content in kept.items():
        (folder / f"u{number:04}.wav").write_bytes(content)
        os.utime(folder / f"u{number:04}.wav", (1, 1))
    summary = listen(folder)
    assert (6, ["recordings_touched"]) == (summary.resumed, kinds(summary))
    assert before == contents(folder / "run")


def test_the_same_size_and_another_time_is_said_once(folder: Path) -> None:
    """What may have been altered in place is an event and a line on the terminal; the next session says no more."""
    path = folder / "u0002.wav"
    content = bytearray(path.read_bytes())
    content[-10:] = bytes(10)
    path.write_bytes(bytes(content))
    os.utime(path, ns=(5, 5))
    for _ in range(2):
        summary = listen(folder)
        assert ["recordings_touched"] == kinds(summary)
        assert "1 recording(s) that this run has heard have the size that they had" in summary.lines()[-1]
        assert "'u0002' ('u0002.wav')" in summary.lines()[-1]
        assert "event(s)" not in summary.lines()[0]


def test_begun_anew_everything_is_heard_again(folder: Path) -> None:
    """With --fresh, a replaced recording is a recording like any other."""
    before = contents(folder / "run")
    longer(folder / "u0004.wav")
    summary = listen(folder, fresh=True)
    assert (0, []) == (summary.resumed, kinds(summary))
    assert before != contents(folder / "run")


def test_a_recording_without_a_result_may_be_replaced(tmp_path: Path) -> None:
    """What could not be read before may be mended, and is heard with --retry-errors."""
    make_manifest(tmp_path, 3, audio=True)
    whole = (tmp_path / "u0001.wav").read_bytes()
    (tmp_path / "u0000.wav").rename(tmp_path / "aside.wav")
    (tmp_path / "u0001.wav").write_bytes(b"not audio")
    assert {"error": 2, "ok": 1} == listen(tmp_path).counts
    (tmp_path / "aside.wav").rename(tmp_path / "u0000.wav")
    (tmp_path / "u0001.wav").write_bytes(whole)
    assert {"error": 2, "ok": 1} == listen(tmp_path).counts
    summary = listen(tmp_path, retry_errors=True)
    assert ({"ok": 3}, []) == (summary.counts, kinds(summary))


def test_a_recording_that_was_mixed_into_others_counts_as_heard(tmp_path: Path) -> None:
    """Where people talk in the background, every recording is heard with the first result."""
    make_manifest(tmp_path, 3, audio=True)
    (tmp_path / "u0001.wav").rename(tmp_path / "aside.wav")
    (tmp_path / "u0001.wav").write_bytes(b"not audio")
    table = tmp_path / "manifest.csv"
    for conditions, refused in ((["clean"], False), (["hearing-the-tv"], True)):
        run = tmp_path / conditions[0]
        assert {"error": 1, "ok": 2} == go(table, run, [LISTENING], conditions).counts
        (tmp_path / "u0001.wav").write_bytes((tmp_path / "aside.wav").read_bytes())
        if refused:
            with pytest.raises(InputError, match="1 recording"):
                go(table, run, [LISTENING], conditions)
        else:
            assert [] == kinds(go(table, run, [LISTENING], conditions))
        (tmp_path / "u0001.wav").write_bytes(b"not audio")


def test_a_moved_folder_is_the_same_run(folder: Path) -> None:
    """Recordings are known by their utterances, not by where they lie."""
    moved = folder / "moved"
    moved.mkdir()
    for path in (*folder.glob("*.wav"), folder / "manifest.csv", folder / "run"):
        path.rename(moved / path.name)
    summary = listen(moved)
    assert (6, []) == (summary.resumed, kinds(summary))


def test_a_run_of_before_is_taken_as_it_is(folder: Path) -> None:
    """A journal that remembers nothing of its recordings learns what they are now."""
    with Journal(folder / "run") as journal:
        journal._db.execute("DELETE FROM recordings")
    longer(folder / "u0004.wav")
    assert [] == kinds(listen(folder))
    longer(folder / "u0004.wav")
    (folder / "u0004.wav").write_bytes(b"")
    with pytest.raises(InputError, match="1 recording"):
        listen(folder)


def test_a_night_that_was_cut_off_is_not_resumed_with_other_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache never holds a transcript under the hash of another recording, whatever the file's size and times."""
    suite, history = write_suite(tmp_path / "s", count=10, audio=True), tmp_path / "h"
    recording = tmp_path / "s" / "u0003.wav"
    status = recording.stat()

    def cut_off(*_: object) -> int:
        raise KeyboardInterrupt

    for altered in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr("asrfair.nightly.night.keep", cut_off)
            with pytest.raises(KeyboardInterrupt):
                go_night(suite, history)
        if altered:
            content = bytearray(recording.read_bytes())
            content[-10:] = bytes(10)
            recording.write_bytes(bytes(content))
            os.utime(recording, ns=(status.st_atime_ns, status.st_mtime_ns))
        counts = go_night(suite, history, cache=False).verdict.counts
        assert {"resumed": 0 if altered else 10, "cached": 0, "transcribed": 10 if altered else 0, "lost": 0} == counts
