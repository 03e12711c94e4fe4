"""Tests of codecs, bands and packet loss: in place, in length, the same bytes, at the rates asked for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from acoustics_helpers import RATE, condition, real_speech, renderer, synthetic_speech
from hypothesis import given, settings
from hypothesis import strategies as st

from asrfair.acoustics.effects.codec import CODECS, transcode
from asrfair.acoustics.effects.packet_loss import lost_packets
from asrfair.errors import InputError
from asrfair.types import Clip

ALIGNED = [
    'use = "codec"\ncodec = "mulaw"',
    'use = "codec"\ncodec = "alaw"\nsample_rate_hz = 16000',
    'use = "codec"\ncodec = "gsm"',
    'use = "codec"\ncodec = "g721"',
    'use = "codec"\ncodec = "opus"\nbitrate_kbps = 8',
    'use = "codec"\ncodec = "opus"\nsample_rate_hz = 48000\nbitrate_kbps = 64',
    'use = "codec"\ncodec = "mp3"\nbitrate_kbps = 16',
    'use = "codec"\ncodec = "mp3"\nsample_rate_hz = 8000\nbitrate_kbps = 8',
    'use = "codec"\ncodec = "mp3"\nsample_rate_hz = 44100\nbitrate_kbps = 128',
    'use = "codec"\ncodec = "vorbis"\nquality = 0',
    'use = "codec"\ncodec = "amr-nb"\nbitrate_kbps = 4.75',
    'use = "codec"\ncodec = "amr-nb"',
    'use = "codec"\ncodec = "g722"',
    'use = "codec"\ncodec = "msbc"',
    'use = "codec"\ncodec = "cvsd"',
    'use = "band"',
    'use = "band"\nlow_hz = 0\nhigh_hz = 2000\ntransition_hz = 50',
    'use = "packet_loss"\nloss = 0.1\nburst_packets = 3',
    'use = "packet_loss"\nloss = 0.1\nburst_packets = 3\nconceal = "none"',
    'use = "handset"\nresonances = [{ frequency_hz = 900, gain_db = 10, q = 5 }]\nsaturation_db = 3',
    'use = "handset"\nself_noise_db = 30',
    'use = "clip"\nover_db = 20',
    'use = "agc"',
    'use = "gain"\ngain_db = -7',
    'use = "distance"\ndistance_m = 5',
]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("body", ALIGNED)
def test_speech_stays_where_it_was(shared_data: Path, tmp_path: Path, body: str) -> None:
    """Real speech: same length, cross-correlation at lag 0 within 1 ms, the same bytes when rendered again."""
    place = condition(tmp_path, f"[[effect]]\n{body}")
    for clip, speaker in real_speech(shared_data, 5):
        found = renderer(place).render(clip, place, speaker).clip.samples
        assert clip.samples.size == found.size
        assert found.tobytes() == renderer(place).render(clip, place, speaker).clip.samples.tobytes()
        size = 2 * found.size
        spectrum = np.fft.rfft(found.astype(float), size) * np.conj(np.fft.rfft(clip.samples.astype(float), size))
        lag = int(np.argmax(np.fft.irfft(spectrum, size)))
        assert min(lag, size - lag) <= 0.001 * RATE


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mulaw", "gsm", "g721", "opus", "mp3", "vorbis"])
def test_the_active_level_is_kept_by_codecs(shared_data: Path, tmp_path: Path, name: str) -> None:
    """Within 0.1 dB, loud clips included: what is above full scale is turned down before and up after."""
    place = condition(tmp_path, f'[[effect]]\nuse = "gain"\ngain_db = 12\n[[effect]]\nuse = "codec"\ncodec = "{name}"')
    for clip, speaker in real_speech(shared_data, 3):
        found = renderer(place).render(clip, place, speaker).achieved
        before = float(renderer().render(clip, _clean(), speaker).achieved["active_level_dbfs"])
        after = float(found["active_level_dbfs"]) - float(found["headroom_gain_db"])
        assert before + 12 == pytest.approx(after, abs=0.1)


def _clean():
    from asrfair.acoustics import CLEAN_CONDITION

    return CLEAN_CONDITION


def _chirp(rate: int) -> np.ndarray:
    time = np.arange(rate) / rate
    return 0.3 * np.sin(2 * np.pi * (200 * time + 700 * time**2)) * np.hanning(rate)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mp3_is_in_place_at_every_rate_and_bitrate(rate: int, share: float) -> None:
    """LAME leaves its tag out of low bitrates, and the delay in: both cases end at lag 0."""
    low, high = (32, 320) if rate >= 32_000 else (8, 160) if rate >= 16_000 else (8, 64)
    wanted = low + share * (high - low)
    clip = _chirp(rate)
    found, size = transcode(clip, rate, "mp3", bitrate_kbps=wanted)
    correlation = np.fft.irfft(np.fft.rfft(found, 2 * rate) * np.conj(np.fft.rfft(clip, 2 * rate)), 2 * rate)
    lag = int(np.argmax(correlation))
    assert min(lag, 2 * rate - lag) <= 0.001 * rate
    assert wanted == pytest.approx(size * 8 / 1000, rel=0.45)


@pytest.mark.parametrize("wanted", [8, 16, 24, 32, 64])
def test_opus_comes_near_its_bitrate(wanted: float) -> None:
    """Within a third, the container's overhead included, on ten seconds of modulated noise."""
    rng = np.random.default_rng(1)
    clip = 0.1 * rng.standard_normal(160_000) * (1 + np.sin(np.arange(160_000) / 800))
    _, size = transcode(clip / np.abs(clip).max() * 0.9, 16_000, "opus", bitrate_kbps=wanted)
    assert wanted == pytest.approx(size * 8 / 1000 / 10, rel=0.34)


