"""What changed between two nights is named, and a night transcribes only what a change touches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from nightly_nights import go, write_suite

from asrfair.cli.main import run
from asrfair.nightly import History, NightResult
from asrfair.nightly.changes import changes_between
from asrfair.nightly.trend import read_trend

PROFILE = """
[profile]
name = "{name}"
description = "d"
source = "s"
licence = "CC0-1.0"
[[effect]]
use = "noise"
snr_db = {snr}
[[effect.layer]]
source = "file"
file = "{file}"
"""


def texts(result: NightResult) -> str:
    """All sentences about changes since the baseline, but for a commit that somebody makes while the tests run."""
    return "\n".join(change.text for change in result.verdict.changes if change.kind != "code")


def write_profile(folder: Path, name: str, *, seed: int, snr: int = 10) -> None:
    """Write a profile that mixes in a noise file, and the file."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, 32_000).clip(-1, 1)
    soundfile.write(folder / f"{name}.wav", noise, 16_000)
    (folder / f"{name}.toml").write_text(PROFILE.format(name=name, snr=snr, file=f"{name}.wav"), encoding="utf-8")


@pytest.mark.slow
def test_a_night_transcribes_only_what_a_change_touches(tmp_path: Path) -> None:
    """All, nothing, one profile's rows, one recording's rows in every condition: each counted and named."""
    folder = tmp_path / "s"
    for number, name in enumerate(("ward", "street")):
        write_profile(folder / "profiles", name, seed=number)

    def night() -> tuple[NightResult, dict[str, int]]:
        suite = write_suite(
            folder,
            conditions=("clean", "ward", "street"),
            audio=True,
            count=24,
            extra='profiles = "profiles"',
        )
        result = go(suite, tmp_path / "h")
        counts = result.verdict.counts
        assert 0 == counts["resumed"]
        return result, counts

    _, counts = night()
    assert (72, 0) == (counts["transcribed"], counts["cached"])
    again, counts = night()
    assert (0, 72) == (counts["transcribed"], counts["cached"])
    assert "" == texts(again)
    nights = tmp_path / "h" / "nights"
    one, two = (pd.read_parquet(nights / f"night-00000{n}" / "hypotheses.parquet").iloc[:, 2:] for n in (1, 2))
    assert one.equals(two)

    write_profile(folder / "profiles", "ward", seed=99)
    changed, counts = night()
    assert (24, 48) == (counts["transcribed"], counts["cached"])
    assert "the noise file ward.wav of the condition ward changed (SHA-256 " in texts(changed)

    write_profile(folder / "profiles", "street", seed=1, snr=5)
    changed, counts = night()
    assert (24, 48) == (counts["transcribed"], counts["cached"])
    assert "the profile of the condition street changed" in texts(changed)

    soundfile.write(folder / "u0003.wav", np.random.default_rng(5).normal(0, 0.1, 9000).clip(-1, 1), 16_000)
    changed, counts = night()
    assert (3, 69) == (counts["transcribed"], counts["cached"])
    assert "the recording of 1 manifest row was changed: u0003" in texts(changed)


def test_manifest_rows_and_rules_are_named(tmp_path: Path) -> None:
    """A changed reference, a row that came, one that went, and another normalizer: each has its sentence."""
    folder = tmp_path / "s"
    suite = write_suite(folder, scoring='[scoring]\nnormalizer = "basic"')
    go(suite, tmp_path / "h")
    table = pd.read_csv(folder / "manifest.csv", dtype=str)
    table.loc[4, "reference"] = "something else"
    table = pd.concat([table.drop(index=7), table.iloc[[0]].assign(utterance_id="new-one")])
    table.to_csv(folder / "manifest.csv", index=False)
    suite = write_suite(folder, scoring='[scoring]\nnormalizer = "whisper-english"')
    result = go(suite, tmp_path / "h")
    said = texts(result)
    assert "the reference of 1 manifest row was changed: u0004, from" in said
    assert "1 manifest row was added: new-one" in said
    assert "1 manifest row was removed: u0007" in said
    assert "normalizer changed from basic" in said
    assert "to whisper-english" in said
    assert "The baseline was scored again by tonight's rules, from its transcripts" in result.verdict.warnings
    relative = [gate for gate in result.verdict.gates if gate.rule == "max_increase"]
    assert 4 == len(relative)
    assert all(abs(gate.value) < 1e-12 for gate in relative)


