"""A long recording is cut where its sentences begin and end, whatever lies between them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from record_page import make_kit

from asrfair.cli.main import run as command
from asrfair.lastmile.cut import find_sentences, speech_stretches
from asrfair.lastmile.prompts import Prompt

RATE_HZ = 16_000
TOLERANCE_S = 0.15


def trimmed(path: Path, *, below_db: float = -35.0) -> np.ndarray:
    """Return a clip from its first to its last sound above a level under its peak (20 ms frames): the true boundaries."""
    samples, rate = soundfile.read(path, dtype="float32")
    samples = soxr.resample(samples, rate, RATE_HZ)
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (below_db / 20))
    return samples[loud[0] * 320 : (loud[-1] + 1) * 320]


def long_recording(
    clips: list[np.ndarray], *, seed: int, pauses_s: tuple[float, float], noise_db: float = -55.0
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Put clips one after the other with pauses, in a quiet room; return it and where each clip lies."""
    rng = np.random.default_rng(seed)
    parts, places, at = [], [], 0
    for clip in clips:
        pause = round(rng.uniform(*pauses_s) * RATE_HZ)
        parts += [np.zeros(pause, dtype=np.float32), clip / np.abs(clip).max() * 0.5]
        places.append(((at + pause) / RATE_HZ, (at + pause + len(clip)) / RATE_HZ))
        at += pause + len(clip)
    parts.append(np.zeros(RATE_HZ, dtype=np.float32))
    whole = np.concatenate(parts)
    return whole + rng.normal(0, 10 ** (noise_db / 20), len(whole)).astype(np.float32), places


def demo_clips(repository: Path, count: int) -> tuple[list[np.ndarray], list[Prompt]]:
    """Return the first clips of one demo voice and their sentences."""
    table = repository / "manifests" / "demo" / "demo.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    voices = list(dict.fromkeys(row["speaker_id"] for row in rows))
    rows = [row for row in rows if row["speaker_id"] in voices[:5]][:count]
    prompts = [Prompt(prompt_id=f"{number:02d}", text=row["reference"]) for number, row in enumerate(rows, start=1)]
    return [trimmed(table.parent / row["audio"]) for row in rows], prompts


def worst_miss(found: list[tuple[float, float]], places: list[tuple[float, float]]) -> float:
    """Largest distance of a found boundary from the true one, in seconds."""
    return float(np.abs(np.array(found) - np.array(places)).max())


@pytest.mark.parametrize("seed", range(3))
def test_generated_speech_is_cut_at_its_boundaries(repository: Path, seed: int) -> None:
    """Twenty sentences of the demo voices with pauses of 0.7 to 3 s: every boundary within 150 ms."""
    clips, prompts = demo_clips(repository, 20)
    samples, places = long_recording(clips, seed=seed, pauses_s=(0.7, 3.0))
    found = find_sentences(samples, prompts)
    assert [prompt.prompt_id for prompt in prompts] == [cut.prompt.prompt_id for cut in found.cuts]
    assert worst_miss([(cut.start_s, cut.end_s) for cut in found.cuts], places) <= TOLERANCE_S


def test_ten_minutes_of_real_speech_are_cut_at_their_boundaries(shared_data: Path) -> None:
    """Twenty sentences of two people, ten minutes with the pauses: every boundary within 150 ms."""
    folder = shared_data / "speechocean762"
    rows = list(csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()))
    speakers = list(dict.fromkeys(row["speaker_id"] for row in rows))[:2]
    rows = [row for row in rows if row["speaker_id"] in speakers][:20]
    prompts = [
        Prompt(prompt_id=f"{number:02d}", text=row["reference"].lower()) for number, row in enumerate(rows, start=1)
    ]
    clips = [trimmed(folder / row["audio_path"], below_db=-25.0) for row in rows]
    samples, places = long_recording(clips, seed=1, pauses_s=(20.0, 30.0))
    assert len(samples) > 480 * RATE_HZ
    found = find_sentences(samples, prompts)
    assert [prompt.prompt_id for prompt in prompts] == [cut.prompt.prompt_id for cut in found.cuts]
    assert worst_miss([(cut.start_s, cut.end_s) for cut in found.cuts], places) <= TOLERANCE_S


def test_a_sentence_that_was_not_read_and_a_cough_are_named(repository: Path) -> None:
    """What is missing is not found, what is too much belongs to none, and the others are right."""
    clips, prompts = demo_clips(repository, 12)
    cough = np.random.default_rng(1).normal(0, 0.2, RATE_HZ // 4).astype(np.float32)
    read = [*clips[:4], *clips[5:8], cough, *clips[8:]]
    samples, places = long_recording(read, seed=3, pauses_s=(0.8, 2.0))
    found = find_sentences(samples, prompts)
    assert ["05"] == [prompt.prompt_id for prompt in found.not_found]
    assert 1 == len(found.left_over)
    places.pop(7)
    assert worst_miss([(cut.start_s, cut.end_s) for cut in found.cuts], places) <= TOLERANCE_S


def test_silence_holds_no_speech() -> None:
    """A room without anybody, and nothing at all, have no stretches."""
    assert [] == speech_stretches(np.random.default_rng(1).normal(0, 1e-3, 10 * RATE_HZ).astype(np.float32))
    assert [] == speech_stretches(np.zeros(100, dtype=np.float32))


def test_cuts_are_shown_first_and_written_when_asked(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --write only times are printed; with it there is a recording a sentence, at the file's rate."""
    clips, prompts = demo_clips(repository, 4)
    kit = make_kit(tmp_path / "kit", sentences=4)
    lines = ["prompt_id,text", *(f'{prompt.prompt_id},"{prompt.text}"' for prompt in prompts)]
    (kit.folder / "prompts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    samples, places = long_recording(clips, seed=2, pauses_s=(1.0, 2.0))
    long = tmp_path / "long.wav"
    soundfile.write(long, samples, RATE_HZ, subtype="PCM_16")
    arguments = ["lastmile", "cut", str(kit.folder), "speaker-01", str(long), "--no-words"]
    assert 0 == command(arguments)
    assert "Nothing was written" in capsys.readouterr().out
    assert [] == list((kit.recordings / "speaker-01").iterdir())
    assert 0 == command([*arguments, "--write"])
    for number, (start, end) in enumerate(places, start=1):
        length = soundfile.info(kit.recordings / "speaker-01" / f"{number:02d}.wav").duration
        assert end - start + 0.3 < length < end - start + 0.6 + 2 * TOLERANCE_S
    assert 2 == command([*arguments])
    assert "recorded everything already" in capsys.readouterr().err
    assert 2 == command(["lastmile", "cut", str(kit.folder), "nobody", str(long)])
