"""``asrfair plan``: what a suite costs before it is run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from asrfair.runs.cost import Cost
    from asrfair.runs.suite import Suite

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("suite_path", metavar="SUITE", type=_PATH)
@click.option(
    "--cost", "prices", type=_PATH, required=True, metavar="PRICES",
    help="A TOML file with the speeds of engines and what an hour costs (docs/scale.md).",
)  # fmt: skip
@click.option(
    "--measured", multiple=True, type=_PATH, metavar="RUN",
    help="Take engines' speeds from this run where the file states none; may be given several times.",
)  # fmt: skip
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), help="Hours of audio, where there is no manifest yet."
)
@click.option("--utterances", type=click.IntRange(1), help="Utterances, likewise (default: 5 s each).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(
    suite_path: Path,
    prices: Path,
    measured: tuple[Path, ...],
    hours: float | None,
    utterances: int | None,
    as_json: bool,
) -> None:
    """Say what SUITE needs: hours of devices and cores, requests, disk, the driver's memory, money.

    Hours and utterances are those of its manifest, whose durations must be stated, or given.
    """
    from asrfair.runs.cost import plan_cost
    from asrfair.runs.suite import read_suite

    suite = read_suite(suite_path)
    if hours is None:
        hours, utterances = _corpus(suite)
    found = plan_cost(suite, prices, hours=hours, utterances=utterances or round(hours * 720), measured=measured)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return
    _print(found, len(suite.conditions))


def _corpus(suite: Suite) -> tuple[float, int]:
    from asrfair.data.manifest import read_manifest
    from asrfair.errors import InputError

    manifest = read_manifest(suite.manifest, allow_outside=suite.allow_outside, allow_remote=None)
    table = manifest.table[manifest.table["exclude"] == ""]
    length = table["duration_s"].fillna(table["end_s"] - table["start_s"].fillna(0))
    if length.isna().any():
        raise InputError(
            f"{int(length.isna().sum()):,} utterances have no duration",
            file=suite.manifest,
            remedy="Fill the column duration_s, or give --hours and --utterances",
        )
    return float(length.sum()) / 3600, len(table)


def _print(cost: Cost, conditions: int) -> None:
    click.echo(
        f"{_amount(cost.hours)} h of audio ({cost.utterances:,} utterances) × {conditions} conditions × "
        f"{len(cost.engines)} engines = {cost.rows:,} transcripts"
    )
    width = max(len("engine"), *(len(engine.label) for engine in cost.engines))
    click.echo(
        f"{'engine':{width}}  {'on':7}  {'GPU h':>9}  {'core h':>9}  {'requests':>13}  {'elapsed h':>9}  {cost.currency:>10}"
    )
    for engine in cost.engines:
        click.echo(
            f"{engine.label:{width}}  {engine.on:7}  {_amount(engine.gpu_hours):>9}  {_amount(engine.core_hours):>9}  "
            f"{engine.requests:>13,}  {_amount(engine.wall_hours):>9}  {engine.price:>10,.2f}"
        )
    total = cost.engines
    click.echo(
        f"{'in all':{width}}  {'':7}  {_amount(sum(e.gpu_hours for e in total)):>9}  "
        f"{_amount(sum(e.core_hours for e in total)):>9}  {sum(e.requests for e in total):>13,}  "
        f"{_amount(sum(e.wall_hours for e in total)):>9}  {cost.price:>10,.2f}"
    )
    click.echo(f"Run folder: {_amount(cost.disk_gb)} GB. Memory of the driver: {_amount(cost.memory_gb)} GB.")


def _amount(value: float) -> str:
    """A number with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
