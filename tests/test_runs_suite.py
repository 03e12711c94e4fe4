"""Suites: what a file says becomes settings; what is wrong in it is named with its line; nothing breaks the reader."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from transcribe_child import make_manifest

from asrfair.cli.main import run
from asrfair.errors import InputError
from asrfair.runs.suite import read_suite

SUITE = """\
[suite]
name = "s"
seed = 3
manifest = "m.csv"
conditions = ["clean", "imaging-floor@moderate"]
[[grid]]
profile = "call-centre"
snr_db = [20, 10.5]
[[engine]]
name = "fake"
options = { table_file = "x.csv" }
[[engine]]
name = "fake"
label = "other"
[groups]
by = ["accent", ["accent", "gender"]]
min_speakers = 3
[scoring]
normalizer = "basic"
key_terms = ["insulin"]
key_terms_file = "terms.txt"
[statistics]
draws = 500
family = "strict"
[claims]
primary = ["accent", "engine"]
"""

MANIFEST = "utterance_id,speaker_id,reference,accent,gender\na,s1,hello there,us,f\nb,s2,good day,uk,m\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a manifest and a vocabulary list."""
    (tmp_path / "m.csv").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "terms.txt").write_text("# drugs\naspirin  # common\n\ninsulin\n", encoding="utf-8")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    """Write a suite file."""
    path = folder / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_suite_is_read(folder: Path) -> None:
    """Conditions of grids follow those named; paths are taken from the suite's folder; vocabulary lists are joined."""
    suite = read_suite(write(folder, SUITE))
    assert suite.conditions == ("clean", "imaging-floor@moderate", "call-centre@snr=20", "call-centre@snr=10.5")
    assert [engine.label for engine in suite.engines] == ["fake", "other"]
    assert suite.engines[0].options == {"table_file": str(folder / "x.csv")}
    assert suite.groups.by == (("accent",), ("accent", "gender"))
    assert suite.scoring.key_terms == ("insulin", "aspirin")
    assert (suite.statistics.draws, suite.seed) == (500, 3)
    assert (suite.statistics.family, suite.statistics.primary) == ("strict", ("accent", "engine"))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("seed = 3", "sead = 3", 3, "Did you mean 'seed'"),
        ("min_speakers = 3", 'min_speakers = "3"', 17, "min_speakers"),
        ('normalizer = "basic"', 'normaliser = "basic"', 19, "Did you mean 'normalizer'"),
        ('manifest = "m.csv"', 'manifest = "nowhere.csv"', 4, "no such file"),
        ('label = "other"', 'label = "fake"', 13, "two engines"),
        ("snr_db = [20, 10.5]", "", 6, "either snr_db or severity"),
        ("draws = 500", "draws = 5", 23, "greater than or equal to 100"),
        ('primary = ["accent"', 'primary = ["acent"', 26, "Did you mean 'accent'"),
        ('family = "strict"', 'family = "loose"', 24, "family"),
        ("[suite]", "[suite", 1, "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, old: str, new: str, line: int, words: str) -> None:
    """An error names the line and says what to do."""
    with pytest.raises(InputError) as caught:
        read_suite(write(folder, SUITE.replace(old, new, 1)))
    assert words in str(caught.value)
    assert caught.value.line == line


def test_fuzzed_suites_never_break_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """300 damaged suites end with exit code 0 or 2 and a message, never with a traceback or a defect."""
    source = random.Random(7)
    pieces = [
        '"',
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "\x00",
        "\x1b[31m",
        "\u202e",
        "nan",
        "inf",
        "-1",
        "1e999",
        "[[engine]]",
        "é",
        "'''",
    ]
    base = (
        SUITE.replace('options = { table_file = "x.csv" }\n', "")
        .replace("imaging-floor@moderate", "clean")
        .replace('[[grid]]\nprofile = "call-centre"\nsnr_db = [20, 10.5]\n', "")
    )
    codes = set()
    messages: list[str] = []
    for case in range(300):
        text = base
        for _ in range(source.randint(1, 4)):
            start = source.randrange(len(text))
            end = min(len(text), start + source.choice((0, 0, 1, 3, 20)))
            text = text[:start] + source.choice(pieces) + text[end:]
        path = folder / "suite.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass") if case % 10 else text.encode("utf-16"))
        try:
            read_suite(path)
        except InputError as error:
            codes.add(error.exit_code)
            messages.append(str(error))
        else:
            codes.add(0)
    assert not any("\x1b" in message for message in messages)
    assert codes == {0, 2}
    assert run(["run", str(folder / "nothing.toml"), "--out", str(folder / "run")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_fake_engine_runs_from_suite_to_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole command works on a manifest without audio, prints the answer and accounts for every row."""
    rows = "".join(f"u{i},s{i % 6},one two three four five six,{'us' if i % 2 else 'uk'},f\n" for i in range(60))
    (folder / "m.csv").write_text("utterance_id,speaker_id,reference,accent,gender\n" + rows, encoding="utf-8")
    path = write(
        folder,
        '[suite]\nname = "s"\nmanifest = "m.csv"\n[[engine]]\nname = "fake"\noptions = { substitutions = 0.2 }\n'
        '[groups]\nby = ["accent"]\nmin_speakers = 3\n',
    )
    assert run(["run", str(path), "--out", str(folder / "run"), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "60 of 60 rows" in out
    for name in (
        "run.json",
        "hypotheses.parquet",
        "scores.parquet",
        "ledger.csv",
        "disparity.csv",
        "gaps.csv",
        "report.md",
        "report.html",
    ):
        assert (folder / "run" / name).stat().st_size > 0, name


def test_an_unknown_covariate_is_refused_before_anything_is_transcribed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours of transcription do not end in a misspelt name: exit 2, the nearest name, no journal."""
    make_manifest(tmp_path, 4, audio=True)
    (tmp_path / "suite.toml").write_text(
        '[suite]\nname = "s"\nmanifest = "manifest.csv"\n[[engine]]\nname = "fake"\n'
        '[groups]\nby = ["accent"]\n[statistics]\nadjust = ["lenght"]\n'
    )
    assert 2 == run(["run", str(tmp_path / "suite.toml"), "--out", str(tmp_path / "run")])
    message = capsys.readouterr().err
    assert "lenght" in message
    assert "length" in message
    assert not (tmp_path / "run").exists()
