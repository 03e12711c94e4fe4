"""Holm and Benjamini–Hochberg against an independent package and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from asrfair.stats.compare.multiplicity import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


@pytest.mark.slow
@settings(max_examples=50, derandomize=True, deadline=None)
@given(P_VALUES)
def test_holm_is_that_of_statsmodels(values: list[float]) -> None:
    """Adjusted values equal those of an independent implementation."""
    p = np.array(values)
    assert np.allclose(multipletests(p, method="holm")[1], holm(p))


@settings(max_examples=50, derandomize=True, deadline=None)
@given(P_VALUES)
def test_benjamini_hochberg_is_that_of_statsmodels(values: list[float]) -> None:
    """Adjusted values equal those of an independent implementation."""
    p = np.array(values)
    assert np.allclose(multipletests(p, method="fdr_bh")[1], benjamini_hochberg(p))


def test_tests_that_were_not_made_do_not_count() -> None:
    """NaN stays NaN and does not enlarge the family; the shape is kept."""
    p = np.array([[0.01, np.nan], [0.04, 0.5]])
    assert np.array_equal(np.array([[0.03, np.nan], [0.08, 0.5]]), holm(p), equal_nan=True)
    assert np.array_equal(np.array([[0.03, np.nan], [0.06, 0.5]]), benjamini_hochberg(p), equal_nan=True)


def test_an_empty_family_is_no_error() -> None:
    """Nothing tested, nothing adjusted."""
    assert (0,) == holm(np.array([])).shape
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()
