"""A card as data: what it says, and every published number unrounded. The shape is ``schema.json`` beside this file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from asrfair.cards.as_markdown import block_markdown
from asrfair.cards.blocks import Card, Lines, Prose
from asrfair.cards.evidence import Evidence, RunEvidence
from asrfair.cards.floors import Floor
from asrfair.cards.suppression import SUPPRESSED
from asrfair.report.loading import section
from asrfair.version import __version__

FORMAT: Final = "asrfair-card/1"
_COUNTS: Final = ("speakers", "utterances", "ref_words", "hits", "substitutions", "deletions", "insertions")
_RATES: Final = (
    "rate",
    "ci_low",
    "ci_high",
    "sim_low",
    "sim_high",
    "f1",
    "f1_ci_low",
    "f1_ci_high",
    "f1_sim_low",
    "f1_sim_high",
)


def card_json(card: Card, evidence: Evidence) -> str:
    """Return the card as JSON; nothing is ``null``, rates are fractions."""
    content = {
        "format": FORMAT,
        "asrfair": __version__,
        "template": card.template,
        "service": card.title,
        "details": {name: value for name, value in card.facts if name != "Service"},
        "sections": [
            {
                "key": part.key,
                "title": part.title,
                "depth": part.depth,
                "text": "\n\n".join(block_markdown(block) for block in part.blocks if isinstance(block, Prose | Lines)),
            }
            for part in card.sections
        ],
        "smallest_cell_speakers": evidence.smallest,
        "runs": [_run(run) for run in evidence.runs],
        "floors": [_floor(floor) for floor in evidence.floors],
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the published JSON schema of the card."""
    text = resources.files("asrfair.cards").joinpath("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _run(run: RunEvidence) -> dict[str, Any]:
    manifest = section(run.raw.about, "manifest")
    return {
        "name": run.name,
        "corpus": {key: str(manifest.get(key) or "") for key in ("name", "version", "licence", "fingerprint")},
        "confidence": run.raw.confidence,
        "engines": list(run.raw.engines),
        "conditions": list(run.raw.conditions),
        "groups": [_row(row) for row in run.groups.to_dict("records")],
    }


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    names = {key: str(row[key]) for key in ("engine", "condition", "attribute", "group")}
    if row["flag"] == SUPPRESSED:
        return {**names, "status": "suppressed"}
    counts = {key: round(float(row[key])) for key in _COUNTS if key in row and math.isfinite(float(row[key]))}
    rates = {"wer" if key == "rate" else key: _number(row[key]) for key in _RATES if key in row}
    return {**names, "status": "published", **counts, **rates, "flags": [f for f in str(row["flag"]).split(";") if f]}


def _floor(floor: Floor) -> dict[str, Any]:
    names = ("run", "engine", "condition", "measure", "groups", "intersections", "value", "bound", "bounded")
    further = ("too_small", "not_stated", "min_speakers", "min_words", "joint_confidence", "sentence")
    return {name: getattr(floor, name) for name in (*names, *further)}


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
