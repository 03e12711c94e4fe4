"""What a card hides cannot be computed from what it shows: attacked by linear programming, independently written."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from asrfair.cards.suppression import TOTAL, hidden_cells, suppress
from asrfair.errors import InputError
from asrfair.report.loading import RunData

ACCENTS, GENDERS = ("us", "indian", "irish", "welsh"), ("female", "male", "other")


def table(sizes: np.ndarray, seed: int = 1) -> pd.DataFrame:
    """A disparity table of accents × genders whose cells have these speakers, counts to match, and all sums."""
    generator = np.random.default_rng(seed)
    people = pd.DataFrame(
        [
            {
                "accent": ACCENTS[a],
                "gender": GENDERS[g],
                "speakers": 1,
                "utterances": u,
                "ref_words": 9 * u,
                "substitutions": e,
            }
            for a, g in itertools.product(range(sizes.shape[0]), range(sizes.shape[1]))
            for u, e in zip(generator.integers(3, 9, sizes[a, g]), generator.integers(0, 12, sizes[a, g]), strict=True)
        ]
    )
    people["accent × gender"] = people["accent"] + " × " + people["gender"]
    people["overall"] = "all"
    parts = []
    for attribute in ("overall", "accent", "gender", "accent × gender"):
        part = people.groupby(attribute)[["speakers", "utterances", "ref_words", "substitutions"]].sum().reset_index()
        parts.append(part.rename(columns={attribute: "group"}).assign(attribute=attribute))
    frame = pd.concat(parts, ignore_index=True).assign(
        engine="e", condition="clean", deletions=0, insertions=0, flag=""
    )
    frame["rate"] = frame["substitutions"] / frame["ref_words"]
    return frame.assign(hits=frame["ref_words"] - frame["substitutions"])


def run_of(frame: pd.DataFrame, fingerprint: str = "f") -> RunData:
    """A run that has only this table."""
    return RunData(path=Path("run"), about={"manifest": {"fingerprint": fingerprint}}, tables={"disparity": frame})


def attack(shown: pd.DataFrame, count: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Solve all sums of a two-way table for the hidden cells, from the published table alone: (lowest, highest)."""
    cells = list(zip(shown["attribute"], shown["group"], strict=True))
    known = {cell: value for cell, value in zip(cells, shown[count], strict=True) if not np.isnan(value)}
    unknown = [cell for cell in cells if cell not in known]
    sums = [
        (("overall", "all"), [c for c in cells if c[0] == attribute])
        for attribute in ("accent", "gender", "accent × gender")
    ]
    for place, attribute in enumerate(("accent", "gender")):
        sums += [
            (cell, [c for c in cells if c[0] == "accent × gender" and c[1].split(" × ")[place] == cell[1]])
            for cell in cells
            if cell[0] == attribute
        ]
    left = np.zeros((len(sums), len(unknown)))
    right = np.zeros(len(sums))
    for row, (whole, parts) in enumerate(sums):
        for cell, sign in ((whole, -1), *((part, 1) for part in parts)):
            if cell in known:
                right[row] -= sign * known[cell]
            else:
                left[row, unknown.index(cell)] += sign
    found = {}
    for place, cell in enumerate(unknown):
        aim = np.eye(len(unknown))[place]
        ends = [linprog(sign * aim, A_eq=left, b_eq=right, bounds=(0, None)) for sign in (1, -1)]
        assert [0, 0] == [end.status for end in ends]
        found[cell] = (float(ends[0].fun), float(-ends[1].fun))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_no_hidden_cell_can_be_solved_for(seed: int) -> None:
    """In random two-way tables no speakers, words or errors of a hidden cell follow from the published cells."""
    sizes = np.random.default_rng(seed).integers(1, 14, (4, 3))
    sizes[0, 0] = 2
    frame = table(sizes, seed)
    hidden = hidden_cells([run_of(frame)], 5)[0]
    shown = suppress(frame, hidden)
    truth = frame.set_index(["attribute", "group"])
    small = set(truth.index[truth["speakers"] < 5])
    assert small <= hidden
    assert small < hidden
    for count in ("speakers", "utterances", "ref_words", "substitutions"):
        for cell, (low, high) in attack(shown, count).items():
            value = truth.loc[cell, count]
            assert low - 1e-6 <= value <= high + 1e-6
            assert high - low >= max(1, 0.2 * value) - 1e-6, (count, cell)


