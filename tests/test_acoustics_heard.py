"""Tests of what is heard of a noise: rumble and offsets, A-weighting, the recording's own noise, talkers, exposure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from acoustics_helpers import RATE, condition, noise_of, real_corpus, real_speech, renderer, synthetic_speech
from independent_p56 import measure
from scipy.signal import bilinear_zpk, sosfilt, zpk2sos

from asrfair.acoustics import Condition, list_profiles, parse_condition
from asrfair.acoustics.effects.base import effect_of
from asrfair.acoustics.render import _Chain
from asrfair.acoustics.speech_material import Corpus
from asrfair.acoustics.weighting import HighPass, a_weighted, a_weighting_db
from asrfair.data import resources
from asrfair.errors import InputError
from asrfair.types import Clip

NOMINAL = {31.5: -39.4, 63: -26.2, 125: -16.1, 250: -8.6, 500: -3.2, 1000: 0.0, 2000: 1.2, 4000: 1.0, 8000: -1.1}
"""IEC 61672-1:2013, table 3."""


def _noise(folder: Path, snr: float, body: str) -> Condition:
    return condition(folder, f'[[effect]]\nuse = "noise"\nsnr_db = {snr}\n{body}')


def _file(folder: Path, samples: np.ndarray, *, rate: int = RATE) -> str:
    soundfile.write(folder / "noise.wav", samples, rate, subtype="FLOAT")
    return 'source = "file"\nfile = "noise.wav"'


def _above_20_hz(noise: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(noise)
    spectrum[np.arange(spectrum.size) * RATE / noise.size < 20] = 0
    return np.fft.irfft(spectrum, noise.size)


def test_rumble_below_hearing_does_not_set_the_level(tmp_path: Path) -> None:
    """A recording with 15 dB more power at 6 Hz than above: the audible noise is at the SNR asked, and it is warned."""
    rng = np.random.default_rng(0)
    rumble = 0.25 * np.sin(2 * np.pi * 6 * np.arange(30 * RATE) / RATE)
    place = _noise(tmp_path, 5, _file(tmp_path, 0.03 * rng.standard_normal(30 * RATE) + rumble))
    assert any("below 20 Hz" in w for w in place.warnings)
    clip = synthetic_speech(4.0)
    found = renderer(place).render(clip, place, "s")
    level, mask = measure(clip.samples.astype(float), RATE)
    noise = _above_20_hz(noise_of(clip, found.clip, found.achieved))
    assert level - 10 * np.log10(np.mean(noise[mask] ** 2)) == pytest.approx(5.0, abs=0.3)


def test_an_offset_of_the_recorder_is_taken_out_and_warned_of(tmp_path: Path) -> None:
    """−50 dBFS of DC under a soft noise made 15 dB out of 5."""
    rng = np.random.default_rng(0)
    place = _noise(tmp_path, 5, _file(tmp_path, 0.001 * rng.standard_normal(30 * RATE) + 10 ** (-50 / 20)))
    assert any("offset of -50.0 dBFS" in w for w in place.warnings)
    clip = synthetic_speech(4.0)
    found = renderer(place).render(clip, place, "s")
    noise = noise_of(clip, found.clip, found.achieved)
    assert abs(float(noise.mean())) < 0.02 * float(noise.std())
    level, mask = measure(clip.samples.astype(float), RATE)
    assert level - 10 * np.log10(np.var(noise[mask])) == pytest.approx(5.0, abs=0.2)


def test_clipped_recordings_are_warned_of_and_scraps_refused(tmp_path: Path) -> None:
    """A file at full scale for whole runs is named; a single sample, which would be pure DC, is no noise."""
    rng = np.random.default_rng(0)
    place = _noise(tmp_path, 5, _file(tmp_path, np.clip(rng.standard_normal(5 * RATE), -1, 1)))
    assert any("is clipped in" in w for w in place.warnings)
    with pytest.raises(InputError, match="ms long"):
        _noise(tmp_path, 5, _file(tmp_path, np.array([0.5])))


def test_the_high_pass_is_the_same_in_blocks() -> None:
    """Filtering block after block is filtering at once."""
    samples = np.random.default_rng(0).standard_normal((5000, 2)) + 3
    whole, parts = HighPass(RATE)(samples), HighPass(RATE)
    assert np.allclose(whole, np.concatenate([parts(samples[:1234]), parts(samples[1234:])]), atol=1e-12)
    assert abs(whole.mean()) < 0.1


def test_noise_above_the_band_of_the_clip_does_not_count(tmp_path: Path) -> None:
    """48 kHz noise mostly above 8 kHz, heard at 16 kHz: 5 dB is 5 dB (it was 11)."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(30 * 48_000)
    spectrum = np.fft.rfft(noise)
    spectrum[np.arange(spectrum.size) < spectrum.size / 3] *= 0.03
    place = _noise(tmp_path, 5, _file(tmp_path, 0.1 * np.fft.irfft(spectrum), rate=48_000))
    clip = synthetic_speech(3.0)
    found = renderer(place).render(clip, place, "s")
    assert found.achieved["noise.snr_db"] == pytest.approx(5.0, abs=0.01)
    assert "noise.missed_speech" not in found.achieved


