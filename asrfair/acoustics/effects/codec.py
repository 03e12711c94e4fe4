"""``codec``: encode and decode in memory, with the encoders that libsndfile carries.

Those of mobile telephones and headsets are in ``telephone_codecs``.
Delay is taken out, so that speech stays where it was. An Ogg stream carries a random serial number: the encoded bytes
differ from call to call, the decoded samples do not.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pydantic
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
from asrfair.acoustics.effects.parameters import Choice, Number, Range, Text, bounds, number, one_of, text, within
from asrfair.acoustics.effects.telephone_codecs import TELEPHONE_CODECS, import_av, telephone
from asrfair.acoustics.level import fit_length

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MP3_DELAY = 1105
"""Samples that an MP3 gains where the stream has no room for LAME's tag: 576 by the encoder, 529 by the decoder."""

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Codec:
    container: str = ""
    subtype: str = ""
    default_rate_hz: int = 8000
    rates_hz: tuple[int, ...] = ()
    bitrate_kbps: float | None = None
    quality: float | None = None


CODECS: dict[str, _Codec] = {
    "mulaw": _Codec(container="WAV", subtype="ULAW"),
    "alaw": _Codec(container="WAV", subtype="ALAW"),
    "gsm": _Codec(container="WAV", subtype="GSM610", rates_hz=(8000,)),
    "g721": _Codec(container="AU", subtype="G721_32"),
    "opus": _Codec(
        container="OGG",
        subtype="OPUS",
        default_rate_hz=16000,
        rates_hz=(8000, 12000, 16000, 24000, 48000),
        bitrate_kbps=24.0,
    ),
    "mp3": _Codec(
        container="MP3", subtype="MPEG_LAYER_III", default_rate_hz=16000, rates_hz=_MP3_RATES, bitrate_kbps=32.0
    ),
    "vorbis": _Codec(container="OGG", subtype="VORBIS", default_rate_hz=16000, quality=3.0),
    **{
        name: _Codec(default_rate_hz=codec.rate_hz, rates_hz=(codec.rate_hz,), bitrate_kbps=codec.bitrate_kbps)
        for name, codec in TELEPHONE_CODECS.items()
    },
}
"""Name → container, encoder and the settings that it understands."""


COMPANDED = {"mulaw": 0x7FFF / 4, "alaw": 0x7FFF / 16}
"""Logarithmic codecs, sample by sample, and the steps of magnitude that libsndfile's coder tells apart."""

COMPANDED_FROM = 10_000
"""A table is worth while from so many samples on; it is itself made by libsndfile's coder, with fewer."""


class CodecParams(EffectParams):
    """Which codec, and how hard it compresses.

    ``sample_rate_hz`` is the rate at which it codes (8 kHz for telephony, 16 kHz for the others, unless given);
    ``bitrate_kbps`` is for opus, mp3 and amr-nb (one of its eight modes), ``quality`` (0 worst to 10 best) for vorbis.
    """

    codec: Annotated[Text, one_of(*CODECS)]
    sample_rate_hz: Annotated[Number, within(8000, 48_000)] | None = None
    bitrate_kbps: Annotated[Number, within(4, 320)] | None = None
    quality: Annotated[Number, within(0, 10)] | None = None

    @pydantic.model_validator(mode="after")
    def _understood(self) -> CodecParams:
        names = self.codec.values if isinstance(self.codec, Choice) else (self.codec,)
        if isinstance(self.sample_rate_hz, Range):
            raise ValueError("sample_rate_hz is a number or a list of numbers, not a range")  # noqa: TRY004 -- pydantic
        rates = _possible(self.sample_rate_hz)
        for name in names:
            codec = CODECS[str(name)]
            if self.bitrate_kbps is not None and codec.bitrate_kbps is None:
                raise ValueError(f"codec {name!r} has no bitrate_kbps to set")
            if self.quality is not None and codec.quality is None:
                raise ValueError(f"codec {name!r} has no quality to set")
            for rate in rates or (codec.default_rate_hz,):
                if rate != int(rate) or (codec.rates_hz and int(rate) not in codec.rates_hz):
                    allowed = ", ".join(str(r) for r in codec.rates_hz)
                    raise ValueError(f"codec {name!r} works at sample_rate_hz {allowed or 'in whole Hz'}")
                if self.bitrate_kbps is not None and str(name) in TELEPHONE_CODECS:
                    modes = TELEPHONE_CODECS[str(name)].bitrates_kbps
                    if isinstance(self.bitrate_kbps, Range) or not set(_possible(self.bitrate_kbps)) <= set(modes):
                        raise ValueError(f"codec {name!r} has bitrate_kbps {', '.join(f'{m:g}' for m in modes)}")
                elif self.bitrate_kbps is not None:
                    low, high = _bitrates(str(name), int(rate))
                    if not (low <= bounds(self.bitrate_kbps)[0] and bounds(self.bitrate_kbps)[1] <= high):
                        raise ValueError(f"codec {name!r} at {rate:g} Hz has {low:g} to {high:g} kbit/s")
        return self


def _possible(value: float | Choice | None) -> tuple[float, ...]:
    if value is None:
        return ()
    return tuple(float(v) for v in value.values) if isinstance(value, Choice) else (float(value),)


