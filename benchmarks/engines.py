"""What a run costs beside the bare engine, and what batching gains: ratios, measured in one go on this machine.

    python scripts/train_demo_ctc.py checkpoints/demo-ctc
    python benchmarks/engines.py --model checkpoints/demo-ctc --utterances 200

For each engine: the RTFx of a whole transcription (planning, decoding, journal, Parquet; starting the workers not
counted, because it does not grow with the audio) over the RTFx of a bare loop over the same audio, already decoded,
in the same batches. For the CTC model also: over ``transformers.pipeline(batch_size=16)`` on the same lengths,
which are log-normal.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asrfair.audio import load_clip
from asrfair.bench import lognormal_lengths, make_files
from asrfair.conditions import parse_condition
from asrfair.engines import EngineContext, create, traits_of
from asrfair.manifest import read_manifest
from asrfair.transcribe import plan_batches, transcribe
from asrfair.types import EngineSpec, Utterance

RATE_HZ = 16_000


def bare_loop(spec: EngineSpec, utterances: list[Utterance], lengths_s: np.ndarray, threads: int) -> float:
    """Seconds for the engine alone, audio decoded before, in the batches of the plan."""
    context = EngineContext(threads=threads)
    traits = traits_of(spec, context)
    plan = plan_batches(lengths_s, max_batch=traits.max_batch, max_padded_s=traits.max_padded_s)
    batches = [[load_clip(utterances[i], RATE_HZ) for i in batch] for batch in plan]
    engine = create(spec, context)
    try:
        engine.transcribe(batches[-1])
        started = time.perf_counter()
        for batch in batches:
            engine.transcribe(batch)
        return time.perf_counter() - started
    finally:
        engine.close()


def whole_run(spec: EngineSpec, manifest: Path, folder: Path, workers: int) -> float:
    """Seconds for a transcription; those of one utterance are taken off, which is what starting costs."""
    loaded = read_manifest(manifest, allow_outside=True)
    first = frozenset(loaded.table["utterance_id"].iloc[:1])
    times = []
    for name, alone in (("start", first), ("all", None)):
        started = time.perf_counter()
        summary = transcribe(
            loaded, [spec], [parse_condition("clean")], folder / f"{spec.label}-{name}", workers=workers,
            progress=False, alone=alone,
        )  # fmt: skip
        times.append(time.perf_counter() - started)
    print(summary.line())
    return times[1] - times[0]


def pipeline_loop(model: Path, utterances: list[Utterance], threads: int) -> float:
    """Seconds for transformers' own pipeline with batches of 16, in the order of the files."""
    import torch

    from asrfair.torchaudio_import import ensure_importable

    ensure_importable()
    from transformers import pipeline

    torch.set_num_threads(threads)
    recogniser: Any = pipeline("automatic-speech-recognition", model=str(model), device="cpu")
    arrays = [{"raw": load_clip(u, RATE_HZ).samples, "sampling_rate": RATE_HZ} for u in utterances]
    started = time.perf_counter()
    for _ in recogniser((dict(item) for item in arrays), batch_size=16):
        pass
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="A CTC checkpoint for the engine transformers.")
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip-pocketsphinx", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = lognormal_lengths(arguments.utterances, median_s=4.0, sigma=0.7, seed=1)
        utterances = make_files(folder, drawn.tolist(), sample_rate_hz=RATE_HZ, seed=1)
        lengths_s = np.array([u.duration_s for u in utterances], dtype=np.float64)
        manifest = folder / "manifest.csv"
        with manifest.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["utterance_id", "speaker_id", "reference", "audio", "duration_s"])
            writer.writerows([u.utterance_id, "s", "x", u.audio, u.duration_s] for u in utterances)
        audio_s = float(lengths_s.sum())
        print(
            f"{len(utterances)} files, {audio_s:.0f} s, log-normal lengths {lengths_s.min():.1f}–{lengths_s.max():.1f} s"
        )
        specs = []
        if not arguments.skip_pocketsphinx:
            specs.append(EngineSpec(name="pocketsphinx", label="pocketsphinx"))
        if arguments.model:
            options = {"model": str(arguments.model.resolve()), "max_batch": arguments.max_batch, "device": "cpu"}
            specs.append(EngineSpec(name="transformers", label="transformers", options=options))
        for spec in specs:
            report(spec, audio_s, lambda s: bare_loop(s, utterances, lengths_s, arguments.threads),
                   lambda s: whole_run(s, manifest, folder, workers=1))  # fmt: skip
        if arguments.model:
            theirs = pipeline_loop(arguments.model, utterances, arguments.threads)
            ours = bare_loop(specs[-1], utterances, lengths_s, arguments.threads)
            print(f"transformers.pipeline(batch_size=16): RTFx {audio_s / theirs:.1f}")
            print(f"engine in length-sorted batches over the pipeline: {theirs / ours:.2f}×")


def report(
    spec: EngineSpec, audio_s: float, bare: Callable[[EngineSpec], float], whole: Callable[[EngineSpec], float]
) -> None:
    """Print one engine's two speeds and their ratio."""
    bare_s, whole_s = bare(spec), whole(spec)
    print(f"{spec.label}: bare RTFx {audio_s / bare_s:.1f}, run RTFx {audio_s / whole_s:.1f}: {bare_s / whole_s:.3f}")


if __name__ == "__main__":
    main()
