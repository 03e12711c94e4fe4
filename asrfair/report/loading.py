"""Reads a run folder for people: the tables of the statistics, what the run was, and nothing else.

The report recomputes no statistic. A table that is not there is simply absent, and the report says what would make it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd

from asrfair.data.runfile import read_run_file
from asrfair.data.tablefile import TEXT_COLUMNS, read_result, to_numbers
from asrfair.errors import InputError
from asrfair.report.definitions import DEFINITIONS
from asrfair.say.answer import Answer, make_answer
from asrfair.say.measure import called
from asrfair.scoring.metric import WER, Metric, column_inside
from asrfair.stats.thresholds.tables import TABLES as THRESHOLDS
from asrfair.types import NOT_STATED

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "claims": ("id", "kind", "affirmed", "estimate", "rank", "text"),
    "threshold_levels": ("engine", "place", "attribute", "group", "level", "wer"),
    **{table.source: tuple(column.name for column in table.columns if column.needed) for table in DEFINITIONS.values()},
}
"""Tables that a report may show, each with the columns that it cannot do without."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of ``findings.json``. ``level`` is ``finding``, ``limit`` or ``warning``."""

    level: str
    text: str
    id: str = ""
    table: str = ""
    engine: str = ""
    condition: str = ""
    attribute: str = ""


@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a report is made of.

    ``tables`` maps a name such as ``disparity`` to its frame: text columns are str (empty for nothing), all others
    float or int (NaN for nothing), rows in the file's order. ``about`` is ``run.json``.
    """

    path: Path
    about: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @cached_property
    def answer(self) -> Answer:
        """What the run says; every page begins with it."""
        return make_answer(self.tables, self.about)

    @property
    def disparity(self) -> pd.DataFrame:
        """The group table; every run has it."""
        return self.tables["disparity"]

    @property
    def name(self) -> str:
        """What the run is called: its suite's title or name, else its manifest's name, else its folder's."""
        title = section(self.about, "suite").get("title")
        if title:
            return str(title)
        for part in ("suite", "manifest"):
            name = section(self.about, part).get("name")
            if name:
                return str(name)
        return self.path.resolve().name

    @property
    def metric(self) -> Metric:
        """What the groups are compared by; its columns are called as those of WER are."""
        return metric_of(self.about)

    def said(self, text: str, label: str = "") -> str:
        """Call the word error rate in a heading, title or page by the name of the run's metric, where it is another.

        Args:
            text: What would be said of WER.
            label: The name, if it has to be escaped first.
        """
        return called(text, self.about, label)

    @property
    def confidence(self) -> float:
        """Coverage of the intervals, as the run asked for it."""
        value = section(self.about, "statistics").get("confidence", 0.95)
        return float(value) if isinstance(value, (int, float)) else 0.95

    @property
    def min_speakers(self) -> int:
        """Speakers below which a group is flagged."""
        value = section(self.about, "groups").get("min_speakers", 5)
        return int(value) if isinstance(value, (int, float)) else 5

    @property
    def engines(self) -> tuple[str, ...]:
        """Labels of the engines in suite order."""
        return tuple(dict.fromkeys(self.disparity["engine"]))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions in suite order."""
        return tuple(dict.fromkeys(self.disparity["condition"]))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes and intersections in suite order, without the row for everybody."""
        return tuple(name for name in dict.fromkeys(self.disparity["attribute"]) if name != "overall")

    @property
    def main_condition(self) -> str:
        """The condition that is shown first: ``clean`` where the run has it, else the suite's first."""
        return "clean" if "clean" in self.conditions else self.conditions[0]

    @property
    def where(self) -> Mapping[str, str]:
        """The attribute values that the run is limited to; everything read here obeys it."""
        return {name: str(value) for name, value in section(section(self.about, "groups"), "where").items()}

    def scores(self, condition: str | None = None) -> pd.DataFrame | None:
        """Read ``scores.parquet``, an engine × condition × utterance a row; ``None`` where the run has none."""
        return self._selected(_read_parquet(self.path / "scores.parquet", condition))

    def ledger(self) -> pd.DataFrame | None:
        """Read ``ledger.csv``, text only; ``None`` where the run has none."""
        path = self.path / "ledger.csv"
        if not path.is_file():
            return None
        table = read_result(path)
        for name in ("engine", "condition", "utterance_id", "reason"):
            if name not in table:
                raise InputError("a column is missing", file=path, column=name, remedy="Score the run again")
        return self._selected(table)

    def utterances(self) -> pd.DataFrame | None:
        """Read ``utterances.parquet``; ``None`` where the run has none."""
        table = _read_parquet(self.path / "utterances.parquet")
        if table is None:
            return None
        for name, value in self.where.items():
            if name in table:
                table = table[table[name].astype(object).fillna(NOT_STATED) == value]
        return table

    def _selected(self, table: pd.DataFrame | None) -> pd.DataFrame | None:
        """Keep the rows of the utterances that the run looks at."""
        kept = self.utterances() if self.where and table is not None else None
        if table is None or kept is None:
            return table
        return table[table["utterance_id"].isin(set(kept["utterance_id"]))].reset_index(drop=True)

    def utterance_columns(self) -> set[str]:
        """Return the names of the columns of ``utterances.parquet``; empty where the run has none."""
        import pyarrow.parquet as pq

        path = self.path / "utterances.parquet"
        return set(pq.read_schema(path).names) if path.is_file() else set()


