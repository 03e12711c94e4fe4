"""The examples work as they stand: what a workflow, a crontab and a job array would run is run here, by their shells."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from nightly_nights import write_suite

from asrfair.nightly import History


@pytest.fixture
def examples(repository: Path) -> Path:
    """The folder of the examples."""
    return repository / "examples" / "nightly"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The variables of a machine on which ``asrfair`` is installed; ``scontrol`` notes what it was asked."""
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "asrfair"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m asrfair.cli.main "$@"\n', encoding="utf-8")
    control = tools / "scontrol"
    control.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/scontrol.txt\n', encoding="utf-8")
    for path in (program, control):
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def shell(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_workflow(examples: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Its steps run in order in a checkout: a night that passes, and one that fails but still leaves its summary."""
    workflow = yaml.safe_load((examples / "github-actions.yml").read_text(encoding="utf-8"))
    assert {"schedule", "workflow_dispatch"} == set(workflow[True])  # "on" is a boolean in YAML 1.1
    (job,) = workflow["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    folder = tmp_path / "checkout"
    summary = tmp_path / "summary.md"
    environment = {**environment, "GITHUB_STEP_SUMMARY": str(summary)}
    for substitutions, expected in ((0.2, 0), (0.9, 1)):
        write_suite(folder, count=30, options={"substitutions": substitutions})
        failed = False
        codes = {}
        for step in job["steps"]:
            if "run" not in step or step["run"].startswith("pip install"):
                continue
            if failed and step.get("if") != "always()":
                continue
            done = shell(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], folder, environment)
            codes[step["name"]] = done.returncode
            failed |= done.returncode != 0
        assert {"Tonight": expected, "Summary": 0} == codes
    assert ["night 1: passed", "night 2: failed"] == [
        line.split(", ")[1] for line in summary.read_text(encoding="utf-8").splitlines() if line.startswith("### ")
    ]
    kept = [step["with"]["path"] for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    for path in kept[0].split():
        assert (folder / path).is_dir()


@pytest.mark.slow
def test_the_cron_line(examples: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """The line says nothing after a good night or while another runs, and all after a bad one; cron would send it."""
    text = (examples / "crontab").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line[:1].isdigit()]
    command = line.split(None, 5)[5].replace("\\%", "%")  # cron(8) unescapes the percent sign
    folder = tmp_path / "asr"
    for substitutions, words in ((0.2, ""), (0.9, "Night 2 of small: failed")):
        write_suite(folder, count=30, options={"substitutions": substitutions})
        done = shell(["sh", "-c", command], tmp_path, environment)
        assert "" == done.stderr
        assert (bool(words), True) == (bool(done.stdout), words in done.stdout)
    assert [1, 2] == History(folder / "history").numbers()
    assert (folder / "verdict" / "junit.xml").is_file()
    busy = subprocess.Popen(["flock", "nightly.lock", "sleep", "60"], cwd=folder)
    while subprocess.run(["flock", "-n", "nightly.lock", "true"], cwd=folder, check=False).returncode == 0:
        time.sleep(0.05)
    done = shell(["sh", "-c", command], tmp_path, environment)
    busy.kill()
    busy.wait()
    assert ("", "") == (done.stdout, done.stderr)
    assert [1, 2] == History(folder / "history").numbers()


@pytest.mark.slow
def test_the_job_array(examples: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Each task runs its suite into the one history and ends with its own code."""
    shutil.copy(examples / "slurm-array.sh", tmp_path)
    names = ("wards", "streets")
    for name, substitutions in zip(names, (0.2, 0.99), strict=True):
        gates = "[gates]\nmax_wer = 0.9\n"
        write_suite(tmp_path / name, name=name, count=30, options={"substitutions": substitutions}, gates=gates)
    (tmp_path / "suites.txt").write_text("".join(f"{name}/suite.toml\n" for name in names), encoding="utf-8")
    for task, expected in ((0, 0), (1, 1)):
        variables = {**environment, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1"}
        done = shell(["bash", "slurm-array.sh"], tmp_path, variables)
        assert expected == done.returncode, done.stderr
        assert (tmp_path / f"verdict-{task}" / "verdict.md").is_file()
    assert list(names) == [night.suite for night in History(tmp_path / "history").nights()]
    assert not (tmp_path / "scontrol.txt").exists()


@pytest.mark.slow
def test_a_task_whose_time_is_up_is_resumed(examples: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Slurm's signal ends the night in order; the task goes back into the queue, and goes on where it stopped."""
    suite = write_suite(tmp_path / "s", count=200, options={"latency_s": 0.02})
    (tmp_path / "suites.txt").write_text(f"{suite}\n", encoding="utf-8")
    variables = {**environment, "SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_JOB_ID": "77", "SLURM_CPUS_PER_TASK": "1"}
    child = subprocess.Popen(
        ["bash", str(examples / "slurm-array.sh")],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    for _ in range(400):
        if list(tmp_path.glob("history/work/*/run/journal.sqlite-wal")):
            break
        time.sleep(0.05)
    time.sleep(1.5)
    child.send_signal(signal.SIGTERM)
    said = child.communicate(timeout=60)[0].decode()
    assert child.returncode not in (0, 1), said
    assert "requeue 77_0\n" == (tmp_path / "scontrol.txt").read_text(encoding="utf-8")
    assert [] == History(tmp_path / "history").numbers()
    done = shell(["bash", str(examples / "slurm-array.sh")], tmp_path, variables)
    assert 0 == done.returncode, done.stderr
    (night,) = History(tmp_path / "history").nights()
    assert night.content["counts"]["resumed"] > 0
