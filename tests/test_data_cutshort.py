"""Audio that was cut short is noticed, whatever its format; whole audio is not suspected."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from transcribe_child import go, make_manifest, spec

from asrfair.data.audio import AudioError, TruncatedAudioError, load_clip
from asrfair.data.cutshort import missing_share
from asrfair.scoring import score_run
from asrfair.types import ScoringSettings, Utterance

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "nist": ("NIST", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def write(path: Path, kind: str, seconds: float = 2.0, channels: int = 1) -> Path:
    """Write noise in a format."""
    form, subtype = FORMATS[kind]
    samples = np.random.default_rng(1).normal(0, 0.1, (round(16_000 * seconds), channels))
    soundfile.write(path, samples, 16_000, format=form, subtype=subtype)
    return path


def utterance(path: Path, **more: object) -> Utterance:
    """An utterance that is all of a file."""
    return Utterance(utterance_id="u", speaker_id="s", reference="r", audio=path, **more)


@pytest.mark.parametrize("kind", FORMATS)
def test_whole_files_are_not_suspected(tmp_path: Path, kind: str) -> None:
    """A file as its encoder wrote it has all that it promises, and is read."""
    path = write(tmp_path / f"a.{kind}", kind)
    assert missing_share(path) == 0.0
    assert load_clip(utterance(path, duration_s=2.0), 16_000).duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_is_no_utterance(tmp_path: Path, kind: str) -> None:
    """A file cut to half its bytes is refused as cut short (where nothing tells but the manifest, by duration_s)."""
    path = write(tmp_path / f"a.{kind}", kind)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(TruncatedAudioError if kind != "flac" else AudioError):
        load_clip(utterance(path, duration_s=2.0), 16_000)


def test_a_segment_before_the_cut_is_still_used(tmp_path: Path) -> None:
    """Of an interview that was cut short, utterances that are there whole are used; the last one is not."""
    path = write(tmp_path / "a.wav", "wav", 4.0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert load_clip(utterance(path, start_s=0.5, end_s=1.5), 16_000).duration_s == 1.0
    with pytest.raises(TruncatedAudioError):
        load_clip(utterance(path, start_s=1.5), 16_000)


def test_a_file_of_unknown_length_is_believed(tmp_path: Path) -> None:
    """Programs that write WAVE to a pipe cannot know its length, and state the largest there is."""
    path = write(tmp_path / "a.wav", "wav")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert missing_share(path) == 0.0


def test_the_ledger_says_cut_short(tmp_path: Path) -> None:
    """A run over halved files: error rows, `truncated_audio` in the ledger, and nothing scored of them."""
    manifest = make_manifest(tmp_path, 8, audio=True)
    for number in (1, 4):
        path = tmp_path / f"u{number:04}.wav"
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    go(manifest, tmp_path / "run", [spec("fake", needs_audio=True, parallel="inline")])
    summary = score_run(tmp_path / "run", ScoringSettings())
    assert summary.reasons == {"truncated_audio": 2}
    assert summary.statuses["error"] == 2


def test_many_channels_take_the_memory_of_one(tmp_path: Path) -> None:
    """Eight channels are mixed down block by block: the same samples as all at once."""
    path = write(tmp_path / "a.flac", "flac", 40.0, channels=8)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(load_clip(utterance(path), 16_000).samples, whole.mean(axis=1, dtype=np.float32))
    assert np.array_equal(load_clip(utterance(path, channel=3), 16_000).samples, whole[:, 3])