def test_a_weighting_is_that_of_the_standard() -> None:
    """Nominal frequencies within the tenth of a decibel to which IEC 61672 prints them."""
    for hz, db in NOMINAL.items():
        exact = 1000 * 10 ** (round(10 * np.log10(hz / 1000)) / 10)
        assert float(a_weighting_db(np.array([exact]))[0]) == pytest.approx(db, abs=0.06)


def _analogue_a(samples: np.ndarray) -> np.ndarray:
    """A-weight by the analogue poles and zeros, warped: another way than the effect's own."""
    poles = [-2 * np.pi * f for f in (20.598997, 20.598997, 107.65265, 737.86223, 12194.217, 12194.217)]
    rate = 16 * RATE  # far above, so that the bilinear transform's warping does not matter
    zeros, digital, gain = bilinear_zpk([0, 0, 0, 0], poles, 10 ** (2 / 20) * (2 * np.pi * 12194.217) ** 2, rate)
    spectrum = np.fft.rfft(samples)
    fine = np.fft.irfft(spectrum, samples.size * 16) * 16
    return sosfilt(zpk2sos(zeros, digital, gain), fine)[::16]


@pytest.mark.shared
def test_an_a_weighted_ratio_is_the_one_asked_for(shared_data: Path, tmp_path: Path) -> None:
    """Real speech in low-frequency noise: 10 dB(A) by a filter of our own, while the flat ratio is far lower."""
    place = _noise(tmp_path, 10, 'weighting = "A"\nsource = "brown"')
    for clip, speaker in real_speech(shared_data, 6):
        found = renderer(place).render(clip, place, speaker)
        _, mask = measure(clip.samples.astype(float), RATE)
        noise = noise_of(clip, found.clip, found.achieved)
        heard, added = _analogue_a(clip.samples.astype(float)), _analogue_a(noise)
        ratio = 10 * np.log10(np.mean(heard[mask] ** 2) / np.mean(added[mask] ** 2))
        assert ratio == pytest.approx(10.0, abs=0.2)
        assert found.achieved["noise.snr_a_db"] == pytest.approx(10.0, abs=0.01)
        assert float(found.achieved["noise.snr_db"]) < 4


def test_a_weighting_keeps_time() -> None:
    """A click stays where it was."""
    click = np.zeros(4000)
    click[2000] = 1.0
    assert 2000 == int(np.argmax(np.abs(a_weighted(click, RATE))))


def _with_floor(snr_db: float, seed: int = 0) -> tuple[Clip, np.ndarray]:
    clip = synthetic_speech(6.0, seed=seed)
    level, _ = measure(clip.samples.astype(float), RATE)
    floor = np.random.default_rng(seed).standard_normal(clip.samples.size) * 10 ** ((level - snr_db) / 20)
    samples = (clip.samples + floor).astype(np.float32)
    return Clip(utterance_id=clip.utterance_id, samples=samples, sample_rate_hz=RATE), floor


def test_the_effective_ratio_counts_the_recordings_own_noise(tmp_path: Path) -> None:
    """Asked 30 dB on a recording that has 20: 19.6 is what a recogniser meets, and what is recorded."""
    place = _noise(tmp_path, 30, 'source = "white"')
    clip, floor = _with_floor(20)
    found = renderer(place).render(clip, place, "s")
    level, mask = measure(clip.samples - floor, RATE)
    noise = noise_of(clip, found.clip, found.achieved) + floor
    true = level - 10 * np.log10(np.mean(noise[mask] ** 2))
    assert true == pytest.approx(19.6, abs=0.3)
    assert found.achieved["effective_snr_db"] == pytest.approx(true, abs=1.0)
    assert found.achieved["noise.snr_db"] == pytest.approx(30.0, abs=0.1)


