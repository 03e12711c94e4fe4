"""Scoring a run folder: every utterance is scored or accounted for."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from score_runs import ledger, scores, write_run, write_shared_run

from asrfair.data.manifest import read_manifest
from asrfair.data.runfile import write_run_file
from asrfair.errors import InputError
from asrfair.recognise.transcribe.finalise import write_utterances
from asrfair.scoring import REASONS, rescore_tables, score_run, worst_utterances
from asrfair.scoring.metric import CHARACTERS, QUANTITIES, WORDS
from asrfair.types import ErrorCounts, ScoringSettings

BASIC = ScoringSettings(normalizer="basic")


@pytest.mark.shared
def test_edacc_group_rates_are_the_published_ones(shared_data: Path, tmp_path: Path) -> None:
    """All group WERs, micro, macro, worst group and gap of four systems equal another audit's to 1e-9."""
    manifest = write_shared_run(tmp_path / "run", shared_data / "edacc").set_index("utt_id")
    summary = score_run(tmp_path / "run", ScoringSettings(normalizer="whisper-english"))
    assert "whisper-english@0.1.1" == summary.normalizer
    table = pd.read_parquet(tmp_path / "run" / "scores.parquet").join(
        manifest[["accent", "audited_group"]], on="utterance_id"
    )
    table = table[table["audited_group"] == "1"]
    table["errors"] = table["substitutions"] + table["deletions"] + table["insertions"]
    table["ref_words"] = table["hits"] + table["substitutions"] + table["deletions"]
    files = sorted((shared_data / "edacc" / "published").glob("*.json"))
    assert 4 == len(files)
    for path in files:
        metrics = json.loads(path.read_text(encoding="utf-8"))["metrics"]
        rows = table[table["engine"] == path.stem]
        groups = rows.groupby("accent")[["errors", "ref_words"]].sum()
        rates = groups["errors"] / groups["ref_words"]
        assert {name: group["wer"] for name, group in metrics["per_group"].items()} == pytest.approx(
            rates.to_dict(), abs=1e-9
        )
        assert {name: group["ref_words"] for name, group in metrics["per_group"].items()} == groups[
            "ref_words"
        ].to_dict()
        counted = (rows["status"] == "scored").groupby(rows["accent"]).sum().to_dict()
        assert {name: group["n_utterances"] for name, group in metrics["per_group"].items()} == counted
        assert metrics["micro_wer"] == pytest.approx(rows["errors"].sum() / rows["ref_words"].sum(), abs=1e-9)
        assert metrics["macro_wer"] == pytest.approx(rates.mean(), abs=1e-9)
        assert metrics["worst_group"] == rates.idxmax()
        assert metrics["worst_group_wer"] == pytest.approx(rates.max(), abs=1e-9)
        assert metrics["gap_max_minus_min"] == pytest.approx(rates.max() - rates.min(), abs=1e-9)


@pytest.mark.shared
def test_artie_rates_with_basic_rules(shared_data: Path, tmp_path: Path) -> None:
    """Lower case without ASCII punctuation gives the known figures; empty hypotheses are deletions, in the ledger."""
    manifest = write_shared_run(tmp_path / "run", shared_data / "artie_bias").set_index("utt_id")
    summary = score_run(tmp_path / "run", BASIC)
    rates = {engine: round(counts.wer or 0, 6) for (engine, _), counts in summary.counts.items()}
    assert {
        "amazon_en-US_dec-9-2019": 0.253329,
        "deepspeech_v0-7-3": 0.415326,
        "google_en-IN_dec-5-2019": 0.595215,
    } == rates
    table = pd.read_parquet(tmp_path / "run" / "scores.parquet").join(manifest[["accent", "gender"]], on="utterance_id")
    table["errors"] = table["substitutions"] + table["deletions"] + table["insertions"]
    table["ref_words"] = table["hits"] + table["substitutions"] + table["deletions"]
    amazon = table[table["engine"].str.startswith("amazon")]

    def rate(column: str, value: str) -> tuple[float, int]:
        rows = amazon[amazon[column] == value]
        return round(rows["errors"].sum() / rows["ref_words"].sum(), 6), len(rows)

    assert (0.191274, 558) == rate("accent", "us")
    assert (0.352094, 264) == rate("accent", "indian")
    assert 0.247114 == rate("gender", "male")[0]
    assert 0.290582 == rate("gender", "female")[0]
    with (tmp_path / "run" / "ledger.csv").open(encoding="utf-8", newline="") as stream:
        empty = [row for row in csv.DictReader(stream) if row["reason"] == "empty_hypothesis"]
    google = {row["utterance_id"] for row in empty if row["engine"].startswith("google")}
    assert 137 == len(google)
    rows = table[table["engine"].str.startswith("google") & table["utterance_id"].isin(google)]
    assert (rows["deletions"] == rows["ref_words"]).all()


