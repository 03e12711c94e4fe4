"""Files as phones make them: decoded to what was recorded, within what each codec loses; what they tell is shown."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from asrfair.data import container
from asrfair.data.audio import AudioError, load_clip, probe_duration_s
from asrfair.data.manifest.audiocheck import probe
from asrfair.types import Utterance

av = pytest.importorskip("av", reason="PyAV is not installed (the extra codecs)")

SPEECH = Path(__file__).parent.parent / "manifests" / "demo"

FORMATS = {
    # suffix: container format, codec, rate, least correlation of the waveforms
    "m4a": ("ipod", "aac", 44_100, 0.98),
    "mp4": ("mp4", "aac", 48_000, 0.98),
    "webm": ("webm", "libopus", 48_000, 0.9),
    "mka": ("matroska", "libopus", 48_000, 0.9),
    "mov": ("mov", "alac", 44_100, 0.999999),
    "amr": ("amr", "libopencore_amrnb", 8_000, 0.5),
    "aac": ("adts", "aac", 44_100, 0.98),
}


def speech(rate: int) -> np.ndarray:
    """Return one demo utterance at a rate, int16."""
    path = next(path for path in sorted(SPEECH.rglob("*.flac")))
    samples, own = soundfile.read(path, dtype="float32")
    import soxr

    return (np.clip(soxr.resample(samples, own, rate), -1, 1) * 32767).astype(np.int16)


def write(path: Path, samples: np.ndarray, rate: int, kind: str, codec: str, **tags: str) -> None:
    """Encode mono int16 samples, as a phone does."""
    with av.open(str(path), "w", format=kind) as made:
        stream = made.add_stream(codec, rate=rate)
        stream.layout = "mono"
        stream.bit_rate = 12_200 if "amr" in codec else 96_000
        for key, value in tags.items():
            made.metadata[key] = value
        fitting = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = 0
        for part in [*fitting.resample(frame), None]:
            for packet in stream.encode(part):
                made.mux(packet)


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_decodes_to_the_source(tmp_path: Path, suffix: str) -> None:
    """Length within 0.1 s, delay under 60 ms, and the waveform that of the source as far as the codec keeps it."""
    kind, codec, rate, least = FORMATS[suffix]
    source = speech(rate)
    path = tmp_path / f"a.{suffix}"
    write(path, source, rate, kind, codec)
    found = load_clip(Utterance(utterance_id="u", speaker_id="s", reference="", audio=path), rate).samples
    assert abs(len(found) - len(source)) < 0.1 * rate
    plain = source / 32768
    size = min(len(found), len(plain))
    delay = int(np.argmax(correlate(found[:size], plain[:size], method="fft"))) - size + 1
    assert abs(delay) < 0.06 * rate
    cut, whole = (
        (found[delay:size], plain[: size - delay]) if delay >= 0 else (found[: size + delay], plain[-delay:size])
    )
    assert float(cut @ whole / np.sqrt((whole @ whole) * (cut @ cut))) > least
    assert probe_duration_s(path) == pytest.approx(len(source) / rate, abs=0.1)
    assert "" == probe(str(path)).problem


def test_a_segment_is_cut_from_a_video(tmp_path: Path) -> None:
    """start_s and end_s work in containers as in WAV files."""
    path = tmp_path / "a.mov"
    source = speech(44_100)
    write(path, source, 44_100, "mov", "alac")
    utterance = Utterance(utterance_id="u", speaker_id="s", reference="", audio=path, start_s=0.5, end_s=1.0)
    np.testing.assert_allclose(load_clip(utterance, 44_100).samples, source[22_050:44_100] / 32768, atol=1e-6)


def test_what_the_container_tells_is_found(tmp_path: Path) -> None:
    """Place, date and device in the file's tags are named by kind, so that they can be shown."""
    path = tmp_path / "a.m4a"
    tags = {"location": "+48.1374+011.5755/", "creation_time": "2026-05-01T10:00:00Z", "artist": "Ann"}
    write(path, speech(44_100), 44_100, "mp4", "aac", **tags)
    told = container.look(path).told
    assert {"where", "when", "who"} <= set(told)
    assert ("Ann",) == told["who"]


