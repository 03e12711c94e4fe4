"""Tests of ``profile make``: speech is cut out, hum and knock are measured, what cannot be used is refused."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from acoustics_helpers import RATE, real_speech, renderer, synthetic_speech
from hypothesis import given, settings
from hypothesis import strategies as st

from asrfair.acoustics import parse_condition
from asrfair.acoustics.room.beats import find_beat
from asrfair.acoustics.room.make_profile import describe, make_profile
from asrfair.acoustics.room.noise_analysis import Ear
from asrfair.acoustics.room.speech_detection import speech_stretches
from asrfair.acoustics.room.usable_noise import listen
from asrfair.cli.main import run
from asrfair.errors import InputError

LEVEL = 0.03


def _hum(seconds: float, frequency_hz: float = 118.0, *, rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return sum(np.sin(2 * np.pi * frequency_hz * k * time + k * k) / k for k in range(1, 7))


def _knock(seconds: float, rate_hz: float = 1.4, *, rate: int = RATE, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = np.zeros(round(seconds * rate) + rate)
    time = np.arange(rate // 3) / rate
    for begin in np.arange(0, seconds, 1 / rate_hz):
        sound = sum(np.exp(-time / 0.04) * np.sin(2 * np.pi * f * time) for f in (180, 430, 900))
        sound = sound + np.exp(-time / 0.01) * rng.standard_normal(time.size)
        at = round(begin * rate)
        noise[at : at + time.size] += sound
    return noise[: round(seconds * rate)]


def _floor(seconds: float, *, rate: int = RATE, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * rate))


def _scaled(samples: np.ndarray, level: float = LEVEL) -> np.ndarray:
    return level * samples / np.sqrt(np.mean(samples**2))


def _room(seconds: float, *, rate: int = RATE) -> np.ndarray:
    return _scaled(0.3 * _hum(seconds, rate=rate) + _knock(seconds, rate=rate) + 0.05 * _floor(seconds, rate=rate))


def _write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def _sentences(shared_data: Path) -> list[tuple[str, np.ndarray]]:
    """Return real sentences of 2.5 to 9 s by native and Indian English speakers, at 16 kHz."""
    with (shared_data / "small_speech" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if 2.5 < float(r["duration"]) < 9 and r["sample_rate"] == "16000"]
    return [
        (row["utt_id"], soundfile.read(shared_data / "small_speech" / row["audio_path"], dtype="float64")[0])
        for row in rows
    ]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(("rate", "snr_db"), [(16_000, 15.0), (44_100, 5.0), (48_000, 0.0)])
def test_hum_and_knock_are_reported_and_the_sentence_is_cut_out(
    shared_data: Path, tmp_path: Path, rate: int, snr_db: float
) -> None:
    """Hum at 118 Hz, a knock 1.4 times a second, a real sentence in the middle: both within 2 %, no word left."""
    for name, speech in _sentences(shared_data)[:3]:
        seconds, begin = 40.0, 17.0
        recording = _room(seconds, rate=rate)
        spoken = soxr.resample(_scaled(speech, LEVEL * 10 ** (snr_db / 20)), RATE, rate)
        at = round(begin * rate)
        recording[at : at + spoken.size] += spoken
        recording *= min(1.0, 0.9 / np.abs(recording).max())
        path = _write(tmp_path / f"{name}.wav", recording, rate)
        made = make_profile([path], "my-floor", tmp_path / name, place="a test")
        noise = made.heard.noise
        assert 118.0 == pytest.approx(noise.tones[0].frequency_hz, rel=0.02)
        assert noise.tones[0].harmonic_of_hz is None
        assert all(t.harmonic_of_hz == noise.tones[0].frequency_hz for t in noise.tones[1:])
        assert noise.beats
        assert 1.4 == pytest.approx(noise.beats[0].rate_hz, rel=0.02)
        # What is loud enough of the sentence to be understood lies in a refused stretch, and little else does.
        power = np.convolve(speech**2, np.ones(320) / 320, mode="same")
        words = begin + np.flatnonzero(power > 0.01 * power.max()) / RATE
        for stretch in made.heard.usable:
            assert not np.any((words > stretch.start_s) & (words < stretch.end_s))
        assert {"speech"} == {s.reason for s in made.heard.refused}
        assert sum(s.duration_s for s in made.heard.refused) < speech.size / RATE + 4.5
        for cut in made.cuts:
            samples, cut_rate = soundfile.read(cut)
            assert rate == cut_rate
            assert [] == speech_stretches(samples, cut_rate)
        assert made.picture.stat().st_size > 20_000


@pytest.mark.shared
def test_what_is_made_is_a_profile_that_renders(shared_data: Path, tmp_path: Path) -> None:
    """The written file passes the check without warnings and gives the SNR asked for, at all its severities."""
    path = _write(tmp_path / "day.wav", _room(40))
    made = make_profile([path], "day", tmp_path / "out", snr_db=9, licence="ours", description="A day.")
    data = tomllib.loads(made.profile.read_text(encoding="utf-8"))
    assert "ours" == data["profile"]["licence"]
    assert "118.0 Hz" in data["profile"]["reasons"]
    assert str(tmp_path) not in made.profile.read_text(encoding="utf-8")
    clip, speaker = real_speech(shared_data, 1)[0]
    for severity, snr_db in (("mild", 15.0), ("moderate", 9.0), ("severe", 3.0)):
        place = parse_condition(f"{made.profile}@{severity}")
        assert () == place.warnings
        found = renderer(place).render(clip, place, speaker)
        assert snr_db == pytest.approx(float(found.achieved["noise.snr_db"]), abs=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["doing_the_dishes", "exercise_bike", "running_tap", "pink_noise"])
def test_recorded_noise_without_speech_is_used_whole(shared_data: Path, name: str) -> None:
    """Four real recordings: nothing in them is taken for a voice."""
    heard = listen([shared_data / "noise" / f"{name}.wav"])
    assert () == heard.refused
    assert heard.recordings[0].duration_s == pytest.approx(sum(s.duration_s for s in heard.usable))


@pytest.mark.parametrize(
    ("frequency_hz", "rate_hz"), [(49.9, 0.7), (60.0, 1.0), (118.0, 1.4), (237.0, 2.5), (1000.0, 5.0), (3150.0, 8.0)]
)
def test_tones_and_beats_are_within_two_percent(frequency_hz: float, rate_hz: float) -> None:
    """From mains hum to a whistle, from a slow pump to a rattle."""
    noise = _scaled(0.5 * _hum(30, frequency_hz) / 2 + _knock(30, rate_hz) + 0.1 * _floor(30))
    ear = Ear(30)
    ear.hear(noise.astype(np.float32), RATE)
    found = ear.result()
    nearest = min(found.tones, key=lambda t: abs(np.log(t.frequency_hz / frequency_hz)))
    assert frequency_hz == pytest.approx(nearest.frequency_hz, rel=0.02)
    assert found.beats
    assert rate_hz == pytest.approx(found.beats[0].rate_hz, rel=0.02)


def test_noise_without_tones_or_beat_has_none() -> None:
    """White and pink noise: no tone, no beat; level and third octaves as they are."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.standard_normal(60 * RATE))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(spectrum.size), 20)))
    for noise in (_floor(60), pink):
        ear = Ear(60)
        ear.hear(_scaled(noise).astype(np.float32), RATE)
        found = ear.result()
        assert () == found.tones
        assert not found.beats
        assert 20 * np.log10(LEVEL) == pytest.approx(found.level_dbfs, abs=0.01)
    inside = (found.band_hz > 100) & (found.band_hz < 5000)
    assert float(np.ptp(found.band_dbfs[inside])) < 1.0  # pink noise is flat in third octaves


