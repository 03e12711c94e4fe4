"""Claims merged into the sentences of an answer, word by word: one engine, several, places and orders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import pytest
from test_say_sentences import CLAIM

from asrfair.say import numbers as say
from asrfair.say.claims import Claim
from asrfair.say.merged import Sentence, by_attribute, decibels, engine_order, further, places, ranks

NUMBERS = count()
ONE, THREE = ("a",), ("a", "b", "c")
WORSE = "uk is understood worse than the other accent groups by"


def made(kind: str, points: float = 8.0, **changes: object) -> Claim:
    """A claim of engine a on clean recordings, so many points with five on either side."""
    size = points / 100
    own = {"estimate": size, "ci_low": size - 0.05, "ci_high": size + 0.05, "rank": next(NUMBERS), "versus": ""}
    own |= {"id": f"{kind}{next(NUMBERS)}", "kind": kind, "engine": "a", "condition": "clean"}
    return replace(CLAIM, **(own | changes))


def told(sentences: Iterable[Sentence]) -> list[str]:
    """The texts, with plain spaces."""
    return [sentence.text.replace(say.SPACE, " ") for sentence in sentences]


def test_one_engines_worst_group_comes_first() -> None:
    """The worst by rank, those worse too, the gap, and among whom the truly worst is."""
    claims = [
        made("omnibus"), made("group", 6.0, group="ie", rank=2), made("group", rank=1), made("group", -9.0, group="us"),
        made("gap", versus="us"), made("worst", among=("uk", "ie")),
    ]  # fmt: skip
    expected = [
        (
            "uk is understood worse than the other accent groups: 20.0 % of words wrong against 12.0 %, 8.0 points apart "
            "(3.0–13.0)."
        ),
        "Beyond chance worse too: ie.",
        "Between uk and us (12.0 %) lie 8.0 points, at least 3.0 points beyond chance.",
        "The accent truly served worst is one of uk and ie.",
    ]
    found = list(by_attribute(claims, ONE, "clean"))
    assert expected == told(found)
    assert [(claims[2].id,), (claims[1].id,), (claims[4].id,), (claims[5].id,)] == [one.claim_ids for one in found]
    assert expected[:3] == told(by_attribute([*claims[:5], made("worst", among=("uk",))], ONE, "clean"))


def test_where_none_is_worse_the_better_group_is_told() -> None:
    """A group that is better, in a place, with loops capped; and where only the groups as a whole differ, just that."""
    better = made("group", -8.0, group="us", basis="capped")
    assert [
        (
            "us is understood better than the other accent groups in ward: 20.0 % of words wrong against 12.0 %, "
            "8.0 points apart (3.0–13.0) (loops capped)."
        )
    ] == told(by_attribute([made("omnibus"), better], ONE, "ward"))
    unclear = made("group", affirmed=False)
    assert ["a: the groups by accent differ beyond chance."] == told(
        by_attribute([made("omnibus"), unclear], ONE, "clean")
    )


def test_what_cannot_be_told_is_one_sentence_at_the_end() -> None:
    """Attributes with nothing affirmed, together; the attribute whose groups differ most clearly comes first."""
    claims = [
        made("omnibus"), made("group"), made("omnibus", attribute="gender"),
        made("group", 15.0, attribute="gender", group="m"), made("omnibus", attribute="age", affirmed=False),
        made("omnibus", attribute="town", affirmed=False),
    ]  # fmt: skip
    found = told(by_attribute(claims, ONE, "clean"))
    assert ["m is ", "uk is", "By ag"] == [text[:5] for text in found]
    better = [made("omnibus", attribute="gender"), made("group", -8.0, attribute="gender", group="f")]  # to −3 points
    clearer = [made("omnibus"), made("group", 9.0)]  # from 4 points
    assert ["uk is", "f is "] == [text[:5] for text in told(by_attribute([*better, *clearer], ONE, "clean"))]
    end = "no difference between groups can be told from chance with these speakers"
    assert f"By age and town, {end}; which group is served worst is open." == found[-1]
    (other,) = by_attribute(claims[-1:], THREE, "ward")
    assert f"By town in ward, {end} for any of 3 engines; which group is served worst is open." == told([other])[0]
    assert "limit" == other.level


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (
            [("a", "uk", 8.0), ("b", "uk", 5.0), ("c", "uk", -2.0), ("a", "ie", 3.0), ("a", "us", -9.0)],
            [f"{WORSE} 2 of 3 engines, beyond chance: 5.0–8.0 points; better by c (2.0 points)."],
        ),
        (
            [("a", "uk", 8.0), ("b", "uk", -2.0), ("c", "uk", -4.0)],
            [f"{WORSE} 1 of 3 engines, beyond chance: 8.0 points; better by 2 (2.0–4.0 points)."],
        ),
        (
            [("a", "uk", 8.0), ("b", "uk", 8.0), ("a", "ie", 3.0), ("b", "ie", 3.0), ("a", "x", 1.0), ("b", "x", 1.0)],
            [f"{WORSE} 2 of 3 engines, beyond chance: 8.0 points.",
             "ie is understood worse than the other accent groups by 2 of 3 engines, beyond chance: 3.0 points."],
        ),
        (
            [("a", "us", -8.0), ("b", "us", -5.0), ("c", "uk", -1.0)],
            ["us is understood better than the other accent groups by 2 of 3 engines, beyond chance: 5.0–8.0 points."],
        ),
        ([], ["By accent, groups differ beyond chance for 2 of 3 engines."]),
    ],
)  # fmt: skip
def test_several_engines_are_counted(groups: list[tuple[str, str, float]], expected: list[str]) -> None:
    """For how many a group is worse, by how much, and for whom it is the other way round; a minority is no second line."""
    asked = [made("omnibus"), made("omnibus"), made("omnibus", affirmed=False)]
    claims = [replace(made("group", size, group=group), engine=engine) for engine, group, size in groups]
    assert expected == told(by_attribute([*asked, *claims], THREE, "clean"))


def test_the_highest_rate_of_several_engines_is_told_with_how_sure_it_is() -> None:
    """Of which group it is for most, and for how many that group alone may be the worst."""
    highest = [made("worst"), made("worst", among=("uk", "ie")), made("worst", group="ie", affirmed=False)]
    found = list(by_attribute([made("omnibus"), *highest], THREE, "clean"))
    assert "uk has the highest rate for 2 of 3 engines and is surely the worst for 1." == told(found)[1]
    assert ("limit", tuple(claim.id for claim in highest[:2])) == (found[1].level, found[1].claim_ids)
    open_ = told(by_attribute([made("omnibus"), *highest[1:], made("worst", affirmed=False)], THREE, "clean"))
    assert "uk has the highest rate for 2 of 3 engines; which group is truly the worst is open." == open_[1]


def _pair(first: str, second: str, points: float, *, sure: bool = True, **changes: object) -> Claim:
    return replace(made("engine", points, **({"group": "", "affirmed": sure} | changes)), engine=first, versus=second)


def test_ranks_are_what_the_pairs_that_are_told_apart_leave_open() -> None:
    """One less than those that are surely better, and the number of engines less those that are surely worse."""
    unsure = _pair("a", "b", -9.0, sure=False)
    assert {"a": (1, 2), "b": (1, 3), "c": (2, 3)} == ranks([_pair("a", "c", -2.0), unsure], THREE)
    assert {"a": (1, 2), "b": (3, 3), "c": (1, 2)} == ranks([_pair("a", "b", -1.0), _pair("b", "c", 1.0)], THREE)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (
            {"ab": -2.0, "ac": -5.0},
            "a makes the fewest errors of 3 engines, beyond chance against each; 2 of 3 pairs can be told apart.",
        ),
        ({"ac": -2.0}, "a and b may be the best of 3 engines; 1 of 3 pairs can be told apart."),
        ({"ab": -2.0, "bc": -2.0}, "a may be the best of 3 engines; 2 of 3 pairs can be told apart."),
        ({}, "no difference can be told between 3 engines: their order is open."),
    ],
)
def test_an_order_says_what_is_sure(sizes: dict[str, float], expected: str) -> None:
    """The best is named where it is told apart from each; else those that may be it."""
    pairs = [_pair(*names, sizes.get(names, -1.0), sure=names in sizes) for names in ("ab", "ac", "bc")]
    (found,) = engine_order(pairs, THREE)
    assert f"Judged over everybody, {expected}" == told([found])[0]
    assert ("finding" if sizes else "limit") == found.level
    (lacking,) = engine_order(pairs, THREE, {"b": 0.2})
    end = " Of the utterances, b only 20.0 % could be compared: what is missing may be the hardest."
    assert f"Judged over everybody, {expected}{end}" == told([lacking])[0]
    of_groups = [replace(pair, kind="worst_engine", group="uk") for pair in pairs]
    assert (
        f"Judged by the accent that each serves worst, {expected}" == told(engine_order([*pairs, *of_groups], THREE))[1]
    )


def test_engines_are_judged_by_the_worst_group_where_groups_differ() -> None:
    """Of two attributes the one whose groups differ; of none that do, the first alone. Groups' own pairs are no order."""
    pair = _pair("a", "b", -2.0)
    worst = [replace(_pair("a", "b", -3.0, attribute=name), kind="worst_engine") for name in ("accent", "gender")]
    differ = made("omnibus", attribute="gender")
    first = "a makes fewer errors than b on the same speakers: 2.0 points fewer (−3.0 to 7.0)."
    gender = "The rate of the worst gender of b is 3.0 points (−2.0 to 8.0) above that of a."
    found = told(engine_order([pair, *worst, differ], ("a", "b")))
    assert [first, gender] == found
    assert [1, 2] == [len(told(engine_order([pair, *some], ("a", "b")))) for some in ([], worst)]
    assert "accent" in told(engine_order([pair, *worst], ("a", "b")))[1]
    assert [] == list(engine_order([_pair("a", "b", -2.0, group="uk"), *worst], ("a", "b")))


