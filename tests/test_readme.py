"""What the README tells a newcomer to type works, in its order, on the files that it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from asrfair.cli.main import COMMANDS, run

FILE_BLOCK = re.compile(r"^```\w+ (?P<name>[\w.\-]+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
CONSOLE_BLOCK = re.compile(r"^```console\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_readme_commands_run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each console line ends with exit code 0 in a folder that holds only the files that the README shows."""
    readme = (repository / "README.md").read_text(encoding="utf-8")
    for block in FILE_BLOCK.finditer(readme):
        (tmp_path / block["name"]).write_text(block["text"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    lines = [
        line[2:]
        for block in CONSOLE_BLOCK.finditer(readme)
        for line in block["text"].splitlines()
        if line.startswith("$ ")
    ]
    assert len(lines) >= 4
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "asrfair"
        assert run(words[1:]) == 0, line
    assert (tmp_path / "run" / "report.html").is_file()


def test_readme_names_only_commands_that_exist(repository: Path) -> None:
    """The command table has no command that is not there, and misses none."""
    readme = (repository / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `asrfair (\w+)", readme, re.MULTILINE))
    assert named == set(COMMANDS)


def test_links_of_readme_and_docs_lead_somewhere(repository: Path) -> None:
    """Every relative link of the README and the documentation names a file."""
    broken = []
    for page in [
        repository / "README.md",
        repository / "CONTRIBUTING.md",
        *sorted((repository / "docs").rglob("*.md")),
    ]:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
        broken += [f"{page.name}: {target}" for target in targets if not (page.parent / target).exists()]
    assert broken == []


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``asrfair COMMAND --help`` prints usage and leaves with 0."""
    assert run([command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out
