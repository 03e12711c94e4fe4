"""Listens to a customer's recordings of their own room: which stretches are usable noise, and what they are made of.

A stretch is refused, with a reason, where somebody speaks (a recogniser would be charged with words that were in the
noise, and nobody asked the people in the room), where the recording is clipped, and where it is digitally silent.
Recordings are read half a minute at a time, whatever their length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import soundfile
from scipy.ndimage import binary_dilation, find_objects, label

from asrfair.acoustics.room.noise_analysis import Ear, Measured
from asrfair.acoustics.room.speech_detection import HOP_S, speech_mask
from asrfair.data.audio import AudioError, open_audio
from asrfair.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

Reason: TypeAlias = Literal["speech", "clipped", "silent", "short"]
Voices: TypeAlias = Literal["refuse", "keep", "out"]
"""What becomes of stretches in which somebody speaks: refused, kept as they are, or heard so that the talk falls out."""

WINDOW_S = 30.0
OVERLAP_S = 2.0
CELL_S = 0.1
SPEECH_MARGIN_S = 1.5
"""Cut away on both sides of where a voice was found: in noise the first and the last words may be too faint to find."""

LEAST_STRETCH_S = 3.0
LEAST_TOTAL_S = 3.0
FULL_SCALE = 0.999
SILENT = 1e-4
MOST_RECORDINGS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One file that was listened to."""

    path: Path
    sha256: str
    sample_rate_hz: int
    channels: int
    duration_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A part of a recording, usable (``reason`` is empty) or refused.

    Args:
        recording: Index of the recording.
        start_s: From its beginning.
        end_s: From its beginning.
        reason: Why it is refused: ``speech``, ``clipped``, ``silent`` or ``short`` (what is left between refused
            parts is too short to be of use); empty if it is usable.
    """

    recording: int
    start_s: float
    end_s: float
    reason: Reason | Literal[""] = ""

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What was heard in all recordings together.

    Args:
        recordings: In the order given.
        stretches: Usable and refused, in order.
        levels_dbfs: Of every recording, its level every ``CELL_S``.
        noise: What the usable stretches are made of.
        speech_s: Seconds of speech within the usable stretches.
    """

    recordings: tuple[Recording, ...]
    stretches: tuple[Stretch, ...]
    levels_dbfs: tuple[npt.NDArray[np.float64], ...]
    noise: Measured
    speech_s: float = 0.0

    @property
    def usable(self) -> tuple[Stretch, ...]:
        """The stretches that are noise."""
        return tuple(s for s in self.stretches if not s.reason)

    @property
    def refused(self) -> tuple[Stretch, ...]:
        """The stretches that are not used."""
        return tuple(s for s in self.stretches if s.reason)


def listen(paths: Sequence[Path], *, voices: Voices = "refuse") -> Heard:
    """Listen to recordings of a place.

    Args:
        paths: Audio files of any length, rate and number of channels (channels are averaged).
        voices: Whether stretches in which somebody speaks are refused.

    Raises:
        InputError: A file cannot be read, or nothing usable is left; the message says why.
    """
    if not paths:
        raise InputError("no recording is named", remedy="Name at least one audio file")
    if len(paths) > MOST_RECORDINGS:
        raise InputError(f"more than {MOST_RECORDINGS} recordings", remedy="Name fewer")
    recordings, stretches, levels = [], [], []
    speech_s = 0.0
    for index, path in enumerate(paths):
        recording, found, level, spoken_s = _survey(path, index, voices)
        recordings.append(recording)
        speech_s += spoken_s
        stretches += found
        levels.append(level)
    usable = [s for s in stretches if not s.reason]
    total = sum(s.duration_s for s in usable)
    if total < LEAST_TOTAL_S:
        raise InputError(
            f"only {total:.1f} s of usable noise in {sum(r.duration_s for r in recordings):.1f} s of recordings "
            f"({reasons(stretches)})",
            file=paths[0],
            remedy=f"Record the room while nobody speaks, at least {LEAST_STRETCH_S:g} s at a time, without clipping; or "
            'where people always talk: --voices out (the machines alone, generated), --voices keep --consent "…"',
        )
    ear = Ear(total)
    for stretch in usable:
        for samples in read(recordings[stretch.recording], stretch.start_s, stretch.end_s):
            ear.hear(samples, recordings[stretch.recording].sample_rate_hz, stretch.recording)
    return Heard(
        recordings=tuple(recordings), stretches=tuple(stretches), levels_dbfs=tuple(levels), noise=ear.result(),
        speech_s=speech_s,
    )  # fmt: skip


def reasons(stretches: Sequence[Stretch]) -> str:
    """Return seconds by reason of refusal as a phrase: ``speech 4.0 s, clipped 0.3 s``."""
    totals: dict[str, float] = {}
    for stretch in stretches:
        if stretch.reason:
            totals[stretch.reason] = totals.get(stretch.reason, 0.0) + stretch.duration_s
    return ", ".join(f"{reason} {seconds:.1f} s" for reason, seconds in totals.items()) or "nothing refused"


