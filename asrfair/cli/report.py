"""``asrfair report RUN``: write the report of a run again, from its files."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write into; the run folder itself if not given."
)
@click.option("--no-html", is_flag=True, help="Write no report.html.")
@click.option("--no-plots", is_flag=True, help="Write no plots.")
@click.option(
    "--tables",
    "formats",
    multiple=True,
    help="Also write every table as csv, markdown, latex, json or parquet into tables/ (may be given several times).",
)
@click.option(
    "--audio",
    "manifest",
    type=click.Path(path_type=Path),
    help="Manifest of the run: put recordings of the worst utterances into the page, if its suite allows that.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the files written as JSON instead of the answer.")
def report(
    run: Path,
    out: Path | None,
    manifest: Path | None,
    *,
    no_html: bool,
    no_plots: bool,
    formats: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write report.md, report.html and plots/ of RUN, and print the answer.

    Only the files of the run folder are read (and, with --audio, the recordings of a few utterances): no engine.
    """
    from asrfair.api.result import load_run
    from asrfair.report import print_run

    result = load_run(run)
    written = result.report(out, html=not no_html, plots=not no_plots, tables=formats, manifest=manifest)
    if as_json:
        click.echo(json.dumps({"run": str(run), "files": [str(path) for path in written]}, ensure_ascii=True, indent=1))
        return
    print_run(result.run)
    click.echo("")
    for path in written:
        if path.suffix in {".md", ".html"}:
            click.echo(f"Wrote {path}")
