"""``asrfair verify``: is what is stored still what was written?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from asrfair.runs.verify import Checked


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def verify(folder: Path, *, as_json: bool) -> int:
    """Check a run folder, a history of nights or a last-mile kit against the checksums that were written with it.

    A checksum tells of damage (a flipped bit, a half copy, an edit), not of deceit: who can write the folder can write
    the checksums. Exit codes: 0 all is as it was written, 2 something is not.
    """
    from asrfair.errors import InputError

    if not folder.is_dir():
        raise InputError("there is no such folder", file=folder, remedy="Name a run, a history or a kit")
    found = list(_check(folder))
    if not found:
        raise InputError(
            "this is no run, no history and no kit", file=folder, remedy="Name a folder that asrfair has made"
        )
    problems = [item for item in found if item.problem]
    if as_json:
        rows = [{"file": str(item.path), "text": item.text, "problem": item.problem} for item in found]
        click.echo(json.dumps({"checked": len(found), "problems": len(problems), "files": rows}, indent=1))
        return 2 if problems else 0
    from asrfair.report.console import say, terminal

    console = terminal()
    for item in found:
        word = "DAMAGED" if item.problem else "ok"
        say(console, f"{word:8}{item.path}: {item.text}", style="bold red" if item.problem else "")
    say(console, f"{len(found):,} checked, {len(problems):,} not as they were written.")
    return 2 if problems else 0


def _check(folder: Path) -> Iterator[Checked]:
    from asrfair.data.runfile import RUN_FILE
    from asrfair.lastmile.settings import KIT_FILE
    from asrfair.runs.forget import MARKER
    from asrfair.runs.verify import Checked, verify_run

    if (folder / MARKER).exists():
        text = "somebody was being forgotten, and that was cut off: start `asrfair forget` again"
        yield Checked(path=folder, text=text, problem=True)
    elif (folder / "nights").is_dir():
        yield from _history(folder)
    elif (folder / KIT_FILE).is_file():
        yield from _kit(folder)
    elif (folder / RUN_FILE).exists() or (folder / "journal.sqlite").exists():
        yield from verify_run(folder)


def _history(folder: Path) -> Iterator[Checked]:
    from asrfair.errors import AsrfairError
    from asrfair.nightly import History
    from asrfair.nightly.cache import Cache
    from asrfair.runs.verify import Checked

    history = History(folder)
    problems = list(history.verify())
    for error in problems:
        yield Checked(path=error.file or folder, text=error.message, problem=True)
    count = len(history.numbers())
    yield Checked(path=folder / "nights", text=f"{count:,} nights, {len(problems):,} files not as they were written")
    path = folder / "cache.sqlite"
    if path.exists():
        try:
            entries, wrong = Cache(path).verify()
            text = f"{entries:,} cached entries, {wrong:,} damaged" + (": they are made again" if wrong else "")
            yield Checked(path=path, text=text, problem=bool(wrong))
        except AsrfairError as error:
            yield Checked(path=path, text=error.message, problem=True)


def _kit(folder: Path) -> Iterator[Checked]:
    from asrfair.data.runfile import RUN_FILE
    from asrfair.errors import AsrfairError
    from asrfair.lastmile.export_ledger import shown_before, spent_epsilon
    from asrfair.lastmile.settings import KIT_FILE, read_kit
    from asrfair.lastmile.site_key import LEDGER_FILE
    from asrfair.runs.verify import Checked, verify_run

    try:
        kit = read_kit(folder)
        yield Checked(path=folder / KIT_FILE, text="it can be read")
        spent = spent_epsilon(kit)
        text = f"{len(shown_before(kit)):,} exports, epsilon spent: {spent:g}"
        yield Checked(path=folder / LEDGER_FILE, text=text)
    except AsrfairError as error:
        yield Checked(path=error.file or folder, text=error.message, problem=True)
    for run in sorted((folder / "runs").glob("*")) if (folder / "runs").is_dir() else []:
        if (run / RUN_FILE).exists():
            yield from verify_run(run)
