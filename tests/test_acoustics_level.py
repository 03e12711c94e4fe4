"""Tests of ``asrfair.acoustics.level``: active speech level after ITU-T P.56."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from independent_p56 import measure, measure_as_the_itu_tool

from asrfair.acoustics.level import active_level, fit_length, mean_power, rms_dbfs

RATE = 16_000


def _bursts(on_s: float, off_s: float, times: int, *, rate: int = RATE) -> np.ndarray:
    """White noise of RMS 0.1 that is switched on and off."""
    rng = np.random.default_rng(1)
    on = 0.1 * rng.standard_normal(round(on_s * rate))
    return np.tile(np.concatenate([on, np.zeros(round(off_s * rate))]), times)


def test_a_steady_noise_is_active_all_the_time() -> None:
    """A noise without a pause has its RMS as its active level."""
    level = active_level(_bursts(10, 0, 1), RATE)
    assert level is not None
    # The hangover after the end adds 0.2 s and the envelope's decay to 10 s.
    assert -20.0 == pytest.approx(level.level_dbfs, abs=0.15)
    assert 1.0 == pytest.approx(level.fraction, abs=0.01)


def test_pauses_longer_than_the_hangover_do_not_count() -> None:
    """Three seconds on and three off: the active part is the burst, its decay and 200 ms."""
    level = active_level(_bursts(3, 3, 5), RATE)
    assert level is not None
    tail = 0.2 + 0.09
    assert -20 + 10 * np.log10(3 / (3 + tail)) == pytest.approx(level.level_dbfs, abs=0.1)
    assert (3 + tail) / 6 == pytest.approx(level.fraction, abs=0.02)


def test_short_gaps_are_bridged() -> None:
    """A gap of 100 ms is part of the activity: level falls by the share of silence in it."""
    level = active_level(_bursts(0.4, 0.1, 20), RATE)
    assert level is not None
    assert -20 + 10 * np.log10(0.8) == pytest.approx(level.level_dbfs, abs=0.15)


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.zeros(0), np.full(RATE, np.nan), np.full(RATE, 1e-7)])
def test_nothing_to_measure_is_none(samples: np.ndarray) -> None:
    """Silence, no samples, no numbers and far less than 16 bits resolve have no level."""
    assert active_level(samples, RATE) is None


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    gain_db=st.floats(-40, 20),
    rate=st.sampled_from([8000, 11_025, 16_000, 44_100]),
    seed=st.integers(0, 1000),
)
def test_level_follows_gain_exactly(gain_db: float, rate: int, seed: int) -> None:
    """Twice as loud is 6.02 dB more, to the last digit, with the same activity."""
    rng = np.random.default_rng(seed)
    speech = rng.standard_normal(rate) * np.repeat(rng.uniform(0, 0.2, 20), rate // 20 + 1)[:rate]
    quiet, loud = active_level(speech, rate), active_level(speech * 10 ** (gain_db / 20), rate)
    assert quiet is not None
    assert loud is not None
    assert quiet.level_dbfs + gain_db == pytest.approx(loud.level_dbfs, abs=1e-6)
    assert quiet.fraction == pytest.approx(loud.fraction, abs=0.002)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(before=st.integers(0, 3 * RATE), after=st.integers(0, 3 * RATE), seed=st.integers(0, 1000))
def test_silence_around_the_clip_changes_nothing(before: int, after: int, seed: int) -> None:
    """How tightly a clip was cut does not move its level."""
    rng = np.random.default_rng(seed)
    speech = rng.standard_normal(RATE) * np.repeat(rng.uniform(0, 0.2, 20), RATE // 20)
    tight = active_level(speech, RATE)
    loose = active_level(np.concatenate([np.zeros(before), speech, np.zeros(after)]), RATE)
    assert tight is not None
    assert loose is not None
    assert tight.level_dbfs == pytest.approx(loose.level_dbfs, abs=0.02)


@pytest.mark.shared
def test_level_agrees_with_a_second_implementation(shared_data: Path) -> None:
    """On real speech of three corpora, 8 to 16 kHz, another algorithm at the full rate finds the same level."""
    files = sorted((shared_data / "speechocean762" / "test").glob("*/*.flac"))[::40]
    files += sorted((shared_data / "fsdd" / "recordings").glob("*.wav"))[::40]
    files += sorted((shared_data / "small_speech").glob("*/*.wav"))[::6]
    assert len(files) >= 20
    worst, apart_ms, itu = 0.0, 0.0, []
    for file in files:
        samples, rate = soundfile.read(file)
        samples = samples if samples.ndim == 1 else samples.mean(axis=1)
        level = active_level(samples, rate)
        assert level is not None
        level_dbfs, mask = measure(samples, rate)
        worst = max(worst, abs(level.level_dbfs - level_dbfs))
        apart_ms = max(apart_ms, 1000 * float(np.count_nonzero(level.mask != mask)) / rate)
        itu.append(level.level_dbfs - measure_as_the_itu_tool(samples, rate))
    assert worst < 0.02
    assert apart_ms < 1.0
    # The ITU's coarse grid is off by more, in both directions, and not on average.
    assert abs(float(np.mean(itu))) < 0.1
    assert float(np.max(np.abs(itu))) < 0.6


@settings(derandomize=True, deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), size=st.integers(4000, 40_000))
def test_power_over_the_active_samples_is_that_of_the_mask(seed: int, size: int) -> None:
    """Spans, mask, fraction and power say the same, also after a gain."""
    rng = np.random.default_rng(seed)
    speech = rng.standard_normal(size) * np.repeat(rng.uniform(0, 0.2, 20) ** 3, size // 20 + 1)[:size]
    level = active_level(speech, RATE)
    assert level is not None
    other = rng.standard_normal(size)
    for measured in (level, level.louder(3)):
        assert measured.fraction == pytest.approx(float(np.mean(measured.mask)))
        assert measured.power(other) == pytest.approx(float(np.mean(other[measured.mask] ** 2)))


def test_rms_and_power_of_known_signals() -> None:
    """A full-scale sine is −3.01 dBFS, a square wave 0, silence minus infinity."""
    sine = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    assert -3.01 == pytest.approx(rms_dbfs(sine), abs=0.01)
    assert 0.0 == rms_dbfs(np.sign(sine + 0.5e-9) * 1.0)
    assert -np.inf == rms_dbfs(np.zeros(10))
    assert 0.0 == mean_power(np.zeros(0))


def test_fit_length_cuts_or_fills() -> None:
    """The length asked for is the length given."""
    assert [1.0, 2.0] == fit_length(np.array([1.0, 2.0, 3.0]), 2).tolist()
    assert [1.0, 0.0] == fit_length(np.array([1.0]), 2).tolist()
