"""What the tests of the conditions share: real clips, profiles written on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from asrfair.acoustics import Condition, Renderer, parse_condition
from asrfair.acoustics.speech_material import RenderContext
from asrfair.types import Clip, Utterance

RATE = 16_000
HEADER = """
[profile]
name = "{name}"
description = "a test"
licence = "none"
source = "test"
"""


def write_profile(folder: Path, body: str, *, name: str = "place") -> Path:
    """Write a profile file with a minimal header."""
    path = folder / f"{name}.toml"
    path.write_text(HEADER.format(name=name) + body, encoding="utf-8")
    return path


def condition(folder: Path, body: str, *, name: str = "place") -> Condition:
    """Parse a profile written on the spot."""
    return parse_condition(str(write_profile(folder, body, name=name)))


def renderer(*conditions: Condition, seed: int = 1, context: RenderContext | None = None) -> Renderer:
    """Build a renderer."""
    return Renderer(conditions, seed, context)


def real_speech(shared_data: Path, count: int) -> list[tuple[Clip, str]]:
    """Return real clips at 16 kHz with their speakers: read sentences by 40 speakers."""
    files = sorted((shared_data / "speechocean762" / "test").glob("*/*.flac"))
    found = []
    for file in files[:: max(1, len(files) // count)][:count]:
        samples, rate = soundfile.read(file, dtype="float32")
        assert rate == RATE
        found.append((Clip(utterance_id=file.stem, samples=samples, sample_rate_hz=rate), file.parent.name))
    return found


def real_utterances(shared_data: Path) -> list[Utterance]:
    """Return the utterances that ``real_speech`` takes its clips from."""
    files = sorted((shared_data / "speechocean762" / "test").glob("*/*.flac"))
    return [Utterance(utterance_id=f.stem, speaker_id=f.parent.name, reference="x", audio=f.absolute()) for f in files]


def real_corpus(shared_data: Path) -> RenderContext:
    """Return the corpus that ``real_speech`` takes its clips from."""
    return RenderContext.of(real_utterances(shared_data))


def synthetic_speech(seconds: float = 3.0, *, rate: int = RATE, seed: int = 1, level: float = 0.1) -> Clip:
    """Return something with the rhythm of speech: a buzz in syllables and pauses, never the same twice."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    syllables = np.interp(
        time, np.arange(0, seconds + 0.2, 0.1), rng.uniform(0, 1, len(np.arange(0, seconds + 0.2, 0.1))) ** 2
    )
    pause = np.where((time > 0.4 * seconds) & (time < 0.6 * seconds), 0.0, 1.0)
    samples = level * buzz / np.std(buzz) * syllables * pause
    return Clip(utterance_id=f"u{seed}", samples=samples.astype(np.float32), sample_rate_hz=rate)


def noise_of(clean: Clip, rendered: Clip, achieved: dict[str, float | str]) -> np.ndarray:
    """Return what was added to a clip, headroom undone."""
    return rendered.samples / 10 ** (float(achieved["headroom_gain_db"]) / 20) - clean.samples.astype(np.float64)
