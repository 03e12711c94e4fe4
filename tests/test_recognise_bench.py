"""``asrfair bench`` and ``asrfair doctor``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asrfair.cli.bench import parse_option
from asrfair.cli.main import run as command
from asrfair.errors import EngineError, InputError
from asrfair.recognise.bench import bench, lognormal_lengths
from asrfair.types import EngineSpec


def test_lengths_are_seeded_and_lognormal() -> None:
    """The same seed gives the same lengths; their median is what was asked for, and all are within 0.5–30 s."""
    lengths = lognormal_lengths(4000, median_s=5.0, sigma=0.6, seed=3)
    assert np.array_equal(lengths, lognormal_lengths(4000, median_s=5.0, sigma=0.6, seed=3))
    assert np.median(lengths) == pytest.approx(5.0, rel=0.05)
    assert (lengths.min() >= 0.5, lengths.max() <= 30.0) == (True, True)


def test_an_engine_is_measured_in_its_batches(tmp_path: Path) -> None:
    """Batches and padding are those of a run's plan; decoding costs something; random weights are marked."""
    spec = EngineSpec(name="transcribe_child:Listening", label="x", options={"max_batch": 4})
    found = bench(spec, tmp_path, lengths_s=[1.0, 0.5, 1.0, 0.5, 1.0, 1.0, 0.5, 0.5])
    assert (8, 2, 6.0, 1.0) == (found.utterances, found.batches, found.audio_s, found.padding_efficiency)
    assert found.rtfx > found.rtfx_with_decoding > 0
    assert not found.meaningless


def test_engines_that_hear_nothing_or_fail_are_not_measured(tmp_path: Path) -> None:
    """There is no speed without audio, nor where every clip is an error."""
    with pytest.raises(EngineError, match="hears nothing"):
        bench(EngineSpec(name="fake", label="x"), tmp_path, lengths_s=[1.0])
    failing = EngineSpec(name="command", label="x", options={"command": ["false", "{audio}"]})
    with pytest.raises(EngineError, match="failed: "):
        bench(failing, tmp_path, lengths_s=[1.0])


def test_the_command_prints_the_speed(capsys: pytest.CaptureFixture[str]) -> None:
    """PocketSphinx on two generated clips: a JSON object with both speeds; wrong options are refused."""
    arguments = ["bench", "pocketsphinx", "--utterances", "2", "--median-s", "0.6", "--sigma", "0"]
    assert 0 == command([*arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["rtfx"] > 0
    assert found["rtfx_with_decoding"] > 0
    assert 2 == command([*arguments, "--random-weights"])
    assert "random_weights" in capsys.readouterr().err


def test_options_are_toml_or_text() -> None:
    """Numbers, lists and tables are read as in a suite, anything else is text."""
    assert ("max_batch", 8) == parse_option("max_batch=8")
    assert ("generate", {"language": "en"}) == parse_option('generate={language = "en"}')
    assert ("model", "some/folder") == parse_option("model=some/folder")
    with pytest.raises(InputError, match="NAME=VALUE"):
        parse_option("max_batch")


def test_the_doctor_finds_this_machine_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """All codecs work, and one second of the demo corpus is heard."""
    assert 0 == command(["doctor", "--json"])
    found = {item["what"]: item for item in json.loads(capsys.readouterr().out)}
    assert found["one second of speech"]["good"] is True
    assert found["codec OGG/OPUS"]["good"] is True
    assert found["numpy"]["good"] is True


def test_licences_are_listed_and_soxr_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    """Every package that asrfair leads to has a licence, and the LGPL of the resampler is said."""
    assert 0 == command(["doctor", "--licences", "--json"])
    found = {item["package"]: item for item in json.loads(capsys.readouterr().out)}
    assert {"asrfair", "numpy", "pandas", "soundfile", "jiwer"} <= set(found)
    assert all(item["licence"] and item["version"] for item in found.values())
    assert "LGPL" in found["soxr"]["licence"] + found["soxr"]["note"]
