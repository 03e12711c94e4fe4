"""Influence: gaps without speakers, utterances and failures, against recomputing from scratch, and on real audits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import frame_of, ledger, people, write_scored_run

from asrfair.scoring import score_run
from asrfair.stats.explain.influence import gaps_without, influence_table
from asrfair.stats.groups import make_grouping
from asrfair.types import ScoringSettings


def make(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """Three accents of five speakers; one utterance of one speaker of ``b`` holds 200 errors of 4 words."""
    table = people({"a": 5, "b": 5, "c": 5}, utterances=10)
    rng = np.random.default_rng(0)
    rate = table["accent"].map({"a": 0.1, "b": 0.15, "c": 0.2}).to_numpy()
    words = rng.integers(4, 20, len(table))
    errors = rng.binomial(words, rate)
    errors[60], words[60] = 200, 4
    run = write_scored_run(tmp_path / "run", table, {("e", "clean"): errors}, words)
    return run, table.assign(errors=errors, words=words)


def wer_gap(table: pd.DataFrame) -> tuple[float, pd.Series]:
    """Gap and rates from the rows, the plain way."""
    sums = table.groupby("accent")[["errors", "words"]].sum()
    rate = sums["errors"] / sums["words"]
    return float(rate.max() - rate.min()), rate


def test_every_figure_is_that_of_recomputing(tmp_path: Path) -> None:
    """Gap and rate without each listed speaker and utterance are those of dropping their rows."""
    run, rows = make(tmp_path)
    frame, groups = frame_of(run, ("accent",))
    table = influence_table(frame, [make_grouping(frame, ("accent",))], groups, ledger())
    gap, _ = wer_gap(rows)
    assert {"speaker", "utterance"} == set(table["kind"])
    for row in table.to_dict("records"):
        column = "speaker_id" if row["kind"] == "speaker" else "utterance_id"
        left = rows[rows[column] != row["id"]]
        gap_without, rate = wer_gap(left)
        assert row["gap_with"] == pytest.approx(gap)
        assert row["gap_without"] == pytest.approx(gap_without)
        assert row["rate_without"] == pytest.approx(rate[row["group"]])
        assert row["errors"] == rows.loc[rows[column] == row["id"], "errors"].sum()


def test_the_worst_utterance_and_its_speaker_come_first(tmp_path: Path) -> None:
    """What carries the gap heads the list."""
    run, rows = make(tmp_path)
    frame, groups = frame_of(run, ("accent",))
    table = influence_table(frame, [make_grouping(frame, ("accent",))], groups, ledger())
    first = table.drop_duplicates("kind").set_index("kind")["id"]
    assert rows.loc[60, "speaker_id"] == first["speaker"]
    assert rows.loc[60, "utterance_id"] == first["utterance"]
    assert {"a", "b", "c"} == set(table.loc[table["kind"] == "speaker", "group"])


def test_failures_are_listed_apart(tmp_path: Path) -> None:
    """A kind of failure is taken out everywhere at once; the ledger's reason stands beside the utterance."""
    run, rows = make(tmp_path)
    frame, groups = frame_of(run, ("accent",))
    noted = ledger(
        ("e", "clean", rows.loc[60, "utterance_id"], "repetition_loop"),
        ("e", "clean", rows.loc[0, "utterance_id"], "empty_hypothesis"),
        ("e", "clean", "unheard-of", "unknown_utterance"),
    )
    table = influence_table(frame, [make_grouping(frame, ("accent",))], groups, noted)
    failures = table[table["kind"] == "failures"].set_index(["id", "group"])
    gap, rate = wer_gap(rows.drop(60))
    loop = failures.loc[("repetition_loop", "b")]
    assert (1, 200, 4) == (loop["utterances"], loop["errors"], loop["ref_words"])
    assert loop["gap_without"] == pytest.approx(gap)
    assert loop["rate_without"] == pytest.approx(rate["b"])
    gap, rate = wer_gap(rows.drop([0, 60]))
    assert failures.loc[("any", "a"), "rate_without"] == pytest.approx(rate["a"])
    assert failures.loc[("any", "a"), "gap_without"] == pytest.approx(gap)
    utterance = table[(table["kind"] == "utterance") & (table["id"] == rows.loc[60, "utterance_id"])]
    assert ["repetition_loop"] == utterance["reason"].tolist()


