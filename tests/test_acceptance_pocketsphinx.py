"""The real engine on real people: from recordings to tables by gender, age band and accent, every utterance accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from asrfair.cli.main import run

pytestmark = pytest.mark.shared


def transcribe(shared_data: Path, folder: Path, name: str, every: int, by: list[str]) -> Path:
    """Run PocketSphinx on every n-th recording of a set with two workers; return the run folder."""
    table = pd.read_csv(shared_data / name / "manifest.csv", dtype=str, keep_default_na=False).iloc[::every].copy()
    table["audio_path"] = [str((shared_data / name / path).resolve()) for path in table["audio_path"]]
    if "age" in table:
        table["age_band"] = ["child" if int(age) < 16 else "adult" for age in table["age"]]
    table.to_csv(folder / f"{name}.csv", index=False)
    suite = folder / f"{name}.toml"
    suite.write_text(
        f'[suite]\nname = "{name}"\nmanifest = "{name}.csv"\nallow_outside = true\n[[engine]]\nname = "pocketsphinx"\n'
        f"[groups]\nby = {json.dumps(by)}\nmin_speakers = 3\n",
        encoding="utf-8",
    )
    assert run(["run", str(suite), "--out", str(folder / name), "--workers", "2", "--no-html"]) == 0
    disparity = pd.read_csv(folder / name / "disparity.csv", keep_default_na=False)
    everybody = disparity[disparity["attribute"] == "overall"].iloc[0]
    assert int(everybody["utterances"]) + int(everybody["failed"]) == len(table)
    return folder / name


@pytest.mark.slow
def test_speechocean762_by_gender_and_age_band(shared_data: Path, tmp_path: Path) -> None:
    """Forty Mandarin-native speakers: groups of ten and more get intervals, and their counts add up to everybody's."""
    folder = transcribe(shared_data, tmp_path, "speechocean762", 10, ["gender", "age_band"])
    table = pd.read_csv(folder / "disparity.csv", keep_default_na=False)
    everybody = table[table["attribute"] == "overall"].iloc[0]
    for attribute, groups in (("gender", {"female", "male"}), ("age_band", {"child", "adult"})):
        rows = table[table["attribute"] == attribute]
        assert set(rows["group"]) == groups
        assert rows[["ref_words", "hits", "substitutions", "deletions", "insertions"]].sum().tolist() == [
            everybody[name] for name in ("ref_words", "hits", "substitutions", "deletions", "insertions")
        ]
        assert list(rows["speakers"]) == [20, 20]
        assert (rows["ci_low"].astype(float) < rows["wer"]).all()
        assert (rows["wer"] < rows["ci_high"].astype(float)).all()
    assert float(everybody["wer"]) > 0.5  # read speech of second-language speakers, a recogniser trained on US English


@pytest.mark.slow
def test_fsdd_accents_of_single_speakers_get_no_interval(shared_data: Path, tmp_path: Path) -> None:
    """Where an accent is one speaker the table says so instead of giving an interval."""
    folder = transcribe(shared_data, tmp_path, "fsdd", 5, ["accent"])
    table = pd.read_csv(folder / "disparity.csv", keep_default_na=False).query("attribute == 'accent'")
    single = table[table["speakers"] == 1]
    assert len(single) >= 2
    assert set(single["ci_low"]) == {""}
    assert all("few_speakers" in flag for flag in single["flag"])


@pytest.mark.slow
def test_small_speech_of_mixed_rates_and_channels(shared_data: Path, tmp_path: Path) -> None:
    """Stereo, 8 to 44.1 kHz, WAV and FLAC: all of it is decoded and scored."""
    folder = transcribe(shared_data, tmp_path, "small_speech", 3, ["accent", "gender"])
    hypotheses = pd.read_parquet(folder / "hypotheses.parquet")
    assert set(hypotheses["status"]) <= {"ok", "empty"}
