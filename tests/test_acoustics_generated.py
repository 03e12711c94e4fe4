"""Tests of generated noise: levels, pitches, beats and spectra are those that a profile states."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from acoustics_helpers import RATE, condition, noise_of, real_corpus, real_speech, renderer, synthetic_speech
from scipy.signal import find_peaks, hilbert, welch

from asrfair.acoustics import parse_condition
from asrfair.acoustics.seeding import generator
from asrfair.acoustics.sources.base import SOURCES, Request, source_of
from asrfair.acoustics.sources.coloured import INTERNATIONAL_LTASS
from asrfair.acoustics.speech_material import Corpus, RenderContext
from asrfair.errors import InputError
from asrfair.types import Clip, Utterance


def _make(name: str, seconds: float = 60.0, *, seed: int = 1, **parameters: object) -> np.ndarray:
    source = source_of(name)
    params = source.params.model_validate({"source": name, **parameters})
    request = Request(
        size=round(seconds * RATE),
        sample_rate_hz=RATE,
        context=None,  # type: ignore[arg-type]  # none of these sources asks for it
        facts={},
        generator=partial(generator, seed, "test", "u"),
    )
    return source.make(request, params)[0]


PLAIN = {
    "white": {},
    "pink": {},
    "brown": {},
    "shaped": {"spectrum_db": [[100, 0], [1000, -10], [8000, -40]]},
    "speech_shaped": {"spectrum": "international"},
    "hum": {},
    "machine": {},
    "fan": {},
    "knock": {"rate_hz": 3},
    "beep": {},
    "gradient": {},
    "wind": {"gust_hz": 2},
}


@pytest.mark.parametrize("name", PLAIN)
def test_expected_power_is_one(name: str) -> None:
    """Over a minute every source has unit power within half a decibel (gusts and random levels within one)."""
    power = 10 * np.log10(np.mean(_make(name, **PLAIN[name]) ** 2))
    assert 0.0 == pytest.approx(power, abs=1.0 if name in {"wind", "knock"} else 0.5)


@pytest.mark.parametrize("name", PLAIN)
def test_short_and_odd_lengths_work(name: str) -> None:
    """A clip of 37 samples, or of a prime number of them, gets noise of that length that is finite."""
    for size in (37, 10_007):
        noise = _make(name, size / RATE, **PLAIN[name])
        assert size == noise.size
        assert np.all(np.isfinite(noise))


def test_every_source_is_in_a_test() -> None:
    """A new source needs a line here."""
    assert set(SOURCES) == {*PLAIN, "babble", "file"}


@pytest.mark.parametrize(("name", "slope"), [("white", 0.0), ("pink", -3.0), ("brown", -6.0)])
def test_colours_fall_as_they_are_defined(name: str, slope: float) -> None:
    """Density per octave: white 0, pink −3, brown −6 dB."""
    frequencies, density = welch(_make(name), RATE, nperseg=8192)
    band = (frequencies > 100) & (frequencies < 6000)
    fitted = np.polyfit(np.log2(frequencies[band]), 10 * np.log10(density[band]), 1)[0]
    assert slope == pytest.approx(fitted, abs=0.3)


def test_fluctuation_has_the_deviation_that_is_stated() -> None:
    """The level over half-second frames wanders with the standard deviation that the profile gives."""
    noise = _make("white", 300, fluctuation_db=5, fluctuation_hz=0.2)
    frames = noise[: noise.size // 4000 * 4000].reshape(-1, 4000)
    assert 5.0 == pytest.approx(float(np.std(10 * np.log10(np.mean(frames**2, axis=1)))), abs=0.8)


def test_hum_stands_at_its_frequency_with_its_harmonics() -> None:
    """Peaks at multiples of 118 Hz, each 6 dB an octave down."""
    noise = _make("hum", 20, frequency_hz=118, harmonics=4, slope_db=-6)
    spectrum = np.abs(np.fft.rfft(noise * np.hanning(noise.size)))
    frequencies = np.fft.rfftfreq(noise.size, 1 / RATE)
    heights = []
    for order in range(1, 5):
        near = np.abs(frequencies - 118 * order) < 20
        peak = frequencies[near][np.argmax(spectrum[near])]
        assert 118 * order == pytest.approx(peak, rel=0.001)
        heights.append(20 * np.log10(spectrum[near].max()))
    assert -6.0 == pytest.approx(heights[1] - heights[0], abs=0.1)
    assert -12.0 == pytest.approx(heights[3] - heights[0], abs=0.1)


def test_hum_may_wander_by_a_per_cent() -> None:
    """The instantaneous pitch has the deviation that is stated."""
    noise = _make("hum", 60, frequency_hz=200, harmonics=1, wander_percent=1)
    pitch = np.diff(np.unwrap(np.angle(hilbert(noise)))) * RATE / (2 * np.pi)
    assert 2.0 == pytest.approx(float(np.std(pitch[RATE:-RATE])), rel=0.4)


@pytest.mark.parametrize("rate_hz", [0.8, 1.4, 3.0])
def test_knocks_come_at_their_beat(rate_hz: float) -> None:
    """The spacing of the onsets is one over the rate, within 0.2 %."""
    noise = _make("knock", 30, rate_hz=rate_hz, decay_s=0.1, spread_db=0)
    assert rate_hz == pytest.approx(_beat(noise), rel=0.002)


def _beat(noise: np.ndarray) -> float:
    """Return the rate of the loudest regular beat from 0.5 to 5 a second, by the spectrum of the envelope."""
    envelope = np.abs(noise)
    envelope = envelope[: envelope.size // 80 * 80].reshape(-1, 80).mean(axis=1)
    envelope -= envelope.mean()
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(envelope * np.hanning(envelope.size), size))
    frequencies = np.fft.rfftfreq(size, 80 / RATE)
    # The comb of a beat: a candidate collects its first four harmonics.
    candidates = frequencies[(frequencies > 0.5) & (frequencies < 5)]
    score = sum(np.interp(candidates * k, frequencies, spectrum) for k in (1, 2, 3, 4))
    return float(candidates[np.argmax(score)])


def test_random_knocks_come_at_their_mean_rate() -> None:
    """Irregular knocks have the stated number a second in the long run, and no beat."""
    noise = _make("knock", 120, rate_hz=2, regular=False, decay_s=0.02, spread_db=0, rattle_db=-40)
    loud = np.abs(noise).reshape(-1, 160).max(axis=1) > 0.3 * np.abs(noise).max()
    onsets = np.count_nonzero(loud[1:] & ~loud[:-1])
    assert 240 == pytest.approx(onsets, rel=0.2)


def test_beeps_have_their_pitch_length_and_rate() -> None:
    """A monitor's tone: 660 Hz for 120 ms, 1.2 times a second."""
    noise = _make("beep", 20, frequency_hz=660, rate_hz=1.2, length_s=0.12, harmonics=1)
    on = np.abs(noise) > 1e-6
    assert 0.12 * 1.2 == pytest.approx(float(np.mean(on)), rel=0.05)
    assert 1.2 == pytest.approx(_beat(noise), rel=0.01)
    spectrum = np.abs(np.fft.rfft(noise))
    assert 660 == pytest.approx(float(np.argmax(spectrum)) * RATE / noise.size, rel=0.01)