def every_case(run: Path) -> Path:
    """A run in which everything that can happen to an utterance happens once."""
    return write_run(
        run,
        [
            {"utterance_id": "u1", "reference": "the cat sat"},
            {"utterance_id": "u2", "reference": "not scored", "exclude": "overlap"},
            {"utterance_id": "u3", "reference": "..."},
            {"utterance_id": "u4", "reference": "four words are here"},
            {"utterance_id": "u5", "reference": "engine fails"},
            {"utterance_id": "u6", "reference": "no such audio"},
            {"utterance_id": "u7", "reference": "nobody tried"},
            {"utterance_id": "u8", "reference": "never came"},
            {"utterance_id": "u9", "reference": "it goes on"},
            {"utterance_id": "ua", "reference": "twice"},
            {"utterance_id": "ub", "reference": "only dots"},
        ],
        [
            {"utterance_id": "u1", "hypothesis": "The cat sat."},
            {"utterance_id": "u2", "hypothesis": "not scored"},
            {"utterance_id": "u3", "hypothesis": "made up"},
            {"utterance_id": "u4", "status": "empty"},
            {"utterance_id": "u5", "status": "error", "error": "boom"},
            {"utterance_id": "u6", "status": "error", "error": "unreadable_audio: not a WAV"},
            {"utterance_id": "u7", "status": "missing"},
            {"utterance_id": "u9", "hypothesis": "on " * 40},
            {"utterance_id": "ua", "hypothesis": "twice"},
            {"utterance_id": "ua", "hypothesis": "twice"},
            {"utterance_id": "ub", "hypothesis": "..."},
            {"utterance_id": "zz", "hypothesis": "stranger"},
        ],
    )


def test_every_utterance_is_scored_or_in_the_ledger_with_its_reason(tmp_path: Path) -> None:
    """Each case has its status, its counts and its reason; nothing is lost."""
    summary = score_run(every_case(tmp_path), BASIC)
    table = scores(tmp_path)
    assert {
        "u1": "scored",
        "u2": "excluded",
        "u3": "scored",
        "u4": "scored",
        "u5": "error",
        "u6": "error",
        "u7": "missing",
        "u8": "missing",
        "u9": "scored",
        "ua": "scored",
        "ub": "scored",
    } == table["status"].to_dict()
    assert [
        ("u2", "excluded"),
        ("u3", "empty_reference"),
        ("u3", "text_on_silence"),
        ("u4", "empty_hypothesis"),
        ("u5", "engine_error"),
        ("u6", "unreadable_audio"),
        ("u7", "missing_hypothesis"),
        ("u8", "missing_hypothesis"),
        ("u9", "length_out_of_proportion"),
        ("u9", "repetition_loop"),
        ("ua", "duplicate_hypothesis"),
        ("ub", "empty_hypothesis"),
        ("zz", "unknown_utterance"),
    ] == ledger(tmp_path)
    counts = {name: tuple(row) for name, row in zip(table.index, table[list(WORDS)].to_numpy(), strict=True)}
    assert ((3, 0, 0, 0), (0, 0, 0, 2), (0, 0, 4, 0), (0, 0, 0, 0)) == tuple(
        counts[u] for u in ("u1", "u3", "u4", "u5")
    )
    assert ((1, 2, 0, 37), (1, 0, 0, 0), (0, 0, 2, 0)) == tuple(counts[u] for u in ("u9", "ua", "ub"))
    assert {
        ("e", "clean"): ErrorCounts(hits=5, substitutions=2, deletions=6, insertions=39, of="words, basic@1")
    } == summary.counts
    assert {("e", "clean"): 2} == summary.insertions_without_reference
    assert (11, 11, "basic@1") == (summary.utterances, summary.rows, summary.normalizer)
    assert set(summary.reasons) <= set(REASONS)


