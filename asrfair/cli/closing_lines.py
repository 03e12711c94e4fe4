"""What ``run``, ``score`` and ``demo`` print at the end: the answer, what was not scored, and where the files are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asrfair.data.runfile import read_run_file, settings_from_json
from asrfair.types import SCORED

if TYPE_CHECKING:
    from asrfair.api.result import Result
    from asrfair.runs.pipeline import RunResult


def print_outcome(found: Result, *, as_json: bool) -> None:
    """Print the tables and the files of a run that was just made; one JSON object with ``as_json``."""
    result = found.made
    assert result is not None
    if as_json:
        click.echo(json.dumps(_to_json(result), ensure_ascii=True, indent=2))
        return
    from asrfair.report import print_run
    from asrfair.report.console import say, terminal

    console = terminal()
    print_run(found.run, console=console)
    console.print()
    say(console, ledger_line(result))
    if result.transcribe is not None:
        for line in result.transcribe.lines():
            say(console, line)
    for note in result.notes:
        say(console, note)
    names = {path.name for path in result.written}
    pages = [str(result.run / name) for name in ("report.html", "report.md") if name in names]
    say(console, f"Tables: {result.run / 'disparity.csv'}, {result.run / 'gaps.csv'}")
    say(console, f"Plots:  {result.run / 'plots'}{'/'}")
    say(console, f"Report: {pages[0] if pages else result.run}")


def ledger_line(result: RunResult) -> str:
    """Return one line that accounts for every utterance, by reason."""
    scored, rows, counts = _counts(result)
    reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items() if count)
    return (
        f"{scored:,} of {rows:,} rows (utterance × engine × condition) were scored."
        f" Ledger: {reasons or 'empty'} ({Path(result.run / 'ledger.csv')})."
    )


def _counts(result: RunResult) -> tuple[int, int, Mapping[str, int]]:
    """Rows scored, all rows and ledger rows by reason, of the utterances that the analysis looks at."""
    frame = result.analysis.frame
    if not frame.filtered_out:
        return result.score.statuses["scored"], result.score.rows, result.score.reasons
    from asrfair.stats.core_tables import read_ledger

    ledger = read_ledger(result.run)
    mine = ledger[ledger["utterance_id"].isin(frame.utterances["utterance_id"])]
    return int((frame.status == SCORED).sum()), int(frame.status.size), dict(Counter(mine["reason"].tolist()))


def _to_json(result: RunResult) -> dict[str, Any]:
    from asrfair.stats import named

    metric = result.analysis.frame.metric
    tables = {
        name: json.loads(named(result.analysis.tables[name], metric).to_json(orient="records", double_precision=15))
        for name in ("disparity", "gaps")
    }
    scored, rows, reasons = _counts(result)
    groups = settings_from_json(read_run_file(result.run))[0]
    return {
        "run": str(result.run),
        "where": dict(groups.where),
        "rows": rows,
        "scored": scored,
        "ledger": dict(reasons),
        "files": [str(path) for path in result.written],
        "notes": list(result.notes),
        **tables,
    }