def test_naive_suppression_is_broken_by_the_same_attack() -> None:
    """Hiding only the small cell leaves it exactly computable: the attack of these tests works."""
    frame = table(np.array([[2, 9, 9], [9, 9, 9], [9, 9, 9], [9, 9, 9]]))
    shown = suppress(frame, {("accent × gender", "us × female")})
    assert {("accent × gender", "us × female"): (2.0, 2.0)} == attack(shown, "speakers")


def test_two_hidden_cells_of_few_speakers_together_take_a_third() -> None:
    """Cells of 2 and 2 speakers would tell the sum of 4: a further one is hidden."""
    frame = table(np.array([[2], [2], [9], [20]]))
    frame = frame[frame["attribute"].isin({"overall", "accent"})].reset_index(drop=True)
    hidden = hidden_cells([run_of(frame)], 5)[0]
    assert frozenset({("accent", "us"), ("accent", "indian"), ("accent", "irish")}) == hidden


def test_nothing_is_hidden_where_all_groups_are_large() -> None:
    """A table of large groups is shown whole."""
    assert [frozenset()] == hidden_cells([run_of(table(np.full((4, 3), 8)))], 5)


def test_a_hidden_row_keeps_only_its_name() -> None:
    """No number and no flag of a hidden row is left, so that small and complementary ones look alike."""
    frame = table(np.full((4, 3), 8)).assign(flag="few_words")
    row = suppress(frame, {("accent", "us")}).set_index(["attribute", "group"]).loc[("accent", "us")]
    assert "suppressed" == row["flag"]
    assert row.drop(["flag", "engine", "condition"]).isna().all()


def test_groups_that_make_up_another_attribute_are_protected_too() -> None:
    """A town's small group hides a second one although no table says that the towns make up the region."""
    speakers = {"north": ("leeds", 2), "north2": ("york", 9), "south": ("dover", 9), "south2": ("bath", 9)}
    rows = [
        {"region": region.rstrip("2"), "town": town} for region, (town, count) in speakers.items() for _ in range(count)
    ]
    people = pd.DataFrame(rows)
    frames = [pd.DataFrame({"attribute": ["overall"], "group": ["all"], "speakers": [len(people)]})]
    for attribute in ("region", "town"):
        sizes = people.groupby(attribute).size()
        frames.append(pd.DataFrame({"attribute": attribute, "group": sizes.index, "speakers": sizes.to_numpy()}))
    frame = pd.concat(frames, ignore_index=True).assign(engine="e", condition="clean", flag="")
    frame["utterances"] = frame["ref_words"] = 10 * frame["speakers"]

    class WithPeople(RunData):
        """A run whose utterances are these people's."""

        def utterances(self) -> pd.DataFrame:
            return people

    run = WithPeople(path=Path("run"), about={}, tables={"disparity": frame})
    assert {("town", "leeds"), ("town", "york")} <= hidden_cells([run], 5)[0]


def test_runs_on_the_same_speakers_hide_the_same_cells() -> None:
    """A cell that is small in one run is hidden in the other run on the same manifest."""
    sizes = np.full((4, 3), 9)
    few = sizes.copy()
    few[0, 0] = 3
    one, two = hidden_cells([run_of(table(sizes)), run_of(table(few))], 5)
    assert ("accent × gender", "us × female") in one & two
    assert one == two


def test_runs_that_differ_by_few_speakers_make_no_common_card() -> None:
    """The difference of two totals would be a small cell, so that both cannot be published."""
    sizes = np.full((4, 3), 9)
    fewer = sizes.copy()
    fewer[0, 0] = 7
    with pytest.raises(InputError, match="differ by fewer than 5"):
        hidden_cells([run_of(table(sizes)), run_of(table(fewer))], 5)


def test_a_run_of_few_speakers_is_refused() -> None:
    """Nothing of four speakers is published."""
    with pytest.raises(InputError, match="fewer than 5 speakers"):
        hidden_cells([run_of(table(np.array([[2, 2]])))], 5)


def test_the_total_is_never_hidden() -> None:
    """Everybody together is always shown."""
    frame = table(np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]]))
    assert TOTAL not in hidden_cells([run_of(frame)], 5)[0]
