"""The room: how loud it is taken to be, and the benchmark speech that ships, put into it, without anybody's recording."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asrfair.cli.lastmile import lastmile
from asrfair.data.resources import shipped
from asrfair.errors import InputError
from asrfair.lastmile.kit import init_kit
from asrfair.lastmile.measure_recording import measure
from asrfair.lastmile.room_profile import USUAL_SNR_DB, make_room, measured_snr_db
from asrfair.lastmile.settings import Kit, read_kit

RATE = 16_000
ENGINE = """\
name = "fake"
options = { deletions = 0.05, needs_audio = true, conditions = { "our-room@moderate" = { deletions = 0.3 } } }
"""


def call(*arguments: object) -> str:
    """Run the command line; return what it printed."""
    done = CliRunner().invoke(lastmile, [str(one) for one in arguments], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.output


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    """A kit with a minute of a humming room and no person."""
    made = init_kit(tmp_path / "kit", speakers=2).kit
    rng = np.random.default_rng(1)
    hum = 0.005 * (rng.normal(size=60 * RATE) + np.sin(2 * np.pi * 100 * np.arange(60 * RATE) / RATE))
    soundfile.write(made.room_folder / "room.wav", hum, RATE)
    return made


@pytest.mark.slow
def test_the_shipped_benchmark_runs_in_a_room_without_people(kit: Kit, tmp_path: Path) -> None:
    """120 synthetic clips in quiet and in the room: a report in plain words, and an export of nobody's counts."""
    path = kit.folder / "kit.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('name = "pocketsphinx"\noptions = {}\n', ENGINE), encoding="utf-8")
    assert "a guess" in call("noise", kit.folder)
    shown = call("run", kit.folder, "--workers", 1)
    assert "240 recordings for the recogniser" in shown
    assert "There is no usable recording of people yet" in shown
    assert "benchmark: 240 recordings were scored" in shown
    report = call("report", kit.folder)
    assert "synthetic" in report
    assert "more words in 100 go wrong than in quiet" in report
    assert "“" not in report.partition("What to do")[0], "no group of synthetic voices is named in short"
    exports = []
    for name in ("first", "second"):
        out = tmp_path / f"{name}.json"
        call("export", kit.folder, "--out", out, "--sign-off", call("export", kit.folder).split()[-1])
        exports.append(json.loads(out.read_text(encoding="utf-8"))["body"])
        for kept in (".site-key", ".releases", "exports.jsonl"):  # a kit that was never released from: another site
            (kit.folder / kept).unlink()
    assert {"demo"} == {row[0] for row in exports[0]["rows"]}
    assert exports[0]["rows"] == exports[1]["rows"]
    assert exports[0]["site"] != exports[1]["site"]
    assert "nothing about people" in call("merge", tmp_path / "first.json", "--out", tmp_path / "pooled")


def speak(kit: Kit, noise: Callable[[int], np.ndarray], snr_db: float) -> None:
    """Record ten sentences of the shipped voices over a noise."""
    for number, path in enumerate(sorted((shipped("manifests") / "demo" / "audio").glob("*.flac"))[:10]):
        samples, rate = soundfile.read(path, dtype="float32")
        level = measure(path).level_dbfs
        assert level is not None
        sound = noise(len(samples))
        sound *= 10 ** ((level - snr_db) / 20) / np.sqrt(np.mean(sound**2))
        target = kit.recordings / f"speaker-{1 + number % 2:02d}" / f"{1 + number // 2:02d}.wav"
        soundfile.write(target, samples + sound, rate)


@pytest.mark.slow
@pytest.mark.parametrize("snr_db", [10.0, 20.0])
def test_the_room_is_as_loud_as_the_recordings_say(kit: Kit, snr_db: float) -> None:
    """Speech over a known noise gives its ratio back within 4 dB; kit.toml wins over what is measured."""
    assert measured_snr_db(kit) is None
    assert USUAL_SNR_DB == make_room(kit).snr_db
    speak(kit, np.random.default_rng(2).standard_normal, snr_db)
    room = make_room(kit, overwrite=True)
    assert abs(room.snr_db - snr_db) <= 4
    assert f"snr_db = {room.snr_db:.0f}" in room.made.profile.read_text(encoding="utf-8")
    path = kit.folder / "kit.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("# snr_db = 12.0", "snr_db = 17.0"), encoding="utf-8")
    assert 17.0 == make_room(read_kit(kit.folder), overwrite=True).snr_db
    with pytest.raises(InputError, match="overwrite"):
        make_room(kit)
