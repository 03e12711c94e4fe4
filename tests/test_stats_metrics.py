"""Metrics beyond WER: values by hand, intervals by refitting, users' own functions, and what comes without interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from stats_runs import frame_of, ledger, people, write_scored_run

from asrfair.errors import InputError
from asrfair.scoring.metric import use_metric
from asrfair.stats.groups import make_grouping
from asrfair.stats.measure.metrics import requested_metrics
from asrfair.stats.measure.table import metric_table
from asrfair.types import StatisticsSettings


def run_of(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """Two accents of six speakers with key terms and character counts."""
    rng = np.random.default_rng(0)
    table = people({"uk": 6, "us": 6}, utterances=20)
    words = rng.integers(5, 15, len(table))
    errors = rng.binomial(words, 0.2) + rng.binomial(2, 0.2, len(table))
    terms = rng.binomial(2, 0.5, len(table))
    counts = {
        "key_terms": terms,
        "key_term_hits": rng.binomial(terms, 0.7),
        "char_hits": words * 4,
        "char_substitutions": errors * 2,
        "char_deletions": np.zeros_like(words),
        "char_insertions": np.zeros_like(words),
    }
    run = write_scored_run(tmp_path / "run", table, {("e", "clean"): errors}, words, counts=counts)
    substituted = np.minimum(errors, words)
    rows = table.assign(
        words=words, substitutions=substituted, insertions=errors - substituted, hits=words - substituted, **counts
    )
    return run, rows


def metrics_of(run: Path, *names: str, noted: pd.DataFrame | None = None) -> pd.DataFrame:
    """The table of metrics by accent, indexed by metric and group."""
    frame, groups = frame_of(run, ("accent",))
    table = metric_table(
        frame,
        [make_grouping(frame, ("accent",))],
        groups,
        StatisticsSettings(),
        ledger() if noted is None else noted,
        names=names,
    )
    return table.set_index(["metric", "group"])


def test_values_are_those_of_the_definitions(tmp_path: Path) -> None:
    """Precision, recall, F1, rates of kinds, CER and key-term recall of pooled counts."""
    run, rows = run_of(tmp_path)
    table = metrics_of(run)
    s = rows[rows["accent"] == "uk"].sum(numeric_only=True)
    spoken, heard = s["words"], s["hits"] + s["substitutions"] + s["insertions"]
    expected = {
        "word_precision": s["hits"] / heard,
        "word_recall": s["hits"] / spoken,
        "word_f1": 2 / (heard / s["hits"] + spoken / s["hits"]),
        "substitution_rate": s["substitutions"] / spoken,
        "insertion_rate": s["insertions"] / spoken,
        "key_term_recall": s["key_term_hits"] / s["key_terms"],
        "cer": s["char_substitutions"] / (s["char_hits"] + s["char_substitutions"]),
    }
    for name, value in expected.items():
        assert table.loc[(name, "uk"), "value"] == pytest.approx(value)
        assert table.loc[(name, "uk"), "ci_low"] <= value < table.loc[(name, "uk"), "ci_high"]
        assert table.loc[(name, "uk"), "sim_low"] <= table.loc[(name, "uk"), "ci_low"]


def test_interval_of_a_share_is_the_jackknife_on_the_logit_scale(tmp_path: Path) -> None:
    """F1 without each speaker, log odds, Student's t at the effective number of speakers less one."""
    run, rows = run_of(tmp_path)
    table = metrics_of(run)
    rows = rows[rows["accent"] == "us"]

    def logit(part: pd.DataFrame) -> float:
        s = part.sum(numeric_only=True)
        f1 = 2 * s["hits"] / (s["words"] + s["hits"] + s["substitutions"] + s["insertions"])
        return float(np.log(f1 / (1 - f1)))

    whole = logit(rows)
    names = rows["speaker_id"].unique()
    variance = 5 / 6 * sum((logit(rows[rows["speaker_id"] != name]) - whole) ** 2 for name in names)
    words = rows.groupby("speaker_id")["words"].sum()
    effective = words.sum() ** 2 / (words**2).sum()
    high = whole + scipy.stats.t.ppf(0.975, effective - 1) * np.sqrt(variance)
    assert table.loc[("word_f1", "us"), "ci_high"] == pytest.approx(1 / (1 + np.exp(-high)))


