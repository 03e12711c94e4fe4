"""What each group's audio was like: measured levels and noise by group, where a difference is a rival explanation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.disparity.design import add_up
from asrfair.disparity.frame import Floats, Frame
from asrfair.disparity.groups import Grouping

COLUMNS = ("condition", "attribute", "group", "quantity", "mean", "sd", "utterances", "difference", "flag")

NOTABLE = 0.5
"""A group whose mean is so many standard deviations from everybody's is flagged ``differs`` (Cohen: medium)."""

_BLOCK_ROWS = 1 << 18


def achieved_table(frame: Frame, groupings: Sequence[Grouping]) -> pd.DataFrame:
    """Make ``achieved_by_group.csv`` from ``achieved.parquet``; empty where there is none.

    A row for every condition, attribute, group and numeric quantity: mean and standard deviation over the group's
    utterances, and the difference of its mean from that of all utterances.
    """
    path = frame.run / "achieved.parquet"
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    if not path.is_file():
        return empty
    sums: dict[tuple[str, str], list[Floats]] = {}
    ids = pa.array(frame.utterances["utterance_id"])
    groups = [len(grouping.names) for grouping in groupings]
    columns = ["condition", "quantity", "utterance_id", "value"]
    for batch in pq.ParquetFile(path).iter_batches(batch_size=_BLOCK_ROWS, columns=columns):
        row = pc.fill_null(pc.index_in(batch.column("utterance_id"), value_set=ids), -1).to_numpy(zero_copy_only=False)
        value = batch.column("value").to_numpy(zero_copy_only=False).astype(np.float64)
        keep = (row >= 0) & np.isfinite(value)
        condition, conditions = pd.factorize(batch.column("condition").to_pandas())
        quantity, quantities = pd.factorize(batch.column("quantity").to_pandas())
        pair = condition * len(quantities) + quantity
        for code in np.unique(pair[keep]):
            chosen = keep & (pair == code)
            name = (str(conditions[code // len(quantities)]), str(quantities[code % len(quantities)]))
            v = value[chosen]
            for place, grouping in enumerate(groupings):
                group = grouping.utterance_group[row[chosen]]
                part = np.vstack([add_up(group, w, groups[place]) for w in (np.ones(len(v)), v, v * v)])
                known = sums.setdefault(name, [np.zeros((3, size)) for size in groups])
                known[place] += part
    order = {name: index for index, name in enumerate(frame.conditions)}
    rows: list[pd.DataFrame] = []
    for condition_name, quantity_name in sorted(sums, key=lambda name: (order.get(name[0], len(order)), name)):
        for place, grouping in enumerate(groupings):
            rows.append(_rows(condition_name, quantity_name, grouping, sums[condition_name, quantity_name][place]))
    return pd.concat(rows, ignore_index=True)[list(COLUMNS)] if rows else empty


def _rows(condition: str, quantity: str, grouping: Grouping, sums: Floats) -> pd.DataFrame:
    count, total, squares = sums
    mean_of_all = total.sum() / count.sum()
    spread = np.sqrt(max(squares.sum() / count.sum() - mean_of_all**2, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        sd = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    difference = mean - mean_of_all
    differs = np.abs(difference) > max(NOTABLE * spread, 1e-9)
    table = pd.DataFrame(
        {
            "condition": condition,
            "attribute": grouping.attribute,
            "group": list(grouping.names),
            "quantity": quantity,
            "mean": mean,
            "sd": sd,
            "utterances": count.astype(np.int64),
            "difference": difference,
            "flag": np.where(differs, "differs", ""),
        }
    )
    return table.loc[count > 0]
