"""``asrfair nightly``: a suite as the next night of a history; exit code 1 if a gate failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from asrfair.nightly import NightResult
    from asrfair.runs.suite import Suite


@click.command()
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--history",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder of all nights; made if need be. A night that was cut off there is resumed.",
)
@click.option(
    "--baseline",
    default="accepted",
    show_default=True,
    metavar="accepted|NIGHT|window:N|RUN",
    help="Compare with the last accepted night, a night by its number, the N nights before, or a run folder.",
)
@click.option("--accept", type=click.IntRange(1), metavar="NIGHT", help="Make NIGHT the baseline, and do nothing else.")
@click.option("--reason", default="", help="Why it is accepted; kept in the history.")
@click.option(
    "--rescore", is_flag=True, help="Score all nights again by SUITE's rules, for the trend, and do nothing else."
)
@click.option(
    "--bisect",
    is_flag=False,
    flag_value=0,
    type=click.IntRange(0),
    metavar="[NIGHT]",
    help="Run a night (the newest) again with each change alone, say which made its gates fail, and do nothing else.",
)
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Keep only the newest N nights, and accepted ones.")
@click.option(
    "--thin",
    type=click.IntRange(2),
    default=None,
    metavar="M",
    help="With --keep: of the older nights keep the last of each M, for a trend over years.",
)
@click.option("--no-cache", is_flag=True, help="Transcribe everything, even what an earlier night transcribed.")
@click.option("--report", is_flag=True, help="Also write the full report of the run into the night's folder.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write verdict.json, junit.xml and verdict.md over all suites into this folder.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Worker processes (default: one a core).")
@click.option(
    "--on",
    metavar="ray[://HOST:PORT]",
    default="",
    help="Transcribe on a Ray cluster instead of this machine (docs/cluster.md).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON object.")
def nightly(
    suites: tuple[Path, ...],
    history: Path,
    baseline: str,
    accept: int | None,
    reason: str,
    rescore: bool,
    bisect: int | None,
    keep: int | None,
    thin: int | None,
    no_cache: bool,
    report: bool,
    out: Path | None,
    workers: int | None,
    on: str,
    as_json: bool,
) -> int:
    """Run each SUITE as the next night of a history, and judge it by the suite's [gates] (docs/nightly.md).

    \b
    asrfair nightly suite.toml --history nights
    asrfair nightly wards.toml streets.toml --history nights --out verdict
    asrfair nightly suite.toml --history nights --accept 12 --reason "new model, checked by hand"

    Exit codes: 0 all gates hold, 1 a gate failed, 2 bad input, 3 an engine or the machine failed, or an outage: too many
    utterances came back with nothing.
    """  # noqa: D301 -- \b is click's mark for a block that is not wrapped
    from asrfair.nightly import run_night, run_suites
    from asrfair.runs.suite import read_suite

    if thin is not None and keep is None:
        raise click.UsageError("--thin says what becomes of nights older than --keep N: give both")
    read = [read_suite(suite) for suite in suites]
    if accept is not None:
        _accept([suite.name for suite in read], history, accept, reason, as_json=as_json)
        return 0
    if rescore:
        _rescore(read, history, as_json=as_json)
        return 0

    if bisect is not None:
        _bisect(read, history, bisect or None, workers, as_json=as_json)
        return 0

    def night(suite: Suite) -> NightResult:
        return run_night(
            suite,
            history,
            baseline=baseline,
            keep_nights=keep,
            thin=thin or 0,
            cache=not no_cache,
            report=report,
            workers=workers,
            on=on,
            progress=not as_json,
        )

    result = run_suites(read, history, baseline, night)
    if out is not None:
        result.write(out)
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=True, indent=2))
    else:
        for one in result.nights:
            _print(one)
    for one in result.nights:
        for problem in one.untold:
            click.echo(f"asrfair: {one.verdict.suite}: {problem}", err=True)
    for failed in result.failures:
        click.echo(f"asrfair: {failed.suite}: {failed.message}", err=True)
        for problem in failed.untold:
            click.echo(f"asrfair: {failed.suite}: {problem}", err=True)
    return result.exit_code


def _accept(names: list[str], history: Path, number: int, reason: str, *, as_json: bool) -> None:
    import datetime as dt

    from asrfair.errors import InputError
    from asrfair.nightly import History
    from asrfair.nightly.baseline import refuse_outage

    kept = History(history)
    night = kept.night(number)
    if night.suite not in names:
        raise InputError("that night is of another suite", value=night.suite, remedy=f"Name a night of {names[0]}")
    refuse_outage(night)
    kept.accept(number, reason, dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
    if as_json:
        click.echo(json.dumps({"accepted": number, "suite": night.suite}, ensure_ascii=True))
    else:
        click.echo(f"Night {number} is the baseline from now on.")


def _rescore(suites: list[Suite], history: Path, *, as_json: bool) -> None:
    from asrfair.nightly import History
    from asrfair.nightly.rescore import rescore
    from asrfair.nightly.write_trend import write_trend

    kept = History(history)
    for suite in suites:
        numbers, rules = rescore(kept, suite)
        trend = write_trend(kept, suite.name, rules or None)
        if as_json:
            click.echo(json.dumps({"suite": suite.name, "rescored": numbers, "rules": rules}, ensure_ascii=True))
        else:
            by = f" by {rules['rules']}" if rules else ""
            click.echo(f"{len(numbers):,} nights of {suite.name} were scored again{by}: {', '.join(map(str, trend))}")


def _bisect(suites: list[Suite], history: Path, number: int | None, workers: int | None, *, as_json: bool) -> None:
    from asrfair.nightly import History
    from asrfair.nightly.bisect import bisect_night

    for suite in suites:
        found = bisect_night(History(history), suite, number, workers=workers, progress=not as_json)
        lines = [json.dumps(found.to_json(), ensure_ascii=True)] if as_json else found.lines()
        for line in lines:
            click.echo(line)


def _print(result: NightResult) -> None:
    from asrfair.nightly.verdict import counted, power_lines, sentence
    from asrfair.report.console import say, terminal

    console = terminal()
    verdict = result.verdict
    style = {"pass": "bold", "warn": "bold yellow"}.get(verdict.word, "bold red")
    say(console, f"Night {verdict.night} of {verdict.suite}: {verdict.head}", style=style)
    say(console, f"{verdict.tally}.")
    for gate in verdict.failed:
        say(console, f"  FAILED {sentence(gate)}", style="red")
    for gate in verdict.warned:
        say(console, f"  WARN {sentence(gate)}", style="yellow")
    for change in verdict.changes:
        say(console, f"  changed: {change.text}")
    if verdict.baseline and not verdict.changes:
        say(console, "  No input changed since the baseline.")
    for warning in verdict.warnings:
        say(console, f"  {warning}.")
    for line in power_lines(verdict.gates):
        say(console, f"  power: an increase is {line}")
    say(console, counted(verdict))
    if result.removed:
        say(console, f"Removed by --keep: {len(result.removed):,} nights.")
    say(console, f"Night:  {result.night.path}")
    say(console, f"Trend:  {', '.join(map(str, result.trend))}")
