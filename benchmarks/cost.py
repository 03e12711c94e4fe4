"""Does `asrfair plan --cost` say what a run then takes? An eighth of the demo is run, the whole is planned, and run.

    python benchmarks/cost.py --out /tmp/cost              # some two minutes on two idle cores
    python benchmarks/cost.py --out /tmp/cost --hold       # exit 1 where plan and run are more than 25 % apart

What is compared is hours of processor cores: the engine, decoding, conditions and starting, as `run.json` has them. What
else the machine does meanwhile is in both: on a busy one the two parts may differ by that alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path
from typing import Any

from asrfair.cli.main import run as command

SUITE = Path(__file__).resolve().parent.parent / "manifests" / "demo" / "suite.toml"
AGREE = 0.25


def called(*arguments: object) -> str:
    """Run a command; return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = command([str(argument) for argument in arguments])
    if code:
        raise SystemExit(code)
    return printed.getvalue()


def core_hours(run: Path) -> float:
    """What the engines of a run took, by its `run.json`."""
    engines: dict[str, dict[str, Any]] = json.loads((run / "run.json").read_text(encoding="utf-8"))["volatile"][
        "transcribe"
    ]["engines"]
    kinds = ("decode_s", "condition_s", "engine_s")
    seconds = sum(
        about["start_s"] * about["engines"] + sum(about["stages"][kind] for kind in kinds) for about in engines.values()
    )
    return float(seconds) / 3600


def main() -> None:
    """Run a part, plan, run the whole, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hold", action="store_true")
    chosen = parser.parse_args()
    out: Path = chosen.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "prices.toml").write_text(f"[machine]\ncores = {chosen.workers}\n", encoding="utf-8")
    part, whole = out / "part", out / "whole"
    called("run", SUITE, "--shard", "1/8", "--workers", chosen.workers, "--fresh", "--out", part)
    plan = called("plan", SUITE, "--cost", out / "prices.toml", "--measured", part, "--json")
    planned = sum(engine["core_hours"] for engine in json.loads(plan)["engines"])
    called("run", SUITE, "--workers", chosen.workers, "--fresh", "--no-html", "--out", whole)
    taken = core_hours(whole)
    off = planned / taken - 1.0
    print(f"planned {3600 * planned:.0f} s of a core, taken {3600 * taken:.0f} s: {off:+.1%}")
    if chosen.hold and abs(off) > AGREE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
