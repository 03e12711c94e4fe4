"""One take: is it the WAV file that the page promised, and what would a listener say of it at once."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile

from asrfair.data.audio import AudioError
from asrfair.lastmile.check import judge_take
from asrfair.lastmile.measure_recording import measure
from asrfair.lastmile.prompts import Prompt
from asrfair.lastmile.recorder.session import Refused

LONGEST_TAKE_S = 120.0
LONGEST_ROOM_S = 600.0
MOST_BYTES = 64 * 1024 * 1024
"""Ten minutes of the room at 48 kHz; nothing that a page of this kit records is larger."""

_WAV_HEADER = 44
_RATES_HZ = (8_000, 192_000)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What a listener would say of a take: ``again`` where it cannot be used as it is."""

    kind: str
    text: str
    again: bool


@dataclass(frozen=True, kw_only=True)
class Take:
    """A take that is whole: its length and the hash of its file."""

    duration_s: float
    sha256: str


def inspect(stream: BinaryIO, *, longest_s: float) -> Take:
    """Make sure that what was received is what the page records: 16-bit PCM WAV, one channel, whole.

    Args:
        stream: What was received; read from its start.
        longest_s: How long it may be.

    Raises:
        Refused: It is something else, is cut short, or is too long.
    """
    try:
        stream.seek(0)
        with soundfile.SoundFile(stream) as file:
            kind = (file.format, file.subtype, file.channels)
            frames, rate = file.frames, file.samplerate
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise Refused(400, "no_recording", "What arrived is no recording. Please record the sentence again.") from error
    if kind != ("WAV", "PCM_16", 1) or not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise Refused(400, "wrong_format", "What arrived is no recording of this page. Load the page again.")
    # libsndfile clamps a file that was cut short to what is there: what the header promises is read here.
    stream.seek(_WAV_HEADER - 4)
    promised = int.from_bytes(stream.read(4), "little")
    if not 2 * frames == promised == stream.seek(0, os.SEEK_END) - _WAV_HEADER or frames < rate // 10:
        raise Refused(400, "cut_short", "The recording was cut short on its way. Please record the sentence again.")
    if frames > longest_s * rate:
        raise Refused(400, "too_long", f"A recording may be {longest_s:.0f} seconds long. Please record it again.")
    stream.seek(0)
    return Take(duration_s=frames / rate, sha256=hashlib.sha256(stream.read()).hexdigest())


def listen(path: Path, prompt: Prompt) -> list[Advice]:
    """Say what can be heard at once: silence, clipping, a voice too faint, a loud background, a length that cannot be."""
    try:
        measures = measure(path)
    except AudioError as error:
        return [Advice(kind="unreadable", text=error.message, again=True)]
    return [
        Advice(kind=found.kind, text=found.text, again=found.severity == "again")
        for found in judge_take("", prompt, path.name, measures)
    ]
