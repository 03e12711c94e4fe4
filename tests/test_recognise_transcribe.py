"""Runs: the same bytes whatever the workers, the order and the interruptions; every failure a row, never a crash."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from transcribe_child import contents, go, make_manifest, spec

from asrfair.errors import EngineError, InputError
from asrfair.recognise.journal import Journal

ERRORS = {"substitutions": 0.1, "deletions": 0.05, "insertions": 0.05, "failures": 0.02, "empty": 0.02}


def hypotheses(run: Path) -> pd.DataFrame:
    """The table of hypotheses, by utterance."""
    return pd.read_parquet(run / "hypotheses.parquet").set_index("utterance_id")


@pytest.mark.slow
def test_workers_order_and_kind_do_not_change_a_byte(tmp_path: Path) -> None:
    """1, 2 and 3 workers, a shuffled manifest, threads, a device and no worker at all give identical files."""
    manifest, shuffled = make_manifest(tmp_path, 60), make_manifest(tmp_path, 60, order=5)
    engine = spec("fake", **ERRORS)
    go(manifest, tmp_path / "one", [engine])
    expected = contents(tmp_path / "one")
    for workers in (2, 3):
        go(manifest, tmp_path / f"w{workers}", [engine], workers=workers)
        assert expected == contents(tmp_path / f"w{workers}")
    go(shuffled, tmp_path / "shuffled", [engine], workers=2)
    assert expected == contents(tmp_path / "shuffled")
    for parallel in ("inline", "threads", "device"):
        go(manifest, tmp_path / parallel, [spec("fake", parallel=parallel, concurrency=3, **ERRORS)])
        assert expected == contents(tmp_path / parallel)


@pytest.mark.slow
def test_all_kinds_of_workers_hear_the_same(tmp_path: Path) -> None:
    """Audio that travels through pipes, in batches or not, arrives as it was decoded."""
    manifest = make_manifest(tmp_path, 12, audio=True)
    found = []
    for number, options in enumerate(
        [
            {"parallel": "processes"},
            {"parallel": "inline"},
            {"parallel": "device", "max_batch": 5},
            {"parallel": "device", "max_batch": 5, "max_padded_s": 0.9, "devices": ("cpu", "cpu")},
            {"parallel": "threads", "concurrency": 4},
        ]
    ):
        run = tmp_path / f"run{number}"
        summary = go(manifest, run, [spec("Listening", **options)], workers=2 if number == 2 else 1)
        assert {"ok": 12} == summary.counts
        found.append(contents(run))
    assert all(found[0] == other for other in found[1:])


def test_several_engines_and_conditions_are_sorted_as_listed(tmp_path: Path) -> None:
    """Rows follow the suite's order of engines and conditions, then the utterance id; measured once."""
    manifest = make_manifest(tmp_path, 6, audio=True)
    engines = [spec("Listening", "zeta", parallel="inline"), spec("fake", "alpha", parallel="inline")]
    go(manifest, tmp_path / "run", engines, ["imaging-floor", "clean"])
    table = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet")
    expected = [(e, c, f"u{n:04}") for e in ("zeta", "alpha") for c in ("imaging-floor", "clean") for n in range(6)]
    assert expected == list(zip(table["engine"], table["condition"], table["utterance_id"], strict=True))
    achieved = pd.read_parquet(tmp_path / "run" / "achieved.parquet")
    assert ["imaging-floor", "clean"] == list(achieved["condition"].unique())
    assert not achieved.duplicated(["condition", "utterance_id", "quantity"]).any()
    clean = table[(table["engine"] == "zeta") & (table["condition"] == "clean")]
    noisy = table[(table["engine"] == "zeta") & (table["condition"] == "imaging-floor")]
    assert not set(clean["hypothesis"]) & set(noisy["hypothesis"])


def test_excluded_utterances_are_kept_and_not_transcribed(tmp_path: Path) -> None:
    """A row with an exclusion stands in utterances.parquet and has no hypothesis."""
    path = make_manifest(tmp_path, 4)
    frame = pd.read_csv(path, dtype=str)
    frame["exclude"] = ["", "bad audio", "", ""]
    frame.to_csv(path, index=False)
    summary = go(path, tmp_path / "run", [spec("fake", parallel="inline")])
    assert 3 == summary.results
    assert "u0001" not in hypotheses(tmp_path / "run").index
    assert 4 == len(pd.read_parquet(tmp_path / "run" / "utterances.parquet"))


