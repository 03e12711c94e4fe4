"""What can be measured on one recording without knowing what was said: level, clipping, background, length, identity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asrfair.acoustics.level import active_level, decibels, rms_dbfs
from asrfair.data.audio import load_clip, open_audio
from asrfair.types import Utterance

RATE_HZ = 16_000
_FRAME = 512
_BANDS_HZ = (100, 200, 400, 800, 1600, 3200, 7000)
_FLAT_RUN = 3


@dataclass(frozen=True, kw_only=True)
class Measures:
    """One recording, measured.

    Attributes:
        duration_s: Its length.
        speech_s: How long somebody speaks.
        level_dbfs: Active speech level (ITU-T P.56); ``None`` where nothing is heard.
        clipped: Share of the samples that stand in flat tops at the recording's highest value.
        floor_db: Background in octave bands from 100 Hz, in dB: the level that a tenth of the time lies below.
        snr_db: How far the speech stands above the background.
        digest: Hash of the decoded samples: equal for copies under another name or in another format without loss.
        samples: The recording as recognisers get it, 16 kHz.
    """

    duration_s: float
    speech_s: float
    level_dbfs: float | None
    clipped: float
    floor_db: npt.NDArray[np.float64]
    snr_db: float
    digest: str
    samples: npt.NDArray[np.float32] = field(repr=False)


def measure(path: Path) -> Measures:
    """Measure one recording.

    Raises:
        AudioError: It cannot be decoded.
    """
    clip = load_clip(Utterance(utterance_id=path.name, speaker_id="", reference="", audio=path), RATE_HZ)
    samples = clip.samples
    found = active_level(samples, RATE_HZ)
    floor = background(samples)
    level = None if found is None else found.level_dbfs
    noise = decibels(float(np.sum(10 ** (floor / 10))))
    return Measures(
        duration_s=clip.duration_s,
        speech_s=0.0 if found is None else found.fraction * clip.duration_s,
        level_dbfs=level,
        clipped=_clipped(path),
        floor_db=floor,
        snr_db=0.0 if level is None else level - noise,
        digest=hashlib.sha256(np.round(samples * 32767).astype("<i2").tobytes()).hexdigest(),
        samples=samples,
    )


def background(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the background in octave bands, dB relative to full scale, shape (6,)."""
    if samples.size < 2 * _FRAME:
        return np.full(len(_BANDS_HZ) - 1, rms_dbfs(samples) if samples.any() else -120.0)
    window = np.hanning(_FRAME)
    starts = np.arange(0, samples.size - _FRAME, _FRAME // 2)
    frames = samples[starts[:, None] + np.arange(_FRAME)] * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 * 2 / (np.sum(window**2) * _FRAME)
    hertz = np.fft.rfftfreq(_FRAME, 1 / RATE_HZ)
    edges = np.searchsorted(hertz, _BANDS_HZ)
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    # Digital silence around the speech (gated or padded recordings) is no background.
    heard = bands[bands.sum(axis=1) > 1e-11]
    if not len(heard):
        return np.full(len(_BANDS_HZ) - 1, -120.0)
    floor: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(np.quantile(heard, 0.1, axis=0), 1e-12))
    return floor


def _clipped(path: Path) -> float:
    """Share of samples in runs of equal values at the file's peak; before resampling, which rounds flat tops off."""
    with open_audio(path) as file:
        samples = file.read(file.frames, dtype="float32", always_2d=True)
    worst = 0.0
    for channel in samples.T:
        size = np.abs(channel)
        peak = float(size.max(initial=0.0))
        if peak < 0.05:
            continue
        top = size >= peak * 0.998
        runs = np.convolve(top, np.ones(_FLAT_RUN), "valid") >= _FLAT_RUN
        worst = max(worst, float(np.count_nonzero(runs)) / len(channel))
    return worst
