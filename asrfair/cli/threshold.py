"""``asrfair threshold``: how much noise each group can bear, in decibels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="The folder. A search that was cut off there is resumed.",
)  # fmt: skip
@click.option("--place", "places", multiple=True, help="A profile, with a severity if need be; may be given again.")
@click.option(
    "--parameter",
    help="What is turned: snr (default), LABEL.KEY such as room.distance_m, or LABEL.SOURCE.KEY of a layer.",
)
@click.option("--low", type=float, help="Least value of the parameter.")
@click.option("--high", type=float, help="Largest value of the parameter.")
@click.option("--wer", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="The target (default: 0.3).")
@click.option("--levels", type=click.IntRange(3, 20), help="Levels in all (default: 5, three coarse and two adaptive).")
@click.option("--workers", type=click.IntRange(1, 1024), help="Worker processes (default: one a core).")
@click.option("--fresh", is_flag=True, help="Throw away what was heard and begin anew.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def threshold(
    suite: Path,
    out: Path,
    places: tuple[str, ...],
    parameter: str | None,
    low: float | None,
    high: float | None,
    wer: float | None,
    levels: int | None,
    workers: int | None,
    fresh: bool,
    as_json: bool,
) -> int:
    """Find the level at which each group's word error rate reaches a value, for the engines and places of a SUITE.

    The suite's [threshold] table says what is looked for (docs/thresholds.md). Exit code 1 if one of its gates fails.
    """
    from asrfair.runs.suite import read_suite
    from asrfair.runs.threshold import failed_gates, find_thresholds, say_thresholds
    from asrfair.runs.threshold_report import write_threshold_report
    from asrfair.runs.threshold_settings import ThresholdTable
    from asrfair.say.claims import affirmed, claims_of
    from asrfair.say.thresholds import none_affirmed, target_words, threshold_words
    from asrfair.say.words import counted

    read = read_suite(suite)
    changes: dict[str, Any] = {"places": list(places) or None, "parameter": parameter, "wer": wer, "levels": levels}
    changes |= {"low": low, "high": high}
    stated = read.threshold or ThresholdTable()
    table = stated.model_copy(update={key: value for key, value in changes.items() if value is not None})
    found = find_thresholds(read, table, out, workers=workers, fresh=fresh, progress=not as_json)
    claims = say_thresholds(read.statistics, found)
    failed = failed_gates(found.thresholds, claims, table)
    written = write_threshold_report(found, claims, failed, confidence=read.statistics.confidence)
    yes = affirmed(claims_of(claims))
    if as_json:
        content = {
            "run": str(out),
            "thresholds": json.loads(found.thresholds.to_json(orient="records")),
            "claims": json.loads(claims.to_json(orient="records")),
            "failed": failed,
        }
        click.echo(json.dumps(content, indent=2))
        return 1 if failed else 0
    for row in found.thresholds.to_dict("records"):
        place = f"{row['engine']}, {row['place']}, {target_words(row['target'])}"
        click.echo(f"{place}: {row['group']} ({counted(int(row['speakers']), 'speaker')}): {threshold_words(row)}")
    for claim in yes:
        click.echo(claim.text)
    if not yes:
        click.echo(none_affirmed(len(claims)))
    for text in failed:
        click.echo(f"FAILED: {text}")
    click.echo(f"Written: {written[0]} and {len(written) - 1} pictures")
    return 1 if failed else 0