def test_a_run_without_utterances_is_a_run(tmp_path: Path) -> None:
    """Where all rows are excluded, the files are there and empty."""
    path = make_manifest(tmp_path, 2)
    frame = pd.read_csv(path, dtype=str).assign(exclude="noise only")
    frame.to_csv(path, index=False)
    assert 0 == go(path, tmp_path / "run", [spec("fake"), spec("pocketsphinx")]).results
    assert 0 == len(hypotheses(tmp_path / "run"))


def test_unreadable_audio_is_an_error_row_with_its_reason(tmp_path: Path) -> None:
    """A missing, a broken and an unnamed file are errors that begin with unreadable_audio, without a path."""
    path = make_manifest(tmp_path, 5, audio=True)
    (tmp_path / "u0000.wav").unlink()
    (tmp_path / "u0001.wav").write_text("not audio")
    frame = pd.read_csv(path, dtype=str)
    frame.loc[2, "audio"] = ""
    frame.to_csv(path, index=False)
    summary = go(path, tmp_path / "run", [spec("Listening", max_batch=3, parallel="device")])
    table = hypotheses(tmp_path / "run")
    assert {"error": 3, "ok": 2} == summary.counts
    for utterance_id in ("u0000", "u0001", "u0002"):
        assert table.loc[utterance_id, "error"].startswith("unreadable_audio: ")
        assert str(tmp_path) not in table.loc[utterance_id, "error"]


def test_an_exception_is_an_error_row_and_a_batch_is_split(tmp_path: Path) -> None:
    """One bad utterance in a batch of four costs itself only; the splits are recorded; its text is harmless."""
    path = make_manifest(tmp_path, 8)
    summary = go(path, tmp_path / "run", [spec("Dying", **{"raise": ["u0003"], "max_batch": 4})])
    table = hypotheses(tmp_path / "run")
    assert {"error": 1, "ok": 7} == summary.counts
    assert "ValueError: told to fail\x1b[31m \ufffd" == table.loc["u0003", "error"]
    assert {"batch_split"} == {event.kind for event in summary.events}
    assert summary.volatile()["events"]


def test_out_of_memory_halves_the_batch_and_loses_nothing(tmp_path: Path) -> None:
    """An engine that can hold two clips gets batches of eight and still answers all."""
    summary = go(make_manifest(tmp_path, 16), tmp_path / "run", [spec("Dying", max_batch=8, fits=2, parallel="device")])
    assert {"ok": 16} == summary.counts
    assert 6 == len(summary.events)
    assert {"calls": 14.0, "recovered": 6.0} == summary.engines["dying"].statistics


@pytest.mark.parametrize("parallel", ["processes", "threads", "inline"])
def test_what_engines_count_is_added_up(tmp_path: Path, parallel: str) -> None:
    """Each worker's last word counts, whatever kind of worker it is."""
    summary = go(make_manifest(tmp_path, 9), tmp_path / "run", [spec("Dying", parallel=parallel)], workers=2)
    assert 9.0 == summary.engines["dying"].statistics["calls"]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["processes", "device"])
def test_a_killed_worker_is_replaced_and_its_utterance_tried_again(tmp_path: Path, parallel: str) -> None:
    """SIGKILL of a worker costs nothing if it happens once, and one error row if it happens twice."""
    (tmp_path / "marks").mkdir()
    path = make_manifest(tmp_path, 10)
    once = spec("Dying", kill=["u0004"], once=str(tmp_path / "marks"), parallel=parallel)
    summary = go(path, tmp_path / "once", [once], workers=2)
    assert {"ok": 10} == summary.counts
    assert 1 == summary.engines["dying"].replaced_workers
    summary = go(path, tmp_path / "always", [spec("Dying", kill=["u0004"], parallel=parallel)], workers=2)
    table = hypotheses(tmp_path / "always")
    assert {"error": 1, "ok": 9} == summary.counts
    assert "worker_killed: its process died, 2 times (events in run.json say how)" == table.loc["u0004", "error"]
    assert ["was killed by SIGKILL"] == [event.detail for event in summary.events]


@pytest.mark.slow
def test_a_batch_that_kills_is_taken_apart(tmp_path: Path) -> None:
    """Of a batch of five whose worker dies twice, only the utterance to blame is lost."""
    path = make_manifest(tmp_path, 10)
    summary = go(path, tmp_path / "run", [spec("Dying", kill=["u0004"], max_batch=5)])
    assert {"error": 1, "ok": 9} == summary.counts
    assert hypotheses(tmp_path / "run").loc["u0004", "error"].startswith("worker_killed")


