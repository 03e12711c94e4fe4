"""Everything that ``asrfair manifest validate`` finds, with its line, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrfair.cli.main import run
from asrfair.data.manifest import Problem, inspect_manifest, problems

CARD = """
[manifest]
name = "x"
table = "t.csv"
licence = "CC0"
consent = "given"
[attributes.accent]
provenance = "self-reported"
"""


def _manifest(folder: Path, header: str, *rows: str, card: str = CARD) -> Path:
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    (folder / "card.toml").write_text(card, encoding="utf-8")
    return folder / "card.toml"


def _found(path: Path, *, audio: bool = True) -> list[Problem]:
    return problems(inspect_manifest(path), audio=audio)


def _tone(path: Path, seconds: float, *, channels: int = 1, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.sin(np.arange(int(seconds * rate)) / 5)
    soundfile.write(path, np.repeat(samples[:, None], channels, axis=1), rate)
    return path


def test_a_sound_manifest_has_no_problems(tmp_path: Path) -> None:
    """Nothing is said where nothing is wrong."""
    _tone(tmp_path / "a.wav", 1.0)
    path = _manifest(
        tmp_path, "utterance_id,speaker_id,reference,audio,duration_s,accent", "u1,s1,hello there,a.wav,1.0,us"
    )
    assert [] == _found(path)


@pytest.mark.parametrize(
    ("cells", "column", "words", "severity"),
    [
        ("none.wav,,,", "audio", "not there", "error"),
        ("folder,,,", "audio", "not a file", "error"),
        ("text.wav,,,", "audio", "cannot be read", "error"),
        ("cut.flac,,,", "audio", "cannot be read|breaks off", "error"),
        ("empty.wav,,,", "audio", "empty", "error"),
        ("a.wav,0.5,1.5,", "end_s", "beyond the end", "error"),
        ("a.wav,3,,", "start_s", "beyond the end", "error"),
        ("a.wav,,,1", "channel", "1 channel, counted from 0", "error"),
    ],
)
def test_audio_that_cannot_be_used_is_found(tmp_path: Path, cells: str, column: str, words: str, severity: str) -> None:
    """Missing, unreadable, empty and too short audio are errors; in an excluded row they are warnings."""
    import re

    _tone(tmp_path / "a.wav", 1.0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.wav").write_text("this is not audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    whole = _tone(tmp_path / "whole.flac", 3.0)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 48_000)
    soundfile.write(whole, noise, 16_000)
    (tmp_path / "cut.flac").write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    header = "utterance_id,speaker_id,reference,audio,start_s,end_s,channel,exclude,accent"
    path = _manifest(tmp_path, header, "u1,s1,x,a.wav,0,0.4,0,,us", f"u2,s2,x,{cells},,us", f"u3,s2,x,{cells},bad,us")
    found = [problem for problem in _found(path) if "earlier row" not in problem.message]
    assert [(3, column, severity), (4, column, "warning")] == [(p.row, p.column, p.severity) for p in found]
    assert re.search(words, found[0].message)
    assert [] == [problem for problem in _found(path, audio=False) if problem.severity == "error"]


@pytest.mark.parametrize(
    ("header", "rows", "column", "words"),
    [
        ("reference", ["hello", " "], "reference", "is empty"),
        ("reference", ["hello", "<X>"], "reference", "nothing but mark-up"),
        ("reference", ["hello", "well <LAUGH> no"], "reference", "mark-up is still"),
        ("reference", ["hello", '"two\nlines"'], "reference", "line breaks"),
        ("reference", ["hello", "a\u202eb"], "reference", "invisible"),
        ("reference,audio", ["hello,a.wav", "yes,"], "audio", "no audio, others have"),
        ("reference,audio,end_s", ["hello,a.wav,", "yes,,1"], "audio", "times but no audio"),
        ("reference,audio", ["hello,a.wav", "hello,a.wav"], "audio", "same stretch"),
        ("reference,duration_s", ["hello,1", "a b c d e f g h,0.5"], "duration_s", "8 words in 0.5 s"),
        ("reference,end_s,duration_s", ["hello,1,1", "hello,2,1"], "duration_s", "not that of the segment"),
        ("reference,accent", ["hello,us", "hello,US"], "accent", "only in case or spaces"),
        ("reference,accent", ["hello,us", 'hello,"us, uk"'], "accent", "several values"),
        ("reference,accent", ["hello,us", "hello,a × b"], "accent", "joins the groups"),
        ("reference,accent", ["hello,us", "hello,\x1b[2Jx"], "accent", "control"),
    ],
)
def test_doubtful_rows_are_warned_of(tmp_path: Path, header: str, rows: list[str], column: str, words: str) -> None:
    """Each stands with its line and column, and none of them makes the manifest unusable."""
    card = CARD + "[reference]\nremove = ['<X>']\n"
    if "accent" not in header:
        card = card.replace('[attributes.accent]\nprovenance = "self-reported"\n', "")
    path = _manifest(
        tmp_path, f"utterance_id,speaker_id,{header}", *(f"u{i},s{i},{row}" for i, row in enumerate(rows)), card=card
    )
    found = [problem for problem in _found(path, audio=False) if problem.row is not None]
    assert [(3, column, "warning")] == [(problem.row, problem.column, problem.severity) for problem in found]
    assert words in found[0].message
    assert found[0].remedy


def test_a_speaker_with_two_accents_is_found(tmp_path: Path) -> None:
    """The row that contradicts is named with both values; an attribute of utterances may differ."""
    header = "utterance_id,speaker_id,reference,accent"
    rows = ["u1,s1,x,us", "u2,s1,x,", "u3,s1,x,uk", "u4,s2,x,us"]
    found = [p for p in _found(_manifest(tmp_path, header, *rows), audio=False) if p.row]
    assert [(4, "accent", "us | uk (speaker s1)")] == [(p.row, p.column, p.value) for p in found]
    card = CARD + 'level = "utterance"\n'
    assert [] == [p for p in _found(_manifest(tmp_path, header, *rows, card=card), audio=False) if p.row]


def test_values_that_the_card_does_not_have_are_found(tmp_path: Path) -> None:
    """Where the card lists an attribute's values, every other value is a problem in every row."""
    card = CARD + 'values = ["us", "uk"]\n'
    path = _manifest(
        tmp_path, "utterance_id,speaker_id,reference,accent", "u1,s1,x,us", "u2,s2,x,uuk", "u3,s3,x,uuk", card=card
    )
    assert [3, 4] == [p.row for p in _found(path, audio=False) if "card's values" in p.message]


