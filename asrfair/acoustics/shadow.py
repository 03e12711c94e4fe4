"""What a front end did to speech and to noise apart: its gain, read from the mixture, put on each alone.

A noise suppressor or canceller is a black box that multiplies the mixture's short-time spectrum by something between 0
and 1, where its input and output tell by what. That gain on the speech alone and on the noise alone ("shadow
filtering", as suppressors are usually judged) is how much of each went through.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from asrfair.acoustics.envelope import resynthesis, spectrogram
from asrfair.acoustics.level import active_level, decibels, mean_power

if TYPE_CHECKING:
    import numpy.typing as npt

    from asrfair.acoustics.effects.base import Achieved, Samples

MOST_GAIN = 10.0
"""A gain beyond this is a division by next to nothing."""


def shadow(speech: Samples, before: Samples, after: Samples, sample_rate_hz: int) -> Samples:
    """Return what became of the speech inside a mixture.

    Args:
        speech: The speech alone, before, shape (samples,).
        before: The mixture that the front end got, shape (samples,).
        after: What it made of it, without delay, shape (samples,).
        sample_rate_hz: Of all.
    """
    scale = float(np.max(np.abs(before), initial=0.0))
    if scale == 0 or not (np.all(np.isfinite(before)) and np.all(np.isfinite(after))):
        return after
    given, made = (spectrogram(part / scale, sample_rate_hz) for part in (before, after))
    power = np.abs(given) ** 2
    # By magnitudes: a delay of a few samples would turn the sign of what is high.
    gain: npt.NDArray[np.float64] = np.minimum(np.abs(made) / np.sqrt(power + 1e-12), MOST_GAIN)
    return resynthesis(spectrogram(speech, sample_rate_hz) * gain, speech.size, sample_rate_hz)


def suppression(
    speech: Samples, before: Samples, after: Samples, speech_after: Samples, sample_rate_hz: int
) -> Achieved:
    """Return by how much a front end lowered the speech (active level by P.56) and the noise.

    Where nothing but the recording was there, its noise is the softest tenth of its 20 ms frames.

    Returns:
        ``speech_suppression_db`` and ``noise_suppression_db``, each left out where there is nothing to measure.
    """
    achieved: Achieved = {}
    levels = active_level(speech, sample_rate_hz), active_level(speech_after, sample_rate_hz)
    if levels[0] is not None and levels[1] is not None:
        achieved["speech_suppression_db"] = levels[0].level_dbfs - levels[1].level_dbfs
    if before is speech:
        powers = _floor(before, sample_rate_hz), _floor(after, sample_rate_hz)
    else:
        noise = before - speech
        powers = mean_power(noise), mean_power(shadow(noise, before, after, sample_rate_hz))
    if min(powers) > 0 and math.isfinite(max(powers)):
        achieved["noise_suppression_db"] = decibels(powers[0]) - decibels(powers[1])
    return achieved


def _floor(samples: Samples, sample_rate_hz: int) -> float:
    frame = max(1, round(0.02 * sample_rate_hz))
    frames = samples[: samples.size // frame * frame].reshape(-1, frame)
    if len(frames) < 10:
        return 0.0
    powers = np.sort(np.einsum("ij,ij->i", frames, frames) / frame)
    # Softer than 16 bits resolve is silence: how far below does not matter.
    return max(float(powers[len(powers) // 10]), 1e-10)
