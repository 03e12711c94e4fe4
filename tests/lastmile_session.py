"""A person who uses the last-mile kit and makes the usual mistakes, on real voices and real noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SENTENCES = (
    "four seven one nine five",
    "two eight zero three six",
    "nine five two seven four",
    "one six eight zero three",
    "seven three nine four eight",
    "five zero six two one",
)
VOCABULARY = ("seven", "nine", "zero")
SPEAKERS = {"george": "gr", "jackson": "us", "lucas": "de", "nicolas": "be", "theo": "us", "yweweler": "de"}
RATE_HZ = 8000
GAP_S = 0.15


def _noise(shared: Path, name: str, size: int, level: float, start_s: float) -> np.ndarray:
    samples, rate = soundfile.read(shared / "noise" / name, dtype="float32")
    step = rate // RATE_HZ
    cut = samples[int(start_s * rate) :][: size * step : step][:size]
    return level * cut / np.sqrt(np.mean(cut**2))


def spoken(
    shared: Path, speaker: str, text: str, *, noise: str = "doing_the_dishes.wav", level: float = 0.004
) -> np.ndarray:
    """Return a sentence of digits, put together from one person's recordings, in a room."""
    gap = np.zeros(int(GAP_S * RATE_HZ), dtype=np.float32)
    parts = [np.zeros(int(0.4 * RATE_HZ), dtype=np.float32)]
    for position, word in enumerate(text.split()):
        path = shared / "fsdd" / "recordings" / f"{DIGITS.index(word)}_{speaker}_{position % 5}.wav"
        samples, _ = soundfile.read(path, dtype="float32")
        parts += [samples / np.abs(samples).max() * 0.4, gap]
    speech = np.concatenate([*parts, parts[0]])
    return speech + _noise(shared, noise, len(speech), level, float(len(text)))


def record(kit: Path, shared: Path, *, speakers: tuple[str, ...] = tuple(SPEAKERS)) -> None:
    """Fill in ``speakers.csv`` and record everybody and the room, without mistakes."""
    with (kit / "speakers.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["speaker_id", "accent", "gender"])
        for name in speakers:
            writer.writerow([name, "local" if SPEAKERS[name] == "us" else "second-language", "male"])
    for name in speakers:
        folder = kit / "recordings" / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(SENTENCES, start=1):
            soundfile.write(folder / f"{number:02d}.wav", spoken(shared, name, text), RATE_HZ)
    noise, rate = soundfile.read(shared / "noise" / "doing_the_dishes.wav", dtype="float32")
    soundfile.write(kit / "room" / "empty-room.wav", noise[: 40 * rate], rate)


def make_mistakes(kit: Path, shared: Path) -> None:
    """Swap two files, clip one, record one in another room, leave a word out, copy one, leave one silent, forget one."""
    folder = kit / "recordings"
    first, second = folder / "jackson" / "01.wav", folder / "jackson" / "02.wav"
    first.rename(folder / "jackson" / "x.tmp")
    second.rename(first)
    (folder / "jackson" / "x.tmp").rename(second)
    loud = spoken(shared, "theo", SENTENCES[2])
    soundfile.write(folder / "theo" / "03.wav", np.clip(loud * 8, -0.97, 0.97), RATE_HZ)
    other = spoken(shared, "george", SENTENCES[3], noise="running_tap.wav", level=0.06)
    soundfile.write(folder / "george" / "04.wav", other, RATE_HZ)
    soundfile.write(folder / "lucas" / "05.wav", spoken(shared, "lucas", "three nine four eight"), RATE_HZ)
    (folder / "nicolas" / "06.wav").write_bytes((folder / "nicolas" / "02.wav").read_bytes())
    soundfile.write(folder / "yweweler" / "01.wav", np.zeros(3 * RATE_HZ, dtype=np.float32), RATE_HZ)
    (folder / "yweweler" / "06.wav").unlink()
