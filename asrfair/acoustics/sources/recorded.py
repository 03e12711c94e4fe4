"""Recorded noise: a file or a folder of files, of any length, rate and number of channels, read a window at a time.

What lies below 20 Hz is taken out before anything is measured or mixed (``weighting`` says why), and a recording that
holds much of it, or an offset, or that is clipped or was cut off, is warned of.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic
import soundfile
import soxr

from asrfair.acoustics.effects.base import Achieved, Inspection, Samples
from asrfair.acoustics.effects.parameters import Choice, Text, text
from asrfair.acoustics.level import SILENCE_DBFS, decibels, fit_length, mean_power
from asrfair.acoustics.room.speech_detection import speech_share
from asrfair.acoustics.sources.base import Request, Source, SourceParams
from asrfair.acoustics.weighting import HighPass
from asrfair.errors import AsrfairError, InputError

if TYPE_CHECKING:
    from pathlib import Path


SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".rf64", ".caf"})
CROSSFADE_S = 0.05
LEAST_S = 0.1
"""A shorter recording is no noise: looped, it would be a buzz."""

SETTLE_S = 0.2
"""Read before a window, so that the high-pass has settled when the window begins."""

RUMBLE_WARNS_DB = 1.0
OFFSET_WARNS_DB = -20.0
CLIPPED_WARNS = 1e-4
_FULL_SCALE = 0.999
_BINS = 256
_BLOCK_FRAMES = 1 << 18
_MAX_FILES = 10_000
_SPEECH_WARNS = 0.05
_SPEECH_REFUSES = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseFile:
    """What is known about a recording of noise after reading it once, block by block.

    Args:
        path: Absolute.
        sha256: Of the file's bytes.
        frames: Length.
        sample_rate_hz: As recorded.
        channels: How many.
        powers: Mean square of each channel, then of their mean, above 20 Hz.
        rumble_db: How much louder their mean is with what lies below 20 Hz, an offset included.
        offset: Mean of the samples, relative to full scale.
        clipped_share: Share of the samples that stand in a row at full scale.
        silent_share: Share of whole seconds that are digitally silent.
        speech_share: Share of the looked-at stretches that sound like speech.
        below: Of each channel, then of their mean, the share of the power below each step from 0 to half the rate.
    """

    path: Path
    sha256: str
    frames: int
    sample_rate_hz: int
    channels: int
    powers: tuple[float, ...]
    rumble_db: float
    offset: float
    clipped_share: float
    silent_share: float
    speech_share: float
    below: tuple[tuple[float, ...], ...]

    def power(self, channel: int, sample_rate_hz: int) -> float:
        """Return the mean square of a channel (the last is their mean) in the band that a sampling rate has."""
        if sample_rate_hz >= self.sample_rate_hz:
            return self.powers[channel]
        steps = np.linspace(0, self.sample_rate_hz / 2, len(self.below[channel]))
        return self.powers[channel] * max(float(np.interp(sample_rate_hz / 2, steps, self.below[channel])), 1e-6)


class RecordedParams(SourceParams):
    """A recording or a folder of recordings.

    ``file`` is a path, a list of paths or a folder, relative to the profile; one recording is drawn for every
    utterance.
    ``channel`` is a number from 0, ``"mean"`` or ``"random"``. ``speech`` says what to do with a recording in which
    people talk: ``"refuse"`` (the default: where most of it is speech; a warning where some of it is), or
    ``"allow"``.
    """

    file: Text
    channel: int | str = "mean"
    speech: str = "refuse"

    @pydantic.field_validator("channel", mode="before")
    @classmethod
    def _channel(cls, value: object) -> object:
        if isinstance(value, bool) or not (
            value in {"mean", "random"} or (isinstance(value, int) and 0 <= value < 1024)
        ):
            raise ValueError('a channel is a number from 0, "mean" or "random"')
        return value

    @pydantic.field_validator("speech")
    @classmethod
    def _speech(cls, value: str) -> str:
        if value not in {"refuse", "allow"}:
            raise ValueError('speech is "refuse" or "allow"')
        return value


class Recorded(Source):
    """A window of a recording at a random place; a recording that is too short is looped with a cross-fade."""

    params = RecordedParams

    def inspect(self, params: Any, folder: Path) -> Inspection:
        """Read every recording once: hash, level, silence, speech.

        Raises:
            InputError: One is missing, no audio, silent, or (mostly) speech.
        """
        names = params.file.values if isinstance(params.file, Choice) else (params.file,)
        choices: dict[str, list[NoiseFile]] = {}
        warnings: list[str] = []
        for name in names:
            choices[str(name)] = [_examine(path) for path in _audio_files(folder, str(name))]
        for found in (f for files in choices.values() for f in files):
            warnings += _judge(found, params)
        files = {str(f.path): f.sha256 for group in choices.values() for f in group}
        return Inspection(files=files, warnings=tuple(warnings), facts={"choices": choices})

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the window. Achieved: ``name``, ``sha256``, ``offset_s``, ``channel``, ``loops``."""
        files: list[NoiseFile] = request.facts["choices"][text(params.file)]
        found = files[int(request.generator("file").integers(len(files)))]
        channel: int | str = params.channel
        if channel == "random":
            channel = int(request.generator("channel").integers(found.channels))
        wanted = int(np.ceil(request.size * found.sample_rate_hz / request.sample_rate_hz)) + 1
        achieved: Achieved = {"name": found.path.name, "sha256": found.sha256, "channel": str(channel)}
        rng = request.generator("offset")
        if found.frames >= wanted:
            offset = int(rng.integers(found.frames - wanted + 1))
            window = _heard(found, offset, wanted, channel)
        else:
            offset = int(rng.integers(found.frames))
            whole = _heard(found, 0, found.frames, channel)
            window, loops = _loop(whole, offset, wanted, round(CROSSFADE_S * found.sample_rate_hz))
            achieved["loops"] = float(loops)
        achieved["offset_s"] = offset / found.sample_rate_hz
        if found.sample_rate_hz != request.sample_rate_hz:
            window = soxr.resample(window, found.sample_rate_hz, request.sample_rate_hz, quality="HQ")
        power = found.power(channel if isinstance(channel, int) else found.channels, request.sample_rate_hz)
        noise = fit_length(window, request.size)
        noise *= 1 / np.sqrt(power)
        return noise, achieved


