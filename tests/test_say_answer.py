"""The answer of a run, of tables made by hand: what leads, what fits, how sure it is and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import pandas as pd
import pytest
from test_say_merged import made

from asrfair.say import numbers as say
from asrfair.say.answer import _fitting, make_answer, selected
from asrfair.say.claims import Claim
from asrfair.say.measure import called
from asrfair.say.merged import Sentence

OVERALL = {
    "engine": "a", "condition": "clean", "attribute": "overall", "group": "all", "rate": 0.2, "speakers": 9,
    "utterances": 18,
}  # fmt: skip


def tables(
    claims: Sequence[Claim] = (), *, engines: Sequence[str] = ("a",), **others: list[dict[str, object]]
) -> dict[str, pd.DataFrame]:
    """Tables of a run with these claims."""
    found = {"disparity": pd.DataFrame([{**OVERALL, "engine": name} for name in engines])}
    if claims:
        found["claims"] = pd.DataFrame([{**asdict(claim), "among": "|".join(claim.among)} for claim in claims])
    return found | {name: pd.DataFrame(rows) for name, rows in others.items()}


def test_a_run_that_asks_nothing_says_so() -> None:
    """Nothing scored, nothing compared, nothing tested: each has its sentence."""
    empty = make_answer({}, {})
    assert "Nothing was scored." == empty.lead
    assert "0 of 0 claims beyond chance, over 0 speakers." == empty.badges.sure.replace(say.SPACE, " ")
    assert "Name attributes to compare: by under [groups]." == empty.badges.next
    assert "Nothing that was looked at: no speaker, failure or text rule decides it." == empty.badges.breaks
    end = "so the run cannot say for whom."
    for given, lead in (
        (tables(), f"20.0 % of words were wrong. Nothing was compared, {end}"),
        (tables(gaps=[{}]), f"20.0 % of words were wrong. Differences were not tested, {end}"),
        (tables(engines=("b", "a")), f"20.0 % of words were wrong by b. Nothing was compared, {end}"),
    ):
        assert lead == make_answer(given, {}).lead.replace(say.SPACE, " ")


def test_what_was_found_comes_before_what_is_open() -> None:
    """An affirmed difference between engines leads, before groups of which nothing can be told."""
    engines = replace(made("engine", 8.0, group="", versus="b"), engine="a")
    open_ = made("omnibus", affirmed=False)
    answer = make_answer(tables([open_, engines], engines=("a", "b")), {})
    assert (engines.id,) == answer.lead_ids
    assert [(open_.id,)] == [one.claim_ids for one in answer.sentences]
    assert (1, 2) == (answer.affirmed, answer.tested)
    sure = "1 of 2 claims beyond chance, over 9 speakers; at most 5 % of these are expected to be false."
    assert sure == answer.badges.sure.replace(say.SPACE, " ")
    strict = make_answer(tables([open_, engines]), {"statistics": {"family": "strict"}})
    assert strict.badges.sure.endswith("; the chance of even one false is at most 5 %.")


def test_as_many_sentences_as_fit() -> None:
    """Five at most, of 120 words with the lead; one that is too long is passed over for the next."""
    short, long = (Sentence(text=" ".join(["word"] * size), claim_ids=()) for size in (20, 61))
    assert [short, short] == list(_fitting([short, long, short], used=80))
    assert [short] == list(_fitting([short, short], used=81))
    assert [short] == list(_fitting([short], used=100))
    assert [] == list(_fitting([short], used=101))
    assert 5 == len(list(_fitting([Sentence(text="word", claim_ids=())] * 9, used=0)))


def test_the_widest_open_difference_that_can_be_settled_says_whom_to_record() -> None:
    """Of open groups the largest difference that so many speakers would show; not against one group, no intersections."""
    base = {"engine": "a", "condition": "clean", "attribute": "accent", "versus": "rest"}
    rows = [
        {**base, "group": "uk", "difference": 0.03, "speakers_needed": 10.0},
        {**base, "group": "ie", "difference": 0.05, "speakers_needed": 500.0},
        {**base, "group": "in", "difference": 0.09, "speakers_needed": 501.0},
        {**base, "group": "us", "difference": 0.08, "speakers_needed": 20.0},
        {**base, "group": "ie", "difference": 0.5, "speakers_needed": 20.0, "versus": "best"},
        {**base, "group": "x", "difference": 0.5, "speakers_needed": 20.0, "attribute": "accent × gender"},
    ]
    groups = [made("group", group=name, affirmed=False) for name in ("uk", "ie", "in")]
    groups += [made("group", group="us"), made("group", group="x", attribute="accent × gender", affirmed=False)]
    found = make_answer(tables(groups, differences=rows), {"statistics": {"detect": 0.025}}).badges.next
    assert (
        "Record more people: 500 speakers in group ie, the others in proportion, would show a difference of 2.5 points."
    ) == found
    rows = [{**row, "difference": -0.1} for row in rows]
    assert "Listen to the worst utterances below, and repeat with other speakers." == (
        make_answer(tables(groups, differences=rows), {}).badges.next
    )
    worst = [*groups, made("worst"), made("worst", group="us", affirmed=False)]
    assert "Listen to the worst utterances of uk, and repeat with other speakers." == (
        make_answer(tables(worst, differences=rows), {}).badges.next
    )


def test_which_utterances_were_selected_is_told() -> None:
    """What was asked for, and how many that leaves; nothing where all are looked at."""
    coverage = [{"attribute": "overall", "utterances": 5}, {"attribute": "accent", "utterances": 2}]
    (found,) = selected(tables(coverage=coverage), {"groups": {"where": {"gender": "f", "first_language": "en"}}})
    assert (
        "Only utterances with gender = f and first language = en: 5 utterances, and every count here is of these."
    ) == found.text.replace(say.SPACE, " ")
    assert () == selected(tables(), {"groups": {"where": {}}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20.0 % of words wrong", "20.0 % (F1)"),
        ("the highest error rate and the lowest error rate", "the highest rate of F1 and the lowest rate of F1"),
        ("Word errors by accent", "F1 by accent"),
        ("Word error rate", "F1"),
        ("Words wrong in 100", "F1 in 100"),
        ("the WER of uk", "the F1 of uk"),
        ("aWER+/WER=", "aWER+/WER="),
    ],
)
def test_another_metric_has_its_own_name(text: str, said: str) -> None:
    """Sentences about words wrong are about the run's metric, but for what only looks like its name; of WER they stay."""
    assert said == called(text, {"metric": {"label": "F1"}})
    assert said.replace("F1", "<F1>") == called(text, {"metric": {"label": "F1"}}, label="<F1>")
    assert text == called(text, {})
