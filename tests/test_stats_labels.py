"""Random labels on real speakers: nothing may be found more often than the level allows."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asrfair.scoring import score_run
from asrfair.stats.frame import load_frame
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

pytestmark = pytest.mark.shared

TIMES = 60


@pytest.mark.slow
def test_dealt_labels_find_nothing(shared_data: Path, repository: Path, tmp_path: Path) -> None:
    """EdAcc, two systems, accents dealt out to speakers at random: anything claimed about groups in at most 7 %, sampling error aside.

    The full check (four systems, 200 dealings) is ``benchmarks/label_permutation.py``.
    """
    folder = shared_data / "edacc"
    table = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    table = table[table["audited_group"] == "1"].rename(columns={"utt_id": "utterance_id", "exclusion": "exclude"})
    table["reference"] = [re.sub("<[A-Z_]+>", "", text) for text in table["reference"]]
    columns = ["utterance_id", "speaker_id", "reference", "exclude", "accent"]
    table[columns].assign(language="en", duration_s=np.nan).to_parquet(tmp_path / "utterances.parquet", index=False)
    parts = []
    for name in ("parakeet-tdt-0.6b-v3", "whisper-large-v3-turbo"):
        given = pd.read_csv(folder / "hypotheses" / f"{name}.csv", dtype=str, keep_default_na=False)
        given = given.rename(columns={"utt_id": "utterance_id"})
        given = given[given["utterance_id"].isin(table["utterance_id"])]
        status = np.where(given["hypothesis"].str.strip() == "", "empty", "ok")
        parts.append(given.assign(engine=name, condition="clean", status=status, error=""))
    pd.concat(parts).to_parquet(tmp_path / "hypotheses.parquet", index=False)
    score_run(tmp_path, ScoringSettings(normalizer="basic", characters=False), workers=1)
    path = repository / "benchmarks" / "label_permutation.py"
    spec = importlib.util.spec_from_file_location("label_permutation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["label_permutation"] = module
    spec.loader.exec_module(module)
    groups = GroupSettings(by=(("accent",),), min_speakers=3)
    frame = load_frame(tmp_path, groups)
    share = module.dealings(frame, groups, StatisticsSettings(draws=1000), TIMES, 1)
    room = 3 * math.sqrt(0.05 * 0.95 / TIMES)
    assert share <= 0.07 + room