def test_clean_recordings_have_an_effective_ratio_too() -> None:
    """Clean is a condition: what it was recorded with is compared by group like any other."""
    clip, _ = _with_floor(25)
    found = renderer(parse_condition("clean")).render(clip, parse_condition("clean"), "s")
    assert found.achieved["effective_snr_db"] == pytest.approx(25.0, abs=1.0)


def test_counting_own_noise_brings_everybody_to_one_ratio(tmp_path: Path) -> None:
    """Recordings at 18, 25 and 60 dB are brought to 15 dB: only what is missing is added."""
    place = _noise(tmp_path, 15, 'own_noise = "counted"\nsource = "white"')
    for own in (18, 25, 60):
        clip, floor = _with_floor(own)
        found = renderer(place).render(clip, place, "s")
        level, mask = measure(clip.samples - floor, RATE)
        noise = noise_of(clip, found.clip, found.achieved) + floor
        assert level - 10 * np.log10(np.mean(noise[mask] ** 2)) == pytest.approx(15.0, abs=0.7)
        assert 0.0 == found.achieved["noise.own_noise_exceeds"]
    clip, _ = _with_floor(8)
    found = renderer(place).render(clip, place, "s")
    assert 1.0 == found.achieved["noise.own_noise_exceeds"]
    assert np.allclose(found.clip.samples, clip.samples, atol=1e-6)


def test_a_soft_voice_far_away_is_worse_off(tmp_path: Path) -> None:
    """55 dBA of noise: a normal voice at 1 m has 5 dB(A), at 2 m −1, a recording 6 dB softer 5 − 6, Lombard adds 4."""
    body = 'source = "pink"\nlevel_dba = 55\n[effect.talker]\neffort = "normal"\n'
    clip = synthetic_speech(3.0)
    level, _ = measure(clip.samples.astype(float), RATE)
    for extra, expected in (
        ("", 5.0),
        ("distance_m = 2\n", 5 - 6.02),
        (f"reference_dbfs = {level + 6}\n", -1.0),
        ("lombard = 0.4\n", 9.0),
    ):
        place = condition(tmp_path, f'[[effect]]\nuse = "noise"\n{body}{extra}')
        found = renderer(place).render(clip, place, "s")
        assert found.achieved["noise.snr_a_db"] == pytest.approx(expected, abs=0.06)
    with pytest.raises(InputError, match="either snr_db"):
        condition(tmp_path, f'[[effect]]\nuse = "noise"\nsnr_db = 3\n{body}')


def test_short_words_meet_a_rare_knock_as_long_sentences_do(tmp_path: Path) -> None:
    """20 bursts a minute on half-second words: none is missed (46 % were), and the exposure is recorded."""
    place = _noise(tmp_path, 5, 'source = "knock"\nrate_hz = 0.33\nregular = false\ndecay_s = 0.1')
    shares = []
    for seed in range(40):
        found = renderer(place).render(synthetic_speech(0.5, seed=seed), place, "s")
        assert "noise.missed_speech" not in found.achieved
        shares.append(float(found.achieved["noise.exposed_fraction"]))
    steady = _noise(tmp_path, 5, 'source = "white"')
    everywhere = renderer(steady).render(synthetic_speech(2.0), steady, "s").achieved["noise.exposed_fraction"]
    assert float(np.mean(shares)) < 0.5 < float(everywhere)


