"""Somebody leaves: no byte of them stays, everything else is as if they had never come, and a kill in the middle mends."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from leaving import SAID, WHO, assert_same, cut_off, make_suite, night, traces

from asrfair.cli.main import run as command
from asrfair.data.traces import search
from asrfair.lastmile.export_ledger import read_ledger
from asrfair.lastmile.settings import read_kit
from asrfair.nightly import History


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two suites, with the person and without, each run, and run for two nights."""
    folder = tmp_path_factory.mktemp("forget")
    for name in ("with", "without"):
        suite = make_suite(folder / name, without=name == "without")
        assert 0 == command(["run", str(suite), "--out", str(folder / name / "run"), "--workers", "1", "--no-html"])
        for _ in range(2):
            night(folder / name)
    return folder


def test_a_run_without_somebody_is_a_run_that_they_were_never_in(made: Path, tmp_path: Path) -> None:
    """Every table equals, byte for byte, that of a run without the person; nothing of them is left; the journal goes on."""
    run = tmp_path / "run"
    shutil.copytree(made / "with" / "run", run)
    with sqlite3.connect(run / "journal.sqlite") as db:  # free pages, as a library leaves them that does not overwrite
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("CREATE TABLE gone (text)")
        db.executemany("INSERT INTO gone VALUES (?)", [(f"{SAID} {n} " * 20,) for n in range(50)])
        db.execute("DROP TABLE gone")
    db.close()
    assert "journal.sqlite" in traces(run)
    manifest = str(made / "without" / "manifest.csv")
    assert 0 == command(["forget", WHO, str(run), "--manifest", manifest])
    assert_same(run, made / "with" / "run")
    assert 0 == command(["forget", WHO, str(run), "--manifest", manifest, "--yes"])
    assert [] == traces(run)
    assert_same(run, made / "without" / "run")
    plain = [json.loads((one / "run.json").read_text()) for one in (run, made / "without" / "run")]
    for content in plain:
        content.pop("volatile")
    assert plain[0] == plain[1]
    assert 0 == command(["verify", str(run)])
    register = (run / "forgotten.jsonl").read_text()
    assert {"what", "when"} == set(json.loads(register))
    suite = str(made / "without" / "suite.toml")
    assert 0 == command(["run", suite, "--out", str(run), "--workers", "1", "--no-html"])
    assert_same(run, made / "without" / "run")


def test_a_history_without_somebody_is_one_that_they_were_never_in(made: Path, tmp_path: Path) -> None:
    """Tables, gates and verdicts of every night equal those of a history without the person, and the next night fits."""
    folder = tmp_path / "copy"
    shutil.copytree(made / "with", folder)
    history = str(folder / "history")
    suite = str(folder / "suite.toml")
    assert 2 == command(["forget", WHO, history, "--yes"])
    assert 2 == command(["forget", WHO, history, "--suite", suite, "--yes"])  # the manifest still has them
    shutil.copy(made / "without" / "manifest.csv", folder / "manifest.csv")
    assert 0 == command(["forget", WHO, history, "--suite", suite, "--yes"])
    assert [] == traces(folder / "history")
    assert_same(folder / "history", made / "without" / "history")
    assert 0 == command(["verify", history])
    night(folder)
    last = History(folder / "history").night(3)
    assert "pass" == last.verdict
    assert [] == json.loads((last.path / "verdict.json").read_text())["changes_since_last_night"]


def test_transcripts_from_files_leave_too(made: Path, tmp_path: Path) -> None:
    """A run that was scored from files has no journal; its tables are filtered, in the same row groups."""
    heard = pd.read_parquet(made / "with" / "run" / "hypotheses.parquet")[["utterance_id", "hypothesis"]]
    for name in ("with", "without"):
        manifest = made / name / "manifest.csv"
        ids = pd.read_csv(manifest)["utterance_id"]
        for engine in ("a", "b"):
            heard[heard["utterance_id"].isin(ids)].to_csv(tmp_path / f"{name}-{engine}.csv", index=False)
        files = [f"--hypotheses={engine}={tmp_path / f'{name}-{engine}.csv'}" for engine in ("a", "b")]
        arguments = ["score", "--manifest", str(manifest), *files, "--by", "accent", "--draws", "100", "--no-html"]
        assert 0 == command([*arguments, "--out", str(tmp_path / name)])
    manifest = str(made / "without" / "manifest.csv")
    assert 0 == command(["forget", WHO, str(tmp_path / "with"), "--manifest", manifest, "--yes"])
    assert [] == traces(tmp_path / "with")
    assert_same(tmp_path / "with", tmp_path / "without")