def test_errors_may_count_as_deletions(tmp_path: Path) -> None:
    """With errors_as deletions, failed and missing utterances lose every word, and stay in the ledger."""
    score_run(every_case(tmp_path), ScoringSettings(normalizer="basic", errors_as="deletions"))
    table = scores(tmp_path)
    assert {"u5": 2, "u6": 3, "u7": 2, "u8": 2} == table.loc[["u5", "u6", "u7", "u8"], "deletions"].to_dict()
    assert {"scored"} == set(table.loc[["u5", "u6", "u7", "u8"], "status"])
    reasons = dict(ledger(tmp_path))
    assert ("engine_error", "missing_hypothesis") == (reasons["u5"], reasons["u8"])
    assert "excluded" == table.loc["u2", "status"]


def test_empty_references_may_be_excluded(tmp_path: Path) -> None:
    """With empty_references excluded, what was recognised there counts nowhere but is reported."""
    settings = ScoringSettings(normalizer="basic", empty_references="excluded")
    summary = score_run(every_case(tmp_path), settings)
    row = scores(tmp_path).loc["u3"]
    assert ("no_reference", 0) == (row["status"], row["insertions"])
    assert {("e", "clean"): 2} == summary.insertions_without_reference
    assert ("u3", "empty_reference") in ledger(tmp_path)


def test_key_terms_are_counted(tmp_path: Path) -> None:
    """Key terms are counted for scored utterances, and lost where the engine failed and errors are deletions."""
    score_run(every_case(tmp_path), ScoringSettings(normalizer="basic", key_terms=("cat", "engine", "words")))
    table = scores(tmp_path)
    assert [(1, 1), (1, 0), (0, 0)] == [tuple(table.loc[u, ["key_terms", "key_term_hits"]]) for u in ("u1", "u4", "u5")]
    settings = ScoringSettings(normalizer="basic", key_terms=("engine",), errors_as="deletions")
    score_run(tmp_path, settings)
    assert (1, 0) == tuple(scores(tmp_path).loc["u5", ["key_terms", "key_term_hits"]])


def test_characters_may_be_left_out(tmp_path: Path) -> None:
    """Without characters the columns are zero; with them spaces count."""
    score_run(every_case(tmp_path), BASIC)
    assert 11 == scores(tmp_path).loc["u1", "char_hits"]
    score_run(tmp_path, ScoringSettings(normalizer="basic", characters=False))
    assert 0 == scores(tmp_path)[list(CHARACTERS)].to_numpy().sum()


def test_contradicting_rows_are_refused(tmp_path: Path) -> None:
    """Two different hypotheses of one utterance are an error that names both rows."""
    write_run(
        tmp_path,
        [{"utterance_id": "u", "reference": "a"}],
        [{"utterance_id": "u", "hypothesis": "a"}, {"utterance_id": "u", "hypothesis": "b"}],
    )
    with pytest.raises(InputError, match="rows 1 and 2"):
        score_run(tmp_path, BASIC)
    assert not (tmp_path / "scores.parquet").exists()
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_rows_of_an_engine_must_be_together(tmp_path: Path) -> None:
    """A file whose blocks are interleaved is refused with the row."""
    write_run(
        tmp_path,
        [{"utterance_id": "u", "reference": "a"}, {"utterance_id": "v", "reference": "a"}],
        [
            {"utterance_id": "u", "engine": "one"},
            {"utterance_id": "u", "engine": "two"},
            {"utterance_id": "v", "engine": "one"},
        ],
    )
    with pytest.raises(InputError, match="not together"):
        score_run(tmp_path, BASIC)


