"""Reading manifests: other people's columns, mark-up, segments, paths that leave the folder, and the fingerprint."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asrfair.data.manifest import AttributeCard, Manifest, check_groupable, inspect_manifest, read_manifest
from asrfair.errors import InputError
from asrfair.types import Utterance

HEADER = "utterance_id,speaker_id,reference,audio,start_s,end_s,channel,duration_s,language,exclude,accent\n"

EDACC_CARD = """
[manifest]
name = "edacc"
version = "1"
table = "manifest.csv"            # relative to the card
licence = "CC-BY-SA-4.0"
[columns]                         # ours = theirs
utterance_id = "utt_id"
exclude = "exclusion"             # non-empty: the row is kept and never scored
[reference]
remove = ['<[A-Z_]+>']            # mark-up taken out of references before normalizing
[attributes.accent]
description = "accent as the speaker described it"
provenance = "self-reported"
"""


def _card(folder: Path, card: str, table: str, *, name: str = "table.csv") -> Path:
    (folder / name).write_text(table, encoding="utf-8")
    path = folder / "card.toml"
    path.write_text(card, encoding="utf-8")
    return path


def _table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "table.csv"
    path.write_text(header + "".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def _refused(path: Path, **options: bool) -> InputError:
    with pytest.raises(InputError) as caught:
        read_manifest(path, **options)
    return caught.value


def test_a_bare_table_gives_utterances(tmp_path: Path) -> None:
    """Every column reaches the utterance with its type; what is empty is None or not_stated."""
    path = _table(tmp_path, "u1,s1,hello there,a.wav,1.5,2.5,1,1.0,en,,us", "u2,s2,bye,,,,,,,noise,")
    first, second = read_manifest(path).utterances()
    expected = Utterance(
        utterance_id="u1",
        speaker_id="s1",
        reference="hello there",
        audio=tmp_path / "a.wav",
        start_s=1.5,
        end_s=2.5,
        channel=1,
        duration_s=1.0,
        language="en",
        attributes={"accent": "us"},
    )
    assert expected == first
    expected = Utterance(
        utterance_id="u2", speaker_id="s2", reference="bye", exclude="noise", attributes={"accent": "not_stated"}
    )
    assert expected == second


def test_only_the_empty_cell_is_missing(tmp_path: Path) -> None:
    """NA, None, nan and null are groups; spaces around a value are none of it."""
    rows = [f"u{i},s{i},x,,,,,,,,{value}" for i, value in enumerate(["NA", "None", "nan", "null", " us ", " ", ""])]
    expected = ["NA", "None", "nan", "null", "us", "not_stated", "not_stated"]
    assert expected == read_manifest(_table(tmp_path, *rows)).table["accent"].tolist()


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_manifest(tmp_path: Path, suffix: str) -> None:
    """A manifest's fingerprint does not depend on its table's format."""
    frame = pd.DataFrame(
        {
            "utterance_id": ["a", "b"],
            "speaker_id": ["s", "t"],
            "reference": ["x y", "é"],
            "start_s": ["0.5", ""],
            "n": "1",
        }
    )
    csv = tmp_path / "plain.csv"
    frame.to_csv(csv, index=False)
    path = tmp_path / f"other.{suffix}"
    {
        "csv": lambda: frame.to_csv(path, index=False, lineterminator="\r\n"),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }[suffix]()
    assert read_manifest(csv).fingerprint == read_manifest(path).fingerprint


def test_fingerprint_follows_content_not_order_or_place(tmp_path: Path) -> None:
    """Shuffled rows and another folder change nothing; another word, time, exclusion or attribute does."""
    rows = ["u1,s1,one,a.wav,0,1,,,,,us", "u2,s2,two,b.wav,,,,,,,in"]
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    same = read_manifest(_table(tmp_path / "x", *rows)).fingerprint
    assert same == read_manifest(_table(tmp_path / "y", *reversed(rows))).fingerprint
    for old, new in [("one", "won"), (",0,1", ",0,1.01"), ("us", "uk"), ("a.wav", "c.wav"), (",,us", ",bad,us")]:
        changed = [rows[0].replace(old, new), rows[1]]
        assert same != read_manifest(_table(tmp_path / "x", *changed)).fingerprint, (old, new)


def test_card_maps_columns_and_removes_mark_up(tmp_path: Path) -> None:
    """The card's columns, ignored columns, default language, missing values and patterns are all obeyed."""
    card = """
    [manifest]
    name = "x"
    table = "table.csv"
    language = "en"
    ignore = ["votes"]
    [columns]
    utterance_id = "id"
    speaker_id = "who"
    reference = "text"
    accent = "dialect"
    [reference]
    remove = ['<[^>]*>', '[()]']
    [attributes.accent]
    provenance = "self-reported"
    not_stated = ["Don't know"]
    """
    table = "id,who,text,dialect,votes\n1,a,<X> w(or)d   two,us,3\n2,b,plain   text,Don't know,4\n3,c,<X>,NA,5\n"
    manifest = read_manifest(_card(tmp_path, card, table))
    assert manifest.table["reference"].tolist() == ["word two", "plain   text", ""]
    assert manifest.table["reference_raw"][0] == "<X> w(or)d   two"
    assert manifest.table["accent"].tolist() == ["us", "not_stated", "NA"]
    assert (manifest.attributes, manifest.table["language"][0]) == (("accent",), "en")
    assert {"accent"} == set(manifest.card.attributes)


