"""Small formulas of the statistics, written out again: a sign or an operator that is another gives another number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats_runs import frame_of, people, write_scored_run

from asrfair.nightly.relative import _level
from asrfair.runs.gate_settings import GateSettings
from asrfair.stats.analyse import write_tables
from asrfair.stats.attribute_rates import attribute_rates
from asrfair.stats.compare.groups import difference_table
from asrfair.stats.compare.left_out import left_out_table
from asrfair.stats.estimate.bootstrap import Draws, percentile_interval
from asrfair.stats.estimate.extremes import percentile_extremes
from asrfair.stats.estimate.psychometric import Curve
from asrfair.stats.estimate.rate_interval import joint_df, skew_stretch
from asrfair.stats.explain.influence import _leaders
from asrfair.stats.groups import make_grouping
from asrfair.types import StatisticsSettings


def test_the_upper_bound_is_stretched_by_the_speakers_shares() -> None:
    """(2/3 u − 1/2) s (1 − 3/df): nothing where that is negative, or where there are no degrees of freedom."""
    variance, df = np.array([0.04, 0.04, 0.04, 0.04]), np.array([12.0, 3.0, 12.0, np.nan])
    unevenness = np.array([1.5, 1.5, 0.6, 1.5])
    assert np.allclose([0.5 * 0.2 * 0.75, 0.0, 0.0, 0.0], skew_stretch(variance, unevenness, df))


def test_degrees_of_freedom_of_speakers_and_sentences_are_joined_by_their_variances() -> None:
    """(v + w)² / (v²/f + w²/g); of speakers alone where sentences add no variance."""
    joint = joint_df(np.array([3.0, 3.0]), np.array([9.0, 9.0]), np.array([1.0, 0.0]), np.array([4.0, 4.0]))
    assert [pytest.approx(16 / (1 + 0.25)), 9.0] == joint.tolist()


def test_a_curve_falls_from_its_highest_to_its_lowest_rate() -> None:
    """A logistic function with its middle half-way; ``reaches`` is its inverse, and infinite outside of it."""
    curve = Curve(low=np.array([0.1]), high=np.array([0.9]), middle=np.array([5.0]), slope=np.array([0.5]))
    expected = [0.1 + 0.8 / (1 + np.exp(0.5 * (level - 5.0))) for level in (1.0, 5.0, 12.0)]
    assert np.allclose(expected, curve.at(np.array([1.0, 5.0, 12.0])))
    assert 0.5 == pytest.approx(curve.at(5.0)[0])
    assert 12.0 == pytest.approx(curve.reaches(curve.at(12.0))[0])
    assert [np.inf, -np.inf] == [curve.reaches(np.array([target]))[0] for target in (0.1, 0.9)]


def test_what_moves_the_gap_comes_first_and_every_group_has_its_own() -> None:
    """By how far the gap moves, then by how far the group's rate does; the first of each group is always there."""
    moved = np.array([0.3] + [0.2] * 30 + [0.0])
    shifted = np.array([0.0, *np.linspace(0.1, 0.4, 30), 0.05])
    group = np.array([0] * 31 + [1])
    found = _leaders(moved, shifted, group)
    assert [0, 30, 29] == found[:3]
    assert 31 == found[-1]
    assert sorted(found[1:-1], reverse=True) == found[1:-1]


def test_only_what_both_runs_could_score_is_accounted_for() -> None:
    """An utterance that either run left out by its reference is in no row; the others are where they were heard."""
    ids = ["u1", "u2", "u3", "u4", "u5"]
    people = pd.DataFrame({"utterance_id": ids, "speaker_id": ["s1", "s1", "s2", "s3", "s3"], "accent": list("xxyyy")})

    def scores(engine: str, status: list[str], errors: list[int]) -> pd.DataFrame:
        counts = {"hits": [10 - e for e in errors], "substitutions": errors, "deletions": 0, "insertions": 0}
        return pd.DataFrame({"engine": engine, "condition": "clean", "utterance_id": ids, "status": status, **counts})

    first = scores("a", ["scored", "scored", "empty_reference", "scored", "error"], [1, 2, 0, 4, 0])
    second = scores("b", ["scored", "empty_reference", "scored", "error", "missing"], [3, 0, 1, 0, 0])
    table = left_out_table([first, second], people, [("accent",)], ("a", "b"), ("a", "b"), ["clean"])
    everybody, x, y = (row._asdict() for row in table.itertuples(index=False))
    assert (3, 1, 1, 0, 1) == tuple(
        everybody[name] for name in ("utterances", "compared", "only_a", "only_b", "neither")
    )
    assert (2, 1) == (everybody["speakers"], everybody["speakers_left_out"])
    assert (0.1, 0.3, 0.4) == tuple(everybody[name] for name in ("wer_a_compared", "wer_b_compared", "wer_a_only_a"))
    assert -0.2 == pytest.approx(everybody["difference"])
    assert -0.1 == pytest.approx(everybody["difference_as_other"])
    assert (-2 + 4 - 10) / 20 == pytest.approx(everybody["difference_lowest"])
    assert (-2 + 4) / 20 == pytest.approx(everybody["difference_highest"])
    assert ("x", 1, "y", 2) == (x["group"], x["utterances"], y["group"], y["utterances"])


