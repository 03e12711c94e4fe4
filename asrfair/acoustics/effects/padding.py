"""``pad_silence``: more time before and after the speech. Published work finds that it changes who is misrecognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pydantic

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.level import amplitude, decibels
from asrfair.acoustics.sources.spectrum import LOWEST_HZ, shaped_noise

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from asrfair.acoustics.sources.spectrum import Density

LEAST_FLOOR_DBFS = -110.0
"""Below this a recording has no floor of its own."""


class PadSilenceParams(EffectParams):
    """Seconds before and after: digital silence, or noise.

    ``floor = "own"`` goes on with the recording's own noise: its level and spectrum where it is quietest.
    ``floor_dbfs`` is white noise at that RMS level.
    """

    before_s: Annotated[Number, within(0, 60)] = 0.0
    after_s: Annotated[Number, within(0, 60)] = 0.0
    floor_dbfs: Annotated[Number, within(-120, -20)] | None = None
    floor: Literal["silent", "own"] = "silent"

    @pydantic.model_validator(mode="after")
    def _one(self) -> PadSilenceParams:
        if self.floor == "own" and self.floor_dbfs is not None:
            raise ValueError('give either floor = "own" or floor_dbfs')
        return self


class PadSilenceEffect(Effect):
    """The one effect of ours that changes the length, by exactly what was asked for."""

    params: ClassVar[type[EffectParams]] = PadSilenceParams
    traits: ClassVar[EffectTraits] = EffectTraits(
        changes_length=True, keeps_alignment=False, level="keeps", linear=True
    )

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,  # noqa: ARG002 -- nothing else is needed
    ) -> tuple[Samples, Achieved]:
        """Add the pauses; see ``Effect.apply``."""
        before = round(number(params.before_s) * sample_rate_hz)
        after = round(number(params.after_s) * sample_rate_hz)
        fill: Callable[[int], Samples] = np.zeros
        achieved: Achieved = {"before_s": before / sample_rate_hz, "after_s": after / sample_rate_hz}
        quiet = own_noise(samples, sample_rate_hz) if params.floor == "own" else None
        if quiet is not None:
            power, density = quiet
            achieved["floor_dbfs"] = decibels(power)

            def fill(size: int) -> Samples:
                return shaped_noise(size, sample_rate_hz, density, rng) * np.sqrt(power) if size else np.zeros(0)

        if params.floor_dbfs is not None:
            floor = amplitude(number(params.floor_dbfs))

            def fill(size: int) -> Samples:
                return rng.standard_normal(size) * floor

        return np.concatenate([fill(before), samples, fill(after)]), achieved


def own_noise(samples: Samples, sample_rate_hz: int) -> tuple[float, Density] | None:
    """Return mean square and spectrum of a recording where it is quietest: the softest tenth of its 20 ms frames.

    Args:
        samples: The recording, shape (samples,).
        sample_rate_hz: Its rate.

    Returns:
        ``None`` where that is digital silence, or the clip is shorter than a fifth of a second.
    """
    size = max(2, round(0.02 * sample_rate_hz))
    frames = samples[: samples.size // size * size].reshape(-1, size)
    if len(frames) < 10:
        return None
    powers = np.einsum("ij,ij->i", frames, frames) / size
    quiet = frames[np.argsort(powers, kind="stable")[: max(3, len(frames) // 10)]]
    power = float(np.mean(quiet**2))
    if decibels(power) < LEAST_FLOOR_DBFS:
        return None
    spectrum = (np.abs(np.fft.rfft(quiet * np.hanning(size), axis=1)) ** 2).mean(axis=0)
    frequencies = np.arange(spectrum.size) * (sample_rate_hz / size)

    def density(f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(f >= LOWEST_HZ, np.interp(f, frequencies, spectrum), 0.0)

    return power, density