@pytest.mark.parametrize("suffix", ["m4a", "webm", "amr", "mov"])
def test_what_is_no_recording_is_refused(tmp_path: Path, suffix: str) -> None:
    """Text, nothing, and half a file are errors with a remedy, never a crash or half the words."""
    for content in (b"", b"not a recording at all" * 50):
        path = tmp_path / f"bad.{suffix}"
        path.write_bytes(content)
        with pytest.raises(AudioError, match="Convert it"):
            probe_duration_s(path)
    kind, codec, rate, _ = FORMATS[suffix]
    whole = tmp_path / f"whole.{suffix}"
    write(whole, np.tile(speech(rate), 3), rate, kind, codec)
    if suffix in {"m4a", "mov"}:  # the others have no length in their header
        half = tmp_path / f"half.{suffix}"
        half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(AudioError, match="Convert it"):
            probe_duration_s(half)


def test_a_play_list_is_no_recording(tmp_path: Path) -> None:
    """FFmpeg would follow a list to other files; here it is refused whatever it is called."""
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, np.zeros(16_000, dtype=np.int16), 16_000)
    for number, text in enumerate((f"ffconcat version 1.0\nfile '{secret}'\n", f"#EXTM3U\n#EXTINF:1,\n{secret}\n")):
        path = tmp_path / f"list{number}.mp4"
        path.write_text(text)
        with pytest.raises(AudioError):
            probe_duration_s(path)


def test_hours_of_silence_in_a_small_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding stops at a number of samples, whatever the header says."""
    path = tmp_path / "a.m4a"
    write(path, np.zeros(20 * 44_100, dtype=np.int16), 44_100, "ipod", "aac")
    with pytest.raises(container.ContainerError, match="hours of sound"):
        container.decode(path, most_samples=44_100)


def test_a_missing_decoder_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyAV a phone's file says what to install."""
    import sys

    path = tmp_path / "a.m4a"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=r"pip install 'asrfair\[codecs\]'"):
        probe_duration_s(path)


def test_check_shows_what_a_phone_wrote_into_a_file(tmp_path: Path) -> None:
    """A kit takes .m4a as a recording, and says that the file tells where it was made."""
    from record_page import make_kit

    from asrfair.lastmile.check import check_kit

    kit = make_kit(tmp_path / "kit", sentences=1)
    folder = kit.recordings / "speaker-01"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "01.m4a", speech(44_100), 44_100, "mp4", "aac", location="+48.1374+011.5755/")
    found = check_kit(kit, words=False)
    assert 1 == found.recordings
    assert ["recordings/speaker-01/01.m4a"] == [one.file for one in found.findings if one.kind == "tells"]


def test_a_kit_takes_what_phones_make_of_people_and_of_the_room(tmp_path: Path) -> None:
    """Each file counts as a recording, none is silently nothing, and a profile is made of a room that is an .m4a."""
    from record_page import make_kit

    from asrfair.cli.main import run
    from asrfair.lastmile.check import check_kit

    kit = make_kit(tmp_path / "kit", sentences=3)
    made = {
        "speaker-01/01.webm": (48_000, "webm", "libopus"),
        "speaker-01/02.opus": (48_000, "ogg", "libopus"),
        "speaker-01/03.amr": (8_000, "amr", "libopencore_amrnb"),
        "speaker-02/01.mp3": (44_100, "mp3", "libmp3lame"),
        "speaker-02/02.3gp": (8_000, "3gp", "libopencore_amrnb"),
        "speaker-02/03.MP4": (48_000, "mp4", "aac"),
    }
    for name, (rate, kind, codec) in made.items():
        (kit.recordings / name).parent.mkdir(parents=True, exist_ok=True)
        write(kit.recordings / name, speech(rate), rate, kind, codec)
    found = check_kit(kit, words=False)
    assert len(made) == found.recordings
    assert not [one for one in found.findings if one.kind in {"unknown_file", "unreadable"}]
    noise = np.random.default_rng(1).normal(0, 600, 30 * 44_100).astype(np.int16)
    kit.room_folder.mkdir(exist_ok=True)
    write(kit.room_folder / "room.m4a", noise, 44_100, "mp4", "aac")
    assert 0 == run(["lastmile", "noise", str(kit.folder)])
    assert (kit.profiles / "our-room.toml").is_file()
