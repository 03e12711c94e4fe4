"""``band``: what a narrow channel lets through, such as 300–3400 Hz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pydantic

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, bounds, number, within
from asrfair.acoustics.filters import band_taps, convolve_centred
from asrfair.errors import InputError

if TYPE_CHECKING:
    import numpy as np


class BandParams(EffectParams):
    """Edges (−6 dB) and their width. ``low_hz = 0`` passes all low frequencies."""

    low_hz: Annotated[Number, within(0, 40_000)] = 300.0
    high_hz: Annotated[Number, within(50, 100_000)] = 3400.0
    transition_hz: Annotated[Number, within(20, 5_000)] = 200.0

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> BandParams:
        if bounds(self.low_hz)[1] >= bounds(self.high_hz)[0]:
            raise ValueError("low_hz must lie below high_hz")
        return self


class BandEffect(Effect):
    """A linear-phase band-pass; alignment and length hold."""

    params: ClassVar[type[EffectParams]] = BandParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored", linear=True)

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,  # noqa: ARG002 -- nothing else is needed
    ) -> tuple[Samples, Achieved]:
        """Filter; see ``Effect.apply``.

        Raises:
            InputError: The whole band lies above half the sampling rate.
        """
        low, high = number(params.low_hz), number(params.high_hz)
        if low >= sample_rate_hz / 2:
            raise InputError(
                f"nothing passes a band that starts at {low:g} Hz in audio of {sample_rate_hz} Hz",
                remedy="Lower low_hz",
            )
        taps = band_taps(low, high, number(params.transition_hz), sample_rate_hz)
        filtered = samples.copy() if taps is None else convolve_centred(samples, taps)
        return filtered, {"low_hz": low, "high_hz": min(high, sample_rate_hz / 2)}
