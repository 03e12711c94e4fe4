"""``run.json``: what a run was made of, enough to make it again.

What may differ between equal runs is under ``volatile``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asrfair.data.wholefile import write_json
from asrfair.errors import InputError
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

RUN_FILE = "run.json"
NIGHT_FILE = "night.json"
"""What makes a folder a night of a history (see :mod:`asrfair.nightly.history`)."""


def refuse_night(run: Path) -> None:
    """Keep a night as it was: nothing is scored or transcribed into its folder.

    Raises:
        InputError: The folder is a night of a history.
    """
    if (run / NIGHT_FILE).exists():
        raise InputError(
            "this folder is a night of a history, and nights are never changed",
            file=run,
            remedy="Score old nights by other rules with 'asrfair nightly SUITE --history DIR --rescore', or copy the folder",
        )


def write_run_file(run: Path, content: Mapping[str, Any]) -> None:
    """Write ``run.json`` in one step: a reader sees the old file or the new one, never half of one."""
    write_json(run / RUN_FILE, content)


def read_run_file(run: Path) -> dict[str, Any]:
    """Read ``run.json`` of a run folder.

    Raises:
        InputError: The folder is no run folder, or the file is damaged.
    """
    path = run / RUN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "this is not a run folder: it has no run.json",
            file=run,
            remedy="Make one with 'asrfair run' or 'asrfair score'",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"run.json cannot be read: {error}", file=path, remedy="Run the suite again") from error
    if not isinstance(content, dict):
        raise InputError("run.json is not a JSON object", file=path, remedy="Run the suite again")
    return content


def settings_to_json(
    groups: GroupSettings, scoring: ScoringSettings, statistics: StatisticsSettings
) -> dict[str, dict[str, Any]]:
    """Return the three settings as JSON objects."""
    return {
        "groups": {**asdict(groups), "by": [list(item) for item in groups.by]},
        "scoring": {**asdict(scoring), "key_terms": list(scoring.key_terms), "metrics": list(scoring.metrics)},
        "statistics": asdict(statistics),
    }


def settings_from_json(content: Mapping[str, Any]) -> tuple[GroupSettings, ScoringSettings, StatisticsSettings]:
    """Read the settings back out of ``run.json``.

    Raises:
        InputError: They are not what this version of asrfair writes.
    """
    try:
        groups = dict(content["groups"])
        groups["by"] = tuple(tuple(item) for item in groups["by"])
        scoring = dict(content["scoring"])
        for key in ("key_terms", "metrics"):
            scoring[key] = tuple(scoring.get(key, ()))
        scoring.pop("normalizer_version", None)  # what was found when scoring, not a setting
        statistics = dict(content["statistics"])
        for key in ("adjust", "normalizers", "metrics", "primary"):
            statistics[key] = tuple(statistics.get(key, ()))
        return GroupSettings(**groups), ScoringSettings(**scoring), StatisticsSettings(**statistics)
    except (KeyError, TypeError) as error:
        raise InputError(f"run.json lacks settings: {error}", remedy="Run the suite again") from error
