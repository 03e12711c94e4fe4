"""``asrfair merge``: shards to one run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The new run folder.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes for scoring.")
@click.option("--no-html", is_flag=True, help="Do not write report.html.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def merge(shards: tuple[Path, ...], out: Path, workers: int | None, no_html: bool, as_json: bool) -> None:
    """Join all SHARDS of a suite (folders of `asrfair run --shard I/N`), score and report them.

    The tables are those of a run that was made in one go.
    """
    from asrfair.api.result import load_run
    from asrfair.cli.closing_lines import print_outcome
    from asrfair.runs.merge_shards import merge_runs

    made = merge_runs(shards, out, workers=workers, html=not no_html)
    print_outcome(load_run(made.run, made=made), as_json=as_json)
