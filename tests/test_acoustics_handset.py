"""Tests of the handset: its response, its ceiling, its own noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from acoustics_helpers import RATE, condition, renderer, synthetic_speech
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from asrfair.acoustics.effects.handset import bell, response
from asrfair.errors import InputError
from asrfair.types import Clip


def _measured_db(place, frequencies: list[float]) -> list[float]:
    white = (0.05 * np.random.default_rng(1).standard_normal(8 * RATE)).astype(np.float32)
    heard = renderer(place).render(Clip(utterance_id="u", samples=white, sample_rate_hz=RATE), place, "s").clip.samples
    axis, before = signal.welch(white, RATE, nperseg=2048)
    _, after = signal.welch(heard, RATE, nperseg=2048)
    return [float(np.interp(f, axis, 10 * np.log10(after / before))) for f in frequencies]


def test_band_and_resonance_are_where_they_were_put(tmp_path: Path) -> None:
    """Measured on white noise: the bell's height at its centre, −3 dB at the edges, the slopes beyond."""
    place = condition(
        tmp_path,
        '[[effect]]\nuse = "handset"\nlow_hz = 400\nhigh_hz = 3500\nslope_db_per_octave = 24\nrestore_level = false\n'
        "resonances = [{ frequency_hz = 1500, gain_db = 9, q = 3 }]",
    )
    low, below, peak, high, above = _measured_db(place, [400, 200, 1500, 3500, 7000])
    assert 9.0 == pytest.approx(peak, abs=0.5)
    assert -3.0 == pytest.approx(low, abs=1.0)
    assert -3.0 == pytest.approx(high, abs=1.0)
    assert -24.0 == pytest.approx(below, abs=2.0)
    assert -24.0 == pytest.approx(above, abs=2.0)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(centre=st.floats(100, 7000), gain=st.floats(-24, 24), q=st.floats(0.3, 12))
def test_a_bell_is_the_analogue_peaking_filter(centre: float, gain: float, q: float) -> None:
    """Against scipy's evaluation of the same transfer function; exact at the centre, its inverse for the opposite."""
    frequencies = np.array([centre / 3, centre, centre * 2.5])
    a = 10 ** (gain / 40)
    w = 2 * np.pi * centre
    _, expected = signal.freqs([1, w * a / q, w**2], [1, w / (a * q), w**2], worN=2 * np.pi * frequencies)
    found = bell(frequencies, centre, gain, q)
    assert np.abs(expected) == pytest.approx(found, rel=1e-9)
    assert gain == pytest.approx(20 * np.log10(found[1]), abs=1e-9)
    assert np.ones(3) == pytest.approx(found * bell(frequencies, centre, -gain, q), rel=1e-9)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(low=st.floats(50, 800), high=st.floats(1500, 7500), order=st.integers(1, 6))
def test_the_flanks_are_butterworths(low: float, high: float, order: int) -> None:
    """Against scipy's analogue Butterworth filters of the same order."""
    frequencies = np.array([60.0, 300.0, 1000.0, 4000.0, 7900.0])
    found = response(frequencies, low_hz=low, high_hz=high, slope_db_per_octave=6 * order, resonances=[])
    expected = np.ones(frequencies.size)
    for edge, kind in ((low, "highpass"), (high, "lowpass")):
        b, a = signal.butter(order, 2 * np.pi * edge, kind, analog=True)
        expected = expected * np.abs(signal.freqs(b, a, worN=2 * np.pi * frequencies)[1])
    assert expected == pytest.approx(found, rel=1e-6)


def test_the_ceiling_follows_the_talker(tmp_path: Path) -> None:
    """The same share is saturated whether the talker is loud or quiet; a lower ceiling saturates more."""
    body = '[[effect]]\nuse = "handset"\nlow_hz = 0\nhigh_hz = 100000\nsaturation_db = {}'
    low, high = (condition(tmp_path, body.format(db), name=f"s{db}") for db in (0, 9))
    shares = {}
    for level in (0.01, 0.1):
        clip = synthetic_speech(level=level)
        for place in (low, high):
            key = f"{place.name} {level}"
            shares[key] = float(renderer(place).render(clip, place, "s").achieved["handset.saturated_fraction"])
    assert shares["s0 0.01"] == pytest.approx(shares["s0 0.1"], abs=1e-3)
    assert shares["s0 0.1"] > 2 * shares["s9 0.1"] > 0


def test_self_noise_lies_where_it_was_put(tmp_path: Path) -> None:
    """30 dB below the active level of the speech, in the pause as well."""
    place = condition(
        tmp_path, '[[effect]]\nuse = "handset"\nlow_hz = 0\nhigh_hz = 100000\nself_noise_db = 30\nrestore_level = false'
    )
    clip = synthetic_speech(5.0)
    found = renderer(place).render(clip, place, "s")
    pause = found.clip.samples[round(2.2 * RATE) : round(2.9 * RATE)]
    floor = 20 * np.log10(np.std(pause)) - float(found.achieved["headroom_gain_db"])
    assert float(found.achieved["handset.self_noise_dbfs"]) == pytest.approx(floor, abs=0.3)
    level = float(found.achieved["active_level_dbfs"]) - float(found.achieved["headroom_gain_db"])
    assert 30.0 == pytest.approx(level - floor, abs=0.4)


@pytest.mark.parametrize(
    "body", ["low_hz = 5000\nhigh_hz = 3000", "resonances = [{ gain_db = 3 }]", "self_noise_db = 3", "bass = 1"]
)
def test_handsets_that_cannot_be_are_refused(tmp_path: Path, body: str) -> None:
    """Edges the wrong way round, a resonance without a place, noise louder than a microphone's, a typo."""
    with pytest.raises(InputError):
        condition(tmp_path, f'[[effect]]\nuse = "handset"\n{body}')