def read(
    recording: Recording, start_s: float, end_s: float, *, overlap_s: float = 0.0
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield a part of a recording as mono float32 windows of at most half a minute.

    Args:
        recording: Which.
        start_s: From where.
        end_s: To where.
        overlap_s: How much of each window is heard again in the next. Without overlap a last window of less than
            3 s is joined to the one before it.
    """
    rate = recording.sample_rate_hz
    start, end = round(start_s * rate), round(end_s * rate)
    size, back, least = round(WINDOW_S * rate), round(overlap_s * rate), round(LEAST_STRETCH_S * rate)
    try:
        with open_audio(recording.path) as audio:
            while start < end:
                stop = min(start + size, end)
                if not back and end - stop < least:
                    stop = end
                audio.seek(start)
                block = audio.read(stop - start, dtype="float32", always_2d=True)
                if not len(block):
                    return
                yield block.mean(axis=1)
                if stop >= end:
                    return
                start = stop - back
    except AudioError as error:
        raise InputError(error.message, file=recording.path, remedy=error.remedy) from error
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"the recording cannot be read: {error}", file=recording.path) from error


def _open(path: Path) -> Recording:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with open_audio(path) as info:
            frames, rate, channels = info.frames, info.samplerate, info.channels
    except (AudioError, OSError, soundfile.SoundFileError, ValueError) as error:
        raise InputError(
            f"the recording cannot be read: {getattr(error, 'message', None) or getattr(error, 'strerror', None) or error}",
            file=path,
            remedy="Is it audio? WAV and FLAC always work",
        ) from error
    if frames <= 0 or rate < 4000:
        raise InputError("the recording is empty, or sampled at less than 4 kHz", file=path, value=f"{rate} Hz")
    return Recording(
        path=path,
        sha256=digest,
        sample_rate_hz=rate,
        channels=channels,
        duration_s=frames / rate,
    )


def _survey(path: Path, index: int, voices: Voices) -> tuple[Recording, list[Stretch], npt.NDArray[np.float64], float]:
    """Read a recording once and divide it into usable and refused stretches; seconds of speech that are used come last."""
    recording = _open(path)
    rate = recording.sample_rate_hz
    cells = max(1, int(recording.duration_s / CELL_S))
    flags = {reason: np.zeros(cells, dtype=bool) for reason in ("speech", "clipped", "silent")}
    power = np.zeros(cells)
    begin = 0.0
    for samples in read(recording, 0.0, recording.duration_s, overlap_s=OVERLAP_S):
        if not np.isfinite(samples).all():
            raise InputError("the recording holds samples that are not numbers", file=path, remedy="Export it again")
        first = round(begin / CELL_S)
        size = round(CELL_S * rate)
        whole = min(samples.size // size, cells - first)
        grid = np.abs(samples[: whole * size]).reshape(whole, size)
        here = slice(first, first + whole)
        power[here] = np.mean(grid.astype(np.float64) ** 2, axis=1)
        flags["clipped"][here] |= np.count_nonzero(grid >= FULL_SCALE, axis=1) >= 2
        flags["silent"][here] |= grid.max(axis=1, initial=0.0) < SILENT
        voice = np.flatnonzero(speech_mask(samples, rate)) * HOP_S + begin
        flags["speech"][np.minimum((voice / CELL_S).astype(np.int64), cells - 1)] = True
        begin += samples.size / rate - OVERLAP_S
    spoken_s = 0.0
    if voices != "refuse":
        spoken_s = float(np.count_nonzero(flags["speech"]) * CELL_S)
        flags["speech"][:] = False
    margin = round(SPEECH_MARGIN_S / CELL_S)
    flags["speech"] = binary_dilation(flags["speech"], structure=np.ones(2 * margin + 1, dtype=bool))
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    return recording, _divide(flags, cells, index, recording.duration_s), levels, spoken_s


def _divide(flags: dict[str, npt.NDArray[np.bool_]], cells: int, index: int, duration_s: float) -> list[Stretch]:
    names: tuple[Reason, ...] = ("speech", "clipped", "silent")
    kind = np.zeros(cells, dtype=np.int64)
    for number, name in reversed(list(enumerate(names, start=1))):
        kind[flags[name]] = number
    stretches = []
    for number in range(len(names) + 1):
        marks, count = label(kind == number)
        for place in find_objects(marks, count):
            start = place[0].start * CELL_S
            end = duration_s if place[0].stop == cells else place[0].stop * CELL_S
            reason: Reason | Literal[""] = names[number - 1] if number else ""
            if not reason and end - start < LEAST_STRETCH_S:
                reason = "short"
            stretches.append(Stretch(recording=index, start_s=start, end_s=end, reason=reason))
    return sorted(stretches, key=lambda s: s.start_s)
