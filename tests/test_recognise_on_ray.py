"""Runs on a Ray cluster: the same bytes as on one machine, whatever dies; simulated nodes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray_nodes import Nodes
from transcribe_child import contents, go, make_manifest, spec

from asrfair.errors import EngineError

pytestmark = pytest.mark.engines
pytest.importorskip("ray", reason="Ray is not installed: pip install 'asrfair[ray]'")

CLIENT_PORT = 25123


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A head that works too, and a node; one processor each."""
    found = Nodes(CLIENT_PORT)
    found.add()
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def _address(cluster: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--on ray` finds this cluster, in this process and in others."""
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)


@contextmanager
def when(happened: Any, do: Any) -> Iterator[None]:
    """Do something as soon as something else has happened."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if happened():
                do()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_two_and_three_nodes_give_the_bytes_of_one_machine(tmp_path: Path, cluster: Nodes) -> None:
    """Engines that do everything, that are fed in batches, and services; babble made of other people's recordings."""
    manifest, conditions = make_manifest(tmp_path, 12, audio=True), ["clean", "cafe-babble"]
    (tmp_path / "u0003.wav").write_text("not audio")
    kinds = {
        "whole": {"parallel": "processes"},
        "fed": {"parallel": "device", "max_batch": 4},
        "service": {"parallel": "threads", "concurrency": 3, "paid": True},
    }
    here = [spec("Listening", label, **{**options, "parallel": "inline"}) for label, options in kinds.items()]
    there = [spec("Listening", label, **options) for label, options in kinds.items()]
    go(manifest, tmp_path / "here", here, conditions)
    summary = go(manifest, tmp_path / "two", there, conditions, workers=2, on="ray")
    assert contents(tmp_path / "here") == contents(tmp_path / "two")
    assert {"nodes": 2, "cpus": 2, "gpus": 0} == {name: summary.on[name] for name in ("nodes", "cpus", "gpus")}
    assert [2, 3, 3] == [engine.workers for engine in summary.engines.values()]
    third = cluster.add()
    try:
        summary = go(manifest, tmp_path / "three", there[:1], conditions, on="ray", workers=3)
        assert 3 == summary.on["nodes"] == summary.engines["whole"].workers
    finally:
        cluster.kill(third)
    hypotheses = pd.read_parquet(tmp_path / "here" / "hypotheses.parquet")
    expected = hypotheses[hypotheses["engine"] == "whole"].reset_index(drop=True)
    pd.testing.assert_frame_equal(expected, pd.read_parquet(tmp_path / "three" / "hypotheses.parquet"))


def test_an_actor_that_dies_ten_times_costs_nothing(tmp_path: Path) -> None:
    """Ten utterances kill their actor once each: all are transcribed. One that always does is given up as it is here."""
    (tmp_path / "marks").mkdir()
    manifest = make_manifest(tmp_path, 14)
    ten = [f"u{number:04}" for number in range(1, 11)]
    go(manifest, tmp_path / "here", [spec("Dying"), spec("Dying", "always", kill=["u0004"], max_batch=3)])
    engines = [
        spec("Dying", kill=ten, once=str(tmp_path / "marks")),
        spec("Dying", "always", kill=["u0004"], max_batch=3),
    ]
    summary = go(manifest, tmp_path / "there", engines, on="ray", workers=1)
    here, there = (pd.read_parquet(tmp_path / run / "hypotheses.parquet") for run in ("here", "there"))
    pd.testing.assert_frame_equal(here, there)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert 10 == summary.engines["dying"].replaced_workers
    assert {"error": 1, "ok": 27} == summary.counts
    assert {"worker_killed"} == {event.kind for event in summary.events}


def test_a_node_that_dies_takes_nothing_with_it(tmp_path: Path, cluster: Nodes) -> None:
    """A node is killed in the middle: what it did is done again elsewhere, and nobody is blamed for it."""
    manifest = make_manifest(tmp_path, 24, audio=True)
    go(manifest, tmp_path / "here", [spec("Listening", "slow", parallel="inline")])
    doomed = cluster.add(cpus=2)
    slow = spec("torture_engines:Slow", "slow", seconds=0.0, doomed=doomed, marks=str(tmp_path))
    with when((tmp_path / doomed).exists, lambda: cluster.kill(doomed)):
        summary = go(manifest, tmp_path / "there", [slow], on="ray", workers=4)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert summary.engines["slow"].replaced_workers >= 1
    assert not summary.events


def test_a_driver_that_is_killed_is_resumed(tmp_path: Path) -> None:
    """SIGKILL of the run's own process leaves a journal that the same run completes, to the same bytes."""
    manifest = make_manifest(tmp_path, 20, audio=True)
    go(manifest, tmp_path / "here", [spec("Listening", "slow", parallel="inline")])
    options = {"seconds": 0.2, "hold": "u0010", "marks": str(tmp_path)}
    arguments = {
        "manifest": str(manifest),
        "run": str(tmp_path / "there"),
        "engines": [["torture_engines:Slow", "slow", options]],
        "conditions": ["clean"],
        "workers": 2,
        "on": "ray",
    }
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("transcribe_child.py")), json.dumps(arguments)]
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("done-*"))) < 16 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)  # more than two seconds of work, after which the journal is written
    child.send_signal(signal.SIGKILL)
    assert -signal.SIGKILL == child.wait()
    (tmp_path / "go").touch()
    summary = go(manifest, tmp_path / "there", [spec("torture_engines:Slow", "slow", **options)], on="ray", workers=2)
    assert 0 < summary.resumed < 20
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_engines_that_differ_between_nodes_are_refused(tmp_path: Path) -> None:
    """An engine whose fingerprint is another one on the second actor ends the run; the node and both values are named."""
    with pytest.raises(
        EngineError, match=r"the engine on the node \S+ is not that of the first node: process \d+ \(first: \d+\)"
    ):
        go(make_manifest(tmp_path, 4), tmp_path / "run", [spec("torture_engines:Differing", "d")], on="ray", workers=2)


def test_the_command_works_through_a_client_and_keeps_secrets(tmp_path: Path, cluster: Nodes) -> None:
    """`asrfair run --on ray://…` prints one JSON object, records the cluster, and no log of Ray's has heard the option."""
    pytest.importorskip("grpc", reason="Ray's client is not installed: pip install 'asrfair[ray]'")
    make_manifest(tmp_path, 6)
    (tmp_path / "card.toml").write_text(
        '[manifest]\nname = "m"\nversion = "1"\nlicence = "CC0"\ntable = "manifest.csv"\n'
        '[attributes.accent]\ndescription = "a"\nprovenance = "self-reported"\n'
    )
    (tmp_path / "suite.toml").write_text(
        '[suite]\nname = "s"\nmanifest = "card.toml"\n[[engine]]\nname = "torture_engines:Secretive"\n'
        'label = "e"\noptions = { password = "hush-3141592" }\n[groups]\nby = ["accent"]\n'
    )
    command = [sys.executable, "-m", "asrfair.cli.main", "run", "suite.toml", "--out", "run", "--json", "--on"]
    done = subprocess.run(
        [*command, f"ray://127.0.0.1:{CLIENT_PORT}"], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    json.loads(done.stdout)
    assert 2 == json.loads((tmp_path / "run" / "run.json").read_text())["volatile"]["transcribe"]["on"]["nodes"]
    assert not [
        path for path in Path(cluster.folder).rglob("*") if path.is_file() and b"hush-3141592" in path.read_bytes()
    ]
