"""What is stored is noticed when it is no longer what was written."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from nightly_nights import write_suite
from transcribe_child import go, make_manifest, spec

from asrfair.cli.main import run
from asrfair.data import runfile
from asrfair.data.runfile import changing, read_run_file, table_files
from asrfair.data.runlock import writing
from asrfair.errors import EnvironmentFailedError, InputError, RunDamagedError
from asrfair.nightly.cache import Cache
from asrfair.recognise.journal import Journal
from asrfair.runs.pipeline import run_suite
from asrfair.runs.suite import read_suite


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of the fake engine."""
    folder = tmp_path_factory.mktemp("integrity")
    suite = write_suite(folder, count=24, options={"parallel": "inline"})
    run_suite(read_suite(suite), folder / "run", workers=1, progress=False, report=False)
    return folder / "run"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def flip(path: Path, place: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)


def test_every_table_has_its_checksum_and_verify_agrees(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """run.json lists every table of the folder, and `asrfair verify` finds all as it was written."""
    tables = read_run_file(copy)["volatile"]["tables"]
    assert set(tables) == {path.name for path in table_files(copy)}
    assert {"hypotheses.parquet", "scores.parquet", "disparity.csv", "ledger.csv"} <= set(tables)
    assert 0 == run(["verify", str(copy)])
    assert "0 not as they were written" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["hypotheses.parquet", "scores.parquet", "disparity.csv", "run.json", "journal.sqlite"]
)
def test_a_flipped_bit_is_noticed(copy: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One bit in the middle of a stored file: verify names the file and exits with 2."""
    path = copy / name
    place = path.read_bytes().index(b"u0007") if name == "journal.sqlite" else path.stat().st_size // 2
    flip(path, place)
    assert 2 == run(["verify", str(copy), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [item["file"] for item in found["files"] if item["problem"]] == [str(path)]
    if name != "journal.sqlite":
        assert 2 == run(["report", str(copy), "--no-plots"])
        assert name in capsys.readouterr().err


@pytest.mark.parametrize("key", ['"volatile"', '"sha256"', '"tables"'])
def test_a_bit_in_the_name_of_a_seal_is_noticed(copy: Path, key: str) -> None:
    """A flipped bit in a key makes the seal, or what it stands in, seem absent: that is damage too."""
    path = copy / "run.json"
    flip(path, path.read_bytes().index(key.encode()) + 3)
    with pytest.raises(RunDamagedError, match="its checksum differs"):
        read_run_file(copy)


def test_a_run_that_was_cut_off_while_it_was_scored_is_not_read(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed between two tables, a run says that it is unfinished; scoring it again makes it whole."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom asrfair.data.runfile import changing\n"
        "with changing(Path(sys.argv[1]), 'it is being scored again'):\n    os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(copy)], check=False)
    assert 2 == run(["report", str(copy), "--no-plots"])
    assert "cut off" in capsys.readouterr().err
    assert 0 == run(["score", str(copy), "--no-html"])
    assert 0 == run(["verify", str(copy)])


def test_an_error_that_changed_nothing_leaves_run_json(copy: Path) -> None:
    """A command that fails before it replaces a table leaves the run as readable as it was."""
    before = (copy / "run.json").read_bytes()
    with pytest.raises(ValueError, match="told"), changing(copy, "a test"):
        raise ValueError("told to fail")
    assert (copy / "run.json").read_bytes() == before


def test_one_writer_a_run_folder(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While one process holds a run folder, `score` and `report` are refused; readers are not."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom asrfair.data.runlock import writing\n"
        "with writing(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(copy)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        assert 2 == run(["score", str(copy), "--normalizer", "basic"])
        assert 2 == run(["report", str(copy), "--no-plots"])
        assert "another process is writing this run" in capsys.readouterr().err
        assert 0 == run(["verify", str(copy)])
        holder.kill()
    with writing(copy), writing(copy):
        pass  # a thread may hold it twice


def test_the_journal_notices_a_changed_row(tmp_path: Path) -> None:
    """A text that was changed behind the journal's back is refused on a resume, with the file's name."""
    manifest = make_manifest(tmp_path, 6)
    go(manifest, tmp_path / "run", [spec("fake")])
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    db.execute("UPDATE hypotheses SET hypothesis = 'else' WHERE utterance_id = 'u0003'")
    db.commit()
    db.close()
    with pytest.raises(InputError, match="not what was written"):
        go(manifest, tmp_path / "run", [spec("fake")])


def test_bytes_that_are_no_text_in_a_database_are_damage(copy: Path, tmp_path: Path) -> None:
    """A high bit in the database's own list of tables comes out of SQLite as a Unicode error: it is ours then."""
    Cache(tmp_path / "cache.sqlite").put("hypothesis", [("a", ["ok", "yes"])], 1)
    Journal(copy).close()
    for path, table in ((copy / "journal.sqlite", b"asked"), (tmp_path / "cache.sqlite", b"checked_entries")):
        flip(path, path.read_bytes().index(b"table" + table) + 6, bit=7)
    with pytest.raises(RunDamagedError, match="no journal"), Journal(copy) as journal:
        journal.verify()
    with pytest.raises(EnvironmentFailedError, match="cannot be used"):
        Cache(tmp_path / "cache.sqlite").verify()


def test_a_damaged_cache_entry_is_not_used(tmp_path: Path) -> None:
    """An entry whose text was changed is missed by `get`, counted by `verify`, and mended by the next `put`."""
    cache = Cache(tmp_path / "cache.sqlite")
    cache.put("hypothesis", [("a", ["ok", "yes"]), ("b", ["ok", "no"])], 1)
    db = sqlite3.connect(tmp_path / "cache.sqlite")
    db.execute("UPDATE checked_entries SET content = replace(content, 'yes', 'yet')")
    db.commit()
    db.close()
    assert cache.get(["a", "b"]) == {"b": ["ok", "no"]}
    assert cache.verify() == (2, 1)
    cache.put("hypothesis", [("a", ["ok", "yes"])], 2)
    assert cache.verify() == (2, 0)


def test_what_was_said_is_its_owners(made: Path) -> None:
    """Transcripts, references, journal and folder can be read by their owner only."""
    for name in ("hypotheses.parquet", "utterances.parquet", "scores.parquet", "ledger.csv", "journal.sqlite"):
        assert (made / name).stat().st_mode & 0o077 == 0, name
    assert made.stat().st_mode & 0o077 == 0


def test_checksums_cost_little(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that were found whole are believed as long as their sizes and times are the same: nothing is read twice."""
    read_run_file(made)
    monkeypatch.setattr(runfile, "sha256_file", lambda path: pytest.fail(f"{path} was read again"))
    read_run_file(made)
