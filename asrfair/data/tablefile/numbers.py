"""Text to numbers, to the last bit: what is written with ``repr`` is read back the same, with any version of pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd


def to_numbers(column: pd.Series[str]) -> pd.Series[float]:
    """Return each cell as a float, NaN where it is no number.

    ``pandas.to_numeric`` says what a number is; before pandas 3 its own value may differ in the last digit, so the value
    is Python's (correctly rounded).
    """
    found = pd.to_numeric(column, errors="coerce")
    values = found.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    if not pd.api.types.is_numeric_dtype(column):
        known = ~np.isnan(values)
        values[known] = [float(cell) for cell in column.to_numpy(dtype=object)[known]]
    return pd.Series(values, index=column.index, name=column.name)
