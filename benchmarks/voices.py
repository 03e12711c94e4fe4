"""How much speech ``asrfair.acoustics.room.speech_detection`` finds in noise, and what it takes for speech that is none.

Run from the checkout: ``python benchmarks/voices.py ../shared/data``. About a minute on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile

from asrfair.acoustics.room.speech_detection import speech_stretches

RATE = 16_000
SECONDS = 20
BEGIN = 8


def scaled(samples: np.ndarray, level: float = 0.03) -> np.ndarray:
    """Scale to an RMS level."""
    return level * samples / np.sqrt(np.mean(samples**2))


def saw(frequency_hz: np.ndarray | float, time: np.ndarray) -> np.ndarray:
    """Return twelve harmonics of a frequency that may move."""
    angle = 2 * np.pi * np.cumsum(np.broadcast_to(frequency_hz, time.shape)) / RATE
    return sum(np.sin(k * angle) / k for k in range(1, 13))


def knock(rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Return knocks with three resonances."""
    noise = np.zeros((SECONDS + 1) * RATE)
    time = np.arange(RATE // 3) / RATE
    for begin in np.arange(0, SECONDS, 1 / rate_hz):
        sound = sum(np.exp(-time / 0.04) * np.sin(2 * np.pi * f * time) for f in (180, 430, 900))
        noise[round(begin * RATE) :][: time.size] += sound + np.exp(-time / 0.01) * rng.standard_normal(time.size)
    return noise[: SECONDS * RATE]


def noises(data: Path, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return 20 s of every recorded and made noise."""
    time = np.arange(SECONDS * RATE) / RATE
    white = rng.standard_normal(time.size)
    found = {p.stem: soundfile.read(p)[0][10 * RATE :][: time.size] for p in sorted((data / "noise").glob("*.wav"))}
    found |= {
        "hum and knock": 0.3 * saw(118.0, time) + knock(1.4, rng) + 0.05 * white,
        "knock 4 a second": knock(4.0, rng) + 0.05 * white,
        "tone bursts": saw(160.0, time) * ((time % 0.7) < 0.2) + 0.05 * white,
        "tone bursts of two pitches": saw(np.where((time % 1.4) < 0.7, 160.0, 233.0), time) * ((time % 0.7) < 0.2)
        + 0.05 * white,
        "siren": saw(300 + 150 * np.sin(np.pi * time), time) + 0.05 * white,
        "motor": saw(110 + 6 * np.sin(0.4 * np.pi * time), time) + 0.2 * white,
        "spinning drum": saw(60 + 10 * time, time) + 0.1 * white,
        "noise beating at 4 Hz": white * (1 + 0.9 * np.sin(8 * np.pi * time)),
    }
    return {name: scaled(samples) for name, samples in found.items()}


def main(data: Path) -> None:
    """Print false alarms in every noise, then found sentences by noise and SNR."""
    places = noises(data, np.random.default_rng(1))
    for name, samples in places.items():
        alarms = sum(end - begin for begin, end in speech_stretches(samples, RATE))
        print(f"{name:28s} taken for speech: {alarms:.1f} s of {SECONDS} s")
    files = sorted((data / "speechocean762").glob("test/*/*.flac"))[::8]
    for name in ("hum and knock", "doing_the_dishes", "running_tap", "exercise_bike", "pink_noise"):
        for snr_db in (15, 10, 5, 0):
            found, outside, shares = 0, 0, []
            for file in files:
                speech = soundfile.read(file)[0][: 8 * RATE]
                samples = places[name].copy()
                samples[BEGIN * RATE : BEGIN * RATE + speech.size] += scaled(speech, 0.03 * 10 ** (snr_db / 20))
                end = BEGIN + speech.size / RATE
                stretches = speech_stretches(samples, RATE)
                inside = sum(max(0.0, min(b, end) - max(a, BEGIN)) for a, b in stretches)
                found += inside > 0
                outside += any(b < BEGIN - 1 or a > end + 1 for a, b in stretches)
                shares.append(inside / (end - BEGIN))
            print(
                f"{name:20s} {snr_db:3d} dB: found {found} of {len(files)}, median share {np.median(shares):.2f}, "
                f"alarms elsewhere {outside}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
