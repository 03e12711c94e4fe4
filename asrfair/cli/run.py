"""``asrfair run``: a suite, from audio to tables and a report."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The run folder. A run that was cut off there is resumed.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Worker processes (default: one a core).")
@click.option("--fresh", is_flag=True, help="Throw away what the folder's journal holds and begin anew.")
@click.option("--no-html", is_flag=True, help="Do not write report.html.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def run(suite: Path, out: Path, workers: int | None, fresh: bool, no_html: bool, as_json: bool) -> None:  # fmt: skip
    """Transcribe, score and report a SUITE (a TOML file; docs/formats.md).

    Ctrl-C leaves a run that the same command resumes.
    """
    from asrfair.cli.outcome import print_outcome
    from asrfair.pipeline import run_suite
    from asrfair.suite import read_suite

    result = run_suite(read_suite(suite), out, workers=workers, fresh=fresh, progress=not as_json, html=not no_html)
    print_outcome(result, as_json=as_json)
