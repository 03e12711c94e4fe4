"""What a CUDA device must do, run on the processor where there is none; `make gpu` runs it on a machine that has one.

Nothing beyond the checkout is needed: no real recordings, no manifest, no checkpoint from anywhere.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (make test-engines installs it)")
pytest.importorskip("transformers", reason="transformers is not installed (make test-engines installs it)")

from acoustics_helpers import condition  # noqa: E402 -- after the skips
from made_checkpoints import make_ctc, make_tiny_ctc, make_tiny_whisper  # noqa: E402

from asrfair.acoustics import Renderer  # noqa: E402
from asrfair.acoustics.tensor import CODEC_DB, TOLERANCE, TensorRenderer  # noqa: E402
from asrfair.recognise.bench import speech_like  # noqa: E402
from asrfair.recognise.engines import EngineContext, create  # noqa: E402
from asrfair.recognise.engines.base import Engine  # noqa: E402
from asrfair.recognise.engines.pipeline import Pipeline  # noqa: E402
from asrfair.types import Clip, EngineSpec  # noqa: E402

pytestmark = pytest.mark.engines

DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"
needs_cuda = pytest.mark.skipif(
    DEVICE == "cpu", reason="there is no CUDA device (make gpu is for a machine that has one)"
)
RATE = 16_000
CHAINS = {
    "gain": 'use = "gain"\nlevel_dbfs = -23',
    "band": 'use = "band"',
    "distance": 'use = "distance"\ndistance_m = { min = 0.5, max = 4 }',
    "room": 'use = "room"\nrt60_s = 0.3\ndistance_m = [0.7, 1.5]',
    "impulse_response": 'use = "impulse_response"\nfile = "response.wav"',
    "noise": 'use = "noise"\nsource = "pink"\nsnr_db = { min = 0, max = 20 }',
    "mulaw": 'use = "codec"\ncodec = "mulaw"',
    "alaw": 'use = "codec"\ncodec = "alaw"\nsample_rate_hz = 16000',
}


def speech(seconds: float, name: str) -> Clip:
    """A buzz with the rhythm of speech."""
    samples = speech_like(seconds, RATE, np.random.default_rng(sum(name.encode())))
    return Clip(utterance_id=name, samples=samples, sample_rate_hz=RATE)


CLIPS = [speech(length, f"u{n}") for n, length in enumerate((3.1, 0.8, 1.7, 2.2, 0.4, 5.0, 1.1, 2.9))]


def engine(folder: Path, **options: object) -> Engine:
    """Start an engine on the device."""
    spec = EngineSpec(name="transformers", label="e", options={"model": str(folder), "device": DEVICE, **options})
    return create(spec, EngineContext(device=DEVICE))


def said(recogniser: Engine, clips: Sequence[Clip]) -> list[str]:
    """Texts of a batch."""
    return [item.text for item in recogniser.transcribe(clips)]


@pytest.mark.parametrize("name", [*CHAINS, "all"])
def test_every_effect_with_a_tensor_form_equals_the_processors(tmp_path: Path, name: str) -> None:
    """Eight lengths and silence in one batch, effect by effect and in a chain: samples, and what was achieved."""
    import soundfile

    decay = np.exp(-np.arange(RATE // 4) / 800) * np.random.default_rng(2).normal(size=RATE // 4)
    soundfile.write(tmp_path / "response.wav", 0.3 * decay, RATE, subtype="FLOAT")
    silent = Clip(utterance_id="silent", samples=np.zeros(RATE, np.float32), sample_rate_hz=RATE)
    parts = CHAINS.values() if name == "all" else [CHAINS[name]]
    place = condition(tmp_path, "\n".join(f'[[effect]]\nlabel = "e{n}"\n{text}' for n, text in enumerate(parts)))
    clips = [*CLIPS, silent]
    found = TensorRenderer([place], 1, device=DEVICE).render(clips, place, ["s"] * len(clips))
    for clip, ours in zip(clips, found, strict=True):
        expected = Renderer([place], 1).render(clip, place, "s")
        error = np.abs(expected.clip.samples.astype(float) - ours.clip.samples)
        if any(step.effect == "codec" for step in place.steps):
            power = float(np.mean(expected.clip.samples.astype(float) ** 2))
            assert float(np.mean(error**2)) <= power * 10 ** (-CODEC_DB / 10)
        else:
            assert float(error.max()) <= TOLERANCE
        assert expected.achieved.keys() == ours.achieved.keys()


@needs_cuda
def test_a_batch_that_does_not_fit_is_split_by_the_device(tmp_path: Path) -> None:
    """With little memory left to it, the device itself refuses a batch of 32: halves, and the texts of small batches."""
    shape = {"hidden_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 16, "intermediate_size": 4096}
    recogniser = engine(make_ctc(tmp_path / "ctc", shape), max_batch=32, precision="fp32")
    clips = [speech(6.0, f"v{n}") for n in range(32)]
    expected = [text for clip in clips for text in said(recogniser, [clip])]
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    said(recogniser, clips[:8])
    one = (torch.cuda.max_memory_allocated() - held) / 8
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((held + 14 * one) / total, 0)
        together = said(recogniser, clips)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert recogniser.statistics()["out_of_memory_splits"] > 0
    assert sum(a == b for a, b in zip(expected, together, strict=True)) >= 24  # random weights: last bits decide some
    recogniser.close()


class Doubles:
    """Doubles numbers, and says where its tensors were."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def prepare(self, arrays: Sequence[float]) -> dict[str, Any]:
        return {"numbers": torch.tensor(list(arrays))}

    def launch(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.seen.append(inputs["numbers"].device.type)
        return {"numbers": inputs["numbers"] * 2}

    def read(self, outputs: Mapping[str, Any], arrays: Sequence[float]) -> list[float]:
        pinned = outputs["numbers"].is_pinned() if DEVICE != "cpu" else True
        return [value if pinned else float("nan") for value in outputs["numbers"].tolist()]


def test_copies_go_through_pinned_memory_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways, from three callers; on a device any call that waits for it, but for the reader's, is an error."""
    stages = Doubles()
    pipeline: Pipeline[float] = Pipeline(stages, torch, DEVICE, size=4)
    pipeline.run([1.0])
    if DEVICE != "cpu":
        torch.cuda.set_sync_debug_mode("error")
    try:
        with ThreadPoolExecutor(3) as callers:
            found = list(callers.map(pipeline.run, [[float(n), float(n + 1)] for n in range(50)]))
    finally:
        if DEVICE != "cpu":
            torch.cuda.set_sync_debug_mode("default")
    assert [[2.0 * n, 2.0 * n + 2] for n in range(50)] == found
    assert {DEVICE.partition(":")[0]} == set(stages.seen)
    pipeline.close()


@pytest.mark.parametrize("kind", ["ctc", "whisper"])
def test_batches_and_callers_do_not_change_a_transcript(tmp_path: Path, kind: str) -> None:
    """Alone, together, in buckets, and from three callers at once: the same texts, in fp32."""
    folder = (make_tiny_ctc if kind == "ctc" else make_tiny_whisper)(tmp_path / kind)
    recogniser = engine(folder, max_batch=8, precision="fp32")
    alone = [text for clip in CLIPS for text in said(recogniser, [clip])]
    assert all(alone)
    assert alone == said(recogniser, CLIPS)
    with ThreadPoolExecutor(3) as callers:
        assert alone * 3 == [
            text for texts in callers.map(lambda _: said(recogniser, CLIPS), range(3)) for text in texts
        ]
    recogniser.close()
    filled = engine(folder, max_batch=8, precision="fp32", buckets=True)
    assert alone == said(filled, CLIPS[:5]) + said(filled, CLIPS[5:])
    filled.close()


def test_engines_one_after_the_other_leave_nothing_behind(tmp_path: Path) -> None:
    """Three rounds of two engines: models are freed, the device's memory is what it was, no thread stays."""
    import threading

    folders = [make_tiny_ctc(tmp_path / "ctc"), make_tiny_whisper(tmp_path / "whisper")]
    left = []
    threads = threading.active_count()
    for _ in range(3):
        for folder in folders:
            recogniser = engine(folder, max_batch=4)
            said(recogniser, CLIPS)
            model = weakref.ref(recogniser._model)
            recogniser.close()
            del recogniser
            gc.collect()
            assert model() is None
        left.append(torch.cuda.memory_allocated() if DEVICE != "cpu" else 0)
    assert left[0] == left[-1]
    assert threads == threading.active_count()