def test_more_bits_are_more_faithful() -> None:
    """Error falls with the bitrate of Opus and MP3 and with the quality of Vorbis."""
    clip = synthetic_speech(4.0).samples.astype(float)
    for name, settings_ in (
        ("opus", [{"bitrate_kbps": b} for b in (8.0, 24.0, 96.0)]),
        ("mp3", [{"bitrate_kbps": b} for b in (16.0, 48.0, 128.0)]),
        ("vorbis", [{"quality": q} for q in (0.0, 5.0, 10.0)]),
    ):
        errors = [float(np.std(transcode(clip, RATE, name, **s)[0] - clip)) for s in settings_]
        assert errors == sorted(errors, reverse=True)


def test_ogg_bytes_differ_and_samples_do_not() -> None:
    """The serial number of a stream is random; what is decoded is the same."""
    clip = synthetic_speech(1.0).samples
    for subtype in ("OPUS", "VORBIS"):
        streams = []
        for _ in range(2):
            buffer = io.BytesIO()
            soundfile.write(buffer, clip, RATE, format="OGG", subtype=subtype)
            streams.append(buffer.getvalue())
        assert streams[0] != streams[1]
        first, second = (transcode(clip.astype(float), RATE, subtype.lower())[0] for _ in range(2))
        assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("name", list(CODECS))
@pytest.mark.parametrize("size", [1, 7, 159, 161, 1000])
def test_the_shortest_clips_pass_every_codec(name: str, size: int) -> None:
    """From one sample on, the length is kept."""
    found, _ = transcode(np.full(size, 0.1), CODECS[name].default_rate_hz, name)
    assert size == found.size
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('codec = "amr"', "unknown value"),
        ('codec = "mulaw"\nbitrate_kbps = 24', "no bitrate_kbps"),
        ('codec = "opus"\nquality = 3', "no quality"),
        ('codec = "gsm"\nsample_rate_hz = 16000', "works at sample_rate_hz"),
        ('codec = "opus"\nsample_rate_hz = 44100', "works at sample_rate_hz"),
        ('codec = "mp3"\nsample_rate_hz = 8000\nbitrate_kbps = 96', "kbit/s"),
        ('codec = "opus"\nsample_rate_hz = { min = 8000, max = 16000 }', "not a range"),
        ('codec = ["mulaw", "opus"]\nbitrate_kbps = 24', "no bitrate_kbps"),
    ],
)
def test_settings_that_a_codec_does_not_have_are_refused(tmp_path: Path, body: str, word: str) -> None:
    """No option does nothing."""
    with pytest.raises(InputError, match=word):
        condition(tmp_path, f'[[effect]]\nuse = "codec"\n{body}')