@pytest.mark.parametrize("name", ["utterances.parquet", "hypotheses.parquet"])
@pytest.mark.parametrize("damage", ["missing", "cut", "no_column", "no_rows"])
def test_damaged_runs_are_explained(tmp_path: Path, name: str, damage: str) -> None:
    """A file that is missing, cut off, without a column or empty is an input error that names it."""
    every_case(tmp_path)
    path = tmp_path / name
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "no_column":
        pd.read_parquet(path).drop(columns="utterance_id").to_parquet(path)
    elif name == "hypotheses.parquet":
        pd.read_parquet(path).iloc[:0].to_parquet(path)
    else:
        frame = pd.read_parquet(path)
        pd.concat([frame, frame]).to_parquet(path)
    with pytest.raises(InputError, match=name):
        score_run(tmp_path, BASIC)


def big_run(run: Path) -> Path:
    """Three engines, 5,000 utterances: more than one part a block."""
    words = ["one", "cat", "don't", "half", "and", "colour", "$5", "twenty", "mister", "sat"]
    generator = np.random.default_rng(5)

    def text() -> str:
        return " ".join(words[i] for i in generator.integers(0, len(words), generator.integers(0, 12)))

    utterances = [{"utterance_id": f"u{i:05d}", "reference": text()} for i in range(5000)]
    hypotheses = [
        {"engine": engine, "utterance_id": row["utterance_id"], "hypothesis": text()}
        for engine in ("a", "b", "c")
        for row in utterances
    ]
    return write_run(run, utterances, hypotheses)


def digests(run: Path) -> dict[str, str]:
    """Hashes of what scoring writes."""
    return {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in ("scores.parquet", "ledger.csv")}


def test_files_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    """One and two worker processes write the same bytes, also over an earlier result."""
    settings = ScoringSettings(normalizer="whisper-english", key_terms=("half",))
    score_run(big_run(tmp_path), settings, workers=1)
    alone = digests(tmp_path)
    summary = score_run(tmp_path, settings, workers=2)
    assert alone == digests(tmp_path)
    assert 15_000 == summary.rows


def test_workers_do_not_run_the_script_that_scores(tmp_path: Path) -> None:
    """A script without the usual guard may use several workers: they do not import it."""
    big_run(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom asrfair.scoring import score_run\n"
        "from asrfair.types import ScoringSettings\nprint('started')\n"
        "print(score_run(Path(sys.argv[1]), ScoringSettings(), workers=2).rows)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], check=True, capture_output=True, text=True, timeout=120
    )
    assert ["started", "15000"] == done.stdout.split()


def test_rescoring_in_memory_is_scoring(tmp_path: Path) -> None:
    """rescore_tables gives the rows of scores.parquet and the ledger, and writes nothing."""
    score_run(every_case(tmp_path), BASIC)
    written = pd.read_parquet(tmp_path / "scores.parquet")
    before = sorted(path.name for path in tmp_path.iterdir())
    again = rescore_tables(tmp_path, BASIC)
    frame = again.scores.to_pandas()
    for name in ("engine", "condition", "status"):
        assert written[name].tolist() == frame[name].tolist()
    for name in ("utterance_id", *QUANTITIES):
        assert written[name].tolist() == frame[name].tolist()
    assert ledger(tmp_path) == list(zip(again.ledger["utterance_id"], again.ledger["reason"], strict=True))
    assert before == sorted(path.name for path in tmp_path.iterdir())


