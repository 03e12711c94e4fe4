"""``asrfair engines``: which recognisers there are, which are installed, and what installs the others."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def engines(as_json: bool) -> None:
    """List the engines: what each is, whether it is installed, and the command that installs it."""
    from asrfair.recognise.engines.table import entries

    rows = [
        {
            "name": name,
            "installed": not entry.missing(),
            "missing": list(entry.missing()),
            "install": entry.install_command(),
            "origin": entry.origin,
            "summary": entry.summary,
        }
        for name, entry in entries().items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=True))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from asrfair.errors import printable

    table = Table(box=None, pad_edge=False)
    for heading in ("engine", "installed", "what it is"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "what it is")
    for row in rows:
        install = "yes" if row["installed"] else str(row["install"])
        table.add_row(Text(printable(str(row["name"]))), Text(install), Text(printable(str(row["summary"]))))
    console = Console()
    console.print(table, width=None if console.is_terminal else 200)
