"""Wind at a microphone: turbulence at low frequencies that comes in gusts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt

from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.sources.base import Request, Source, SourceParams
from asrfair.acoustics.sources.spectrum import LOWEST_HZ, fluctuation, shaped_noise

if TYPE_CHECKING:
    from asrfair.acoustics.effects.base import Achieved, Samples


class WindParams(SourceParams):
    """``corner_hz`` above which the turbulence falls by ``slope_db`` an octave; gusts of ``gust_db`` at ``gust_hz``."""

    corner_hz: Annotated[Number, within(LOWEST_HZ, 2000)] = 80.0
    slope_db: Annotated[Number, within(-24, -1)] = -9.0
    gust_db: Annotated[Number, within(0, 15)] = 5.0
    gust_hz: Annotated[Number, within(0.02, 10)] = 0.5


class Wind(Source):
    """Noise that is level in density below a corner and falls above it, with a level that wanders in gusts."""

    params = WindParams

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the wind. Achieved: ``gust_db``, the standard deviation of the level over this clip."""
        corner, slope = number(params.corner_hz), number(params.slope_db)

        def density(f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            fall = (1 + (f / corner) ** 2) ** (slope / (20 * np.log10(2)))
            return np.where(f >= LOWEST_HZ, fall, 0.0)

        noise = shaped_noise(request.size, request.sample_rate_hz, density, request.generator("turbulence"))
        gusts = fluctuation(
            request.size,
            request.sample_rate_hz,
            number(params.gust_hz),
            number(params.gust_db),
            request.generator("gusts"),
        )
        return noise * gusts, {"gust_db": float(np.std(20 * np.log10(gusts)))}
