"""How well do workers share the work, what does a run cost beside its engine, and does memory grow with the corpus?

    python benchmarks/transcribe.py                    # everything: about five minutes on two idle cores
    python benchmarks/transcribe.py --only workers     # PocketSphinx on the demo corpus: 1 worker against 2
    python benchmarks/transcribe.py --only overhead    # a run with one worker against a bare loop over the same engine
    python benchmarks/transcribe.py --only memory      # peak memory for 10,000 and 100,000 utterances

Wall clock, start of processes included; on a machine that has other things to do, read the processor time beside it.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from asrfair.acoustics import CLEAN_CONDITION, Renderer
from asrfair.data.audio import load_clip
from asrfair.data.manifest import Manifest, read_manifest
from asrfair.data.resources import shipped
from asrfair.recognise.engines import EngineContext, create
from asrfair.recognise.transcribe import TranscribeSummary, transcribe
from asrfair.types import EngineSpec

POCKETSPHINX = EngineSpec(name="pocketsphinx", label="pocketsphinx")


def processor_s() -> float:
    """Processor seconds of this process and of those of its children that have ended."""
    found = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        found += usage.ru_utime + usage.ru_stime
    return found


def part(folder: Path, count: int, table: Path | None) -> Manifest:
    """Return an evenly spread part of a manifest's table (by default the demo corpus) as a manifest."""
    manifest = read_manifest(table or shipped("manifests") / "demo" / "demo.csv", allow_outside=True)
    names = ["utterance_id", "speaker_id", "reference", "audio", "duration_s"]
    rows = manifest.table[names].to_dict("records")
    rows = rows[:: max(1, len(rows) // count)][:count]
    path = folder / "part.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return read_manifest(path, allow_outside=True)


def timed_run(manifest: Manifest, run: Path, workers: int) -> tuple[float, float, TranscribeSummary]:
    """Transcribe; return wall and processor seconds and the summary."""
    before, start = processor_s(), time.perf_counter()
    summary = transcribe(manifest, [POCKETSPHINX], [CLEAN_CONDITION], run, workers=workers, progress=False)
    return time.perf_counter() - start, processor_s() - before, summary


def bench_workers(count: int, repeats: int, table: Path | None) -> None:
    """Print the speed-up of two workers over one, the better of several runs each, taken in turns."""
    best: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = part(folder, count, table)
        texts = set()
        for repeat in range(repeats):
            for workers in (1, 2):
                run = folder / f"run-{workers}-{repeat}"
                wall, processor, summary = timed_run(manifest, run, workers)
                best[workers] = min(best.get(workers, (wall, processor)), (wall, processor))
                texts.add((run / "hypotheses.parquet").read_bytes())
                print(
                    f"  {workers} worker(s): {wall:7.2f} s wall, {processor:7.2f} s processor, "
                    f"{summary.audio_s / wall:5.2f}× real time"
                )
    (one, one_processor), (two, two_processor) = best[1], best[2]
    print(f"workers: 2 against 1, {len(manifest)} utterances: {one / two:.2f}× as fast")
    print(f"  processor time, 2 against 1: {two_processor / one_processor:.3f}")
    print(f"  files identical in all runs: {len(texts) == 1}")


def bench_overhead(count: int, table: Path | None) -> None:
    """Print end-to-end speed over that of a bare loop on the same audio, already decoded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = part(folder, count, table)
        engine = create(POCKETSPHINX, EngineContext())
        renderer = Renderer([CLEAN_CONDITION], 1)
        clips = [
            renderer.render(load_clip(utterance, engine.traits.sample_rate_hz), CLEAN_CONDITION, "").clip
            for utterance in sorted(manifest.utterances(), key=lambda u: (-(u.duration_s or 0.0), u.utterance_id))
        ]
        before, start = time.process_time(), time.perf_counter()
        for clip in clips:
            engine.transcribe([clip])
        bare_processor, bare = time.process_time() - before, time.perf_counter() - start
        wall, processor, summary = timed_run(manifest, folder / "run", 1)
    audio = sum(clip.duration_s for clip in clips)
    stages = summary.engines["pocketsphinx"].stages
    print(f"overhead: bare loop {audio / bare:.2f}× real time, whole run {audio / wall:.2f}×: ratio {bare / wall:.3f}")
    print(f"  in processor time: ratio {bare_processor / processor:.3f} ({processor - bare_processor:.2f} s more)")
    print(
        f"  in the worker: decoding {stages.decode_s:.2f} s, condition {stages.condition_s:.2f} s, "
        f"engine {stages.engine_s:.2f} s"
    )


def write_text_manifest(path: Path, rows: int) -> Path:
    """Write a manifest without audio."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("utterance_id,speaker_id,reference,accent\n")
        for number in range(rows):
            stream.write(f"u{number:07},s{number % 500},{'some words that were said ' * 3}{number},a{number % 9}\n")
    return path


def _watch_workers(found: list[float], stop: threading.Event) -> None:
    """Note the peak memory of worker processes, in MiB, as the kernel tells it."""
    while not stop.wait(0.1):
        for process in multiprocessing.active_children():
            try:
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), "0")
            found[0] = max(found[0], int(peak) / 1024)


def _memory_child(manifest_path: str, run: str, parallel: str) -> None:
    manifest = read_manifest(Path(manifest_path))
    list(zip(range(1), manifest.utterances(), strict=False))
    table = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    engine = EngineSpec(
        name="fake", label="fake", options={"substitutions": 0.1, "parallel": parallel, "max_batch": 16}
    )
    workers, stop = [0.0], threading.Event()
    threading.Thread(target=_watch_workers, args=(workers, stop), daemon=True).start()
    start = time.perf_counter()
    summary = transcribe(manifest, [engine], [CLEAN_CONDITION], Path(run), workers=2, progress=False)
    seconds = time.perf_counter() - start
    stop.set()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": summary.results, "seconds": seconds, "table": table, "peak": peak, "worker": workers[0]}))


def bench_memory(sizes: tuple[int, ...]) -> None:
    """Print peak memory of the run and of its largest worker, for growing manifests."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for parallel in ("processes", "inline"):
            for size in sizes:
                manifest = write_text_manifest(folder / f"{size}.csv", size)
                arguments = [str(manifest), str(folder / f"{parallel}{size}"), parallel]
                command = [sys.executable, __file__, "--memory-child", *arguments]
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
                found = json.loads(done.stdout)
                more = 1024 * (found["peak"] - found["table"]) / size
                print(
                    f"memory ({parallel}): {found['rows']:8,} utterances, table read {found['table']:6.0f} MiB, "
                    f"peak {found['peak']:6.0f} MiB (+{more:.2f} KiB an utterance), "
                    f"largest worker {found['worker']:6.0f} MiB, {found['rows'] / found['seconds']:,.0f} results/s"
                )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["workers", "overhead", "memory"])
    parser.add_argument("--utterances", type=int, default=120, help="how many of the manifest")
    parser.add_argument("--manifest", type=Path, help="a table with audio (default: the demo corpus)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--memory-child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_child:
        _memory_child(*arguments.memory_child)
        return
    if arguments.only in {None, "workers"}:
        bench_workers(arguments.utterances, arguments.repeats, arguments.manifest)
    if arguments.only in {None, "overhead"}:
        bench_overhead(arguments.utterances, arguments.manifest)
    if arguments.only in {None, "memory"}:
        bench_memory((10_000, 100_000))


if __name__ == "__main__":
    main()
