"""``asrfair manifest``: take a corpus in, find what is wrong with it, see who speaks in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asrfair.cli.plan import plan
from asrfair.errors import InputError, printable

if TYPE_CHECKING:
    from asrfair.data.manifest import Problem
    from asrfair.data.manifest.describe import Description

_PATH = click.Path(path_type=Path)
_allow_outside = click.option(
    "--allow-outside", is_flag=True, help="Allow paths that leave the manifest's folder (links followed)."
)
_allow_remote = click.option(
    "--allow-remote",
    multiple=True,
    metavar="ADDRESS",
    help="Allow audio to be fetched from below this address, such as s3://my-bucket; may be given several times.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


@click.group()
def manifest() -> None:
    """Import, validate, describe a manifest: who spoke, what was said, where the audio is."""


manifest.add_command(plan)


# --- validate -----------------------------------------------------------------------------------------------------


@manifest.command()
@click.argument("path", type=_PATH)
@click.option("--audio/--no-audio", default=True, help="Open every audio file (default), or look at the table only.")
@_allow_outside
@_allow_remote
@_as_json
def validate(path: Path, audio: bool, allow_outside: bool, allow_remote: tuple[str, ...], as_json: bool) -> int:
    """List everything that is wrong with the manifest at PATH (a card or a bare table).

    Exits with 2 if anything makes it unusable, with 0 if there are only warnings.
    """
    from asrfair.data.manifest import inspect_manifest, problems

    rows = 0
    try:
        read = inspect_manifest(path, allow_outside=allow_outside, allow_remote=allow_remote)
        rows = len(read)
        found = problems(read, audio=audio)
    except InputError as error:
        found = [_as_problem(error, path)]
    errors = sum(problem.severity == "error" for problem in found)
    if as_json:
        listing = [_problem_json(problem) for problem in found]
        summary = {"path": str(path), "rows": rows, "errors": errors, "warnings": len(found) - errors}
        click.echo(json.dumps(summary | {"problems": listing}, ensure_ascii=True, indent=2))
    else:
        for problem in found:
            click.echo(_problem_line(problem))
        click.echo(
            f"{printable(str(path), limit=500)}: {rows:,} rows, {errors:,} errors, {len(found) - errors:,} warnings"
        )
    return 2 if errors else 0


def _as_problem(error: InputError, path: Path) -> Problem:
    from asrfair.data.manifest import Problem

    return Problem(
        file=error.file or path,
        row=error.line,
        column=error.column or "",
        value="" if error.value is None else str(error.value),
        message=error.message,
        remedy=error.remedy,
        severity="error",
    )


def _problem_line(problem: Problem) -> str:
    where = printable(str(problem.file), limit=500) + (f":{problem.row}" if problem.row is not None else "")
    severity = click.style(problem.severity, fg="red" if problem.severity == "error" else "yellow", bold=True)
    column = f" (column '{printable(problem.column, limit=80)}')" if problem.column else ""
    value = f" [value: '{printable(problem.value, limit=120)}']" if problem.value else ""
    remedy = f". {printable(problem.remedy, limit=500)}" if problem.remedy else ""
    return f"{where}: {severity}: {printable(problem.message, limit=1000)}{column}{value}{remedy}"


def _problem_json(problem: Problem) -> dict[str, Any]:
    return {
        "file": str(problem.file),
        "row": problem.row,
        "column": problem.column,
        "value": problem.value[:1000],
        "message": problem.message,
        "remedy": problem.remedy,
        "severity": problem.severity,
    }


# --- describe -----------------------------------------------------------------------------------------------------


@manifest.command()
@click.argument("path", type=_PATH)
@click.option(
    "--by",
    multiple=True,
    metavar="ATTRIBUTE[,ATTRIBUTE…]",
    help="An attribute or an intersection; may be given several times (default: all that have few enough groups).",
)
@click.option("--min-speakers", type=click.IntRange(1), default=5, show_default=True, help="Fewer are a hole.")
@click.option("--min-words", type=click.IntRange(0), default=100, show_default=True, help="Fewer are a hole.")
@click.option("--measure", is_flag=True, help="Open audio files for the lengths that the table does not state.")
@_allow_outside
@_allow_remote
@_as_json
def describe(
    path: Path,
    by: tuple[str, ...],
    min_speakers: int,
    min_words: int,
    measure: bool,
    allow_outside: bool,
    allow_remote: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show who speaks in the manifest at PATH: hours, speakers, utterances and words of every group.

    Also where the holes are, and which attributes cannot be told apart.
    """
    from asrfair.data.manifest import check_groupable, read_manifest
    from asrfair.data.manifest.describe import describe as describe_manifest

    read = read_manifest(path, allow_outside=allow_outside, allow_remote=allow_remote if measure else None)
    asked = [tuple(name.strip() for name in names.split(",") if name.strip()) for names in by]
    check_groupable(read, asked, allow_inferred=True)
    limits = {"min_speakers": min_speakers, "min_words": min_words}
    found = describe_manifest(read, asked or None, **limits, measure=measure)
    if as_json:
        card = {"name": read.card.name, "version": read.card.version, "licence": read.card.licence}
        summary = {"manifest": card, "fingerprint": read.fingerprint, "rows": len(read)}
        click.echo(json.dumps(summary | _description_json(found), ensure_ascii=True, indent=2))
        return
    _print_description(found, f"{read.card.name} {read.card.version}".strip())


