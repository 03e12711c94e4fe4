"""Tests of rooms, recorded and simulated, and of distance: timing, reverberation, refusal of what is no response."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from acoustics_helpers import RATE, condition, real_speech, renderer, synthetic_speech
from hypothesis import given, settings
from hypothesis import strategies as st

from asrfair.acoustics.effects.distance import air_absorption_db_per_m
from asrfair.acoustics.impulse import (
    NoDirectPathError,
    analyse,
    direct_to_reverberant_db,
    reverberation_time_s,
    with_drr,
)
from asrfair.errors import InputError
from asrfair.types import Clip

RESPONSES = [
    (name, channel)
    for name, channels in (
        ("cardiod-35-10-spread", 2),
        ("echo-chamber", 4),
        ("kitchen-true-stereo", 4),
        ("omni-35-10", 2),
    )
    for channel in range(channels)
]


def _impulse(at: float = 0.5, seconds: float = 1.5, rate: int = RATE) -> Clip:
    samples = np.zeros(round(seconds * rate), np.float32)
    samples[round(at * rate)] = 0.5
    return Clip(utterance_id="click", samples=samples, sample_rate_hz=rate)


def _whitened_lag_ms(before: np.ndarray, after: np.ndarray, rate: int) -> float:
    """Return the lag of the largest value of the deconvolution: where speech, its own pitch taken out, comes again."""
    size = 2 * before.size
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    clean, heard = np.fft.rfft(before.astype(float), size), np.fft.rfft(after.astype(float), size)
    power = np.abs(clean) ** 2
    ratio = heard * np.conj(clean) / (power + 1e-3 * power.mean())
    found = int(np.argmax(np.fft.irfft(np.where((frequencies > 100) & (frequencies < 3400), ratio, 0), size)))
    return (found if found < size // 2 else found - size) / rate * 1000


@pytest.mark.shared
@pytest.mark.parametrize(("name", "channel"), RESPONSES)
def test_recorded_responses_put_the_first_arrival_at_lag_zero(
    shared_data: Path, tmp_path: Path, name: str, channel: int
) -> None:
    """A click through every real response starts (ISO 3382: 20 dB below the peak) within 1 ms of where it was."""
    file = shared_data / "room_ir" / f"{name}.wav"
    place = condition(tmp_path, f'[[effect]]\nuse = "impulse_response"\nfile = "{file}"\nchannel = {channel}')
    for rate in (16_000, 44_100):
        clip = _impulse(rate=rate)
        found = renderer(place).render(clip, place, "s")
        assert clip.samples.size == found.clip.samples.size
        loud = np.abs(found.clip.samples)
        onset = int(np.flatnonzero(loud >= 0.1 * loud.max())[0])
        assert abs(onset - rate // 2) <= 0.001 * rate
        assert {"drr_db", "rt60_s", "file_sha256", "channel"} <= {k.partition(".")[2] for k in found.achieved}


@pytest.mark.shared
@pytest.mark.parametrize(("name", "channel"), RESPONSES)
def test_speech_stays_where_it_was_in_recorded_rooms(
    shared_data: Path, tmp_path: Path, name: str, channel: int
) -> None:
    """With the tail scaled to a ratio of 3 dB the whitened cross-correlation of real speech peaks at lag 0."""
    file = shared_data / "room_ir" / f"{name}.wav"
    place = condition(
        tmp_path, f'[[effect]]\nuse = "impulse_response"\nfile = "{file}"\nchannel = {channel}\ndrr_db = 3'
    )
    for clip, speaker in real_speech(shared_data, 3):
        found = renderer(place).render(clip, place, speaker)
        assert abs(_whitened_lag_ms(clip.samples, found.clip.samples, RATE)) <= 1.0
        assert 3.0 == pytest.approx(float(found.achieved["impulse_response.drr_db"]), abs=1e-6)
        assert 0.0 == pytest.approx(
            float(found.achieved["active_level_dbfs"])
            - float(found.achieved["headroom_gain_db"])
            - float(renderer().render(clip, _clean(), speaker).achieved["active_level_dbfs"]),
            abs=0.1,
        )


def _clean():
    from asrfair.acoustics import CLEAN_CONDITION

    return CLEAN_CONDITION


@pytest.mark.shared
def test_speech_stays_where_it_was_in_simulated_rooms(shared_data: Path, tmp_path: Path) -> None:
    """Lag 0 within 1 ms in simulated rooms, by plain cross-correlation near by and whitened farther off."""
    near = condition(tmp_path, '[[effect]]\nuse = "room"\nrt60_s = 0.4\ndistance_m = 0.7', name="near")
    far = condition(tmp_path, '[[effect]]\nuse = "room"\nrt60_s = 0.4\ndistance_m = 2', name="far")
    for clip, speaker in real_speech(shared_data, 8):
        found = renderer(near).render(clip, near, speaker).clip.samples
        before = clip.samples.astype(float)
        size = 2 * before.size
        plain = np.fft.irfft(np.fft.rfft(found.astype(float), size) * np.conj(np.fft.rfft(before, size)), size)
        lag = int(np.argmax(plain))
        assert min(lag, size - lag) <= 0.001 * RATE
        assert abs(_whitened_lag_ms(clip.samples, renderer(far).render(clip, far, speaker).clip.samples, RATE)) <= 1


@pytest.mark.parametrize("rt60_s", [0.2, 0.35, 0.6])
@pytest.mark.parametrize("size", [(4.0, 3.0, 2.6), (8.0, 6.0, 3.0)])
def test_simulated_rooms_have_the_reverberation_time_asked_for(
    tmp_path: Path, rt60_s: float, size: tuple[float, float, float]
) -> None:
    """Within 12 % in every placement, by a decay curve that the test integrates itself."""
    length, width, height = size
    place = condition(
        tmp_path,
        f'[[effect]]\nuse = "room"\nlength_m = {length}\nwidth_m = {width}\nheight_m = {height}\n'
        f"rt60_s = {rt60_s}\ndistance_m = 1.2\nplacements = 2\nrestore_level = false",
    )
    for name in "ab":
        clip = Clip(utterance_id=name, samples=_impulse(0.1, 1.5).samples, sample_rate_hz=RATE)
        heard = renderer(place).render(clip, place, "s").clip.samples.astype(float)[RATE // 10 :]
        curve = 10 * np.log10(np.cumsum(heard[::-1] ** 2)[::-1] / np.sum(heard**2) + 1e-12)
        fit = np.flatnonzero((curve < -5) & (curve > -30))
        slope = np.polyfit(fit / RATE, curve[fit], 1)[0]
        assert rt60_s == pytest.approx(-60 / slope, rel=0.12)


def test_farther_in_the_same_room_is_less_direct(tmp_path: Path) -> None:
    """The direct-to-reverberant ratio falls with distance by about 6 dB each doubling, as in a diffuse field."""
    ratios = []
    for distance in (0.5, 1.0, 2.0):
        place = condition(
            tmp_path,
            f'[[effect]]\nuse = "room"\nlength_m = 7\nwidth_m = 6\nrt60_s = 0.5\ndistance_m = {distance}',
            name=f"d{round(distance * 10)}",
        )
        per_place = [
            float(renderer(place).render(_named(_impulse(), str(i)), place, "s").achieved["room.drr_db"])
            for i in range(6)
        ]
        ratios.append(float(np.mean(per_place)))
    assert -6.0 == pytest.approx(ratios[1] - ratios[0], abs=2.0)
    assert -6.0 == pytest.approx(ratios[2] - ratios[1], abs=2.0)


def _named(clip: Clip, name: str) -> Clip:
    return Clip(utterance_id=name, samples=clip.samples, sample_rate_hz=clip.sample_rate_hz)


@pytest.mark.parametrize(
    "body",
    [
        "distance_m = 20",
        "height_m = 2.0\nmicrophone_height_m = 1.9",
        "length_m = 40\nwidth_m = 30\nheight_m = 10\nrt60_s = 0.1",
        "length_m = 2\nwidth_m = 2\nheight_m = 2\nrt60_s = 3\ntalker_height_m = 1.5\ndistance_m = 1",
        "placements = 0",
        "rt_s = 0.5",
    ],
)
def test_rooms_that_cannot_be_are_refused_with_their_line(tmp_path: Path, body: str) -> None:
    """A talker outside, a microphone in the ceiling, walls that absorb everything, too many reflections, a typo."""
    with pytest.raises(InputError) as caught:
        condition(tmp_path, f'[[effect]]\nuse = "room"\n{body}')
    assert caught.value.line is not None


@pytest.mark.shared
@pytest.mark.parametrize("channel", range(8))
def test_a_recording_without_a_direct_path_is_refused(shared_data: Path, tmp_path: Path, channel: int) -> None:
    """The shared eight-channel recording is as loud at its end as at its beginning: no response of a room."""
    file = shared_data / "room_ir" / "rir" / "real_8ch.wav"
    with pytest.raises(InputError, match="no direct path"):
        condition(tmp_path, f'[[effect]]\nuse = "impulse_response"\nfile = "{file}"\nchannel = {channel}')


def test_what_is_no_impulse_response_is_refused(tmp_path: Path) -> None:
    """Silence, noise, a missing file, a missing channel, a text file, a tail whose beginning is cut off."""
    rng = np.random.default_rng(0)
    decaying = rng.standard_normal(RATE) * np.exp(-6.9 * np.arange(RATE) / RATE / 0.5)
    late = decaying / np.abs(decaying).max()
    late[:100] = 0.2 * (-1.0) ** np.arange(100)
    files = {"silent": np.zeros(RATE), "noise": rng.standard_normal(RATE) * 0.1, "late": 0.9 * late}
    for name, samples in files.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE)
        with pytest.raises(InputError, match="no direct path"):
            condition(tmp_path, f'[[effect]]\nuse = "impulse_response"\nfile = "{name}.wav"')
    (tmp_path / "text.wav").write_text("no audio", encoding="utf-8")
    soundfile.write(tmp_path / "good.wav", np.eye(1, 800)[0] * 0.9, RATE)
    for line in ('file = "none.wav"', 'file = "text.wav"', 'file = "good.wav"\nchannel = 1', 'file = "a\\u0000b"'):
        with pytest.raises(InputError):
            condition(tmp_path, f'[[effect]]\nuse = "impulse_response"\n{line}')


@pytest.mark.shared
def test_a_weak_direct_path_is_warned_about(shared_data: Path, tmp_path: Path) -> None:
    """The echo chamber works, and says that its loudest sound comes late; with drr_db there is nothing to warn of."""
    file = shared_data / "room_ir" / "echo-chamber.wav"
    body = f'[[effect]]\nuse = "impulse_response"\nfile = "{file}"'
    assert any("direct path is weak" in w for w in condition(tmp_path, body).warnings)
    assert () == condition(tmp_path, body + "\ndrr_db = 0").warnings


def test_a_pure_click_changes_nothing(tmp_path: Path) -> None:
    """Convolution with one sample is the identity."""
    soundfile.write(tmp_path / "click.wav", np.eye(1, 100, 30)[0] * 0.5, RATE, subtype="FLOAT")
    place = condition(tmp_path, '[[effect]]\nuse = "impulse_response"\nfile = "click.wav"')
    clip = synthetic_speech()
    assert clip.samples == pytest.approx(renderer(place).render(clip, place, "s").clip.samples, abs=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(rt60=st.floats(0.15, 2.0), direct=st.integers(10, 2000), drr=st.floats(-15, 20))
def test_what_is_measured_is_what_was_built(rt60: float, direct: int, drr: float) -> None:
    """A response with a known onset, ratio and decay measures as such; setting the ratio gives the ratio."""
    rng = np.random.default_rng(direct)
    size = direct + round(1.2 * rt60 * RATE)
    time = (np.arange(size) - direct) / RATE
    tail = rng.standard_normal(size) * np.exp(-6.9078 * np.maximum(time, 0) / rt60) * (time > 0.001)
    built = 0.01 * tail
    built[direct] = 1.0
    built = with_drr(built, RATE, direct, drr)
    assert drr == pytest.approx(direct_to_reverberant_db(built, RATE, direct), abs=1e-6)
    if np.max(np.abs(built[direct + 1 :])) < 9:
        facts = analyse(built, RATE)
        assert direct == facts.direct
        assert drr == pytest.approx(facts.drr_db, abs=1e-6)
        assert rt60 == pytest.approx(reverberation_time_s(built[direct + 20 :], RATE), rel=0.15)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(100), np.full(100, np.nan), np.ones(RATE)])
def test_measuring_what_is_nothing_is_an_error(samples: np.ndarray) -> None:
    """Empty, silent, not a number, and without decay."""
    with pytest.raises(NoDirectPathError):
        analyse(samples, RATE)


@pytest.mark.parametrize(
    ("frequency_hz", "db_per_km"),
    [(125, 0.445), (250, 1.32), (500, 2.73), (1000, 4.66), (2000, 9.86), (4000, 29.4), (8000, 104)],
)
def test_air_absorbs_as_the_standard_tabulates(frequency_hz: float, db_per_km: float) -> None:
    """ISO 9613-1, table 1, 20 °C and 50 % humidity, to the digits printed there (at exact band centres: 1.5 %)."""
    found = float(air_absorption_db_per_m(np.array([float(frequency_hz)]))[0]) * 1000
    assert db_per_km == pytest.approx(found, rel=0.015)


def test_distance_follows_the_inverse_law_and_dulls(tmp_path: Path) -> None:
    """20 dB from 0.3 to 3 m; at 50 m the air takes more from 6 kHz than from 500 Hz, by what the formula says."""
    clip = synthetic_speech()
    near = condition(tmp_path, '[[effect]]\nuse = "distance"\ndistance_m = 3', name="near")
    found = renderer(near).render(clip, near, "s")
    assert -20.0 == pytest.approx(float(found.achieved["distance.level_change_db"]), abs=0.05)
    white = np.random.default_rng(1).standard_normal(4 * RATE).astype(np.float32) * 0.1
    far = condition(tmp_path, '[[effect]]\nuse = "distance"\ndistance_m = 50\nreference_m = 1', name="far")
    heard = renderer(far).render(Clip(utterance_id="u", samples=white, sample_rate_hz=RATE), far, "s").clip.samples
    ratio = np.abs(np.fft.rfft(heard)) ** 2 / np.abs(np.fft.rfft(white)) ** 2
    levels = [10 * math.log10(float(np.median(ratio[f * 4 - 400 : f * 4 + 400]))) for f in (500, 6000)]
    loss = 49 * air_absorption_db_per_m(np.array([500.0, 6000.0]))
    assert float(loss[1] - loss[0]) == pytest.approx(levels[0] - levels[1], abs=0.3)