def test_a_group_that_vanishes_leaves_the_gap_of_the_others() -> None:
    """Without its last words a group has no rate; the gap is that of the groups that remain."""
    rate = np.array([0.1, 0.2, 0.4])
    gap = gaps_without(rate, np.array([True, True, True]), np.array([2, 0]), np.array([np.nan, 0.3]))
    np.testing.assert_allclose(gap, [0.1, 0.2])


def test_groups_that_are_too_small_are_not_compared(tmp_path: Path) -> None:
    """With one group of enough speakers there is no gap and no table."""
    table = people({"a": 5, "b": 2}, utterances=10)
    run = write_scored_run(tmp_path / "run", table, {("e", "clean"): [1] * 70}, [10] * 70)
    frame, groups = frame_of(run, ("accent",))
    assert influence_table(frame, [make_grouping(frame, ("accent",))], groups, ledger()).empty


@pytest.mark.shared
def test_the_two_loops_of_edacc_are_found_and_named(edacc_turbo: Path) -> None:
    """Whisper-turbo's two loop utterances are 554 of the 2,906 errors of EdAcc's Spanish group."""
    from asrfair.stats.core_tables import read_ledger

    frame, groups = frame_of(edacc_turbo, ("accent",), where={"audited_group": "1"}, min_speakers=3)
    table = influence_table(frame, [make_grouping(frame, ("accent",))], groups, read_ledger(edacc_turbo))
    spanish = table[table["group"] == "Spanish"]
    worst = spanish[spanish["kind"] == "utterance"].sort_values("errors", ascending=False).head(2)
    assert [("test-5620", 334), ("test-5918", 220)] == list(zip(worst["id"], worst["errors"], strict=True))
    assert worst["reason"].str.contains("repetition_loop").all()
    loops = spanish[(spanish["kind"] == "failures") & (spanish["id"] == "repetition_loop")].iloc[0]
    assert (2, 554, 2906) == (loops["utterances"], loops["errors"], round(loops["errors"] / loops["share_of_errors"]))
    assert (0.257, 0.208) == (round(loops["rate_with"], 3), round(loops["rate_without"], 3))


@pytest.fixture(scope="session")
def edacc_turbo(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run folder of EdAcc's audited groups with one system's transcripts."""
    run = tmp_path_factory.mktemp("edacc")
    manifest = pd.read_csv(shared_data / "edacc" / "manifest.csv", dtype=str, keep_default_na=False)
    manifest = manifest[manifest["audited_group"] == "1"].rename(columns={"utt_id": "utterance_id"})
    manifest = manifest.sort_values("utterance_id", kind="stable")
    said = pd.read_csv(
        shared_data / "edacc" / "hypotheses" / "whisper-large-v3-turbo.csv", dtype=str, keep_default_na=False
    ).set_index("utt_id")["hypothesis"]
    utterances = pd.DataFrame(
        {
            "utterance_id": manifest["utterance_id"],
            "speaker_id": manifest["speaker_id"],
            "reference": manifest["reference"].str.replace(r"<[A-Z_]+>", "", regex=True),
            "exclude": manifest["exclusion"],
            "duration_s": np.nan,
            "language": "en",
            "accent": manifest["accent"],
            "audited_group": manifest["audited_group"],
        }
    )
    utterances.to_parquet(run / "utterances.parquet", index=False)
    text = said.reindex(manifest["utterance_id"]).fillna("").to_numpy()
    hypotheses = pd.DataFrame(
        {
            "engine": "turbo",
            "condition": "clean",
            "utterance_id": manifest["utterance_id"].to_numpy(),
            "status": np.where(pd.Series(text).str.strip() == "", "empty", "ok"),
            "hypothesis": text,
            "error": "",
            "confidence": np.nan,
            "language": "",
            "words": "",
        }
    )
    hypotheses.to_parquet(run / "hypotheses.parquet", index=False)
    score_run(run, ScoringSettings(characters=False), workers=1)
    return run
