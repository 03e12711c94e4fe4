"""Sentences: every number is in a table, levels are right, and no sentence claims what nobody can claim."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from asrfair.say import answer, cautions, claims, sample
from asrfair.say import numbers as say

DIFFERENCE = {
    "engine": "e",
    "condition": "clean",
    "attribute": "accent",
    "group": "uk",
    "versus": "rest",
    "versus_group": "",
    "difference": 0.02,
    "mdd": 0.062,
    "mdd_corrected": 0.091,
}


def tables(**given: list[dict[str, object]]) -> dict[str, pd.DataFrame]:
    """Tables with one clean condition."""
    disparity = pd.DataFrame({"engine": ["e"], "condition": ["clean"], "attribute": ["overall"], "group": ["all"]})
    return {"disparity": disparity, **{name: pd.DataFrame(rows) for name, rows in given.items()}}


def make_findings(given: dict[str, pd.DataFrame]) -> list[dict[str, str]]:
    """Limits and warnings as they stand in the file."""
    return [asdict(item) for make in (cautions.limits, cautions.warnings) for item in make(given, "clean")]


def test_what_would_have_been_found() -> None:
    """What would be found with 80 % probability becomes a limit, before and after correction; nothing is ruled out."""
    rows = [DIFFERENCE, {**DIFFERENCE, "group": "ie", "mdd": 0.221, "mdd_corrected": 1.4}]
    (power,) = make_findings(tables(differences=rows))
    assert "limit" == power["level"]
    assert (
        "By accent, depending on the group, a difference from all others of 6.2–22.1 points would be found with 80 % "
        "probability, before correction for 2 questions; with it, one of 9.1 points to 100 points or more."
    ) == power["text"].replace(say.SPACE, " ")


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
        "rate_with": 0.3,
        "rate_without": 0.2,
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
        "rate_with": 0.2568,
        "rate_without": 0.208,
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


def test_three_engines_are_named_by_how_much_loops_add() -> None:
    """The engine to whose rate loops add most comes first, two more stand beside it, and the fourth does not."""
    rows = [
        {
            "engine": name,
            "condition": "clean",
            "attribute": "overall",
            "group": "all",
            "rate": 0.3,
            "rate_capped": 0.3 - loss,
        }
        for name, loss in (("a", 0.01), ("b", 0.04), ("c", 0.02), ("d", 0.03))
    ]
    rows.append({**rows[0], "engine": "none", "rate_capped": np.nan})
    (found,) = sample.loops({"disparity": pd.DataFrame(rows)}, "clean")
    assert found.text.replace(say.SPACE, " ").startswith(
        "Without loops the WER is 26.0 %, not 30.0 %: b. Likewise d 27.0 %, not 30.0 % and c 28.0 %, not 30.0 %. At most"
    )


@pytest.mark.parametrize(
    ("flag", "ending"),
    [
        ("", "Intervals allow for other sentences as they do for other speakers."),
        ("fixed", "All figures hold for these sentences only: intervals are over speakers alone."),
    ],
)
def test_what_intervals_allow_for_is_said(flag: str, ending: str) -> None:
    """How many read each sentence, and whether intervals are for these sentences alone."""
    row = {"attribute": "overall", "group": "all", "sentences": 12, "speakers_a_sentence": 3.25, "flag": flag}
    (found,) = sample.prompts({"prompts": pd.DataFrame([row])}, "clean")
    assert (
        f"Speakers read the same sentences: 12 sentences by 3.2 speakers each on average. {ending}"
    ) == found.text.replace(say.SPACE, " ")


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
    confounded, unavailable = make_findings(tables(adjusted=[row]))
    assert confounded["text"].startswith("By accent, device goes with the groups so closely")
    assert unavailable["text"].startswith("By accent, SNR is not known for any utterance")


def test_recordings_that_were_cut_short_are_told_by_group() -> None:
    """How many, and of which groups the most: a copy that broke off more often for one accent is no disparity."""
    base = {"engine": "e", "condition": "clean", "attribute": "accent", "reason": "truncated_audio"}
    rows = [
        {**base, "group": "us", "utterances": 1, "share": 0.005},
        {**base, "group": "uk", "utterances": 20, "share": 0.1},
        {**base, "attribute": "overall", "group": "all", "utterances": 21, "share": 0.05},
        {**base, "group": "uk", "reason": "empty_hypothesis", "utterances": 3, "share": 0.015},
    ]
    (found,) = make_findings(tables(ledger_by_group=rows))
    assert "warning" == found["level"]
    assert found["text"].replace(say.SPACE, " ") == (
        "e: 21 recordings were cut short and not scored; by accent, of uk 10.0 % and us 0.5 % of the utterances. Copy them "
        "again before groups are compared."
    )


def test_empty_tables_say_nothing() -> None:
    """No table, no sentence; and no crash."""
    empty = pd.DataFrame(columns=["engine", "condition", "attribute"])
    assert [] == make_findings({"disparity": empty, "influence": empty, "adjusted": pd.DataFrame()})
    assert [] == make_findings({})


def test_no_sentence_claims_what_a_table_cannot_show() -> None:
    """The words fair, unbiased and their kin stand in no sentence that the module can write."""
    source = re.sub("asrfair", "", "".join(inspect.getsource(module) for module in (answer, cautions, claims)))
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


def test_a_gap_that_rests_on_the_text_rules_is_told() -> None:
    """A point between normalizers, or other extremes, is said; less is not, and no rules at all are no rival."""
    base = {"engine": "e", "condition": "clean", "attribute": "accent", "best_group": "us", "worst_group": "uk"}
    rows = [
        {**base, "normalizer": "own@1", "gap": 0.1},
        {**base, "normalizer": "none@1", "gap": 0.9, "worst_group": "ie"},
        {**base, "normalizer": "other@1", "gap": 0.112},
    ]
    start = "e: the gap by accent is 10.0 points to 11.2 points, depending on the normalizer (10.0 points under own@1)"
    (found,) = make_findings(tables(normalizers=rows))
    assert f"{start}." == found["text"].replace(say.SPACE, " ")
    near = {**rows[2], "gap": 0.105}
    assert [] == make_findings(tables(normalizers=[*rows[:2], near]))
    assert [] == make_findings(tables(normalizers=rows[:2]))
    for side, groups in (("best_group", "ie and the worst uk"), ("worst_group", "us and the worst ie")):
        (found,) = make_findings(tables(normalizers=[*rows[:2], {**near, side: "ie"}]))
        assert found["text"].endswith(f"; under other@1 the best group is {groups}.")


def test_points_and_ratios_that_say_opposite_things_are_counted() -> None:
    """For how many of how many pairs of group and place; none is no sentence."""
    base = {"engine": "e", "condition": "ward", "attribute": "accent"}
    rows = [{**base, "scales_disagree": value} for value in ("yes", "no", True)]
    (found,) = make_findings(tables(interactions=rows))
    assert found["text"].replace(say.SPACE, " ").startswith("e: for 2 of 3 pairs of accent and place the gap")
    assert [] == make_findings(tables(interactions=rows[1:2]))


def test_groups_whose_recordings_differ_are_named_with_the_difference() -> None:
    """Flagged ones alone, signed, and not everybody."""
    base = {"condition": "clean", "attribute": "accent", "quantity": "snr_db", "flag": "imbalanced"}
    rows = [
        {**base, "group": "uk", "difference": -3.14},
        {**base, "group": "us", "difference": 2.0},
        {**base, "group": "ie", "difference": 9.0, "flag": ""},
        {**base, "attribute": "overall", "group": "all", "difference": 1.0},
    ]
    (found,) = make_findings(tables(achieved_by_group=rows))
    assert (
        "By accent, recordings differ in SNR: uk (−3.1) and us (+2.0) against all others. A difference in errors may be "
        "one of recordings."
    ) == found["text"]


def test_engines_of_which_much_is_missing_are_named_the_least_first() -> None:
    """Below 98 % it is said, with three named; below 90 % the order of engines says it too."""
    base = {"condition": "clean", "attribute": "overall", "group": "all"}
    shares = {"a": 0.98, "b": 0.97, "c": 0.5, "d": 0.9, "f": 0.89}
    run = {"disparity": pd.DataFrame([{**base, "engine": name, "scored_share": s} for name, s in shares.items()])}
    (found,) = sample.unscored(run, "clean")
    assert found.text.replace(say.SPACE, " ").startswith(
        "Not all utterances were transcribed: c has 50.0 %, f has 89.0 % and d has 90.0 % of those that could be scored "
        "and 1 more engine lacks some. What failed"
    )
    assert {"c": 0.5, "f": 0.89} == sample.lacking(run, "clean")
    more = pd.concat([run["disparity"], run["disparity"].iloc[1:2].assign(engine="g")])
    (found,) = sample.unscored({"disparity": more}, "clean")
    assert "and 2 more engines lack some." in found.text.replace(say.SPACE, " ")
    whole = {"disparity": run["disparity"].iloc[:1]}
    assert [] == list(sample.unscored(whole, "clean"))


@pytest.mark.parametrize(
    ("shared", "farthest", "flag", "said"),
    [
        ((0.9, 1.0), (0.9, 0.5), "", ""),
        ((0.89, 1.0), (0.4, 0.5), "", "uk shares 40.0 % of its words with us; intervals and claims allow for that."),
        ((0.11, 0.0), (0.1, 0.0), "few_sentences", "us shares 0.0 % of its words with uk."),
        ((0.1, 0.0), (0.1, 0.0), "", "hardly any are shared; intervals and claims allow for that."),
    ],
)
def test_groups_that_read_other_lists_are_told(
    shared: tuple[float, float], farthest: tuple[float, float], flag: str, said: str
) -> None:
    """From nine tenths shared on it is one list, to one tenth lists of their own; between them the farthest pair."""
    rows = [
        {
            "attribute": "accent",
            "group": group,
            "shared_share": s,
            "farthest_share": f,
            "farthest_group": other,
            "flag": flag,
        }
        for group, other, s, f in zip(("uk", "us"), ("us", "uk"), shared, farthest, strict=True)
    ]
    found = [item.text.replace(say.SPACE, " ") for item in sample.prompts({"prompts": pd.DataFrame(rows)}, "clean")]
    begin = "By accent, groups read different sentences: "
    middle = ". A difference between such groups may be one of sentences"
    first, mark, rest = said.partition(";")
    expected = f"{begin}{first}{middle};{rest}" if mark else f"{begin}{first.removesuffix('.')}{middle}."
    assert [expected] * bool(said) == found


def test_what_would_be_found_has_one_number_where_groups_are_alike() -> None:
    """One size for all groups, and one question, which nothing is corrected for; past 100 points nothing is found."""
    (power,) = make_findings(tables(differences=[DIFFERENCE]))
    one = "By accent, depending on the group, a difference from all others of 6.2 points would be found with 80 % probability."
    assert one == power["text"].replace(say.SPACE, " ")
    (power,) = make_findings(tables(differences=[{**DIFFERENCE, "mdd": 1.0}, {**DIFFERENCE, "versus": "best"}]))
    assert "a difference from all others of 100 points or more would be found" in power["text"]


def test_failures_of_many_groups_are_told_as_a_range() -> None:
    """Up to three groups each with its errors; of four the lowest and the highest share, and the worst without them."""
    base = {
        "engine": "e", "condition": "clean", "attribute": "accent", "kind": "failures", "id": "repetition_loop",
        "utterances": 1, "errors": 10, "gap_with": 0.1, "gap_without": 0.1004, "rate_with": 0.3, "rate_without": 0.2,
    }  # fmt: skip
    shares = {"uk": 0.05, "us": 0.2, "ie": 0.1, "in": 0.08, "fr": 0.049}
    rows = [{**base, "group": group, "share_of_errors": share} for group, share in shares.items()]
    (found,) = make_findings(tables(influence=rows))
    end = ". Without all such utterances the WER of us is 20.0 %, not 30.0 %."
    assert (
        f"e: 4 utterances of 4 groups in which it repeats itself hold 5.0 % (uk) to 20.0 % (us) of the groups' errors{end}"
        == (found["text"].replace(say.SPACE, " "))
    )
    (found,) = make_findings(tables(influence=rows[1:4]))
    parts = [
        f"1 utterance of {group} in which it repeats itself holds 10 of the group's {total} errors ({share} %)"
        for group, total, share in (("us", 50, "20.0"), ("ie", 100, "10.0"), ("in", 125, "8.0"))
    ]
    assert f"e: {'; '.join(parts)}{end}" == found["text"].replace(say.SPACE, " ")
    assert [] == make_findings(tables(influence=rows[4:]))
