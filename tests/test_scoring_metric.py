"""A metric of somebody else's, defined outside the package in ten lines: counted, analysed, shown, gated, never smuggled in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nightly_nights import go, write_suite
from score_runs import write_run

import asrfair as af
from asrfair.cards import OUTLINES, blank_prose, gather
from asrfair.data.runfile import write_run_file
from asrfair.errors import InputError
from asrfair.report import write_report
from asrfair.runs.pipeline import rescore, run_suite
from asrfair.runs.suite import read_suite
from asrfair.scoring import score_run
from asrfair.scoring.metric import METRICS, Metric, column_inside, column_of, get_metric
from asrfair.types import ScoringSettings

OWN = """import asrfair as af


@af.metric(label="Short words lost")
def short_words_lost(reference, hypothesis):
    short = [word for word in reference if len(word) <= 3]
    return sum(word not in hypothesis for word in short), len(short)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which the metric can be imported."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "my_short_words.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.delitem(sys.modules, "my_short_words", raising=False)
    return "my_short_words:short_words_lost"


def suite_of(folder: Path, module: str, gates: str = "[gates]\nmax_rate = 0.01\nmax_increase = 0.02\n") -> Path:
    """A suite on the fake engine whose groups are compared by the metric."""
    path = write_suite(folder, gates=gates)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("draws = 100", f'draws = 100\nmetric = "{module}"'), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_metric_of_ten_lines_is_in_the_table_the_page_the_card_and_the_gate(tmp_path: Path, module: str) -> None:
    """It compares groups in disparity.csv, report.html, a service card and a night's gates, under its own name."""
    assert len(OWN.splitlines()) <= 10
    suite = suite_of(tmp_path / "s", module)
    run = tmp_path / "run"
    run_suite(read_suite(suite), run, workers=1, progress=False)
    table = pd.read_csv(run / "disparity.csv")
    scores = pd.read_parquet(run / "scores.parquet")
    lost = scores["short_words_lost_numerator"].sum() / scores["short_words_lost_denominator"].sum()
    overall = table[table["attribute"] == "overall"].iloc[0]
    assert "wer" not in table
    assert abs(overall["short_words_lost"] - lost) < 1e-12
    assert 0 < overall["ci_low"] < lost < overall["ci_high"]
    assert "worst_short_words_lost" in pd.read_csv(run / "gaps.csv")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Short words lost" in page
    prose = tmp_path / "prose.toml"
    text = blank_prose(OUTLINES["aws"], gather([run], smallest=1).engines)
    prose.write_text(text.replace("NAME OF THE SERVICE", "Ours"), encoding="utf-8")
    card = af.card(run, prose=prose, out=tmp_path / "card.md", smallest_cell=1).read_text(encoding="utf-8")
    assert "Short words lost %" in card
    assert f"{100 * lost:.1f}" in card
    night = go(suite, tmp_path / "history")
    gates = [gate for gate in night.verdict.gates if gate.rule == "max_rate"]
    assert {"Short words lost"} == {gate.measure for gate in gates}
    whole = next(gate for gate in gates if gate.attribute == "overall")
    assert ("fail", lost) == (whole.status, whole.value)
    second = go(suite, tmp_path / "history")
    assert [gate.measure for gate in second.verdict.gates if gate.rule == "max_increase"]
    assert "Short words lost" in (second.night.path / "verdict.md").read_text(encoding="utf-8")
    result = af.load_run(run)
    assert "short_words_lost" in result.groups
    assert "Short words lost" in str(result.show("groups"))


def test_a_run_folder_cannot_have_anything_imported(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports and tables of a folder need no function; to score it again, the user has to name the metric."""
    run = tmp_path / "run"
    run_suite(read_suite(suite_of(tmp_path / "s", module)), run, workers=1, progress=False, html=False)
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    evil = "asrfair_evil_module:attack"
    content["statistics"]["metric"] = evil
    content["scoring"]["metrics"] = [evil]
    write_run_file(run, content)  # whoever makes such a folder seals it too
    (tmp_path / "lib" / "asrfair_evil_module.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    write_report(run, html=True, plots=False)
    assert "short_words_lost" in af.load_run(run).groups
    with pytest.raises(InputError, match="nothing is imported because a run folder names it"):
        rescore(run, html=False)
    assert "asrfair_evil_module" not in sys.modules


def test_counts_of_an_own_metric_stand_in_the_scores(tmp_path: Path) -> None:
    """Measures are kept in millionths, a failing function is a row of the ledger, and nothing else changes."""

    @af.metric(events=False, unit="s", name="seconds_a_word")
    def seconds(reference: list[str], hypothesis: list[str]) -> tuple[float, float]:
        return 0.25 * len(hypothesis) / (len(reference) - 3), 1

    write_run(
        tmp_path,
        [{"utterance_id": "u1", "reference": "a b c d"}, {"utterance_id": "u2", "reference": "a b c"}],
        [{"utterance_id": "u1", "hypothesis": "a b"}, {"utterance_id": "u2", "hypothesis": "a"}],
    )
    score_run(tmp_path, ScoringSettings(normalizer="none", metrics=("seconds_a_word",)), workers=1)
    table = pd.read_parquet(tmp_path / "scores.parquet").set_index("utterance_id")
    assert [500_000, 1_000_000] == table.loc["u1", ["seconds_a_word_numerator", "seconds_a_word_denominator"]].tolist()
    assert ("error", 0) == tuple(table.loc["u2", ["status", "hits"]])
    assert "ZeroDivisionError" in (tmp_path / "ledger.csv").read_text(encoding="utf-8")


def test_only_shares_compare_groups(tmp_path: Path) -> None:
    """A metric in seconds is tabulated beside another; a share of which more is better is turned round."""
    frame = pd.DataFrame(
        {
            "reference": ["a b"] * 40,
            "hypothesis": ["a", "a b"] * 20,
            "speaker_id": np.arange(40) // 2,
            "sex": ["f", "f", "m", "m"] * 10,
        }
    )

    @af.metric(events=False, unit="s", name="time_spent")
    def spent(reference: list[str], hypothesis: list[str]) -> tuple[float, float]:
        return 0.5, 1

    with pytest.raises(InputError, match="compared by a share"):
        af.disparity(frame, by="sex", metric=spent)
    found = af.disparity(frame, by="sex", metric="word_recall", metrics=[spent], min_words=1, draws=200)
    assert 0.25 == found.groups["word_recall_missed"].iloc[0]
    metrics = found.tables["metrics"].query("metric == 'time_spent' and group == 'all'")
    assert 0.5 == metrics["value"].iloc[0]


def test_every_metric_goes_into_run_json_and_back() -> None:
    """What a folder says of a metric is enough to show it."""
    for metric in METRICS.values():
        assert metric == Metric.from_json(json.loads(json.dumps(metric.to_json())))
    own = Metric(name="lost")
    for column in ("rate", "worst_rate", "rate_a", "macro_rate", "answer", "accurate"):
        assert column == column_inside(column_of(column, own), own)
    assert "worst_lost" == column_of("worst_rate", own)
    assert "answer" == column_of("answer", own)
    with pytest.raises(InputError, match="unknown metric"):
        get_metric("werr")