def test_well_known_names_need_no_mapping(tmp_path: Path) -> None:
    """utt_id, audio_path and duration are understood, unless the table has our own name too."""
    path = _table(tmp_path, "1,s,x,a.wav,2.5", header="utt_id,speaker_id,reference,audio_path,duration\n")
    manifest = read_manifest(path)
    assert {
        "utterance_id": "utt_id",
        "audio": "audio_path",
        "duration_s": "duration",
    }.items() <= manifest.columns.items()
    assert (manifest.attributes, manifest.table["duration_s"][0]) == ((), 2.5)
    path = _table(tmp_path, "1,s,x,a.wav,b.wav", header="utt_id,speaker_id,reference,audio_path,audio\n")
    assert read_manifest(path).attributes == ("audio_path",)


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (",s,x,,,,,,,,", "utterance_id", "no id"),
        ("u0,s,x,,,,,,,,", "utterance_id", "same id"),
        ("u\x1b[2J,s,x,,,,,,,,", "utterance_id", "control"),
        ("u,,x,,,,,,,,", "speaker_id", "no speaker"),
        ("u,s,x,a.wav,abc,,,,,,", "start_s", "not a number"),
        ("u,s,x,a.wav,00:01,,,,,,", "start_s", "not a number"),
        ("u,s,x,a.wav,nan,,,,,,", "start_s", "not a number"),
        ("u,s,x,a.wav,-1,,,,,,", "start_s", "negative"),
        ("u,s,x,a.wav,,1e999,,,,,", "end_s", "endless"),
        ("u,s,x,a.wav,2,1,,,,,", "end_s", "ends before"),
        ("u,s,x,a.wav,,0,,,,,", "end_s", "ends before"),
        ("u,s,x,a.wav,,,left,,,,", "channel", "not the number"),
        ("u,s,x,a.wav,,,-1,,,,", "channel", "not the number"),
        ("u,s,x,,,,,,,0,", "exclude", "not excluded"),
        ("u,s,x,,,,,,,False,", "exclude", "not excluded"),
        ("u,s,x,../a.wav,,,,,,,", "audio", "leaves"),
        ("u,s,x,/etc/passwd,,,,,,,", "audio", "leaves"),
        ("u,s,x,sub/../../a.wav,,,,,,,", "audio", "leaves"),
        ("u,s,x,sub/..,,,,,,,", "audio", "names no file"),
        ("u,s,x,sub/,,,,,,,", "audio", "names no file"),
    ],
)
def test_unusable_rows_are_refused_with_their_line(tmp_path: Path, row: str, column: str, words: str) -> None:
    """Each names file, line and column, and inspecting keeps it as a problem instead."""
    path = _table(tmp_path, "u0,s0,x,,,,,,,,us", row)
    error = _refused(path)
    assert (path, 3, column) == (error.file, error.line, error.column)
    assert words in error.message
    assert error.remedy
    kept = inspect_manifest(path).structural
    assert [(3, column, "error")] == [(problem.row, problem.column, problem.severity) for problem in kept]