def test_failures_are_counted_over_attempts(tmp_path: Path) -> None:
    """Utterances that the engine failed on are in the denominator; none of 50 is not 0 %."""
    table = people({"uk": 5, "us": 5}, utterances=10)
    status = ["error" if i in (0, 11, 21, 22) else "scored" for i in range(100)]
    run = write_scored_run(
        tmp_path / "run", table, {("e", "clean"): [1] * 100}, [10] * 100, status={("e", "clean"): status}
    )
    noted = ledger(
        *(("e", "clean", f"u{i:05d}", "engine_error") for i in (0, 11, 21, 22)),
        *(("e", "clean", f"u{i:05d}", "empty_hypothesis") for i in (1, 12, 30, 60)),
    )
    found = metrics_of(run, noted=noted)
    assert found.loc[("failure_rate", "uk"), "value"] == pytest.approx(4 / 50)
    assert found.loc[("empty_rate", "uk"), "value"] == pytest.approx(3 / 50)
    none = found.loc[("failure_rate", "us")]
    assert (0.0, 0.0) == (none["value"], none["ci_low"])
    assert 1 / 50 < none["ci_high"] <= 1
    assert "cer" not in found.index.get_level_values("metric")


def test_small_groups_come_without_interval(tmp_path: Path) -> None:
    """The value stands there with the flag, the interval does not."""
    table = people({"uk": 5, "us": 2}, utterances=10)
    run = write_scored_run(tmp_path / "run", table, {("e", "clean"): [2] * 70}, [10] * 70)
    found = metrics_of(run)
    assert "few_speakers" == found.loc[("word_recall", "us"), "flag"]
    assert found.loc[("word_recall", "us"), "value"] == pytest.approx(0.8)
    assert np.isnan(found.loc[("word_recall", "us"), "ci_low"])


def test_a_share_of_all_has_no_interval(tmp_path: Path) -> None:
    """Where every word was right there is no log odds: the value stands there, flagged."""
    table = people({"uk": 5, "us": 5}, utterances=10)
    errors = np.where(table["accent"] == "us", 0, 1)
    run = write_scored_run(tmp_path / "run", table, {("e", "clean"): errors}, [10] * 100)
    found = metrics_of(run)
    assert "at_bound" == found.loc[("word_recall", "us"), "flag"]
    assert np.isnan(found.loc[("word_recall", "us"), "ci_low"])


def test_unknown_metrics_are_refused(tmp_path: Path) -> None:
    """A name that is neither known nor importable says what to give; latency needs timings."""
    run, _ = run_of(tmp_path)
    with pytest.raises(InputError, match="unknown metric"):
        requested_metrics(["latencies"])
    with pytest.raises(InputError, match="nothing is imported because a run folder names it"):
        requested_metrics(["no_such_module:f"])
    with pytest.raises(InputError, match="cannot be imported"):
        use_metric("no_such_module:f")
    with pytest.raises(InputError, match="this is no metric"):
        use_metric("math:pi")
    with pytest.raises(InputError, match="no timings"):
        metrics_of(run, "latency")


def test_latency_is_shown_on_request(tmp_path: Path) -> None:
    """Mean seconds an utterance and seconds of work a second of audio, by group."""
    table = people({"uk": 5, "us": 5}, utterances=10).assign(duration_s=2.0)
    run = write_scored_run(tmp_path / "run", table, {("e", "clean"): [1] * 100}, [10] * 100)
    seconds = np.where(table["accent"] == "uk", 1.0, 0.5) * np.tile([0.9, 1.1], 50)
    timings = pd.DataFrame(
        {"engine": "e", "condition": "clean", "utterance_id": table["utterance_id"], "latency_s": seconds}
    )
    timings.to_parquet(run / "timings.parquet", index=False)
    found = metrics_of(run, "latency")
    assert found.loc[("latency_s", "uk"), "value"] == pytest.approx(1.0)
    assert found.loc[("real_time_factor", "us"), "value"] == pytest.approx(0.25)
