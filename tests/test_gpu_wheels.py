"""What `make gpu` carries: little, locked, and enough for the way from recordings to hypotheses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))
from gpu_wheels import WHEELS, locked

WAY = (
    "asrfair.recognise.engines.transformers", "asrfair.acoustics.tensor", "asrfair.recognise.transcribe.pool",
    "asrfair.recognise.transcribe.workers", "asrfair.recognise.transcribe.plan", "asrfair.recognise.journal",
    "asrfair.recognise.bench",
)  # fmt: skip


def test_engines_and_workers_need_neither_pandas_nor_arrow() -> None:
    """What feeds engines, and what feeds on them, imports no library of tables: those are larger than all else."""
    code = f"import sys, {', '.join(WAY)}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "pyarrow", "matplotlib", "click", "rich", "jinja2", "torchaudio"} & set(found)


def test_every_wheel_is_locked(repository: Path) -> None:
    """Each has a version and hashes in requirements/dev.txt; a name that is not there is said."""
    text = (repository / "requirements" / "dev.txt").read_text()
    lines = locked(text, WHEELS).splitlines()
    assert len(WHEELS) == len(lines)
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
    with pytest.raises(SystemExit, match="nothing-like-it"):
        locked(text, ("nothing-like-it",))