def test_windows_add_up() -> None:
    """Heard in one piece or in six, at its own rate or at 48 kHz: the same tones, beat and level."""
    noise = _room(30).astype(np.float32)
    results = []
    for pieces, rate in ((1, RATE), (6, RATE), (3, 48_000)):
        samples = noise if rate == RATE else soxr.resample(noise, RATE, rate)
        ear = Ear(30)
        for piece in np.array_split(samples, pieces):
            ear.hear(piece, rate)
        results.append(ear.result())
    for other in results[1:]:
        assert results[0].level_dbfs == pytest.approx(other.level_dbfs, abs=0.1)
        assert results[0].tones[0].frequency_hz == pytest.approx(other.tones[0].frequency_hz, rel=1e-3)
        assert results[0].beats
        assert other.beats
        assert results[0].beats[0].rate_hz == pytest.approx(other.beats[0].rate_hz, rel=5e-3)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rate_hz=st.floats(0.5, 11), width=st.floats(0.005, 0.02), seed=st.integers(0, 100))
def test_the_beat_of_an_exact_autocorrelation_is_exact(rate_hz: float, width: float, seed: int) -> None:
    """A comb of bumps at multiples of the interval, with some noise: its rate within 1 %, never half of it."""
    lags = np.arange(1601) / 200
    distance = np.abs((lags * rate_hz + 0.5) % 1 - 0.5) / rate_hz
    correlation = np.exp(-0.5 * (distance / width) ** 2) + 0.02 * np.random.default_rng(seed).standard_normal(1601)
    correlation[0] = 1.0
    found = find_beat(correlation, 200.0, frames=6000)
    assert found is not None
    assert rate_hz == pytest.approx(found.rate_hz, rel=0.01)


