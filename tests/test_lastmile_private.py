"""Differentially private releases: OpenDP's accounting, the ledger, and an attack that must not succeed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_lastmile_merge import site

from asrfair.data.tablefile import write_parquet
from asrfair.errors import InputError
from asrfair.lastmile.export import make_export, write_export
from asrfair.lastmile.export_ledger import note, read_ledger, spent_epsilon
from asrfair.lastmile.private import composed_epsilon, laplace, plan_release, release, vector
from asrfair.lastmile.site_key import COUNT_FILE, LEDGER_FILE, SITE_KEY_FILE

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
    assert 0.5 < largest_loss(seen, absent) < epsilon


def largest_loss(seen: np.ndarray, absent: np.ndarray) -> float:
    """Return a lower bound of the privacy loss: the best of 40 thresholds, each bounded at 99.9 % (Clopper-Pearson)."""
    from scipy.stats import beta

    losses = []
    for threshold in np.quantile(seen, np.linspace(0.05, 0.99, 40)):
        hits, alarms = int((seen >= threshold).sum()), int((absent >= threshold).sum())
        low = beta.ppf(0.0005, hits, len(seen) - hits + 1)
        high = beta.ppf(0.9995, alarms + 1, len(absent) - alarms)
        losses.append(math.log(low / high))
    return max(losses)


@pytest.mark.slow
def test_releases_as_files_do_not_tell_whether_a_person_is_in_them(tmp_path: Path) -> None:
    """The attack on the numbers in the written files of two kits, one of which lacks a person, stays under epsilon too."""
    epsilon, releases, most, found = 1.0, 3000, 50, []
    for name in ("with", "without"):
        kit = dataclasses.replace(site(tmp_path / name, 3), privacy_words=most)
        for table in ("utterances", "scores"):
            path = kit.run_folder("room") / f"{table}.parquet"
            rows = pd.read_parquet(path)
            theirs = rows["utterance_id"].str.startswith("site3-0-")
            if name == "without":
                rows = rows[~theirs]
            elif table == "scores":
                # Not a word of theirs was understood, so the kits differ by all that the noise was set for.
                rows.loc[theirs, "deletions"] += rows.loc[theirs, "hits"]
                rows.loc[theirs, "hits"] = 0
            write_parquet(rows, path)
        plan = plan_release(kit, epsilon, attributes=["accent"])
        out = tmp_path / f"{name}.json"
        sums = []
        for _ in range(releases):
            release(kit, plan, out, plan.code)
            (kit.folder / LEDGER_FILE).unlink()
            (kit.folder / COUNT_FILE).unlink()
            rows = json.loads(out.read_text(encoding="utf-8"))["body"]["tables"][0]["rows"]
            sums.append(sum(row[3] + row[4] for row in rows if row[2] == "local"))
        found.append((plan.cells[0].values, np.array(sums)))
    (values, seen), (fewer, absent) = found
    assert np.abs(values - fewer).sum() == 2 * most
    assert 0.2 < largest_loss(seen, absent) < epsilon


@pytest.mark.slow
def test_the_cost_that_the_docs_show_is_measured(repository: Path) -> None:
    """The table of epsilon against points of WER in the docs is what the benchmark draws."""
    spec = importlib.util.spec_from_file_location("bench", repository / "benchmarks" / "private_release.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    text = (repository / "docs" / "lastmile.md").read_text(encoding="utf-8")
    for people in bench.PEOPLE:
        shown = re.search(rf"^\| {people} \|(.*)\|$", text, re.MULTILINE)
        assert shown is not None
        wanted = [float(cell) for cell in shown[1].split("|")]
        drawn = [bench.width(people, e, wer=0.2, words=300, draws=20_000) for e in bench.EPSILONS]
        np.testing.assert_allclose(wanted, [*drawn, bench.sampling(people, wer=0.2)], rtol=0.12)


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
    stale = plan_release(kit, 0.05)
    release(kit, stale, tmp_path / "3.json", stale.code)
    with pytest.raises(InputError, match="released since"):
        release(kit, stale, tmp_path / "4.json", stale.code)
    assert not (tmp_path / "4.json").exists()
    with pytest.raises(InputError, match="code"):
        release(kit, plan_release(kit, 0.05), tmp_path / "no.json", "0")
    assert not (tmp_path / "no.json").exists()


def test_the_ledger_is_a_chain_that_only_this_site_can_write(tmp_path: Path) -> None:
    """A deleted, cut, edited, reordered or copied line is noticed, and so is a missing key; nothing leaves then."""
    kit = site(tmp_path / "kit", 1)
    for epsilon in (0.5, 0.25, 1):
        note(kit, {"kind": "private", "epsilon": epsilon, "attributes": ["accent"], "file": "x"})
    path, count, key = (kit.folder / name for name in (LEDGER_FILE, COUNT_FILE, SITE_KEY_FILE))
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    assert 1.75 == spent_epsilon(kit)
    bad = {
        "deleted": None,
        "cut": "".join(lines[:-1]),
        "edited": text.replace("0.25", "0.20"),
        "negative": text.replace("0.25", "-1000"),
        "not a number": text.replace("0.25", "NaN"),
        "reordered": "".join([lines[1], lines[0], lines[2]]),
        "without the first": "".join(lines[1:]),
        "twice": text + lines[2],
        "unsealed": text + '{"kind": "counts", "shown": {}}\n',
    }
    for content in bad.values():
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"ledger|epsilon|line"):
            read_ledger(kit)
    path.write_text(text, encoding="utf-8")
    assert 3 == len(read_ledger(kit))
    count.write_text(count.read_text(encoding="utf-8").replace("3", "2"), encoding="utf-8")
    with pytest.raises(InputError, match="number of releases"):
        read_ledger(kit)
    count.unlink()
    key.rename(tmp_path / "kept")
    with pytest.raises(InputError, match="key is missing"):
        read_ledger(kit)
    for epsilon in (-1000, float("nan"), True):
        (tmp_path / "kept").replace(key) if not key.exists() else None
        with pytest.raises(InputError, match="epsilon"):
            note(kit, {"kind": "private", "epsilon": epsilon, "attributes": [], "file": "x"})


def test_a_private_release_says_what_left_without_noise(tmp_path: Path) -> None:
    """After an export of exact counts the page before a private release says that those are known."""
    kit = site(tmp_path / "kit", 1)
    assert "exact counts" not in plan_release(kit, 0.5).page().markdown()
    made = make_export(kit)
    write_export(kit, made, tmp_path / "counts.json", made.code)
    assert "1 exports of exact counts have left already" in plan_release(kit, 0.5).page().markdown()
