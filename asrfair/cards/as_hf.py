"""A card for the Hugging Face Hub: YAML front matter with a ``model-index``, then the model card as Markdown.

A result there has a task, a data set and a metric; group, condition and interval have no field of their own, so they
stand in the data set's and the metric's ``args``. WER and F1 are percentages, as the Hub shows them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from asrfair.cards.as_markdown import card_markdown
from asrfair.cards.blocks import Card
from asrfair.cards.evidence import Evidence, RunEvidence
from asrfair.cards.prose import AuthorProse
from asrfair.cards.suppression import SUPPRESSED
from asrfair.report.figures import slug
from asrfair.report.loading import section
from asrfair.scoring.metric import Metric
from asrfair.types import INTERSECTION, NOT_STATED, OVERALL_ATTRIBUTE

_MEASURES: Final = {
    "wer": ("rate", "WER", ("ci_low", "ci_high")),
    "f1": ("f1", "Word recognition F1", ("f1_ci_low", "f1_ci_high")),
}


def card_hf(card: Card, evidence: Evidence, prose: AuthorProse, *, every_group: bool = False) -> str:
    """Return the text of a ``README.md`` for a model's repository on the Hub."""
    front = metadata(evidence, prose, every_group=every_group)
    return "---\n" + "\n".join(_yaml(front)) + "\n---\n\n" + card_markdown(card)


def metadata(evidence: Evidence, prose: AuthorProse, *, every_group: bool = False) -> dict[str, Any]:
    """Return the front matter: language, licence, tags and ``model-index``, an entry an engine.

    Args:
        evidence: The runs.
        prose: What the author wrote.
        every_group: Whether every group has a result; else everybody and the worst group of each attribute have one.
    """
    found: dict[str, Any] = {"language": list(prose.languages)} if prose.languages else {}
    if prose.licence:
        found["license"] = prose.licence.lower()
    found |= {
        "pipeline_tag": "automatic-speech-recognition",
        "tags": ["automatic-speech-recognition"],
        "metrics": list(dict.fromkeys(run.raw.metric.name for run in evidence.runs)),
    }
    single = len(evidence.engines) == 1
    found["model-index"] = [
        {
            "name": prose.service if single else engine,
            "results": list(_results(evidence, engine, every_group=every_group)),
        }
        for engine in evidence.engines
    ]
    return found


def _results(evidence: Evidence, engine: str, *, every_group: bool) -> Iterator[dict[str, Any]]:
    for run in evidence.runs:
        rows = run.groups[(run.groups["engine"] == engine) & (run.groups["flag"] != SUPPRESSED)]
        rows = rows if every_group else _everybody_and_worst(rows)
        for row in rows.to_dict("records"):
            metrics = list(_metrics(row, run.raw.metric))
            if metrics:
                yield {
                    "task": {"type": "automatic-speech-recognition", "name": "Automatic Speech Recognition"},
                    "dataset": _dataset(run, row),
                    "metrics": metrics,
                }


def _everybody_and_worst(rows: pd.DataFrame) -> pd.DataFrame:
    """Return everybody's row and that of the worst group by a single attribute, in each condition."""
    single = rows[~rows["attribute"].str.contains(INTERSECTION, regex=False)]
    groups = single[(single["attribute"] != OVERALL_ATTRIBUTE) & (single["group"] != NOT_STATED)]
    keys = ["condition", "attribute"]
    worst = groups[groups["ci_low"].notna()].sort_values("rate", ascending=False, kind="stable").drop_duplicates(keys)
    return single.loc[sorted([*single.index[single["attribute"] == OVERALL_ATTRIBUTE], *worst.index])]


def _dataset(run: RunEvidence, row: Mapping[Any, Any]) -> dict[str, Any]:
    manifest = section(run.raw.about, "manifest")
    name = str(manifest.get("name") or run.name)
    config = str(row["condition"])
    if row["attribute"] != OVERALL_ATTRIBUTE:
        config += f", {row['attribute']}: {row['group']}"
    found = {"name": name, "type": slug(name), "config": config}
    if manifest.get("version"):
        found["revision"] = str(manifest["version"])
    args = {key: str(row[key]) for key in ("condition", "attribute", "group")}
    return {**found, "args": {**args, "speakers": round(row["speakers"]), "ref_words": round(row["ref_words"])}}


def _metrics(row: Mapping[Any, Any], metric: Metric) -> Iterator[dict[str, Any]]:
    for kind, (column, name, ends) in _MEASURES.items():
        if column == "rate":
            kind, name = metric.name, metric.label  # noqa: PLW2901 -- the columns of any metric are called so inside
        value = row.get(column)
        if value is None or not math.isfinite(value):
            continue
        args: dict[str, Any] = {"unit": "percent", "interval": "over speakers"}
        for key, end in zip(("ci_low", "ci_high"), ends, strict=True):
            bound = row.get(end)
            if bound is not None and math.isfinite(bound):
                args[key] = _percent(bound)
        yield {"type": kind, "value": _percent(value), "name": name, "args": args}


def _percent(value: float) -> float:
    return round(100 * float(value), 6)


def _yaml(value: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield the lines of a block-style YAML mapping; every scalar is JSON, which YAML 1.2 reads as it is."""
    space = "  " * depth
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{space}{key}:"
            yield from _yaml(item, depth + 1)
        elif isinstance(item, list):
            yield f"{space}{key}:"
            for element in item:
                if isinstance(element, Mapping):
                    lines = list(_yaml(element, depth + 1))
                    yield f"{space}- {lines[0].lstrip()}"
                    yield from lines[1:]
                else:
                    yield f"{space}- {_scalar(element)}"
        else:
            yield f"{space}{key}: {_scalar(item)}"


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)
