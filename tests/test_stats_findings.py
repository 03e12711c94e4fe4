"""Sentences: every number is in a table, levels are right, and no sentence claims what nobody can claim."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pandas as pd
import pytest

from asrfair.say import numbers as say
from asrfair.say.findings import make_findings

GAP = {
    "engine": "e",
    "condition": "clean",
    "attribute": "accent",
    "groups": 7,
    "best_group": "us",
    "worst_group": "uk",
    "best_wer": 0.105,
    "worst_wer": 0.284,
    "worst_ci_low": 0.19,
    "worst_ci_high": 0.45,
    "gap": 0.179,
    "gap_ci_low": 0.062,
    "gap_ci_high": 0.3,
}
DIFFERENCE = {
    "engine": "e",
    "condition": "clean",
    "attribute": "accent",
    "group": "uk",
    "versus": "best",
    "versus_group": "us",
    "difference": 0.02,
    "p_holm": 0.4,
    "mdd": 0.062,
}


def tables(**given: list[dict[str, object]]) -> dict[str, pd.DataFrame]:
    """Tables with one clean condition."""
    disparity = pd.DataFrame({"engine": ["e"], "condition": ["clean"], "attribute": ["overall"], "group": ["all"]})
    return {"disparity": disparity, **{name: pd.DataFrame(rows) for name, rows in given.items()}}


def test_what_could_not_have_been_seen() -> None:
    """The minimum detectable difference becomes a limit, with the group it holds for."""
    rows = [DIFFERENCE, {**DIFFERENCE, "group": "ie", "mdd": 0.221, "p_holm": 0.001}]
    power, unclear = make_findings(tables(differences=rows))
    assert "limit" == power["level"]
    assert (
        "e: by accent, no difference from us of less than 6.2 points could have been seen (in uk; in ie none of less "
        "than 22.1 points)."
    ) == power["text"].replace(say.SPACE, " ")
    assert "limit" == unclear["level"]
    assert (
        "1 of 2 differences from the best group cannot be told from chance with these speakers, 2 tests being looked"
        in unclear["text"].replace(say.SPACE, " ")
    )


@pytest.mark.parametrize(
    ("low", "words"),
    [
        (0.062, "and at least 6.2 points once the choice of the extremes is allowed for"),
        (0.0, "(0.0–30.0); chance among these speakers could have made it"),
        (np.nan, "for which no interval can be given"),
    ],
)
def test_gap_says_whether_chance_could_have_made_it(low: float, words: str) -> None:
    """The lower bound decides between the three sentences."""
    (found,) = make_findings(tables(gaps=[{**GAP, "gap_ci_low": low}]))
    text = found["text"].replace(say.SPACE, " ")
    assert text.startswith("e: the worst accent of 7 groups is uk with 28.4 % (19.0–45.0 %), the best us with 10.5 %")
    assert words in text


def test_without_a_speaker_the_gap_is_another() -> None:
    """The speaker that moves the gap by a fifth or more is named, one that does not is not."""
    row = {
        "engine": "e",
        "condition": "clean",
        "attribute": "accent",
        "group": "uk",
        "kind": "speaker",
        "id": "EDACC-C37-B",
        "utterances": 10,
        "errors": 100,
        "ref_words": 200,
        "share_of_errors": 0.3,
        "reason": "",
        "gap_with": 0.074,
        "gap_without": 0.031,
        "wer_with": 0.3,
        "wer_without": 0.2,
    }
    (found,) = make_findings(tables(influence=[row, {**row, "id": "other", "gap_without": 0.07}]))
    assert "warning" == found["level"]
    assert "e: without speaker EDACC-C37-B (uk) the gap by accent is 3.1 points, not 7.4 points." == found[
        "text"
    ].replace(say.SPACE, " ")
    assert [] == make_findings(tables(influence=[{**row, "gap_without": 0.07}]))


def test_loops_are_named_with_their_share() -> None:
    """Two loop utterances with 554 of 2,906 errors: ids, share, and the rate without them."""
    base = {
        "engine": "turbo",
        "condition": "clean",
        "attribute": "accent",
        "group": "Spanish",
        "ref_words": 9,
        "gap_with": 0.179,
        "gap_without": 0.173,
        "wer_with": 0.2568,
        "wer_without": 0.208,
    }
    utterance = {**base, "kind": "utterance", "utterances": 1, "share_of_errors": 0.1, "reason": "repetition_loop"}
    rows = [
        {**utterance, "id": "test-5620", "errors": 334},
        {**utterance, "id": "test-5918", "errors": 220},
        {
            **base,
            "kind": "failures",
            "id": "repetition_loop",
            "utterances": 2,
            "errors": 554,
            "share_of_errors": 554 / 2906,
            "reason": "repetition_loop",
        },
    ]
    (found,) = make_findings(tables(influence=rows))
    assert (
        "turbo: 2 utterances of Spanish (test-5620 and test-5918) in which it repeats itself hold 554 of the group's "
        "2,906 errors (19.1 %). Without all such utterances the WER of Spanish is 20.8 %, not 25.7 %, and the gap by "
        "accent 17.3 points, not 17.9 points."
    ) == found["text"].replace(say.SPACE, " ")


def test_engines_on_the_same_speakers() -> None:
    """The better engine is named, and in how many groups, and where it is the other way round."""
    row = {
        "engine_a": "old",
        "engine_b": "new",
        "condition": "clean",
        "attribute": "overall",
        "group": "all",
        "difference": 0.048,
        "ci_low": 0.034,
        "ci_high": 0.062,
        "p_holm": 0.001,
    }
    uk = {**row, "attribute": "accent", "group": "uk", "difference": -0.02, "p_holm": 0.01}
    us = {**row, "attribute": "accent", "group": "us", "p_holm": 0.2}
    (found,) = make_findings(tables(comparisons=[row, uk, us]))
    assert (
        "new makes fewer errors than old on the same speakers: 4.8 points fewer (3.4–6.2); beyond chance in 1 of 2 "
        "groups after correction, but the other way round for uk."
    ) == found["text"].replace(say.SPACE, " ")
    (found,) = make_findings(tables(comparisons=[{**row, "ci_low": -0.01}]))
    assert "Between old and new no difference can be told" in found["text"]


def test_confounded_covariates_are_limits() -> None:
    """What could not be held fixed is said once an attribute."""
    row = {
        "engine": "e",
        "condition": "clean",
        "attribute": "accent",
        "group": "uk",
        "reference_group": "us",
        "raw_ratio": 2.7,
        "adjusted_ratio": 2.35,
        "ci_low": 0.9,
        "ci_high": 6.1,
        "covariates": "length+speech_rate",
        "flag": "confounded:device;unavailable:snr_db",
    }
    adjusted, confounded, unavailable = make_findings(tables(adjusted=[row]))
    assert (
        "e: with length and speech rate held fixed uk makes 2.35 times the errors of us (0.90–6.10); as measured it is "
        "2.70 times. The difference that remains can be chance."
    ) == adjusted["text"].replace(say.SPACE, " ")
    assert confounded["text"].startswith("By accent, device goes with the groups so closely")
    assert unavailable["text"].startswith("By accent, snr db is not known for any utterance")


def test_empty_tables_say_nothing() -> None:
    """No table, no sentence; and no crash."""
    empty = pd.DataFrame(columns=["engine", "condition", "attribute"])
    assert [] == make_findings({"disparity": empty, "gaps": empty, "influence": empty, "adjusted": pd.DataFrame()})
    assert [] == make_findings({})


def test_no_sentence_claims_what_a_table_cannot_show() -> None:
    """The words fair, unbiased and their kin stand in no sentence that the module can write."""
    from asrfair.say import cautions, findings

    source = re.sub("asrfair", "", inspect.getsource(findings) + inspect.getsource(cautions))
    assert not re.search(r"\b(un)?(fair|biased|bias)\b", source, re.IGNORECASE)


def test_numbers_as_people_read_them() -> None:
    """Minus signs, thin edges, plurals and lists."""
    assert "−1.1 to 8.7 %" == say.span(-0.011, 0.087).replace(say.SPACE, " ")
    assert "0.0 points" == say.points(-0.0001).replace(say.SPACE, " ")
    assert "" == say.span(np.nan, 0.1)
    assert "1 speaker" == say.counted(1, "speaker").replace(say.SPACE, " ")
    assert "a, b and 2 more" == say.listed(["a", "b", "c", "d"], limit=2)
    assert "a" == say.listed(["a"])
    assert 13 == len(say.short("f" * 128))
