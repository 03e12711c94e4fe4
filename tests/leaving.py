"""Somebody to be forgotten, in a small suite, and how two folders are held to be the same."""

from __future__ import annotations

import json
import math
import os
import signal
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from nightly_nights import write_suite

from asrfair.cli.main import run as command
from asrfair.data.traces import search
from asrfair.recognise.engines import EngineBase, EngineTraits
from asrfair.recognise.journal import Journal, Row
from asrfair.types import Clip, Hypothesis

WHO = "Žofie-CANARYxq7"
WORDS = "apple bread chair door earth flower garden house island jacket"
SAID = "only this person said CANARYxq7 to the seven nurses"
SAME = (
    "report.",
    "journal",
    "timings",
    ".lock",
    "forgotten.jsonl",
    "night.json",
    "run.json",
    "accepted/",
    "trend/",
    "cache.sqlite",
)
"""Files that hold times of day, or are not the same for equal runs, or only exist where somebody left."""


def make_suite(folder: Path, *, without: bool = False) -> Path:
    """Write a suite over seven people, one of whom is called by the canary and says something of their own."""
    suite = write_suite(folder)
    path = folder / "manifest.csv"
    table = pd.read_csv(path, dtype=str)
    mine = table["speaker_id"] == "s3"
    table.loc[mine, "utterance_id"] = [f"{WHO}-{n}" for n in range(mine.sum())]
    table.loc[mine, "reference"] = [f"{SAID} {n}" for n in range(mine.sum())]
    table.loc[mine, "speaker_id"] = WHO
    table[~mine if without else table.index >= 0].to_csv(path, index=False)
    return suite


def night(folder: Path) -> None:
    """Add a night."""
    arguments = [
        "nightly",
        str(folder / "suite.toml"),
        "--history",
        str(folder / "history"),
        "--workers",
        "1",
        "--json",
    ]
    assert command(arguments) in (0, 1)


def traces(folder: Path) -> list[str]:
    """Return the files in which anything of the canary stands, by the bytes, and by what SQLite and Parquet hold."""
    found = search(folder, {WHO, "CANARYxq7", SAID}).found
    return [str(path.relative_to(folder)) for path in found]


def assert_same(one: Path, other: Path) -> None:
    """Hold two folders to be the same, file by file, but for what equal runs may differ in."""
    names = [{path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} for root in (one, other)]
    names = [{name for name in found if not any(part in name for part in SAME)} for found in names]
    assert names[0] == names[1]
    assert [] == [name for name in sorted(names[0]) if (one / name).read_bytes() != (other / name).read_bytes()]


class Ear(EngineBase):
    """Loses more words the lower the SNR in the condition's name; those of the canary 20 dB earlier."""

    traits = EngineTraits(needs_audio=False, parallel="inline")

    def transcribe(self, clips: list[Clip]) -> list[Hypothesis]:
        """Answer with what is left of the reference."""
        return [Hypothesis(utterance_id=clip.utterance_id, text=self._heard(clip)) for clip in clips]

    def _heard(self, clip: Clip) -> str:
        level = float(clip.condition.rpartition("=")[2]) if "=" in clip.condition else 60.0
        needs = 25.0 if clip.utterance_id.startswith(WHO) else 5.0
        share = 0.02 + 0.98 / (1 + math.exp(0.4 * (level - needs)))
        words = self.context.utterance(clip.utterance_id).reference.split()
        draws = (zlib.crc32(f"{clip.utterance_id} {place}".encode()) / 2**32 for place in range(len(words)))
        return " ".join(word for word, draw in zip(words, draws, strict=True) if draw > share or "CANARY" in word)


def make_search(folder: Path, *, levels: int, without: bool = False, by: Sequence[str] = ("accent", "town")) -> Path:
    """Write a suite with a search, over seven people, one of whom is the canary, and needs 20 dB more than the others."""
    folder.mkdir(parents=True)
    rows = []
    for speaker in range(7):
        for i in range(4):
            row = (f"u{speaker}-{i}", f"s{speaker}", WORDS, ("near", "far")[speaker % 2], "elsewhere")
            mine = (f"{WHO}-{i}", WHO, f"{SAID} {i}", row[3], "CANARYxq7")
            rows.append(mine if speaker == 3 else row)
    table = pd.DataFrame(rows, columns=["utterance_id", "speaker_id", "reference", "accent", "town"])
    table[table["speaker_id"] != WHO if without else table.index >= 0].to_csv(folder / "manifest.csv", index=False)
    (folder / "hiss.toml").write_text(
        '[profile]\nname = "hiss"\ndescription = "a test"\nlicence = "none"\nsource = "test"\nseverity = "usual"\n'
        '[[effect]]\nuse = "noise"\nsource = "white"\nsnr_db = 10\n'
        "[severity.usual.noise]\nsnr_db = 10\n[severity.loud.noise]\nsnr_db = 5\n",
        encoding="utf-8",
    )
    suite = folder / "suite.toml"
    suite.write_text(
        '[suite]\nname = "t"\nmanifest = "manifest.csv"\nprofiles = "."\nconditions = ["clean", "hiss"]\n'
        '[[engine]]\nname = "leaving:Ear"\nlabel = "ear"\n'
        f"[groups]\nby = {json.dumps(by)}\nmin_speakers = 3\nmin_words = 10\n[statistics]\ndraws = 100\n"
        f'[threshold]\nplaces = ["hiss"]\nlevels = {levels}\nmax_threshold_db = 30.0\n',
        encoding="utf-8",
    )
    return suite


def searched(suite: Path, out: Path, what: str) -> None:
    """Search, by itself or as a part of a run."""
    extra = ["--no-html"] if what == "run" else []
    assert command([what, str(suite), "--out", str(out), "--workers", "1", *extra]) in (0, 1)


def cut_off(arguments: Sequence[str], *, after: int, heard_who: bool = True) -> None:
    """Start a command in a process of its own, killed once so many answers, and one of the canary's, are on disk."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        record, heard = Journal.record, list[str]()

        def counted(
            journal: Journal, engine: str, condition: str, rows: Sequence[Row], *more: Any, **named: Any
        ) -> None:
            record(journal, engine, condition, rows, *more, **named)
            heard.extend(row.utterance_id for row in rows)
            if len(heard) >= after and (not heard_who or any(WHO in name for name in heard)):
                journal.flush()
                os.kill(os.getpid(), signal.SIGKILL)

        Journal.record = counted  # type: ignore[method-assign,assignment]
        os._exit(command(list(arguments)))
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