def _audio_files(folder: Path, name: str) -> list[Path]:
    if "\0" in name:
        raise InputError("not a usable path", value=name)
    path = folder / name
    try:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
            if not files:
                known = ", ".join(sorted(SUFFIXES))
                raise InputError("the folder holds no recording", file=path, remedy=f"Known: {known}")
            if len(files) > _MAX_FILES:
                raise InputError(f"more than {_MAX_FILES} recordings in the folder", file=path, remedy="Name fewer")
            return files
        if not path.is_file():
            remedy = "Paths are relative to the profile"
            raise InputError("there is no such noise recording", file=path, remedy=remedy)
    except OSError as error:
        raise InputError(f"the noise recording cannot be found: {error.strerror}", file=path) from error
    return [path]


def _judge(found: NoiseFile, params: RecordedParams) -> list[str]:
    channels = (
        [params.channel]
        if isinstance(params.channel, int)
        else range(found.channels)
        if params.channel == "random"
        else [found.channels]
    )
    if found.frames < LEAST_S * found.sample_rate_hz:
        raise InputError(
            f"the noise recording is only {1000 * found.frames / found.sample_rate_hz:.3g} ms long", file=found.path,
            remedy="Was it cut off? Record some seconds at least",
        )  # fmt: skip
    for channel in channels:
        if channel > found.channels or (isinstance(params.channel, int) and channel >= found.channels):
            raise InputError(
                f"the recording has {found.channels} channels", file=found.path, column="channel", value=params.channel,
                remedy="Channels count from 0",
            )  # fmt: skip
        if decibels(found.powers[channel]) < SILENCE_DBFS:
            raise InputError(
                "the noise recording is silent: it would be applied as nothing", file=found.path,
                remedy="Check the file and the channel",
            )  # fmt: skip
    warnings = []
    if abs(found.offset) > 0 and 20 * np.log10(abs(found.offset)) - decibels(found.powers[-1]) > OFFSET_WARNS_DB:
        warnings.append(
            f"{found.path.name} has an offset of {20 * np.log10(abs(found.offset)):.1f} dBFS (a fault of the "
            "recorder); it is taken out"
        )
    elif found.rumble_db > RUMBLE_WARNS_DB:
        warnings.append(
            f"{found.path.name} is {found.rumble_db:.1f} dB louder with what lies below 20 Hz than without; that is not "
            "heard, and taken out"
        )
    if found.clipped_share > CLIPPED_WARNS:
        warnings.append(f"{found.path.name} is clipped in {100 * found.clipped_share:.2g} % of its samples")
    if found.speech_share >= _SPEECH_REFUSES and params.speech == "refuse":
        raise InputError(
            f"the noise recording sounds like speech in {100 * found.speech_share:.0f} % of it: its words would be "
            "counted as errors",
            file=found.path,
            remedy='Cut the speech out (asrfair profile make), or write speech = "allow" if a talker is meant',
        )
    if found.speech_share >= _SPEECH_WARNS:
        warnings.append(f"{found.path.name} sounds like speech in {100 * found.speech_share:.0f} % of it")
    if found.silent_share >= 0.2:
        warnings.append(f"{found.path.name} is silent for {100 * found.silent_share:.0f} % of its length")
    if found.frames < found.sample_rate_hz:
        warnings.append(f"{found.path.name} is shorter than a second and will be looped")
    return warnings


