"""Tests of voices that are changed a little: each change against an independent measure."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
from acoustics_helpers import RATE, condition, real_speech, renderer, synthetic_speech
from independent_p56 import measure
from independent_voice import formants, pitches, vowel
from scipy.signal import welch

from asrfair.acoustics import list_further_profiles, parse_condition
from asrfair.acoustics.effects.base import EFFECTS, effect_of
from asrfair.acoustics.envelope import resynthesis, spectrogram
from asrfair.acoustics.render import Rendered
from asrfair.errors import MissingExtraError
from asrfair.types import Clip

CHANGES = {
    "pitch": "semitones = 3",
    "formants": "percent = -10",
    "speaking_rate": "percent = 20",
    "slowing": "",
    "breathiness": "",
    "effort": "",
}


def _clip(samples: np.ndarray, name: str = "u") -> Clip:
    return Clip(utterance_id=name, samples=samples.astype(np.float32), sample_rate_hz=RATE)


def _render(folder: Path, effect: str, settings: str, clip: Clip, *, name: str = "voice") -> Rendered:
    place = condition(folder, f'[[effect]]\nuse = "{effect}"\n{settings}', name=name)
    return renderer(place).render(clip, place, "s")


@pytest.mark.shared
@pytest.mark.parametrize("semitones", [-4, 0, 3])
def test_pitch_moves_by_the_semitones_asked(shared_data: Path, tmp_path: Path, semitones: int) -> None:
    """Median pitch by YIN, an independent tracker: within a quarter tone of what was asked and of what is recorded."""
    found = []
    for clip, _ in real_speech(shared_data, 5):
        rendered = _render(tmp_path, "pitch", f"semitones = {semitones}", clip)
        assert clip.samples.size == rendered.clip.samples.size
        before, after = (pitches(c.samples.astype(float), RATE) for c in (clip, rendered.clip))
        moved = float(np.nanmedian(12 * np.log2(after / before)))  # frame by frame: timing is kept
        found.append(moved)
        assert float(rendered.achieved["pitch.semitones"]) == pytest.approx(moved, abs=0.3)
    assert semitones == pytest.approx(float(np.median(found)), abs=0.25)


def test_the_melody_gets_flatter_around_the_same_pitch(tmp_path: Path) -> None:
    """Half the range: half the spread of the pitch in semitones, the median where it was."""
    clip = _clip(vowel(1.5))
    rendered = _render(tmp_path, "pitch", "range_percent = 50", clip)
    before, after = (12 * np.log2(pitches(c.samples.astype(float), RATE)) for c in (clip, rendered.clip))
    assert 0.5 == pytest.approx(float(np.nanstd(after) / np.nanstd(before)), abs=0.12)
    assert float(np.nanmedian(before)) == pytest.approx(float(np.nanmedian(after)), abs=0.3)


@pytest.mark.parametrize("percent", [-12, 12])
def test_formants_move_and_pitch_stays(tmp_path: Path, percent: int) -> None:
    """Three formants by linear prediction rise or fall together, within 4 points; the pitch by YIN stays."""
    clip = _clip(vowel())
    rendered = _render(tmp_path, "formants", f"percent = {percent}", clip)
    middle = slice(RATE // 4, -RATE // 4)
    before, after = (formants(c.samples.astype(float)[middle], RATE) for c in (clip, rendered.clip))
    assert 100 * (after / before - 1) == pytest.approx(percent, abs=4)
    assert percent == pytest.approx(float(rendered.achieved["formants.formants_percent"]), abs=4)
    both = [np.nanmedian(pitches(c.samples.astype(float), RATE)) for c in (clip, rendered.clip)]
    assert float(both[0]) == pytest.approx(float(both[1]), rel=0.02)


@pytest.mark.parametrize("percent", [-25, 0, 40])
def test_rate_changes_the_length_and_not_the_pitch(tmp_path: Path, percent: int) -> None:
    """As many samples as asked, to one; pitch by YIN within a tenth of a tone."""
    clip = _clip(vowel(2.0, pitch_hz=180))
    rendered = _render(tmp_path, "speaking_rate", f"percent = {percent}", clip)
    assert clip.samples.size / (1 + percent / 100) == pytest.approx(rendered.clip.samples.size, abs=1)
    assert percent == pytest.approx(float(rendered.achieved["speaking_rate.rate_percent"]), abs=0.01)
    both = [np.nanmedian(pitches(c.samples.astype(float), RATE)) for c in (clip, rendered.clip)]
    assert float(both[0]) == pytest.approx(float(both[1]), rel=0.012)


def test_words_stay_in_their_order_and_place(tmp_path: Path) -> None:
    """Two vowels of another kind in a changed rate lie where the rate puts them, so that times can be converted."""
    first, second = vowel(0.6, resonances=(300, 2300, 3000)), vowel(0.6, resonances=(700, 1220, 2600))
    gap = np.zeros(RATE // 2)
    clip = _clip(np.concatenate([gap, first, gap, second, gap]))
    rendered = _render(tmp_path, "speaking_rate", "percent = 25", clip).clip.samples.astype(float)
    starts = []
    for samples in (clip.samples.astype(float), rendered):
        power = np.convolve(samples**2, np.ones(80) / 80, "same")
        loud = power > 0.01 * power.max()
        edges = np.flatnonzero(np.diff(loud.astype(int)) == 1)
        starts.append([edges[0], edges[np.flatnonzero(np.diff(edges) > RATE // 4)[0] + 1]])
    assert np.array(starts[0]) / 1.25 == pytest.approx(np.array(starts[1]), abs=0.012 * RATE)


def test_slowing_lengthens_words_and_pauses_by_their_own_shares(tmp_path: Path) -> None:
    """A pause of a second between two vowels becomes as long as was asked; the vowels grow by less."""
    gap = np.zeros(RATE)
    clip = _clip(np.concatenate([vowel(1.0), gap, vowel(1.0)]))
    rendered = _render(tmp_path, "slowing", "slower_percent = 10\npauses_percent = 80\nrange_percent = 100", clip)
    quiet = []
    for samples in (clip.samples.astype(float), rendered.clip.samples.astype(float)):
        loud = np.flatnonzero(np.convolve(samples**2, np.ones(160) / 160, "same") > 1e-6)
        quiet.append(np.diff(loud).max() / RATE)
    silent = float(rendered.achieved["slowing.pauses_s"])
    assert 0.8 == pytest.approx(silent, abs=0.06)  # P.56 lets speech last 200 ms longer
    assert quiet[0] + 0.8 * silent + 0.1 * (quiet[0] - silent) == pytest.approx(quiet[1], abs=0.05)
    whole = (3 - silent) * 1.1 + silent * 1.8
    assert whole == pytest.approx(rendered.clip.samples.size / RATE, abs=0.01)


@pytest.mark.shared
def test_breath_has_its_level_and_lowers_harmonicity(shared_data: Path, tmp_path: Path) -> None:
    """Its level by an independent P.56 is the one asked for; Praat's harmonicity falls; little of it is below 500 Hz."""
    import parselmouth

    for clip, _ in real_speech(shared_data, 3):
        rendered = _render(tmp_path, "breathiness", "noise_db = -12\nrestore_level = false", clip)
        breath = rendered.clip.samples.astype(float) - clip.samples
        level, active = measure(clip.samples.astype(float), RATE)
        assert -12 == pytest.approx(10 * np.log10(np.mean(breath[active] ** 2)) - level, abs=0.1)
        _, density = welch(breath, RATE, nperseg=512)
        assert density[:16].sum() < 0.1 * density.sum()
        clear, breathy = (
            np.mean(
                [v for v in parselmouth.Sound(c.samples.astype(float), RATE).to_harmonicity_cc().values[0] if v > -200]
            )
            for c in (clip, rendered.clip)
        )
        assert breathy < clear - 1


