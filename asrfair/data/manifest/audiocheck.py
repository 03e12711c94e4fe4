"""Whether the audio of a manifest is there, can be read, and is as long as the table says."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asrfair.data.audio import AudioError, open_audio
from asrfair.data.stored.address import as_audio

if TYPE_CHECKING:
    from asrfair.data.manifest.model import Manifest
    from asrfair.data.manifest.notes import Notes, Severity

_TOLERANCE_S = 0.05
_PROBE_FRAMES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFacts:
    """What a file's header says; ``problem`` is empty where its last samples could be read too."""

    duration_s: float
    channels: int
    sample_rate_hz: int
    problem: str = ""


def _unusable(problem: str) -> AudioFacts:
    return AudioFacts(duration_s=0.0, channels=0, sample_rate_hz=0, problem=problem)


def probe(path: str) -> AudioFacts:
    """Open an audio file, read its last samples, and return its length and channels."""
    import soundfile

    audio = as_audio(path)
    if isinstance(audio, Path):
        if not audio.exists():
            return _unusable("the audio is not there")
        if not audio.is_file():
            return _unusable("the audio is not a file")
    try:
        with open_audio(audio) as file:
            frames, rate, channels = file.frames, file.samplerate, file.channels
            if frames > 0:
                file.seek(max(frames - _PROBE_FRAMES, 0))
                if not len(file.read(_PROBE_FRAMES, dtype="float32")):
                    return _unusable("the audio breaks off before its end")
    except AudioError as error:
        return _unusable(
            "the audio cannot be read: "
            + error.message.removeprefix("the audio file cannot be decoded: ").removeprefix(
                "the audio cannot be read: "
            )
        )
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")  # libsndfile's own words, without the path
        return _unusable(f"the audio cannot be read: {reason}")
    if frames <= 0 or rate <= 0:
        return AudioFacts(duration_s=0.0, channels=channels, sample_rate_hz=rate, problem="the audio is empty")
    return AudioFacts(duration_s=frames / rate, channels=channels, sample_rate_hz=rate)


def probe_all(paths: list[str]) -> dict[str, AudioFacts]:
    """Probe many files, several at a time."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(paths, pool.map(probe, paths), strict=True))


def check_audio(manifest: Manifest, notes: Notes) -> None:
    """Note audio that is missing, unreadable, empty, shorter than its segments or without the channel asked for."""
    table = manifest.table
    named = (table["audio"] != "").to_numpy()
    facts = probe_all(sorted(set(table["audio"][named])))
    start, end, duration = (table[name].to_numpy(float) for name in ("start_s", "end_s", "duration_s"))
    channel = table["channel"].to_numpy(float, na_value=np.nan)
    excluded = (table["exclude"] != "").to_numpy()
    audio: list[str] = table["audio"].tolist()
    severity: Severity
    for row in np.flatnonzero(named).tolist():
        fact = facts[audio[row]]
        severity = "warning" if excluded[row] else "error"
        if fact.problem:
            notes.add([row], "audio", fact.problem, "Check the path; it is relative to the table", severity=severity)
            continue
        stops = end[row] if not np.isnan(end[row]) else start[row]
        if stops > fact.duration_s + _TOLERANCE_S:
            notes.add(
                [row],
                "start_s" if np.isnan(end[row]) or start[row] > fact.duration_s else "end_s",
                f"the segment lies beyond the end of the audio, which has {fact.duration_s:.3f} s",
                "Correct the times, or the file",
                severity=severity,
            )
        if channel[row] >= fact.channels:
            notes.add(
                [row],
                "channel",
                f"the audio has {fact.channels} channel{'s' if fact.channels > 1 else ''}, counted from 0",
                "Correct the channel, or leave it empty for the mean of all",
                severity=severity,
            )
        whole = np.isnan(start[row]) and np.isnan(end[row])
        if whole and abs(duration[row] - fact.duration_s) > _TOLERANCE_S + 0.01 * fact.duration_s:
            notes.add(
                [row],
                "duration_s",
                f"the audio has {fact.duration_s:.3f} s",
                "Correct the duration, or the file",
                severity="warning",
            )
