"""The examples of docs/manifests.md and docs/importers.md do what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

from asrfair.cli.main import run
from asrfair.data.corpora import IMPORTERS, find_importer
from asrfair.data.manifest import read_manifest
from asrfair.data.manifest.card import load_card


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_card_of_the_page_is_valid(repository: Path, tmp_path: Path) -> None:
    """The card of docs/manifests.md can be read, with every key it shows."""
    (card,) = _blocks(repository / "docs" / "manifests.md", "toml")
    (tmp_path / "card.toml").write_text(card, encoding="utf-8")
    read = load_card(tmp_path / "card.toml")
    assert ("edacc", ("Don't know",), ("up_votes",)) == (read.name, read.attributes["accent"].not_stated, read.ignore)


def test_the_importer_of_the_page_works(repository: Path, tmp_path: Path) -> None:
    """A user who copies the importer of docs/importers.md gets a manifest."""
    (code,) = _blocks(repository / "docs" / "importers.md", "python")
    (tmp_path / "my_lab.py").write_text(code, encoding="utf-8")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "sessions.csv").write_text("file,who,words,room\na,ann,hello there,NA\n", encoding="utf-8")
    lab = str(tmp_path / "lab")
    assert 0 == run(["manifest", "import", f"{tmp_path / 'my_lab.py'}:read", lab, "--out", lab])
    manifest = read_manifest(tmp_path / "lab" / "my-lab.toml")
    assert ("hello there", "NA") == tuple(manifest.table.loc[0, ["reference", "room"]])


def test_every_importer_and_option_is_on_the_page(repository: Path) -> None:
    """docs/importers.md lists every importer that there is."""
    page = (repository / "docs" / "importers.md").read_text(encoding="utf-8")
    assert [] == [name for name in IMPORTERS if f"| `{name}` |" not in page]
    assert all(find_importer(name).layout for name in IMPORTERS)
