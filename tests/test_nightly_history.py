"""The history: whole nights or none, whatever happens to the process, the disk and the clock."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.dataset as arrow_dataset
import pytest
from click.testing import CliRunner
from nightly_nights import add_nights, go, write_suite

from asrfair.cli.main import app
from asrfair.errors import InputError
from asrfair.nightly import History

DOCS = Path(__file__).parents[1] / "docs" / "nightly.md"
CHILD = Path(__file__).with_name("nightly_nights.py")


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start the child script."""
    return subprocess.Popen(
        [sys.executable, str(CHILD), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def end(child: subprocess.Popen[bytes], *, kill: bool = False) -> str:
    """Wait for a child, or kill it; return what it printed."""
    if kill:
        child.send_signal(signal.SIGKILL)
    printed = child.communicate(timeout=120)[0].decode()
    assert kill or child.returncode == 0
    return printed


def check_whole(history: Path) -> list[str]:
    """Read every table of every night; return the tokens."""
    kept = History(history)
    tokens = []
    for number, night in zip(kept.numbers(), kept.nights(), strict=True):
        frame = pd.read_parquet(night.path / "groups.parquet")
        assert {number} == set(frame["night"])
        assert number == night.content["night"]
        tokens.append(night.token)
    assert len(tokens) == len(set(tokens))
    return tokens


def test_nights_are_numbered_from_one_and_read_back(tmp_path: Path) -> None:
    """Numbers grow by one, and a token that is there already is not added again."""
    add_nights(tmp_path, "a", 3)
    add_nights(tmp_path, "a", 4)
    assert [1, 2, 3, 4] == History(tmp_path).numbers()
    assert ["a-0", "a-1", "a-2", "a-3"] == check_whole(tmp_path)


@pytest.mark.slow
def test_two_writers_at_once_that_are_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    """Two processes commit to one history and are killed at random moments, until both are through."""
    dice = random.Random(7)
    for _ in range(5):
        children = [start("add", tmp_path, name, 12, 0.02) for name in ("a", "b")]
        time.sleep(1.2 + dice.random())
        for child in children:
            end(child, kill=True)
        check_whole(tmp_path)
    children = [start("add", tmp_path, name, 12, 0.0) for name in ("a", "b")]
    for child in children:
        end(child)
    expected = sorted(f"{name}-{number}" for name in "ab" for number in range(12))
    assert expected == sorted(check_whole(tmp_path))
    assert list(range(1, 25)) == History(tmp_path).numbers()


def test_a_clock_that_goes_backwards_changes_no_order(tmp_path: Path) -> None:
    """Folders and files that claim to be from the future or from 1971 keep their places."""
    add_nights(tmp_path, "a", 2)
    os.utime(History(tmp_path).path(1), (4e9, 4e9))
    os.utime(History(tmp_path).path(2), (4e7, 4e7))
    add_nights(tmp_path, "a", 3)
    assert ["a-0", "a-1", "a-2"] == [night.token for night in History(tmp_path).nights()]


def in_a_small_file_system(script: str) -> str:
    """Run a shell script that may mount; return what it printed."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare(1) to make a small file system with")
    done = subprocess.run([unshare, "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "Operation not permitted" in done.stderr:
        pytest.skip("this machine lets nobody mount a small file system")
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_full_disk_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    """On a file system of 600 KiB nights are added until it is full; what is there is whole, and room lets it go on."""
    script = f"""
mount -t tmpfs -o size=600k tmpfs {tmp_path} || exit 77
{sys.executable} {CHILD} add {tmp_path} a 500 0 2>&1
echo "exit $?"
ls {tmp_path}/incoming | wc -l
{sys.executable} - <<'END'
import sys
sys.path.insert(0, {str(CHILD.parent)!r})
from pathlib import Path
from test_nightly_history import check_whole
import shutil
folder = Path({str(tmp_path)!r})
tokens = check_whole(folder)
shutil.rmtree(folder / "nights" / "night-000001")
from nightly_nights import add_nights
add_nights(folder, "more", 1)
print("whole", len(tokens), check_whole(folder)[-1])
END
"""
    said = in_a_small_file_system(script)
    assert "the disk is full" in said
    assert "exit 1" in said
    assert "\n0\n" in said
    assert said.splitlines()[-1].startswith("whole "), said
    assert said.endswith("more-0\n")


@pytest.mark.slow
def test_the_command_meets_a_full_disk_and_goes_on_later(tmp_path: Path) -> None:
    """Full in the midst of a run, and full at its end: exit code 3 and a remedy; room lets the same command go on."""
    suite, history = write_suite(tmp_path / "s", count=300), tmp_path / "h"
    history.mkdir()
    night = f"{sys.executable} -m asrfair.cli.main nightly {suite} --history {history} --workers 1 --json >/dev/null"
    said = in_a_small_file_system(f"""
mount -t tmpfs -o size=200k tmpfs {history} || exit 77
{night}; echo "first $? $(ls {history}/nights | wc -l)"
mount -o remount,size=2m {history}
{night}; echo "second $? $(ls {history}/nights | wc -l)"
head -c 4m /dev/zero > {history}/full 2>/dev/null
{night}; echo "third $? $(ls {history}/nights | wc -l)"
rm {history}/full
{night}; echo "fourth $? $(ls {history}/nights | wc -l)"
{sys.executable} -c "
from asrfair.nightly import History
from pathlib import Path
print([night.verdict for night in History(Path('{history}')).nights()])"
""")
    expected = ["first 3 0", "second 0 1", "third 3 1", "fourth 0 2", "['pass', 'pass']"]
    found = [line for line in said.splitlines() if re.match(r"\[|\w+ \d \d$", line)]
    assert expected == found, said
    assert said.count("disk is full") == 2, said


@pytest.mark.slow
def test_commands_at_once_that_are_killed_leave_whole_nights(tmp_path: Path) -> None:
    """Two commands on one history are killed at random moments, again and again, until both come through."""
    suite, history = write_suite(tmp_path / "s", count=40, options={"latency_s": 0.01}), tmp_path / "h"
    dice = random.Random(11)
    for _ in range(5):
        children = [start(suite, history) for _ in range(2)]
        for moment in sorted(dice.uniform(0.3, 3.5) for _ in children):
            time.sleep(moment / 2)
            end(children.pop(), kill=True)
        check_whole(history)
    numbers = [int(end(child)) for child in [start(suite, history) for _ in range(2)]]
    assert numbers[0] != numbers[1]
    nights = History(history).nights()
    assert list(range(1, len(nights) + 1)) == [night.number for night in nights]
    for night in nights:
        for name, rows in (("utterances", 40), ("hypotheses", 40), ("scores", 40)):
            assert rows == len(pd.read_parquet(night.path / f"{name}.parquet"))
        assert "pass" == json.loads((night.path / "verdict.json").read_text(encoding="utf-8"))["verdict"]
    assert [] == [path for path in (history / "work").iterdir() if path.is_dir()]


def test_a_night_under_a_clock_that_went_back_is_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Baseline, changes, trend and retention follow the numbers of the nights, not what the clock said."""
    suite, history = write_suite(tmp_path / "s", count=20), tmp_path / "h"
    for year in (2030, 2031, 1999):
        monkeypatch.setattr("asrfair.nightly.night._now", lambda year=year: f"{year}-01-01T00:00:00+00:00")
        if year == 1999:
            suite = write_suite(tmp_path / "s", options={"substitutions": 0.21})
        result = go(suite, history)
    assert 3 == result.night.number
    assert "accepted night 1" == result.verdict.baseline
    assert any("0.2 to 0.21" in change.text for change in result.verdict.since_last)
    page = (history / "trend" / "small.html").read_text(encoding="utf-8")
    places = [page.index(f">{year}-01-01 00:00<") for year in (1999, 2031, 2030)]
    assert sorted(places) == places
    assert (2,) == go(suite, history, keep_nights=2).removed


def test_acceptance_and_retention(tmp_path: Path) -> None:
    """The newest nights and those that were ever accepted (the first one is) stay; numbers are never used again."""
    add_nights(tmp_path, "a", 6)
    kept = History(tmp_path)
    kept.accept(2, "looks good", "2030-01-01")
    kept.accept(5, "a mistake", "2030-01-02")
    kept.accept(2, "back to the first", "2029-01-01")
    assert 2 == kept.accepted("a")
    assert [3, 4] == kept.retain(1, "a")
    assert [1, 2, 5, 6] == kept.numbers()
    shutil.rmtree(kept.path(6))
    add_nights(tmp_path, "b", 1)
    assert [1, 2, 5, 7] == kept.numbers()
    with pytest.raises(InputError, match="no such night"):
        kept.accept(99, "", "")


@pytest.mark.slow
def test_two_whole_nights_at_once_and_a_night_that_was_cut_off(tmp_path: Path) -> None:
    """Two runs of one suite at once become two nights; one that is killed is resumed and becomes one."""
    suite = write_suite(tmp_path / "s", count=80, options={"latency_s": 0.05})
    history = tmp_path / "h"
    child = start(suite, history)
    journal = history / "work"
    for _ in range(600):
        if list(journal.glob("*/run/journal.sqlite-wal")):
            break
        time.sleep(0.05)
    time.sleep(0.7)
    end(child, kill=True)
    assert [] == History(history).numbers()
    children = [start(suite, history) for _ in range(2)]
    numbers = sorted(int(end(child)) for child in children)
    assert [1, 2] == numbers
    assert 2 == len({night.token for night in History(history).nights()})
    assert [] == [path for path in (history / "work").iterdir() if path.is_dir()]


def test_a_night_that_was_committed_is_not_committed_again(tmp_path: Path) -> None:
    """Killed after the commit and before the clearing up, the next night is a new one, not the old one twice."""
    suite = write_suite(tmp_path / "s", count=20)
    first = go(suite, tmp_path / "h")
    token = first.night.token
    (work,) = (tmp_path / "h" / "work").glob("*.lock")
    left = work.with_suffix("")
    left.mkdir()
    (left / "token").write_text(f"{token} {'0' * 64}\n", encoding="ascii")
    second = go(suite, tmp_path / "h")
    assert token != second.night.token
    assert [1, 2] == History(tmp_path / "h").numbers()


def test_a_night_is_not_written_into(tmp_path: Path) -> None:
    """Scoring a night again, scoring files into it and running a suite into it are refused; its bytes stay."""
    suite = write_suite(tmp_path / "s", count=20)
    night = go(suite, tmp_path / "h").night.path
    before = {path: path.read_bytes() for path in night.iterdir()}
    (tmp_path / "h.csv").write_text("utterance_id,hypothesis\nu0000,word\n", encoding="utf-8")
    files = ["--manifest", str(suite.parent / "manifest.csv"), "--hypotheses", f"a={tmp_path / 'h.csv'}"]
    for command in (
        ["score", str(night), "--normalizer", "basic"],
        ["score", *files, "--by", "accent", "--out", str(night)],
        ["run", str(suite), "--out", str(night)],
    ):
        with pytest.raises(InputError, match="nights are never changed"):
            CliRunner().invoke(app, command, standalone_mode=False, catch_exceptions=False)
    assert before == {path: path.read_bytes() for path in night.iterdir()}


def test_the_history_reads_with_duckdb_and_pandas(tmp_path: Path) -> None:
    """The query of the docs, an Arrow data set and plain pandas each get all nights of all suites at once."""
    history = tmp_path / "h"
    for name in ("small", "other", "small"):
        go(write_suite(tmp_path / name, name=name, count=20), history)
    (query,) = re.findall(r"```sql\n(.*?)\n```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    query = query.replace("'history/", f"'{history}/").replace("'demo'", "'small'")
    rows = duckdb.sql(query).fetchall()
    assert {1, 3} == {night for night, *_ in rows}
    first = pd.read_parquet(history / "nights" / "night-000001" / "groups.parquet")
    first = first.astype(object).where(first.notna(), None)
    columns = ["night", "group", "wer", "ci_low", "ci_high"]
    assert sorted(first[columns].itertuples(index=False, name=None)) == sorted(row for row in rows if row[0] == 1)
    for name in ("groups", "gaps", "scores", "hypotheses", "utterances", "gates", "changes"):
        files = sorted((history / "nights").glob(f"*/{name}.parquet"))
        plain = pd.concat([pd.read_parquet(file) for file in files])
        ((count,),) = duckdb.sql(f"SELECT count(*) FROM '{history}/nights/*/{name}.parquet'").fetchall()
        frame = arrow_dataset.dataset([str(file) for file in files]).to_table().to_pandas()
        assert len(plain) == len(frame) == count
        if name != "changes":
            assert {(1, "small"), (2, "other"), (3, "small")} == set(zip(frame["night"], frame["suite"], strict=True))
    night = json.loads((history / "nights" / "night-000003" / "night.json").read_text(encoding="utf-8"))
    assert "pass" == night["verdict"]
