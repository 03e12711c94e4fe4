"""``asrfair score``: what may be given as transcripts, what is refused, and scoring a run again beside itself."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from asrfair.cli.main import run
from asrfair.data.hypotheses import read_hypotheses
from asrfair.errors import InputError
from asrfair.runs.suite import read_suite
from asrfair.runs.transcripts import hypothesis_files

MANIFEST = (
    "utterance_id,speaker_id,reference,accent\nu1,s1,lie still,us\nu2,s2,two tablets,uk\nu3,s3,hold your breath,uk\n"
)
FIRST = "utterance_id,hypothesis\nu1,lie still\n"
SECOND = "utterance_id,hypothesis\nu2,to tablets\nu3,hold your bread\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a manifest and one engine's transcripts in two parts."""
    (tmp_path / "m.csv").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "1.csv").write_text(FIRST, encoding="utf-8")
    (tmp_path / "parts" / "2.csv.gz").write_bytes(gzip.compress(SECOND.encode()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(*arguments: str) -> int:
    """Run the command without a page, grouped by accent."""
    return run(["score", *arguments, "--by", "accent", "--no-html", "--json"])


def overall(folder: Path) -> dict[str, tuple[int, int]]:
    """Engine → utterances and words of everybody."""
    table = pd.read_csv(folder / "disparity.csv")
    rows = table[table["attribute"] == "overall"]
    return {r["engine"]: (int(r["utterances"]), int(r["ref_words"])) for _, r in rows.iterrows()}


@pytest.mark.parametrize("given", ["whisper=parts", "whisper=parts/*", "whisper=./parts/?.csv*"])
def test_parts_of_one_engine(folder: Path, given: str) -> None:
    """A folder or a pattern behind a label is one engine's transcripts, compressed parts and plain ones together."""
    assert score("--manifest", "m.csv", "--hypotheses", given, "--out", "run") == 0
    assert overall(folder / "run") == {"whisper": (3, 7)}


@pytest.mark.parametrize("given", ["engines", "engines/*"])
def test_a_file_an_engine(folder: Path, given: str) -> None:
    """A folder or a pattern without a label is a file an engine, called after its file, with its condition."""
    (folder / "engines").mkdir()
    (folder / "engines" / "small-v3.5.csv").write_text(FIRST + "u2,x\nu3,y\n", encoding="utf-8")
    (folder / "engines" / "large@telephone.csv.gz").write_bytes(gzip.compress(SECOND.encode()))
    found = [(f.engine, f.condition) for f in hypothesis_files(given)]
    assert found == [("large", "telephone"), ("small-v3.5", "clean")]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.trn"])
def test_compressed_says_the_same(tmp_path: Path, name: str) -> None:
    """A format that is text reads the same with .gz behind it, and a damaged file is named."""
    text = {
        "t.csv": SECOND,
        "t.tsv": SECOND.replace(",", "\t"),
        "t.jsonl": '{"id": "u2", "text": "to tablets"}\n',
        "t.trn": "to tablets (u2)\n",
    }[name].encode()
    (tmp_path / name).write_bytes(text)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(text))
    pd.testing.assert_frame_equal(read_hypotheses(tmp_path / name), read_hypotheses(packed))
    packed.write_bytes(gzip.compress(text)[:-9])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_hypotheses(packed)


def test_parts_that_contradict_each_other(folder: Path) -> None:
    """Two parts with different transcripts of one utterance are refused, and both files are named."""
    (folder / "parts" / "3.csv").write_text("utterance_id,hypothesis\nu1,lie down\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"1\.csv.*the other is 3\.csv.*u1"):
        run_uncaught("whisper=parts")


def test_ids_that_match_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Transcripts of no utterance of the manifest are refused, and both kinds of ids are shown."""
    (folder / "other.csv").write_text("utterance_id,hypothesis\nutt-1,lie still\nutt-2,two\n", encoding="utf-8")
    assert score("--manifest", "m.csv", "--hypotheses", "whisper=other.csv", "--out", "run") == 2
    said = capsys.readouterr().err
    assert "Ids look like u1, transcripts' like utt-1" in said
    suite = (
        '[suite]\nname = "s"\nmanifest = "m.csv"\n[[engine]]\nname = "precomputed"\noptions = { file = "other.csv" }\n'
    )
    (folder / "suite.toml").write_text(suite, encoding="utf-8")
    assert run(["run", "suite.toml", "--out", "suite-run", "--json"]) == 2
    assert "Ids look like u1, transcripts' like utt-1" in capsys.readouterr().err


def test_a_folder_without_transcripts(folder: Path) -> None:
    """A folder or pattern with no file of a known format is refused with the formats there are."""
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("x", encoding="utf-8")
    for given in ("empty", "whisper=empty", "nothing/*.csv"):
        with pytest.raises(InputError, match=r"no file of hypotheses.*\.trn"):
            hypothesis_files(given)


def test_scoring_again_beside_the_run(folder: Path) -> None:
    """``score RUN --out X`` leaves RUN as it was, X is a run of its own that can be scored again, and others are spared."""
    assert score("--manifest", "m.csv", "--hypotheses", "whisper=parts", "--out", "run") == 0
    before = digests(folder / "run")
    for _ in range(2):
        assert score("run", "--normalizer", "none", "--out", "again") == 0
    assert digests(folder / "run") == before
    assert json.loads((folder / "again" / "run.json").read_text(encoding="utf-8"))["scoring"]["normalizer"] == "none"
    assert overall(folder / "again") == {"whisper": (3, 7)}
    assert score("again", "--normalizer", "basic") == 0
    assert score("run", "--out", "parts") == 2
    assert sorted(path.name for path in (folder / "parts").iterdir()) == ["1.csv", "2.csv.gz"]


def test_one_attribute_needs_no_list(folder: Path) -> None:
    """``by = "accent"`` in a suite is ``by = ["accent"]``."""
    text = '[suite]\nname = "s"\nmanifest = "m.csv"\n[[engine]]\nname = "fake"\n[groups]\nby = "accent"\n'
    (folder / "suite.toml").write_text(text, encoding="utf-8")
    assert read_suite(folder / "suite.toml").groups.by == (("accent",),)


def digests(folder: Path) -> dict[str, str]:
    """File → SHA-256."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run_uncaught(given: str) -> None:
    """Score and let the error through."""
    from asrfair.runs.pipeline import score_files
    from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

    score_files(
        Path("m.csv"), hypothesis_files(given), Path("run"),
        groups=GroupSettings(), scoring=ScoringSettings(), statistics=StatisticsSettings(),
    )  # fmt: skip
