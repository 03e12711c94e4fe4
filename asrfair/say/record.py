"""Write what a run says into its folder: ``claims.csv`` with its sentences, and ``findings.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.data.wholefile import write_whole
from asrfair.say import cautions
from asrfair.say.answer import main_condition, make_answer, selected
from asrfair.say.claims import worded, write_claims
from asrfair.say.finding import Finding


def say_run(run: Path, tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Put the claims of an analysis into words and write them.

    Args:
        run: The run folder.
        tables: Tables of the analysis, ``claims`` without sentences among them.
        facts: What ``run.json`` holds.

    Returns:
        The tables, the claims with their sentences.
    """
    told = {**tables, "claims": worded(tables["claims"])}
    write_claims(told["claims"], run)
    text = json.dumps([asdict(item) for item in findings(told, facts)], ensure_ascii=False, indent=2) + "\n"
    write_whole(run / "findings.json", text.encode("utf-8", "backslashreplace"))
    return told


def findings(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> list[Finding]:
    """Return the answer, what cannot be concluded and what may mislead, as ``findings.json`` holds them."""
    answer = make_answer(tables, facts)
    condition = main_condition(tables)
    found = [Finding(id="lead", level="finding", text=answer.lead, table="claims", condition=condition)]
    found += [
        Finding(id=";".join(item.claim_ids), level=item.level, text=item.text, table="claims", condition=condition)
        for item in answer.sentences
    ]
    return [
        *found,
        *selected(tables, facts),
        *cautions.limits(tables, condition),
        *cautions.warnings(tables, condition),
    ]
