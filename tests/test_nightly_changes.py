"""What changed between two nights is named, and a night transcribes only what a change touches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from nightly_nights import go, write_suite

from asrfair.nightly import NightResult
from asrfair.nightly.changes import changes_between

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
