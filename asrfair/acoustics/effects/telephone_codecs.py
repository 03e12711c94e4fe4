"""Codecs of mobile telephones and Bluetooth headsets, and of trunk lines: those that FFmpeg's libraries carry.

Through PyAV (the extra ``codecs``), whose wheels hold FFmpeg: AMR narrow-band (3GPP TS 26.071), G.722 wide-band voice
over IP, and mSBC (the wide-band codec of Bluetooth's hands-free profile). Their delay is measured once with a
chirp and taken out. CVSD, the narrow-band codec of Bluetooth headsets, is short enough to be written out here.

What is not to be had: AMR-WB can be decoded but not encoded by these wheels; EVS, LC3 and Speex are not in them; and
Opus's in-band error correction cannot be used, since FFmpeg's decoder does not ask libopus for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from asrfair.acoustics.effects.base import Samples
from asrfair.acoustics.filters import lag_samples
from asrfair.acoustics.level import fit_length
from asrfair.errors import EnvironmentFailedError, MissingExtraError

AMR_KBPS = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)
"""The eight modes of AMR narrow-band."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TelephoneCodec:
    """One codec.

    Args:
        encoder: FFmpeg's name of the encoder; empty for one that is written out here.
        decoder: FFmpeg's name of the decoder.
        rate_hz: At which it codes.
        sample_format: In which the encoder takes samples.
        bitrate_kbps: Unless given; ``None`` where it is fixed.
        bitrates_kbps: All that it has.
        options: Further options of the encoder.
    """

    encoder: str
    decoder: str
    rate_hz: int
    sample_format: str = "s16"
    bitrate_kbps: float | None = None
    bitrates_kbps: tuple[float, ...] = ()
    options: dict[str, str] = field(default_factory=dict)


TELEPHONE_CODECS: dict[str, TelephoneCodec] = {
    "amr-nb": TelephoneCodec(
        encoder="libopencore_amrnb", decoder="amrnb", rate_hz=8000, bitrate_kbps=12.2, bitrates_kbps=AMR_KBPS
    ),
    "g722": TelephoneCodec(encoder="g722", decoder="g722", rate_hz=16_000),
    "msbc": TelephoneCodec(encoder="sbc", decoder="sbc", rate_hz=16_000, sample_format="s16p", options={"msbc": "1"}),
    "cvsd": TelephoneCodec(encoder="", decoder="", rate_hz=8000),
}
"""Name → what it is."""