def test_a_night_may_spend_its_part_of_what_false_alarms_there_may_be() -> None:
    """Four fifths of alpha (a fifth is the chart's), evenly over the nights of the horizon."""
    assert 0.8 * 0.06 / 40 == pytest.approx(_level(GateSettings(alpha=0.06, horizon_nights=40)))


def test_an_analysis_without_sentences_in_common_leaves_no_table_of_them(tmp_path: Path) -> None:
    """What an earlier analysis wrote goes; what this one made is written; claims are left to who says them."""
    (tmp_path / "prompts.csv").write_text("attribute\nold\n")
    table = pd.DataFrame({"attribute": ["overall"]})
    write_tables({"gaps": table, "claims": table}, tmp_path)
    assert ["gaps.csv"] == sorted(path.name for path in tmp_path.iterdir())
    write_tables({"prompts": table}, tmp_path)
    assert "attribute\noverall\n" == (tmp_path / "prompts.csv").read_text(encoding="utf-8")


def test_percentile_intervals_are_of_differences_and_ratios_draw_by_draw(tmp_path: Path) -> None:
    """Five draws by hand, quartiles of them; not stated is in no rest, and a draw without errors there has no ratio."""
    table = people({"a": 3, "b": 3, "c": 3, "not_stated": 3}, utterances=1)
    errors = [3] * 3 + [1] * 3 + [4] * 3 + [9] * 3
    run = write_scored_run(tmp_path, table, {("e", "clean"): errors}, [10] * 12)
    frame, groups = frame_of(run, ("accent",), min_speakers=1, min_words=1, reference={"accent": "c"})
    settings = StatisticsSettings(interval="percentile", confidence=0.5)
    one = attribute_rates(frame, make_grouping(frame, ("accent",)), groups, settings)
    drawn = [[10, 10, 120, 90], [20, 10, 120, 90], [30, 10, 120, 90], [40, 10, 120, 90], [50, 0, 120, 90]]
    words = np.full((5, 1, 4), 100)
    words[:, :, 2] = 300
    draws = Draws(errors=np.array(drawn)[:, None], words=words)
    found = pd.concat(difference_table(frame, [replace(one, draws=draws)], groups, settings)[1:])
    row = found[found["group"] == "a"].set_index("versus")
    bounds = ["ci_low", "ci_high", "ratio_ci_low", "ratio_ci_high"]
    assert {"best": "b", "reference": "c", "rest": ""} == row["versus_group"].to_dict()
    assert [0.1, 0.3, 1.75, 3.25] == pytest.approx(row.loc["best", bounds].tolist())
    assert [-0.2, 0.0, 0.5, 1.0] == pytest.approx(row.loc["reference", bounds].tolist())
    rest = 130 / 400
    assert [0.2 - rest, 0.4 - rest, 0.2 / rest, 0.4 / rest] == pytest.approx(row.loc["rest", bounds].tolist())
    extremes = percentile_extremes(draws, one.compared, 0.5)
    assert [0.4, 0.4] == pytest.approx(np.concatenate(extremes.worst).tolist())
    assert [0.3, 0.3] == pytest.approx(np.concatenate(extremes.gap).tolist())
    assert [4.0, 4.0] == pytest.approx(np.concatenate(extremes.ratio).tolist())
    assert [0.7 / 3, 0.9 / 3] == pytest.approx(np.concatenate(extremes.macro).tolist())


def test_a_group_that_a_draw_left_without_words_is_no_extreme_of_it() -> None:
    """Best, worst and their ratio are found anew in each draw, among the compared groups that it has words of."""
    errors = np.array([[[1, 5, 9]], [[1, 5, 9]], [[4, 0, 9]]])
    draws = Draws(errors=errors, words=np.array([[[10, 10, 10]], [[10, 10, 10]], [[10, 0, 10]]]))
    found = percentile_extremes(draws, np.array([[True, True, False]]), 1.0)
    assert [0.4, 0.5] == pytest.approx(np.concatenate(found.worst).tolist())
    assert [0.0, 0.4] == pytest.approx(np.concatenate(found.gap).tolist())
    assert [1.0, 5.0] == pytest.approx(np.concatenate(found.ratio).tolist())


def test_quantiles_leave_out_what_is_not_known() -> None:
    """Of 1 2 3 4 and one unknown the quartiles are 1.75 and 3.25; of nothing known, nothing."""
    values = np.array([[4.0, np.nan], [np.nan, np.nan], [1.0, np.nan], [3.0, np.nan], [2.0, np.nan]])
    low, high = percentile_interval(values, 0.5)
    assert [1.75, 3.25] == pytest.approx([low[0], high[0]])
    assert np.isnan([low[1], high[1]]).all()
    assert [1.5, 4.5] == pytest.approx([value.item() for value in percentile_interval(np.arange(7.0), 0.5)])