def test_what_the_card_does_not_say_is_found(tmp_path: Path) -> None:
    """Licence, consent and provenance are asked for; an inferred attribute is pointed out."""
    card = '[manifest]\nname = "x"\ntable = "t.csv"\n[attributes.race]\nprovenance = "inferred"\n'
    path = _manifest(tmp_path, "utterance_id,speaker_id,reference,race,accent", "u1,s1,x,a,b", card=card)
    columns = {problem.column for problem in _found(path, audio=False)}
    assert {"manifest.licence", "manifest.consent", "attributes.race", "attributes.accent"} <= columns


def test_quotes_in_a_tsv_are_pointed_out(tmp_path: Path) -> None:
    """A TSV written with quotes keeps them as characters, and the reader is told."""
    path = tmp_path / "t.tsv"
    path.write_text('utterance_id\tspeaker_id\treference\nu\ts\t"hello"\n')
    assert ["the reference is quoted, and in a TSV quotation marks are characters"] == [
        problem.message for problem in _found(path, audio=False) if problem.row
    ]


def test_every_problem_is_listed_and_errors_exit_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred wrong rows are a hundred problems, each with its line, on the terminal and as JSON."""
    rows = [f"u,s{i},x,../a{i}.wav,us" for i in range(100)]
    path = _manifest(tmp_path, "utterance_id,speaker_id,reference,audio,accent", *rows)
    assert 2 == run(["manifest", "validate", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert 100 == sum("leaves the manifest's folder" in line for line in lines)
    assert 99 == sum("the same id" in line for line in lines)
    assert f"{tmp_path / 't.csv'}:101: error: " in lines[-2]
    assert 2 == run(["manifest", "validate", str(path), "--json"])
    listing = json.loads(capsys.readouterr().out)
    assert (100, 199) == (listing["rows"], listing["errors"])
    assert {"file", "row", "column", "value", "message", "remedy", "severity"} == set(listing["problems"][0])


def test_a_card_that_cannot_be_read_is_a_problem_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stops reading altogether is listed like the rest."""
    path = _manifest(
        tmp_path, "utterance_id,speaker_id,reference", "u,s,x", card="[manifest]\nname = 1\ntable = 't.csv'\n"
    )
    assert 2 == run(["manifest", "validate", str(path), "--json"])
    listing = json.loads(capsys.readouterr().out)
    assert [(2, "manifest.name")] == [(problem["row"], problem["column"]) for problem in listing["problems"]]


def test_warnings_alone_exit_with_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest that can be used passes, with its warnings shown."""
    path = _manifest(tmp_path, "utterance_id,speaker_id,reference,accent", "u,s,,us")
    assert 0 == run(["manifest", "validate", str(path)])
    assert "0 errors, 2 warnings" in capsys.readouterr().out


def test_hostile_cells_are_shown_harmlessly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No escape sequence, mark-up or right-to-left sign of a table reaches the terminal."""
    path = _manifest(
        tmp_path, "utterance_id,speaker_id,reference,accent", "\x1b[31mu\u202e,s,[red]x,us", "u,s\x07,<b>x</b>,[bold]uk"
    )
    assert 2 == run(["manifest", "validate", str(path)])
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert r"\x1b[31mu\u202e" in out


@pytest.mark.shared
@pytest.mark.parametrize("corpus", ["fsdd", "speechocean762", "small_speech", "edacc", "artie_bias"])
def test_the_shared_corpora_are_usable(shared_data: Path, corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Real tables and real audio have no errors; EdAcc's remaining tags are pointed out."""
    assert 0 == run(["manifest", "validate", str(shared_data / corpus / "manifest.csv")])
    out = capsys.readouterr().out
    assert " 0 errors" in out
    assert (corpus == "edacc") == ("'<NO-SPEECH>'" in out)