def telephone(samples: Samples, name: str, bitrate_kbps: float | None) -> tuple[Samples, int]:
    """Encode and decode at the codec's own rate, its delay taken out.

    Args:
        samples: Mono within ±1 at the codec's rate, shape (samples,).
        name: One of ``TELEPHONE_CODECS``.
        bitrate_kbps: One of those that it has; ``None`` for its usual one.

    Returns:
        The decoded samples, same length, and the number of encoded bytes that fall to them.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    codec = TELEPHONE_CODECS[name]
    rate = codec.bitrate_kbps if bitrate_kbps is None else bitrate_kbps
    delay = _delay(name, rate)
    padded = np.concatenate([samples, np.zeros(delay + round(0.06 * codec.rate_hz))])
    decoded, size = _through(padded, name, rate)
    return fit_length(decoded[delay:], samples.size), round(size * samples.size / padded.size)


@lru_cache(maxsize=32)
def _delay(name: str, bitrate_kbps: float | None) -> int:
    """Return a codec's delay in samples, measured with speech-like noise bursts."""
    rate = TELEPHONE_CODECS[name].rate_hz
    rng = np.random.default_rng(1)
    time = np.arange(rate) / rate
    sweep = np.sin(2 * np.pi * (300 * time + 600 * time**2)) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * time))
    probe = 0.3 * sweep + 0.01 * rng.standard_normal(rate)
    decoded, _ = _through(np.concatenate([probe, np.zeros(rate // 4)]), name, bitrate_kbps)
    return max(0, lag_samples(probe, decoded[: probe.size], limit=rate // 10))


def _through(samples: Samples, name: str, bitrate_kbps: float | None) -> tuple[Samples, int]:
    codec = TELEPHONE_CODECS[name]
    return cvsd(samples) if not codec.encoder else _ffmpeg(samples, codec, bitrate_kbps)


def _ffmpeg(samples: Samples, codec: TelephoneCodec, bitrate_kbps: float | None) -> tuple[Samples, int]:
    av = import_av()
    encoder: Any = av.CodecContext.create(codec.encoder, "w")
    encoder.sample_rate, encoder.layout, encoder.format = codec.rate_hz, "mono", codec.sample_format
    if bitrate_kbps is not None:
        encoder.bit_rate = round(bitrate_kbps * 1000)
    if codec.options:
        encoder.options = dict(codec.options)
    encoder.open()
    decoder: Any = av.CodecContext.create(codec.decoder, "r")
    decoder.sample_rate, decoder.layout = codec.rate_hz, "mono"
    whole = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    step = encoder.frame_size or round(0.02 * codec.rate_hz)
    whole = np.concatenate([whole, np.zeros(-whole.size % step, dtype=np.int16)])
    size, pieces = 0, []
    for start in range(0, whole.size + step, step):
        frame = None
        if start < whole.size:
            part = np.ascontiguousarray(whole[start : start + step][None, :])
            frame = av.AudioFrame.from_ndarray(part, format=codec.sample_format, layout="mono")
            frame.sample_rate, frame.pts = codec.rate_hz, start
        for packet in encoder.encode(frame):
            size += packet.size
            pieces += [_floats(piece) for piece in decoder.decode(packet)]
    pieces += [_floats(piece) for piece in decoder.decode(None)]
    if not pieces:
        raise EnvironmentFailedError(
            f"the codec {codec.encoder!r} gave nothing back", remedy="Install another version of PyAV"
        )
    return np.concatenate(pieces), size


def _floats(frame: Any) -> Samples:
    values = frame.to_ndarray().reshape(-1)
    scale = 32768.0 if values.dtype.kind == "i" else 1.0
    return np.asarray(values / scale, dtype=np.float64)


def import_av() -> Any:
    """Import PyAV.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import av
        import av.codec
    except ImportError as error:
        raise MissingExtraError(
            extra="codecs", package="av", needed_for="The codec of a telephone or headset"
        ) from error
    return av


def cvsd(samples: Samples) -> tuple[Samples, int]:
    """Code by continuously variable slope delta modulation at 64 kbit/s, as Bluetooth headsets do.

    One bit a sample at 64 kHz says whether the signal lies above the decoder's estimate; the step grows while the last
    four bits agree and decays else (Bluetooth Core Specification, volume 2, part B, section 9.2: J = 4, K = 4, steps
    10 to 1280 of 32768, decay 1 − 1/1024, accumulator's decay 1 − 1/32).

    Args:
        samples: At 8 kHz within ±1, shape (samples,).
    """
    import soxr

    fast = soxr.resample(samples, 8000, 64_000, quality="HQ") * 32768
    least, most, decay, leak = 10.0, 1280.0, 1 - 1 / 1024, 1 - 1 / 32
    estimate, step, run, last = 0.0, least, 0, True
    out = np.empty(fast.size)
    for index, value in enumerate(fast.tolist()):
        up = value >= estimate
        run = run + 1 if up == last else 1
        last = up
        step = min(step + least, most) if run >= 4 else max(step * decay, least)
        estimate = leak * estimate + (step if up else -step)
        estimate = min(max(estimate, -32768.0), 32767.0)
        out[index] = estimate
    return np.asarray(soxr.resample(out / 32768, 64_000, 8000, quality="HQ"), dtype=np.float64), fast.size // 8