def test_engines_that_cannot_start_end_the_run(tmp_path: Path) -> None:
    """An exception, or a death, while starting is an EngineError (exit code 3) that says why."""
    path = make_manifest(tmp_path, 3)
    with pytest.raises(EngineError, match="no licence found") as caught:
        go(path, tmp_path / "run", [spec("Stubborn")])
    assert 3 == caught.value.exit_code
    with pytest.raises(EngineError, match="was killed by SIGKILL while starting"):
        go(path, tmp_path / "run2", [spec("Stubborn", killed=True)])


def test_a_resume_with_something_changed_is_refused(tmp_path: Path) -> None:
    """Another seed, option, condition, engine or manifest is refused by name; --fresh begins anew."""
    path, other = make_manifest(tmp_path, 4), tmp_path / "other"
    other.mkdir()
    run, engine = tmp_path / "run", spec("fake", parallel="inline")
    go(path, run, [engine])
    assert 4 == go(path, run, [engine]).resumed
    for words, arguments, more in (
        ("the seed changed", (path, run, [engine]), {"seed": 2}),
        ("engine 'fake' changed", (path, run, [spec("fake", parallel="inline", deletions=0.1)]), {}),
        ("engine 'second' added", (path, run, [engine, spec("fake", "second", parallel="inline")]), {}),
        ("condition 'clean' removed", (path, run, [engine], ["imaging-floor"]), {}),
        ("the manifest changed", (make_manifest(other, 5), run, [engine]), {}),
    ):
        with pytest.raises(InputError, match=words):
            go(*arguments, **more)
    assert 0 == go(path, run, [engine], seed=2, fresh=True).resumed


def test_errors_are_tried_again_on_request(tmp_path: Path) -> None:
    """retry_errors forgets error rows of an earlier session, and nothing else."""
    path = make_manifest(tmp_path, 6, audio=True)
    audio = (tmp_path / "u0002.wav").read_bytes()
    (tmp_path / "u0002.wav").write_bytes(b"")
    engine = spec("Listening", parallel="inline")
    assert {"error": 1, "ok": 5} == go(path, tmp_path / "run", [engine]).counts
    (tmp_path / "u0002.wav").write_bytes(audio)
    assert {"error": 1, "ok": 5} == go(path, tmp_path / "run", [engine]).counts
    summary = go(path, tmp_path / "run", [engine], retry_errors=True)
    assert ({"ok": 6}, 1) == (summary.counts, summary.engines["listening"].results)


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    """While a run holds its journal, another one is refused."""
    path = make_manifest(tmp_path, 3)
    with Journal(tmp_path / "run"), pytest.raises(InputError, match="another process is writing this run"):
        go(path, tmp_path / "run", [spec("fake", parallel="inline")])


