"""Tests of ``asrfair.stats.explain.achieved_acoustics``: the same place for every group, or a flag."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from asrfair.errors import InputError
from asrfair.stats.explain.achieved_acoustics import achieved_by_group


def _run(folder: Path, snr: dict[str, float], *, codec: dict[str, str] | None = None) -> Path:
    """Write a run folder of 2 × 10 utterances whose SNR is that of their group, plus or minus 1 dB."""
    utterances, achieved = [], []
    for group, ratio in snr.items():
        for i in range(10):
            name = f"{group}-{i}"
            utterances.append({"utterance_id": name, "speaker_id": f"{group}-{i % 5}", "exclude": "", "accent": group})
            value = ratio + (-1) ** i
            for quantity, number in (("noise.snr_db", value), ("noise.file_offset_s", float(i))):
                achieved.append(
                    {"condition": "place", "utterance_id": name, "quantity": quantity, "value": number, "text": None}
                )
            if codec:
                achieved.append(
                    {
                        "condition": "place",
                        "utterance_id": name,
                        "quantity": "codec.codec",
                        "value": float("nan"),
                        "text": codec[group] if i < 8 else "mulaw",
                    }
                )
    pd.DataFrame(utterances).to_parquet(folder / "utterances.parquet")
    pd.DataFrame(achieved).to_parquet(folder / "achieved.parquet")
    return folder


def _table(run: Path, by: list[tuple[str, ...]]) -> pd.DataFrame:
    return achieved_by_group(pd.read_parquet(run / "achieved.parquet"), pd.read_parquet(run / "utterances.parquet"), by)


def test_means_are_those_of_the_group_and_difference_is_to_everybody_else(tmp_path: Path) -> None:
    """Mean, count and difference are the plain ones."""
    table = _table(_run(tmp_path, {"a": 10.0, "b": 12.0}), [("accent",)])
    rows = table[(table["quantity"] == "noise.snr_db") & (table["attribute"] == "accent")]
    expected = [("a", 10.0, 10, -2.0, "imbalanced"), ("b", 12.0, 10, 2.0, "imbalanced")]
    actual = list(rows[["group", "mean", "utterances", "difference", "flag"]].itertuples(index=False, name=None))
    assert expected == actual


def test_the_same_place_for_everybody_is_not_flagged(tmp_path: Path) -> None:
    """Equal means have no flag, and a third of a decibel is too little to matter."""
    table = _table(_run(tmp_path, {"a": 10.0, "b": 10.3}), [("accent",)])
    assert [""] == sorted(set(table["flag"]))


def test_everybody_is_a_row_without_a_difference(tmp_path: Path) -> None:
    """The overall row has the pooled mean and nothing to differ from."""
    table = _table(_run(tmp_path, {"a": 10.0, "b": 12.0}), [])
    row = table[table["quantity"] == "noise.snr_db"].iloc[0]
    assert ("overall", "all", 11.0, 20) == (row["attribute"], row["group"], row["mean"], row["utterances"])
    assert pd.isna(row["difference"])


def test_a_text_becomes_the_share_of_each_value(tmp_path: Path) -> None:
    """Who got which codec is shown as shares, and a difference in shares is flagged."""
    run = _run(tmp_path, {"a": 10.0, "b": 10.0}, codec={"a": "gsm", "b": "mulaw"})
    table = _table(run, [("accent",)])
    row = table[(table["quantity"] == "codec.codec=gsm") & (table["group"] == "a")].iloc[0]
    assert (0.8, 0.8, "imbalanced") == (row["mean"], row["difference"], row["flag"])


def test_what_only_identifies_a_draw_is_left_out(tmp_path: Path) -> None:
    """Offsets into a recording differ by design and are no quantity of the place."""
    table = _table(_run(tmp_path, {"a": 10.0, "b": 12.0}), [("accent",)])
    assert ["noise.snr_db"] == sorted(set(table["quantity"]))


def test_intersections_are_joined_as_everywhere(tmp_path: Path) -> None:
    """A group of two attributes is written ``a × not_stated`` and comes after the stated ones."""
    run = _run(tmp_path, {"a": 10.0, "b": 12.0})
    utterances = pd.read_parquet(run / "utterances.parquet")
    utterances["gender"] = ["female", "not_stated"] * 10
    utterances.to_parquet(run / "utterances.parquet")
    table = _table(run, [("accent", "gender")])
    rows = table[table["attribute"] == "accent × gender"]
    assert ["a × female", "b × female", "a × not_stated", "b × not_stated"] == list(rows["group"])


def test_excluded_utterances_do_not_count(tmp_path: Path) -> None:
    """What is never scored cannot unbalance anything."""
    run = _run(tmp_path, {"a": 10.0, "b": 12.0})
    utterances = pd.read_parquet(run / "utterances.parquet")
    utterances.loc[utterances["accent"] == "b", "exclude"] = "overlap"
    utterances.to_parquet(run / "utterances.parquet")
    assert ["a"] == list(_table(run, [("accent",)]).query("attribute == 'accent'")["group"])


def test_an_unknown_attribute_is_named(tmp_path: Path) -> None:
    """A wrong attribute is an input error that names it."""
    with pytest.raises(InputError, match="shoe_size"):
        _table(_run(tmp_path, {"a": 1.0}), [("shoe_size",)])
