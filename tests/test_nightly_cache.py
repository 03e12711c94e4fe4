"""What is looked up instead of transcribed: whole batches, and only engines of which it is known what they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from nightly_nights import go, write_suite

from asrfair.acoustics import parse_condition
from asrfair.data.manifest import read_manifest
from asrfair.errors import InputError, RunInUseError
from asrfair.nightly.cache import Cache
from asrfair.nightly.cache_fill import prefill
from asrfair.nightly.keys import hash_recordings
from asrfair.recognise.engines import EngineContext
from asrfair.recognise.journal import Journal, Row
from asrfair.runs.suite import read_suite

HEAR = """
from pathlib import Path

CALLS = Path(__file__).with_name("calls.txt")
BROKEN = Path(__file__).with_name("broken.txt")


def hear(clips, rate):
    with CALLS.open("a") as stream:
        stream.write(f"{len(clips)}\\n")
    longest = max(len(clip) for clip in clips)
    found = ["the quick " * (1 + (longest - len(clip)) // 160 % 9) for clip in clips]
    if BROKEN.exists() and len(clips) > 1:
        found[1] = None
    return found


def hear_one(samples, rate):
    return "the quick brown fox"
"""


def counts(suite: Path, history: Path) -> tuple[int, int]:
    """Run a night; return how many rows were transcribed and how many looked up."""
    found = go(suite, history).verdict.counts
    return found["transcribed"], found["cached"]


def write_batching(folder: Path, **options: object) -> Path:
    """Write a suite whose engine hears in each clip how much longer the longest of its batch is."""
    folder.mkdir(exist_ok=True)
    (folder / "hearing.py").write_text(HEAR, encoding="utf-8")
    chosen = {"callable": "hearing:hear", "source_dir": ".", "parallel": "device", "max_batch": 4, "version": "1"}
    return write_suite(
        folder,
        count=12,
        audio=True,
        engine="python",
        options={**chosen, **options},
        gates="[gates]\nmax_increase = 0.1\n",
    )


@pytest.mark.slow
def test_a_batch_is_looked_up_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """Another row in the manifest shifts the batches: those that have other clips now are transcribed again.

    The engine's words follow the company that a clip keeps, so a transcript from another batch would be a wrong one.
    """
    folder, history = tmp_path / "s", tmp_path / "h"
    suite = write_batching(folder)
    assert (12, 0) == counts(suite, history)
    assert (0, 12) == counts(suite, history)
    table = pd.read_csv(folder / "manifest.csv", dtype=str)
    lengths = {row.utterance_id: (folder / row.audio).stat().st_size for row in table.itertuples()}
    order = sorted(lengths, key=lambda name: (-lengths[name], name))
    table[table["utterance_id"] != order[5]].to_csv(folder / "manifest.csv", index=False)
    assert (7, 4) == counts(suite, history)
    nights = sorted((history / "nights").glob("*/hypotheses.parquet"))
    found = [pd.read_parquet(path).set_index("utterance_id")["hypothesis"].to_dict() for path in nights]
    assert found[0] == found[1]
    fresh = tmp_path / "fresh"
    go(suite, fresh)
    (path,) = (fresh / "nights").glob("*/hypotheses.parquet")
    assert pd.read_parquet(path).set_index("utterance_id")["hypothesis"].to_dict() == found[2]


@pytest.mark.slow
def test_a_batch_with_a_failure_is_transcribed_again_together(tmp_path: Path) -> None:
    """The failed clip is not tried alone: alone, its words would be others."""
    folder, history = tmp_path / "s", tmp_path / "h"
    suite = write_batching(folder)
    (folder / "broken.txt").touch()
    assert (12, 0) == counts(suite, history)
    (folder / "broken.txt").unlink()
    (folder / "calls.txt").unlink()
    assert (12, 0) == counts(suite, history)
    assert ["4", "4", "4"] == (folder / "calls.txt").read_text(encoding="utf-8").split()


@pytest.mark.slow
def test_a_function_without_a_version_is_never_looked_up(tmp_path: Path) -> None:
    """Nobody can know whether it is still the same function."""
    suite = write_batching(tmp_path / "s", callable="hearing:hear_one", max_batch=1, version="")
    assert (12, 0) == counts(suite, tmp_path / "h")
    assert (12, 0) == counts(suite, tmp_path / "h")


@pytest.mark.slow
def test_the_check_of_invariance_sets_the_band(tmp_path: Path) -> None:
    """An engine whose words follow its batches has a band as wide as they moved its figures tonight."""
    folder, history = tmp_path / "s", tmp_path / "h"
    suite = write_batching(folder)
    text = suite.read_text(encoding="utf-8").replace("max_increase = 0.1", "max_increase = 0.1\ninvariance = 12")
    suite.write_text(text.replace("min_words = 10", "min_words = 1"), encoding="utf-8")
    go(suite, history)
    result = go(suite, history)
    moved = pd.read_parquet(result.night.path / "invariance.parquet").set_index(["attribute", "group"])["difference"]
    gates = {(gate.attribute, gate.group): gate for gate in result.verdict.gates if gate.rule == "max_increase"}
    assert abs(moved["overall", "all"]) > 0
    for place, gate in gates.items():
        assert abs(2 * 2**0.5 * abs(moved[place]) - gate.band) < 1e-12


@pytest.mark.slow
def test_an_engine_that_cannot_be_read_costs_nothing(tmp_path: Path) -> None:
    """With its folder moved away the night refuses to go on, and the journal keeps what was transcribed."""
    folder = tmp_path / "s"
    path = write_batching(folder, source_dir="engine")
    (folder / "engine").mkdir()
    (folder / "hearing.py").rename(folder / "engine" / "hearing.py")
    suite = read_suite(path)
    manifest = read_manifest(suite.manifest)
    context = EngineContext(seed=suite.seed, base=folder)
    recordings = hash_recordings(manifest, suite.engines, context)
    given = (suite, manifest, [parse_condition("clean")], tmp_path / "run", Cache(tmp_path / "c.sqlite"), context)
    prefill(*given, recordings)
    with Journal(tmp_path / "run") as journal:
        journal.record(suite.engines[0].label, "clean", [Row(manifest.table["utterance_id"][0], "ok", "heard")])
    (folder / "engine").rename(tmp_path / "away")
    with pytest.raises(InputError):
        prefill(*given, recordings)
    with Journal(tmp_path / "run") as journal:
        assert {"ok": 1} == journal.counts()
        with pytest.raises(RunInUseError, match="another process"):
            prefill(*given, recordings)
        assert {"ok": 1} == journal.counts()