def _description_json(found: Description) -> dict[str, Any]:
    groups = found.groups.to_dict(orient="records")
    for row in groups:
        row["hours"] = None if math.isnan(row["hours"]) else row["hours"]
    return {"groups": groups, "holes": found.holes.to_dict(orient="records"), "notes": list(found.notes)}


def _print_description(found: Description, title: str) -> None:
    from asrfair.report.console import print_table, say, terminal
    from asrfair.report.tables import Column, Table

    console = terminal()
    groups = found.groups.copy()
    groups["hours"] = groups["hours"].map(lambda hours: "" if math.isnan(hours) else f"{hours:.2f}")
    columns = (
        Column(name="group", heading="Group"),
        Column(name="speakers", heading="Speakers", kind="count"),
        Column(name="utterances", heading="Utterances", kind="count"),
        Column(name="words", heading="Words", kind="count"),
        Column(name="hours", heading="Hours"),
        Column(name="excluded", heading="Excluded", kind="count"),
        Column(name="flag", heading="Flag", kind="flag"),
    )
    for attribute, part in groups.groupby("attribute", sort=False):
        heading = title if attribute == "overall" else str(attribute)
        shown = part.reset_index(drop=True)
        if not shown["excluded"].any():
            shown = shown.drop(columns="excluded")
        if not (shown["hours"] != "").any():
            shown = shown.drop(columns="hours")
        print_table(Table(name="groups", title=printable(heading), columns=columns, frame=shown), console=console)
    if len(found.holes):
        holes = (
            Column(name="attribute", heading="Attribute"),
            Column(name="group", heading="Group"),
            Column(name="why", heading="What there is"),
        )
        print_table(
            Table(name="holes", title="Holes in the coverage", columns=holes, frame=found.holes), console=console
        )
    for note in found.notes:
        say(console, f"- {note}")


# --- import -------------------------------------------------------------------------------------------------------


@manifest.command("import")
@click.argument("source_name", metavar="IMPORTER")
@click.argument("path", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="The folder of the manifest; best the corpus' own folder.")
@click.option("--name", "manifest_name", default="", help="The manifest's name (default: the corpus').")
@click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the importer.")
@click.option(
    "--format", "table_format", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True
)
@click.option("--durations/--no-durations", default=True, help="Open audio files to fill in durations (default).")
@click.option("--copy-audio", is_flag=True, help="Copy the audio into the manifest's folder.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier manifest of the same name.")
@_as_json
def import_command(
    source_name: str,
    path: Path,
    out: Path,
    manifest_name: str,
    pairs: tuple[str, ...],
    table_format: str,
    durations: bool,
    copy_audio: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a manifest (card and table) of the corpus at PATH.

    IMPORTER is a name that 'asrfair manifest importers' shows, or your own: module:function or file.py:function.
    """
    from asrfair.data.corpora import import_corpus

    if not path.exists() and source_name != "hf":
        raise InputError("there is no such file or folder", file=path, remedy="Give the corpus as it was unpacked")
    if manifest_name and (manifest_name != Path(manifest_name).name or not manifest_name.isprintable()):
        raise InputError("a manifest's name is a plain file name", value=manifest_name, remedy="Choose another --name")
    found = import_corpus(
        source_name,
        path,
        out,
        options=_options(pairs),
        manifest_name=manifest_name,
        table_format=table_format,
        durations=durations,
        copy_audio=copy_audio,
        overwrite=overwrite,
    )
    if as_json:
        written = {"card": str(found.card), "table": str(found.table), "rows": found.rows, "speakers": found.speakers}
        click.echo(json.dumps(written | {"notes": list(found.notes)}, ensure_ascii=True, indent=2))
        return
    for note in found.notes:
        click.echo(f"- {printable(note, limit=1000)}")
    click.echo(f"{found.rows:,} utterances of {found.speakers:,} speakers")
    click.echo(f"Card:  {printable(str(found.card), limit=500)}")
    click.echo(f"Table: {printable(str(found.table), limit=500)}")
    click.echo(f"Next:  asrfair manifest validate {printable(str(found.card), limit=500)}")


def _options(pairs: tuple[str, ...]) -> dict[str, str]:
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise InputError("an option is KEY=VALUE", value=pair, remedy="For example --option split=test")
        options[key.strip()] = value.strip()
    return options


@manifest.command()
@_as_json
def importers(as_json: bool) -> None:
    """List the importers, with the layout that each expects and its options."""
    from asrfair.data.corpora import find_importer, importer_names

    found = {name: find_importer(name) for name in importer_names()}
    if as_json:
        listing = {
            name: {"summary": one.summary, "layout": one.layout, "options": dict(one.options or {})}
            for name, one in found.items()
        }
        click.echo(json.dumps(listing, ensure_ascii=True, indent=2))
        return
    for name, one in found.items():
        click.echo(f"{click.style(printable(name), bold=True)}: {printable(one.summary, limit=300)}")
        click.echo(f"    {printable(one.layout, limit=500)}")
        for option, line in (one.options or {}).items():
            click.echo(f"    --option {printable(option)}=…  {printable(line, limit=300)}")
