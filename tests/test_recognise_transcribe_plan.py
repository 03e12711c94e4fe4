"""Batch plans: pure, complete, within their budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from transcribe_child import make_manifest

from asrfair.data.manifest import read_manifest
from asrfair.recognise.journal import Journal
from asrfair.recognise.transcribe.plan import make_roster, pending, plan_batches


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    lengths=st.lists(st.floats(0, 100), max_size=60),
    max_batch=st.integers(1, 20),
    budget=st.none() | st.floats(0.5, 200),
)
def test_every_utterance_is_in_one_batch_within_the_budget(
    lengths: list[float], max_batch: int, budget: float | None
) -> None:
    """Batches partition the roster, are sorted by length, and keep to size and budget (a single one may exceed it)."""
    durations = np.array(lengths, dtype=np.float64)
    plan = plan_batches(durations, max_batch=max_batch, max_padded_s=budget)
    batches = [batch.tolist() for batch in plan]
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= max_batch
        longest = max(round(lengths[i], 3) for i in batch)
        assert len(batch) == 1 or budget is None or len(batch) * longest <= budget + 1e-6
    starts = [round(lengths[batch[0]], 3) for batch in batches]
    assert starts == sorted(starts, reverse=True)
    assert 0 < plan.padding_efficiency(durations) <= 1
    if budget is not None and max_batch > 1:
        assert all(durations[batch].min() >= 0.8 * durations[batch].max() - 0.001 for batch in batches)


def test_a_plan_depends_on_lengths_alone() -> None:
    """The same lengths give the same plan; equal lengths keep the order of their ids."""
    durations = np.array([1.0, 2.0, 1.9, 3.0, 1.0])
    plan = plan_batches(durations, max_batch=2, max_padded_s=4.0)
    assert [[3], [1, 2], [0, 4]] == [batch.tolist() for batch in plan]
    assert 0 == len(plan_batches(np.zeros(0), max_batch=4))


def test_sorted_batches_need_hardly_any_padding() -> None:
    """On lengths as speech has them (log-normal), a padded budget wastes under one per cent."""
    durations = np.random.default_rng(1).lognormal(1.3, 0.6, 20_000)
    assert plan_batches(durations, max_batch=64, max_padded_s=300.0).padding_efficiency(durations) > 0.99


def test_small_corpora_are_not_padded_much_either() -> None:
    """Forty utterances from half a second to half a minute: batches end where padding would begin to cost."""
    durations = np.random.default_rng(2).lognormal(1.3, 0.9, 40)
    plan = plan_batches(durations, max_batch=32, max_padded_s=1000.0)
    assert plan.padding_efficiency(durations) > 0.85
    assert len(plan) < 20
    assert 1 == len(plan_batches(np.zeros(30), max_batch=32, max_padded_s=10.0))


def test_a_roster_is_sorted_and_probes_files_once(tmp_path: Path) -> None:
    """Row order does not matter; lengths that the manifest does not state are read once and remembered."""
    manifest = read_manifest(make_manifest(tmp_path, 9, audio=True, order=3))
    with Journal(tmp_path / "run") as journal:
        first = make_roster(manifest, journal, audio=True)
        for path in tmp_path.glob("*.wav"):
            path.unlink()
        second = make_roster(manifest, journal, audio=True)
        assert sorted(first.ids) == list(first.ids)
        assert (first.durations_s > 0).all()
        assert np.array_equal(first.durations_s, second.durations_s)
        assert [manifest.table["utterance_id"].iloc[row] for row in first.rows] == list(first.ids)
        assert not make_roster(manifest, journal, audio=False).durations_s.any()


def test_pending_is_what_is_not_done(tmp_path: Path) -> None:
    """Ids that are done are crossed off, ids that nobody knows are ignored."""
    manifest = read_manifest(make_manifest(tmp_path, 5))
    with Journal(tmp_path / "run") as journal:
        roster = make_roster(manifest, journal, audio=False)
    assert [True] * 5 == pending(roster, iter([])).tolist()
    assert [False, True, True, False, True] == pending(roster, iter(["a", "u0000", "u0002x", "u0003", "z"])).tolist()


def test_excluded_rows_are_not_planned(tmp_path: Path) -> None:
    """A row with a reason to exclude it is in no batch."""
    path = make_manifest(tmp_path, 3)
    frame = pd.read_csv(path, dtype=str).assign(exclude=["", "crosstalk", ""])
    frame.to_csv(path, index=False)
    with Journal(tmp_path / "run") as journal:
        assert ["u0000", "u0002"] == list(make_roster(read_manifest(path), journal, audio=False).ids)
