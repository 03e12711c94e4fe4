"""Who is in a manifest, where the holes are, and what cannot be told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asrfair.cli.main import run
from asrfair.data.manifest import read_manifest
from asrfair.data.manifest.confounds import cramers_v
from asrfair.data.manifest.describe import Description, describe

HEADER = "utterance_id,speaker_id,reference,start_s,end_s,duration_s,exclude"


def _describe(
    folder: Path, header: str, *rows: str, by: list[tuple[str, ...]] | None = None, **limits: int
) -> Description:
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return describe(read_manifest(folder / "t.csv"), by, **limits)


def test_groups_are_counted(tmp_path: Path) -> None:
    """Speakers, utterances, words, hours and excluded rows of every group and intersection."""
    found = _describe(
        tmp_path,
        HEADER + ",accent,gender",
        "u1,s1,one two,,,1800,,us,f",
        "u2,s1,three,1800,3600,,,us,f",
        "u3,s2,four five six,,,3600,,us,m",
        "u4,s3,not counted,,,3600,noise,us,m",
        "u5,s4,seven,,,,,in,",
        by=[("accent",), ("accent", "gender")],
    )
    columns = ["attribute", "group", "speakers", "utterances", "words", "hours", "excluded"]
    expected = [
        ["overall", "all", 3, 4, 7, 2.0, 1],
        ["accent", "in", 1, 1, 1, None, 0],
        ["accent", "us", 2, 3, 6, 2.0, 1],
        ["accent × gender", "us × f", 1, 2, 3, 1.0, 0],
        ["accent × gender", "us × m", 1, 1, 3, 1.0, 1],
        ["accent × gender", "in × not_stated", 1, 1, 1, None, 0],
    ]
    shown = found.groups[columns].astype(object)
    assert expected == shown.where(shown.notna(), None).to_numpy().tolist()
    assert "Hours count the 75% of the utterances whose duration is known." in found.notes


def test_holes_are_what_is_too_small_or_not_there(tmp_path: Path) -> None:
    """A group under the minimum, and an intersection that nobody fills though each part has speakers enough."""
    rows = [f"u{i},s{i},word word,,,,,{accent},{gender}" for i, (accent, gender) in enumerate(
        [("us", "f")] * 3 + [("us", "m")] + [("in", "m")] * 3 + [("uk", "f")]
    )]  # fmt: skip
    found = _describe(
        tmp_path, HEADER + ",accent,gender", *rows, by=[("accent",), ("accent", "gender")], min_speakers=2, min_words=4
    )
    expected = [
        ["accent", "uk", "1 speaker of 2, 2 words of 4"],
        ["accent × gender", "uk × f", "1 speaker of 2, 2 words of 4"],
        ["accent × gender", "us × m", "1 speaker of 2, 2 words of 4"],
        ["accent × gender", "in × f", "nobody"],
    ]
    assert expected == found.holes.to_numpy().tolist()


def test_attributes_that_are_single_speakers_are_pointed_out(tmp_path: Path) -> None:
    """Where every group is one speaker, and where some are, a sentence says so."""
    rows = [f"u{i},s{i % 3},w,,,,,{'abc'[i % 3]},{'ppq'[i % 3]}" for i in range(9)]
    notes = " ".join(_describe(tmp_path, HEADER + ",accent,room", *rows).notes)
    assert "'accent' and the speaker are the same thing: each of its 3 groups is one speaker" in notes
    assert "'room': 1 of 2 groups is one speaker (q)" in notes


def test_attributes_that_go_together_are_pointed_out(tmp_path: Path) -> None:
    """Two attributes that divide speakers alike, one nested in another, and two that nearly go together."""
    rows = []
    for i in range(40):
        accent = "abcd"[i % 4]
        rows.append(f"u{i},s{i},w,,,,,{accent},{accent.upper()}1,{'xy'[i % 2]},{'pqrs'[i % 4] if i else 'q'}")
    notes = " ".join(_describe(tmp_path, HEADER + ",accent,device,city,room", *rows).notes)
    assert "'accent' and 'device' divide the speakers in the same way" in notes
    assert "Every group of 'accent' lies within one group of 'city'" in notes
    assert "'accent' and 'room' nearly go together (Cramér's V 0.9" in notes


def test_independent_attributes_are_not_pointed_out(tmp_path: Path) -> None:
    """A balanced design has nothing to say."""
    rows = [f"u{i},s{i},w,,,1,,{'ab'[i % 2]},{'xy'[i // 2 % 2]}" for i in range(40)]
    assert () == _describe(tmp_path, HEADER + ",accent,gender", *rows).notes


def test_cramers_v_of_known_tables() -> None:
    """A diagonal table is 1, a flat one is 0, and Bergsma's correction of a table worked by hand."""
    assert 1.0 == pytest.approx(cramers_v(np.diag([50.0, 50.0])))
    assert 0.0 == cramers_v(np.full((2, 2), 25.0))
    counts = np.array([[30.0, 10.0], [10.0, 30.0]])
    phi, n = 20 / 80, 80
    corrected = phi - 1 / (n - 1)
    assert np.sqrt(corrected / (2 - 1 / (n - 1) - 1)) == pytest.approx(cramers_v(counts))