def test_what_is_no_folder_of_ours_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that asrfair did not make is not searched, let alone changed."""
    assert 2 == command(["forget", WHO, str(tmp_path)])
    assert "this is no kit, no run and no history" in capsys.readouterr().err


def test_somebody_whom_nobody_knows(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not there changes nothing, and the folder is searched for it all the same."""
    run = tmp_path / "run"
    shutil.copytree(made / "with" / "run", run)
    assert 0 == command(["forget", "nobody-here", str(run), "--yes"])
    assert "nobody of that name is here" in capsys.readouterr().out
    assert_same(run, made / "with" / "run")
    (run / "notes.txt").write_text("call nobody-here back")
    assert 1 == command(["forget", "nobody-here", str(run), "--yes"])
    assert "LEFT in" in capsys.readouterr().out


def test_the_search_looks_into_what_is_packed(tmp_path: Path) -> None:
    """Parquet, rows of SQLite over many pages, free pages, gzip, escapes: found; somebody else's longer name: not."""
    pd.DataFrame({"text": [WHO] * 3}).to_parquet(tmp_path / "a.parquet", compression="zstd")
    with sqlite3.connect(tmp_path / "b.sqlite") as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (?)", ("y" * 4000 + f" {WHO} " + "z" * 9000,))
    db.close()
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (?)", (f" {WHO} ",))
        db.commit()
        db.execute("DELETE FROM t")
    db.close()
    (tmp_path / "d.json").write_text(json.dumps({"who": WHO}))
    (tmp_path / "e.txt").write_text(f"{WHO}-2 is somebody else, and so is x{WHO}")
    (tmp_path / "f.csv").write_text("speaker_id,n\n19,1\n")
    (tmp_path / "g.csv").write_text("speaker_id,n\n20,19\n")
    names = {path.name for path in search(tmp_path, {WHO}, {f"{WHO}-2"}).found}
    assert {"a.parquet", "b.sqlite", "c.sqlite", "d.json"} == names
    assert {"f.csv"} == {path.name for path in search(tmp_path, {"19"}).found}


# --- the kit -----------------------------------------------------------------------------------------------------


def make_kit(folder: Path, people: list[str]) -> Path:
    """Make a kit of transcripts with everything that a person leaves in one: recordings, agreement, session, pages."""
    assert 0 == command(["lastmile", "init", str(folder)])
    settings = (folder / "kit.toml").read_text()
    settings = settings.replace('name = "pocketsphinx"', 'name = "precomputed"')
    settings = settings.replace('language = "en"', 'language = "de"')  # for English, every recording is listened to
    (folder / "kit.toml").write_text(settings.replace("options = {}", 'options = { file = "heard.csv" }'))
    (folder / "sentences.txt").write_text(
        "the seven nurses write down the quick brown fox\nand jump over a lazy dog now\n"
    )
    assert 0 == command(["lastmile", "init", str(folder)])
    prompts = pd.read_csv(folder / "prompts.csv", dtype=str)
    rows = []
    for who in people:
        place = int(who.rpartition("-")[2]) if who != WHO else 99
        (folder / "recordings" / who).mkdir(exist_ok=True)
        noise = np.random.default_rng(place).normal(0, 0.05, 28_000)
        soundfile.write(folder / "recordings" / who / "01.wav", noise, 8000)
        for name, text in zip(prompts["prompt_id"], prompts["text"], strict=True):
            words = text.split()
            words[place % len(words)] = "CANARYxq7" if who == WHO else "other"
            rows.append((f"{who}/{name}", " ".join(words)))
    pd.DataFrame(rows, columns=["utterance_id", "hypothesis"]).to_csv(folder / "heard.csv", index=False)
    answers = [("local", "female") if i % 2 else ("regional", "male") for i in range(len(people))]
    if WHO in people:
        answers[people.index(WHO)] = ("something CANARYxq7 of my own", "female")
    table = pd.DataFrame(answers, columns=["accent", "gender"])
    table.insert(0, "speaker_id", people)
    table.to_csv(folder / "speakers.csv", index=False)
    (folder / "sessions").mkdir()
    consents = []
    for who in people:
        (folder / "sessions" / f"{who}.json").write_text(json.dumps({"skipped": []}))
        consents.append(json.dumps({"speaker_id": who, "agreed_at": "2026-01-01"}, sort_keys=True) + "\n")
    (folder / "consents.jsonl").write_text("".join(consents))
    assert 0 == command(["lastmile", "run", str(folder), "--no-benchmark", "--workers", "1"])
    assert 0 == command(["lastmile", "report", str(folder)])
    return folder


