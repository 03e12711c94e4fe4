"""``asrfair bench``: how fast an engine is on this machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("engine")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the engine, its value as in a suite (TOML) or plain text; may be given several times.",
)
@click.option("--utterances", type=click.IntRange(1, 100_000), default=64, show_default=True, help="Generated clips.")
@click.option("--median-s", type=click.FloatRange(0.5, 30), default=5.0, show_default=True, help="Median length.")
@click.option(
    "--sigma",
    type=click.FloatRange(0, 3),
    default=0.6,
    show_default=True,
    help="Spread of lengths: standard deviation of their logarithm.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the audio.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processor threads.")
@click.option(
    "--random-weights",
    is_flag=True,
    help="Build the model from its configuration alone: the speed is real, its text is meaningless.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(
    engine: str,
    options: tuple[str, ...],
    utterances: int,
    median_s: float,
    sigma: float,
    seed: int,
    threads: int,
    random_weights: bool,
    as_json: bool,
) -> None:
    """Measure the speed of ENGINE on generated audio: RTFx with and without decoding, padding, GPU use.

    The audio is no speech: services bill for it, and recognisers make up text.
    """
    from dataclasses import asdict

    from asrfair.recognise.bench import bench as measure
    from asrfair.recognise.bench import lognormal_lengths
    from asrfair.types import EngineSpec

    chosen: dict[str, Any] = dict(parse_option(text) for text in options)
    if random_weights:
        chosen["random_weights"] = True
    lengths = lognormal_lengths(utterances, median_s=median_s, sigma=sigma, seed=seed)
    with tempfile.TemporaryDirectory(prefix="asrfair-bench-") as folder:
        found = measure(
            EngineSpec(name=engine, label=engine, options=chosen),
            Path(folder),
            lengths_s=lengths.tolist(),
            seed=seed,
            threads=threads,
        )
    if as_json:
        rates = {"rtfx": found.rtfx, "rtfx_with_decoding": found.rtfx_with_decoding}
        click.echo(json.dumps({**asdict(found), **rates}, indent=2))
        return
    if found.meaningless:
        click.echo("RANDOM WEIGHTS: the speed is that of the model's shape; any text it gives is meaningless.")
    click.echo(f"{engine} on {found.device}, {found.utterances} clips, {found.audio_s:.0f} s of generated audio")
    click.echo(f"ready after                {found.load_s:8.1f} s")
    click.echo(f"RTFx, audio decoded before {found.rtfx:8.1f}")
    click.echo(f"RTFx with decoding         {found.rtfx_with_decoding:8.1f}")
    click.echo(f"padding efficiency         {found.padding_efficiency:8.3f}  ({found.batches} batches)")
    if found.gpu:
        click.echo(
            f"GPU use                    {found.gpu['use_percent']:8.0f} %  peak {found.gpu['peak_mib']:.0f} MiB"
        )


def parse_option(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE``; the value is TOML if it is valid TOML, and plain text otherwise.

    Raises:
        InputError: There is no ``=``.
    """
    import tomllib

    from asrfair.errors import InputError

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(
            "an option is NAME=VALUE", column="--option", value=text, remedy="Such as: --option max_batch=8"
        )
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value
