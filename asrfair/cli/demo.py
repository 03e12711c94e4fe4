"""``asrfair demo``: the main job on the synthetic corpus that ships with asrfair."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-run"),
    show_default=True,
    help="The run folder.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Worker processes (default: one a core).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def demo(out: Path, workers: int | None, as_json: bool) -> None:  # fmt: skip
    """Transcribe the synthetic demo corpus with PocketSphinx, and make tables, plots and a report of it.

    The speech is synthetic: the demo shows what asrfair does, and nothing about people.
    """
    from asrfair.api.stages import transcribe
    from asrfair.cli.closing_lines import print_outcome
    from asrfair.data.resources import shipped

    suite = shipped("manifests") / "demo" / "suite.toml"
    print_outcome(transcribe(suite, out=out, workers=workers, progress=not as_json, report=True), as_json=as_json)