@pytest.mark.shared
def test_speech_is_found_in_real_noise(shared_data: Path) -> None:
    """Of 40 speakers, children among them, at 10 dB over running water: all found, and nothing outside."""
    water, _ = soundfile.read(shared_data / "noise" / "running_tap.wav")
    for clip, _ in real_speech(shared_data, 20):
        samples = _scaled(water[: 16 * RATE])
        size = min(clip.samples.size, 6 * RATE)
        samples[5 * RATE : 5 * RATE + size] += _scaled(clip.samples[:size].astype(float), LEVEL * 10**0.5)
        found = speech_stretches(samples, RATE)
        assert found
        assert all(start > 4.0 and end < 6.0 + size / RATE for start, end in found)


def test_machines_are_not_voices() -> None:
    """Bursts of tones, an alarm, a siren, a spinning drum: harmonic, and none of them speech."""
    time = np.arange(20 * RATE) / RATE

    def phase(frequency: np.ndarray) -> np.ndarray:
        return 2 * np.pi * np.cumsum(frequency)

    def saw(frequency: np.ndarray | float) -> np.ndarray:
        angle = phase(np.broadcast_to(frequency, time.shape)) / RATE
        return sum(np.sin(k * angle) / k for k in range(1, 13))

    machines = {
        "knock": _knock(20),
        "bursts": saw(160.0) * ((time % 0.7) < 0.2),
        "two tones": saw(np.where((time % 1.4) < 0.7, 160.0, 233.0)) * ((time % 0.7) < 0.2),
        "alarm": np.sin(phase(np.where((time % 1) < 0.5, 440.0, 660.0)) / RATE) * ((time % 0.5) < 0.3),
        "siren": saw(300 + 150 * np.sin(np.pi * time)),
        "drum": saw(60 + 40 * time / 4),
        "beating": _floor(20) * (1 + 0.9 * np.sin(2 * np.pi * 4 * time)),
    }
    for name, sound in machines.items():
        samples = _scaled(_scaled(sound) + 0.05 * LEVEL * _floor(20))
        assert [] == speech_stretches(samples, RATE), name


def test_clipping_and_silence_are_refused(tmp_path: Path) -> None:
    """Each with its reason, where it is, and what is too short between two refused parts goes with them."""
    samples = _scaled(_floor(30), 0.1)
    samples[8 * RATE : 9 * RATE] = 0.0
    samples[round(10.5 * RATE) : 11 * RATE] = np.sign(samples[round(10.5 * RATE) : 11 * RATE])
    heard = listen([_write(tmp_path / "a.wav", samples)])
    found = [(s.reason, round(s.start_s, 1), round(s.end_s, 1)) for s in heard.stretches]
    assert [
        ("", 0.0, 8.0), ("silent", 8.0, 9.0), ("short", 9.0, 10.5), ("clipped", 10.5, 11.0), ("", 11.0, 30.0),
    ] == found  # fmt: skip


