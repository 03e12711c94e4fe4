"""Decoding: the segment, the channel, the rate, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrfair.data.audio import AudioError, load_clip, planned_duration_s, probe_duration_s
from asrfair.types import Utterance

RATE = 16_000


def tone(seconds: float, hz: float = 440.0, rate: int = RATE) -> np.ndarray:
    """A sine at half scale."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def utterance(path: Path | None, **more: object) -> Utterance:
    """An utterance of one audio file."""
    return Utterance(utterance_id="u", speaker_id="s", reference="", audio=path, **more)  # type: ignore[arg-type]


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    """Write a file and return its path."""
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def test_whole_file_comes_back_as_it_is(tmp_path: Path) -> None:
    """A 16 kHz mono file is decoded without any change."""
    samples = tone(1.0)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    clip = load_clip(utterance(path), RATE)
    assert np.array_equal(samples, clip.samples)
    assert (np.float32, RATE, 1.0) == (clip.samples.dtype, clip.sample_rate_hz, clip.duration_s)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_segment_is_cut_to_the_sample(tmp_path: Path, suffix: str) -> None:
    """Times select the same samples that slicing the decoded file does."""
    path = write(tmp_path / f"a{suffix}", np.random.default_rng(1).uniform(-0.5, 0.5, 3 * RATE))
    whole, _ = soundfile.read(path, dtype="float32")
    clip = load_clip(utterance(path, start_s=0.5, end_s=1.25), RATE)
    assert np.array_equal(whole[8_000:20_000], clip.samples)


def test_channel_is_picked_or_all_are_averaged(tmp_path: Path) -> None:
    """Channel 1 of a stereo file is its right one; without a channel, the mean."""
    left, right = tone(0.5, 300.0), tone(0.5, 700.0)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    assert np.array_equal(right, load_clip(utterance(path, channel=1), RATE).samples)
    assert np.allclose((left + right) / 2, load_clip(utterance(path), RATE).samples, atol=1e-7)


def test_resampling_keeps_length_and_tone(tmp_path: Path) -> None:
    """A tone at 44.1 kHz is the same tone at 16 kHz."""
    path = write(tmp_path / "a.wav", tone(1.0, 1000.0, 44_100), 44_100)
    clip = load_clip(utterance(path), RATE)
    spectrum = np.abs(np.fft.rfft(clip.samples))
    assert RATE == len(clip.samples)
    assert int(spectrum.argmax()) == 1000


def test_end_may_exceed_the_file_a_little(tmp_path: Path) -> None:
    """A transcript whose last segment ends 0.2 s after the file is cut at its end; 0.3 s is refused."""
    path = write(tmp_path / "a.wav", tone(1.0))
    assert load_clip(utterance(path, start_s=0.5, end_s=1.2), RATE).duration_s == 0.5
    with pytest.raises(AudioError, match="lies outside the file"):
        load_clip(utterance(path, start_s=0.5, end_s=1.3), RATE)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"channel": 2}, "channel 2 was asked for"),
        ({"start_s": 5.0}, "lies outside the file"),
        ({"start_s": 0.5, "end_s": 0.5}, "ends before it starts"),
        ({"start_s": 0.6, "end_s": 0.5}, "ends before it starts"),
    ],
)
def test_impossible_segments_are_refused(tmp_path: Path, more: dict[str, object], message: str) -> None:
    """What the file does not hold is an error with the file's name and a remedy."""
    path = write(tmp_path / "a.wav", tone(1.0))
    with pytest.raises(AudioError, match=message) as caught:
        load_clip(utterance(path, **more), RATE)
    assert path == caught.value.file
    assert caught.value.remedy


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    """Missing, empty, text, a folder, cut off, NaN, integers as floats: each an AudioError, none a crash."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "folder.wav").mkdir()
    whole = write(tmp_path / "whole.wav", tone(4.0)).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 4])
    write(tmp_path / "nan.wav", np.full(RATE, np.nan, np.float32), subtype="FLOAT")
    write(tmp_path / "loud.wav", tone(1.0) * 20_000, subtype="FLOAT")
    write(tmp_path / "none.wav", np.zeros(0))
    for name in ("missing", "empty", "text", "folder", "nan", "loud", "none"):
        with pytest.raises(AudioError):
            load_clip(utterance(tmp_path / f"{name}.wav"), RATE)
    with pytest.raises(AudioError, match="has no audio file"):
        load_clip(utterance(None), RATE)
    with pytest.raises(AudioError, match="cut short"):
        load_clip(utterance(tmp_path / "cut.wav", start_s=0.0, end_s=4.0), RATE)


def test_damaged_headers_do_not_fill_the_memory(tmp_path: Path) -> None:
    """A sample rate of 7 Hz, or an utterance of five hours, is refused before anything is decoded or resampled."""
    with pytest.raises(AudioError, match="sample rate is 7 Hz"):
        load_clip(utterance(write(tmp_path / "slow.wav", np.zeros(100), 7)), RATE)
    with pytest.raises(AudioError, match="Cut the recording into utterances"):
        load_clip(utterance(write(tmp_path / "long.wav", np.zeros(5 * 3600 * 1000), 1000, "PCM_U8")), RATE)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A path that is a FIFO is refused at once instead of hanging the worker."""
    path = tmp_path / "fifo.wav"
    os.mkfifo(path)
    with pytest.raises(AudioError, match="not a file"):
        load_clip(utterance(path), RATE)


def test_samples_never_leave_full_scale(tmp_path: Path) -> None:
    """Overshoot of a resampled square wave is clipped to [-1, 1]."""
    path = write(tmp_path / "a.wav", np.sign(tone(0.5, 300.0, 44_100)), 44_100, "FLOAT")
    assert float(np.abs(load_clip(utterance(path), RATE).samples).max()) <= 1.0


def test_errors_survive_a_process_boundary(tmp_path: Path) -> None:
    """An AudioError can be pickled, as a worker process must."""
    with pytest.raises(AudioError) as caught:
        load_clip(utterance(tmp_path / "missing.wav"), RATE)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(caught.value) == str(copy)
    assert type(copy) is AudioError


def test_planned_durations_come_from_the_nearest_source(tmp_path: Path) -> None:
    """Segment before column before header; unreadable audio counts nothing."""
    path = write(tmp_path / "a.wav", tone(2.0))
    assert probe_duration_s(path) == 2.0
    assert planned_duration_s(utterance(path, start_s=0.5, end_s=1.0, duration_s=9.0)) == 0.5
    assert planned_duration_s(utterance(path, duration_s=9.0)) == 9.0
    assert planned_duration_s(utterance(path)) == 2.0
    assert planned_duration_s(utterance(path, start_s=0.5)) == 1.5
    assert planned_duration_s(utterance(tmp_path / "missing.wav")) == 0.0
    assert planned_duration_s(utterance(None)) == 0.0


@pytest.mark.shared
def test_real_recordings_decode(shared_data: Path) -> None:
    """Every kind of file among the real recordings becomes 16 kHz mono of the right length."""
    found = sorted((shared_data / "small_speech").rglob("*.wav"))[:15] + sorted(
        (shared_data / "small_speech").rglob("*.flac")
    )
    assert found
    for path in found:
        clip = load_clip(utterance(path), RATE)
        assert abs(clip.duration_s - probe_duration_s(path)) < 1e-3
        assert float(np.abs(clip.samples).max()) > 0