def test_packages_engines_and_code_are_named() -> None:
    """Each part of what a night is made of has its sentence; what is the same has none."""
    before = {
        "package": {"numpy": "2.0", "python": "3.11"},
        "code": "a" * 40,
        "engine": {"w": {"name": "vosk", "model_sha256": "1" * 64}, "old": {"name": "x"}},
        "condition": {"clean": "1"},
        "noise": {},
        "manifest": {"name": "m", "version": "1", "fingerprint": "f"},
        "normalizer": {"rules": "basic@1"},
        "suite": {"name": "s", "sha256": "9", "seed": "1"},
    }
    after = {
        **before,
        "package": {"numpy": "2.1", "python": "3.11"},
        "code": "b" * 40,
        "engine": {"w": {"name": "vosk", "model_sha256": "2" * 64}, "new": {"name": "x"}},
        "condition": {"clean": "1", "ward": "2"},
        "suite": {"name": "s", "sha256": "9", "seed": "2"},
    }
    expected = [
        "package numpy changed from 2.0 to 2.1",
        "asrfair's own code changed from revision aaaaaaaaaaaa to bbbbbbbbbbbb",
        "engine w: model sha256 changed from 111111111111 to 222222222222",
        "the engine old is gone",
        "the engine new is new",
        "the condition ward is new",
        "suite: seed changed from 1 to 2",
    ]
    assert expected == [change.text for change in changes_between(before, after)]
    assert [] == changes_between(before, before)


@pytest.mark.slow
def test_old_nights_are_scored_again_without_audio(tmp_path: Path) -> None:
    """By another normalizer, after the recordings are gone: the trend has one scale, and the nights stay as they were."""
    folder, history = tmp_path / "s", tmp_path / "h"

    def suite(normalizer: str) -> str:
        return str(write_suite(folder, audio=True, count=24, scoring=f'[scoring]\nnormalizer = "{normalizer}"'))

    for _ in range(2):
        assert 0 == run(["nightly", suite("none"), "--history", str(history), "--workers", "1"])
    nights = sorted((history / "nights").glob("*/*"))
    before = [path.read_bytes() for path in nights]
    for path in folder.glob("*.wav"):
        path.unlink()
    table = pd.read_csv(folder / "manifest.csv", dtype=str)
    assert 0 == run(["nightly", suite("basic"), "--history", str(history), "--rescore"])
    assert before == [path.read_bytes() for path in sorted((history / "nights").glob("*/*"))]
    rules = {"rules": "basic@1", "errors_as": "excluded", "empty_references": "insertions", "key_terms": ""}
    for number in (1, 2):
        again = history / "rescored" / f"night-00000{number}"
        assert rules == json.loads((again / "rules.json").read_text(encoding="utf-8"))
        frame = pd.read_parquet(again / "groups.parquet")
        assert {(number, "small")} == set(zip(frame["night"], frame["suite"], strict=True))
    out = tmp_path / "run"
    text = pd.read_parquet(history / "nights" / "night-000001" / "hypotheses.parquet")
    text[["utterance_id", "hypothesis"]].to_csv(tmp_path / "text.csv", index=False)
    table.drop(columns="audio").to_csv(tmp_path / "manifest.csv", index=False)
    arguments = ["score", "--manifest", str(tmp_path / "manifest.csv"), "--hypotheses", f"fake={tmp_path / 'text.csv'}"]
    arguments += [
        "--normalizer",
        "basic",
        "--by",
        "accent",
        "--draws",
        "100",
        "--min-speakers",
        "3",
        "--min-words",
        "10",
    ]
    assert 0 == run([*arguments, "--out", str(out), "--no-html"])
    expected = pd.read_csv(out / "disparity.csv")
    frame = pd.read_parquet(history / "rescored" / "night-000001" / "groups.parquet")
    for name in ("group", "utterances", "hits", "substitutions", "deletions", "insertions"):
        assert expected[name].tolist() == frame[name].tolist()
    trend = read_trend("small", History(history).nights(), 1, rules)
    shown = {panel.name: panel.points[0][1] for panel in trend.sections[0].groups["accent"]}
    assert {
        group: 100 * wer for group, wer in zip(expected["group"], expected["wer"], strict=True) if group != "all"
    } == shown
    History(history).retain(1, "small")
    assert ["night-000001", "night-000002"] == sorted(path.name for path in (history / "rescored").iterdir())


@pytest.mark.slow
def test_a_run_folder_is_a_baseline(tmp_path: Path) -> None:
    """The command compares with a run made elsewhere, names what differs from it, and fails what is worse than it."""
    folder, history, out = tmp_path / "s", str(tmp_path / "h"), tmp_path / "out"
    suite = str(write_suite(folder))
    assert 0 == run(["run", suite, "--out", str(tmp_path / "monday"), "--workers", "1", "--no-html"])
    base = ["nightly", suite, "--history", history, "--workers", "1", "--out", str(out)]
    assert 0 == run([*base, "--baseline", str(tmp_path / "monday")])
    write_suite(folder, options={"substitutions": 0.6})
    assert 1 == run([*base, "--baseline", str(tmp_path / "monday")])
    (verdict,) = json.loads((out / "verdict.json").read_text(encoding="utf-8"))["suites"]
    assert "run monday" == verdict["baseline"]
    assert any("option substitutions changed from 0.2 to 0.6" in change["text"] for change in verdict["changes"])
    assert {"max_increase"} <= {gate["rule"] for gate in verdict["failed"]}
    assert 2 == run([*base, "--baseline", str(tmp_path / "tuesday")])
