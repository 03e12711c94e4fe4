"""Tests of thresholds inside a run: one family of claims, the page, the card, the night's gates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threshold_suite import write_listening_suite

from asrfair.cards import write_card
from asrfair.data.tablefile import write_csv
from asrfair.nightly.absolute import threshold_gates
from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.night import run_night
from asrfair.nightly.verdict import sentence
from asrfair.report.plots.thresholds import threshold_figure
from asrfair.runs.gate_settings import GateSettings
from asrfair.runs.pipeline import rescore, run_suite
from asrfair.runs.suite import read_suite
from asrfair.runs.threshold_settings import ThresholdTable
from asrfair.say.claims import read_claims
from asrfair.say.thresholds import threshold_words
from asrfair.stats.analyse import read_thresholds
from asrfair.stats.thresholds.axis import Axis
from asrfair.stats.thresholds.tables import Counts, Search, Target, threshold_tables
from asrfair.types import GroupSettings


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of six speakers; one needs 6 dB more than the other."""
    folder = tmp_path_factory.mktemp("suite")
    return write_listening_suite(
        folder,
        utterances=4,
        severities="",
        suite=(
            '[suite]\nname = "t"\nmanifest = "manifest.csv"\nprofiles = "."\nconditions = ["clean", "hiss"]\n'
            '[[engine]]\nname = "python"\nlabel = "ear"\noptions = { callable = "hearing:hear", source_dir = ".", version = "1" }\n'
            '[groups]\nby = ["accent"]\nmin_words = 50\n[statistics]\ndraws = 200\n'
            '[threshold]\nplaces = ["hiss"]\nlevels = 4\ntimes_clean = 3.0\nmax_threshold_db = 2.0\n'
            "max_threshold_gap_db = 1.0\n"
        ),
    )


@pytest.mark.slow
def test_thresholds_are_part_of_the_run(suite: Path, tmp_path: Path) -> None:
    """One family with all other claims, a table and a picture on the page, and the card's part on robustness."""
    run = tmp_path / "run"
    result = run_suite(read_suite(suite), run, workers=1, progress=False)
    claims = read_claims(run)
    mine = claims[(claims["kind"] == "threshold") & (claims["target"] == "30 %")].iloc[0]
    assert ("far", "near", "dB", True) == (mine["group"], mine["versus"], mine["unit"], mine["affirmed"])
    assert mine["p_adjusted"] >= mine["p"]
    assert {"omnibus", "condition", "threshold"} <= set(claims["kind"])
    assert not (run / "levels" / "engine-1" / "clean").exists()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert mine["text"].replace("\u00a0", " ") in page.replace("\u00a0", " ")
    assert 'id="bear"' in page
    assert (run / "plots" / "thresholds-ear-hiss-accent.png").is_file()
    assert "How much each group can bear" in (run / "report.md").read_text(encoding="utf-8")
    assert "thresholds" in result.analysis.tables
    again = rescore(run, out=tmp_path / "again", workers=1)
    assert "thresholds" in again.analysis.tables
    card, prose = tmp_path / "card.md", tmp_path / "prose.toml"
    prose.write_text('[card]\nservice = "Ear"\n[prose]\noverview = "It hears."\n', encoding="utf-8")
    write_card([run], prose, card)
    text = card.read_text(encoding="utf-8").replace("\u00a0", " ")
    robust = text[text.index("Robustness") : text.index("Privacy and security")]
    assert "far speakers need" in robust
    assert "How much each group can bear" in robust


@pytest.mark.slow
def test_a_night_fails_by_decibels_and_takes_levels_from_the_cache(suite: Path, tmp_path: Path) -> None:
    """Both gates fail with their unit; the second night transcribes nothing, whatever the search listens to."""
    first = run_night(read_suite(suite), tmp_path / "history", workers=1, progress=False)
    failed = [sentence(gate) for gate in first.verdict.failed]
    assert any("dB (threshold at most 2.0 dB); 30" in text for text in failed)
    assert any("far − near: thresholds apart by" in text for text in failed)
    assert any("beyond what was heard" in text for text in failed)
    second = run_night(read_suite(suite), tmp_path / "history", workers=1, progress=False)
    assert 0 == second.verdict.counts["transcribed"]
    tables = [pd.read_parquet(night / "thresholds.parquet") for night in (first.night.path, second.night.path)]
    same = [table.drop(columns=["night"]) for table in tables]
    pd.testing.assert_frame_equal(*same)


def _gates(judge: str = "estimate", **row: object) -> list[Gate]:
    known = {"engine": "e", "place": "p", "attribute": "a", "group": "g", "target": "30 %", "unit": "dB", "flag": "",
             "threshold": 12.0, "ci_low": 9.0, "ci_high": 15.0, "censored": "", "parameter": "noise.snr_db",
             "heard_low": -5.0, "heard_high": 30.0}  # fmt: skip
    table = pd.DataFrame([known | row])
    return threshold_gates(table, read_claims(Path("/nowhere")), ThresholdTable(max_threshold_db=10.0),
                           GateSettings(judge=judge))  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "judge", "status"),
    [
        ({}, "estimate", "fail"),
        ({}, "interval", "warn"),
        ({"threshold": 8.0}, "estimate", "pass"),
        ({"censored": "worse", "threshold": np.nan}, "estimate", "fail"),
        ({"censored": "clean", "threshold": np.nan}, "estimate", "fail"),
        ({"censored": "better", "threshold": np.nan}, "estimate", "pass"),
        ({"flag": "few_speakers"}, "estimate", "not_tested"),
    ],
)
def test_gates_in_decibels(row: dict[str, object], judge: str, status: str) -> None:
    """What was never reached is judged by its side, what is too small not at all, what chance may have made warns."""
    assert [status] == [gate.status for gate in _gates(judge, **row)]


def test_a_search_in_which_nobody_reached_the_target_is_read_back(tmp_path: Path) -> None:
    """Columns without a single number are numbers all the same."""
    axis = Axis(place="p", parameter="noise.snr_db", unit="dB", low=0.0, high=20.0, usual=None)
    words = np.full(12, 100.0)
    clean = Counts(errors=0 * words, words=words)
    everybody = np.ones(12, dtype=bool)
    search = Search(
        engine="e", axis=axis, clean=clean, asymptote=True, groups=[("overall", "all", everybody)],
        speaker=np.arange(12), levels=dict.fromkeys((3.0, 10.0, 17.0), clean),
    )  # fmt: skip
    groups = GroupSettings(by=(), min_speakers=3, min_words=10)
    for name, table in threshold_tables([search], [Target(value=0.3, relative=False)], groups, 0.95).items():
        write_csv(table, tmp_path / f"{name}.csv")
    found = read_thresholds(tmp_path)["thresholds"]
    assert "better than 3 dB" == threshold_words(found.iloc[0].to_dict())
    assert found["threshold"].dtype == float
    threshold_figure(
        found, read_thresholds(tmp_path)["threshold_levels"], title="t", attribute="overall", target="30 %"
    )
