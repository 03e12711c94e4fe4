"""Small suites and simulated nights for the tests of the history and its gates."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from transcribe_child import make_manifest

from asrfair.nightly import History, NightResult, run_night
from asrfair.runs.suite import read_suite

GATES = "[gates]\nmax_wer = 0.9\nmax_failed = 0.1\nmax_increase = 0.02\n"


def write_suite(
    folder: Path,
    *,
    name: str = "small",
    conditions: tuple[str, ...] = ("clean",),
    options: Mapping[str, object] | None = None,
    gates: str = GATES,
    scoring: str = "",
    count: int = 60,
    audio: bool = False,
    extra: str = "",
    engine: str = "fake",
) -> Path:
    """Write a suite, with the fake engine if no other is named, and its manifest if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        make_manifest(folder, count, audio=audio)
    chosen = {"substitutions": 0.2, "parallel": "inline", "needs_audio": audio} if engine == "fake" else {}
    chosen = {**chosen, **(options or {})}
    listed = "\n".join(f"{key} = {json.dumps(value)}" for key, value in chosen.items())
    path = folder / "suite.toml"
    path.write_text(
        f'[suite]\nname = "{name}"\nmanifest = "manifest.csv"\nconditions = {json.dumps(list(conditions))}\n{extra}\n'
        f'[[engine]]\nname = "{engine}"\n[engine.options]\n{listed}\n'
        f'[groups]\nby = ["accent"]\nmin_speakers = 3\nmin_words = 10\n[statistics]\ndraws = 100\n{scoring}\n{gates}',
        encoding="utf-8",
    )
    return path


def go(suite: Path, history: Path, **options: object) -> NightResult:
    """Run one night in this process."""
    return run_night(read_suite(suite), history, workers=1, progress=False, **options)


def add_nights(history: Path, suite: str, count: int, pause_s: float = 0.0) -> None:
    """Commit small nights one after the other, as fast as that goes: to be killed by a test."""
    kept = History(history)
    for number in range(count):

        def fill(folder: Path, night: int) -> dict[str, object]:
            pd.DataFrame({"night": [night] * 2000, "value": range(2000)}).to_parquet(folder / "groups.parquet")
            time.sleep(pause_s)
            return {"suite": suite, "verdict": "pass"}

        kept.commit(f"{suite}-{number}", fill)


if __name__ == "__main__":
    if sys.argv[1] == "add":
        add_nights(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
    else:
        print(go(Path(sys.argv[1]), Path(sys.argv[2])).night.number)  # noqa: T201 -- read by the test
