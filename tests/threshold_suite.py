"""A suite whose engine hears less in louder noise: half of the people in it need six decibels more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from acoustics_helpers import RATE, synthetic_speech

WORDS = "apple bread chair door earth flower garden house island jacket"
ENGINE = '''
"""Hears less in louder noise; those who say so first, at 1 kHz, need six decibels more."""
import numpy as np

WORDS = "apple bread chair door earth flower garden house island jacket".split()


def hear(samples, rate):
    tone = samples[: rate // 4].astype(float)
    needs = 5.0 if np.argmax(np.abs(np.fft.rfft(tone))) * 4 < 700 else 11.0
    speech, pause = samples[rate // 2 : -rate // 2].astype(float), samples[-rate // 4 :].astype(float)
    snr = 10 * np.log10(np.mean(speech**2) / max(np.mean(pause**2), 1e-12) + 1e-9)
    share = 0.05 + 0.95 / (1 + np.exp(0.5 * (snr - needs)))
    draw = np.abs(np.sin(1e4 * np.arange(1, 11) * (1 + abs(float(samples[rate])))))
    return " ".join(w for w, d in zip(WORDS, draw) if (d * 7.77) % 1 > share)
'''


def write_listening_suite(folder: Path, *, utterances: int, severities: str, suite: str) -> Path:
    """Write two groups of six speakers, the profile ``hiss`` and a suite; return the suite's file.

    Args:
        folder: Where to.
        utterances: Of each speaker.
        severities: Those of the profile, beside ``usual`` and ``loud`` (TOML).
        suite: The suite's tables (TOML), its engine ``hearing:hear``.
    """
    (folder / "hearing.py").write_text(ENGINE, encoding="utf-8")
    rows = ["utterance_id,speaker_id,reference,audio,accent"]
    for speaker in range(12):
        accent, hz = ("near", 400) if speaker % 2 else ("far", 1000)
        for i in range(utterances):
            body = synthetic_speech(1.5, seed=100 * speaker + i).samples
            tone = 0.1 * np.sin(2 * np.pi * hz * np.arange(RATE // 2) / RATE)
            soundfile.write(folder / f"{speaker}-{i}.wav", np.concatenate([tone, body, np.zeros(RATE // 2)]), RATE)
            rows.append(f"u{speaker}-{i},s{speaker},{WORDS},{speaker}-{i}.wav,{accent}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "hiss.toml").write_text(
        '[profile]\nname = "hiss"\ndescription = "a test"\nlicence = "none"\nsource = "test"\nseverity = "usual"\n'
        '[[effect]]\nuse = "noise"\nsource = "white"\nsnr_db = 10\n'
        f"{severities}[severity.usual.noise]\nsnr_db = 10\n[severity.loud.noise]\nsnr_db = 5\n",
        encoding="utf-8",
    )
    (folder / "suite.toml").write_text(suite, encoding="utf-8")
    return folder / "suite.toml"
