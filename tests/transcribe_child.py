"""A small manifest, a test engine that dies on purpose, and a script that transcribes (to be killed by tests)."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import soundfile

from asrfair.acoustics import parse_condition
from asrfair.data.manifest import read_manifest
from asrfair.recognise.engines import EngineBase, EngineTraits
from asrfair.recognise.transcribe import TranscribeSummary, transcribe
from asrfair.types import Clip, EngineSpec, Hypothesis

WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "nurses",
    "write",
    "down",
)
SAME = ("utterances.parquet", "hypotheses.parquet", "achieved.parquet")
"""What must be the same bytes for the same work."""


def make_manifest(folder: Path, count: int, *, audio: bool = False, order: int | None = None) -> Path:
    """Write a table of made-up utterances (and noise as their audio); ``order`` is a seed that shuffles the rows."""
    rows = []
    for number in range(count):
        random = np.random.default_rng(number)
        row = {
            "utterance_id": f"u{number:04}",
            "speaker_id": f"s{number % 7}",
            "reference": " ".join(random.choice(WORDS, 3 + number % 11)),
            "accent": ("us", "scottish", "indian")[number % 3],
        }
        if audio:
            name = f"u{number:04}.wav"
            samples = random.normal(0, 0.1, 4000 + 160 * int(random.integers(50)))
            if not (folder / name).exists():
                soundfile.write(folder / name, np.clip(samples, -1, 1), 16_000)
            row["audio"] = name
        rows.append(row)
    if order is not None:
        np.random.default_rng(order).shuffle(rows)
    path = folder / ("manifest.csv" if order is None else f"manifest-{order}.csv")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


class Dying(EngineBase):
    """Answers with references; kills its process, or raises, for the utterances that its options name.

    ``once`` is a folder: an utterance that left its mark there is spared the second time.
    """

    traits = EngineTraits(needs_audio=False)

    @classmethod
    def traits_for(cls, spec, context):
        """Let the options choose how work is spread."""
        return EngineTraits(
            needs_audio=spec.options.get("needs_audio", False),
            parallel=spec.options.get("parallel", "processes"),
            max_batch=spec.options.get("max_batch", 1),
            concurrency=spec.options.get("concurrency", 1),
        )

    calls = 0

    def transcribe(self, clips):
        """Answer, or die."""
        self.calls += 1
        options = self.spec.options
        ids = [clip.utterance_id for clip in clips]
        for victim in set(ids) & set(options.get("kill", [])):
            mark = Path(options["once"]) / victim if "once" in options else None
            if mark is None or not mark.exists():
                if mark is not None:
                    mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if set(ids) & set(options.get("raise", [])):
            raise ValueError("told to fail\x1b[31m \ud800")
        if len(ids) > options.get("fits", len(ids)):
            raise MemoryError(f"{len(ids)} clips do not fit")
        return [Hypothesis(utterance_id=i, text=self.context.utterance(i).reference) for i in ids]

    def recover(self, error):
        """Count what a run tells it."""
        self.recovered = getattr(self, "recovered", 0) + 1

    def statistics(self):
        """Return how often it was called, and told to recover."""
        return {"calls": self.calls, "recovered": getattr(self, "recovered", 0)}


class Stubborn(EngineBase):
    """An engine that cannot start."""

    traits = EngineTraits(needs_audio=False)

    def __init__(self, spec, context):
        super().__init__(spec, context)
        if spec.options.get("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("no licence found")


class Listening(EngineBase):
    """Answers with a digest of the samples it got, so that a test sees whether all kinds of workers hear the same."""

    @classmethod
    def traits_for(cls, spec, context):
        """Let the options choose how work is spread."""
        return EngineTraits(**spec.options)

    def transcribe(self, clips: list[Clip]) -> list[Hypothesis]:
        """Return length and sum of each clip."""
        return [
            Hypothesis(
                utterance_id=c.utterance_id, text=f"{len(c.samples)} {float(np.abs(c.samples).sum()):.6f} {c.condition}"
            )
            for c in clips
        ]


def spec(name: str, label: str | None = None, **options: object) -> EngineSpec:
    """An engine of this file (by its class's name) or of the table."""
    full = f"{Path(__file__).stem}:{name}" if name[0].isupper() else name
    return EngineSpec(name=full, label=label or name.lower(), options=options)


def go(
    manifest: Path, run: Path, engines: list[EngineSpec], conditions: list[str] | None = None, **more
) -> TranscribeSummary:
    """Transcribe without a progress display."""
    return transcribe(
        read_manifest(manifest, allow_outside=True),
        engines,
        [parse_condition(name) for name in conditions or ["clean"]],
        run,
        **{"progress": False, "workers": 1, **more},
    )


def contents(run: Path) -> dict[str, bytes]:
    """The bytes of the files that must be the same."""
    return {name: (run / name).read_bytes() for name in SAME}


if __name__ == "__main__":
    # A shell that starts tests in the background has them ignore Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = json.loads(sys.argv[1])
    go(
        Path(arguments["manifest"]),
        Path(arguments["run"]),
        [spec(name, label, **options) for name, label, options in arguments["engines"]],
        arguments["conditions"],
        workers=arguments["workers"],
        progress=arguments.get("progress", False),
        on=arguments.get("on", ""),
    )
