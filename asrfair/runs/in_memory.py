"""A run without a folder: two tables in, everything that a run folder would hold out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from asrfair.data.runfile import write_run_file
from asrfair.data.tablefile import write_csv, write_parquet
from asrfair.runs.pipeline import run_content
from asrfair.say.record import say_run
from asrfair.scoring import ScoredTables, score_tables
from asrfair.scoring.metric import WER, Metric
from asrfair.stats import Frame, analyse_frame, frame_of, write_tables
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings


@dataclass(frozen=True, kw_only=True)
class RunInMemory:
    """A scored and analysed run.

    Args:
        content: What ``run.json`` would say.
        utterances: As ``utterances.parquet``.
        hypotheses: As ``hypotheses.parquet``.
        scored: Scores and ledger.
        frame: The scores by speaker.
        tables: The tables of the analysis; ``claims`` without sentences.
    """

    content: Mapping[str, Any]
    utterances: pa.Table
    hypotheses: pa.Table
    scored: ScoredTables
    frame: Frame
    tables: Mapping[str, pd.DataFrame]

    def save(self, run: Path) -> None:
        """Write a run folder as the pipeline does; a report can be made of it, and it can be scored again."""
        run.mkdir(parents=True, exist_ok=True)
        for name, table in (
            ("utterances", self.utterances),
            ("hypotheses", self.hypotheses),
            ("scores", self.scored.scores),
        ):
            write_parquet(table.to_pandas(), run / f"{name}.parquet")
        write_csv(self.scored.ledger, run / "ledger.csv")
        write_tables(self.tables, run, self.frame.metric)
        say_run(run, self.tables, self.content)
        write_run_file(run, self.content)


def run_tables(
    utterances: pa.Table,
    hypotheses: pa.Table,
    manifest: Mapping[str, Any],
    *,
    groups: GroupSettings,
    scoring: ScoringSettings,
    statistics: StatisticsSettings,
    metric: Metric,
) -> RunInMemory:
    """Score and analyse tables in memory, by the steps of :mod:`asrfair.runs.pipeline`.

    Args:
        utterances: The columns of ``utterances.parquet``, attributes among them.
        hypotheses: The columns of ``hypotheses.parquet``; rows of one engine and condition together.
        manifest: What ``run.json`` says of the utterances.
        groups: Whom to compare.
        scoring: How text is compared.
        statistics: How sure.
        metric: What is measured.

    Raises:
        InputError: A setting does not fit the tables.
    """
    scored = score_tables(utterances, hypotheses, scoring)
    tables = {"hypotheses": hypotheses}
    frame = frame_of(utterances, scored.scores, groups, metric=metric, tables=tables)
    content = run_content(manifest, groups, scoring, statistics)
    if frame.metric != WER:
        content["metric"] = frame.metric.to_json()
    content["suite"] = {"name": manifest["name"], "description": "transcripts in memory", "title": "", "audio": False}
    content["seed"] = statistics.seed
    content["engines"] = [
        {"label": name, "name": "precomputed", "options": {}, "fingerprint": {}} for name in frame.engines
    ]
    content["conditions"] = [{"name": name, "fingerprint": ""} for name in frame.conditions]
    content["scoring"]["normalizer_version"] = scored.summary.normalizer
    return RunInMemory(
        content=content,
        utterances=utterances,
        hypotheses=hypotheses,
        scored=scored,
        frame=frame,
        tables=analyse_frame(frame, scored.ledger, groups, statistics, scoring=scoring),
    )