def test_gradients_repeat_with_their_repetition_time() -> None:
    """The envelope's period is TR: its autocorrelation peaks there, above the one of the single bursts."""
    noise = _make("gradient", 20, tr_s=0.8, bursts=6, duty=0.5, frequency_hz=600)
    envelope = np.abs(noise).reshape(-1, 16).mean(axis=1)
    envelope -= envelope.mean()
    correlation = np.correlate(envelope, envelope, "full")[envelope.size - 1 :] / np.arange(envelope.size, 0, -1)
    peaks, _ = find_peaks(correlation[:2000], height=0.5 * correlation[0])
    best = peaks[np.argmax(correlation[peaks])]
    assert 0.8 == pytest.approx(best / 1000, rel=0.005)


def test_fan_and_machine_have_their_tones() -> None:
    """Blade rate and rotation order stand out of the broadband part."""
    for noise, tone in (
        (_make("fan", 30, blade_hz=210, tone_db=0), 210),
        (_make("machine", 30, rotation_hz=25, order=2, wander_percent=0, broadband_db=-10), 50),
    ):
        frequencies, density = welch(noise, RATE, nperseg=16_384)
        near = np.abs(frequencies - tone) < 5
        around = (np.abs(frequencies - tone) > 8) & (np.abs(frequencies - tone) < 20)
        assert 10 * np.log10(density[near].max() / np.median(density[around])) > 12


