"""``asrfair forget``: somebody leaves, and nothing of them stays in the folders that are named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from asrfair.data.manifest import Manifest
    from asrfair.runs.forget import Person
    from asrfair.runs.suite import Suite

_CUT_OFF = "A leaving that was cut off is finished"
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@dataclass(frozen=True, kw_only=True)
class _Leaving:
    """What there is to do in one folder.

    Args:
        person: Who; without utterances where they are not in it.
        done: What would be done, in sentences.
        missed: What cannot be.
        act: Does it.
        examples: Files whose names of people are examples, the same in every kit (``speaker-01``).
    """

    person: Person
    done: Sequence[str]
    missed: Sequence[str]
    act: Callable[[Person], None]
    examples: Sequence[Path] = ()


@click.command()
@click.argument("speaker")
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do it. Without this, what would be done is only shown.")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    type=_FILE,
    help="For a history: the suite of its nights, by whose gates they are judged again; may be given several times.",
)
@click.option(
    "--manifest",
    type=_FILE,
    help="For a run or a search for thresholds: its manifest, from which you have taken the person, so that it can be gone "
    "on with. One that was cut off needs it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a folder instead of sentences.")
def forget(
    speaker: str,
    folders: tuple[Path, ...],
    suites: tuple[Path, ...],
    manifest: Path | None,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """SPEAKER leaves: remove them from each FOLDER.

    A folder is a last-mile kit, a run, a search for thresholds, or a history of nights; runs and searches may have been cut
    off. Recordings, answers, transcripts and rows go, tables and pages are made again without them, and every byte of the
    folder is then searched for what named them. What cannot be reached from here is listed. A process that was killed in
    the middle is followed by the same command.

    Exit codes: 0 done (or shown), 1 something of them is left, in files that are listed; 2 bad input.
    """
    from asrfair.runs.suite import read_suite

    read = [read_suite(suite) for suite in suites]
    found = _manifest(manifest, speaker)
    code = 0
    for folder in folders:
        code = max(code, _one(folder, speaker, read, found, yes=yes, as_json=as_json))
    return code


def _one(
    folder: Path, speaker: str, suites: Sequence[Suite], manifest: Manifest | None, *, yes: bool, as_json: bool
) -> int:
    from asrfair.data.traces import search
    from asrfair.runs.forget import begin, finish, pending

    before = pending(folder)
    if before is not None and before.speaker_id != speaker:
        _say("Somebody else's leaving was cut off here; it is finished first.", as_json=as_json)
        if _one(folder, before.speaker_id, suites, manifest, yes=yes, as_json=as_json) or not yes:
            return 1
        before = None
    leaving = _leaving(folder, speaker, suites, manifest, before, as_json=as_json)
    person = leaving.person
    lines: dict[str, Any] = {"folder": str(folder), "does": list(leaving.done), "not_reached": list(leaving.missed)}
    if not yes:
        _show(lines, "would be done", as_json=as_json)
        _say("Nothing was changed. The same command with --yes does it.", as_json=as_json)
        return 0
    if leaving.done:
        person = begin(folder, person)
        leaving.act(person)
        finish(folder, person)
    found = search(folder, person.names, person.others)
    lines |= {
        "searched": {"names": len(person.names), "files": found.files, "bytes": found.size},
        "left": [str(path) for path in (*found.found, *found.unread) if path not in leaving.examples],
    }
    _show(lines, "done", as_json=as_json)
    return 1 if lines["left"] else 0


def _leaving(
    folder: Path,
    speaker: str,
    suites: Sequence[Suite],
    manifest: Manifest | None,
    before: Person | None,
    *,
    as_json: bool,
) -> _Leaving:
    """Find out what a folder is, and what there is to do.

    Raises:
        InputError: It is nothing that people can leave.
    """
    from asrfair.errors import InputError
    from asrfair.lastmile.settings import KIT_FILE
    from asrfair.runs.forget import forget_in_run, is_run, person_in_run, plan_run

    def say(text: str) -> None:
        _say(text, as_json=as_json)

    if (folder / KIT_FILE).is_file():
        return _kit(folder, speaker, before, say)
    if (folder / "nights").is_dir():
        return _history(folder, speaker, suites, before, say)
    if is_run(folder):
        person = before or person_in_run(folder, speaker, manifest)
        done, missed = plan_run(folder, person) if before is None else ([_CUT_OFF], [])
        return _Leaving(person=person, done=done, missed=missed, act=lambda who: forget_in_run(folder, who, say=say))
    raise InputError(
        "this is no kit, no run and no history", file=folder, remedy="Name the folder that asrfair made"
    )  # fmt: skip


def _kit(folder: Path, speaker: str, before: Person | None, say: Callable[[str], None]) -> _Leaving:
    from asrfair.lastmile.forget import EXAMPLES, forget_in_kit, person_in_kit, plan_kit
    from asrfair.lastmile.settings import read_kit

    kit = read_kit(folder)
    person = before or person_in_kit(kit, speaker)
    done, missed = plan_kit(kit, person) if before is None else ([_CUT_OFF], [])
    return _Leaving(
        person=person,
        done=done,
        missed=missed,
        act=lambda who: forget_in_kit(kit, who, say=say),
        examples=[folder / name for name in EXAMPLES],
    )


def _history(
    folder: Path, speaker: str, suites: Sequence[Suite], before: Person | None, say: Callable[[str], None]
) -> _Leaving:
    from dataclasses import replace

    from asrfair.nightly.forget import begun_with, forget_in_history, nights_with, plan_history
    from asrfair.nightly.history import History
    from asrfair.runs.forget import person_of

    history = History(folder)
    person = before
    done: list[str] = []
    missed: list[str] = []
    if person is None:
        person = person_of(nights_with(history), speaker)
        if person.utterance_ids:
            done, missed = plan_history(history, person, suites)
            person = replace(person, extra=begun_with(history, person, suites))
    else:
        done, missed = plan_history(history, person, suites)
    return _Leaving(
        person=person, done=done, missed=missed, act=lambda who: forget_in_history(history, who, suites, say=say)
    )


def _manifest(path: Path | None, speaker: str) -> Manifest | None:
    """Read the manifest that somebody has left.

    Raises:
        InputError: The person is still in it.
    """
    from asrfair.data.manifest import read_manifest
    from asrfair.errors import InputError

    if path is None:
        return None
    found = read_manifest(path, allow_outside=True)
    if (found.table["speaker_id"] == speaker).any():
        raise InputError(
            "the manifest still has this person", file=path, value=speaker, remedy="Take their rows out first"
        )
    return found


def _show(lines: dict[str, Any], word: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(lines, ensure_ascii=True))
        return
    if not lines["does"]:
        _say(f"{lines['folder']}: nobody of that name is here.", as_json=False)
    else:
        _say(f"{lines['folder']}: this {'was' if word == 'done' else 'would be'} done:", as_json=False)
    for line in lines["does"]:
        _say(f"  {line}", as_json=False)
    if lines["not_reached"]:
        _say("Not reached from here:", as_json=False)
    for line in lines["not_reached"]:
        _say(f"  {line}", as_json=False)
    if "searched" in lines:
        found = lines["searched"]
        _say(
            f"Searched {found['files']:,} files, {found['bytes']:,} bytes, for {found['names']:,} names.", as_json=False
        )
        for path in lines["left"]:
            _say(f"LEFT in {path}: take it out by hand", as_json=False)
        if not lines["left"]:
            _say("Nothing of them is left.", as_json=False)


def _say(text: str, *, as_json: bool) -> None:
    from asrfair.errors import printable

    if not as_json:
        click.echo(printable(text, limit=2000))
