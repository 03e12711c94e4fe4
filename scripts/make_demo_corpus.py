"""Make the synthetic demo corpus in ``manifests/demo`` with the flite speech synthesiser (Debian package ``flite``).

Each synthetic speaker is one flite voice at one pitch and one pace. Every voice reads the same blocks of sentences,
so that no group is given harder words than another. Run it again and the same bytes come out::

    python scripts/make_demo_corpus.py manifests/demo
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import soundfile

BLOCKS = [
    [
        "please lie still while the machine takes the next picture",
        "are you allergic to penicillin or any other medicine",
        "the pharmacy on the corner closes at six this evening",
        "take two tablets with water after every meal",
        "could you turn up the volume of the radio",
    ],
    [
        "press the button if you feel any pain or pressure",
        "her blood pressure was high again on tuesday morning",
        "we will move you to another room before lunch",
        "have you ever had an operation on your heart",
        "remind me to call the doctor tomorrow afternoon",
    ],
    [
        "hold your breath until i tell you to breathe again",
        "the patient was given insulin and a glass of juice",
        "do you have any metal in your body or your clothes",
        "what is the weather going to be like this weekend",
        "the nurse will check your temperature every four hours",
    ],
    [
        "the scan takes about twenty minutes from start to finish",
        "he has taken aspirin every day for the last ten years",
        "please sign your name at the bottom of this page",
        "is there any history of cancer in your family",
        "set an alarm for seven thirty in the morning",
    ],
    [
        "the doctor wants another picture of your left shoulder",
        "you may feel a little warm when we inject the contrast",
        "my mother was treated for asthma in this hospital",
        "how far is it from here to the railway station",
        "tell the front desk that i am running late",
    ],
    [
        "you can get dressed now and wait in the hall outside",
        "she could not swallow the capsule without some water",
        "turn your head slowly to the right and look up",
        "there is a problem with the window in the kitchen",
        "when did you last have something to eat or drink",
    ],
]

VOICES = {
    # voice: (accent, gender, base pitch in Hz, speakers)
    "kal16": ("US English", "male", 105, 4),
    "rms": ("US English", "male", 100, 4),
    "slt": ("US English", "female", 170, 8),
    "awb": ("Scottish English", "male", 130, 8),
}
PITCH = (1.0, 0.9, 1.12, 0.95, 1.06, 1.18, 0.86, 1.03)
PACE = (("normal", 1.0), ("slow", 1.2), ("fast", 0.85), ("normal", 1.05), ("slow", 1.3), ("fast", 0.9))

CARD = """\
# Made by scripts/make_demo_corpus.py: do not edit by hand.
[manifest]
name = "asrfair-demo"
version = "1"
table = "demo.csv"
licence = "Apache-2.0 (the audio is the output of flite, whose licence is BSD-like and puts no terms on its output)"
citation = "Black, A. and Lenzo, K. (2001). Flite: a small fast run-time synthesis engine. 4th ISCA Workshop on Speech Synthesis."
description = "Synthetic speech: four flite voices varied in pitch and pace into 24 synthetic speakers. It shows what asrfair does; nothing about people can be concluded from it."
consent = "No person was recorded for this corpus."

[attributes.accent]
description = "accent of the speaker from whom the flite voice was built, as the voice's makers describe it"
provenance = "annotated"

[attributes.gender]
description = "gender of the speaker from whom the flite voice was built, as the voice's makers describe it"
provenance = "annotated"

[attributes.pace]
description = "speaking rate that the synthesiser was set to"
provenance = "recorded"

[attributes.topic]
description = "medical or everyday sentence, by the corpus's author"
provenance = "annotated"
level = "utterance"
"""

MEDICAL = (
    "machine", "allergic", "tablets", "pain", "pressure", "operation", "breath", "patient", "metal", "nurse", "scan",
    "aspirin", "cancer", "shoulder", "contrast", "asthma", "capsule", "doctor", "pharmacy",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """A synthetic speaker: a voice at a pitch and a pace."""

    speaker_id: str
    voice: str
    accent: str
    gender: str
    pitch_hz: float
    pace: str
    stretch: float


def speakers() -> list[Speaker]:
    """Return the synthetic speakers in a fixed order."""
    made = []
    for voice, (accent, gender, base_hz, count) in VOICES.items():
        for index in range(count):
            pace, stretch = PACE[index % len(PACE)]
            made.append(
                Speaker(
                    speaker_id=f"{voice}-{index + 1}",
                    voice=voice,
                    accent=accent,
                    gender=gender,
                    pitch_hz=round(base_hz * PITCH[index], 1),
                    pace=pace,
                    stretch=stretch,
                )
            )
    return made


def synthesise(speaker: Speaker, text: str, path: Path) -> float:
    """Write one utterance as 16 kHz mono FLAC and return its duration in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "utterance.wav"
        command = [
            "flite", "-voice", speaker.voice,
            "--setf", f"int_f0_target_mean={speaker.pitch_hz}",
            "--setf", f"duration_stretch={speaker.stretch}",
            "-t", text, "-o", str(wave),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        samples, rate_hz = soundfile.read(wave, dtype="int16")
    soundfile.write(path, samples, rate_hz, format="FLAC", subtype="PCM_16")
    return len(samples) / rate_hz


def main() -> None:
    """Make the corpus in the folder that is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    if shutil.which("flite") is None:
        sys.exit("flite is not installed. On Debian and Ubuntu: apt-get install flite")
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    columns = [
        "utterance_id",
        "speaker_id",
        "reference",
        "audio",
        "duration_s",
        "language",
        "accent",
        "gender",
        "pace",
        "topic",
    ]
    total_s = 0.0
    with (folder / "demo.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for position, speaker in enumerate(speakers()):
            for number, text in enumerate(BLOCKS[position % len(BLOCKS)], start=1):
                utterance_id = f"{speaker.speaker_id}-{number}"
                duration_s = synthesise(speaker, text, folder / "audio" / f"{utterance_id}.flac")
                total_s += duration_s
                topic = "medical" if any(word in text for word in MEDICAL) else "everyday"
                writer.writerow(
                    [utterance_id, speaker.speaker_id, text, f"audio/{utterance_id}.flac", f"{duration_s:.3f}", "en",
                     speaker.accent, speaker.gender, speaker.pace, topic]
                )  # fmt: skip
    (folder / "demo.toml").write_text(CARD, encoding="utf-8")
    print(f"{len(speakers())} synthetic speakers, {total_s:.0f} s of audio in {folder}")


if __name__ == "__main__":
    main()