def test_a_place_is_told_by_what_it_costs_everybody() -> None:
    """The place that costs most, for one engine with its rates, for several as a range; then whom it costs more."""
    ward, hall = made("condition", versus="clean", condition="ward"), made("condition", 7.0, condition="hall")
    one = "ward costs everybody 8.0 points: 20.0 % of words wrong instead of 12.0 % as recorded (a)."
    assert [one] == told(places([hall, ward], ONE))
    assert [one.replace("as recorded", "in hall")] == told(places([replace(ward, versus="hall")], ONE))
    others = [replace(ward, engine="b", estimate=0.05), replace(ward, engine="c", estimate=-0.01)]
    assert ["ward costs everybody 5.0–8.0 points against clean (2 of 3 engines)."] == told(
        places([ward, *others], THREE)
    )
    spares = replace(ward, estimate=-0.08)
    assert [one.replace("costs", "spares")] == told(places([spares, hall], ONE))
    more = [replace(made(kind, 1.0), condition="ward") for kind in ("interaction_ratio", "interaction")]
    assert ["a: ward costs uk 1.0", "a: in ward the error"] == [text[:20] for text in told(places(more, ONE))]


def test_in_the_place_that_costs_most_the_widest_gap_is_told_as_chance() -> None:
    """Where no group is known to differ there; intersections and other engines' gaps are not shown."""
    ward = replace(made("condition", versus="clean"), condition="ward")
    asked = replace(made("omnibus", affirmed=False), condition="ward")
    gaps = [
        made("gap", 2.0, versus="ie", rate=0.3, affirmed=False), made("gap", 6.0, versus="us", affirmed=False),
        made("gap", 9.0, versus="x", attribute="accent × gender", affirmed=False),
    ]  # fmt: skip
    gaps = [replace(gap, condition="ward") for gap in gaps]
    gaps.append(replace(gaps[1], engine="b", estimate=0.5, group="other"))
    assert (
        "In ward, 20.0 % of words are wrong for uk and 12.0 % for us; with these speakers that may be chance."
        == told(places([ward, asked, *gaps], ONE))[1]
    )
    known = [replace(claim, condition="ward") for claim in (made("omnibus"), made("group"))]
    assert told(places([ward, *known, *gaps], ONE))[1].startswith(
        "uk is understood worse than the other accent groups in w"
    )
    assert 1 == len(told(places([ward, asked], ONE)))


def test_of_further_findings_the_first_of_each_kind_is_told() -> None:
    """Adjusted, then subgroups; of decibels the clearest, with how many more there are."""
    claims = [
        made("subgroup"),
        made("adjusted", versus="us"),
        made("adjusted", versus="x"),
        made("subgroup", affirmed=False),
    ]
    assert [claims[1].id, claims[0].id] == [one.claim_ids[0] for one in further(claims)]
    about = {"versus": "us", "parameter": "noise.snr_db", "unit": "dB", "target": "30 %"}
    asked = [made("threshold", 300.0, **about, rank=rank) for rank in (2, 1)]
    asked.append(made("threshold_ratio", 300.0, **about, affirmed=False))
    (found,) = decibels(asked)
    assert (asked[1].id, asked[0].id) == found.claim_ids
    assert told([found])[0].endswith("(a). 2 of 3 such differences are beyond chance.")
    assert told(decibels(asked[1:]))[0].endswith("in clean (a).")
    assert [] == list(decibels(asked[2:]))
