"""Exports that cannot be trusted: damaged, edited, sealed again over what cannot be, doubled, copied, or no export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_lastmile_merge import exported, site

from asrfair.cli.lastmile import lastmile
from asrfair.errors import InputError
from asrfair.lastmile.export import COUNTS, ROW, canonical, sealed_text
from asrfair.lastmile.read_exports import read_export, read_exports

PLACE = {name: position for position, name in enumerate(ROW)} | {
    name: position for position, name in enumerate(COUNTS, start=5)
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that nobody touched."""
    folder = tmp_path_factory.mktemp("site")
    return exported(site(folder / "kit", 1), folder / "good.json")


def body_of(path: Path) -> dict[str, Any]:
    """Return what an export says."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["body"]
    return content


def sealed_again(path: Path, good: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write an export with a changed body under a new hash that fits it."""
    body = body_of(good)
    change(body)
    path.write_text(sealed_text(body)[0], encoding="utf-8")
    return path


def cell(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    """Return a change of one cell of the first row."""
    return lambda body: body["rows"][0].__setitem__(PLACE[name], value)


HOSTILE = {
    "more key terms": cell("key_term_hits", 10_000),
    "no whole number": cell("hits", -3),
    "whole number": cell("hits", 3.5),
    "a count is": cell("deletions", True),
    "far more words inserted": cell("insertions", 999_999),
    "more words than its utterances": cell("hits", 999_999),
    "counts of no utterance": lambda body: [cell(name, 0)(body) for name in COUNTS],
    "speaker's code": cell("speaker", "Alice"),
    "does not describe": cell("engine", "another"),
    "can be printed": cell("groups", ["a\x1b[31m", "b"]),
    "can be printed'": cell("groups", ["us × female", "b"]),
    "one group an attribute": cell("groups", ["a"]),
    "the same cell twice": lambda body: body["rows"].append(body["rows"][0]),
    "other columns": lambda body: body["columns"].append("x"),
    "twice": lambda body: body.update(attributes=["accent", "accent"]),
    "is a column": lambda body: body.update(attributes=["site", "gender"]),
    "tables of results": lambda body: body.update(attributes=["wer", "gender"]),
    "site": lambda body: body.update(site="us"),
    "rows": lambda body: body.update(rows=[]),
    "acoustics": lambda body: body.update(acoustics=[["room", 1]]),
    "transcripts": lambda body: body.update(transcripts=["hello"]),
}


@pytest.mark.parametrize("wanted", HOSTILE)
def test_a_new_hash_over_what_cannot_be_is_refused(wanted: str, good: Path, tmp_path: Path) -> None:
    """Whoever edits counts and computes a new hash meets the plausibility checks, which name row and remedy."""
    path = sealed_again(tmp_path / "hostile.json", good, HOSTILE[wanted])
    with pytest.raises(InputError, match=wanted.strip("'")) as caught:
        read_export(path)
    assert "Ask the site" in str(caught.value)


def test_every_flipped_digit_is_noticed(good: Path, tmp_path: Path) -> None:
    """Counts that were edited without a new hash do not pass."""
    text = good.read_text(encoding="utf-8")
    for old, new in (('"least_words": 10', '"least_words": 1'), ('"local"', '"other"'), ('"pocketsphinx"', '"vosk"')):
        edited = tmp_path / "edited.json"
        edited.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(InputError, match=r"changed after it was written.*Ask the site"):
            read_export(edited)


def test_what_is_no_export_is_named(good: Path, tmp_path: Path) -> None:
    """Other JSON, cut-off files, numbers that JSON lacks, endless nesting, a newer version."""
    text = good.read_text(encoding="utf-8")
    path = tmp_path / "file.json"
    for content in (
        b"",
        b"[]",
        b"\xff\xfe",
        text[:5000].encode(),
        b"[" * 100_000,
        text.replace("10", "NaN", 1).encode(),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not an export"):
            read_export(path)
    path.write_text(text.replace('"version": 1', '"version": 2'), encoding="utf-8")
    with pytest.raises(InputError, match="does not read this kind"):
        read_export(path)


def test_doubles_and_copies_are_refused(good: Path, tmp_path: Path) -> None:
    """The file twice, the people twice, and one site's counts under another's name, also with new codes and an edit."""
    with pytest.raises(InputError, match=r"given twice.*Leave one out"):
        read_exports([good, good])
    later = sealed_again(tmp_path / "later.json", good, cell("hits", 80))
    with pytest.raises(InputError, match=r"one site hold the same people.*later one"):
        read_exports([good, later])
    renamed = sealed_again(tmp_path / "renamed.json", good, lambda body: body.update(site="0123456789abcdef"))
    with pytest.raises(InputError, match=r"same people's codes.*leave out the copy"):
        read_exports([good, renamed])

    def disguise(body: dict[str, Any]) -> None:
        body["site"] = "0123456789abcdef"
        for number, row in enumerate(body["rows"]):
            row[3] = f"{number:016x}"
        body["rows"][0][PLACE["hits"]] += 1

    copied = sealed_again(tmp_path / "copied.json", good, disguise)
    with pytest.raises(InputError, match=r"same counts or sounds.*leave out the copy"):
        read_exports([good, copied])
    received, refused = read_exports([good, copied, renamed], skip_bad=True)
    assert ([good], 2) == ([item.path for item in received], len(refused))


def test_sites_with_few_errors_are_not_taken_for_copies(tmp_path: Path) -> None:
    """Everybody reads the same sentences and the recogniser loses nothing: equal counts that are no copies."""

    def perfect(body: dict[str, Any]) -> None:
        for row in body["rows"]:
            row[5:] = [6, 60, 0, 0, 0, 6, 6, 0]

    paths = []
    for number in (1, 2):
        one = exported(site(tmp_path / f"kit{number}", number), tmp_path / f"{number}.json")
        paths.append(sealed_again(tmp_path / f"perfect{number}.json", one, perfect))
    received, _ = read_exports(paths)
    assert 2 == len(received)


def test_the_same_sounds_are_no_coincidence(good: Path, tmp_path: Path) -> None:
    """Four equal means and spreads of measured sounds give a copy away whatever the counts say."""
    sounds = [["room", "clean", f"quantity_{i}", 1.5 * i, 2.25, 60] for i in range(4)]
    one = sealed_again(tmp_path / "one.json", good, lambda body: body.update(acoustics=sounds))
    other = exported(site(tmp_path / "kit", 2), tmp_path / "other.json")
    two = sealed_again(tmp_path / "two.json", other, lambda body: body.update(acoustics=sounds))
    assert 2 == len(read_exports([good, other])[0])
    with pytest.raises(InputError, match="counts or sounds"):
        read_exports([one, two])


def test_the_command_says_what_was_left_out(good: Path, tmp_path: Path) -> None:
    """``merge --skip-bad`` pools the rest and names the export that it left out."""
    bad = tmp_path / "bad.json"
    bad.write_text(good.read_text(encoding="utf-8").replace('"local"', '"other"', 1), encoding="utf-8")
    done = CliRunner().invoke(lastmile, ["merge", str(good), str(bad), "--out", str(tmp_path / "o"), "--skip-bad"])
    assert 0 == done.exit_code, done.output
    assert "bad.json" in done.output
    assert "changed after it was written" in done.output
    assert canonical(body_of(good)) != canonical(body_of(bad))