def test_an_excluded_row_may_lack_its_speaker(tmp_path: Path) -> None:
    """A row that is never scored needs no speaker."""
    assert len(read_manifest(_table(tmp_path, "u,,x,,,,,,,no speaker known,"))) == 1


def test_more_errors_are_counted(tmp_path: Path) -> None:
    """The first error says how many more there are."""
    assert "2 more" in _refused(_table(tmp_path, "u,s,x,,a,,,,,,", "u,s,x,,b,,,,,,")).message


def test_links_out_of_the_folder_are_refused_unless_allowed(tmp_path: Path) -> None:
    """A symbolic link, of a file or of a folder, cannot smuggle a path out; --allow-outside lets it."""
    inside = tmp_path / "corpus"
    (inside / "real").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.wav").write_bytes(b"x")
    (inside / "link.wav").symlink_to(tmp_path / "secret" / "a.wav")
    (inside / "folder").symlink_to(tmp_path / "secret")
    (inside / "alias").symlink_to(inside / "real")
    for audio in ("link.wav", "folder/a.wav", "./folder/../link.wav", str(inside / "link.wav")):
        path = _table(inside, f"u,s,x,{audio},,,,,,,")
        assert "leaves" in _refused(path).message
        assert len(read_manifest(path, allow_outside=True)) == 1
    for audio in ("alias/b.wav", "real/b.wav", str(inside / "real" / "b.wav"), "nowhere/b.wav"):
        assert len(read_manifest(_table(inside, f"u,s,x,{audio},,,,,,,"))) == 1


def test_audio_beside_a_table_in_a_subfolder_may_lie_anywhere_under_the_card(tmp_path: Path) -> None:
    """The card's folder is the limit, the table's folder is what paths are relative to."""
    (tmp_path / "tables").mkdir()
    table = "utterance_id,speaker_id,reference,audio\nu,s,x,../audio/a.wav\n"
    card = _card(tmp_path, '[manifest]\nname = "x"\ntable = "tables/t.csv"\n', table, name="tables/t.csv")
    assert [str(tmp_path / "audio" / "a.wav")] == read_manifest(card).table["audio"].tolist()


@pytest.mark.parametrize(
    ("card", "line", "words"),
    [
        ('[manifest]\nname = "x"\ntabel = "table.csv"\n', 3, "unknown key 'tabel'"),
        ('[manifest]\ntable = "table.csv"\n', 1, "required key"),
        ('name = "x"\n', None, "no [manifest] section"),
        ('[manifest]\nname = "x"\ntable = 3\n', 3, "valid string"),
        ('[manifest]\nname = "x"\ntable = "none.csv"\n', 3, "not there"),
        ('[manifest]\nname = "x"\ntable = "../table.csv"\n', 3, "outside"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\nignore = ["nix"]\n', 4, "does not have"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[columns]\nexclude = "exclusion"\n', 5, "no column 'exclusion'"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[columns]\nexclude = "accent"\n', 5, "also has a column"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[columns]\n"a,b" = "accent"\n', 5, "cannot hold"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[columns]\noverall = "accent"\n', 5, "tables of results"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[attributes.acent]\n', 4, "no attribute 'acent'"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[attributes.audio]\n', 4, "not an attribute"),
        (
            '[manifest]\nname = "x"\ntable = "table.csv"\n[attributes.accent]\nprovenance = "guess"\n',
            5,
            "Input should be",
        ),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[reference]\nremove = ["(("]\n', 5, "cannot be used"),
        ("[manifest]\nname = 'x'\ntable = 'table.csv'\n[reference]\nremove = ['(?<=a)b']\n", 5, "cannot be used"),
        ('[manifest]\nname = "x"\ntable = "table.csv"\n[reference]\nremove = [""]\n', 5, "empty"),
    ],
)
def test_wrong_cards_are_refused_with_their_line(tmp_path: Path, card: str, line: int | None, words: str) -> None:
    """Unknown keys, missing tables, bad patterns and the like point at the line of the card."""
    path = _card(tmp_path, card, HEADER + "u,s,x,,,,,,,,us\n")
    error = _refused(path)
    assert (path, line) == (error.file, error.line)
    assert words in str(error)


def test_a_pattern_that_hangs_elsewhere_takes_no_time(tmp_path: Path) -> None:
    """Nested repetition, which ruins a backtracking matcher, is linear here."""
    card = "[manifest]\nname = 'x'\ntable = 'table.csv'\n[reference]\nremove = ['(a+)+$', '(a|a)*b', '(.*)*x']\n"
    path = _card(tmp_path, card, HEADER + f"u,s,{'a' * 50_000}!,,,,,,,,us\n")
    started = time.monotonic()
    assert len(read_manifest(path).table["reference"][0]) == 50_001
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("utterance_id,speaker,reference\n", "no column 'speaker_id'"),
        ("utterance_id,speaker_id,reference,condition\n", "tables of results"),
        ("utterance_id,speaker_id,reference,a=b\n", "cannot hold"),
    ],
)
def test_unusable_headers_are_refused(tmp_path: Path, header: str, words: str) -> None:
    """Missing and reserved columns are named, with how to map them."""
    error = _refused(_table(tmp_path, "1,2,3" + ",4" * (header.count(",") - 2), header=header))
    assert (words in error.message, 1) == (True, error.line)


