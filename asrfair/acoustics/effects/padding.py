"""``pad_silence``: more time before and after the speech. Published work finds that it changes who is misrecognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.level import amplitude

if TYPE_CHECKING:
    from collections.abc import Callable


class PadSilenceParams(EffectParams):
    """Seconds before and after, digital silence unless ``floor_dbfs`` asks for white noise at that RMS level."""

    before_s: Annotated[Number, within(0, 60)] = 0.0
    after_s: Annotated[Number, within(0, 60)] = 0.0
    floor_dbfs: Annotated[Number, within(-120, -20)] | None = None


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
        if params.floor_dbfs is not None:
            floor = amplitude(number(params.floor_dbfs))

            def fill(size: int) -> Samples:
                return rng.standard_normal(size) * floor

        return np.concatenate([fill(before), samples, fill(after)]), {
            "before_s": before / sample_rate_hz,
            "after_s": after / sample_rate_hz,
        }