def load_run(path: Path) -> RunData:
    """Read what a report needs from a run folder.

    Raises:
        InputError: The folder has no ``disparity.csv``, or a table lacks a column or holds text where a number stands.
    """
    if not path.is_dir():
        raise InputError("there is no such run folder", file=path, remedy="Make one with: asrfair run SUITE --out RUN")
    if not (path / "disparity.csv").is_file():
        raise InputError(
            "the folder has no disparity.csv, so there is nothing to report",
            file=path,
            remedy="Make it with: asrfair score RUN",
        )
    about = read_run_file(path)
    metric = metric_of(about)
    tables = {}
    for name in REQUIRED:
        frame = _read_table(path / f"{name}.csv", REQUIRED[name], None if name in THRESHOLDS else metric)
        if frame is not None and (len(frame) or name == "disparity"):
            tables[name] = frame
    if tables["disparity"].empty:
        raise InputError(
            "disparity.csv has no rows: nothing was scored", file=path, remedy="See ledger.csv for the reasons"
        )
    found = _read_json(path / "findings.json", [])
    return RunData(path=path, about=about, tables=tables, findings=_findings(found, path / "findings.json"))


def section(about: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a table of ``run.json``, or an empty one where it has none."""
    value = about.get(name)
    return value if isinstance(value, dict) else {}


def metric_of(about: Mapping[str, Any]) -> Metric:
    """What the run's groups are compared by, as ``run.json`` says; nothing is imported for it."""
    found = section(about, "metric")
    return Metric.from_json(found) if found else WER


def _read_table(path: Path, required: tuple[str, ...], metric: Metric | None) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    frame = read_result(path)
    if metric is not None:  # thresholds are of word error rates, whatever else the run is about
        frame = frame.rename(columns=lambda column: column_inside(str(column), metric))
    for name in required:
        if name not in frame.columns:
            raise InputError(
                "a column is missing", file=path, column=name, remedy="Make it again with: asrfair score RUN"
            )
    for name in frame.columns:
        if name in TEXT_COLUMNS or pd.api.types.is_numeric_dtype(frame[name]):
            continue
        numbers = to_numbers(frame[name])
        wrong = (numbers.isna() & (frame[name] != "") & (frame[name] != "nan")).to_numpy()
        if not wrong.any():
            frame[name] = numbers
        elif name in required:
            row = int(wrong.argmax())
            raise InputError("not a number", file=path, line=row + 2, column=name, value=frame[name].iloc[row])
    return frame


def _read_parquet(path: Path, condition: str | None = None) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path, filters=None if condition is None else [("condition", "==", condition)])
    except (OSError, ValueError) as error:
        raise InputError(f"the table cannot be read: {error}", file=path, remedy="Make it again") from error


def _read_json(path: Path, default: object) -> object:
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the file is not valid JSON: {error}", file=path) from error


def _findings(found: object, path: Path) -> tuple[Finding, ...]:
    if not isinstance(found, list):
        raise InputError("findings.json is not a list", file=path)
    names = ("level", "text", "id", "table", "engine", "condition", "attribute")
    rows = [item for item in found if isinstance(item, dict) and item.get("text")]
    return tuple(
        Finding(**{"level": "finding", **{key: str(item[key]) for key in names if item.get(key) is not None}})
        for item in rows
    )
