"""FAAS, the score of the ASR-FAIRBENCH leaderboard (Rai et al. 2025, arXiv 2505.11572): on request, to compare.

A Poisson regression with speaker intercepts gives each group's rate W_g. A group scores
100 (1 − (W_g − min) / (max − min)); a category (attribute) is the mean of its groups weighted by their shares of the
speakers, times p / 0.05 where the likelihood-ratio test of the groups has p < 0.05; FAAS = 10 log₁₀(mean of the
categories / WER), WER a fraction.

Do not decide anything by it. Min–max scaling gives the best group 100 and the worst 0 however close they are, so two
groups always score 0 and 100; the p-value, and with it the score, falls as a corpus grows although nobody is recognised
worse; and it has no interval. Every row says so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from asrfair.stats.estimate.gaps import comparable
from asrfair.stats.estimate.group_rates import Rates, group_rates
from asrfair.stats.explain import regression
from asrfair.stats.explain.design import Design
from asrfair.stats.frame import Frame
from asrfair.stats.groups import Grouping
from asrfair.types import OVERALL_ATTRIBUTE, GroupSettings

COLUMNS = [
    "engine",
    "condition",
    "attribute",
    "groups",
    "rate",
    "category_score",
    "p",
    "adjusted_score",
    "faas",
    "caution",
]
CAUTION = (
    "min-max scaling makes the best group 100 and the worst 0 however close they are; "
    "the score falls as the corpus grows; it has no interval"
)
TWO_GROUPS = "with two groups the scores are 0 and 100 whatever the data; "


def faas_table(frame: Frame, groupings: list[Grouping], groups: GroupSettings) -> pd.DataFrame:
    """Make ``faas.csv``: a row an engine × condition × attribute, and one for all attributes together.

    Args:
        frame: The scores.
        groupings: The attributes; those with fewer than two groups that can be compared are left out.
        groups: How small is too small.
    """
    rows: list[dict[str, object]] = []
    rates = [group_rates(frame, grouping) for grouping in groupings]
    errors = frame.sums(*frame.metric.numerator).sum(axis=1)
    words = frame.sums(*frame.metric.denominator).sum(axis=1)
    for run, (engine, condition) in enumerate(frame.runs()):
        wer = float(errors[run] / words[run]) if words[run] else float("nan")
        where = {"engine": engine, "condition": condition}
        scored = [row for rate in rates if (row := _category(rate, groups, run, wer)) is not None]
        rows.extend({**where, **row} for row in scored)
        if scored:
            mean = float(np.mean([float(str(row["adjusted_score"])) for row in scored]))
            rows.append(
                {
                    **where,
                    "attribute": OVERALL_ATTRIBUTE,
                    "groups": sum(int(str(row["groups"])) for row in scored),
                    "rate": wer,
                    "adjusted_score": mean,
                    "faas": _faas(mean, wer),
                    "caution": CAUTION,
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _category(rates: Rates, groups: GroupSettings, run: int, wer: float) -> dict[str, object] | None:
    compared = comparable(rates, min_speakers=groups.min_speakers, min_words=groups.min_words)[run]
    compared &= rates.errors[run] > 0
    use = np.flatnonzero(compared)
    if len(use) < 2:
        return None
    grouping = rates.grouping
    cells = np.flatnonzero(compared[grouping.cell_group] & (rates.cell_words[run] > 0))
    design = Design(
        errors=rates.cell_errors[run, cells],
        ref_words=rates.cell_words[run, cells],
        speaker=grouping.cell_speaker[cells],
        group=np.searchsorted(use, grouping.cell_group[cells]),
    )
    fitted = regression.fit(design, robust=False)
    p = regression.likelihood_ratio(design, fitted).p_chi2
    rate = np.exp(fitted.beta[: len(use)])
    raw = 100.0 * (1.0 - (rate - rate.min()) / (rate.max() - rate.min()))
    share = rates.speakers[run, use] / rates.speakers[run, use].sum()
    score = float(share @ raw)
    adjusted = score * (p / 0.05 if p < 0.05 else 1.0)
    return {
        "attribute": grouping.attribute,
        "groups": len(use),
        "rate": wer,
        "category_score": score,
        "p": p,
        "adjusted_score": adjusted,
        "faas": _faas(adjusted, wer),
        "caution": (TWO_GROUPS if len(use) == 2 else "") + CAUTION,
    }


def _faas(score: float, wer: float) -> float:
    return 10.0 * float(np.log10(score / wer)) if score > 0 and wer > 0 else float("nan")