PEOPLE = [f"person-{n}" for n in range(7)]


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kits, run and reported, with the person and without."""
    folder = tmp_path_factory.mktemp("kits")
    for name, people in (("with", [*PEOPLE, WHO]), ("without", PEOPLE)):
        make_kit(folder / name / "kit", people)
    return folder


@pytest.fixture
def in_place(kits: Path, tmp_path: Path) -> Iterator[Path]:
    """The kit with the person where it was made: one that was copied elsewhere begins anew."""
    kit = kits / "with" / "kit"
    shutil.copytree(kit, tmp_path / "kept")
    yield kit
    shutil.rmtree(kit)
    shutil.copytree(tmp_path / "kept", kit)


def assert_same_kit(kit: Path, other: Path) -> None:
    """Hold what is published of two kits, and what it rests on, to be the same."""
    for name in ("runs/room", "sessions", "recordings"):
        assert_same(kit / name, other / name)
    for name in ("speakers.csv", "heard.csv", "consents.jsonl", "REPORT.md", "REPORT.html"):
        assert (kit / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.slow
def test_a_kit_without_somebody_is_one_that_they_were_never_in(
    kits: Path, in_place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recordings, answers, agreement, session, rows, codes: gone; runs and report are those of a kit without them."""
    kit = in_place
    capsys.readouterr()
    assert 0 == command(["lastmile", "export", str(kit)])
    code = capsys.readouterr().out.split()[-1]
    for out in (kit / "counts.json", tmp_path / "left.json"):
        done = command(["lastmile", "export", str(kit), "--out", str(out), "--sign-off", code])
        assert done == (0 if out.parent == kit else 2)
    capsys.readouterr()
    assert 0 == command(["forget", WHO, str(kit)])
    shown = capsys.readouterr().out
    assert "release 1 of" in shown
    assert read_ledger(read_kit(kit))[0]["sha256"] in shown
    assert 0 == command(["forget", WHO, str(kit), "--yes"])
    assert "Nothing of them is left" in capsys.readouterr().out
    assert [] == traces(kit)
    other = kits / "without" / "kit"
    assert_same_kit(kit, other)
    assert not (kit / "counts.json").exists()
    assert len(read_ledger(read_kit(kit))[0]["shown"]) == 8
    before = (kit / "runs" / "room" / "journal.sqlite").read_bytes()
    capsys.readouterr()
    assert 0 == command(["lastmile", "run", str(kit), "--no-benchmark", "--workers", "1"])
    assert "begins anew" not in capsys.readouterr().out
    assert len(before) == (kit / "runs" / "room" / "journal.sqlite").stat().st_size
    assert_same(kit / "runs" / "room", other / "runs" / "room")