@pytest.mark.parametrize("tilt", [-4.0, 4.0])
def test_effort_tilts_the_spectrum(tmp_path: Path, tilt: float) -> None:
    """Octave by octave, by Welch's method: flat to 500 Hz, the slope asked for to 4 kHz, level beyond."""
    noise = 0.1 * np.random.default_rng(1).standard_normal(4 * RATE)
    rendered = _render(tmp_path, "effort", f"tilt_db_per_octave = {tilt}\nrestore_level = false", _clip(noise))
    headroom = float(rendered.achieved["headroom_gain_db"])
    frequency, after = welch(rendered.clip.samples.astype(float), RATE, nperseg=2048)
    _, before = welch(noise, RATE, nperseg=2048)
    gain = 10 * np.log10(after / before) - headroom
    at = [float(np.mean(gain[(frequency > f * 0.97) & (frequency < f * 1.03)])) for f in (300, 1000, 2000, 4000, 6000)]
    assert [0, tilt, 2 * tilt, 3 * tilt, 3 * tilt] == pytest.approx(at, abs=0.4)
    assert np.sign(tilt) == np.sign(float(rendered.achieved["effort.balance_change_db"]))


@pytest.mark.parametrize("effect", CHANGES)
def test_the_same_bytes_in_any_order(tmp_path: Path, effect: str) -> None:
    """Praat's own dice are seeded: twice, and after another utterance, the samples are equal."""
    place = condition(tmp_path, f'[[effect]]\nuse = "{effect}"\n{CHANGES[effect]}', name="voice")
    clips = [synthetic_speech(1.0, seed=seed) for seed in (1, 2)]
    first = [renderer(place).render(clip, place, "s").clip.samples for clip in clips]
    again = [renderer(place).render(clip, place, "s").clip.samples for clip in clips[::-1]][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("effect", CHANGES)
def test_odd_clips_go_through(tmp_path: Path, effect: str) -> None:
    """One sample, silence, noise, hardly anything, far above full scale, 8 kHz: finite, and as long as was said."""
    rng = np.random.default_rng(5)
    clips = [np.ones(1), np.zeros(400), rng.normal(0, 0.1, 3000), rng.normal(0, 1e-9, 900), rng.normal(0, 1e4, 5000)]
    place = condition(tmp_path, f'[[effect]]\nuse = "{effect}"\n{CHANGES[effect]}', name="odd")
    render = renderer(place)
    for samples in clips:
        for rate in (8000, RATE):
            clip = Clip(utterance_id="u", samples=samples.astype(np.float32), sample_rate_hz=rate)
            found = render.render(clip, place, "s").clip.samples
            assert np.all(np.isfinite(found))
            assert found.size == samples.size or effect_of(effect).traits.changes_length


def test_random_settings_within_their_bounds(tmp_path: Path) -> None:
    """Forty settings drawn from the whole ranges of every change of voice."""
    rng = np.random.default_rng(9)
    clip = synthetic_speech(0.5)
    bounds = {
        "pitch": {"semitones": (-12, 12), "range_percent": (10, 300)},
        "formants": {"percent": (-30, 40)},
        "speaking_rate": {"percent": (-50, 100)},
        "slowing": {"slower_percent": (0, 100), "pauses_percent": (0, 400), "range_percent": (10, 100)},
        "breathiness": {"noise_db": (-60, 6)},
        "effort": {"tilt_db_per_octave": (-9, 9)},
    }
    for turn in range(40):
        effect = list(bounds)[turn % len(bounds)]
        settings = "\n".join(f"{key} = {rng.uniform(*limits)}" for key, limits in bounds[effect].items())
        rendered = _render(tmp_path, effect, settings, clip)
        assert np.all(np.isfinite(rendered.clip.samples)), settings
        asked = [key for key in rendered.achieved if key.endswith("_asked")]
        assert asked, effect


def test_what_praat_is_belongs_to_the_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of the package is another condition; without the package the extra is named."""
    before = parse_condition("voice-pitch@higher").fingerprint
    real = importlib.metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", lambda n: "9.9" if n == "praat-parselmouth" else real(n))
        assert before != parse_condition("voice-pitch@higher").fingerprint
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    with pytest.raises(MissingExtraError, match="voices"):
        parse_condition("voice-pitch@higher")


@pytest.mark.parametrize("path", list_further_profiles(), ids=lambda p: p.stem)
def test_further_profiles_say_what_they_need(path: Path) -> None:
    """Each parses at every severity or names its extra; those that need one say so in their source."""
    from asrfair.acoustics.profiles import ProfileFile

    profile = ProfileFile(path).profile
    assert path.stem == profile.name
    assert len(profile.reasons) > 100
    assert profile.references
    for severity in profile.severities:
        try:
            place = parse_condition(f"{path.stem}@{severity}")
        except MissingExtraError:
            assert "Needs" in profile.source
            continue
        needs = any(value for step in place.steps for value in step.inspection.files.values())
        assert needs == ("Needs" in profile.source)


def test_every_change_of_voice_is_an_effect() -> None:
    """The table of effects has them, so that profiles can name them."""
    assert set(CHANGES) <= set(EFFECTS)


def test_short_time_spectra_are_turned_back_exactly() -> None:
    """What nothing was done to comes back to the last bits, at odd lengths and rates."""
    rng = np.random.default_rng(2)
    for size, rate in ((1, 16_000), (777, 8000), (16_001, 22_050)):
        samples = rng.standard_normal(size)
        assert samples == pytest.approx(resynthesis(spectrogram(samples, rate), size, rate), abs=1e-9)
