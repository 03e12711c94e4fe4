"""``asrfair manifest import``: any table, users' own importers, where audio ends up, and what is refused."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrfair.cli.main import run
from asrfair.data.corpora import find_importer, import_corpus
from asrfair.data.manifest import problems, read_manifest
from asrfair.data.manifest.card import AttributeCard, Card, load_card
from asrfair.data.manifest.write import card_text
from asrfair.errors import InputError


def _corpus(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "a.wav", 0.1 * np.sin(np.arange(4000) / 5), 8000)
    path = folder / "clips.tsv"
    path.write_text(
        "client_id\tpath\tsentence\taccent\nann\ta.wav\thello there\tus\nbob\tb.wav\t=1+1\tNA\n", encoding="utf-8"
    )
    return path


def test_generic_recognises_columns(tmp_path: Path) -> None:
    """Well-known column names become ours, ids come from the paths, text survives unchanged."""
    result = import_corpus("generic", _corpus(tmp_path), tmp_path)
    manifest = read_manifest(result.card)
    assert ["hello there", "=1+1"] == manifest.table["reference"].tolist()
    assert ["a", "b"] == manifest.table["utterance_id"].tolist()
    assert ["us", "NA"] == manifest.table["accent"].tolist()
    assert [0.5, None] == [None if np.isnan(value) else value for value in manifest.table["duration_s"]]
    assert "1 of 2 audio files are not there." in result.notes
    assert manifest.card.attributes["accent"].provenance is None
    assert any("provenance" in problem.message or "comes from" in problem.message for problem in problems(manifest))


def test_generic_takes_columns_as_told(tmp_path: Path) -> None:
    """--option ours=theirs overrides what would be recognised; a column that is not there is named with the nearest."""
    path = tmp_path / "t.csv"
    path.write_text("id,who,text,corrected\n1,s,a,b\n")
    result = import_corpus("generic", path, tmp_path / "out", options={"speaker_id": "who", "reference": "corrected"})
    assert ("b", "a") == tuple(read_manifest(result.card).table.loc[0, ["reference", "text"]])
    with pytest.raises(InputError, match="Did you mean 'who'"):
        import_corpus("generic", path, tmp_path / "out", options={"speaker_id": "hwo"})
    with pytest.raises(InputError, match="who speaks"):
        import_corpus("generic", path, tmp_path / "out")


@pytest.mark.shared
@pytest.mark.parametrize("table_format", ["csv", "jsonl", "parquet"])
def test_generic_keeps_artie_as_it_is(shared_data: Path, tmp_path: Path, table_format: str) -> None:
    """Importing a real table changes none of its content, in any format."""
    source = shared_data / "artie_bias" / "manifest.csv"
    result = import_corpus("generic", source, tmp_path, table_format=table_format)
    assert f".{table_format}" == result.table.suffix
    assert read_manifest(source).fingerprint == read_manifest(result.card).fingerprint


def test_audio_outside_is_told_and_copied_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest elsewhere needs --allow-outside, unless the audio is copied beside it."""
    source = _corpus(tmp_path / "corpus")
    assert 0 == run(["manifest", "import", "generic", str(source), "--out", str(tmp_path / "a")])
    assert "--allow-outside" in capsys.readouterr().out
    with pytest.raises(InputError, match="leaves the manifest's folder"):
        read_manifest(tmp_path / "a" / "clips.toml")
    linked = read_manifest(tmp_path / "a" / "clips.toml", allow_outside=True)
    assert str(tmp_path / "corpus" / "a.wav") == linked.table["audio"][0]
    assert 0 == run(
        ["manifest", "import", "generic", str(source), "--out", str(tmp_path / "b"), "--copy-audio", "--json"]
    )
    listing = json.loads(capsys.readouterr().out)
    copied = read_manifest(Path(listing["card"]))
    assert (tmp_path / "corpus" / "a.wav").read_bytes() == Path(copied.table["audio"][0]).read_bytes()
    assert 2 == listing["rows"]


