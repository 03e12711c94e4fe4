"""Tests of the tensor chain: equal to the chain on the processor within the stated tolerance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from acoustics_helpers import RATE, condition, real_corpus, real_speech, synthetic_speech

from asrfair.acoustics import CLEAN_CONDITION, Condition, Renderer, parse_condition
from asrfair.acoustics.tensor import CODEC_DB, TOLERANCE, TensorRenderer, unsupported
from asrfair.errors import InputError
from asrfair.types import Clip

torch = pytest.importorskip("torch", reason="torch is not installed (extra gpu)")

pytestmark = pytest.mark.engines

CHAINS = {
    "gain": 'use = "gain"\nlevel_dbfs = -23',
    "gain-by": 'use = "gain"\ngain_db = { min = -10, max = 10 }',
    "band": 'use = "band"',
    "band-kept-low": 'use = "band"\nlow_hz = 1000\nrestore_level = false',
    "distance": 'use = "distance"\ndistance_m = { min = 0.5, max = 4 }',
    "room": 'use = "room"\nrt60_s = 0.3\ndistance_m = [0.7, 1.5]',
    "noise": 'use = "noise"\nsource = "pink"\nsnr_db = { min = 0, max = 20 }',
    "babble": 'use = "noise"\nsource = "babble"\nsnr_db = 5',
    "knock": 'use = "noise"\nsource = "knock"\nrate_hz = 1.4\nsnr_db = 5',
    "mulaw": 'use = "codec"\ncodec = "mulaw"',
    "alaw-wide": 'use = "codec"\ncodec = "alaw"\nsample_rate_hz = 16000',
}


def _devices() -> list[str]:
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def _clips(shared_data: Path) -> tuple[list[Clip], list[str]]:
    pairs = real_speech(shared_data, 5)
    silent = Clip(utterance_id="silent", samples=np.zeros(RATE // 2, np.float32), sample_rate_hz=RATE)
    return [clip for clip, _ in pairs] + [silent], [speaker for _, speaker in pairs] + ["nobody"]


def _compare(place: Condition, shared_data: Path, device: str) -> None:
    context = real_corpus(shared_data)
    codec = any(step.effect == "codec" for step in place.steps)
    clips, speakers = _clips(shared_data)
    batch = TensorRenderer([place], 1, context, device=device).render(clips, place, speakers)
    one = Renderer([place], 1, context)
    for clip, speaker, found in zip(clips, speakers, batch, strict=True):
        expected = one.render(clip, place, speaker)
        assert expected.clip.samples.shape == found.clip.samples.shape
        assert expected.clip.utterance_id == found.clip.utterance_id
        assert expected.clip.condition == found.clip.condition
        assert np.float32 == found.clip.samples.dtype
        error = np.abs(expected.clip.samples - found.clip.samples).astype(float)
        if codec:
            power = float(np.mean(expected.clip.samples.astype(float) ** 2))
            assert float(np.mean(error**2)) <= power * 10 ** (-CODEC_DB / 10)
        else:
            assert float(np.max(error)) <= TOLERANCE
        texts = {k: v for k, v in expected.achieved.items() if isinstance(v, str)}
        assert texts == {k: v for k, v in found.achieved.items() if isinstance(v, str)}
        # A container rounds its odd bytes up, which the table of a codec's steps cannot know.
        near = {k: 3e-4 if k.endswith("bitrate_kbps") else 1e-6 for k in expected.achieved}
        numbers = {k: pytest.approx(v, abs=1e-4, rel=near[k]) for k, v in expected.achieved.items() if k not in texts}
        assert numbers == {k: v for k, v in found.achieved.items() if k not in texts}


@pytest.mark.shared
@pytest.mark.parametrize("device", _devices())
@pytest.mark.parametrize("name", CHAINS)
def test_every_effect_equals_the_processors(shared_data: Path, tmp_path: Path, name: str, device: str) -> None:
    """Real clips of five lengths and one of silence in a batch: every sample, and every number achieved."""
    _compare(condition(tmp_path, f"[[effect]]\n{CHAINS[name]}"), shared_data, device)


@pytest.mark.shared
@pytest.mark.parametrize("device", _devices())
def test_a_whole_chain_equals_the_processors(shared_data: Path, tmp_path: Path, device: str) -> None:
    """Response, noise, band, codec and gain after one another, on the speech alone and on the mixture."""
    response = shared_data / "room_ir" / "kitchen-true-stereo.wav"
    noise = shared_data / "noise"
    place = condition(
        tmp_path,
        f'[[effect]]\nuse = "impulse_response"\nfile = "{response}"\nchannel = [0, 3]\n'
        f'[[effect]]\nuse = "noise"\nsnr_db = 10\nsource = "file"\nfile = "{noise}"\n'
        '[[effect]]\nuse = "band"\n[[effect]]\nuse = "codec"\ncodec = ["mulaw", "alaw"]\n'
        '[[effect]]\nuse = "gain"\nlevel_dbfs = -23',
    )
    _compare(place, shared_data, device)


@pytest.mark.shared
def test_shipped_profiles_that_allow_it_equal_the_processors(shared_data: Path) -> None:
    """The imaging floor and the meeting room."""
    for name in ("imaging-floor", "meeting-room@severe"):
        _compare(parse_condition(name), shared_data, "cpu")


def test_the_batch_does_not_matter(tmp_path: Path) -> None:
    """A clip alone and beside a longer one: the same within the tolerance."""
    place = condition(tmp_path, f"[[effect]]\n{CHAINS['room']}\n[[effect]]\n{CHAINS['noise']}")
    short, long_ = synthetic_speech(1.0), synthetic_speech(3.0, seed=2)
    render = TensorRenderer([place], 1)
    alone = render.render([short], place, ["s"])[0].clip.samples
    beside = render.render([long_, short], place, ["t", "s"])[1].clip.samples
    assert float(np.max(np.abs(alone - beside))) <= TOLERANCE


def test_what_cannot_be_done_on_tensors_is_named(tmp_path: Path) -> None:
    """An effect that does not allow it, and a codec that is not companding."""
    gsm = condition(tmp_path, '[[effect]]\nuse = "codec"\nlabel = "line"\ncodec = ["mulaw", "gsm"]', name="gsm")
    agc = condition(tmp_path, '[[effect]]\nuse = "band"\n[[effect]]\nuse = "agc"', name="agc")
    assert ("line",) == unsupported(gsm)
    assert ("agc",) == unsupported(agc)
    for place in (gsm, agc):
        with pytest.raises(InputError, match="no form for tensors"):
            TensorRenderer([place], 1)


def test_clean_and_nothing_pass(tmp_path: Path) -> None:
    """No clips give no clips; clean gives the samples themselves; two rates in a batch are refused."""
    place = condition(tmp_path, f"[[effect]]\n{CHAINS['band']}")
    render = TensorRenderer([CLEAN_CONDITION, place], 1)
    clip = synthetic_speech(1.0)
    assert [] == render.render([], place, [])
    assert clip.samples is render.render([clip], CLEAN_CONDITION, ["s"])[0].clip.samples
    with pytest.raises(InputError, match="one sampling rate"):
        render.render([clip, synthetic_speech(1.0, rate=8000)], place, ["s", "s"])