def test_shards_share_the_work_and_nothing_is_done_twice(tmp_path: Path) -> None:
    """The hypotheses of two shards are together those of the whole run, and have no utterance in common."""
    path = make_manifest(tmp_path, 23)
    engine = spec("fake", max_batch=4, parallel="inline", **ERRORS)
    go(path, tmp_path / "whole", [engine])
    parts = []
    for number in range(2):
        go(path, tmp_path / f"part{number}", [engine], shard=(number, 2))
        parts.append(pd.read_parquet(tmp_path / f"part{number}" / "hypotheses.parquet"))
    joined = pd.concat(parts).sort_values("utterance_id").reset_index(drop=True)
    assert all(len(part) for part in parts)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "whole" / "hypotheses.parquet"), joined)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engines": [spec("fake"), spec("fake")]}, "is used twice"),
        ({"engines": []}, "at least one engine"),
        ({"engines": [spec("fake", failuers=1.0)]}, "no option 'failuers'"),
        ({"engines": [spec("fkae")]}, "there is no engine 'fkae'"),
        ({"engines": [spec("fake")], "workers": 0}, "at least one worker"),
        ({"engines": [spec("fake")], "shard": (2, 2)}, "a shard is i of n"),
    ],
)
def test_impossible_runs_are_refused_before_anything_starts(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    """Names, options and numbers are checked first, and no run folder is left behind."""
    with pytest.raises(InputError, match=message):
        go(make_manifest(tmp_path, 2), tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


# --- being killed --------------------------------------------------------------------------------------------------


class Child:
    """A transcription in a process of its own."""

    def __init__(self, **arguments: object) -> None:
        here = Path(__file__).parent
        self.process = subprocess.Popen(
            [sys.executable, str(here / "transcribe_child.py"), json.dumps(arguments)],
            env={**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_journal(self, run: Path, *, written: bool, timeout_s: float = 60.0) -> None:
        """Wait until the journal is open (and results were written to it), or the process has ended."""
        wal = run / "journal.sqlite-wal"
        before = wal.stat().st_mtime_ns if wal.exists() else None
        opened: int | None = None
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            now = wal.stat().st_mtime_ns if wal.exists() else None
            if opened is None and now != before:
                opened = now
                time.sleep(0.05)  # the schema and the fingerprints are written by then
                opened = wal.stat().st_mtime_ns if wal.exists() else opened
            if opened is not None and (not written or now != opened):
                return
            time.sleep(0.005)

    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        listing = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in listing.read_text(encoding="ascii").split()] if listing.exists() else []

    def finish(self) -> int:
        """Wait for the end; errors are shown where a test fails."""
        _, errors = self.process.communicate(timeout=300)
        if self.process.returncode:
            sys.stderr.write(errors)
        return self.process.returncode


def gone(pids: list[int], timeout_s: float = 10.0) -> bool:
    """Whether processes have ended, after a while."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids):
            return True
        time.sleep(0.02)
    return False


def kill_again_and_again(arguments: dict[str, object], *, kills: int, longest_s: float, seed: int) -> list[int]:
    """Start, kill with SIGKILL at a random moment, start again, and so on; then let it finish.

    One kill in four may fall before the first row of its session, the others fall after it.

    Returns:
        How many rows the journal held after each kill.
    """
    draw = random.Random(seed)
    run = Path(str(arguments["run"]))
    rows: list[int] = []
    while len(rows) < kills:
        child = Child(**arguments)
        child.wait_for_journal(run, written=draw.random() > 0.25)
        time.sleep(draw.uniform(0.0, longest_s))
        workers = child.workers()
        child.process.kill()
        child.process.communicate()
        assert gone(workers)
        with Journal(run) as journal:
            rows.append(sum(journal.counts().values()))
    assert 0 == Child(**arguments).finish()
    return rows


@pytest.mark.slow
def test_sigkill_at_twenty_moments_changes_nothing(tmp_path: Path) -> None:
    """Killed 20 times, in starting, working and finishing, a run ends with the bytes of an undisturbed one."""
    manifest = make_manifest(tmp_path, 1600)
    options = {**ERRORS, "latency_s": 0.004}
    arguments = {"manifest": str(manifest), "run": str(tmp_path / "killed"), "conditions": ["clean"], "workers": 2}
    go(manifest, tmp_path / "whole", [spec("fake", **ERRORS, parallel="inline")])
    rows = kill_again_and_again({**arguments, "engines": [["fake", "fake", options]]}, kills=20, longest_s=0.2, seed=1)
    assert rows == sorted(rows)
    assert len({count for count in rows if 0 < count < 1600}) >= 5
    assert contents(tmp_path / "whole") == contents(tmp_path / "killed")


@pytest.mark.slow
def test_sigkill_in_the_last_moments_changes_nothing(tmp_path: Path) -> None:
    """Killed while Parquet is written, the next start writes the same files."""
    manifest = make_manifest(tmp_path, 50)
    arguments = {
        "manifest": str(manifest),
        "run": str(tmp_path / "killed"),
        "engines": [["fake", "fake", {"parallel": "inline"}]],
    }
    go(manifest, tmp_path / "whole", [spec("fake", parallel="inline")])
    kill_again_and_again({**arguments, "conditions": ["clean"], "workers": 1}, kills=4, longest_s=0.1, seed=2)
    assert contents(tmp_path / "whole") == contents(tmp_path / "killed")
    assert not list((tmp_path / "killed").glob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_run_that_resumes(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and a termination signal end the process soon, keep what was done, and leave no worker behind."""
    manifest = make_manifest(tmp_path, 500)
    engine = ["fake", "fake", {"latency_s": 0.02}]
    arguments = {"manifest": str(manifest), "run": str(tmp_path / "run"), "engines": [engine], "conditions": ["clean"]}
    child = Child(**arguments, workers=1, progress=True)
    assert child.process.stderr is not None
    first = child.process.stderr.readline()
    assert first.startswith("fake: "), first
    workers = child.workers()
    child.process.send_signal(number)
    _, errors = child.process.communicate(timeout=120)
    assert "KeyboardInterrupt" in errors
    assert gone(workers)
    go(manifest, tmp_path / "whole", [spec("fake", parallel="inline")])
    summary = go(manifest, tmp_path / "run", [spec("fake", latency_s=0.02)])
    assert 0 < summary.resumed < 500
    assert contents(tmp_path / "whole") == contents(tmp_path / "run")
