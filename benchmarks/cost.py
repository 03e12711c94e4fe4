"""Does `asrfair plan --cost` say what a run takes? Every eighth of a finished run of the demo plans the whole of it.

    make demo
    python benchmarks/cost.py demo-run              # exit 1 where a plan and the run are more than 25 % apart

An eighth is every eighth utterance by length, as `asrfair run --shard i/8` deals them, with the times that it took in that
run: a part that runs by itself takes the same on an idle machine, and on a busy one whatever else goes on. What is compared
is hours of processor cores as `run.json` has them: the engine, decoding, conditions and starting.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from pathlib import Path

import pandas as pd

from asrfair.cli.main import run as command
from asrfair.data.runfile import read_run_file, write_run_file

SUITE = Path(__file__).resolve().parent.parent / "manifests" / "demo" / "suite.toml"
PARTS = 8
AGREE = 0.25


def planned_hours(part: Path, prices: Path) -> float:
    """Hours of cores that the command plans from a part's `run.json`."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = command(["plan", str(SUITE), "--cost", str(prices), "--measured", str(part), "--json"])
    if code:
        raise SystemExit(code)
    return float(sum(engine["core_hours"] for engine in json.loads(printed.getvalue())["engines"]))


def main() -> None:
    """Plan from each part, compare with the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run: Path = parser.parse_args().run
    ((label, about),) = read_run_file(run)["volatile"]["transcribe"]["engines"].items()
    stages = sum(about["stages"][kind] for kind in ("decode_s", "condition_s", "engine_s"))
    taken = (stages + about["start_s"] * about["engines"]) / 3600
    lengths = pd.read_parquet(run / "utterances.parquet").set_index("utterance_id")["duration_s"]
    heard = pd.read_parquet(run / "timings.parquet")
    ordered = lengths.sort_values(kind="stable").index
    off = []
    with tempfile.TemporaryDirectory() as folder:
        prices = Path(folder) / "prices.toml"
        prices.write_text(f"[machine]\ncores = {about['engines']}\n", encoding="utf-8")
        for number in range(PARTS):
            rows = heard[heard["utterance_id"].isin(ordered[number::PARTS])]
            part = Path(folder) / str(number)
            part.mkdir()
            measured = {
                "audio_s": float(rows["utterance_id"].map(lengths).sum()),
                "start_s": about["start_s"],
                "stages": {"engine_s": float(rows["latency_s"].sum())},
            }
            write_run_file(part, {"asrfair": "0", "volatile": {"transcribe": {"engines": {label: measured}}}})
            planned = planned_hours(part, prices)
            off.append(planned / taken - 1.0)
            print(
                f"part {number + 1}/{PARTS}: planned {3600 * planned:.0f} s of a core, taken {3600 * taken:.0f} s, {off[-1]:+.1%}"
            )
    if max(map(abs, off)) > AGREE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
