"""How busy a run keeps a GPU: shapes of large recognisers with random weights, on generated clips, beside bare loops.

For each shape, on clips of log-normal length, in bf16 on a CUDA device::

    bare        the engine over ready batches: one caller, and as many as a run has
    run         decoding, conditions, feeders, the device, the journal: clean and in two conditions
    on device   the two conditions rendered on the device instead (render = "device")
    pipeline    transformers.pipeline(batch_size=16), in the order of the files

A shape takes as many of the clips as its share of the minutes allows; how many stands in the table. Nothing is fetched
and nothing is recognised: the weights are random, and Whisper writes a fixed number of tokens. ``make gpu`` runs this
and the tests of the device; ``--dry`` is the same on the processor with shapes of one layer, to know that it works::

    python benchmarks/gpu.py --out gpu-result [--dry] [--minutes 8] [--models wav2vec2-large …]
    python benchmarks/gpu.py --docs docs/gpu.md gpu-result/gpu.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read when it is imported, in every process
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from made_checkpoints import TINY_CTC, TINY_WHISPER, make_ctc, make_whisper

from asrfair.acoustics import RenderContext, parse_condition
from asrfair.acoustics.profiles import RendererName
from asrfair.data.audio import load_clip
from asrfair.data.gpu import gpus, watched
from asrfair.data.provenance import usable_cores
from asrfair.recognise.bench import lognormal_lengths, make_files
from asrfair.recognise.engines import Engine, EngineContext, create, traits_of
from asrfair.recognise.journal import Journal
from asrfair.recognise.transcribe.plan import plan_batches
from asrfair.recognise.transcribe.pool import IteratorSource, Pool
from asrfair.recognise.transcribe.work import Done, Job, Setup, StageTimes
from asrfair.recognise.transcribe.workers import AHEAD_OF_ENGINE, FEEDER_AHEAD, fed_worker
from asrfair.types import Clip, EngineSpec, Utterance

RATE_HZ = 16_000
CONDITIONS = ("clean", "imaging-floor@moderate", "telephone-narrowband")
TOKENS = 32
PIPELINE_BATCH = 16
BEGIN, END = "<!-- gpu table: begin -->", "<!-- gpu table: end -->"

_WHISPER = {
    "vocab_size": 51_866, "num_mel_bins": 128, "d_model": 1280, "encoder_layers": 32, "encoder_attention_heads": 20,
    "decoder_attention_heads": 20, "encoder_ffn_dim": 5120, "decoder_ffn_dim": 5120,
}  # fmt: skip
SHAPES: dict[str, tuple[Callable[..., Path], dict[str, Any], dict[str, Any]]] = {
    "wav2vec2-large": (
        make_ctc,
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
        TINY_CTC,
    ),
    "whisper-large-v3-turbo": (make_whisper, {**_WHISPER, "decoder_layers": 4}, TINY_WHISPER),
    "whisper-large-v3": (make_whisper, {**_WHISPER, "decoder_layers": 32}, TINY_WHISPER),
}
"""How a checkpoint is made, its shape, and the shape of a dry run."""


def clips_of(utterances: Sequence[Utterance]) -> list[Clip]:
    """Decode, several at a time."""
    with ThreadPoolExecutor(usable_cores()) as threads:
        return list(threads.map(lambda utterance: load_clip(utterance, RATE_HZ), utterances))


def in_child(target: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run a function in a process of its own, so that nothing stays on the device, and return what it found.

    Raises:
        RuntimeError: It failed; its traceback was printed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, target, arguments))
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] = ours.recv()
    except EOFError as error:
        raise RuntimeError(f"{target.__name__} ended without an answer") from error
    process.join()
    return found


def _here(target: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run a function in this process: nothing stays on a processor."""
    return target(*arguments)


