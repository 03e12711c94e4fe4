"""Time and memory of reading, checking and describing a manifest: ``python benchmarks/manifest.py --rows 1000000``.

Each step runs in a process of its own, so that its peak memory is its own; what the imports take is told apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd


def make(rows: int, folder: Path) -> None:
    """Write one table in three formats: ids, 8-word references, audio paths, times, three attributes."""
    generator = np.random.default_rng(1)
    words = np.array(
        [
            "the",
            "patient",
            "was",
            "seen",
            "in",
            "clinic",
            "today",
            "and",
            "will",
            "return",
            "for",
            "another",
            "scan",
            "next",
            "week",
        ]
    )
    number = pd.Series(np.arange(rows).astype(str))
    speaker = generator.integers(0, max(rows // 50, 1), rows)
    table = pd.DataFrame(
        {
            "utterance_id": "utt-" + number,
            "speaker_id": pd.Series(speaker.astype(str)).radd("spk-"),
            "reference": [" ".join(row) for row in words[generator.integers(0, len(words), (rows, 8))]],
            "audio": "audio/" + pd.Series((speaker % 100).astype(str)) + "/" + number + ".flac",
            "duration_s": np.round(generator.gamma(4, 1, rows) + 1, 3),
            "accent": np.array(["us", "in", "ng", "uk", ""])[speaker % 5],
            "gender": np.array(["female", "male"])[speaker // 5 % 2],
            "age": np.array(["child", "adult", "older"])[speaker // 10 % 3],
        }
    )
    table.to_csv(folder / "table.csv", index=False)
    table.to_parquet(folder / "table.parquet", index=False)
    table.to_json(folder / "table.jsonl", orient="records", lines=True)


def peak_mib() -> float:
    """Return the largest resident memory of this process so far (Linux; a parent's peak does not count)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def measure(step: str, path: Path, results: multiprocessing.Queue[dict[str, object]]) -> None:
    """Run one step and report seconds and peak memory in MiB, beyond what the imports take."""
    from asrfair.data.manifest import problems, read_manifest
    from asrfair.data.manifest.describe import describe

    before = peak_mib()
    started, cpu = time.perf_counter(), time.process_time()
    manifest = read_manifest(path)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    if step != "read":
        started, cpu = time.perf_counter(), time.process_time()
        if step == "validate":
            problems(manifest, audio=False)
        elif step == "describe":
            describe(manifest)
        else:
            sum(1 for _ in manifest.utterances())
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    peak = peak_mib()
    results.put(
        {"step": step, "format": path.suffix[1:], "rows": len(manifest), "seconds": round(seconds, 2)}
        | {"cpu_seconds": round(cpu_seconds, 2)}
        | {"peak_mib": round(peak), "beyond_imports_mib": round(peak - before)}
    )


def main() -> None:
    """Print a JSON object a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(rows, folder)
        plan = [("read", suffix) for suffix in ("csv", "parquet", "jsonl")]
        plan += [(step, "parquet") for step in ("validate", "describe", "utterances")]
        for step, suffix in plan:
            results = context.Queue()
            process = context.Process(target=measure, args=(step, folder / f"table.{suffix}", results))
            process.start()
            print(json.dumps(results.get()), flush=True)
            process.join()


if __name__ == "__main__":
    main()