def _bitrates(name: str, rate_hz: int) -> tuple[float, float]:
    """Return the lowest and highest bitrate in kbit/s. MP3's follow from the MPEG version, which follows the rate."""
    if name == "opus":
        return 6.0, 256.0
    if rate_hz >= 32_000:
        return 32.0, 320.0
    return (8.0, 160.0) if rate_hz >= 16_000 else (8.0, 64.0)


def _settings(name: str, rate_hz: int, bitrate_kbps: float | None, quality: float | None) -> Mapping[str, Any]:
    codec = CODECS[name]
    if codec.quality is not None:
        return {"compression_level": 1 - (codec.quality if quality is None else quality) / 10}
    if codec.bitrate_kbps is None:
        return {}
    wanted = codec.bitrate_kbps if bitrate_kbps is None else bitrate_kbps
    low, high = _bitrates(name, rate_hz)
    # libsndfile maps its compression level linearly onto the bitrates; LAME refuses the very end.
    level = min(max((high - wanted) / (high - low), 0.0), 1.0)
    if name == "mp3":
        return {"compression_level": min(level, 0.999), "bitrate_mode": "CONSTANT"}
    return {"compression_level": level}


def _compand(samples: Samples, name: str) -> tuple[Samples, int]:
    """Do what libsndfile's coder and decoder do to each sample, from a table of their results: the same, faster."""
    table, header = companding(name)
    steps = np.rint(samples * COMPANDED[name]).astype(np.int32)
    # Zero stands twice in the table: A-law has none, and what rounds to nothing keeps its sign.
    steps += table.size // 2
    steps -= samples < 0
    return table.take(steps, mode="clip"), samples.size + header


@lru_cache(maxsize=2)
def companding(name: str) -> tuple[Samples, int]:
    """Return what every step from the most negative to the most positive decodes to, zero twice, and a header's bytes."""
    values = np.arange(round(COMPANDED[name]) + 1) / COMPANDED[name]
    decoded, size = transcode(values, CODECS[name].default_rate_hz, name)
    return np.concatenate([-decoded[::-1], decoded]), size - values.size


def transcode(
    samples: Samples,
    sample_rate_hz: int,
    name: str,
    *,
    bitrate_kbps: float | None = None,
    quality: float | None = None,
) -> tuple[Samples, int]:
    """Encode and decode at the rate of the samples.

    Args:
        samples: Mono within ±1, shape (samples,).
        sample_rate_hz: One that the codec works at.
        name: One of ``CODECS``.
        bitrate_kbps: For opus, mp3 and amr-nb.
        quality: For vorbis.

    Returns:
        The decoded samples, same length and alignment, and the number of encoded bytes (container included).
    """
    if name in COMPANDED and samples.size > COMPANDED_FROM:
        return _compand(samples, name)
    if name in TELEPHONE_CODECS:
        return telephone(samples, name, bitrate_kbps)
    codec = CODECS[name]
    with io.BytesIO() as buffer:
        soundfile.write(
            buffer,
            np.clip(samples, -1.0, 1.0),
            sample_rate_hz,
            format=codec.container,
            subtype=codec.subtype,
            **_settings(name, sample_rate_hz, bitrate_kbps, quality),
        )
        size = buffer.tell()
        buffer.seek(0)
        decoded, _ = soundfile.read(buffer, dtype="float64")
    if name == "mp3" and decoded.size > samples.size:
        decoded = decoded[MP3_DELAY:]
    return fit_length(np.asarray(decoded, dtype=np.float64), samples.size), size


class CodecEffect(Effect):
    """Through a codec and back, at the codec's own sample rate."""

    params: ClassVar[type[EffectParams]] = CodecParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored", full_scale=True)

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:  # noqa: ARG002 -- reads no file
        """Record PyAV's version where it codes: another one may give other bytes.

        Raises:
            MissingExtraError: It is needed and not installed.
        """
        assert isinstance(params, CodecParams)
        names = params.codec.values if isinstance(params.codec, Choice) else (params.codec,)
        if any(str(name) in TELEPHONE_CODECS and TELEPHONE_CODECS[str(name)].encoder for name in names):
            return Inspection(files={"av": import_av().__version__})
        return Inspection()

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,  # noqa: ARG002 -- nothing else is needed
    ) -> tuple[Samples, Achieved]:
        """Encode and decode; see ``Effect.apply``."""
        name = text(params.codec)
        rate = CODECS[name].default_rate_hz if params.sample_rate_hz is None else int(number(params.sample_rate_hz))
        narrow = samples if rate == sample_rate_hz else soxr.resample(samples, sample_rate_hz, rate, quality="HQ")
        decoded, size = transcode(
            narrow,
            rate,
            name,
            bitrate_kbps=None if params.bitrate_kbps is None else number(params.bitrate_kbps),
            quality=None if params.quality is None else number(params.quality),
        )
        wide = decoded if rate == sample_rate_hz else soxr.resample(decoded, rate, sample_rate_hz, quality="HQ")
        seconds = samples.size / sample_rate_hz
        return fit_length(np.asarray(wide, dtype=np.float64), samples.size), {
            "codec": name,
            "codec_rate_hz": float(rate),
            "bitrate_kbps": size * 8 / 1000 / seconds if seconds else 0.0,
        }
