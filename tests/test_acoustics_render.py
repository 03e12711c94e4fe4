"""Tests of ``asrfair.acoustics.render``: the same bytes, lengths and levels kept, what was achieved recorded."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from acoustics_helpers import (
    RATE,
    condition,
    real_corpus,
    real_speech,
    real_utterances,
    renderer,
    synthetic_speech,
    write_profile,
)

from asrfair.acoustics import CLEAN_CONDITION, Condition, Renderer, list_profiles, needs_manifest, parse_condition
from asrfair.acoustics.effects.base import EFFECTS, EffectTraits, effect_of
from asrfair.acoustics.level import active_level
from asrfair.acoustics.render import Rendered
from asrfair.acoustics.speech_material import Corpus, RenderContext
from asrfair.errors import EnvironmentFailedError, InputError
from asrfair.types import Clip, Utterance

# A chain with something of everything that draws: ranges, choices, other speakers, a recording, a codec, a plug-in.
EVERYTHING = """
[[effect]]
use = "room"
distance_m = {{ min = 1.0, max = 2.0 }}
[[effect]]
use = "noise"
snr_db = {{ min = 5, max = 15 }}
[[effect.layer]]
source = "file"
file = "{noise}"
[[effect.layer]]
source = "babble"
talkers = 3
[[effect.layer]]
source = "speech_shaped"
[[effect.layer]]
source = "knock"
rate_hz = [1.0, 1.4, 2.0]
[[effect]]
use = "band"
[[effect]]
use = "packet_loss"
loss = 0.05
[[effect]]
use = "codec"
codec = ["mulaw", "gsm"]
"""
PLUGIN = """
[[effect]]
use = "audiomentations"
transform = "AddGaussianSNR"
parameters = {{ min_snr_db = 5, max_snr_db = 20 }}
"""


def _hash(rendered: Rendered) -> str:
    data = rendered.clip.samples.tobytes() + repr(sorted(rendered.achieved.items())).encode()
    return hashlib.sha256(data).hexdigest()


def _render_share(work: tuple[bytes, list[tuple[Clip, str]]]) -> dict[str, str]:
    """Render some clips in a worker; return hashes by utterance and condition."""
    render: Renderer = pickle.loads(work[0])
    return {
        f"{clip.utterance_id} {place.name}": _hash(render.render(clip, place, speaker))
        for clip, speaker in work[1]
        for place in render.conditions
    }


@pytest.fixture
def everything(shared_data: Path, tmp_path: Path) -> Renderer:
    """A renderer of two conditions with every kind of draw in them, and plug-ins where they are installed."""
    body = EVERYTHING
    try:
        import audiomentations  # noqa: F401 -- only whether it is there

        body += PLUGIN
    except ImportError:
        pass
    noise = shared_data / "noise" / "doing_the_dishes.wav"
    place = condition(tmp_path, body.format(noise=noise))
    return renderer(place, parse_condition("imaging-floor"), context=real_corpus(shared_data))


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_same_bytes_in_any_order_worker_and_start_method(shared_data: Path, everything: Renderer) -> None:
    """One process forwards, one backwards, three forked workers and two spawned ones: the same hashes."""
    speech = real_speech(shared_data, 6)
    packed = pickle.dumps(everything)
    forwards = _render_share((packed, speech))
    assert 12 == len(set(forwards.values()))
    assert forwards == _render_share((packed, speech[::-1]))
    for method, workers in (("fork", 3), ("spawn", 2)):
        found: dict[str, str] = {}
        with multiprocessing.get_context(method).Pool(workers) as pool:
            for part in pool.map(_render_share, [(packed, speech[i::workers]) for i in range(workers)]):
                found.update(part)
        assert forwards == found


@pytest.mark.shared
def test_another_seed_gives_other_samples(shared_data: Path, everything: Renderer) -> None:
    """Every utterance differs under another seed; the same seed built anew gives the same."""
    other = Renderer(everything.conditions, 2, everything.context)
    again = Renderer(everything.conditions, 1, everything.context)
    for clip, speaker in real_speech(shared_data, 2):
        for place in everything.conditions:
            first = _hash(everything.render(clip, place, speaker))
            assert first == _hash(again.render(clip, place, speaker))
            assert first != _hash(other.render(clip, place, speaker))


def test_severities_share_their_dice(tmp_path: Path) -> None:
    """Two severities of a profile hear the same noise at different levels: differences between them are paired."""
    body = """
    [[effect]]
    use = "noise"
    source = "pink"
    snr_db = 10
    [severity.near.noise]
    snr_db = 20
    [severity.far.noise]
    snr_db = 0
    """
    path = write_profile(tmp_path, body)
    path.write_text(path.read_text().replace('source = "test"', 'source = "test"\nseverity = "near"', 1))
    near, far = parse_condition(f"{path}@near"), parse_condition(f"{path}@far")
    clip = synthetic_speech()
    noises = []
    for place in (near, far):
        found = renderer(place).render(clip, place, "s")
        headroom = 10 ** (float(found.achieved["headroom_gain_db"]) / 20)
        noises.append(found.clip.samples / headroom - clip.samples)
    assert 1.0 == pytest.approx(float(np.corrcoef(noises[0], noises[1])[0, 1]), abs=1e-5)
    assert 10.0 == pytest.approx(float(np.std(noises[1]) / np.std(noises[0])), rel=1e-3)


def test_clean_returns_the_samples_themselves() -> None:
    """Nothing is touched; the acoustics of the recording are measured."""
    clip = synthetic_speech()
    found = renderer(CLEAN_CONDITION).render(clip, CLEAN_CONDITION, "s")
    assert clip.samples is found.clip.samples
    assert {
        "active_level_dbfs",
        "active_fraction",
        "clipped_fraction",
        "snr_estimate_db",
        "effective_snr_db",
    } == set(found.achieved)
    level = active_level(clip.samples, RATE)
    assert level is not None
    assert level.level_dbfs == found.achieved["active_level_dbfs"]


def test_input_acoustics_find_noise_and_clipping() -> None:
    """A floor 30 dB below the speech reads as about 30 dB, and a clipped clip as clipped."""
    clip = synthetic_speech(6.0)
    level = active_level(clip.samples, RATE)
    assert level is not None
    floor = 10 ** ((level.level_dbfs - 30) / 20) * np.random.default_rng(0).standard_normal(clip.samples.size)
    noisy = Clip(utterance_id="u", samples=(clip.samples + floor).astype(np.float32), sample_rate_hz=RATE)
    found = renderer().render(noisy, CLEAN_CONDITION, "s").achieved
    assert 30.0 == pytest.approx(float(found["snr_estimate_db"]), abs=1.5)
    assert 0.0 == found["clipped_fraction"]
    cut = Clip(utterance_id="u", samples=np.clip(clip.samples * 20, -1, 1), sample_rate_hz=RATE)
    assert float(renderer().render(cut, CLEAN_CONDITION, "s").achieved["clipped_fraction"]) > 0.05


def test_silence_renders_without_a_level() -> None:
    """A clip of zeros has no level, no ratio, and no error."""
    clip = Clip(utterance_id="u", samples=np.zeros(RATE, np.float32), sample_rate_hz=RATE)
    found = renderer().render(clip, CLEAN_CONDITION, "s").achieved
    assert {"active_fraction": 0.0, "clipped_fraction": 0.0} == found


@pytest.mark.parametrize("size", [0, 1, 50, 400])
def test_the_shortest_clips_render(size: int, shared_data: Path) -> None:
    """Clips of no sample to 25 ms pass every shipped profile, keeping their length where it is to be kept."""
    clip = Clip(utterance_id="u", samples=np.full(size, 0.1, np.float32), sample_rate_hz=RATE)
    names = ["imaging-floor", "telephone-narrowband", "street", "wind-outdoors", "cafe-babble", "factory", "ambulance"]
    places = [parse_condition(name) for name in names]
    render = renderer(*places, context=real_corpus(shared_data))
    for place in places:
        assert size == render.render(clip, place, "s").clip.samples.size


def _shipped() -> list[str]:
    return [path.stem for path in list_profiles()]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", _shipped())
def test_every_shipped_profile_keeps_what_it_should(shared_data: Path, name: str) -> None:
    """Length, rate and the active level of the speech (within 0.1 dB) hold; nothing clips."""
    place = parse_condition(f"{name}@severe")
    traits = [effect_of(s.effect).traits_of(s.params) for s in place.steps]
    render = renderer(place, context=real_corpus(shared_data))
    for clip, speaker in real_speech(shared_data, 3):
        found = render.render(clip, place, speaker)
        assert RATE == found.clip.sample_rate_hz
        assert np.float32 == found.clip.samples.dtype
        assert place.name == found.clip.condition
        assert float(np.max(np.abs(found.clip.samples))) <= 1.0
        if not any(t.changes_length for t in traits):
            assert clip.samples.size == found.clip.samples.size
        before = active_level(clip.samples, RATE)
        assert before is not None
        headroom = float(found.achieved["headroom_gain_db"])
        if not any(t.level == "sets" for t in traits):
            last = [s.label for s, t in zip(place.steps, traits, strict=True) if t.level == "restored"]
            after = float(found.achieved["active_level_dbfs"]) - headroom
            assert before.level_dbfs == pytest.approx(after, abs=0.1), last


@pytest.mark.shared
@pytest.mark.parametrize("name", [n for n in _shipped() if n not in {"silence-padded", "voip-lossy", "mobile-gsm"}])
def test_speech_stays_where_it_was(shared_data: Path, name: str) -> None:
    """The first arrival of the speech in what was rendered is at lag 0 within 1 ms: words keep their times."""
    place = parse_condition(f"{name}@mild")
    if any(step.effect == "noise" for step in place.steps):
        place = parse_condition(f"{name}@mild,snr=60")  # a competing voice would be mistaken for an echo
    render = renderer(place, context=real_corpus(shared_data))
    assert all(effect_of(s.effect).traits_of(s.params).keeps_alignment for s in place.steps)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        syllables = np.repeat(rng.uniform(0, 0.2, 20), RATE // 10)
        speech = (syllables * rng.standard_normal(syllables.size)).astype(np.float32)
        clip = Clip(utterance_id=f"u{seed}", samples=speech, sample_rate_hz=RATE)
        assert abs(_arrival_ms(speech, render.render(clip, place, "nobody").clip.samples)) <= 1.0


def _arrival_ms(before: np.ndarray, after: np.ndarray) -> float:
    """Return the first lag at which the cross-correlation reaches half of its peak, in the band that all channels pass.

    In a room reflections can add up to more than the direct sound: the first arrival is what times hang on. White
    syllables stand for speech, whose pitch would give the correlation a peak at every period.
    """
    size = 2 * before.size
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    window = np.exp(-(((frequencies - 1700) / 900) ** 2))
    clean, heard = (np.fft.rfft(x.astype(float), size) for x in (before, after))
    correlation = np.fft.irfft(window * heard * np.conj(clean), size)
    near = np.abs(np.concatenate([correlation[-RATE // 10 :], correlation[: RATE // 10]]))
    return (float(np.flatnonzero(near >= 0.5 * near.max())[0]) - RATE // 10) / RATE * 1000


def test_headroom_is_made_and_reported_instead_of_clipping(tmp_path: Path) -> None:
    """Loud speech in loud noise is turned down as a whole: no sample at the limit, the gain in the record."""
    place = condition(tmp_path, '[[effect]]\nuse = "noise"\nsource = "knock"\nrate_hz = 3\nsnr_db = -5')
    clip = synthetic_speech(level=0.2)
    found = renderer(place).render(clip, place, "s")
    assert float(found.achieved["headroom_gain_db"]) < -3
    assert 0.999 == pytest.approx(float(np.max(np.abs(found.clip.samples))), abs=1e-4)
    assert 0.0 == found.achieved["clipped_fraction"]
    level = active_level(clip.samples, RATE)
    assert level is not None
    expected = level.level_dbfs + float(found.achieved["headroom_gain_db"])
    assert expected == pytest.approx(float(found.achieved["active_level_dbfs"]), abs=1e-6)


def test_the_level_is_restored_unless_the_profile_says_no(tmp_path: Path) -> None:
    """A band takes energy; by default the level comes back, with restore_level = false it stays lost."""
    clip = synthetic_speech()
    kept = condition(tmp_path, '[[effect]]\nuse = "band"\nlow_hz = 1000', name="kept")
    lost = condition(tmp_path, '[[effect]]\nuse = "band"\nlow_hz = 1000\nrestore_level = false', name="lost")
    levels = [float(renderer(place).render(clip, place, "s").achieved["active_level_dbfs"]) for place in (kept, lost)]
    before = active_level(clip.samples, RATE)
    assert before is not None
    assert before.level_dbfs == pytest.approx(levels[0], abs=0.01)
    assert levels[1] < before.level_dbfs - 3


def test_after_noise_the_level_of_the_speech_is_followed(tmp_path: Path) -> None:
    """A band after strong low noise removes the noise, not the speech: the ratio at the end says so."""
    place = condition(
        tmp_path,
        '[[effect]]\nuse = "noise"\nsource = "brown"\nhigh_hz = 200\nsnr_db = 0\n'
        '[[effect]]\nuse = "band"\nlow_hz = 500',
    )
    clip = synthetic_speech()
    found = renderer(place).render(clip, place, "s").achieved
    assert 0.0 == pytest.approx(float(found["noise.snr_db"]), abs=1e-6)
    assert float(found["snr_end_db"]) > 15
    before = active_level(clip.samples, RATE)
    assert before is not None
    assert before.level_dbfs == pytest.approx(float(found["active_level_dbfs"]), abs=0.01)


def test_conditions_and_renderers_can_be_pickled(everything: Renderer) -> None:
    """Workers get them through a pipe."""
    copy = pickle.loads(pickle.dumps(everything))
    assert [c.fingerprint for c in everything.conditions] == [c.fingerprint for c in copy.conditions]


def test_an_effect_that_breaks_its_promise_is_named(tmp_path: Path) -> None:
    """A user's callable that returns another length, or no numbers, is an error with utterance and label."""
    (tmp_path / "mine.py").write_text(
        "def shorter(samples, sample_rate_hz, rng):\n    return samples[:10]\n\n"
        "def broken(samples, sample_rate_hz, rng):\n    return samples * float('nan')\n",
        encoding="utf-8",
    )
    import sys

    sys.path.insert(0, str(tmp_path))
    try:
        for function in ("shorter", "broken"):
            place = condition(tmp_path, f'[[effect]]\nuse = "callable"\nfunction = "mine:{function}"', name=function)
            with pytest.raises(InputError):
                renderer(place).render(synthetic_speech(), place, "s")
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("mine", None)


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_states_its_traits(name: str) -> None:
    """The table's entries import, and say what they keep."""
    effect = effect_of(name)
    assert isinstance(effect.traits, EffectTraits)
    assert effect.params.model_config["frozen"]


