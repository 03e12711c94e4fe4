"""Noise without pitch: white, pink, brown, any spectrum, and the spectrum of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pydantic

from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.sources.base import Request, Source, SourceParams
from asrfair.acoustics.sources.spectrum import LOWEST_HZ, Density, fluctuation, power_law, shaped_noise, table
from asrfair.errors import InputError

if TYPE_CHECKING:
    from asrfair.acoustics.effects.base import Achieved, Samples
    from asrfair.acoustics.speech_material import Corpus

INTERNATIONAL_LTASS: tuple[tuple[float, float], ...] = (
    (63, 38.6), (80, 43.5), (100, 54.4), (125, 57.7), (160, 56.8), (200, 60.2), (250, 60.3), (315, 59.0), (400, 62.1),
    (500, 62.1), (630, 60.5), (800, 56.8), (1000, 53.7), (1250, 53.0), (1600, 52.0), (2000, 48.7), (2500, 48.1),
    (3150, 46.8), (4000, 45.6), (5000, 44.5), (6300, 44.3), (8000, 43.7), (10000, 43.4), (12500, 41.3), (16000, 40.7),
)  # fmt: skip
"""Third-octave levels in dB SPL of speech at 70 dB, both sexes, 12 languages: Byrne et al. 1994, JASA 96, table II."""


class BandParams(SourceParams):
    """Parameters of white, pink and brown noise: the band in Hz, and slow changes of level."""

    low_hz: Annotated[Number, within(LOWEST_HZ, 24000)] = LOWEST_HZ
    high_hz: Annotated[Number, within(50, 96000)] = 96000.0
    fluctuation_db: Annotated[Number, within(0, 20)] = 0.0
    fluctuation_hz: Annotated[Number, within(0.01, 20)] = 0.5


class _Coloured(Source):
    params = BandParams
    exponent = 0.0

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        low, high = number(params.low_hz), number(params.high_hz)
        if low >= min(high, request.sample_rate_hz / 2):
            raise InputError(
                f"the band from {low:g} to {high:g} Hz is empty at {request.sample_rate_hz} Hz", remedy="Lower low_hz"
            )
        return _finish(
            shaped_noise(
                request.size, request.sample_rate_hz, power_law(self.exponent, low, high), request.generator("noise")
            ),
            request,
            params,
        ), {}


def _finish(noise: Samples, request: Request, params: Any) -> Samples:
    deviation = number(params.fluctuation_db)
    if deviation <= 0:
        return noise
    return noise * fluctuation(
        request.size, request.sample_rate_hz, number(params.fluctuation_hz), deviation, request.generator("fluctuation")
    )


class White(_Coloured):
    """Equal power a hertz."""


class Pink(_Coloured):
    """Equal power an octave."""

    exponent = 1.0


class Brown(_Coloured):
    """Falls by 6 dB an octave."""

    exponent = 2.0


class ShapedParams(SourceParams):
    """A spectrum as points ``[Hz, dB]`` of power density, joined over log frequency, and slow changes of level."""

    spectrum_db: tuple[tuple[float, float], ...] = pydantic.Field(min_length=2, max_length=200)
    fluctuation_db: Annotated[Number, within(0, 20)] = 0.0
    fluctuation_hz: Annotated[Number, within(0.01, 20)] = 0.5

    @pydantic.field_validator("spectrum_db")
    @classmethod
    def _sound(cls, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if any(not 1 <= hz <= 96000 or not -200 <= db <= 200 for hz, db in points):
            raise ValueError("each point is [frequency in Hz from 1 to 96000, level in dB from -200 to 200]")
        if len({hz for hz, _ in points}) != len(points):
            raise ValueError("two points have the same frequency")
        return points


class Shaped(Source):
    """Noise of any spectrum: a road, a ventilation outlet, what ``asrfair profile make`` has measured."""

    params = ShapedParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return noise with the spectrum."""
        noise = shaped_noise(
            request.size, request.sample_rate_hz, table(params.spectrum_db), request.generator("noise")
        )
        return _finish(noise, request, params), {}


class SpeechShapedParams(SourceParams):
    """``spectrum``: ``corpus`` (measured on the manifest's own speech) or ``international`` (Byrne et al. 1994)."""

    spectrum: Literal["corpus", "international"] = "corpus"
    fluctuation_db: Annotated[Number, within(0, 20)] = 0.0
    fluctuation_hz: Annotated[Number, within(0.01, 20)] = 0.5


class SpeechShaped(Source):
    """Stationary noise with the long-term spectrum of speech: the energetic part of a crowd, without the words."""

    params = SpeechShapedParams

    def check_corpus(self, params: Any, corpus: Corpus) -> None:
        """Refuse a corpus without audio when its spectrum is asked for."""
        if params.spectrum == "corpus" and not corpus.speakers:
            raise InputError(
                "speech-shaped noise needs the corpus's own spectrum, and no utterance of the manifest has audio",
                remedy='Write spectrum = "international" in the profile',
            )

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return noise with the spectrum of speech."""
        if params.spectrum == "corpus":
            density: Density = request.context.corpus.spectrum(request.sample_rate_hz).at
        else:
            # Third-octave levels grow by 3 dB an octave for the same density: divide by the band's width.
            density = table(tuple((hz, db - 10 * np.log10(hz)) for hz, db in INTERNATIONAL_LTASS))
        noise = shaped_noise(request.size, request.sample_rate_hz, density, request.generator("noise"))
        return _finish(noise, request, params), {}