@pytest.mark.shared
def test_recordings_of_nothing_but_speech_are_refused(shared_data: Path, tmp_path: Path) -> None:
    """The message says how much was refused and why; nothing is written."""
    with pytest.raises(InputError, match="speech"):
        make_profile([shared_data / "small_speech" / "whisper" / "jfk.flac"], "x", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_or_named_is_refused(tmp_path: Path) -> None:
    """No file, no audio, an empty file, a bad name, a name that is taken."""
    (tmp_path / "text.wav").write_text("no audio", encoding="utf-8")
    _write(tmp_path / "empty.wav", np.zeros(0))
    for name in ("none.wav", "text.wav", "empty.wav"):
        with pytest.raises(InputError):
            listen([tmp_path / name])
    with pytest.raises(InputError):
        listen([])
    noise = _write(tmp_path / "noise.wav", _scaled(_floor(6)))
    for bad in ("A", "a b", "../x", ""):
        with pytest.raises(InputError, match="name"):
            make_profile([noise], bad, tmp_path)
    make_profile([noise], "taken", tmp_path)
    with pytest.raises(InputError, match="exists"):
        make_profile([noise], "taken", tmp_path)
    again = make_profile([noise], "taken", tmp_path, overwrite=True)
    assert any("less than 30 s" in w for w in again.warnings)


def test_several_recordings_become_one_profile(tmp_path: Path) -> None:
    """Two rates, two channels, odd names: all usable parts are cut; the description is JSON-like."""
    first = _write(tmp_path / "first \u00e4\u202e.wav", _scaled(_floor(12)))
    stereo = np.stack([_scaled(_floor(12, rate=44_100)), _scaled(_floor(12, rate=44_100, seed=5))], axis=1)
    second = _write(tmp_path / "second.wav", stereo, 44_100)
    made = make_profile([first, second], "both", tmp_path / "out")
    assert [RATE, 44_100] == [soundfile.info(c).samplerate for c in made.cuts]
    assert [1, 1] == [soundfile.info(c).channels for c in made.cuts]
    described = json.loads(json.dumps(describe(made.heard)))
    assert 24.0 == pytest.approx(described["usable_s"], abs=0.3)
    assert "\u202e" not in made.profile.read_text(encoding="utf-8")
    assert [b["centre_hz"] for b in described["third_octaves"]][-1] > 8000


def test_a_hum_in_one_of_several_recordings_is_not_lost() -> None:
    """Twelve seconds with hum and knock beside a minute without: both are still reported."""
    ear = Ear(72)
    ear.hear(_room(12).astype(np.float32), RATE, 0)
    for _ in range(2):
        ear.hear(_scaled(_floor(30)).astype(np.float32), RATE, 1)
    found = ear.result()
    assert 118.0 == pytest.approx(found.tones[0].frequency_hz, rel=0.02)
    assert found.beats
    assert 1.4 == pytest.approx(found.beats[0].rate_hz, rel=0.02)


def test_the_command_makes_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asrfair profile make: text for people, JSON for programs, exit code 2 for what is wrong."""
    noise = str(_write(tmp_path / "noise.wav", _room(20)))
    out = str(tmp_path / "out")
    assert 0 == run(["profile", "make", noise, "--name", "floor", "--out", out])
    printed = capsys.readouterr().out
    assert "118.0 Hz" in printed
    assert "1.40" in printed
    assert 0 == run(["profile", "make", noise, "--name", "other", "--out", out, "--json"])
    data = json.loads(capsys.readouterr().out)
    assert 118.0 == pytest.approx(data["tones"][0]["frequency_hz"], rel=0.02)
    assert 1.4 == pytest.approx(data["beats"][0]["rate_hz"], rel=0.02)
    assert 2 == run(["profile", "make", noise, "--name", "floor", "--out", out])
    assert "exists" in capsys.readouterr().err


def test_synthetic_syllables_with_a_standing_pitch_are_no_voice() -> None:
    """The other tests' stand-in for speech has a pitch that never moves: a machine, as it should be."""
    assert [] == speech_stretches(synthetic_speech(6.0).samples, RATE)


def _pulses(seconds: float, rate_hz: float, *, frequency_hz: float = 700.0) -> np.ndarray:
    """Short bursts at a fixed beat, of unit power."""
    time = np.arange(RATE // 20) / RATE
    pulse = np.sin(2 * np.pi * frequency_hz * time) * np.exp(-time / 0.012)
    noise = np.zeros(round(seconds * RATE) + pulse.size)
    for begin in np.arange(0.01, seconds, 1 / rate_hz):
        at = round(begin * RATE)
        noise[at : at + pulse.size] += pulse
    return _scaled(noise[: round(seconds * RATE)], 1.0)


def _beats(noise: np.ndarray) -> list[float]:
    ear = Ear(noise.size / RATE)
    ear.hear(noise.astype(np.float32), RATE)
    return sorted(beat.rate_hz for beat in ear.result().beats)


@pytest.mark.parametrize("rate_hz", [18.0, 25.0, 40.0])
def test_fast_pulses_are_reported_at_their_own_rate(rate_hz: float) -> None:
    """A scanner's 18 bursts a second are 18 and not 6; up to 40, beside a hum."""
    noise = _pulses(20, rate_hz, frequency_hz=1800) + 0.3 * _hum(20) + 0.1 * _floor(20)
    assert [rate_hz] == pytest.approx(_beats(noise), rel=0.005)


@pytest.mark.parametrize("rates", [(1.2, 1.7), (1.2, 7.5), (1.2, 18.0), (2.0, 3.1), (5.0, 18.0)])
def test_two_trains_are_both_found(rates: tuple[float, float]) -> None:
    """A knock and pulses at another rate, a whole multiple of the knock's among them."""
    noise = _scaled(_knock(30, rates[0]), 1.0) + 0.7 * _pulses(30, rates[1], frequency_hz=1800) + 0.2 * _floor(30)
    assert list(rates) == pytest.approx(_beats(noise), rel=0.01)


@pytest.mark.slow
def test_recorded_noises_have_no_beat(shared_data: Path) -> None:
    """Dishes, a tap, a bike and pink noise: nothing comes again at a fixed beat, slow or fast."""
    for name in ("doing_the_dishes", "exercise_bike", "pink_noise", "running_tap"):
        samples, rate = soundfile.read(shared_data / "noise" / f"{name}.wav", dtype="float32", always_2d=True)
        ear = Ear(len(samples) / rate)
        ear.hear(samples.mean(axis=1), rate)
        assert () == ear.result().beats


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> tuple[Path, np.ndarray]:
    """The imaging floor: hum at 118 Hz, a knock 1.2 and bursts 18 times a second, four people talking at −6 dB."""
    seconds, rng = 40, np.random.default_rng(0)
    murmur = np.zeros(seconds * RATE)
    sentences = [samples / np.sqrt(np.mean(samples**2)) for _, samples in _sentences(shared_data)]
    for _ in range(4):
        at = 0
        while at + (said := sentences[rng.integers(len(sentences))]).size < murmur.size:
            murmur[at : at + said.size] += said
            at += said.size
    machines = _scaled(0.3 * _hum(seconds) + _knock(seconds, 1.2) + 0.05 * _floor(seconds))
    machines = _scaled(machines + 0.02 * _pulses(seconds, 18.0))
    folder = tmp_path_factory.mktemp("busy")
    return _write(folder / "floor.wav", machines + _scaled(murmur, LEVEL / 2)), machines


@pytest.mark.slow
@pytest.mark.shared
def test_a_busy_floor_can_be_made_without_its_people(busy: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    """Hum, knock and bursts are found under the talk; the generated noise has them, its spectrum, and no voice."""
    recording, machines = busy
    made = make_profile([recording], "floor", tmp_path, voices="out")
    noise = made.heard.noise
    assert [1.2, 18.0] == pytest.approx(sorted(beat.rate_hz for beat in noise.beats), rel=0.01)
    assert 118.0 == pytest.approx(noise.tones[0].frequency_hz, rel=0.005)
    assert not made.cuts
    assert not (tmp_path / "floor").exists()
    text = made.profile.read_text(encoding="utf-8")
    assert "no sound of the room is kept" in text
    layers = [layer["source"] for layer in tomllib.loads(text)["effect"][0]["layer"]]
    assert 2 == layers.count("knock")
    place = parse_condition(f"{made.profile}@snr=-40")
    heard = renderer(place).render(synthetic_speech(20.0, seed=1), place, "s").clip.samples
    assert [] == speech_stretches(heard, RATE)
    assert any(rate == pytest.approx(18.0, rel=0.01) for rate in _beats(heard))
    levels = []
    for samples in (machines, heard.astype(float)):
        power = np.abs(np.fft.rfft(samples[: 15 * RATE])) ** 2
        edges = np.searchsorted(np.fft.rfftfreq(15 * RATE, 1 / RATE), [90, 180, 355, 710, 1400, 2800, 5600])
        level = 10 * np.log10(np.add.reduceat(power, edges)[:-1])
        levels.append(level - 10 * np.log10(power.sum()))
    assert levels[0] == pytest.approx(levels[1], abs=6.0)


@pytest.mark.slow
@pytest.mark.shared
def test_talk_stays_only_with_consent(busy: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    """Without a stated consent talk is refused; with it, it stays, and the profile and a warning say so."""
    recording, _ = busy
    with pytest.raises(InputError, match="consent"):
        make_profile([recording], "floor", tmp_path, voices="keep")
    made = make_profile([recording], "floor", tmp_path, voices="keep", consent="all four agreed, 3 May")
    assert made.heard.speech_s > 1
    assert 40.0 == pytest.approx(sum(s.duration_s for s in made.heard.usable), abs=0.2)
    assert any("speech stay in the noise" in text for text in made.warnings)
    assert "consent: all four agreed, 3 May" in made.profile.read_text(encoding="utf-8")