@pytest.mark.shared
def test_fsdd_says_that_accents_are_persons(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FSDD's accents are one or two speakers each: the table says so, in words and as JSON."""
    path = str(shared_data / "fsdd" / "manifest.csv")
    assert 0 == run(["manifest", "describe", path])
    out = capsys.readouterr().out
    assert "'accent': 2 of 4 groups are one speaker each (BEL/French, GRC/Greek)" in out
    assert 0 == run(["manifest", "describe", path, "--by", "accent", "--json"])
    listing = json.loads(capsys.readouterr().out)
    assert (300, ["BEL/French", "DEU/German", "GRC/Greek", "USA/neutral"]) == (
        listing["rows"],
        [row["group"] for row in listing["groups"][1:]],
    )
    assert 4 == len(listing["holes"])


@pytest.mark.shared
def test_speechocean762_is_balanced_by_gender(shared_data: Path) -> None:
    """Ten speakers a cell of gender and age band, as its documentation says, and hours from the durations."""
    groups = describe(read_manifest(shared_data / "speechocean762" / "manifest.csv"), [("gender",)]).groups
    assert [40, 20, 20] == groups["speakers"].tolist()
    assert 0.4393 == pytest.approx(groups["hours"][0], abs=1e-4)


def test_unknown_attributes_are_refused_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt --by names the attribute that was meant."""
    (tmp_path / "t.csv").write_text("utterance_id,speaker_id,reference,accent\nu,s,x,us\n")
    assert 2 == run(["manifest", "describe", str(tmp_path / "t.csv"), "--by", "acent"])
    assert "Did you mean 'accent'?" in capsys.readouterr().err


def test_attributes_with_many_values_are_described_only_on_request(tmp_path: Path) -> None:
    """A measurement is not a group: it is named, not listed."""
    rows = [f"u{i},s{i},w,,,1,,{i}" for i in range(70)]
    found = _describe(tmp_path, HEADER + ",height", *rows)
    assert ["overall"] == found.groups["attribute"].unique().tolist()
    assert "Not shown: 'height' has 70 values (ask with --by height)." in found.notes


@pytest.mark.shared
def test_lengths_are_measured_on_request(shared_data: Path, tmp_path: Path) -> None:
    """Without durations hours are unknown, and with --measure they are those of the recordings."""
    table = read_manifest(shared_data / "fsdd" / "manifest.csv").table
    table[["utterance_id", "speaker_id", "reference", "audio"]].to_csv(tmp_path / "t.csv", index=False)
    manifest = read_manifest(tmp_path / "t.csv", allow_outside=True)
    assert np.isnan(describe(manifest).groups["hours"][0])
    measured = describe(manifest, measure=True).groups["hours"][0]
    assert float(table["duration_s"].sum() / 3600) == pytest.approx(measured, abs=1e-4)