def test_no_rows_and_other_files_are_refused(tmp_path: Path) -> None:
    """An empty table and a file that is no manifest are errors."""
    assert "no rows" in _refused(_table(tmp_path)).message
    assert "not a manifest" in _refused(tmp_path / "x.wav").message


def test_inferred_and_unknown_attributes_are_not_grouped_by(tmp_path: Path) -> None:
    """An inferred attribute needs permission; an unknown one gets a suggestion."""
    attributes = {"accent": AttributeCard(provenance="self-reported"), "race": AttributeCard(provenance="inferred")}
    check_groupable(attributes, [("accent",)], allow_inferred=False)
    check_groupable(attributes, [("accent", "race")], allow_inferred=True)
    for by, words in [
        ([("race",)], "inferred"),
        (["acent"], "accent"),
        ([("accent", "accent")], "twice"),
        ([()], "one"),
    ]:
        with pytest.raises(InputError, match=words):
            check_groupable(attributes, by, allow_inferred=False)
    manifest = read_manifest(_table(tmp_path, "u,s,x,,,,,,,,us"))
    with pytest.raises(InputError, match="no attribute 'gender'") as caught:
        check_groupable(manifest, ["gender"], allow_inferred=False)
    assert manifest.path == caught.value.file


@pytest.mark.shared
def test_the_card_of_the_design_reads_edacc(shared_data: Path, tmp_path: Path) -> None:
    """EdAcc's table is read through the design's card: tags removed, exclusion mapped, audited_group an attribute."""
    table = (shared_data / "edacc" / "manifest.csv").read_text(encoding="utf-8")
    manifest = read_manifest(_card(tmp_path, EDACC_CARD, table, name="manifest.csv"))
    assert len(manifest) == 9177
    assert manifest.attributes == ("accent", "native_language", "gender", "audited_group")
    assert {"0", "1"} == set(manifest.table["audited_group"])
    assert manifest.table["speaker_id"].nunique() == 60
    assert not manifest.table["reference"].str.contains(r"<[A-Z_]+>", regex=True).any()
    assert manifest.columns["exclude"] == "exclusion"
    assert manifest.card.licence == "CC-BY-SA-4.0"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("corpus", "rows", "speakers"), [("fsdd", 300, 6), ("speechocean762", 400, 40), ("artie_bias", 1712, 969)]
)
def test_the_shared_tables_are_read_as_they_are(shared_data: Path, corpus: str, rows: int, speakers: int) -> None:
    """Tables with other people's column names need no card."""
    manifest = read_manifest(shared_data / corpus / "manifest.csv")
    assert (rows, speakers) == (len(manifest), manifest.table["speaker_id"].nunique())


def test_a_hundred_thousand_rows_take_about_a_second(tmp_path: Path) -> None:
    """Reading is by column: no Python object is made for a cell."""
    rows = 100_000
    number = np.arange(rows).astype(str).astype(object)
    frame = pd.DataFrame(
        {
            "utterance_id": "u" + number,
            "speaker_id": "s",
            "reference": "a b c",
            "audio": "d/" + number + ".wav",
            "x": "y",
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    started = time.monotonic()
    manifest: Manifest = read_manifest(tmp_path / "t.parquet")
    assert rows == len(manifest)
    assert time.monotonic() - started < 5
