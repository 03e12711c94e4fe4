"""The numbers that others published come out again, through the command that a user types."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from edacc_card import EDACC_CARD

from asrfair.cli.main import run

pytestmark = pytest.mark.shared

SYSTEMS = ("whisper-small", "whisper-large-v3-turbo", "distil-large-v3.5", "parakeet-tdt-0.6b-v3")


ARTIE_CARD = """\
[manifest]
name = "artie"
version = "1"
table = {table}
licence = "MPL-2.0"
[columns]
utterance_id = "utt_id"
[attributes.accent]
description = "accent as the speaker described it"
provenance = "self-reported"
[attributes.gender]
description = "gender as the speaker stated it"
provenance = "self-reported"
"""


@pytest.fixture(scope="module")
def edacc(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of EdAcc with the four systems, made by the design's own command."""
    folder = tmp_path_factory.mktemp("edacc")
    card = folder / "edacc.toml"
    card.write_text(EDACC_CARD.format(table=json.dumps(str(shared_data / "edacc" / "manifest.csv"))), encoding="utf-8")
    hypotheses = [
        part
        for name in SYSTEMS
        for part in ("--hypotheses", f"{name}={shared_data / 'edacc' / 'hypotheses' / name}.csv")
    ]
    code = run(
        [
            "score", "--manifest", str(card), *hypotheses, "--by", "accent", "--by", "accent,gender",
            "--where", "audited_group=1", "--normalizer", "whisper-english", "--min-speakers", "3",
            "--interval", "percentile", "--draws", "10000", "--seed", "1", "--out", str(folder / "run"), "--no-html",
        ]
    )  # fmt: skip
    assert code == 0
    return folder / "run"


@pytest.fixture(scope="module")
def published(shared_data: Path) -> dict[str, dict[str, object]]:
    """The other audit's figures, by system."""
    return {
        name: json.loads((shared_data / "edacc" / "published" / f"{name}.json").read_text(encoding="utf-8"))
        for name in SYSTEMS
    }


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_edacc_group_figures_equal_the_published_ones(edacc: Path, published: dict, system: str) -> None:
    """Every group's WER, words, utterances and speakers equal the published figures."""
    table = pd.read_csv(edacc / "disparity.csv", keep_default_na=False)
    table = table[(table["engine"] == system) & (table["attribute"] == "accent")].set_index("group")
    expected = published[system]["metrics"]["per_group"]
    assert set(table.index) == set(expected)
    for group, figures in expected.items():
        row = table.loc[group]
        assert math.isclose(float(row["wer"]), figures["wer"], abs_tol=1e-9)
        assert int(row["ref_words"]) == figures["ref_words"]
        assert int(row["utterances"]) == figures["n_utterances"]
        assert int(row["speakers"]) == figures["n_speakers"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_edacc_summary_figures_equal_the_published_ones(edacc: Path, published: dict, system: str) -> None:
    """Micro, macro, worst group and gap equal the published figures."""
    with (edacc / "gaps.csv").open(encoding="utf-8", newline="") as stream:
        row = next(r for r in csv.DictReader(stream) if r["engine"] == system and r["attribute"] == "accent")
    metrics = published[system]["metrics"]
    assert row["worst_group"] == metrics["worst_group"]
    for ours, theirs in (
        ("micro_wer", "micro_wer"), ("macro_wer", "macro_wer"),
        ("worst_wer", "worst_group_wer"), ("gap", "gap_max_minus_min"),
    ):  # fmt: skip
        assert math.isclose(float(row[ours]), metrics[theirs], abs_tol=1e-9), ours


@pytest.fixture(scope="module")
def artie(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of Artie Bias with its three systems and the rules lower-case, strip ASCII punctuation."""
    folder = tmp_path_factory.mktemp("artie")
    card = folder / "artie.toml"
    card.write_text(
        ARTIE_CARD.format(table=json.dumps(str(shared_data / "artie_bias" / "manifest.csv"))), encoding="utf-8"
    )
    hypotheses = [
        part
        for path in sorted((shared_data / "artie_bias" / "hypotheses").glob("*.csv"))
        for part in ("--hypotheses", f"{path.stem.rsplit('_', 1)[0] if 'dec' in path.stem else path.stem}={path}")
    ]
    code = run(
        ["score", "--manifest", str(card), *hypotheses, "--by", "accent", "--by", "gender", "--by", "accent,gender",
         "--normalizer", "basic", "--out", str(folder / "run"), "--no-html"]
    )  # fmt: skip
    assert code == 0
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "attribute", "group", "wer", "utterances"),
    [
        ("amazon_en-US", "overall", "all", 0.253329, 1712),
        ("amazon_en-US", "accent", "us", 0.191274, 558),
        ("amazon_en-US", "accent", "indian", 0.352094, 264),
        ("amazon_en-US", "gender", "male", 0.247114, None),
        ("amazon_en-US", "gender", "female", 0.290582, None),
        ("deepspeech_v0-7-3", "overall", "all", 0.415326, 1712),
        ("google_en-IN", "overall", "all", 0.595215, 1712),
    ],
)
def test_artie_figures(
    artie: Path, engine: str, attribute: str, group: str, wer: float, utterances: int | None
) -> None:
    """Artie Bias under the basic rules gives the figures computed from its files by hand."""
    table = pd.read_csv(artie / "disparity.csv", keep_default_na=False)
    row = table[(table["engine"] == engine) & (table["attribute"] == attribute) & (table["group"] == group)].iloc[0]
    assert round(float(row["wer"]), 6) == wer
    if utterances is not None:
        assert int(row["utterances"]) == utterances


def test_artie_empty_hypotheses_are_deletions_in_the_ledger(artie: Path) -> None:
    """The 137 empty hypotheses of one service are in the ledger and count as deletions."""
    ledger = pd.read_csv(artie / "ledger.csv", keep_default_na=False)
    empty = ledger[(ledger["engine"] == "google_en-IN") & (ledger["reason"] == "empty_hypothesis")]
    assert len(empty) == 137
    scores = pd.read_parquet(artie / "scores.parquet")
    rows = scores[(scores["engine"] == "google_en-IN") & scores["utterance_id"].isin(set(empty["utterance_id"]))]
    assert set(rows["status"]) == {"scored"}
    assert int(rows["hits"].sum() + rows["substitutions"].sum() + rows["insertions"].sum()) == 0
    assert int(rows["deletions"].min()) >= 1