def test_alternative_references_and_variants(tmp_path: Path) -> None:
    """The best of several references counts, the written one where none is better, and all are reported."""
    write_run(
        tmp_path,
        [
            {"utterance_id": "u1", "reference": "we gonna go", "alternative_references": ""},
            {"utterance_id": "u2", "reference": "colour tv", "alternative_references": '["color telly", "red tea"]'},
            {"utterance_id": "u3", "reference": "same", "alternative_references": "equal | other"},
            {"utterance_id": "u4", "reference": "plain words", "alternative_references": "not_stated"},
        ],
        [
            {"utterance_id": "u1", "hypothesis": "we going to go"},
            {"utterance_id": "u2", "hypothesis": "color telly"},
            {"utterance_id": "u3", "hypothesis": "different"},
            {"utterance_id": "u4", "hypothesis": "plain words"},
        ],
    )
    score_run(tmp_path, ScoringSettings(normalizer="basic+dialect-english"))
    table = scores(tmp_path)
    assert {"u1": 4, "u2": 2, "u3": 0, "u4": 2} == table["hits"].to_dict()
    found = pd.read_parquet(tmp_path / "readings.parquet")
    assert {
        "u1": "we going to go",
        "u2": "color telly",
        "u3": "same",
    } == found[found["chosen"]].set_index("utterance_id")["reference"].to_dict()
    assert ["reference", "alternative", "alternative"] == found[found["utterance_id"] == "u2"]["source"].tolist()
    assert [2, 0, 2] == found[found["utterance_id"] == "u2"]["errors"].tolist()
    worst = worst_utterances(tmp_path, normalizer="basic+dialect-english")
    assert [("u3", (("substitution", "same", "different"),))] == [(item.utterance_id, item.steps) for item in worst]
    pd.read_parquet(tmp_path / "utterances.parquet").drop(columns="alternative_references").to_parquet(
        tmp_path / "utterances.parquet"
    )
    score_run(tmp_path, BASIC)
    assert not (tmp_path / "readings.parquet").exists()
    assert 2 == scores(tmp_path).loc["u1", "hits"]


def test_a_reference_with_very_many_readings_is_settled_place_by_place(tmp_path: Path) -> None:
    """Twenty places with two forms each are not tried a million times, and still find the exact reading."""
    write_run(
        tmp_path,
        [{"utterance_id": "u", "reference": "we gonna see it " * 20}],
        [{"utterance_id": "u", "hypothesis": "we going to see it we gonna see it " * 10}],
    )
    score_run(tmp_path, ScoringSettings(normalizer="basic+dialect-english"))
    row = scores(tmp_path).loc["u"]
    assert (90, 0) == (row["hits"], row["substitutions"] + row["deletions"] + row["insertions"])


def test_broken_alternatives_are_refused(tmp_path: Path) -> None:
    """Alternatives that look like JSON and are none are an error with the utterance."""
    write_run(
        tmp_path, [{"utterance_id": "u", "reference": "a", "alternative_references": "[1]"}], [{"utterance_id": "u"}]
    )
    with pytest.raises(InputError, match="alternative references"):
        score_run(tmp_path, BASIC)


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "a\x00b",
    "\u202ereversed\u202c",
    "+1+1",
    "\t tab \r\n lines \u2028",
    "word " * 200_000,
    "x" * 1_000_000,
    "9" * 6000,
    "\U0001f600 emoji \ufdfa",
]


@pytest.mark.parametrize("normalizer", ["none", "basic", "whisper-english"])
def test_hostile_text_is_scored_or_refused_with_a_reason(tmp_path: Path, normalizer: str) -> None:
    """Escapes, formulas, markup, null bytes and megabytes never stop a run, and the ledger stays harmless."""
    write_run(
        tmp_path,
        [
            {"utterance_id": f"=u{i}", "reference": "the cat sat on the mat", "speaker_id": "\x1b[1m@s"}
            for i in range(11)
        ],
        [{"utterance_id": f"=u{i}", "hypothesis": text, "engine": "=e"} for i, text in enumerate(HOSTILE)],
    )
    summary = score_run(tmp_path, ScoringSettings(normalizer=normalizer))
    assert 11 == summary.rows == summary.statuses["scored"] + summary.statuses["error"]
    assert summary.statuses["error"] == summary.reasons.get("not_scorable", 0) <= 1
    text = (tmp_path / "ledger.csv").read_text(encoding="utf-8")
    assert "repetition_loop" in text
    assert all(c.isprintable() or c == "\n" for c in text)
    for row in csv.reader(text.splitlines()):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
        assert all(len(cell) <= 501 for cell in row)


