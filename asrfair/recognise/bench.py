"""How fast is an engine? Generated audio with a chosen spread of lengths; with and without decoding of files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from asrfair.data.audio import load_clip
from asrfair.data.gpu import watched
from asrfair.errors import EngineError
from asrfair.recognise.engines import EngineContext, create, traits_of
from asrfair.recognise.transcribe.plan import plan_batches
from asrfair.types import Clip, EngineSpec, Utterance

SHORTEST_S, LONGEST_S = 0.5, 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchResult:
    """What a benchmark measured.

    Args:
        engine: The engine's name.
        device: Where it ran, as the engine was told.
        audio_s: Seconds of audio.
        utterances: Number of clips.
        batches: Calls of the engine.
        padding_efficiency: Seconds of audio over seconds with padding.
        load_s: Seconds until the engine was ready.
        engine_s: Seconds for all audio, already decoded.
        decoding_s: Seconds for all audio, with every file decoded and resampled just before.
        meaningless: The weights were random: the speed is real, the text is not.
        gpu: Mean use in per cent and peak memory in MiB of the busiest NVIDIA device; empty without one.
        fingerprint: What the engine says of itself.
    """

    engine: str
    device: str
    audio_s: float
    utterances: int
    batches: int
    padding_efficiency: float
    load_s: float
    engine_s: float
    decoding_s: float
    meaningless: bool
    gpu: dict[str, float] = field(default_factory=dict)
    fingerprint: dict[str, str] = field(default_factory=dict)

    @property
    def rtfx(self) -> float:
        """Seconds of audio per second of the bare engine."""
        return self.audio_s / self.engine_s

    @property
    def rtfx_with_decoding(self) -> float:
        """Seconds of audio per second, files decoded one after the other in the same process."""
        return self.audio_s / self.decoding_s


def lognormal_lengths(count: int, *, median_s: float, sigma: float, seed: int) -> npt.NDArray[np.float64]:
    """Return lengths in seconds, shape (count,): log-normal, cut to 0.5–30 s, the same for the same seed."""
    drawn = np.random.default_rng(seed).lognormal(np.log(median_s), sigma, count)
    return np.clip(drawn, SHORTEST_S, LONGEST_S)


def speech_like(length_s: float, sample_rate_hz: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a buzz of gliding pitch under a syllable rhythm, with pauses: about as hard to decode as speech."""
    time_s = np.arange(round(length_s * sample_rate_hz)) / sample_rate_hz
    pitch_hz = 120 + 40 * np.sin(2 * np.pi * 0.7 * time_s + generator.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sample_rate_hz
    buzz = sum(np.sin(number * phase) / number for number in range(1, 12))
    rhythm = np.clip(np.sin(2 * np.pi * 4 * time_s + generator.uniform(0, 6)) + 0.4, 0, None)
    hiss = generator.normal(0, 0.003, len(time_s))
    return (0.08 * rhythm * buzz + hiss).astype(np.float32)


def make_files(folder: Path, lengths_s: Sequence[float], *, sample_rate_hz: int, seed: int) -> list[Utterance]:
    """Write one FLAC file a length and return its utterances."""
    utterances = []
    for number, length_s in enumerate(lengths_s):
        path = folder / f"{number:06}.flac"
        samples = speech_like(length_s, sample_rate_hz, np.random.default_rng([seed, number]))
        soundfile.write(path, samples, sample_rate_hz, subtype="PCM_16")
        utterances.append(
            Utterance(
                utterance_id=path.stem, speaker_id="generated", reference="", audio=path,
                duration_s=len(samples) / sample_rate_hz, language="en",
            )
        )  # fmt: skip
    return utterances


def bench(
    spec: EngineSpec,
    folder: Path,
    *,
    lengths_s: Sequence[float],
    seed: int = 1,
    base: Path | None = None,
    threads: int = 1,
) -> BenchResult:
    """Measure one engine in this process, in the batches that a run would make.

    Args:
        spec: The engine.
        folder: An empty folder for generated files.
        lengths_s: Lengths of the clips in seconds.
        seed: Seed of the audio.
        base: The folder that relative paths in options start from.
        threads: Processor threads for the engine.

    Raises:
        InputError: A name or an option is wrong.
        EngineError: The engine cannot start, needs no audio, or failed for every clip.
    """
    context = EngineContext(seed=seed, base=base or Path.cwd(), threads=threads)
    traits = traits_of(spec, context)
    if not traits.needs_audio:
        raise EngineError(f"the engine {spec.name!r} hears nothing, so there is no speed to measure")
    device = traits.devices[0] if traits.parallel == "device" else "cpu"
    utterances = make_files(folder, lengths_s, sample_rate_hz=traits.sample_rate_hz, seed=seed)
    plan = plan_batches(np.asarray(lengths_s), max_batch=traits.max_batch, max_padded_s=traits.max_padded_s)
    batches = [[utterances[i] for i in batch] for batch in plan]
    started = time.perf_counter()
    engine = create(
        spec,
        EngineContext(
            seed=seed, base=context.base, threads=threads, device=device,
            utterance=lambda name: utterances[int(name)],
        ),
    )  # fmt: skip
    load_s = time.perf_counter() - started
    try:
        decoded = [[load_clip(u, traits.sample_rate_hz) for u in batch] for batch in batches]
        failed = [found.error for found in engine.transcribe(decoded[-1]) if found.status == "error"]  # warms up
        if len(failed) == len(decoded[-1]):
            raise EngineError(f"the engine {spec.name!r} failed: {failed[0]}")
        with watched([device]) as gpu:
            started = time.perf_counter()
            for clips in decoded:
                engine.transcribe(clips)
            engine_s = time.perf_counter() - started
        started = time.perf_counter()
        for batch in batches:
            engine.transcribe(_decode(batch, traits.sample_rate_hz))
        decoding_s = time.perf_counter() - started
        fingerprint = dict(engine.fingerprint())
    finally:
        engine.close()
    return BenchResult(
        engine=spec.name,
        device=device,
        audio_s=float(np.sum(lengths_s)),
        utterances=len(utterances),
        batches=len(plan),
        padding_efficiency=plan.padding_efficiency(np.asarray(lengths_s)),
        load_s=load_s,
        engine_s=engine_s,
        decoding_s=decoding_s,
        meaningless=bool(spec.options.get("random_weights", False)),
        gpu=gpu,
        fingerprint=fingerprint,
    )


def _decode(batch: Sequence[Utterance], sample_rate_hz: int) -> list[Clip]:
    return [load_clip(utterance, sample_rate_hz) for utterance in batch]
