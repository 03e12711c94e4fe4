"""``gain``, ``clip`` and ``agc``: how loud the speech arrives, and what is lost when that goes wrong."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
import pydantic

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, Text, number, one_of, text, within
from asrfair.acoustics.gain_curve import blocks, factors, follow
from asrfair.acoustics.level import SILENCE_DBFS, active_level, amplitude, decibels, mean_power

BLOCK_S = 0.005
"""How often the automatic gain control decides."""


class GainParams(EffectParams):
    """Either ``gain_db`` (louder by) or ``level_dbfs`` (active speech level afterwards)."""

    gain_db: Annotated[Number, within(-80, 60)] | None = None
    level_dbfs: Annotated[Number, within(-80, 0)] | None = None

    @pydantic.model_validator(mode="after")
    def _one(self) -> GainParams:
        if (self.gain_db is None) == (self.level_dbfs is None):
            raise ValueError("give either gain_db or level_dbfs")
        return self


class GainEffect(Effect):
    """Everything louder or quieter by one factor."""

    params: ClassVar[type[EffectParams]] = GainParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="sets", linear=True)

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Scale; see ``Effect.apply``. A clip without speech has no level to set and is left alone."""
        if params.gain_db is not None:
            gain = number(params.gain_db)
        else:
            measured = active_level(context.speech, sample_rate_hz)
            gain = 0.0 if measured is None else number(params.level_dbfs) - measured.level_dbfs
        return samples * amplitude(gain), {"gain_db": gain}


class ClipParams(EffectParams):
    """The ceiling, given in one of two ways.

    ``over_db`` is how far the loudest speech would rise above it, ``fraction`` the share of the active speech samples
    that reach it. ``shape`` is ``hard`` (an overdriven converter) or ``soft`` (an overdriven amplifier).
    """

    over_db: Annotated[Number, within(0, 60)] | None = None
    fraction: Annotated[Number, within(0, 0.9)] | None = None
    shape: Annotated[Text, one_of("hard", "soft")] = "hard"

    @pydantic.model_validator(mode="after")
    def _one(self) -> ClipParams:
        if (self.over_db is None) == (self.fraction is None):
            raise ValueError("give either over_db or fraction")
        return self


class ClipEffect(Effect):
    """Cuts what rises above a ceiling that follows the speech, so that quiet and loud speakers are treated alike."""

    params: ClassVar[type[EffectParams]] = ClipParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored")

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Clip; see ``Effect.apply``. A clip without speech has no ceiling and is left alone."""
        measured = active_level(context.speech, sample_rate_hz)
        if measured is None:
            return samples.copy(), {"clipped_fraction": 0.0}
        loudness = np.abs(context.speech[measured.mask])
        if params.over_db is not None:
            ceiling = float(loudness.max()) * amplitude(-number(params.over_db))
        else:
            ceiling = float(np.quantile(loudness, 1 - number(params.fraction)))
        if ceiling <= 0:
            return samples.copy(), {"clipped_fraction": 0.0}
        clipped = np.abs(samples) >= ceiling
        share = float(np.mean(clipped[measured.mask])) if clipped.size == measured.mask.size else float(clipped.mean())
        if text(params.shape) == "hard":
            result = np.clip(samples, -ceiling, ceiling)
        else:
            result = ceiling * np.tanh(samples / ceiling)
        return result, {"clipped_fraction": share, "ceiling_dbfs": 20 * math.log10(ceiling)}


class AgcParams(EffectParams):
    """A gain that follows the signal: towards ``target_dbfs``, at most ``max_gain_db`` up.

    It falls within ``attack_s`` when the input grows louder and rises within ``release_s`` when it grows quieter: in
    pauses it pumps up the noise, as those in telephones and conference systems do.
    """

    target_dbfs: Annotated[Number, within(-60, -3)] = -26.0
    max_gain_db: Annotated[Number, within(0, 60)] = 24.0
    attack_s: Annotated[Number, within(0.005, 5)] = 0.02
    release_s: Annotated[Number, within(0.005, 20)] = 0.5


class AgcEffect(Effect):
    """Automatic gain control."""

    params: ClassVar[type[EffectParams]] = AgcParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="sets")

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,  # noqa: ARG002 -- it hears what it gets, noise and all
    ) -> tuple[Samples, Achieved]:
        """Follow the level; see ``Effect.apply``."""
        block = max(1, round(BLOCK_S * sample_rate_hz))
        count = -(-samples.size // block)
        if count == 0:
            return samples.copy(), {"gain_mean_db": 0.0, "gain_min_db": 0.0, "gain_max_db": 0.0}
        power = np.mean(blocks(samples, block) ** 2, axis=1)
        level = 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10)))
        wanted = np.minimum(number(params.target_dbfs) - level, number(params.max_gain_db))
        # It starts where it would have settled on this talker, not with a pump at the first word.
        overall = max(decibels(mean_power(samples)), SILENCE_DBFS)
        gains = follow(
            wanted,
            start_db=min(number(params.target_dbfs) - overall, number(params.max_gain_db)),
            block_s=BLOCK_S,
            attack_s=number(params.attack_s),
            release_s=number(params.release_s),
        )
        return samples * factors(gains, block, samples.size), {
            "gain_mean_db": float(gains.mean()),
            "gain_min_db": float(gains.min()),
            "gain_max_db": float(gains.max()),
        }
