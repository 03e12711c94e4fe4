"""A large benchmark from manifest to tables: seconds of processor time and peak memory of every stage.

    python benchmarks/scale.py --out /tmp/scale                          # 1,000,000 utterances × 10 places × 2 engines
    python benchmarks/scale.py --out /tmp/scale --utterances 100000      # a tenth
    python benchmarks/scale.py --out /tmp/scale --afrispeech             # 25 engines × 108 accents (made_up.py)

The manifest, with audio in 10,000 tar shards of an object store, and ready hypotheses are made first, which is not
measured. Then the stages of ``asrfair run``'s driver (``read`` the manifest, ``plan`` and order every batch, ``jobs``: hand
out every utterance) and those of ``asrfair score``. Peak memory is that of the stage (Linux: VmHWM, set back before).
Loading modules is in ``in all`` and in no stage of ``asrfair score``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # threads that wait for each other are no work

import numpy as np  # noqa: E402 -- after the number of threads is set
import pandas as pd  # noqa: E402

SHARDS = 10_000
WORDS = np.array([f"word{number}" for number in range(60)])
STAGES = ("write_utterances", "write_hypotheses", "score_run", "analyse_run", "say_run", "write_report")
"""Functions of ``asrfair.runs.pipeline`` that are stages of ``asrfair score``."""
PEAKS: list[float] = []
"""Peak memory of each stage so far, MB."""


def make(folder: Path, *, utterances: int, engines: int, conditions: int) -> list[str]:
    """Write the manifest and the hypotheses; return the arguments of ``asrfair score``."""
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    speakers = max(utterances // 50, 20)
    speaker = np.sort(rng.integers(0, speakers, utterances))
    accent, gender = rng.integers(0, 24, speakers), rng.integers(0, 2, speakers)
    ids = [f"u{number:08d}" for number in range(utterances)]
    kinds = [" ".join(rng.choice(WORDS, int(length))) for length in rng.integers(5, 16, 5000)]
    which = rng.integers(0, len(kinds), utterances)
    each = -(-utterances // SHARDS)
    table = pd.DataFrame(
        {
            "utterance_id": ids,
            "speaker_id": np.char.add("s", speaker.astype(str)),
            "reference": np.array(kinds, dtype=object)[which],
            "audio": [
                f"s3://corpus/shards/{number // each:05d}.tar#u{number:08d}.flac" for number in range(utterances)
            ],
            "duration_s": np.round(rng.lognormal(1.4, 0.5, utterances), 3),
            "accent": np.char.add("accent ", accent[speaker].astype(str)),
            "gender": np.array(["female", "male"])[gender[speaker]],
        }
    )
    table.to_parquet(folder / "manifest.parquet", index=False)
    arguments = ["--manifest", str(folder / "manifest.parquet"), "--by", "accent", "--by", "gender"]
    for engine in range(engines):
        for condition in range(conditions):
            wrong = rng.random((4, len(kinds))) < 0.05 + 0.04 * condition + 0.02 * engine
            heard = np.array([_heard(text, wrong[:, number]) for number, text in enumerate(kinds)], dtype=object)
            path = folder / f"{engine}-{condition}.parquet"
            pd.DataFrame({"utterance_id": ids, "hypothesis": heard[which]}).to_parquet(path, index=False)
            place = "clean" if condition == 0 else f"place-{condition}"
            arguments += ["--hypotheses", f"engine-{engine}@{place}={path}"]
    return arguments


def _heard(text: str, wrong: np.ndarray) -> str:
    words = text.split()
    return " ".join(word for number, word in enumerate(words) if number >= len(wrong) or not wrong[number])


@contextlib.contextmanager
def measured(name: str) -> Iterator[None]:
    """Print processor time, of worker processes too, and the peak memory of this process while the block runs."""
    before, start = os.times(), time.monotonic()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    yield
    after = os.times()
    spent = sum(after[:4]) - sum(before[:4])
    PEAKS.append(_peak_mb())
    took = f"{spent:8.1f} s  {time.monotonic() - start:8.1f} s elapsed"
    print(f"{name:18} {took}  {PEAKS[-1]:8.0f} MB", file=sys.__stdout__, flush=True)


def _peak_mb() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def drive(manifest_path: str) -> None:
    """Do what a run's driver does before and between engines, without an engine."""
    from asrfair.data.manifest import read_manifest
    from asrfair.recognise.journal import Journal
    from asrfair.recognise.transcribe.plan import ShardOrder, make_roster, plan_batches

    path = Path(manifest_path)
    with measured("read"):
        manifest = read_manifest(path, allow_remote=["s3://corpus"])
    with Journal(path.parent / "driver") as journal:
        with measured("plan"):
            roster = make_roster(manifest, journal, audio=True)
            plan = plan_batches(roster.durations_s, max_batch=1)
            order = ShardOrder(manifest, roster, plan)
        with measured("jobs"):
            for number in order.numbers.tolist():
                order.soon(number)
            for _ in manifest.utterances():
                pass


def score(arguments: list[str]) -> None:
    """Run ``asrfair score`` with its stages measured."""
    from asrfair.cli.main import run
    from asrfair.runs import pipeline

    def watched(name: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            with measured(name):
                return stage(*given, **named)

        return call

    for name in STAGES:
        setattr(pipeline, name, watched(name, getattr(pipeline, name)))
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = run([*arguments, "--json"])
    if code:
        raise SystemExit(said.getvalue())
    print(f"{'in all':18} {sum(os.times()[:4]):8.1f} s  {'':18}  {max(PEAKS):8.0f} MB")
    print(f"{'workers':18} largest {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")


def alone(function: Callable[..., None], *arguments: object) -> None:
    """Run a function in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def main() -> None:
    """Make the data, run the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--conditions", type=int, default=10)
    parser.add_argument("--afrispeech", action="store_true")
    chosen = parser.parse_args()
    if chosen.afrispeech:
        from made_up import make_transcripts

        arguments = make_transcripts(chosen.out)
    else:
        arguments = make(chosen.out, utterances=chosen.utterances, engines=chosen.engines, conditions=chosen.conditions)
        alone(drive, arguments[1])
    alone(score, ["score", *arguments, "--draws", "200", "--out", str(chosen.out / "run")])
    size = sum(path.stat().st_size for path in (chosen.out / "run").glob("*.parquet"))
    print(f"{'tables on disk':18} {size / 1e6:.1f} MB of Parquet")


if __name__ == "__main__":
    main()