def _band_level(noise: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    frame = RATE // 20
    power = np.abs(np.fft.rfft(noise[: noise.size // frame * frame].reshape(-1, frame), axis=1)) ** 2
    hz = np.arange(power.shape[1]) * RATE / frame
    return power[:, (hz >= low_hz) & (hz < high_hz)].sum(axis=1)


def test_the_tones_of_a_horn_take_turns(tmp_path: Path) -> None:
    """The ambulance's two pitches never sound together, and one of them always does."""
    body = 'source = "beep"\nfrequency_hz = 440\nturns_hz = [600]\nrate_hz = 1.3333\nlength_s = 0.75\nharmonics = 1'
    place = _noise(tmp_path, 0, body)
    clip = synthetic_speech(9.0)
    found = renderer(place).render(clip, place, "s")
    noise = noise_of(clip, found.clip, found.achieved)
    low, high = _band_level(noise, 380, 510), _band_level(noise, 530, 680)
    share = low / (low + high)
    assert float(np.mean((share > 0.05) & (share < 0.95))) < 0.15  # the frames in which one hands over to the other
    assert 0.4 < float(np.mean(share > 0.5)) < 0.6


def test_rail_joints_beat_in_pairs(tmp_path: Path) -> None:
    """Each knock is followed by another after the stated time."""
    body = 'source = "knock"\nrate_hz = 1\nagain_s = [0.2]\ndecay_s = 0.05\nspread_db = 0\nrattle_db = -60'
    place = _noise(tmp_path, 0, body)
    clip = synthetic_speech(9.0)
    found = renderer(place).render(clip, place, "s")
    loud = np.abs(noise_of(clip, found.clip, found.achieved)).reshape(-1, RATE // 100).max(axis=1)
    onsets = np.flatnonzero((loud[1:] > 0.5 * loud.max()) & (loud[:-1] < 0.1 * loud.max()))
    gaps = np.diff(onsets) / 100
    assert set(np.round(gaps, 1)) == {0.2, 0.8}


@pytest.mark.shared
def test_babble_is_heard_in_the_room(shared_data: Path, tmp_path: Path) -> None:
    """Other talkers reverberate where the speaker does: a room fills their pauses."""
    talk = '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "babble"\ntalkers = 1\n'
    room = '[[effect]]\nuse = "room"\nrt60_s = 1.0\nlength_m = 8\nwidth_m = 6\nheight_m = 3\n'
    (clip, speaker), *_ = real_speech(shared_data, 1)
    corpus = Corpus(real_corpus(shared_data))
    dips = []
    for body in (talk, room + talk):
        place = condition(tmp_path, body)
        chain = _Chain(clip, place.profile, speaker, 1, corpus)
        for step in place.steps:
            chain.run(step, effect_of(step.effect))
        noise = chain.samples - chain.speech
        power = np.sort(np.mean(noise[: noise.size // 320 * 320].reshape(-1, 320) ** 2, axis=1))
        dips.append(10 * np.log10(power[-1] / power[power.size // 5]))
    assert dips[1] < dips[0] - 2


def test_extreme_rooms_are_warned_of(tmp_path: Path) -> None:
    """A corridor whose reverberation time cannot be reached says so; an ordinary room says nothing."""
    room = '[[effect]]\nuse = "room"\nlength_m = {}\nwidth_m = {}\nheight_m = {}\nrt60_s = 0.8\ndistance_m = 3\n'
    odd = condition(tmp_path, room.format(20, 3, 2.5))
    assert any("no single reverberation time" in w for w in odd.warnings)
    assert () == condition(tmp_path, room.format(7, 5, 2.8)).warnings


def test_padding_goes_on_with_the_recordings_own_floor(tmp_path: Path) -> None:
    """No step in level or colour where the recording begins and ends."""
    place = condition(tmp_path, '[[effect]]\nuse = "pad_silence"\nbefore_s = 2\nafter_s = 2\nfloor = "own"\n')
    clip, floor = _with_floor(30)
    samples = clip.samples.copy()
    samples[: RATE // 2], samples[-RATE // 2 :] = floor[: RATE // 2], floor[-RATE // 2 :]
    clip = Clip(utterance_id="u", samples=samples, sample_rate_hz=RATE)
    heard = renderer(place).render(clip, place, "s").clip.samples
    before = 10 * np.log10(np.mean(heard[: 2 * RATE].astype(float) ** 2))
    assert before == pytest.approx(10 * np.log10(np.mean(floor**2)), abs=1.0)


@pytest.mark.slow
@pytest.mark.shared
def test_a_mild_place_is_easier_than_any_severe_one(shared_data: Path) -> None:
    """Severities mean the same everywhere: what mild leaves of speech (STOI) is more than severe leaves anywhere."""
    stoi = pytest.importorskip("pystoi").stoi
    speech = real_speech(shared_data, 4)
    found: dict[str, list[float]] = {"mild": [], "severe": []}
    for profile in list_profiles(resources.shipped("noise_profiles")):
        if profile.stem == "silence-padded":
            continue
        for severity, indices in found.items():
            place = parse_condition(f"{profile.stem}@{severity}")
            render = renderer(place, context=real_corpus(shared_data))
            heard = [(c.samples, render.render(c, place, s).clip.samples) for c, s in speech]
            indices.append(float(np.mean([stoi(a.astype(float), b.astype(float), RATE) for a, b in heard])))
    assert min(found["mild"]) > max(found["severe"]) - 0.05
    assert float(np.mean(found["mild"])) > float(np.mean(found["severe"])) + 0.1
