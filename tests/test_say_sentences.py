"""Every kind of claim as its exact sentence, affirmed and not, in both directions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asrfair.say import numbers as say
from asrfair.say.claims import Claim, sentence

CLAIM = Claim(
    id="x",
    kind="group",
    engine="small",
    condition="ward",
    attribute="accent",
    group="uk",
    affirmed=True,
    p=0.001,
    p_adjusted=0.002,
    estimate=0.08,
    ci_low=0.03,
    ci_high=0.13,
    level=0.95,
    rank=1,
    table="differences",
    versus="us",
    rate=0.2,
    versus_rate=0.12,
    among=("uk",),
    question="accent",
    flag="",
)
RATIO = {"estimate": 1.5, "ci_low": 1.2, "ci_high": 1.9}
LESS = {"estimate": -0.08, "ci_low": -0.13, "ci_high": -0.03}
OPEN = {"affirmed": False, "ci_low": -0.02, "ci_high": 0.18}
DECIBELS = {"estimate": 3.0, "ci_low": 1.0, "ci_high": 5.0, "target": "30 %"}
CASES = [
    ("group", {}, "small, in ward: uk makes more errors than us: 20.0 % against 12.0 %, 8.0 points more (3.0–13.0)."),
    (
        "group",
        {**LESS, "versus": "", "condition": "clean"},
        (
            "small: uk makes fewer errors than all other accent groups: 20.0 % against 12.0 %, 8.0 "
            "points fewer (3.0–13.0)."
        ),
    ),
    (
        "group",
        OPEN,
        (
            "small, in ward: uk makes more errors than us: 20.0 % against 12.0 %, 8.0 points more "
            "(−2.0 to 18.0); this may be chance."
        ),
    ),
    (
        "group",
        {"affirmed": False, **LESS, "flag": "pooled_disagrees"},
        (
            "small, in ward: uk makes fewer errors than us: 20.0 % against 12.0 %, 8.0 points "
            "fewer (3.0–13.0); not concluded, since the typical speaker says the opposite."
        ),
    ),
    (
        "group",
        {"affirmed": False, "ci_low": -0.5, "ci_high": 0.51},
        (
            "small, in ward: uk makes more errors than us: 20.0 % against 12.0 %, 8.0 points more "
            "(the interval is wider than 100 points: nothing is known); this may be chance."
        ),
    ),
    (
        "group",
        {"affirmed": False, "ci_low": -0.4, "ci_high": 0.6},
        (
            "small, in ward: uk makes more errors than us: 20.0 % against 12.0 %, 8.0 points more "
            "(−40.0 to 60.0); this may be chance."
        ),
    ),
    (
        "group",
        {"basis": "capped"},
        (
            "small, in ward: uk makes more errors than us: 20.0 % against 12.0 %, 8.0 points more "
            "(3.0–13.0), loops capped."
        ),
    ),
    (
        "gap",
        {},
        (
            "small, in ward: between the worst accent, uk (20.0 %), and the best, us (12.0 %), lie "
            "8.0 points, at least 3.0 points once the choice of the extremes is allowed for."
        ),
    ),
    (
        "gap",
        OPEN,
        (
            "small, in ward: between the worst accent, uk (20.0 %), and the best, us (12.0 %), lie "
            "8.0 points (−2.0 to 18.0); chance among these speakers may have made them."
        ),
    ),
    (
        "worst",
        {"ci_low": 0.15, "ci_high": 0.25},
        "small, in ward: uk has the highest rate by accent, 20.0 % (15.0–25.0 %), and is truly the worst.",
    ),
    (
        "worst",
        {"ci_low": 0.15, "ci_high": 0.25, "among": ("uk", "us")},
        "small, in ward: uk has the highest rate by accent, 20.0 % (15.0–25.0 %); the truly worst is one of uk and us.",
    ),
    (
        "worst",
        {"ci_low": 0.15, "ci_high": 0.25, "affirmed": False},
        (
            "small, in ward: uk has the highest rate by accent, 20.0 % (15.0–25.0 %); which group "
            "is truly the worst is open."
        ),
    ),
    (
        "engine",
        {"versus": "large", "group": ""},
        "In ward: large makes fewer errors than small on the same speakers: 8.0 points fewer (3.0–13.0).",
    ),
    (
        "engine",
        {"versus": "large", **LESS, "condition": "clean"},
        "For uk: small makes fewer errors than large on the same speakers: 8.0 points fewer (3.0–13.0).",
    ),
    (
        "engine",
        {**OPEN, "versus": "large", "group": "", "condition": "clean"},
        "Between small and large no difference can be told on the same speakers: 8.0 points (−2.0 to 18.0).",
    ),
    (
        "engine",
        {**OPEN, "versus": "large", "flag": "pooled_disagrees"},
        (
            "In ward: for uk: between small and large no difference can be told on the same "
            "speakers: 8.0 points (−2.0 to 18.0); not concluded, since the typical speaker says "
            "the opposite."
        ),
    ),
    (
        "gap_engine",
        {"versus": "large"},
        "In ward: the gap by accent of small is 8.0 points (3.0–13.0) above that of large.",
    ),
    (
        "gap_engine",
        {"versus": "large", "condition": "clean", "affirmed": False},
        "The gap by accent of small is 8.0 points (3.0–13.0) above that of large; this may be chance.",
    ),
    (
        "worst_engine",
        {"versus": "large", **LESS},
        "In ward: the rate of the worst accent of large is 8.0 points (3.0–13.0) above that of small.",
    ),
    ("condition", {"versus": "clean"}, "small: ward costs everybody 8.0 points (3.0–13.0) against clean."),
    ("condition", {"versus": "clean", **LESS}, "small: ward spares everybody 8.0 points (3.0–13.0) against clean."),
    ("interaction", {}, "small: ward costs uk 8.0 points (3.0–13.0) more than us."),
    ("interaction", {**LESS, "versus": ""}, "small: ward costs uk 8.0 points (3.0–13.0) less than all others."),
    (
        "interaction_ratio",
        RATIO,
        "small: in ward the error rate of uk is multiplied 1.50 times (1.20–1.90) as much as that of us.",
    ),
    (
        "interaction_ratio",
        {**RATIO, "versus": "", "affirmed": False},
        (
            "small: in ward the error rate of uk is multiplied 1.50 times (1.20–1.90) as much as "
            "that of all others; this may be chance."
        ),
    ),
    (
        "adjusted",
        {**RATIO, "rate": 1.8},
        (
            "small, in ward: other differences held fixed, uk makes 1.50 times the errors of us "
            "(1.20–1.90); as measured it is 1.80 times."
        ),
    ),
    (
        "adjusted",
        {**RATIO, "rate": 1.8, "affirmed": False, "flag": "confounded"},
        (
            "small, in ward: other differences held fixed, uk makes 1.50 times the errors of us "
            "(1.20–1.90); as measured it is 1.80 times; a covariate goes with the groups, so this "
            "is not concluded."
        ),
    ),
    (
        "subgroup",
        RATIO,
        (
            "small, in ward: speakers with uk have 1.50 times the error rate of all others "
            "(1.20–1.90): found by search in one half of the speakers, confirmed in the other."
        ),
    ),
    (
        "subgroup",
        {**RATIO, "affirmed": False, "ci_low": float("nan")},
        (
            "small, in ward: speakers with uk have 1.50 times the error rate of all others; not "
            "confirmed in the other half of the speakers."
        ),
    ),
    (
        "threshold",
        {**DECIBELS, "parameter": "noise.snr_db", "unit": "dB"},
        "uk speakers need 3.0 dB (1.0–5.0) more signal than us speakers for the same word error rate (30 %) in ward (small).",
    ),
    (
        "threshold",
        {**DECIBELS, "parameter": "noise.snr_db", "unit": "dB", "affirmed": False, "ci_low": -1.0},
        (
            "uk speakers need 3.0 dB (−1.0 to 5.0) more signal than us speakers for the same word error rate (30 %) in "
            "ward (small); this may be chance."
        ),
    ),
    (
        "threshold",
        {**DECIBELS, "parameter": "mic.level_dbfs", "unit": "dBFS", "ci_low": float("nan")},
        (
            "uk speakers need a level 3.0 dBFS above what us speakers need, for the same word error rate (30 %) in ward "
            "(small)."
        ),
    ),
    (
        "threshold",
        {**DECIBELS, "parameter": "noise.hum.level_db", "unit": "dB"},
        (
            "uk speakers bear a level of the hum 3.0 dB (1.0–5.0) below what us speakers bear, for the same word error rate "
            "(30 %) in ward (small)."
        ),
    ),
    (
        "threshold_ratio",
        {**RATIO, "parameter": "codec.bitrate_kbps", "unit": "kbit/s", "target": "2 x clean"},
        (
            "uk speakers need 1.50 times (1.20–1.90) the bitrate that us speakers need, for the same word error rate (2 "
            "times the clean rate) in ward (small)."
        ),
    ),
    (
        "threshold_ratio",
        {**RATIO, "parameter": "line.loss", "target": "30 %"},
        (
            "us speakers bear 1.50 times (1.20–1.90) the share of packets lost that uk speakers bear, for the same word "
            "error rate (30 %) in ward (small)."
        ),
    ),
    ("omnibus", {}, "small, in ward: the groups by accent differ beyond chance."),
    ("omnibus", {"affirmed": False, "engine": ""}, "In ward: the groups by accent cannot be told apart from chance."),
]


@pytest.mark.parametrize(("kind", "changes", "expected"), CASES)
def test_a_claim_is_this_sentence(kind: str, changes: dict[str, object], expected: str) -> None:
    """Who, where, how much, in which direction, how sure: word by word."""
    assert expected == sentence(replace(CLAIM, kind=kind, **changes)).replace(say.SPACE, " ")
