"""Kits without audio, with digits, with other tables and sheets: the paths that nobody had walked to the end."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from asrfair.cli.main import run
from asrfair.errors import InputError
from asrfair.lastmile.check import check_kit
from asrfair.lastmile.export import make_export
from asrfair.lastmile.kit import init_kit, read_speakers
from asrfair.lastmile.run_kit import run_kit
from asrfair.lastmile.settings import Kit, read_kit

SENTENCES = "please lie still for the scan\nhold your breath until I tell you\ntake two tablets in the evening\n"


def transcripts_kit(folder: Path, sentences: str = SENTENCES, people: int = 6, words: str = "") -> Kit:
    """A kit whose transcripts exist already; one word of each second sentence is wrong."""
    (folder / "read.txt").write_text(sentences, encoding="utf-8")
    (folder / "words.txt").write_text(words, encoding="utf-8")
    vocabulary = folder / "words.txt" if words else None
    made = init_kit(folder / "kit", sentences=folder / "read.txt", vocabulary=vocabulary, speakers=people)
    kit = folder / "kit"
    text = (kit / "kit.toml").read_text(encoding="utf-8")
    text = text.replace('name = "pocketsphinx"', 'name = "precomputed"')
    text = text.replace("options = {}", 'options = { file = "transcripts.csv" }')
    (kit / "kit.toml").write_text(text, encoding="utf-8")
    names = [f"speaker-{number:02d}" for number in range(1, people + 1)]
    pd.DataFrame({"speaker_id": names, "accent": "local", "gender": ["female", "male"] * (people // 2)}).to_csv(
        kit / "speakers.csv", index=False
    )
    rows = [
        (f"{name}/{prompt.prompt_id}", prompt.text if place % 2 else prompt.text.replace("the", "a"))
        for name in names
        for place, prompt in enumerate(made.prompts)
    ]
    pd.DataFrame(rows, columns=["utterance_id", "hypothesis"]).to_csv(kit / "transcripts.csv", index=False)
    return read_kit(kit)


def test_transcripts_only_go_all_the_way_to_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kit with transcripts and not one recording: run, report, export; no audio is asked for, and no code guessed."""
    kit = transcripts_kit(tmp_path, words="scan\nthe\n")
    assert 0 == run(["lastmile", "run", str(kit.folder), "--no-benchmark", "--workers", "1"])
    capsys.readouterr()
    assert 0 == run(["lastmile", "report", str(kit.folder)])
    report = capsys.readouterr().out
    assert "never came through: " in report
    assert "custom vocabulary" in report
    assert [] == [item for item in check_kit(kit).findings if item.kind == "missing"]
    made = make_export(kit)
    assert 6 == len({row[3] for row in made.body["rows"]})
    assert [] == made.body["acoustics"]
    out = tmp_path / "counts.json"
    assert 2 == run(["lastmile", "export", str(kit.folder), "--out", str(out), "--sign-off", "000000000000"])
    assert not out.exists()
    assert 0 == run(["lastmile", "export", str(kit.folder), "--out", str(out), "--sign-off", made.code])
    assert 1 == json.loads(out.read_text(encoding="utf-8"))["body"]["release"]