@pytest.mark.parametrize("name", ["../outside", "..", ".", "a/b", ""])
def test_a_name_that_leads_out_of_a_kit_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever is to be forgotten is a name, never a path; a link in the place of recordings is removed, not followed."""
    kit = tmp_path / "kit"
    assert 0 == command(["lastmile", "init", str(kit)])
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept.wav").write_bytes(b"not ours")
    assert 2 == command(["forget", name, str(kit), "--yes"])
    (kit / "recordings" / "speaker-01").rmdir()
    (kit / "recordings" / "speaker-01").symlink_to(tmp_path / "outside")
    assert 0 == command(["forget", "speaker-01", str(kit), "--yes"])
    assert (tmp_path / "outside" / "kept.wav").is_file()
    assert not (kit / "recordings" / "speaker-01").is_symlink()


def test_nobody_of_that_name_changes_nothing_in_a_kit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages stay, and the register notes nobody: also where the same command is given once more."""
    kit = tmp_path / "kit"
    assert 0 == command(["lastmile", "init", str(kit)])
    (kit / "REPORT.md").write_text("a report\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in kit.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert 0 == command(["forget", "speaker-77", str(kit), "--yes"])
    assert "nobody of that name is here" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in kit.rglob("*") if path.is_file()}


# --- kills in the middle -------------------------------------------------------------------------------------------


def kill_often(arguments: list[str], folder: Path, *, longest_s: float = 0.9) -> None:
    """Start a leaving four times, and kill it at random moments; it has begun by then, or is through."""
    dice = random.Random(7)
    started = False
    for _ in range(4):
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os._exit(command(arguments))
        time.sleep(dice.uniform(0.05, longest_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        started = started or (folder / ".forgetting.json").exists()
    assert started or (folder / "forgotten.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["run", "history"])
def test_a_leaving_that_is_killed_goes_on(made: Path, tmp_path: Path, what: str) -> None:
    """SIGKILL at random moments, again and again; the same command in the end leaves nothing, and the same tables."""
    folder = tmp_path / "copy"
    shutil.copytree(made / "with", folder)
    shutil.copy(made / "without" / "manifest.csv", folder / "manifest.csv")
    extra = ["--manifest", str(folder / "manifest.csv")] if what == "run" else ["--suite", str(folder / "suite.toml")]
    arguments = ["forget", WHO, str(folder / what), *extra, "--yes"]
    kill_often(arguments, folder / what)
    assert 0 == command(arguments)
    assert [] == traces(folder / what)
    assert_same(folder / what, made / "without" / what)
    assert len((folder / what / "forgotten.jsonl").read_text().splitlines()) == 1


@pytest.mark.slow
def test_a_leaving_of_a_kit_that_is_killed_goes_on(kits: Path, tmp_path: Path) -> None:
    """Likewise a kit: recordings, tables, runs, codes in the ledger, the report; nothing is left, and once is noted."""
    kit = tmp_path / "kit"
    shutil.copytree(kits / "with" / "kit", kit)
    arguments = ["forget", WHO, str(kit), "--yes"]
    kill_often(arguments, kit, longest_s=3.0)
    assert 0 == command(arguments)
    assert [] == traces(kit)
    assert_same_kit(kit, kits / "without" / "kit")
    assert 0 == command(arguments)
    assert len((kit / "forgotten.jsonl").read_text().splitlines()) == 1


@pytest.mark.slow
def test_a_kit_whose_run_was_cut_off_lets_people_leave_too(kits: Path, tmp_path: Path) -> None:
    """Answers of a run that has no table yet leave its journal, and it does not begin anew without them."""
    kit, other = tmp_path / "kit", kits / "without" / "kit"
    shutil.copytree(kits / "with" / "kit", kit)
    shutil.rmtree(kit / "runs")
    (kit / "work" / "room-state.txt").unlink()
    (kit / "REPORT.md").unlink()
    arguments = ["lastmile", "run", str(kit), "--no-benchmark", "--workers", "1"]
    cut_off(arguments, after=1)
    assert "runs/room/journal.sqlite" in "".join(traces(kit))
    assert 0 == command(["forget", WHO, str(kit), "--yes"])
    assert [] == traces(kit)
    with sqlite3.connect(kit / "runs" / "room" / "journal.sqlite") as db:
        before = db.execute("SELECT count(*) FROM hypotheses").fetchone()[0]
    db.close()
    assert before
    assert 0 == command(arguments)
    assert_same(kit / "runs" / "room", other / "runs" / "room")