def test_ventilation_falls_by_five_decibels_an_octave() -> None:
    """Octave-band levels above the corner, without the tone."""
    frequencies, density = welch(_make("fan", 60, tone_db=-80), RATE, nperseg=8192)
    centres = np.array([250, 500, 1000, 2000, 4000])
    levels = [10 * np.log10(density[(frequencies > c / 2**0.5) & (frequencies <= c * 2**0.5)].sum()) for c in centres]
    assert -5.0 == pytest.approx(float(np.polyfit(np.log2(centres), levels, 1)[0]), abs=0.3)


def test_wind_is_low_and_gusty() -> None:
    """Most energy below 300 Hz; the level over time spreads by the gusts."""
    noise = _make("wind", 200, corner_hz=80, slope_db=-9, gust_db=5, gust_hz=0.5)
    frequencies, density = welch(noise, RATE, nperseg=4096)
    assert density[frequencies < 300].sum() / density.sum() > 0.9
    frames = noise[: noise.size // 1600 * 1600].reshape(-1, 1600)
    assert 3.5 < float(np.std(10 * np.log10(np.mean(frames**2, axis=1)))) < 7.5


def test_international_speech_spectrum_is_the_published_one() -> None:
    """Third-octave levels follow the table within 1 dB."""
    frequencies, density = welch(_make("speech_shaped", 120, spectrum="international"), RATE, nperseg=16_384)
    ours, theirs = [], []
    for hz, db in INTERNATIONAL_LTASS:
        if 125 <= hz <= 6300:
            band = (frequencies >= hz * 2 ** (-1 / 6)) & (frequencies < hz * 2 ** (1 / 6))
            ours.append(10 * np.log10(density[band].sum()))
            theirs.append(db)
    difference = np.array(ours) - np.array(theirs)
    assert float(np.max(np.abs(difference - difference.mean()))) < 1.0


@pytest.mark.shared
def test_speech_shaped_noise_has_the_spectrum_of_the_corpus(shared_data: Path, tmp_path: Path) -> None:
    """The noise's third octaves are those of the corpus's own active speech within 1.5 dB."""
    context = real_corpus(shared_data)
    place = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "speech_shaped"')
    clip = synthetic_speech(60.0)
    found = renderer(place, context=context).render(clip, place, "nobody")
    frequencies, density = welch(noise_of(clip, found.clip, found.achieved), RATE, nperseg=4096)
    wanted = Corpus(context).spectrum(RATE).at(frequencies)
    difference = []
    for centre in 1000 * 2 ** (np.arange(-8, 8) / 3):
        band = (frequencies >= centre * 2 ** (-1 / 6)) & (frequencies < centre * 2 ** (1 / 6))
        difference.append(10 * np.log10(density[band].sum() / wanted[band].sum()))
    assert float(np.max(np.abs(np.array(difference) - np.mean(difference)))) < 1.5


# --- babble -------------------------------------------------------------------------------------------------------


def _tone_of(utterance: Utterance, rate: int) -> Clip:
    """Stand for a corpus in which every speaker has a pitch of their own: 100 Hz, 200 Hz and so on."""
    pitch = 100.0 * int(utterance.speaker_id)
    time = np.arange(rate) / rate
    return Clip(
        utterance_id=utterance.utterance_id,
        samples=(0.1 * np.sin(2 * np.pi * pitch * time)).astype(np.float32),
        sample_rate_hz=rate,
    )


def _tones(speakers: int, *, backwards: bool = False) -> RenderContext:
    utterances = [
        Utterance(utterance_id=f"{s}-{i}", speaker_id=str(s), reference="x", audio=Path("x"))
        for s in range(1, speakers + 1)
        for i in range(3)
    ]
    return RenderContext.of(utterances[::-1] if backwards else utterances, load=_tone_of)


def test_babble_is_never_made_from_the_own_speaker(tmp_path: Path) -> None:
    """With tones for speakers: the own pitch is absent, those of the drawn others are there, at equal level."""
    place = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "babble"\ntalkers = 4')
    render = renderer(place, context=_tones(8))
    for own in range(1, 9):
        clip = synthetic_speech(4.0, seed=own)
        found = render.render(clip, place, str(own))
        noise = noise_of(clip, found.clip, found.achieved)
        spectrum = np.abs(np.fft.rfft(noise * np.hanning(noise.size)))
        heights = [spectrum[round(100 * s * noise.size / RATE)] for s in range(1, 9)]
        loud = {s for s, height in enumerate(heights, start=1) if height > 0.1 * max(heights)}
        assert 4 == len(loud)
        assert own not in loud
        assert {str(s) for s in loud} == set(str(found.achieved["noise.babble_speakers"]).split())


def test_babble_does_not_depend_on_the_order_of_the_manifest(tmp_path: Path) -> None:
    """Rows of the manifest in another order give the same samples."""
    place = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "babble"\ntalkers = 3')
    context = _tones(8)
    other = _tones(8, backwards=True)
    clip = synthetic_speech(4.0)
    first = renderer(place, context=context).render(clip, place, "1").clip.samples
    second = renderer(place, context=other).render(clip, place, "1").clip.samples
    assert first.tobytes() == second.tobytes()


def test_babble_of_more_talkers_than_speakers_uses_them_again(tmp_path: Path) -> None:
    """Three others serve ten talkers, and the record says how many people it really is."""
    place = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "babble"\ntalkers = 10')
    found = renderer(place, context=_tones(4)).render(synthetic_speech(), place, "1")
    assert 3.0 == found.achieved["noise.babble_talkers"]


@pytest.mark.parametrize("speakers", [0, 1])
def test_babble_without_other_speakers_is_refused_at_once(tmp_path: Path, speakers: int) -> None:
    """A manifest of one speaker cannot babble: said before anything is rendered."""
    place = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "babble"')
    with pytest.raises(InputError, match="other speakers"):
        renderer(place, context=_tones(speakers))
    shaped = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "speech_shaped"')
    if speakers == 0:
        with pytest.raises(InputError, match="own spectrum"):
            renderer(shaped, context=_tones(0))


# --- the imaging floor --------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("severity", ["mild", "moderate", "severe"])
def test_the_imaging_floor_hums_and_knocks_as_stated(shared_data: Path, severity: str) -> None:
    """In what was rendered over real speech: tones at 118 and 600 Hz within 1 %, a knock at 1.2 a second within 2 %."""
    place = parse_condition(f"imaging-floor@{severity}")
    layers = {layer.source: layer for layer in place.steps[0].params.layer}  # type: ignore[attr-defined]
    speech = np.concatenate([clip.samples for clip, _ in real_speech(shared_data, 16)])[: 40 * RATE]
    clip = Clip(utterance_id="long", samples=speech, sample_rate_hz=RATE)
    found = renderer(place).render(clip, place, "s")
    noise = noise_of(clip, found.clip, found.achieved)
    spectrum = np.abs(np.fft.rfft(noise * np.hanning(noise.size)))
    frequencies = np.fft.rfftfreq(noise.size, 1 / RATE)
    for stated in (layers["hum"].frequency_hz, layers["gradient"].frequency_hz):
        near = np.abs(frequencies - stated) < 0.06 * stated
        assert stated == pytest.approx(float(frequencies[near][np.argmax(spectrum[near])]), rel=0.01)
    # The loudest tone of all is the hum.
    assert layers["hum"].frequency_hz == pytest.approx(float(frequencies[np.argmax(spectrum)]), rel=0.01)
    # The knock rings where hum and gradients are weak: look at its beat above 4 kHz, where only its rattle is.
    high = np.fft.irfft(np.where(frequencies > 4000, np.fft.rfft(noise), 0), noise.size)
    assert layers["knock"].rate_hz == pytest.approx(_beat(high), rel=0.02)
