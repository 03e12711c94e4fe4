"""Old nights by new rules: every night's transcripts are scored again, without audio, for the trend.

The nights themselves, their gates and their verdicts stay as they were. What is made here can be made again, and lies
beside them: ``DIR/rescored/night-000007/``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrfair.data.runfile import settings_to_json
from asrfair.data.tablefile import write_parquet
from asrfair.nightly.baseline import score_again
from asrfair.nightly.changes import rules_of
from asrfair.nightly.history import History, Night, explained, room_needed, write_json
from asrfair.runs.suite import Suite
from asrfair.scoring.metric import WER, get_metric
from asrfair.stats import analyse_run, named

RULES_FILE = "rules.json"


def rescore(history: History, suite: Suite) -> tuple[list[int], Mapping[str, Any]]:
    """Score all nights of a suite again by its present rules, for its present groups.

    Returns:
        The numbers of the nights, and the rules.
    """
    done: list[int] = []
    rules: Mapping[str, Any] = {}
    for night in history.nights(suite.name):
        with room_needed(history.folder), tempfile.TemporaryDirectory(prefix="asrfair-rescore-") as name:
            again, made = Path(name) / "run", Path(name) / "made"
            again.mkdir()
            made.mkdir()
            summary = score_again(night.path, again, suite.scoring)
            content: dict[str, Any] = settings_to_json(suite.groups, suite.scoring, suite.statistics)
            metric = get_metric(suite.statistics.metric).as_errors()
            if metric != WER:
                content["metric"] = metric.to_json()
            content["scoring"]["normalizer_version"] = summary.normalizer
            rules = rules_of(content)
            analysis = analyse_run(again, suite.groups, suite.statistics, full=False, metric=metric)
            for table, source in (("groups", "disparity"), ("gaps", "gaps")):
                frame = named(analysis.tables[source], WER)
                frame.insert(0, "night", night.number)
                frame.insert(1, "suite", suite.name)
                write_parquet(frame, made / f"{table}.parquet")
            write_json(made / RULES_FILE, rules)
            _put(made, history, night)
        done.append(night.number)
    return done, rules


def _put(made: Path, history: History, night: Night) -> None:
    """Put a folder into its place, as a whole."""
    target = rescored_path(night)
    with explained(history.folder), history.lock():
        aside = history.folder / "incoming" / f"rescored-{night.number}"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(made, aside)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)


def rescored_path(night: Night) -> Path:
    """Return where a night's tables by other rules lie, if there are any."""
    return night.path.parent.parent / "rescored" / night.path.name


def table_by_rules(night: Night, name: str, rules: Mapping[str, Any]) -> Path:
    """Return a night's table, as scored again if that was by these rules and the night was not."""
    own = night.path / f"{name}.parquet"
    if dict(night.content.get("inputs", {}).get("normalizer", {})) == dict(rules):
        return own
    again = rescored_path(night)
    try:
        found = json.loads((again / RULES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return own
    return again / own.name if found == dict(rules) else own
