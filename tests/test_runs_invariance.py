"""The check of batch invariance: a balanced sample, flips found where there are some, and none where there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from transcribe_child import Listening, make_manifest

from asrfair.cli.main import run as command
from asrfair.data.manifest import read_manifest
from asrfair.recognise.transcribe.invariance import choose_sample
from asrfair.types import Hypothesis


class Crowded(Listening):
    """Hears well alone; in company it drops the last word of everybody but the longest."""

    def transcribe(self, clips):
        """Answer with references, spoilt by padding."""
        longest = max(len(clip.samples) for clip in clips)
        found = []
        for clip in clips:
            words = self.context.utterance(clip.utterance_id).reference.split()
            kept = words if len(clip.samples) == longest else words[:-1]
            found.append(Hypothesis(utterance_id=clip.utterance_id, text=" ".join(kept)))
        return found


def make_suite(folder: Path, engine: str, options: str, conditions: str = '"clean"') -> Path:
    """A suite over 24 short recordings in three groups."""
    make_manifest(folder, 24, audio=True)
    (folder / "suite.toml").write_text(
        '[suite]\nname = "s"\nmanifest = "manifest.csv"\n'
        f"conditions = [{conditions}]\n"
        f'[[engine]]\nname = "{engine}"\nlabel = "e"\noptions = {{ {options} }}\n'
        '[groups]\nby = ["accent"]\nmin_speakers = 1\n[statistics]\ndraws = 100\n'
    )
    return folder / "suite.toml"


def test_samples_are_balanced_and_depend_on_the_seed_only(tmp_path: Path) -> None:
    """Each group gives as many as the others, whatever the order of the rows; another seed chooses others."""
    manifest = read_manifest(make_manifest(tmp_path, 30))
    shuffled = read_manifest(make_manifest(tmp_path, 30, order=3))
    sample = choose_sample(manifest, ["accent"], 9, seed=1)
    accents = manifest.table.set_index("utterance_id").loc[sample, "accent"]
    assert {"us": 3, "scottish": 3, "indian": 3} == accents.value_counts().to_dict()
    assert sample == choose_sample(shuffled, ["accent"], 9, seed=1)
    assert sample != choose_sample(manifest, ["accent"], 9, seed=2)
    assert 30 == len(choose_sample(manifest, [], 99, seed=1))


@pytest.mark.slow
def test_flips_are_found_and_counted_by_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where padding hurts, the table has the WER both ways, run.json the sum, and the terminal a line."""
    suite = make_suite(tmp_path, "test_runs_invariance:Crowded", 'max_batch = 4, parallel = "inline"')
    arguments = ["run", str(suite), "--out", str(tmp_path / "run"), "--workers", "1", "--no-html"]
    assert 0 == command([*arguments, "--invariance-check", "12"])
    table = pd.read_csv(tmp_path / "run" / "invariance.csv")
    overall = table[table["attribute"] == "overall"].set_index("condition")
    assert ["clean"] == overall.index.tolist()
    assert (12, 0.0) == (overall.loc["clean", "utterances"], overall.loc["clean", "wer_alone"])
    assert overall.loc["clean", "flips"] >= 6
    assert overall.loc["clean", "difference"] == pytest.approx(overall.loc["clean", "wer_run"])
    groups = table[(table["attribute"] == "accent") & (table["condition"] == "clean")]
    assert [4, 4, 4] == groups["utterances"].tolist()
    assert overall.loc["clean", "flips"] == groups["flips"].sum()
    found = json.loads((tmp_path / "run" / "run.json").read_text())["invariance"]
    assert (12, overall["flips"].sum()) == (found["utterances"], found["engines"]["e"]["flips"])
    assert "transcripts differ" in capsys.readouterr().out
    assert not list((tmp_path / "run").glob(".invariance-*"))
    assert 0 == command(arguments)
    assert not (tmp_path / "run" / "invariance.csv").exists()


def test_nothing_flips_where_nothing_depends_on_the_batch(tmp_path: Path) -> None:
    """An engine that hears each clip by itself has no flips, with the noise of the run and not of the sample."""
    suite = make_suite(
        tmp_path, "transcribe_child:Listening", 'max_batch = 4, parallel = "inline"', '"imaging-floor@mild"'
    )
    arguments = ["--out", str(tmp_path / "run"), "--workers", "1", "--no-html", "--json"]
    assert 0 == command(["run", str(suite), *arguments, "--invariance-check", "9"])
    table = pd.read_csv(tmp_path / "run" / "invariance.csv")
    assert 0 == table["flips"].sum()
    assert {9} == set(table[table["attribute"] == "overall"]["utterances"])


def test_engines_without_batches_need_no_check(tmp_path: Path) -> None:
    """With one utterance a call, run.json says so and the table is empty."""
    suite = make_suite(tmp_path, "fake", 'parallel = "inline"')
    arguments = ["--out", str(tmp_path / "run"), "--workers", "1", "--no-html", "--json"]
    assert 0 == command(["run", str(suite), *arguments, "--invariance-check", "9"])
    found = json.loads((tmp_path / "run" / "run.json").read_text())["invariance"]
    assert found["engines"]["e"] == {"batched": False, "flips": 0, "conditions": {}}
