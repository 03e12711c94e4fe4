"""Tests of other people's effects: audiomentations by name, callables, and the global random state around them."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from acoustics_helpers import RATE, condition, real_speech, renderer, synthetic_speech

from asrfair.acoustics.global_random import seeded_globals
from asrfair.errors import AsrfairError, EnvironmentFailedError, InputError, MissingExtraError

TRANSFORMS = [
    'transform = "AddGaussianSNR"',
    'transform = "PitchShift"',
    'transform = "TimeStretch"',
    'transform = "BandPassFilter"',
    'transform = "TanhDistortion"',
    'transform = "Shift"',
    'transform = "Resample"',
]

MODULE = '''
import random
import numpy as np

def louder(samples, sample_rate_hz, rng, factor=2.0):
    """Scale, and say by how much."""
    return samples * factor, {"factor": factor, "note": "louder"}

def rough(samples, sample_rate_hz, rng):
    """Noise from three places."""
    return samples + 0.01 * (rng.standard_normal(samples.size) + np.random.randn(samples.size) + random.gauss(0, 1))

def longer(samples, sample_rate_hz, rng):
    return np.concatenate([samples, samples])

def failing(samples, sample_rate_hz, rng):
    raise RuntimeError("no")

def table(samples, sample_rate_hz, rng):
    return samples.reshape(2, -1)

def text(samples, sample_rate_hz, rng):
    return "speech"

NUMBER = 5
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user's own on the path."""
    (tmp_path / "their_effects.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "their_effects"
    sys.modules.pop("their_effects", None)


def test_global_random_state_is_seeded_and_put_back() -> None:
    """The same numbers inside for the same seed; outside nothing has happened, even after an error."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 -- the global state is the subject
    expected = random.random(), float(np.random.rand())  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    inside = []
    for _ in range(2):
        with seeded_globals(7):
            inside.append((random.random(), float(np.random.rand())))  # noqa: NPY002
    with pytest.raises(KeyError), seeded_globals(8):
        {}[random.random()]
    assert inside[0] == inside[1]
    assert expected == (random.random(), float(np.random.rand()))  # noqa: NPY002


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_are_seeded_by_utterance(shared_data: Path, tmp_path: Path, transform: str) -> None:
    """The same bytes whatever was rendered or drawn before; length kept unless asked; another seed differs."""
    pytest.importorskip("audiomentations")
    place = condition(tmp_path, f'[[effect]]\nuse = "audiomentations"\n{transform}')
    speech = real_speech(shared_data, 3)
    forwards = {c.utterance_id: renderer(place).render(c, place, s).clip.samples for c, s in speech}
    np.random.rand(5)  # noqa: NPY002 -- what others draw must not matter
    render = renderer(place)
    for clip, speaker in reversed(speech):
        random.random()
        again = render.render(clip, place, speaker).clip.samples
        assert forwards[clip.utterance_id].tobytes() == again.tobytes()
        assert clip.samples.size == again.size
    clip, speaker = speech[0]
    assert (
        forwards[clip.utterance_id].tobytes()
        != renderer(place, seed=2).render(clip, place, speaker).clip.samples.tobytes()
    )


@pytest.mark.slow
@pytest.mark.shared
def test_noise_of_theirs_leaves_the_speech_at_its_level(shared_data: Path, tmp_path: Path) -> None:
    """Around AddBackgroundNoise the level is that of the speech alone, and what was drawn is recorded."""
    pytest.importorskip("audiomentations")
    noise = shared_data / "noise"
    place = condition(
        tmp_path,
        '[[effect]]\nuse = "audiomentations"\ntransform = "AddBackgroundNoise"\n'
        f'parameters = {{ sounds_path = "{noise}", min_snr_db = 5.0, max_snr_db = 5.0 }}',
    )
    clip, speaker = real_speech(shared_data, 1)[0]
    found = renderer(place).render(clip, place, speaker)
    assert 5.0 == pytest.approx(float(found.achieved["audiomentations.drew_snr_db"]))
    added = found.clip.samples / 10 ** (float(found.achieved["headroom_gain_db"]) / 20) - clip.samples
    measured = 10 * np.log10(np.mean(clip.samples.astype(float) ** 2) / np.mean(added.astype(float) ** 2))
    assert 5.0 == pytest.approx(measured, abs=0.05)
    assert len(place.steps[0].inspection.files) == 5  # four recordings and the version


@pytest.mark.shared
def test_simulated_rooms_of_theirs_repeat_across_processes(shared_data: Path, tmp_path: Path) -> None:
    """RoomSimulator draws from a fourth generator, which is seeded from the first call of a fresh process on."""
    pytest.importorskip("audiomentations")
    body = '[[effect]]\nuse = "audiomentations"\ntransform = "RoomSimulator"\nparameters = {max_order = 1}'
    place = condition(tmp_path, body)
    clip, speaker = real_speech(shared_data, 1)[0]
    here = renderer(place).render(clip, place, speaker)
    assert float(here.achieved["audiomentations.length_change_s"]) > 0
    soundfile.write(tmp_path / "clip.wav", clip.samples, RATE, subtype="FLOAT")
    code = (
        "import sys, hashlib, soundfile\n"
        "from asrfair.acoustics import Renderer, parse_condition\n"
        "from asrfair.types import Clip\n"
        "place = parse_condition(sys.argv[1])\n"
        "samples, rate = soundfile.read(sys.argv[2], dtype='float32')\n"
        "clip = Clip(utterance_id=sys.argv[3], samples=samples, sample_rate_hz=rate)\n"
        "print(hashlib.sha256(Renderer([place], 1).render(clip, place, 's').clip.samples.tobytes()).hexdigest())\n"
    )
    assert place.profile is not None
    arguments = [str(place.profile.path), str(tmp_path / "clip.wav"), clip.utterance_id]
    there = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    import hashlib

    assert hashlib.sha256(here.clip.samples.tobytes()).hexdigest() == there.stdout.strip()


def test_lengths_change_only_when_asked(tmp_path: Path) -> None:
    """A stretch is cut back to the clip's length, or kept where keep_length is false."""
    pytest.importorskip("audiomentations")
    body = (
        '[[effect]]\nuse = "audiomentations"\ntransform = "TimeStretch"\nkeep_length = {}\n'
        "parameters = {{ min_rate = 0.8, max_rate = 0.8, leave_length_unchanged = false }}"
    )
    clip = synthetic_speech()
    kept, free = (condition(tmp_path, body.format(word), name=word) for word in ("true", "false"))
    assert clip.samples.size == renderer(kept).render(clip, kept, "s").clip.samples.size
    assert clip.samples.size / 0.8 == pytest.approx(renderer(free).render(clip, free, "s").clip.samples.size, rel=0.02)


def test_a_silent_noise_file_is_refused_and_nothing_is_never_applied(tmp_path: Path) -> None:
    """A silent file at once; a transform that changes nothing when it happens, unless that is allowed."""
    pytest.importorskip("audiomentations")
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    body = (
        '[[effect]]\nuse = "audiomentations"\ntransform = "AddBackgroundNoise"\nparameters = {{ sounds_path = "{}" }}'
    )
    with pytest.raises(InputError, match="silent"):
        condition(tmp_path, body.format("silent.wav"))
    with pytest.raises(InputError, match="no such file"):
        condition(tmp_path, body.format("none.wav"))
    nothing = '[[effect]]\nuse = "audiomentations"\ntransform = "Clip"\nparameters = { a_min = -1.0, a_max = 1.0 }'
    place = condition(tmp_path, nothing)
    with pytest.raises(InputError, match="changed nothing"):
        renderer(place).render(synthetic_speech(), place, "s")
    allowed = condition(tmp_path, nothing + "\nallow_unchanged = true", name="allowed")
    assert 1.0 == renderer(allowed).render(synthetic_speech(), allowed, "s").achieved["audiomentations.applied"]
    never = condition(
        tmp_path, '[[effect]]\nuse = "audiomentations"\ntransform = "Gain"\nparameters = { p = 0.0 }', name="never"
    )
    assert 0.0 == renderer(never).render(synthetic_speech(), never, "s").achieved["audiomentations.applied"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('transform = "AddBackgroundNose"', "AddBackgroundNoise"),
        ('transform = "Gain"\nparameters = { min_gain = 3 }', "min_gain_db"),
        ('transform = "AddGaussianSNR"\nparameters = { min_snr_db = "loud" }', "does not take"),
        ('transform = "Compose"', "no such transform"),
        ('transform = "PitchShift"\nparameters = { min_semitones = 90 }', "does not take"),
        ('transform = "ApplyImpulseResponse"\nparameters = { ir_path = 3 }', "path"),
    ],
)
def test_wrong_transforms_and_parameters_are_named(tmp_path: Path, body: str, word: str) -> None:
    """A typo names the nearest; a value that the library refuses is an error of ours, not a traceback."""
    pytest.importorskip("audiomentations")
    with pytest.raises(InputError, match=word):
        condition(tmp_path, f'[[effect]]\nuse = "audiomentations"\n{body}')


