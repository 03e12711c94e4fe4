"""What a run costs beside the bare engine, and what batching gains: ratios, measured in one go on this machine.

    python scripts/train_demo_ctc.py checkpoints/demo-ctc
    python benchmarks/engines.py --model checkpoints/demo-ctc

For each engine: the RTFx of a whole transcription on all cores (planning, decoding, the recording's acoustics, journal,
Parquet; starting the workers not counted, because it does not grow with the audio) over the RTFx of a bare loop over
the same audio, already decoded, in the same batches. The bare loop runs twice: in one process with all cores as its
threads, which is what one writes first, and as a process a core with one thread each, which is the most that the cores
can do. For the CTC model also: the whole run over ``transformers.pipeline(batch_size=16)`` with all threads on the same
files, whose lengths are log-normal, in the order of the files.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from asrfair.acoustics import parse_condition
from asrfair.data.audio import load_clip
from asrfair.data.manifest import read_manifest
from asrfair.data.provenance import usable_cores
from asrfair.recognise.bench import lognormal_lengths, make_files
from asrfair.recognise.engines import EngineContext, create, traits_of
from asrfair.recognise.transcribe import plan_batches, transcribe
from asrfair.types import EngineSpec, Utterance

RATE_HZ = 16_000


def bare_loop(
    spec: EngineSpec, utterances: list[Utterance], lengths_s: np.ndarray, processes: int, threads: int
) -> float:
    """Seconds for the engine alone in so many processes, audio decoded and engine warm before, in the plan's batches."""
    context = multiprocessing.get_context("spawn")
    barrier, spent = context.Barrier(processes), context.Queue()
    everyone = [
        context.Process(target=_bare, args=(spec, utterances, lengths_s, number, processes, threads, barrier, spent))
        for number in range(processes)
    ]
    for process in everyone:
        process.start()
    seconds = max(spent.get() for _ in everyone)
    for process in everyone:
        process.join()
    return float(seconds)


def _bare(
    spec: EngineSpec,
    utterances: list[Utterance],
    lengths_s: np.ndarray,
    number: int,
    processes: int,
    threads: int,
    barrier: Any,
    spent: Any,
) -> None:
    context = EngineContext(threads=threads)
    traits = traits_of(spec, context)
    plan = plan_batches(lengths_s, max_batch=traits.max_batch, max_padded_s=traits.max_padded_s)
    batches = [[load_clip(utterances[i], RATE_HZ) for i in plan[n]] for n in range(number, len(plan), processes)]
    engine = create(spec, context)
    try:
        engine.transcribe(batches[-1])
        barrier.wait()
        started = time.perf_counter()
        for batch in batches:
            engine.transcribe(batch)
        spent.put(time.perf_counter() - started)
    finally:
        engine.close()


def whole_run(spec: EngineSpec, manifest: Path, folder: Path, workers: int) -> float:
    """Seconds for a transcription, from reading the manifest to the Parquet files, but for starting the first engine."""
    started = time.perf_counter()
    loaded = read_manifest(manifest, allow_outside=True)
    summary = transcribe(
        loaded, [spec], [parse_condition("clean")], folder / spec.label, workers=workers, progress=False
    )
    spent = time.perf_counter() - started
    print(*summary.lines(), sep="\n")
    return spent - summary.engines[spec.label].start_s


def pipeline_loop(model: Path, utterances: list[Utterance], threads: int) -> float:
    """Seconds for transformers' own pipeline with batches of 16, in the order of the files."""
    import torch

    from asrfair.acoustics.torchaudio_import import ensure_importable

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
    parser.add_argument("--utterances", type=int, default=2000)
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--skip-pocketsphinx", action="store_true")
    arguments = parser.parse_args()
    cores = usable_cores()
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
        print(f"{len(utterances)} files, {audio_s:.0f} s, log-normal lengths {lengths_s.min():.1f}–{lengths_s.max():.1f} s, "
              f"{cores} cores")  # fmt: skip
        specs = []
        if not arguments.skip_pocketsphinx:
            specs.append(EngineSpec(name="pocketsphinx", label="pocketsphinx"))
        if arguments.model:
            options = {"model": str(arguments.model.resolve()), "max_batch": arguments.max_batch, "device": "cpu"}
            specs.append(EngineSpec(name="transformers", label="transformers", options=options))
        for spec in specs:
            whole_s = whole_run(spec, manifest, folder, workers=cores)
            print(f"{spec.label}: run RTFx {audio_s / whole_s:.1f}")
            for processes, threads in ((1, cores), (cores, 1)):
                bare_s = bare_loop(spec, utterances, lengths_s, processes, threads)
                print(f"  bare, {processes} process(es) of {threads} thread(s): RTFx {audio_s / bare_s:.1f}; "
                      f"the run over it {bare_s / whole_s:.3f}")  # fmt: skip
        if arguments.model:
            theirs = pipeline_loop(arguments.model, utterances, cores)
            print(f"  transformers.pipeline(batch_size=16), {cores} threads: RTFx {audio_s / theirs:.1f}; "
                  f"the run over it {theirs / whole_s:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
