"""Claims, their sentences and the answer: nothing contradicts its table, itself or another claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import people, write_scored_run

from asrfair.report import load_run
from asrfair.report.html.views import choices_of
from asrfair.say.answer import MAX_SENTENCES, MAX_WORDS, make_answer
from asrfair.say.check import contradictions
from asrfair.say.claims import claims_of, read_claims
from asrfair.say.record import say_run
from asrfair.stats import analyse_run
from asrfair.types import GroupSettings, StatisticsSettings

BY = GroupSettings(by=(("accent",), ("gender",)), min_speakers=3)


def told(
    folder: Path, seed: int, *, sizes: dict[str, int], rates: dict[str, float], engines: dict[str, float], phone: float
) -> dict[str, pd.DataFrame]:
    """Simulate a run, analyse it and put it into words."""
    rng = np.random.default_rng(seed)
    table = people(sizes, utterances=4)
    speakers = sum(sizes.values())
    table["gender"] = np.repeat(np.where(rng.random(speakers) < 0.5, "f", "m"), 4)
    own = np.repeat(rng.gamma(3.0, 1 / 3.0, speakers), 4)
    words = rng.integers(10, 60, len(table))
    level = table["accent"].map(rates).to_numpy() * own * words
    errors = {
        (name, place): rng.poisson(level * better * harder).tolist()
        for name, better in engines.items()
        for place, harder in (("clean", 1.0), ("phone", phone))
    }
    run = write_scored_run(folder / f"run{seed}", table, errors, words.tolist())
    found = analyse_run(run, BY, StatisticsSettings(draws=300, subgroups=True, adjust=("length",)), full=True)
    return say_run(run, found.tables, {})


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """Three engines; one accent is far worse, one engine too, and the phone doubles everything."""
    folder = tmp_path_factory.mktemp("clear")
    sizes = {"us": 30, "uk": 25, "indian": 25}
    rates = {"us": 0.08, "uk": 0.09, "indian": 0.26}
    tables = told(folder, 1, sizes=sizes, rates=rates, engines={"a": 1.0, "b": 1.0, "c": 1.7}, phone=2.0)
    return folder / "run1", tables


def test_what_is_there_is_said(clear: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    """The worse accent, the worse engine and the cost of the phone are affirmed, with their signs."""
    claims = claims_of(clear[1]["claims"])
    yes = {claim.id: claim for claim in claims if claim.affirmed}
    for engine in "abc":
        assert yes[f"group:{engine}:clean:accent:indian"].estimate > 0.1
        assert yes[f"worst:{engine}:clean:accent:indian"].among == ("indian",)
        assert yes[f"condition:{engine}:clean:phone:overall"].ci_low > 0
    assert yes["engine:a:c:clean"].ci_high < 0
    assert "engine:a:b:clean" not in yes
    assert yes["interaction:a:phone:accent:indian"].estimate > 0


def test_the_answer_names_the_group_first(clear: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    """Merged over engines, short, and every sentence rests on claims."""
    answer = make_answer(clear[1], {})
    assert answer.lead.startswith("indian is understood worse than the other accent groups by 3 of 3 engines")
    assert len(answer.sentences) <= MAX_SENTENCES
    assert sum(len(t.split(" ")) for t in (answer.lead, *(s.text for s in answer.sentences))) <= MAX_WORDS
    assert all(sentence.claim_ids for sentence in answer.sentences)
    assert answer.affirmed == clear[1]["claims"]["affirmed"].sum()


def test_claims_come_back_from_their_file(clear: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    """What is read is what was written: texts, numbers and which are affirmed."""
    run, tables = clear
    read = read_claims(run)
    assert list(read.columns) == list(tables["claims"].columns)
    assert read["text"].tolist() == tables["claims"]["text"].tolist()
    assert read["affirmed"].tolist() == tables["claims"]["affirmed"].tolist()
    np.testing.assert_array_equal(
        read["estimate"].to_numpy(dtype=float), tables["claims"]["estimate"].to_numpy(dtype=float)
    )


def test_nothing_contradicts_anything_where_much_is_there(clear: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    """The checker finds nothing to say."""
    assert [] == contradictions(clear[1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_no_run_contradicts_itself(tmp_path: Path, seed: int) -> None:
    """Whatever the run: sizes, rates, engines and places are drawn at random, and no two sentences disagree."""
    rng = np.random.default_rng(seed)
    names = [f"g{i}" for i in range(int(rng.integers(2, 6)))]
    tables = told(
        tmp_path,
        seed,
        sizes={name: int(rng.integers(3, 30)) for name in names},
        rates={name: float(rng.choice([0.05, 0.15, 0.15, 0.4])) for name in names},
        engines={name: float(rng.choice([1.0, 1.0, 1.5])) for name in ("a", "b", "c")[: int(rng.integers(1, 4))]},
        phone=float(rng.choice([1.0, 1.3, 3.0])),
    )
    assert [] == contradictions(tables)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("estimate", -0.2, "outside"),
        ("p_adjusted", float("nan"), "affirmed at p"),
        ("rate", 0.123, "the table has"),
        ("ci_low", -0.3, "around no effect"),
        ("text", "indian is best, 99.9 %.", "no number of the claim"),
        ("flag", "open", "flagged"),
    ],
)
def test_the_checker_sees_what_is_wrong(
    clear: tuple[Path, dict[str, pd.DataFrame]], column: str, value: object, words: str
) -> None:
    """A claim that is tampered with is found: another sign, no p, another number, another interval."""
    claims = clear[1]["claims"].copy()
    row = claims.index[claims["id"] == "group:a:clean:accent:indian"][0]
    claims[column] = claims[column].astype(object)
    claims.loc[row, column] = value
    assert any(words in line for line in contradictions({**clear[1], "claims": claims}))


def test_where_nothing_is_there_the_answer_says_open(tmp_path: Path) -> None:
    """Groups and engines alike: nothing is affirmed, and the worst group is said to be open."""
    sizes, rates = {"us": 12, "uk": 12}, {"us": 0.15, "uk": 0.15}
    tables = told(tmp_path, 21, sizes=sizes, rates=rates, engines={"a": 1.0, "b": 1.0}, phone=1.0)
    answer = make_answer(tables, {})
    assert answer.affirmed == 0
    assert "which group is served worst is open" in answer.lead
    assert not any(sentence.level == "finding" for sentence in answer.sentences)


def test_a_place_that_costs_everybody_leads_and_groups_in_it_come_next(tmp_path: Path) -> None:
    """No group differs: the lead is the place, what may break it is about places, and the widest gap may be chance."""
    sizes, rates = {"us": 12, "uk": 12}, {"us": 0.15, "uk": 0.15}
    tables = told(tmp_path, 22, sizes=sizes, rates=rates, engines={"a": 1.0}, phone=4.0)
    answer = make_answer(tables, {})
    assert answer.lead.startswith("phone costs everybody")
    assert "instead of" in answer.lead
    assert answer.sentences[0].text.startswith("In phone, ")
    assert answer.sentences[0].text.endswith("with these speakers that may be chance.")
    assert answer.badges.breaks == "The place is a simulation: noise, room and line are added to the recordings."
    assert answer.badges.next.startswith("Record more people: ")
    page = choices_of(load_run(tmp_path / "run22"))  # it opens where its sentence is
    assert page.start("condition") == "phone"
    assert contradictions(tables) == []
