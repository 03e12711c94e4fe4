"""``impulse_response``: the recorded answer of a room, its direct path put where the speech already is."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import soundfile
import soxr

from asrfair.acoustics.effects.base import (
    Achieved,
    Effect,
    EffectContext,
    EffectParams,
    EffectTraits,
    Inspection,
    Samples,
)
from asrfair.acoustics.effects.parameters import Choice, Number, Text, bounds, number, text, within
from asrfair.acoustics.filters import convolve
from asrfair.acoustics.impulse import (
    WEAK_DIRECT_DB,
    NoDirectPathError,
    analyse,
    direct_to_reverberant_db,
    with_drr,
)
from asrfair.acoustics.level import mean_power
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECONDS = 30.0
MAX_CHANNELS = 64
INAUDIBLE_DB = -80.0


class ImpulseResponseParams(EffectParams):
    """``file`` is a recording of an impulse response (a list: one is chosen per utterance), ``channel`` counts from 0.

    ``drr_db`` rescales what follows the direct path, so that the direct-to-reverberant ratio is the one given: the knob
    for a severity, and the way to use a response whose own direct path is weak.
    """

    file: Text
    channel: Annotated[Number, within(0, MAX_CHANNELS - 1)] = 0.0
    drr_db: Annotated[Number, within(-20, 60)] | None = None


class ImpulseResponseEffect(Effect):
    """Convolution with a recorded impulse response; length and timing hold, the tail after the clip's end is cut."""

    params: ClassVar[type[EffectParams]] = ImpulseResponseParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored", linear=True)

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:
        """Hash the files and look for a direct path in every channel that may be used.

        Raises:
            InputError: A file is missing, cannot be read, lacks the channel, or has no direct path.
        """
        assert isinstance(params, ImpulseResponseParams)
        files: dict[str, str] = {}
        warnings: list[str] = []
        names = params.file.values if isinstance(params.file, Choice) else (params.file,)
        for name in names:
            path = folder / str(name)
            digest = file_hash(path)
            files[str(path)] = digest
            info_rate, channels = _shape(path)
            for channel in _channels(params.channel, channels, path):
                response = load_response(str(path), digest, channel, info_rate)
                try:
                    facts = analyse(response, info_rate)
                except NoDirectPathError as error:
                    raise InputError(
                        f"this impulse response has no direct path: {error}",
                        file=path,
                        column="channel",
                        value=channel,
                        remedy="Use another channel or recording; it must start with the sound that comes straight",
                    ) from error
                if params.drr_db is None and facts.drr_db < WEAK_DIRECT_DB:
                    warnings.append(
                        f"{path.name}, channel {channel}: the direct path is weak (direct-to-reverberant ratio "
                        f"{facts.drr_db:.1f} dB), so the loudest sound comes later than the speech did; "
                        "set drr_db if timing matters"
                    )
        return Inspection(files=files, warnings=tuple(warnings), facts={"files": files})

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- file and channel have been drawn
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Convolve; see ``Effect.apply``."""
        path = context.folder / text(params.file)
        channel = round(number(params.channel))
        digest = dict(context.facts.get("files", {})).get(str(path)) or file_hash(path)
        drr_db = None if params.drr_db is None else number(params.drr_db)
        response, direct, facts = prepared_response(str(path), digest, channel, sample_rate_hz, drr_db)
        achieved: Achieved = {"file": path.name, "file_sha256": digest, "channel": float(channel)}
        return reverberate(samples, response, direct), achieved | dict(facts)

    def elsewhere(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,
    ) -> Samples:
        """Put somebody else into the place: the same response, as no other was recorded; level kept."""
        return at_level_of(samples, self.apply(samples, sample_rate_hz, params, rng, context)[0])


def at_level_of(before: Samples, after: Samples) -> Samples:
    """Return sound after a room as loud as it was before."""
    was, now = mean_power(before), mean_power(after)
    return after * math.sqrt(was / now) if now > 0 else after


def reverberate(samples: Samples, response: Samples, direct: int) -> Samples:
    """Convolve, with the direct path at lag 0; same number of samples.

    Args:
        samples: Mono, shape (samples,).
        response: Impulse response, shape (response,).
        direct: Index of its direct path.
    """
    if samples.size == 0:
        return samples.copy()
    return convolve(samples, response)[direct : direct + samples.size]


@lru_cache(maxsize=32)
def prepared_response(
    path: str, digest: str, channel: int, sample_rate_hz: int, drr_db: float | None
) -> tuple[Samples, int, tuple[tuple[str, float], ...]]:
    """Load, resample, set the ratio and scale so that the direct path has gain 1; measured once a process."""
    response = load_response(path, digest, channel, sample_rate_hz)
    try:
        found = analyse(response, sample_rate_hz)
    except NoDirectPathError as error:
        raise InputError(f"this impulse response has no direct path: {error}", file=path, value=channel) from error
    if drr_db is not None:
        response = with_drr(response, sample_rate_hz, found.direct, drr_db)
    achieved = direct_to_reverberant_db(response, sample_rate_hz, found.direct)
    return trim(response) / abs(float(response[found.direct])), found.direct, facts_of(achieved, found.rt60_s)


def facts_of(drr_db: float, rt60_s: float) -> tuple[tuple[str, float], ...]:
    """Return what is recorded of a response; what could not be measured is left out."""
    facts = (("drr_db", drr_db), ("rt60_s", rt60_s))
    return tuple((name, value) for name, value in facts if math.isfinite(value))


def trim(response: Samples) -> Samples:
    """Cut off the end of a response whose remaining energy is 80 dB below the whole."""
    remaining = np.cumsum((response**2)[::-1])[::-1]
    audible = np.flatnonzero(remaining > remaining[0] * 10 ** (INAUDIBLE_DB / 10))
    return response[: int(audible[-1]) + 1] if audible.size else response


@lru_cache(maxsize=32)
def load_response(path: str, digest: str, channel: int, sample_rate_hz: int) -> Samples:  # noqa: ARG001 -- cache key
    """Read one channel of an impulse response at a sample rate; float64, shape (samples,)."""
    data, rate = soundfile.read(path, dtype="float64", always_2d=True)
    response = np.ascontiguousarray(data[:, channel])
    if rate != sample_rate_hz:
        response = np.asarray(soxr.resample(response, rate, sample_rate_hz, quality="VHQ"), dtype=np.float64)
    response.setflags(write=False)
    return response


def file_hash(path: Path) -> str:
    """Return the SHA-256 of an impulse response's file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(
            f"the impulse response cannot be read: {getattr(error, 'strerror', None) or error}",
            file=path,
            remedy="Paths in a profile start at the profile's own folder",
        ) from error


def _shape(path: Path) -> tuple[int, int]:
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise InputError(f"not an audio file that can be read: {error}", file=path, remedy="Save it as WAV") from error
    if info.frames / info.samplerate > MAX_SECONDS or info.channels > MAX_CHANNELS:
        raise InputError(
            f"an impulse response is at most {MAX_SECONDS:g} s long and has at most {MAX_CHANNELS} channels",
            file=path,
            value=f"{info.frames / info.samplerate:.1f} s, {info.channels} channels",
            remedy="Is it a recording of something else?",
        )
    return info.samplerate, info.channels


def _channels(wanted: Any, channels: int, path: Path) -> tuple[int, ...]:
    """Return the channels that may be drawn, all of which must exist and be whole numbers."""
    if isinstance(wanted, Choice):
        numbers = [float(v) for v in wanted.values]
    else:
        low, high = bounds(wanted)
        if low != high:
            raise InputError("channel is a number or a list of numbers, not a range", file=path, column="channel")
        numbers = [low]
    for value in numbers:
        if value != int(value) or value >= channels:
            raise InputError(
                f"the impulse response has {channels} channels, counted from 0",
                file=path,
                column="channel",
                value=f"{value:g}",
            )
    return tuple(int(v) for v in numbers)