def test_recordings_of_any_rate_and_channels_can_be_the_noise(tmp_path: Path, shared_data: Path) -> None:
    """Every recorded noise of the shared data works for clips at 8, 16 and 44.1 kHz."""
    for i, file in enumerate(sorted((shared_data / "noise").glob("*.wav"))):
        place: Condition = condition(
            tmp_path, f'[[effect]]\nuse = "noise"\nsnr_db = 3\nsource = "file"\nfile = "{file}"', name=f"n{i}"
        )
        for rate in (8000, 16_000, 44_100):
            clip = synthetic_speech(1.0, rate=rate)
            found = renderer(place).render(clip, place, "s")
            assert clip.samples.size == found.clip.samples.size
            assert 3.0 == pytest.approx(float(found.achieved["noise.snr_db"]), abs=1e-6)
            assert soundfile.info(file).samplerate == 16_000


def test_the_corpus_may_hold_files_that_cannot_be_read(tmp_path: Path, shared_data: Path) -> None:
    """Babble passes over a broken recording of another speaker instead of failing somebody else's utterance."""
    import dataclasses

    broken = [
        dataclasses.replace(u, audio=tmp_path / "none.flac") if i % 3 else u
        for i, u in enumerate(real_utterances(shared_data))
    ]
    place = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 5\nsource = "babble"\ntalkers = 4')
    found = renderer(place, context=RenderContext.of(broken)).render(synthetic_speech(), place, "s")
    assert 5.0 == pytest.approx(float(found.achieved["noise.snr_db"]), abs=1e-6)


