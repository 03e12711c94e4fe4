"""Whether every group met the same acoustics: achieved values by group, and imbalances that would look like disparity.

The rule for ``imbalanced`` looks at the size of a difference, never at a p-value: which conditions were achieved is a
fact about this run, not a sample from which to infer (Imai, King and Stuart 2008, J. R. Stat. Soc. A 171(2)). A group
is flagged when its mean differs from the mean of everybody else

- by at least a quarter of the standard deviation between utterances (Rubin 2001 and Stuart 2010: beyond 0.25 standard
  deviations a comparison rests on a model rather than on the data), and
- by enough to move recognition: 0.5 dB for levels and ratios (word error rates move by 2 to 5 points a decibel where
  they move at all), 5 points for a share, 5 % of the overall mean for anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.errors import InputError
from asrfair.types import INTERSECTION, NOT_STATED, OVERALL_ATTRIBUTE, OVERALL_GROUP

COLUMNS = ["condition", "attribute", "group", "quantity", "mean", "sd", "utterances", "difference", "flag"]
IMBALANCED = "imbalanced"
STANDARDISED = 0.25
"""Least difference, in standard deviations between utterances, that is flagged."""

LEAST_DB, LEAST_SHARE, LEAST_RELATIVE = 0.5, 0.05, 0.05
LEAST_UTTERANCES = 5
"""A smaller group is shown and not flagged: its own error rate is not interpreted either."""

_DICE = ("offset_s", "sha256", "speakers", "redrawn", "seed")
"""What only identifies a draw: it differs between utterances by design and says nothing about how hard one is."""

_MOST_TEXTS = 20


def selected(utterances: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    """Keep the utterances that the settings let in."""
    for name, value in where.items():
        utterances = utterances[utterances[name].astype(object).fillna(NOT_STATED) == value]
    return utterances


def achieved_by_group(achieved: pd.DataFrame, utterances: pd.DataFrame, by: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    """Tabulate what was achieved, by condition, attribute, group and quantity.

    Args:
        achieved: The rows of ``achieved.parquet``.
        utterances: Those of ``utterances.parquet``.
        by: Attributes and intersections, each a tuple of attribute names; everybody is always added.

    Returns:
        The columns of ``achieved_by_group.csv``. A quantity that is text (a codec, a file) becomes one row a value,
        ``codec.codec=opus``, whose mean is the share of utterances that had it. ``difference`` is the group's mean
        minus the mean of all other utterances; it is missing for everybody and for a single group. Rows are in the
        order of the conditions in the run and of ``by``, then by group and quantity.

    Raises:
        InputError: A file or an attribute is missing.
    """
    missing = [name for names in by for name in names if name not in utterances.columns]
    if missing:
        raise InputError("the run has no such attribute", column=missing[0])
    scored = utterances[utterances["exclude"].fillna("") == ""]
    rows = achieved[achieved["utterance_id"].isin(scored["utterance_id"])]
    values = pd.concat([_numbers(rows), _shares(rows)], ignore_index=True)
    conditions = list(dict.fromkeys(achieved["condition"]))
    table = scored.set_index("utterance_id")
    parts = [_tabulate(values, attribute, labels) for attribute, labels in _groupings(table, by) if len(values)]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    result = pd.concat(parts, ignore_index=True)
    place = {name: i for i, name in enumerate(conditions)}
    result["_condition"] = result["condition"].map(place)
    order = {a: i for i, (a, _) in enumerate(_groupings(table, by))}
    result["_attribute"] = result["attribute"].map(order)
    result["_stated"] = result["group"].str.split(INTERSECTION, regex=False).map(lambda parts: NOT_STATED in parts)
    result = result.sort_values(["_condition", "_attribute", "_stated", "group", "quantity"], kind="stable")
    return result[COLUMNS].reset_index(drop=True)


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    keep = rows["value"].notna() & ~rows["quantity"].str.endswith(_DICE)
    return rows.loc[keep, ["condition", "utterance_id", "quantity", "value"]]


def _shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn a text quantity with few values into one 0/1 quantity for each of them."""
    texts = rows[rows["value"].isna() & rows["text"].notna() & (rows["text"] != "")]
    texts = texts[~texts["quantity"].str.endswith(_DICE)]
    found = []
    for (condition, quantity), part in texts.groupby(["condition", "quantity"], sort=True):
        kinds = sorted(part["text"].unique())
        if not 2 <= len(kinds) <= _MOST_TEXTS:
            continue
        for kind in kinds:
            had = (part["text"] == kind).astype(float)
            found.append(
                pd.DataFrame(
                    {
                        "condition": condition,
                        "utterance_id": part["utterance_id"],
                        "quantity": f"{quantity}={kind}",
                        "value": had,
                    }
                )
            )
    if not found:
        return pd.DataFrame({"condition": [], "utterance_id": [], "quantity": [], "value": []})
    return pd.concat(found, ignore_index=True)


def _groupings(utterances: pd.DataFrame, by: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, pd.Series]]:
    yield OVERALL_ATTRIBUTE, pd.Series(OVERALL_GROUP, index=utterances.index)
    for names in by:
        labels = utterances[names[0]].astype(str)
        for name in names[1:]:
            labels = labels + INTERSECTION + utterances[name].astype(str)
        yield INTERSECTION.join(names), labels


def _tabulate(values: pd.DataFrame, attribute: str, labels: pd.Series) -> pd.DataFrame:
    frame = values.assign(group=values["utterance_id"].map(labels))
    keys = ["condition", "quantity"]
    groups = frame.groupby([*keys, "group"], sort=True)["value"].agg(["mean", "std", "count", "sum"]).reset_index()
    overall = frame.groupby(keys, sort=True)["value"].agg(["mean", "std", "count", "sum"]).reset_index()
    merged = groups.merge(overall, on=keys, suffixes=("", "_all"))
    others = (merged["count_all"] - merged["count"]).to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = (merged["sum_all"] - merged["sum"]).to_numpy(float) / np.where(others > 0, others, np.nan)
    difference = merged["mean"].to_numpy(float) - rest
    flagged = (
        (np.abs(difference) >= STANDARDISED * merged["std_all"].fillna(0.0).to_numpy(float))
        & (np.abs(difference) >= _least(merged["quantity"], merged["mean_all"].to_numpy(float)))
        & (merged["count"].to_numpy() >= LEAST_UTTERANCES)
    )
    return pd.DataFrame(
        {
            "condition": merged["condition"],
            "attribute": attribute,
            "group": merged["group"],
            "quantity": merged["quantity"],
            "mean": merged["mean"],
            "sd": merged["std"],
            "utterances": merged["count"].astype("int64"),
            "difference": difference,
            "flag": np.where(flagged, IMBALANCED, ""),
        }
    )


def _least(quantities: pd.Series, overall: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the least difference of each quantity that could move recognition, in the quantity's unit."""
    name = quantities.astype(str)
    decibels = name.str.endswith(("_db", "_dbfs", "_db_asked")).to_numpy()
    share = (
        name.str.contains("=", regex=False).to_numpy() | name.str.endswith(("_fraction", "_share", ".loss")).to_numpy()
    )
    relative = np.maximum(LEAST_RELATIVE * np.abs(overall), 1e-9)
    least: npt.NDArray[np.float64] = np.where(decibels, LEAST_DB, np.where(share, LEAST_SHARE, relative))
    return least
