"""What all tests share: where the real recordings are, and a run folder of real transcripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
# Before numpy is imported: the tests run as a process a core, whose threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that is tested."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real speech, noise and transcripts; skips with a reason where there is none.

    ``ASRFAIR_REQUIRE_SHARED_DATA=1`` (set by CI) turns the skip into a failure.
    """
    folder = Path(os.environ.get("ASRFAIR_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "edacc" / "manifest.csv").is_file():
        message = f"the real recordings and transcripts are not at {folder} (set ASRFAIR_SHARED_DATA)"
        if os.environ.get("ASRFAIR_REQUIRE_SHARED_DATA"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def demo_ctc() -> Path:
    """The CTC checkpoint that scripts/train_demo_ctc.py trains on the demo corpus; made once, kept in checkpoints/."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed (make test-engines installs it)")
    folder = REPOSITORY / "checkpoints" / "demo-ctc"
    if not (folder / "model.safetensors").is_file() or not (folder / "processor_config.json").is_file():
        fresh = folder.with_name(f"demo-ctc-{os.getpid()}")
        command = [sys.executable, str(REPOSITORY / "scripts" / "train_demo_ctc.py"), str(fresh)]
        subprocess.run(command, cwd=REPOSITORY, check=True)
        if folder.exists():
            folder.rename(folder.with_name(f"demo-ctc-incomplete-{os.getpid()}"))
        fresh.rename(folder)
    return folder