def test_texts_that_are_too_long_to_align_are_refused(tmp_path: Path) -> None:
    """A pair beyond the limit is an error row, or all deletions where errors count as such."""
    size = 70_000
    write_run(
        tmp_path, [{"utterance_id": "u", "reference": "a " * size}], [{"utterance_id": "u", "hypothesis": "b " * size}]
    )
    score_run(tmp_path, BASIC)
    assert ("error", [("u", "not_scorable")]) == (scores(tmp_path).loc["u", "status"], ledger(tmp_path))
    score_run(tmp_path, ScoringSettings(normalizer="basic", errors_as="deletions"))
    assert ("scored", size) == tuple(scores(tmp_path).loc["u", ["status", "deletions"]])


def test_a_reference_that_the_normalizer_cannot_read(tmp_path: Path) -> None:
    """A reference on which the rules fail is an error row with the reason, whatever was recognised."""
    write_run(tmp_path, [{"utterance_id": "u", "reference": "9" * 6000}], [{"utterance_id": "u", "hypothesis": "nine"}])
    score_run(tmp_path, ScoringSettings(normalizer="whisper-english"))
    assert ("error", [("u", "not_scorable")]) == (scores(tmp_path).loc["u", "status"], ledger(tmp_path))


def test_the_worst_utterances_are_aligned(tmp_path: Path) -> None:
    """Most errors first, for every engine and condition, with the alignment that was counted."""
    score_run(every_case(tmp_path), BASIC)
    worst = worst_utterances(tmp_path, normalizer="basic", limit=2)
    assert [("u9", 39, 3), ("u4", 4, 4)] == [(item.utterance_id, item.errors, item.ref_words) for item in worst]
    assert (("deletion", "four", ""), ("deletion", "words", "")) == worst[1].steps[:2]
    assert [] == worst_utterances(tmp_path, normalizer="basic", engine="other")
    assert 2 == len(worst_utterances(tmp_path, normalizer="basic", engine="e", condition="clean", limit=2))
    write_run_file(tmp_path, {"scoring": {"normalizer": "basic"}})
    assert worst == worst_utterances(tmp_path, limit=2)


def test_worst_utterances_of_another_normalizer_are_refused(tmp_path: Path) -> None:
    """Alignments that do not add up to the counts are never shown."""
    write_run(tmp_path, [{"utterance_id": "u", "reference": "A B"}], [{"utterance_id": "u", "hypothesis": "a C"}])
    score_run(tmp_path, BASIC)
    with pytest.raises(InputError, match="other rules"):
        worst_utterances(tmp_path, normalizer="none")


def test_alternative_references_come_from_the_manifest(tmp_path: Path) -> None:
    """The column alternative_references of a manifest, mark-up removed as in references, reaches scoring."""
    (tmp_path / "table.csv").write_text(
        "utterance_id,speaker_id,reference,alternative_references,accent\n"
        "u1,s1,colour tv <X>,color telly <X>|red tea,uk\nu2,s2,plain,,us\n",
        encoding="utf-8",
    )
    card = '[manifest]\nname = "m"\nversion = "1"\ntable = "table.csv"\n[reference]\nremove = ["<X>"]\n'
    (tmp_path / "card.toml").write_text(card, encoding="utf-8")
    manifest = read_manifest(tmp_path / "card.toml")
    assert ("accent",) == manifest.attributes
    write_run(tmp_path, [], [{"utterance_id": u, "hypothesis": h} for u, h in (("u1", "color telly"), ("u2", "plane"))])
    write_utterances(manifest, tmp_path / "utterances.parquet")
    score_run(tmp_path, BASIC)
    assert {"u1": 2, "u2": 0} == scores(tmp_path)["hits"].to_dict()
