"""The journal: nothing is lost, nothing is mixed, and what it holds can be written to any file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from asrfair.errors import InputError
from asrfair.recognise.journal import FILE_NAME, Achieved, Event, Journal, Row, begin_anew, clean_text, row_of
from asrfair.types import Hypothesis, WordTime


def test_rows_come_back_sorted_and_whole(tmp_path: Path) -> None:
    """What was recorded is read in ascending order of ids, in this session and in the next."""
    rows = [Row(f"u{n}", "ok", f"text {n}", confidence=n / 10, latency_s=0.5) for n in (3, 1, 2)]
    with Journal(tmp_path) as journal:
        journal.record("e", "clean", rows)
        assert sorted(rows) == list(journal.results("e", "clean"))
    with Journal(tmp_path) as journal:
        assert sorted(rows) == list(journal.results("e", "clean"))
        assert ["u1", "u2", "u3"] == list(journal.done("e", "clean"))
        assert [] == list(journal.done("e", "noise"))
        assert {"ok": 3} == journal.counts()


def test_a_batch_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """Rows of one call are in one transaction, however many they are; what is pending is not on disk."""
    journal = Journal(tmp_path)
    journal.record("e", "c", [Row(f"a{n}", "ok") for n in range(10)])
    other = sqlite3.connect(":memory:")
    other.close()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())  # as a crash would leave them
    with Journal(copy) as crashed:
        assert {} == crashed.counts()
    journal.record("e", "c", [Row(f"b{n:03}", "ok") for n in range(100)])
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    with Journal(copy) as crashed:
        assert {"ok": 110} == crashed.counts()
    journal.close()


def test_what_was_recorded_first_stays(tmp_path: Path) -> None:
    """A second result for the same key changes nothing."""
    with Journal(tmp_path) as journal:
        journal.record("e", "c", [Row("u", "ok", "first")], [Achieved("u", "snr_db", 1.0, "")])
        journal.flush()
        journal.record("e", "c", [Row("u", "ok", "second")], [Achieved("u", "snr_db", 2.0, "")])
        assert ["first"] == [row.hypothesis for row in journal.results("e", "c")]
        assert [Achieved("u", "snr_db", 1.0, "")] == list(journal.achieved("c"))


def test_fingerprints_refuse_what_changed(tmp_path: Path) -> None:
    """Changed, added and removed components are listed by name; the same ones are a resume."""
    with Journal(tmp_path) as journal:
        assert not journal.check({"the manifest": "1", "the seed": "1"})
        assert journal.check({"the manifest": "1", "the seed": "1"})
        with pytest.raises(InputError, match="the seed changed; condition 'x' added; the manifest removed"):
            journal.check({"the seed": "2", "condition 'x'": "1"})
        journal.check_engine("e", {"version": "1"})
        journal.check_engine("e", {"version": "1"})
        with pytest.raises(InputError, match="began with: version, weights changed"):
            journal.check_engine("e", {"version": "2", "weights": "a"})
        assert {"version": "1"} == journal.engine_fingerprint("e")
        assert {} == journal.engine_fingerprint("other")


def test_a_second_writer_is_refused_and_the_lock_ends_with_the_first(tmp_path: Path) -> None:
    """The lock is held from opening to closing."""
    with Journal(tmp_path), pytest.raises(InputError, match="another process is writing this run"):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_a_damaged_journal_is_refused_and_can_be_begun_anew(tmp_path: Path) -> None:
    """Garbage is named as such; --fresh takes it away; a running journal is never taken away."""
    (tmp_path / FILE_NAME).write_bytes(b"garbage" * 1000)
    with pytest.raises(InputError, match="damaged or no journal"):
        Journal(tmp_path)
    begin_anew(tmp_path)
    with Journal(tmp_path) as journal:
        journal.record("e", "c", [Row("u", "ok")])
        with pytest.raises(InputError, match="another process"):
            begin_anew(tmp_path)
    begin_anew(tmp_path)
    with Journal(tmp_path) as journal:
        assert {} == journal.counts()
    begin_anew(tmp_path / "nowhere")


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    """A format that this version does not know is not guessed at."""
    Journal(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("UPDATE fingerprints SET value = '99' WHERE component = 'journal'")
    other.close()
    with pytest.raises(InputError, match="another version of asrfair"):
        Journal(tmp_path)


def test_answers_are_made_fit_to_be_held() -> None:
    """Blank text is empty, half surrogates and NULs are replaced, numbers that are none are missing."""
    blank = row_of(Hypothesis(utterance_id="u", text="  \n"))
    assert ("empty", "") == (blank.status, blank.hypothesis)
    odd = row_of(
        Hypothesis(
            utterance_id="u",
            text="a\ud800b\0c",
            confidence=float("nan"),
            words=(WordTime(word="a", start_s=0.0, end_s=float("inf")),),
        ),
        latency_s=0.25,
    )
    assert ("a\ufffdb\ufffdc", None, 0.25) == (odd.hypothesis, odd.confidence, odd.latency_s)
    assert '[{"word": "a", "start_s": 0.0, "end_s": null, "confidence": null}]' == odd.words
    failed = row_of(Hypothesis(utterance_id="u", text="half a", status="error", error="x" * 5000))
    assert ("", 2000) == (failed.hypothesis, len(failed.error))
    assert "né\ufffd" == clean_text("né\udfff")


def test_events_durations_and_errors(tmp_path: Path) -> None:
    """Events keep their order; durations are remembered; error rows can be forgotten, others not."""
    event = Event(engine="e", condition="c", utterance_id="u", kind="batch_split", detail="8 into 4 and 4")
    with Journal(tmp_path) as journal:
        journal.note(event)
        journal.remember_durations([("u", 1.5)])
        journal.record("e", "c", [Row("u", "error", error="x"), Row("v", "ok", "y")])
    with Journal(tmp_path) as journal:
        assert [event] == journal.events()
        assert {"u": 1.5} == journal.durations()
        assert 1 == journal.forget_errors()
        assert {"ok": 1} == journal.counts()


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    """A file where the folder should be, or a path below one, is an error with a remedy."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Exception, match=r"cannot be used|cannot be written") as caught:
            Journal(path)
        assert 3 == caught.value.exit_code