def test_an_earlier_manifest_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Replacing needs --overwrite; another name stands beside it."""
    command = ["manifest", "import", "generic", str(_corpus(tmp_path)), "--out", str(tmp_path)]
    assert [0, 2, 0, 0] == [
        run(command),
        run(command),
        run([*command, "--overwrite"]),
        run([*command, "--name", "other"]),
    ]
    assert "there is a manifest already" in capsys.readouterr().err
    assert "other" == read_manifest(tmp_path / "other.toml").card.name


def test_a_user_writes_an_importer_in_a_file(tmp_path: Path) -> None:
    """A function in a file, named file.py:function, is an importer like the built-in ones."""
    code = tmp_path / "mine.py"
    code.write_text(
        textwrap.dedent('''
        """My corpus."""
        import pandas as pd
        from asrfair.data.corpora import ImportedCorpus
        from asrfair.data.manifest import AttributeCard, Card

        def read(request):
            """Read what my lab wrote."""
            rows = pd.DataFrame({"utterance_id": ["1"], "speaker_id": ["s"], "room": ["r"]})
            rows["reference"] = request.option("word", "hi")
            card = Card(name="mine", attributes={"room": AttributeCard(description="the room", provenance="recorded")})
            return ImportedCorpus(card=card, rows=rows)

        def broken(request):
            raise KeyError("x")
        ''')
    )
    result = import_corpus(f"{code}:read", tmp_path, tmp_path / "out", options={"word": "bye"})
    manifest = read_manifest(result.card)
    assert ("bye", "recorded") == (manifest.table["reference"][0], manifest.card.attributes["room"].provenance)
    assert "Read what my lab wrote." == find_importer(str(code)).summary
    for name, words in [
        (f"{code}:nothing", "there is no 'nothing'"),
        ("none.py", "no such file"),
        ("json:dumps_", "no 'dumps_'"),
    ]:
        with pytest.raises(InputError, match=words):
            find_importer(name)
    with pytest.raises(InputError, match="KeyError"):
        import_corpus(f"{code}:broken", tmp_path, tmp_path / "out2")


def test_unknown_importers_and_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each names what may have been meant."""
    for arguments, words in [
        (["common-voice", str(tmp_path)], "Did you mean 'common_voice'?"),
        (["vctk", str(tmp_path), "--option", "mik=mic2"], "Did you mean 'mic'?"),
        (["vctk", str(tmp_path), "--option", "mic=mic3"], "cannot be 'mic3'"),
        (["vctk", str(tmp_path), "--option", "mic2"], "KEY=VALUE"),
        (["vctk", str(tmp_path / "none")], "no such file or folder"),
        (["vctk", str(tmp_path), "--name", "../x"], "plain file name"),
        (["os:getcwd", str(tmp_path)], "getcwd"),
    ]:
        assert 2 == run(["manifest", "import", *arguments, "--out", str(tmp_path / "out")]), arguments
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_importers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The list shows layouts and options, for people and as JSON."""
    assert 0 == run(["manifest", "importers"])
    assert "--option split=" in capsys.readouterr().out
    assert 0 == run(["manifest", "importers", "--json"])
    assert "test (default)" in json.loads(capsys.readouterr().out)["edacc"]["options"]["split"]


def test_a_card_survives_being_written_and_read(tmp_path: Path) -> None:
    """Quotes, backslashes, control characters and odd attribute names come back as they were."""
    nasty = "a \"b\" \\c\\ 'd' \n\t\x7f\x85 é 𝄞"
    card = Card(
        name="x",
        version=nasty,
        table="t.csv",
        citation=nasty,
        columns={"utterance_id": "utt id", "my attribute": nasty},
        ignore=("a b",),
        reference_remove=(r"<[A-Z_]+>", r"\d'"),
        attributes={"my attribute": AttributeCard(description=nasty, provenance="annotated", not_stated=("", nasty))},
    )
    path = tmp_path / "card.toml"
    path.write_text(card_text(card), encoding="utf-8", newline="\n")
    assert card == load_card(path)