def test_without_the_extra_the_command_is_named(tmp_path: Path) -> None:
    """Where audiomentations is not installed the message says what to install."""
    code = (
        "import sys, importlib.metadata as m\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'audiomentations':\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "from asrfair.errors import MissingExtraError\n"
        "from asrfair.acoustics import parse_condition\n"
        "try:\n"
        "    parse_condition(sys.argv[1])\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    from acoustics_helpers import write_profile

    path = write_profile(tmp_path, '[[effect]]\nuse = "audiomentations"\ntransform = "Gain"')
    found = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "pip install 'asrfair[augment]'" in found.stdout
    assert issubclass(MissingExtraError, AsrfairError)


def test_what_a_transform_itself_needs_is_named(tmp_path: Path) -> None:
    """Mp3Compression wants a package that audiomentations does not bring along."""
    pytest.importorskip("audiomentations")
    if importlib.util.find_spec("fast_mp3_augment") is not None:
        pytest.skip("fast_mp3_augment is installed")
    with pytest.raises(EnvironmentFailedError, match="fast_mp3_augment"):
        condition(tmp_path, '[[effect]]\nuse = "audiomentations"\ntransform = "Mp3Compression"')


def test_a_callable_is_called_and_its_facts_are_recorded(tmp_path: Path, module: str) -> None:
    """Parameters reach it, what it says it achieved is recorded, the source is part of the fingerprint."""
    body = f'[[effect]]\nuse = "callable"\nfunction = "{module}:louder"\nparameters = {{ factor = 0.5 }}\n'
    place = condition(tmp_path, body + "restore_level = false")
    clip = synthetic_speech()
    found = renderer(place).render(clip, place, "s")
    assert clip.samples / 2 == pytest.approx(found.clip.samples, abs=1e-7)
    assert 0.5 == found.achieved["callable.factor"]
    assert "louder" == found.achieved["callable.note"]
    before = place.fingerprint
    (tmp_path / "their_effects.py").write_text(MODULE + "\n# changed\n", encoding="utf-8")
    assert before != condition(tmp_path, body + "restore_level = false").fingerprint


def test_a_callable_is_seeded_wherever_it_draws_from(tmp_path: Path, module: str) -> None:
    """Our generator, numpy's global one and Python's: the same bytes at each call, others for another utterance."""
    place = condition(tmp_path, f'[[effect]]\nuse = "callable"\nfunction = "{module}:rough"\nadds_noise = true')
    first, again = (renderer(place).render(synthetic_speech(), place, "s").clip.samples for _ in range(2))
    other = renderer(place).render(synthetic_speech(seed=2), place, "s").clip.samples
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first - synthetic_speech().samples, other - synthetic_speech(seed=2).samples)


