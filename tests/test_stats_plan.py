"""A collection plan from a manifest: what its speakers would show, how many more are needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from stats_runs import write_scored_run

from asrfair.cli.main import app
from asrfair.stats.frame import load_frame
from asrfair.stats.plan.speakers_needed import COLUMNS, Assumptions, in_several, plan_table, spread_in
from asrfair.types import GroupSettings

WORDS = pd.DataFrame(
    {
        "speaker_id": [f"s{i}" for i in range(30)],
        "words": 300,
        "accent": ["us"] * 20 + ["indian"] * 6 + ["welsh"] * 2 + ["not_stated"] * 2,
    }
)


def test_every_stated_group_is_planned_for() -> None:
    """Fewer speakers see less and need more; who did not state a group is in none."""
    table = plan_table(WORDS, [("accent",)], Assumptions(difference=0.1))
    assert list(table.columns) == COLUMNS
    rows = table.set_index("group")
    assert list(rows.index) == ["indian", "us", "welsh"]
    assert rows.loc["us", "detectable"] < rows.loc["indian", "detectable"]
    assert np.isnan(rows.loc["welsh", "detectable"])
    assert rows.loc["indian", "more_speakers"] == rows.loc["indian", "speakers_needed"] - 6


def test_a_larger_spread_needs_more_speakers() -> None:
    """The number grows with the coefficient of variation and shrinks with the difference."""
    needed = [
        plan_table(WORDS, [("accent",)], Assumptions(cv=cv, difference=d))
        .set_index("group")
        .loc["indian", "speakers_needed"]
        for cv, d in ((0.3, 0.1), (0.4, 0.1), (0.3, 0.2))
    ]
    assert needed[2] < needed[0] < needed[1]


def test_the_spread_of_an_earlier_run_is_measured(tmp_path: Path) -> None:
    """Simulated with a coefficient of variation of 0.5 around two groups' rates, about 0.5 comes out."""
    rng = np.random.default_rng(1)
    speakers = 400
    words = np.full(speakers, 1000)
    rate = np.where(np.arange(speakers) % 2 == 0, 0.1, 0.3) * rng.gamma(4, 0.25, speakers)
    utterances = pd.DataFrame(
        {
            "utterance_id": [f"u{i:03d}" for i in range(speakers)],
            "speaker_id": [f"s{i:03d}" for i in range(speakers)],
            "accent": np.where(np.arange(speakers) % 2 == 0, "us", "indian"),
        }
    )
    run = write_scored_run(tmp_path, utterances, {("e", "clean"): rng.poisson(rate * words).tolist()}, words.tolist())
    wer, cv = spread_in(load_frame(run, GroupSettings(by=(("accent",),))), ("accent",))
    assert wer == pytest.approx(0.2, abs=0.02)
    assert cv == pytest.approx(0.5, abs=0.05)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A manifest of 30 speakers."""
    lines = ["utterance_id,speaker_id,reference,accent"]
    lines += [
        f"u{i},{row.speaker_id},{'word ' * 300},{'' if row.accent == 'not_stated' else row.accent}"
        for i, row in enumerate(WORDS.itertuples())
    ]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = tmp_path / "card.toml"
    path.write_text(
        '[manifest]\nname = "m"\nversion = "1"\ntable = "table.csv"\nlicence = "CC0-1.0"\n'
        '[attributes.accent]\ndescription = "accent"\nprovenance = "self-reported"\n',
        encoding="utf-8",
    )
    return path


def test_the_command_prints_a_plan(card: Path) -> None:
    """A table for people, and the same as JSON."""
    result = CliRunner().invoke(app, ["manifest", "plan", str(card), "--by", "accent", "--difference", "0.1"])
    assert result.exit_code == 0, result.output
    assert "indian" in result.output
    assert "speakers each" in result.output
    result = CliRunner().invoke(app, ["manifest", "plan", str(card), "--by", "accent", "--difference", "0.1", "--json"])
    found = json.loads(result.output)
    expected = plan_table(WORDS, [("accent",)], Assumptions(difference=0.1)).set_index("group")["speakers_needed"]
    assert {row["group"]: row["speakers_needed"] for row in found["groups"]}["indian"] == expected["indian"]


def test_an_unknown_engine_of_the_run_is_an_error(card: Path, tmp_path: Path) -> None:
    """The remedy names the engines that there are."""
    utterances = pd.DataFrame({"utterance_id": ["u0"], "speaker_id": ["s0"], "accent": ["us"]})
    run = write_scored_run(tmp_path / "run", utterances, {("whisper", "clean"): [1]}, [10])
    result = CliRunner().invoke(
        app, ["manifest", "plan", str(card), "--by", "accent", "--run", str(run), "--engine", "whispr"]
    )
    assert result.exit_code != 0
    assert "whisper" in str(result.exception)


def test_people_in_several_groups_are_counted_and_said(tmp_path: Path) -> None:
    """Who reads in two styles is no two people, and the plan, which takes them as such, says so."""
    rows = ["utterance_id,speaker_id,reference,style,accent"]
    for speaker in range(6):
        for style in ("read", "dictated")[: 1 + (speaker < 4)]:
            rows.append(f"{style}{speaker},s{speaker},one two three four,{style},{('a', 'b')[speaker % 2]}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    words = pd.DataFrame({"speaker_id": ["x", "x", "y"], "style": ["read", "dictated", "read"], "words": [3, 4, 0]})
    assert {"style": 1} == in_several(words, [("style",)])
    arguments = ["manifest", "plan", str(tmp_path / "table.csv"), "--by", "style", "--by", "accent"]
    text = CliRunner().invoke(app, arguments).output
    assert "4 speakers are in several groups of style. The plan takes groups as different people" in text
    assert "groups of accent" not in text
    said = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert {"style": 4} == said["speakers_in_several_groups"]