def test_another_rule_of_scoring_transcribes_nothing_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After the normalizer was changed, the same transcripts are counted by the new one; the journal stays."""
    kit = transcripts_kit(tmp_path)
    run_kit(kit, workers=1, progress=False, benchmark=False, html=False)
    journal = kit.run_folder("room") / "journal.sqlite"
    before = journal.stat().st_ino
    said: list[str] = []
    text = (kit.folder / "kit.toml").read_text(encoding="utf-8")
    (kit.folder / "kit.toml").write_text(text.replace('"whisper-english"', '"basic"'), encoding="utf-8")
    done = run_kit(read_kit(kit.folder), workers=1, progress=False, benchmark=False, html=False, say=said.append)
    assert not [line for line in said if "begins anew" in line]
    assert before == journal.stat().st_ino
    assert (
        "basic"
        in json.loads((kit.run_folder("room") / "run.json").read_text(encoding="utf-8"))["scoring"]["normalizer"]
    )
    summary = done.results["room"].transcribe
    assert summary is not None
    assert 0 == sum(item.results for item in summary.engines.values())


def test_digits_that_become_one_number_are_noticed(tmp_path: Path) -> None:
    """Prompts of single digits under the English rules: said before anything is counted, with the remedy."""
    digits = "four seven one nine five\ntwo eight zero three six\nnine five two seven four\n"
    kit = transcripts_kit(tmp_path, digits)
    done = run_kit(kit, workers=1, progress=False, benchmark=False, html=False)
    (note,) = [text for text in done.notes if "digit" in text]
    assert "15 words" in note
    assert "count 3" in note
    assert 'normalizer = "basic"' in note


def test_plain_sentences_are_not_taken_for_digits(tmp_path: Path) -> None:
    """Ordinary sentences lose no words by the rules, and nothing is said."""
    assert not [item for item in check_kit(transcripts_kit(tmp_path)).findings if item.kind == "merged_words"]


def test_tables_as_spreadsheets_in_other_countries_write_them(tmp_path: Path) -> None:
    """Semicolons, and the letters of Windows: read as they are meant."""
    kit = transcripts_kit(tmp_path)
    text = 'speaker_id;accent;gender\r\nspeaker-01;"local; north";female\r\nJürgen;Süd;male\r\n'
    (kit.folder / "speakers.csv").write_bytes(text.encode("cp1252"))
    table = read_speakers(kit)
    assert ["speaker-01", "Jürgen"] == table["speaker_id"].tolist()
    assert ["local; north", "Süd"] == table["accent"].tolist()


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "hi", "zh"])
def test_sheets_are_in_the_language_that_they_say(tmp_path: Path, language: str) -> None:
    """Every language that ships has every text; the page says the language that its words are in."""
    made = init_kit(tmp_path / "kit")
    text = (made.kit.folder / "kit.toml").read_text(encoding="utf-8")
    (made.kit.folder / "kit.toml").write_text(
        text.replace('language = "en"', f'language = "{language}-XX"'), encoding="utf-8"
    )
    made = init_kit(made.kit.folder)
    assert language == made.language
    for name in ("CONSENT", "INSTRUCTIONS"):
        page = (made.kit.folder / f"{name}.html").read_text(encoding="utf-8")
        assert f'<html lang="{language}">' in page
        assert "{" not in page.partition("</style>")[2]
    assert (language == "en") == (
        "Consent to a recording" in (made.kit.folder / "CONSENT.md").read_text(encoding="utf-8")
    )


def test_a_language_that_does_not_ship(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """English sheets say that they are English, the command says what to do, and a file of one's own is used."""
    kit = init_kit(tmp_path / "kit").kit.folder
    text = (kit / "kit.toml").read_text(encoding="utf-8")
    (kit / "kit.toml").write_text(text.replace('language = "en"', 'language = "sw"'), encoding="utf-8")
    assert 0 == run(["lastmile", "init", str(kit)])
    assert "none ship in 'sw'" in capsys.readouterr().out
    assert '<html lang="en">' in (kit / "CONSENT.html").read_text(encoding="utf-8")
    english = init_kit(kit).template.read_text(encoding="utf-8")
    own = english.replace('language = "en"', 'language = "sw"').replace("Consent to a recording", "Idhini ya kurekodi")
    (kit / "sheets.toml").write_text(own, encoding="utf-8")
    assert 0 == run(["lastmile", "init", str(kit)])
    assert "none ship" not in capsys.readouterr().out
    assert "Idhini ya kurekodi" in (kit / "CONSENT.html").read_text(encoding="utf-8")
    (kit / "sheets.toml").write_text(own.replace("intro =", "intrro ="), encoding="utf-8")
    with pytest.raises(InputError, match="intro"):
        init_kit(kit)


def test_consent_says_which_sheet_was_signed(tmp_path: Path) -> None:
    """The manifest of a run names the sheet's language and its hash."""
    kit = transcripts_kit(tmp_path)
    run_kit(kit, workers=1, progress=False, benchmark=False, html=False)
    card = (kit.folder / "work" / "room.toml").read_text(encoding="utf-8")
    assert "signed on the sheet CONSENT (en), SHA-256 " in card