def _examine(path: Path) -> NoiseFile:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"the noise recording cannot be read: {error.strerror}", file=path) from error
    return _examined(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _examined(path: Path, size: int, modified_ns: int) -> NoiseFile:  # noqa: ARG001 -- they key the cache
    """Read a recording block by block; memory does not grow with its length."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with soundfile.SoundFile(path) as audio:
            rate, channels, frames = audio.samplerate, audio.channels, audio.frames
            sums = np.zeros(channels + 1)
            total = silent = clipped = 0
            whole = offset = 0.0
            above = HighPass(rate)
            spectra = np.zeros((channels + 1, _BINS + 1))
            while True:
                block = audio.read(_BLOCK_FRAMES // rate * rate or rate, dtype="float32", always_2d=True)
                if not len(block):
                    break
                heard = above(block)
                sums[:channels] += np.einsum("ij,ij->j", heard, heard)
                together = heard.mean(axis=1)
                spectra += _spectra(np.column_stack([heard, together]))
                sums[channels] += mean_power(together) * together.size
                mean = block.mean(axis=1)
                whole += mean_power(mean) * mean.size
                offset += float(mean.sum(dtype=np.float64))
                high = np.abs(block) >= _FULL_SCALE
                clipped += int(np.count_nonzero(high[1:] & high[:-1]))
                total += len(block)
                loud = np.abs(mean[: len(mean) // rate * rate]).reshape(-1, rate).max(axis=1, initial=0.0)
                silent += int(np.count_nonzero(loud < 10 ** (SILENCE_DBFS / 20)))
    except (OSError, soundfile.SoundFileError, ValueError) as error:
        raise InputError(f"the noise recording cannot be read: {error}", file=path, remedy="Is it audio?") from error
    frames = min(frames, total) if frames > 0 else total
    if total == 0 or not np.all(np.isfinite(sums)):
        raise InputError("the noise recording holds no (finite) samples", file=path)
    powers = tuple(float(s) / total for s in sums)
    rumble_db = decibels(whole / total) - decibels(powers[-1]) if powers[-1] > 0 and whole > 0 else 0.0
    found = NoiseFile(
        path=path,
        sha256=digest,
        frames=frames,
        sample_rate_hz=rate,
        channels=channels,
        powers=powers,
        rumble_db=rumble_db,
        offset=offset / total,
        clipped_share=clipped / (total * channels),
        silent_share=silent / max(1, total // rate),
        speech_share=0.0,
        below=tuple(
            tuple(row)
            for row in (np.cumsum(spectra, axis=1) / np.maximum(spectra.sum(axis=1, keepdims=True), 1e-300)).tolist()
        ),
    )
    if decibels(powers[-1]) < SILENCE_DBFS:
        return found
    return NoiseFile(**{**{k: getattr(found, k) for k in found.__slots__}, "speech_share": _speech_in(found)})


def _spectra(block: Samples) -> Samples:
    """Return the summed power spectra of a block's channels, shape (channels, bins)."""
    size = 2 * _BINS
    if len(block) < size:
        block = np.pad(block, ((0, size - len(block)), (0, 0)))
    frames = block[: len(block) // size * size].reshape(-1, size, block.shape[1])
    taper = np.hanning(size)[None, :, None]
    return np.asarray((np.abs(np.fft.rfft(frames * taper, axis=1)) ** 2).sum(axis=0).T, dtype=np.float64)


def _speech_in(found: NoiseFile) -> float:
    """Look at up to 40 stretches of 4 s, evenly spaced."""
    stretch = 4 * found.sample_rate_hz
    count = max(1, min(40, found.frames // stretch))
    starts = np.linspace(0, max(0, found.frames - stretch), count).astype(int)
    shares = [
        speech_share(_read(found, int(start), min(stretch, found.frames), "mean"), found.sample_rate_hz)
        for start in starts
    ]
    return float(np.mean(shares))


def _read(found: NoiseFile, start: int, frames: int, channel: int | str) -> Samples:
    """Read a window as mono float64 and nothing else of the file."""
    try:
        with soundfile.SoundFile(found.path) as audio:
            audio.seek(start)
            block = audio.read(frames, dtype="float64", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise AsrfairError(f"the noise recording cannot be read any more: {error}", file=found.path) from error
    if block.shape[1] == 1:
        channel = 0
    return np.ascontiguousarray(block[:, channel]) if isinstance(channel, int) else block.mean(axis=1)


def _heard(found: NoiseFile, start: int, frames: int, channel: int | str) -> Samples:
    """Read a window without what lies below 20 Hz."""
    before = min(start, round(SETTLE_S * found.sample_rate_hz))
    return HighPass(found.sample_rate_hz)(_read(found, start - before, frames + before, channel))[before:]


def _loop(whole: Samples, offset: int, wanted: int, fade: int) -> tuple[Samples, int]:
    """Repeat a recording from an offset until it is long enough, each seam cross-faded at equal power.

    Returns:
        The window, shape (wanted,), and the number of seams in it.
    """
    fade = min(fade, whole.size // 3)
    if fade > 0:
        # Equal power: the tail and the head of noise are uncorrelated.
        angle = (np.arange(fade) + 0.5) / fade * np.pi / 2
        seam = whole[-fade:] * np.cos(angle) + whole[:fade] * np.sin(angle)
        period = np.concatenate([seam, whole[fade : whole.size - fade]])
    else:
        period = whole
    start = offset % period.size
    seams = (start + wanted - 1) // period.size
    index = (start + np.arange(wanted)) % period.size
    return period[index], int(seams)
