"""``asrfair run``: a suite, from audio to tables and a report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from asrfair.data.runfile import read_run_file
from asrfair.errors import InputError


@click.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The run folder. A run that was cut off there is resumed.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Worker processes (default: one a core).")
@click.option(
    "--on",
    metavar="ray[://HOST:PORT]",
    default="",
    help="Work on a Ray cluster instead of this machine (docs/cluster.md); with it, --workers counts the cluster's.",
)
@click.option("--fresh", is_flag=True, help="Throw away what the folder's journal holds and begin anew.")
@click.option("--retry-errors", is_flag=True, help="Resume, and try those utterances again that ended in an error.")
@click.option(
    "--shard",
    metavar="I/N",
    help="Transcribe only part I of N (1/N … N/N) into its own folder; `asrfair merge` joins and scores all.",
)
@click.option(
    "--invariance-check",
    type=click.IntRange(1),
    metavar="N",
    help="Transcribe N utterances, balanced over groups, again one at a time: do batches change transcripts?",
)
@click.option("--no-html", is_flag=True, help="Do not write report.html.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def run(
    suite: Path,
    out: Path,
    workers: int | None,
    on: str,
    fresh: bool,
    retry_errors: bool,
    shard: str | None,
    invariance_check: int | None,
    no_html: bool,
    as_json: bool,
) -> None:
    """Transcribe, score and report a SUITE (a TOML file; docs/formats.md).

    Ctrl-C leaves a run that the same command resumes.
    """
    from asrfair.api.stages import transcribe
    from asrfair.cli.closing_lines import print_outcome
    from asrfair.runs.pipeline import run_shard
    from asrfair.runs.suite import read_suite

    settings: dict[str, Any] = {
        "workers": workers,
        "on": on,
        "fresh": fresh,
        "progress": not as_json,
        "retry_errors": retry_errors,
    }
    if shard is not None:
        if invariance_check:
            raise click.UsageError("--invariance-check needs the whole run, not a shard")
        part = parse_shard(shard)
        read = read_suite(suite)
        summary = run_shard(read, out, shard=part, **settings)
        if as_json:
            click.echo(json.dumps({"run": str(out), "shard": list(part), **summary.volatile()}, indent=2))
        else:
            for line in summary.lines():
                click.echo(line)
            click.echo(f"Part {part[0] + 1} of {part[1]} is in {out}. Join all parts: asrfair merge PART… --out RUN")
            if read.threshold is not None:
                click.echo(
                    "Parts do not search for thresholds: asrfair run SUITE --out RUN does, once they are joined."
                )
        return
    result = transcribe(suite, out=out, report=True, html=not no_html, invariance=invariance_check or 0, **settings)
    print_outcome(result, as_json=as_json)
    if invariance_check and not as_json:
        for line in invariance_lines(out):
            click.echo(line)


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``I/N``, counted from 1, as ``(i, n)`` counted from 0.

    Raises:
        InputError: It is not two numbers with 1 ≤ I ≤ N.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise InputError("a shard is I/N with 1 ≤ I ≤ N", column="--shard", value=text, remedy="Give 1/4, 2/4, …")
    return number - 1, count


def invariance_lines(run: Path) -> list[str]:
    """Return what the check found, a line an engine."""
    found = read_run_file(run)["invariance"]
    lines = []
    for label, engine in found["engines"].items():
        if not engine["batched"]:
            lines.append(f"Batches: {label} gets one utterance a call, so none of its transcripts depends on a batch.")
            continue
        parts = [
            f"{condition}: {row['flips']} of {row['utterances']} transcripts differ, "
            f"WER {_percent(row['wer_run'])} in batches, {_percent(row['wer_alone'])} alone"
            for condition, row in engine["conditions"].items()
        ]
        lines.append(f"Batches: {label}: {'; '.join(parts) or 'nothing to compare'} (invariance.csv).")
    return lines


def _percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{100 * rate:.2f} %"