def _child(connection: Any, target: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    connection.send(target(*arguments))


def bare(spec: EngineSpec, utterances: list[Utterance], pass_s: float) -> dict[str, Any]:
    """Measure the engine over ready batches, and how many clips fit into ``pass_s`` seconds."""
    context = EngineContext()
    traits = traits_of(spec, context)
    engine = create(spec, replace(context, device=traits.devices[0], threads=usable_cores()))
    try:
        clips = clips_of(utterances)
        batches = _batches(clips, traits)
        few = batches[:: max(len(batches) // 3, 1)]
        for batch in few:
            engine.transcribe(batch)  # warms up
        each_s = _timed(engine, few, callers=1) / len(few)
        count = min(len(clips), max(int(pass_s / each_s * len(clips) / len(batches)), 3 * traits.max_batch))
        batches = _batches(clips[:count], traits)
        audio_s = sum(clip.duration_s for clip in clips[:count])
        one_s = _timed(engine, batches, callers=1)
        with watched(traits.devices) as gpu:
            several_s = _timed(engine, batches, callers=traits.concurrency)
        return {
            "clips": count,
            "audio_s": audio_s,
            "batches": len(batches),
            "one_caller_rtfx": audio_s / one_s,
            "rtfx": audio_s / several_s,
            "gpu": gpu,
            "allocated_mib": _peak_mib(),
            "waits_a_batch": _waits(engine, batches[len(batches) // 2]),
            "fingerprint": engine.fingerprint(),
        }
    finally:
        engine.close()


def _batches(clips: Sequence[Clip], traits: Any) -> list[list[Clip]]:
    lengths_s = np.array([clip.duration_s for clip in clips])
    plan = plan_batches(lengths_s, max_batch=traits.max_batch, max_padded_s=traits.max_padded_s)
    return [[clips[position] for position in batch] for batch in plan]


def _timed(engine: Engine, batches: list[list[Clip]], *, callers: int) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as threads:
        for _ in threads.map(engine.transcribe, batches):
            pass
    return time.perf_counter() - started


def _peak_mib() -> float:
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0


def _waits(engine: Engine, batch: list[Clip]) -> int | None:
    """Return how often a batch makes the processor wait for the device (in the model too); ``None`` without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            engine.transcribe(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(item.message) for item in seen)


def run(
    spec: EngineSpec, utterances: list[Utterance], folder: Path, names: Sequence[str], render: RendererName
) -> dict[str, Any]:
    """Measure the way of a run: feeders, the device, the journal, without what is before and after."""
    context = EngineContext(conditions=tuple(names))
    traits = traits_of(spec, context)
    lengths_s = np.array([utterance.duration_s for utterance in utterances], dtype=np.float64)
    plan = plan_batches(lengths_s, max_batch=traits.max_batch, max_padded_s=traits.max_padded_s)
    feeders = max(usable_cores() - 1, 1)
    setup = Setup(
        spec=spec,
        context=replace(context, device=traits.devices[0], threads=usable_cores()),
        traits=traits,
        conditions=tuple(parse_condition(name, render=render) for name in names),
        seed=1,
        corpus=RenderContext(),
        measure=True,
        feeders=feeders,
    )
    jobs = (
        Job(number=number, utterances=tuple(utterances[i] for i in plan[number]), conditions=tuple(range(len(names))))
        for number in range(len(plan))
    )
    ahead = feeders * FEEDER_AHEAD + AHEAD_OF_ENGINE + traits.concurrency
    times, done_s, audio_s = StageTimes(), [], []
    failed, started = 0, time.perf_counter()
    gpu: dict[str, float] = {}
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder))
        pool = stack.enter_context(Pool(fed_worker, [setup], ahead=ahead, one_thread=False, daemon=False))
        watching = stack.enter_context(ExitStack())
        for message in pool.run(IteratorSource(jobs)):
            if type(message).__name__ == "Ready":
                ready = time.perf_counter()
            if not isinstance(message, Done):
                continue
            if not done_s:
                gpu = watching.enter_context(watched(traits.devices))
            journal.record(spec.label, names[message.condition], message.rows, message.achieved)
            times.add(message.times)
            done_s.append(time.perf_counter())
            audio_s.append(message.audio_s)
            failed += sum(row.status == "error" for row in message.rows)
        watching.close()
    steady_s = done_s[-1] - done_s[0]
    return {
        "conditions": list(names),
        "render": render,
        "start_s": ready - started,
        "wall_s": done_s[-1] - ready,
        "rtfx": sum(audio_s) / (done_s[-1] - ready),
        "steady_rtfx": sum(audio_s[1:]) / steady_s if steady_s > 0 else None,
        "padding_efficiency": plan.padding_efficiency(lengths_s),
        "stages": {**asdict(times), **pool.statistics},
        "feeders": feeders,
        "gpu": gpu,
        "failed": failed,
    }


def theirs(spec: EngineSpec, utterances: list[Utterance], limit_s: float) -> dict[str, Any]:
    """Measure transformers' own pipeline with the same model, for so many seconds at most."""
    context = EngineContext()
    traits = traits_of(spec, context)
    engine: Any = create(spec, replace(context, device=traits.devices[0], threads=usable_cores()))
    from transformers import pipeline

    recogniser: Any = pipeline(
        "automatic-speech-recognition",
        model=engine._model,  # noqa: SLF001 -- the same random weights
        tokenizer=engine._processor.tokenizer,  # noqa: SLF001
        feature_extractor=engine._processor.feature_extractor,  # noqa: SLF001
        device=traits.devices[0],
        dtype=engine._dtype,  # noqa: SLF001
    )
    clips = clips_of(utterances)
    items = ({"raw": clip.samples, "sampling_rate": RATE_HZ} for clip in clips)
    keywords = {"generate_kwargs": dict(spec.options["generate"])} if "generate" in spec.options else {}
    next(iter(recogniser([{"raw": clips[0].samples, "sampling_rate": RATE_HZ}], batch_size=1, **keywords)))
    audio_s, started = 0.0, time.perf_counter()
    for heard, _ in enumerate(recogniser(items, batch_size=PIPELINE_BATCH, **keywords)):
        audio_s += clips[heard].duration_s
        if time.perf_counter() - started > limit_s and heard % PIPELINE_BATCH == PIPELINE_BATCH - 1:
            break
    found = {"clips": heard + 1, "rtfx": audio_s / (time.perf_counter() - started)}
    engine.close()
    return found


def measure(name: str, utterances: list[Utterance], folder: Path, *, dry: bool, pass_s: float) -> dict[str, Any]:
    """Measure one shape."""
    make, shape, tiny = SHAPES[name]
    generates = make is make_whisper
    tokens = 4 if dry else TOKENS
    options: dict[str, Any] = {
        "model": str(make(folder / name, tiny if dry else shape, weights=False)),
        "random_weights": True,
        "device": "cpu:0" if dry else "cuda:0",  # a numbered device has an engine process and feeders of its own
        "precision": "fp32" if dry else "bf16",
        "max_batch": 8 if dry else 32,
    }
    if generates:
        options["generate"] = {
            "language": "en", "task": "transcribe", "max_new_tokens": tokens, "min_new_tokens": tokens,
        }  # fmt: skip
    spec = EngineSpec(name="transformers", label=name, options=options)
    call = _here if dry else in_child
    alone = call(bare, spec, utterances, pass_s)
    some = utterances[: alone["clips"]]
    whole = run(spec, some, folder / f"{name}-run", CONDITIONS, "processor")
    device = run(spec, some, folder / f"{name}-device", CONDITIONS[1:], "device")
    pipe = call(theirs, spec, some, pass_s)
    return {"bare": alone, "run": whole, "run_on_device": device, "pipeline": pipe}


def markdown(content: dict[str, Any]) -> str:
    """Return the tables of one measurement."""
    what = "a dry run on the processor with shapes of one layer, which shows that it works and nothing else"
    columns = ("shape", "clips", "bare, RTFx", "run, RTFx", "run ÷ bare", "conditions on the device, RTFx",
               "transformers.pipeline, RTFx", "run ÷ pipeline", "GPU busy, %", "padding efficiency", "memory, MiB")  # fmt: skip
    place = f"{content['device']}, torch {content['torch']}, transformers {content['transformers']}"
    lines = [
        f"{place}, {content['cores']} cores; {what if content['dry'] else 'bf16'}.\n",
        f"| {' | '.join(columns)} |",
        f"|---|{'---:|' * (len(columns) - 1)}",
    ]
    for name, found in content["models"].items():
        ran, alone, pipe = found["run"], found["bare"], found["pipeline"]
        speed = ran["steady_rtfx"] or ran["rtfx"]
        busy = f"{ran['gpu']['use_percent']:.0f}" if ran["gpu"] else "–"
        memory = f"{ran['gpu']['peak_mib']:,.0f}" if ran["gpu"] else "–"
        lines.append(
            f"| {name} | {alone['clips']:,} | {alone['rtfx']:,.0f} | {speed:,.0f} | {speed / alone['rtfx']:.2f} "
            f"| {found['run_on_device']['rtfx']:,.0f} | {pipe['rtfx']:,.0f} | {speed / pipe['rtfx']:.2f} | {busy} "
            f"| {ran['padding_efficiency']:.2f} | {memory} |"
        )
    lines += ["", "Seconds by stage in the run, summed over processes:", "",
              "| shape | decoding | conditions | preparing | on the device | reading | device's thread waited | wall |",
              "|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name, found in content["models"].items():
        spent = found["run"]["stages"]
        keys = ("decode_s", "condition_s", "prepare_s", "device_s", "read_s", "starved_s")
        cells = " | ".join(f"{spent[key]:.1f}" for key in keys)
        lines.append(f"| {name} | {cells} | {found['run']['wall_s']:.1f} |")
    return "\n".join(lines) + "\n"


def put_into(page: Path, result: Path) -> None:
    """Replace what stands between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    table = markdown(json.loads(result.read_text(encoding="utf-8")))
    page.write_text(f"{before}{BEGIN}\n{table}{END}{after}", encoding="utf-8")


def main() -> None:
    """Measure and write gpu.json and gpu.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu-result"))
    parser.add_argument("--dry", action="store_true", help="Shapes of one layer on the processor.")
    parser.add_argument("--clips", type=int, help="Most clips (2,000; 12 in a dry run).")
    parser.add_argument("--minutes", type=float, default=7.0, help="For all shapes together, about.")
    parser.add_argument("--models", nargs="+", choices=SHAPES, help="All; in a dry run one of a kind.")
    parser.add_argument(
        "--docs", nargs=2, type=Path, metavar=("PAGE", "JSON"), help="Put a result's tables into a page."
    )
    arguments = parser.parse_args()
    if arguments.docs:
        put_into(*arguments.docs)
        return
    import torch
    import transformers

    if not arguments.dry and not torch.cuda.is_available():
        parser.exit(3, "there is no CUDA device; --dry shows on the processor that everything works\n")
    models = arguments.models or list(SHAPES)[: 2 if arguments.dry else None]
    count = arguments.clips or (12 if arguments.dry else 2000)
    # A pass goes over the clips once; there are eight and a half of them to a shape, and some starts.
    pass_s = max((60 * arguments.minutes / len(models) - 45) / 8.5, 2.0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        utterances = _files(folder, count, median_s=0.8 if arguments.dry else 4.5)
        content: dict[str, Any] = {
            "device": "processor" if arguments.dry else torch.cuda.get_device_name(0),
            "driver": gpus(),
            "dry": arguments.dry,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": sys.version.split()[0],
            "cores": usable_cores(),
            "tokens": TOKENS,
            "models": {},
        }
        for model in models:
            started = time.perf_counter()
            content["models"][model] = measure(model, utterances, folder, dry=arguments.dry, pass_s=pass_s)
            print(f"{model}: measured in {time.perf_counter() - started:.0f} s", flush=True)
            # After each shape: what was measured stays if the time runs out.
            (arguments.out / "gpu.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            (arguments.out / "gpu.md").write_text(markdown(content), encoding="utf-8")
    print(markdown(content))
    if any(found[kind]["failed"] for found in content["models"].values() for kind in ("run", "run_on_device")):
        sys.exit("some clips failed: see gpu.json")


def _files(folder: Path, count: int, *, median_s: float) -> list[Utterance]:
    """Generate clips, a share of them in each process."""
    lengths_s = lognormal_lengths(count, median_s=median_s, sigma=0.7, seed=1)
    parts = np.array_split(lengths_s, min(usable_cores(), 16))
    folders = [folder / f"part-{number}" for number in range(len(parts))]
    with ProcessPoolExecutor(len(parts), mp_context=multiprocessing.get_context("spawn")) as processes:
        made = processes.map(_part, folders, [part.tolist() for part in parts], range(len(parts)))
        return [utterance for part in made for utterance in part]


def _part(folder: Path, lengths_s: list[float], number: int) -> list[Utterance]:
    folder.mkdir()
    found = make_files(folder, lengths_s, sample_rate_hz=RATE_HZ, seed=number)
    return [replace(item, utterance_id=f"{number:02}-{item.utterance_id}") for item in found]


if __name__ == "__main__":
    main()
