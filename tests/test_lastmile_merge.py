"""Exports of many sites pooled: the same rates as their raw runs, and no trust in what was changed or doubled."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asrfair.data.runfile import settings_to_json, write_run_file
from asrfair.data.tablefile import read_result, write_parquet
from asrfair.errors import InputError
from asrfair.lastmile.export import make_export, write_export
from asrfair.lastmile.kit import init_kit
from asrfair.lastmile.pool_exports import merge_exports
from asrfair.lastmile.settings import Kit
from asrfair.lastmile.signoff import sign_off_page
from asrfair.lastmile.suppress import SUPPRESSED, suppress
from asrfair.scoring.metric import WER
from asrfair.stats import analyse_run, named
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

ACCENTS = ("local", "regional", "second-language")


def site(folder: Path, number: int, *, speakers: int = 24) -> Kit:
    """A kit with a scored run of made-up counts."""
    kit = init_kit(folder).kit
    rng = np.random.default_rng(number)
    utterances, scores = [], []
    for person in range(speakers):
        groups = {"accent": ACCENTS[person % 3], "gender": ("female", "male")[person // 3 % 2]}
        rate = rng.gamma(4, 0.04) * (1 + person % 3)
        for clip in range(6):
            name = f"site{number}-{person}-{clip}"
            utterances.append(
                {"utterance_id": name, "speaker_id": f"site{number}-{person}", "reference": "", "exclude": "", **groups}
            )
            words = int(rng.integers(5, 20))
            lost = int(rng.binomial(words, min(rate, 0.9)))
            swapped = int(rng.binomial(words - lost, 0.05))
            scores.append(
                {
                    "engine": "pocketsphinx",
                    "condition": "clean",
                    "utterance_id": name,
                    "status": "scored",
                    "hits": words - lost - swapped,
                    "substitutions": swapped,
                    "deletions": lost,
                    "insertions": int(rng.poisson(0.3)),
                    "char_hits": 0,
                    "char_substitutions": 0,
                    "char_deletions": 0,
                    "char_insertions": 0,
                    "key_terms": 1,
                    "key_term_hits": int(rng.integers(0, 2)),
                }
            )
    run = kit.run_folder("room")
    write_parquet(pd.DataFrame(utterances), run / "utterances.parquet")
    write_parquet(pd.DataFrame(scores), run / "scores.parquet")
    write_run_file(
        run,
        {
            "engines": [{"label": "pocketsphinx", "name": "pocketsphinx", "fingerprint": {"v": "1"}}],
            "conditions": [{"name": "clean", "fingerprint": "0" * 64}],
            "packages": {"python": "3.11.2"},
            **settings_to_json(GroupSettings(), ScoringSettings(), StatisticsSettings()),
        },
    )
    return kit


def exported(kit: Kit, out: Path) -> Path:
    """Export a kit."""
    made = make_export(kit)
    write_export(kit, made, out, made.code)
    return out


def test_twenty_sites_pooled_equal_their_raw_runs(tmp_path: Path) -> None:
    """Group rates agree to 1e-12, and so do counts and intervals, which need no more than sums over speakers."""
    kits = [site(tmp_path / f"site{number}", number) for number in range(20)]
    exports = [exported(kit, tmp_path / f"{number}.json") for number, kit in enumerate(kits)]
    merged = merge_exports(exports, tmp_path / "merged")
    raw = tmp_path / "raw"
    for name in ("utterances.parquet", "scores.parquet"):
        write_parquet(pd.concat([pd.read_parquet(kit.run_folder("room") / name) for kit in kits]), raw / name)
    groups = GroupSettings(by=(("accent",), ("gender",), ("accent", "gender")), min_speakers=5)
    expected = named(analyse_run(raw, groups, StatisticsSettings()).tables["disparity"], WER).set_index(
        ["attribute", "group"]
    )
    actual = read_result(merged.folders["room"] / "disparity.csv").set_index(["attribute", "group"]).loc[expected.index]
    for column in ("utterances", "speakers", "ref_words", "hits", "substitutions", "deletions", "insertions", "failed"):
        assert expected[column].tolist() == actual[column].tolist(), column
    for column in ("wer", "ci_low", "ci_high"):
        np.testing.assert_allclose(actual[column], expected[column], rtol=0, atol=1e-12)
    sites = read_result(merged.folders["room"] / "disparity.csv").query("attribute == 'site'")
    assert 20 == len(sites)


def test_small_cells_are_hidden_and_totals_stay() -> None:
    """Nobody shares a visible combination with fewer than three people, nor can one be told by what is hidden."""
    groups = [("a", "x")] * 4 + [("a", "y")] * 3 + [("b", "x")] * 1 + [("b", "y")] * 2
    rows = [
        {"engine": "e", "condition": "c", "speaker_id": str(i), "accent": accent, "gender": gender, "utterances": 1}
        | {"hits": 50, "substitutions": 1, "deletions": 1, "insertions": 0}
        | {"key_terms": 0, "key_term_hits": 0, "failed": 0}
        for i, (accent, gender) in enumerate(groups)
    ]
    kept, withheld = suppress(pd.DataFrame(rows), ["accent", "gender"], least_speakers=3, least_words=10)
    sizes = kept.groupby(["accent", "gender"])["speaker_id"].nunique()
    assert sizes.min() >= 3
    assert 500 == kept["hits"].sum()
    assert ("b", SUPPRESSED) in sizes.index
    assert 3 == withheld.people


def test_two_exports_laid_side_by_side_show_no_small_group(tmp_path: Path) -> None:
    """What one export hides, another that groups otherwise cannot add: people's codes are the same in both."""
    kit = site(tmp_path / "kit", 1)
    table = pd.read_parquet(kit.run_folder("room") / "utterances.parquet")
    # Two men and two women have the local accent: their gender is hidden, so that four people share what is seen.
    table.loc[table["accent"] == "local", "gender"] = "non-binary"
    for person, gender in ((0, "male"), (3, "male"), (6, "female"), (9, "female")):
        table.loc[table["speaker_id"] == f"site1-{person}", "gender"] = gender
    write_parquet(table, kit.run_folder("room") / "utterances.parquet")
    both = make_export(kit)
    seen = Counter(tuple(row[4]) for row in both.body["rows"])
    assert 4 == seen["local", SUPPRESSED]
    assert 0 == seen["local", "male"]
    write_export(kit, both, tmp_path / "both.json", both.code)
    write_export(kit, make_export(kit), tmp_path / "again.json", make_export(kit).code)
    gender = make_export(dataclasses.replace(kit, by=(("gender",),)))
    assert 3 == gender.body["release"]
    views = {}
    for body in (both.body, gender.body):
        for person, groups in {(row[3], tuple(row[4])) for row in body["rows"] if row[0] != "demo"}:
            views.setdefault(person, []).append(groups)
    assert min(Counter(map(tuple, views.values())).values()) >= 3
    (kit.folder / "exports.jsonl").write_text('{"kind": "counts"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="ledger of releases is damaged"):
        make_export(kit)


def test_a_newcomer_and_a_withdrawal_are_in_no_difference(tmp_path: Path) -> None:
    """Ten people after eleven, or eleven after ten: what the second export adds or lacks is nobody or several."""
    kit = site(tmp_path / "kit", 1)
    folder = kit.run_folder("room")
    utterances, scores = (pd.read_parquet(folder / f"{name}.parquet") for name in ("utterances", "scores"))

    def without(person: str) -> set[str]:
        for name, table in (("utterances", utterances), ("scores", scores)):
            write_parquet(table[~table["utterance_id"].str.startswith(f"{person}-")], folder / f"{name}.parquet")
        made = make_export(kit)
        write_export(kit, made, tmp_path / "out.json", made.code)
        return {row[3] for row in made.body["rows"] if row[0] != "demo"}

    first = without("site1-0")
    assert first == without("nobody")  # the newcomer waits
    page = sign_off_page(make_export(kit)).markdown()
    assert "1 people stay out" in page
    later = without("site1-1")
    assert not later - first
    assert len(first - later) >= 3


def test_the_page_shows_everything_that_would_leave(tmp_path: Path) -> None:
    """Every name, hash and number of an export stands on the page that is signed."""
    kit = site(tmp_path / "kit", 1)
    made = make_export(kit)
    page = sign_off_page(made).html()
    left = [made.body]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [value for name, value in one.items() if name != "columns"]
        elif isinstance(one, list):
            left += one
        else:
            assert str(one) in page, one
