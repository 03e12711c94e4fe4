"""``gate`` and ``limiter``: a device that opens only when somebody speaks, and one that never gets too loud.

Both are gains that follow the mixture; the speech inside it is followed by the same gain.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.gain_curve import blocks, factors, follow
from asrfair.acoustics.level import amplitude

if TYPE_CHECKING:
    import numpy.typing as npt

GATE_BLOCK_S, GATE_SMOOTH_S, RAMP_S = 0.005, 0.02, 0.005
LIMITER_BLOCK_S = 0.001
OVERSHOOT_DB = 1.0
"""What the limiter is too slow for is clipped so far above its threshold."""


class GateParams(EffectParams):
    """A voice activity gate, relative to the talker.

    It opens once the level has been within ``threshold_db`` of the active speech level for ``open_after_s`` (so much is
    lost of every onset) and closes ``hold_s`` after it fell below. Closed, it attenuates by ``closed_db``.
    """

    threshold_db: Annotated[Number, within(3, 60)] = 20.0
    open_after_s: Annotated[Number, within(0, 1)] = 0.04
    hold_s: Annotated[Number, within(0, 5)] = 0.25
    closed_db: Annotated[Number, within(0, 100)] = 60.0


class GateEffect(Effect):
    """Voice activity gating: pauses are silent, onsets are cut, quiet sounds are lost."""

    params: ClassVar[type[EffectParams]] = GateParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="sets")

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Gate; see ``Effect.apply``. A clip without speech has no threshold and is left alone.

        Achieved: ``closed_fraction`` of the clip, ``openings``, and ``speech_lost_fraction``: of the time in which the
        talker was above the threshold, the share that the gate was closed.
        """
        gain, loud = _gate(samples, sample_rate_hz, params, context)
        closed = gain < 0.5 * (1 + amplitude(-number(params.closed_db)))
        by_block = closed[:: max(1, round(GATE_BLOCK_S * sample_rate_hz))][: loud.size]
        return samples * gain, {
            "closed_fraction": float(closed.mean()) if closed.size else 0.0,
            "openings": float(np.count_nonzero(closed[:-1] & ~closed[1:]) + (closed.size > 0 and not closed[0])),
            "speech_lost_fraction": float(by_block[loud].mean()) if loud.any() else 0.0,
        }

    def follow(
        self,
        speech: Samples,
        before: Samples,
        after: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> Samples | None:
        """Put the same gain on the speech alone; see ``Effect.follow``."""
        return after if speech is before else speech * _gate(before, sample_rate_hz, params, context)[0]


def _gate(samples: Samples, rate: int, params: Any, context: EffectContext) -> tuple[Samples, npt.NDArray[np.bool_]]:
    """Return the gain of every sample, and which blocks of 5 ms are above the threshold."""
    block = max(1, round(GATE_BLOCK_S * rate))
    count = -(-samples.size // block)
    if context.level is None or count == 0:
        return np.ones(samples.size), np.zeros(count, dtype=bool)
    powers = blocks(samples**2, block).mean(axis=1)
    span = max(1, round(GATE_SMOOTH_S / GATE_BLOCK_S))
    # The mean of the last 20 ms: a device does not know what comes.
    smooth = np.convolve(powers, np.ones(span) / span)[:count]
    loud = smooth >= 10 ** ((context.level.level_dbfs - number(params.threshold_db)) / 10)
    wait, hold = round(number(params.open_after_s) / GATE_BLOCK_S), round(number(params.hold_s) / GATE_BLOCK_S)
    opened = np.zeros(count, dtype=bool)
    waited, left = 0, 0
    for index, above in enumerate(loud.tolist()):
        waited = waited + 1 if above else 0
        if above and (waited > wait or left > 0):
            left = hold + 1
        opened[index] = left > 0
        left = max(0, left - 1)
    gains = np.repeat(np.where(opened, 1.0, amplitude(-number(params.closed_db))), block)[: samples.size]
    ramp = max(1, round(RAMP_S * rate))
    padded = np.concatenate([np.full(ramp - 1, gains[0]), gains])
    total = np.concatenate([[0.0], np.cumsum(padded)])
    return (total[ramp:] - total[:-ramp]) / ramp, loud


class LimiterParams(EffectParams):
    """``over_db``: how far the talker's loudest sound would rise above the threshold.

    The gain falls within ``attack_s`` and recovers within ``release_s``; what it is too slow for is clipped 1 dB above.
    """

    over_db: Annotated[Number, within(0, 60)] = 12.0
    attack_s: Annotated[Number, within(0.0005, 0.5)] = 0.002
    release_s: Annotated[Number, within(0.005, 5)] = 0.1


class LimiterEffect(Effect):
    """A limiter in front of a converter: loud sounds are turned down, and what escapes it is clipped."""

    params: ClassVar[type[EffectParams]] = LimiterParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored")

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Limit; see ``Effect.apply``. Achieved: ``reduction_max_db``, ``reduction_mean_db``, ``clipped_fraction``."""
        gain, ceiling = _limit(samples, sample_rate_hz, params, context)
        turned = samples * gain
        reduction = -20 * np.log10(gain) if gain.size else np.zeros(1)
        return np.clip(turned, -ceiling, ceiling), {
            "reduction_max_db": float(reduction.max()),
            "reduction_mean_db": float(reduction.mean()),
            "clipped_fraction": float(np.mean(np.abs(turned) > ceiling)) if turned.size else 0.0,
        }

    def follow(
        self,
        speech: Samples,
        before: Samples,
        after: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> Samples | None:
        """Put the same gain on the speech alone; see ``Effect.follow``."""
        return after if speech is before else speech * _limit(before, sample_rate_hz, params, context)[0]


def _limit(samples: Samples, rate: int, params: Any, context: EffectContext) -> tuple[Samples, float]:
    """Return the gain of every sample, and the ceiling above which is clipped."""
    loudest = float(np.max(np.abs(context.speech), initial=0.0))
    if loudest == 0 or samples.size == 0:
        return np.ones(samples.size), math.inf
    threshold = loudest * amplitude(-number(params.over_db))
    block = max(1, round(LIMITER_BLOCK_S * rate))
    peaks = np.abs(blocks(samples, block)).max(axis=1)
    wanted = np.minimum(0.0, 20 * np.log10(threshold / np.maximum(peaks, 1e-300)))
    gains = follow(
        wanted,
        start_db=0.0,
        block_s=LIMITER_BLOCK_S,
        attack_s=number(params.attack_s),
        release_s=number(params.release_s),
    )
    return factors(gains, block, samples.size), threshold * amplitude(OVERSHOOT_DB)
