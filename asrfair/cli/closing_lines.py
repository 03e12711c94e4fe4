"""What ``run``, ``score`` and ``demo`` print at the end: the answer, what was not scored, and where the files are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from asrfair.runs.pipeline import RunResult


def print_outcome(result: RunResult, *, as_json: bool) -> None:
    """Print the tables and the files of a finished run; one JSON object with ``as_json``."""
    if as_json:
        click.echo(json.dumps(_to_json(result), ensure_ascii=True, indent=2))
        return
    from asrfair.report import load_run, print_run
    from asrfair.report.tables import say, terminal

    console = terminal()
    print_run(load_run(result.run), console=console)
    console.print()
    say(console, ledger_line(result))
    if result.transcribe is not None:
        for line in result.transcribe.lines():
            say(console, line)
    names = {path.name for path in result.written}
    pages = [str(result.run / name) for name in ("report.html", "report.md") if name in names]
    say(console, f"Tables: {result.run / 'disparity.csv'}, {result.run / 'gaps.csv'}")
    say(console, f"Plots:  {result.run / 'plots'}{'/'}")
    say(console, f"Report: {pages[0] if pages else result.run}")


def ledger_line(result: RunResult) -> str:
    """Return one line that accounts for every utterance, by reason."""
    score = result.score
    reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in score.reasons.items() if count)
    return (
        f"{score.statuses['scored']:,} of {score.rows:,} rows (utterance × engine × condition) were scored."
        f" Ledger: {reasons or 'empty'} ({Path(result.run / 'ledger.csv')})."
    )


def _to_json(result: RunResult) -> dict[str, Any]:
    tables = {
        name: json.loads(result.analysis.tables[name].to_json(orient="records", double_precision=15))
        for name in ("disparity", "gaps")
    }
    return {
        "run": str(result.run),
        "rows": result.score.rows,
        "scored": result.score.statuses["scored"],
        "ledger": dict(result.score.reasons),
        "files": [str(path) for path in result.written],
        **tables,
    }
