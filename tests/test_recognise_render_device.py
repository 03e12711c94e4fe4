"""Conditions rendered on a device in a run: the processor's within the tolerance, recorded, refused where impossible."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asrfair.acoustics import parse_condition
from asrfair.acoustics.profiles import RendererName
from asrfair.cli.main import run as command
from asrfair.data.manifest import Manifest, read_manifest
from asrfair.errors import InputError
from asrfair.recognise.transcribe import transcribe
from asrfair.types import EngineSpec

torch = pytest.importorskip("torch", reason="torch is not installed (make test-engines installs it)")
pytestmark = pytest.mark.engines

TOLERANCE = 1e-6
PLACES = ("clean", "imaging-floor@moderate", "meeting-room@severe")


def few(repository: Path) -> Manifest:
    """Ten utterances of the demo corpus."""
    manifest = read_manifest(repository / "manifests" / "demo" / "demo.toml")
    return replace(manifest, table=manifest.table.iloc[::12].reset_index(drop=True))


def heard(manifest: Manifest, folder: Path, parallel: str, render: RendererName) -> dict[str, np.ndarray]:
    """Every clip that an engine heard, by condition and utterance."""
    into = folder / f"{parallel}-{render}"
    into.mkdir(parents=True)
    spec = EngineSpec(name="render_engines:Listener", label="ear", options={"into": str(into), "parallel": parallel})
    conditions = [parse_condition(name, render=render) for name in PLACES]
    summary = transcribe(manifest, [spec], conditions, folder / f"run-{into.name}", workers=1, progress=False)
    assert {"ok": 30} == dict(summary.counts)
    return {path.stem: np.load(path) for path in sorted(into.iterdir())}


def test_runs_hear_the_same_from_either_renderer(repository: Path, tmp_path: Path) -> None:
    """Samples within the tolerance, what was achieved too, clean audio untouched; fed engines hear what others hear."""
    manifest = few(repository)
    expected = heard(manifest, tmp_path, "processes", "processor")
    found = heard(manifest, tmp_path, "processes", "device")
    fed = heard(manifest, tmp_path, "device", "device")
    assert expected.keys() == found.keys() == fed.keys()
    assert any(not np.array_equal(expected[name], found[name]) for name in expected)
    for name, samples in expected.items():
        limit = 0.0 if name.startswith("clean") else TOLERANCE
        assert float(np.max(np.abs(samples.astype(float) - found[name]))) <= limit
        assert np.array_equal(found[name], fed[name])
    tables = [
        pd.read_parquet(tmp_path / f"run-processes-{kind}" / "achieved.parquet") for kind in ("processor", "device")
    ]
    assert list(tables[0]["quantity"]) == list(tables[1]["quantity"])
    np.testing.assert_allclose(tables[0]["value"], tables[1]["value"], atol=1e-4)
    same = [(tmp_path / f"run-{kind}-device" / "achieved.parquet").read_bytes() for kind in ("processes", "device")]
    assert same[0] == same[1]


def test_the_renderer_is_part_of_what_a_condition_is(repository: Path, tmp_path: Path) -> None:
    """Another fingerprint, but for clean audio; a run that was begun with one renderer is not gone on with the other."""
    here, there = (
        {name: parse_condition(name, render=render).fingerprint for name in PLACES}
        for render in ("processor", "device")
    )
    assert ["clean"] == [name for name in PLACES if here[name] == there[name]]
    manifest = few(repository)
    for render in ("processor", "device"):
        spec = EngineSpec(name="fake", label="fake", options={"needs_audio": True})
        conditions = [parse_condition("imaging-floor", render=render)]
        if render == "processor":
            transcribe(manifest, [spec], conditions, tmp_path / "run", workers=1, progress=False)
            continue
        with pytest.raises(InputError, match="imaging-floor"):
            transcribe(manifest, [spec], conditions, tmp_path / "run", workers=1, progress=False)


def test_a_suite_asks_for_it_and_is_told_where_it_cannot_be(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``render = "device"`` of a suite reaches run.json; an effect without a form for tensors ends it before it begins."""
    suite = tmp_path / "suite.toml"
    text = (
        f'[suite]\nname = "s"\nmanifest = {json.dumps(str(repository / "manifests" / "demo" / "demo.toml"))}\n'
        'conditions = ["PLACE"]\nrender = "device"\n[[engine]]\nname = "fake"\n'
        '[groups]\nby = ["accent"]\n[statistics]\ndraws = 100\n'
    )
    suite.write_text(text.replace("PLACE", "voip-lossy"))
    assert 2 == command(["run", str(suite), "--out", str(tmp_path / "no")])
    said = " ".join(capsys.readouterr().err.split())
    assert "has no form for tensors" in said
    assert not (tmp_path / "no").exists()
    suite.write_text(text.replace("PLACE", "imaging-floor"))
    assert 0 == command(["run", str(suite), "--out", str(tmp_path / "run"), "--workers", "1"])
    about = json.loads((tmp_path / "run" / "run.json").read_text())["conditions"]
    expected = parse_condition("imaging-floor", render="device").fingerprint
    assert [{"name": "imaging-floor", "fingerprint": expected}] == about