@pytest.mark.parametrize(
    "function",
    ["their_effects:none", "no_such_module_x:f", "their_effects:NUMBER", "not a target", "their_effects:"],
)
def test_callables_that_are_not_there_are_refused(tmp_path: Path, module: str, function: str) -> None:
    """No module, no attribute, no callable, no colon."""
    with pytest.raises(InputError):
        condition(tmp_path, f'[[effect]]\nuse = "callable"\nfunction = "{function}"')


def test_wrong_arguments_are_found_before_the_run(tmp_path: Path, module: str) -> None:
    """A parameter that the function does not take is an error of the profile."""
    with pytest.raises(InputError, match="does not take"):
        condition(
            tmp_path, f'[[effect]]\nuse = "callable"\nfunction = "{module}:louder"\nparameters = {{ faktor = 1 }}'
        )


@pytest.mark.parametrize("function", ["failing", "table", "text", "longer"])
def test_callables_that_misbehave_are_named(tmp_path: Path, module: str, function: str) -> None:
    """An exception, two dimensions, a text, another length: errors that say whose fault it is."""
    place = condition(tmp_path, f'[[effect]]\nuse = "callable"\nfunction = "{module}:{function}"')
    with pytest.raises(InputError):
        renderer(place).render(synthetic_speech(), place, "s")


def test_a_callable_may_change_the_length_when_the_profile_says_so(tmp_path: Path, module: str) -> None:
    """changes_length = true."""
    place = condition(tmp_path, f'[[effect]]\nuse = "callable"\nfunction = "{module}:longer"\nchanges_length = true')
    clip = synthetic_speech()
    assert 2 * clip.samples.size == renderer(place).render(clip, place, "s").clip.samples.size