def test_a_band_passes_what_it_should() -> None:
    """−6 dB at the edges, less than 0.1 dB lost inside, 55 dB gone an octave outside."""
    from asrfair.acoustics.filters import band_taps, convolve_centred

    taps = band_taps(300, 3400, 200, RATE)
    assert taps is not None
    response = 20 * np.log10(np.abs(np.fft.rfft(taps, 1 << 16)) + 1e-12)
    frequencies = np.fft.rfftfreq(1 << 16, 1 / RATE)
    for edge in (300, 3400):
        assert -6.0 == pytest.approx(float(np.interp(edge, frequencies, response)), abs=0.2)
    inside = response[(frequencies > 420) & (frequencies < 3280)]
    outside = response[(frequencies < 150) | (frequencies > 3600)]
    assert np.abs(inside).max() < 0.1
    assert outside.max() < -55
    click = np.eye(1, 1000, 500)[0]
    assert 500 == int(np.argmax(np.abs(convolve_centred(click, taps))))


def test_a_band_that_passes_nothing_is_refused(tmp_path: Path) -> None:
    """Edges the wrong way round at once; a band above half the sampling rate when it meets the clip."""
    with pytest.raises(InputError, match="low_hz must lie below"):
        condition(tmp_path, '[[effect]]\nuse = "band"\nlow_hz = 4000\nhigh_hz = 3000')
    place = condition(tmp_path, '[[effect]]\nuse = "band"\nlow_hz = 9000\nhigh_hz = 12000')
    with pytest.raises(InputError, match="nothing passes"):
        renderer(place).render(synthetic_speech(), place, "s")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(loss=st.floats(0.01, 0.4), burst=st.floats(1.0, 8.0), seed=st.integers(0, 1000))
def test_packets_are_lost_at_the_rate_and_in_bursts(loss: float, burst: float, seed: int) -> None:
    """Over 60,000 packets the rate and the mean burst are those asked for, by the chain's stationary distribution."""
    burst = max(burst, loss / (1 - loss))
    lost = lost_packets(60_000, np.random.default_rng(seed), loss=loss, burst_packets=burst)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]]).astype(int))).reshape(-1, 2)
    assert loss == pytest.approx(float(lost.mean()), rel=0.25)
    assert burst == pytest.approx(float(np.mean(edges[:, 1] - edges[:, 0])), rel=0.2)


def test_lost_packets_are_silent_or_concealed(tmp_path: Path) -> None:
    """Without concealment lost stretches are zero; with it a steady voice goes on, and what arrived is untouched."""
    time = np.arange(4 * RATE) / RATE
    buzz = sum(np.sin(2 * np.pi * 125 * k * time) / k for k in range(1, 12))
    clip = Clip(utterance_id="u", samples=(0.1 * buzz).astype(np.float32), sample_rate_hz=RATE)
    body = '[[effect]]\nuse = "packet_loss"\nloss = 0.1\nburst_packets = 1\nconceal = "{}"'
    bare = condition(tmp_path, body.format("none"))
    mended = condition(tmp_path, body.format("repeat"))
    cut = renderer(bare).render(clip, bare, "s")
    filled = renderer(mended).render(clip, mended, "s")
    share = float(cut.achieved["packet_loss.packet_loss"])
    gone = cut.clip.samples == 0
    assert share == pytest.approx(float(gone.mean()), abs=0.01)
    assert 0.02 < share < 0.25
    assert cut.clip.samples[~gone] == pytest.approx(clip.samples[~gone], abs=1e-6)
    error = [float(np.std((x.clip.samples - clip.samples)[gone])) for x in (cut, filled)]
    assert error[1] < 0.6 * error[0]
    assert cut.achieved["packet_loss.packets_lost"] == filled.achieved["packet_loss.packets_lost"]


@pytest.mark.parametrize(
    "body", ["loss = 0.9\nburst_packets = 1", "loss = 0.01\ngood_loss = 0.05", "loss = 0.5\nbad_loss = 0.3", ""]
)
def test_losses_that_cannot_be_are_refused(tmp_path: Path, body: str) -> None:
    """Nine in ten in bursts of one, below the good state's loss, above the bad state's, and none named."""
    with pytest.raises(InputError):
        condition(tmp_path, f'[[effect]]\nuse = "packet_loss"\n{body}')
