"""Private releases of many sites, pooled: sums, the range of the noise, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_lastmile_merge import exported, site

from asrfair.cli.lastmile import lastmile
from asrfair.data.tablefile import read_result
from asrfair.errors import InputError
from asrfair.lastmile.export import canonical
from asrfair.lastmile.pool_exports import merge_exports
from asrfair.lastmile.pool_private import Private, is_private, pool_private, read_private
from asrfair.lastmile.private import COLUMNS, laplace, plan_release, release

pytest.importorskip("opendp")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Releases of three sites."""
    folder = tmp_path_factory.mktemp("sites")
    paths = []
    for number in range(3):
        kit = site(folder / f"kit{number}", number)
        plan = plan_release(kit, 1.0)
        paths.append(folder / f"{number}.json")
        release(kit, plan, paths[-1], plan.code)
    return paths


def changed(path: Path, out: Path, **values: Any) -> Path:
    """Write a release with another body under a hash that fits."""
    import hashlib

    content = json.loads(path.read_text(encoding="utf-8"))
    content["body"].update(values)
    content["sha256"] = hashlib.sha256(canonical(content["body"]).encode()).hexdigest()
    out.write_text(json.dumps(content), encoding="utf-8")
    return out


def test_releases_are_added_up_apart_from_exports(released: list[Path], tmp_path: Path) -> None:
    """``merge`` reads both kinds: people's counts into the tables, noisy sums into private.csv."""
    counts = exported(site(tmp_path / "kit", 9), tmp_path / "counts.json")
    paths = [str(path) for path in (released[0], counts, *released[1:])]
    done = CliRunner().invoke(lastmile, ["merge", *paths, "--out", str(tmp_path / "o")], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    assert "Exports: 1. Sites: 1." in done.output
    assert "3 sites released noisy sums only" in done.output
    table = read_result(tmp_path / "o" / "private.csv")
    bodies = [read_private(path) for path in released]
    sums = {
        (group.attribute, row[2]): sum(
            other[3] for body in bodies for one in body.tables if one.attribute == group.attribute for other in one.rows
            if other[2] == row[2]
        )
        for group in bodies[0].tables
        for row in group.rows
    }  # fmt: skip
    assert sums == {(row.attribute, row.group): row.words for row in table.itertuples()}
    assert {3} == set(table["sites"])
    np.testing.assert_allclose(table["noise_sd"], bodies[0].scale * np.sqrt(2 * 3), rtol=1e-12)
    only = merge_exports(released, tmp_path / "only")
    assert {} == only.folders


def test_the_range_of_the_noise_covers_the_true_rate() -> None:
    """Of 200 groups at four sites, about 95 in 100 ranges hold the rate without noise."""
    words, errors, scale, groups, sites = 20_000, 4_000, 600.0, 200, 4
    releases = []
    for number in range(sites):
        noise = laplace(scale)([0] * (2 * groups))
        rows = [["e", "clean", f"g{i}", words + noise[2 * i], errors + noise[2 * i + 1]] for i in range(groups)]
        table = {"attribute": "accent", "epsilon": 1.0, "columns": list(COLUMNS), "rows": rows}
        body = {"site": f"{number:016x}", "asrfair": "1", "unit": "person", "mechanism": "m", "sensitivity": 600}
        releases.append((Path(str(number)), Private.model_validate({**body, "scale": scale, "tables": [table]})))
    table = pool_private(releases)
    held = ((table["noise_low"] <= errors / words) & (errors / words <= table["noise_high"])).mean()
    assert 0.88 <= held <= 0.99
    assert 0.02 < (table["noise_high"] - table["noise_low"]).mean() < 0.15


def test_releases_that_cannot_be_trusted_are_refused(released: list[Path], tmp_path: Path) -> None:
    """One site twice, a copy under another name, an edit, and every kind of broken row."""
    out = tmp_path / "out"
    again = tmp_path / "again.json"
    again.write_bytes(released[0].read_bytes())
    with pytest.raises(InputError, match=r"of one site.*Give only one"):
        merge_exports([*released, again], out)
    copied = changed(released[0], tmp_path / "copied.json", site="0" * 16)
    with pytest.raises(InputError, match="same numbers under two names"):
        merge_exports([*released, copied], out)
    assert 2 == len(merge_exports([*released, copied, again], out, skip_bad=True).refused)
    again.write_text(released[0].read_text(encoding="utf-8").replace('"accent"', '"place"', 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"changed after it was written.*Ask the site"):
        read_private(again)
    table = json.loads(released[0].read_text(encoding="utf-8"))["body"]["tables"][0]
    row = table["rows"][0]
    hostile = [
        {"scale": 0.0},
        {"scale": "1"},
        {"tables": []},
        {"people": 3},
        {"tables": [table, table]},
        {"tables": [{**table, "columns": ["x"]}]},
        {"tables": [{**table, "attribute": "wer"}]},
        {"tables": [{**table, "rows": [row, row]}]},
        {"tables": [{**table, "rows": [[*row[:4], 1.5]]}]},
        {"tables": [{**table, "rows": [["\x1b", *row[1:]]]}]},
        {"tables": [{**table, "rows": [[1]]}]},
    ]
    for values in hostile:
        with pytest.raises(InputError, match=r"malformed.*Ask the site"):
            read_private(changed(released[0], again, **values))
    for text in (b"", b"[1]", b"\xff", b"[" * 100_000):
        again.write_bytes(text)
        assert not is_private(again)
