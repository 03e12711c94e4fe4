"""Differentially private releases: OpenDP's accounting, the ledger, and an attack that must not succeed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_lastmile_merge import site

from asrfair.errors import InputError
from asrfair.lastmile.ledger import spent_epsilon
from asrfair.lastmile.private import composed_epsilon, laplace, plan_release, release, vector

pytest.importorskip("opendp")


def counts(speakers: int) -> pd.DataFrame:
    """A person a row, of whom the last is the one that an attacker looks for."""
    rows = [
        {"engine": "e", "condition": "c", "speaker_id": str(i), "accent": "a", "hits": 0, "insertions": 0}
        | {"substitutions": 0, "deletions": 900 if i == speakers - 1 else 20}
        for i in range(speakers)
    ]
    return pd.DataFrame(rows)


def test_the_empirical_privacy_loss_stays_under_epsilon() -> None:
    """The best threshold of a two-neighbour attack, with a Clopper-Pearson bound, shows less than epsilon."""
    from scipy.stats import beta

    epsilon, most, draws = 1.0, 50, 20_000
    with_person = vector(counts(6), "accent", ("a", "b"), most=most).values
    without = vector(counts(6).iloc[:-1], "accent", ("a", "b"), most=most).values
    distance = int(np.abs(with_person - without).sum())
    assert distance == 2 * most
    measure = laplace(2 * most / epsilon)
    assert math.isclose(epsilon, composed_epsilon([measure], 2 * most))
    # The likelihood ratio grows with the sum over the numbers that differ.
    differing = with_person != without
    size = int(differing.sum())
    seen = np.array(measure(with_person[differing].tolist() * draws)).reshape(draws, size).sum(axis=1)
    absent = np.array(measure(without[differing].tolist() * draws)).reshape(draws, size).sum(axis=1)
    losses = []
    for threshold in np.quantile(seen, np.linspace(0.05, 0.99, 40)):
        hits, alarms = int((seen >= threshold).sum()), int((absent >= threshold).sum())
        low = beta.ppf(0.0005, hits, draws - hits + 1)
        high = beta.ppf(0.9995, alarms + 1, draws - alarms)
        losses.append(math.log(low / high))
    assert 0.5 < max(losses) < epsilon


def test_epsilon_adds_up_and_the_budget_holds(tmp_path: Path) -> None:
    """Two releases spend what OpenDP's composition says; a third that would exceed the budget is refused."""
    kit = site(tmp_path / "kit", 3)
    for number in (1, 2):
        plan = plan_release(kit, 0.7)
        assert math.isclose(1.4, plan.cost)
        release(kit, plan, tmp_path / f"{number}.json", plan.code)
        assert math.isclose(1.4 * number, spent_epsilon(kit))
    with pytest.raises(InputError, match="budget"):
        plan_release(kit, 0.7)
    with pytest.raises(InputError, match="code"):
        release(kit, plan_release(kit, 0.05), tmp_path / "no.json", "0")
    assert not (tmp_path / "no.json").exists()