def test_what_a_worker_gets_of_a_manifest_is_small(tmp_path: Path) -> None:
    """A place without anybody in it needs no manifest; where it does, an utterance takes a hundred bytes or two, not a thousand."""
    floor = parse_condition("imaging-floor")
    babble = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "babble"', name="b")
    shaped = condition(tmp_path, '[[effect]]\nuse = "noise"\nsnr_db = 0\nsource = "speech_shaped"', name="s")
    theirs = condition(tmp_path, '[[effect]]\nuse = "audiomentations"\ntransform = "TimeMask"', name="t")
    assert [False, True, True, False] == [needs_manifest(place) for place in (floor, babble, shaped, theirs)]
    assert not needs_manifest(CLEAN_CONDITION)
    many = RenderContext.of(
        Utterance(
            utterance_id=f"corpus-{i:08}",
            speaker_id=f"person-{i // 20:05}",
            reference="the quick brown fox",
            audio=Path(f"/corpus/clips/corpus-{i:08}.flac"),
            attributes={"accent": "scottish"},
        )
        for i in range(100_000)
    )
    assert len(pickle.dumps(many)) < 20_000_000
    again = Corpus(pickle.loads(pickle.dumps(many)))
    assert 5000 == len(again.speakers)
    assert range(99_980, 100_000) == again.of_speaker("person-04999")


@pytest.mark.parametrize(
    ("target", "said"), [("no_such_module:X", "no_such_module"), ("json:JSONDecoder", "no effect")]
)
def test_a_broken_plug_in_is_explained(target: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An effect of another package that cannot be imported, or is none, is an error that names the package's target."""
    monkeypatch.setitem(EFFECTS, "theirs", target)
    with pytest.raises(EnvironmentFailedError, match=said):
        effect_of("theirs")
