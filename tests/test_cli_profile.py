"""Tests of ``asrfair profile``: list, show, check, render."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from acoustics_helpers import write_profile

from asrfair.acoustics import list_further_profiles, list_profiles
from asrfair.cli.main import run

NOISE = '[[effect]]\nuse = "noise"\nsource = "pink"\nsnr_db = 10\n'


def test_list_names_every_profile(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a profile, the places first, and how many there are."""
    assert 0 == run(["profile", "list"])
    out = capsys.readouterr().out
    for path in [*list_profiles(), *list_further_profiles()]:
        assert f"\n{path.stem} " in f"\n{out}"
    assert f"{len(list_profiles())} profiles of places, {len(list_further_profiles())} others" in out


def test_list_as_json_with_own_profiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of one's own is listed with the shipped ones."""
    write_profile(tmp_path, NOISE, name="my-lobby")
    assert 0 == run(["profile", "list", "--json", "--profiles", str(tmp_path)])
    rows = json.loads(capsys.readouterr().out)
    assert {"imaging-floor", "my-lobby"} <= {row["name"] for row in rows}


def test_show_says_what_why_and_from_where(capsys: pytest.CaptureFixture[str]) -> None:
    """The chain with its numbers, the reasons, references and licence."""
    assert 0 == run(["profile", "show", "imaging-floor@severe"])
    out = capsys.readouterr().out
    for part in (
        "frequency_hz = 118",
        "rate_hz = 1.2",
        "snr_db = 8",
        "weighting = A",
        "Why these numbers",
        "References",
        "Licence",
    ):
        assert part in out
    assert 0 == run(["profile", "show", "imaging-floor@severe", "--json"])
    described = json.loads(capsys.readouterr().out)
    assert ("imaging-floor", "severe", 8) == (
        described["profile"],
        described["severity"],
        described["chain"][0]["parameters"]["snr_db"],
    )


def test_show_refuses_what_is_no_profile(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name and ``clean`` are answered in a sentence."""
    assert 2 == run(["profile", "show", "clean"])
    assert 2 == run(["profile", "show", "imaging-flor"])
    assert "Did you mean 'imaging-floor'" in capsys.readouterr().err


def test_check_passes_all_shipped_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    """Every shipped profile is sound in every severity."""
    assert 0 == run(["profile", "check", *(str(path) for path in list_profiles())])
    assert len(list_profiles()) == capsys.readouterr().out.count("ok ")


def test_check_names_what_is_wrong_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong file, a warning and a sound file in one call: each gets its line; the exit code is 2."""
    wrong = write_profile(tmp_path, NOISE.replace("10", "1000"), name="wrong")
    soundfile.write(tmp_path / "n.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 16_000)
    short = write_profile(
        tmp_path, '[[effect]]\nuse = "noise"\nsource = "file"\nfile = "n.wav"\nsnr_db = 1', name="short"
    )
    assert 2 == run(["profile", "check", str(wrong), str(short), "street"])
    out = capsys.readouterr().out
    assert "wrong.toml:10" in out
    assert "warning: noise: n.wav is shorter than a second" in out
    assert "ok     street" in out
    assert 2 == run(["profile", "check", "--json", str(wrong), "street"])
    assert [False, True] == [row["error"] is None for row in json.loads(capsys.readouterr().out)]


def test_text_from_files_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences in a description are shown, not sent."""
    path = write_profile(tmp_path, NOISE)
    path.write_text(path.read_text().replace("a test", "\\u001b[31mred"))
    assert 0 == run(["profile", "show", str(path)])
    assert 0 == run(["profile", "list", "--profiles", str(tmp_path)])
    assert "\x1b[31m" not in capsys.readouterr().out


def test_render_writes_sound_picture_and_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A demo utterance into two places: WAV, PNG and JSON each, and a contact sheet."""
    assert 0 == run(["profile", "render", "imaging-floor", "street@severe", "--out", str(tmp_path)])
    written = capsys.readouterr().out.split()
    assert 7 == len(written)
    for name in written:
        assert Path(name).is_file()
    assert ["contact-sheet.png"] == [Path(name).name for name in written if "contact" in name]
    wav = next(Path(name) for name in written if name.endswith("imaging-floor.wav"))
    samples, rate = soundfile.read(wav)
    assert 16_000 == rate
    assert len(samples) > rate
    achieved = json.loads(wav.with_suffix(".json").read_text())
    assert 19.0 == pytest.approx(achieved["noise.snr_a_db"], abs=0.1)
    assert b"\x89PNG" == wav.with_suffix(".png").read_bytes()[:4]


def test_render_takes_a_recording_of_ones_own(tmp_path: Path) -> None:
    """A stereo file at 44.1 kHz with an odd name is rendered under a tame one."""
    audio = tmp_path / "my ré$cording.wav"
    soundfile.write(audio, 0.1 * np.random.default_rng(0).standard_normal((30_000, 2)), 44_100)
    assert 0 == run(["profile", "render", "factory", "--audio", str(audio), "--out", str(tmp_path / "out")])
    assert {"my_r__cording--factory.wav", "my_r__cording--factory.png", "my_r__cording--factory.json"} == {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no condition is named"),
        (["street", "--utterance", "nobody"], "no such utterance"),
        (["street", "--audio", "none.wav"], "none.wav"),
        (["street", "--audio", "none.wav", "--utterance", "x"], "Give one of the two"),
    ],
)
def test_render_says_what_is_missing(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong arguments exit with 2 and a sentence."""
    assert 2 == run(["profile", "render", *arguments, "--out", str(tmp_path)])
    assert message in capsys.readouterr().err
