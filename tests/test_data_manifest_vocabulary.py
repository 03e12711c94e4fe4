"""Tests of the attributes with a fixed vocabulary: style and state."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrfair.data.manifest import inspect_manifest, problems, read_manifest
from asrfair.data.manifest.describe import describe
from asrfair.data.manifest.vocabulary import VOCABULARIES
from asrfair.errors import InputError

CARD = '[manifest]\nname = "m"\ntable = "t.csv"\n'


def _manifest(folder: Path, rows: list[tuple[str, str]], card: str = CARD) -> Path:
    lines = [f"u{i},s{i % 2},some words,{style},{state}" for i, (style, state) in enumerate(rows)]
    text = "utterance_id,speaker_id,reference,style,state\n" + "\n".join(lines)
    (folder / "t.csv").write_text(text, encoding="utf-8")
    path = folder / "m.toml"
    path.write_text(card, encoding="utf-8")
    return path


def test_every_word_of_the_vocabulary_is_read(tmp_path: Path) -> None:
    """All eight words, and nothing stated, are fine; the card says what they may be, by utterance."""
    styles, states = list(VOCABULARIES["style"].words), list(VOCABULARIES["state"].words)
    manifest = read_manifest(_manifest(tmp_path, [*zip(styles, states, strict=True), ("", "")]))
    assert ["read", "spontaneous", "dictated", "conversational", "not_stated"] == manifest.table["style"].tolist()
    card = manifest.card.attributes["style"]
    assert tuple(styles) == card.values
    assert "utterance" == card.level
    assert card.provenance is None


@pytest.mark.parametrize(("style", "state", "column"), [("Read", "tired", "style"), ("read", "sleepy", "state")])
def test_another_word_is_refused_with_the_vocabulary(tmp_path: Path, style: str, state: str, column: str) -> None:
    """File, line, column, value, all words that may stand there, and how a column of another meaning is renamed."""
    with pytest.raises(InputError) as caught:
        read_manifest(_manifest(tmp_path, [("read", "rested"), (style, state)]))
    error = caught.value
    assert (tmp_path / "t.csv", 3, column) == (error.file, error.line, error.column)
    assert {"style": style, "state": state}[column] == error.value
    assert all(word in str(error.remedy) for word in VOCABULARIES[column].words)
    assert "[columns]" in str(error.remedy)


def test_validate_lists_every_such_cell_once(tmp_path: Path) -> None:
    """Two wrong cells are two errors, with no warning beside them; the rows that are fine are not named."""
    manifest = inspect_manifest(_manifest(tmp_path, [("reed", "rested"), ("read", "rested"), ("dictation", "tired")]))
    found = [(p.row, p.value, p.severity) for p in problems(manifest, audio=False) if p.column == "style" and p.row]
    assert [(2, "reed", "error"), (4, "dictation", "error")] == found


def test_a_column_of_another_meaning_is_renamed(tmp_path: Path) -> None:
    """A federal state is no state of a speaker: under another name it is any attribute."""
    card = CARD + '[columns]\nfederal_state = "state"\n'
    manifest = read_manifest(_manifest(tmp_path, [("read", "Ohio"), ("", "Utah")], card))
    assert ["Ohio", "Utah"] == manifest.table["federal_state"].tolist()
    assert () == manifest.card.attributes["federal_state"].values


def test_the_card_says_who_says_so(tmp_path: Path) -> None:
    """Provenance and level of the card stay; the words come from the vocabulary; own values that mean nothing count so."""
    card = CARD + '[attributes.state]\nprovenance = "self-reported"\nlevel = "speaker"\nnot_stated = ["unknown"]\n'
    manifest = read_manifest(_manifest(tmp_path, [("read", "unknown"), ("read", "tired")], card))
    state = manifest.card.attributes["state"]
    assert ("self-reported", "speaker") == (state.provenance, state.level)
    assert tuple(VOCABULARIES["state"].words) == state.values
    assert ["not_stated", "tired"] == manifest.table["state"].tolist()


def test_describe_says_which_words_nobody_has(tmp_path: Path) -> None:
    """Groups as of any attribute, and a sentence about what the data lack."""
    found = describe(read_manifest(_manifest(tmp_path, [("read", "rested"), ("read", "tired")])))
    groups = found.groups.set_index(["attribute", "group"])
    assert 2 == groups.loc[("style", "read"), "utterances"]
    assert 1 == groups.loc[("state", "tired"), "speakers"]
    assert "No utterance is stated to be spontaneous or dictated or conversational (style)." in found.notes
    assert "No utterance is stated to be stressed or masked (state)." in found.notes
