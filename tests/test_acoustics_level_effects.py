"""Tests of gain, clipping, automatic gain control and silence padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from acoustics_helpers import RATE, condition, real_speech, renderer, synthetic_speech
from independent_p56 import measure

from asrfair.errors import InputError
from asrfair.types import Clip


def _unscaled(found) -> np.ndarray:
    """Return rendered samples with the headroom undone."""
    return found.clip.samples / 10 ** (float(found.achieved["headroom_gain_db"]) / 20)


@pytest.mark.shared
@pytest.mark.parametrize("wanted", [-35.0, -26.0, -15.0])
def test_gain_sets_the_active_level(shared_data: Path, tmp_path: Path, wanted: float) -> None:
    """Within 0.1 dB by an independent P.56, whatever the level before; too loud is turned down, never clipped."""
    place = condition(tmp_path, f'[[effect]]\nuse = "gain"\nlevel_dbfs = {wanted}')
    for clip, speaker in real_speech(shared_data, 6):
        found = renderer(place).render(clip, place, speaker)
        assert wanted == pytest.approx(measure(_unscaled(found), RATE)[0], abs=0.1)
        assert np.abs(found.clip.samples).max() <= 0.9991


def test_gain_is_one_factor(tmp_path: Path) -> None:
    """Six decibels down is every sample times 0.501."""
    place = condition(tmp_path, '[[effect]]\nuse = "gain"\ngain_db = -6')
    clip = synthetic_speech()
    assert clip.samples * 10**-0.3 == pytest.approx(renderer(place).render(clip, place, "s").clip.samples, abs=1e-7)


@pytest.mark.shared
@pytest.mark.parametrize("fraction", [0.001, 0.02, 0.1])
def test_clipping_takes_the_share_asked_for(shared_data: Path, tmp_path: Path, fraction: float) -> None:
    """The share of the active samples at the ceiling, counted by the test, is the one asked for; level comes back."""
    place = condition(tmp_path, f'[[effect]]\nuse = "clip"\nfraction = {fraction}')
    for clip, speaker in real_speech(shared_data, 4):
        found = renderer(place).render(clip, place, speaker)
        level, active = measure(clip.samples.astype(float), RATE)
        samples = _unscaled(found)
        ceiling = np.abs(samples).max()
        share = float(np.mean(np.abs(samples[active]) >= ceiling * (1 - 1e-6)))
        assert fraction == pytest.approx(share, abs=0.002)
        assert share == pytest.approx(float(found.achieved["clip.clipped_fraction"]), abs=0.002)
        assert level == pytest.approx(measure(samples, RATE)[0], abs=0.1)


def test_clipping_is_relative_to_the_talker(tmp_path: Path) -> None:
    """A loud and a quiet talker lose the same; hard clipping is flat, soft clipping bends."""
    hard = condition(tmp_path, '[[effect]]\nuse = "clip"\nover_db = 10', name="hard")
    soft = condition(tmp_path, '[[effect]]\nuse = "clip"\nover_db = 10\nshape = "soft"', name="soft")
    shares = []
    for level in (0.005, 0.1):
        clip = synthetic_speech(level=level)
        shares.append(float(renderer(hard).render(clip, hard, "s").achieved["clip.clipped_fraction"]))
    assert shares[0] == pytest.approx(shares[1], abs=1e-6)
    clip = synthetic_speech(level=0.02)
    tops = []
    for place in (hard, soft):
        samples = np.abs(_unscaled(renderer(place).render(clip, place, "s")))
        tops.append(int(np.count_nonzero(samples >= samples.max() * (1 - 1e-6))))
    assert tops[0] > 100 > tops[1]


def test_agc_brings_quiet_and_loud_together_and_pumps_up_pauses(tmp_path: Path) -> None:
    """20 dB between two talkers become less than 4; the noise of a pause rises against the speech."""
    place = condition(tmp_path, '[[effect]]\nuse = "agc"\ntarget_dbfs = -26\nmax_gain_db = 30\nrelease_s = 0.2')
    levels = []
    for level in (0.005, 0.05):
        clip = synthetic_speech(6.0, level=level)
        levels.append(float(renderer(place).render(clip, place, "s").achieved["active_level_dbfs"]))
    assert abs(levels[1] - levels[0]) < 4
    clip = synthetic_speech(6.0, level=0.05)
    floor = (0.0005 * np.random.default_rng(1).standard_normal(clip.samples.size)).astype(np.float32)
    noisy = Clip(utterance_id="u", samples=clip.samples + floor, sample_rate_hz=RATE)
    found = renderer(place).render(noisy, place, "s")
    pause = slice(round(3.2 * RATE), round(3.6 * RATE))
    before = np.std(noisy.samples[pause]) / np.std(noisy.samples)
    after = np.std(found.clip.samples[pause]) / np.std(found.clip.samples)
    assert after > 3 * before
    assert float(found.achieved["agc.gain_max_db"]) <= 30 + 1e-9


@pytest.mark.shared
def test_padding_adds_exactly_what_was_asked(shared_data: Path, tmp_path: Path) -> None:
    """Samples before and after by count, the speech untouched between them, the active level unchanged."""
    place = condition(tmp_path, '[[effect]]\nuse = "pad_silence"\nbefore_s = 0.25\nafter_s = 1.5')
    for clip, speaker in real_speech(shared_data, 3):
        found = renderer(place).render(clip, place, speaker)
        before, after = round(0.25 * RATE), round(1.5 * RATE)
        assert clip.samples.size + before + after == found.clip.samples.size
        assert clip.samples == pytest.approx(found.clip.samples[before:-after], abs=1e-7)
        assert not found.clip.samples[:before].any()
        assert not found.clip.samples[-after:].any()
        assert measure(clip.samples.astype(float), RATE)[0] == pytest.approx(
            float(found.achieved["active_level_dbfs"]), abs=0.05
        )


def test_padding_can_have_a_floor(tmp_path: Path) -> None:
    """Noise at the RMS level asked for, the same at each call and another for another utterance."""
    place = condition(tmp_path, '[[effect]]\nuse = "pad_silence"\nbefore_s = 2\nfloor_dbfs = -60')
    first, again = (renderer(place).render(synthetic_speech(), place, "s").clip.samples for _ in range(2))
    other = renderer(place).render(synthetic_speech(seed=2), place, "s").clip.samples
    assert -60.0 == pytest.approx(20 * np.log10(np.std(first[: 2 * RATE])), abs=0.2)
    assert first.tobytes() == again.tobytes()
    assert first[:100].tobytes() != other[:100].tobytes()


def test_noise_fills_the_padding_when_it_comes_after(tmp_path: Path) -> None:
    """Padding first and noise then is a longer recording of the same place: noise from the first sample on."""
    place = condition(
        tmp_path,
        '[[effect]]\nuse = "pad_silence"\nbefore_s = 1\n[[effect]]\nuse = "noise"\nsource = "pink"\nsnr_db = 10',
    )
    found = renderer(place).render(synthetic_speech(), place, "s")
    assert np.std(found.clip.samples[:RATE]) > 0.001
    assert 10.0 == pytest.approx(float(found.achieved["noise.snr_db"]), abs=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        'use = "gain"',
        'use = "gain"\ngain_db = 1\nlevel_dbfs = -20',
        'use = "clip"',
        'use = "clip"\nover_db = 3\nfraction = 0.1',
        'use = "clip"\nover_db = 3\nshape = "square"',
        'use = "pad_silence"\nbefore_s = -1',
        'use = "pad_silence"\nbefore_s = 1e9',
        'use = "agc"\nattack_s = 0',
    ],
)
def test_what_is_unclear_or_out_of_bounds_is_refused(tmp_path: Path, body: str) -> None:
    """Two ways at once, none at all, unknown words, times below zero or beyond reason."""
    with pytest.raises(InputError):
        condition(tmp_path, f"[[effect]]\n{body}")


def test_silence_passes_every_level_effect(tmp_path: Path) -> None:
    """Nothing to measure is no error, and stays nothing."""
    clip = Clip(utterance_id="u", samples=np.zeros(RATE, np.float32), sample_rate_hz=RATE)
    for i, body in enumerate(
        ('use = "gain"\nlevel_dbfs = -20', 'use = "clip"\nover_db = 3', 'use = "clip"\nfraction = 0.1', 'use = "agc"')
    ):
        place = condition(tmp_path, f"[[effect]]\n{body}", name=f"p{i}")
        assert not renderer(place).render(clip, place, "s").clip.samples.any()
