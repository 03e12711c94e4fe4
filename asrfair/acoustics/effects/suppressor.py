"""``suppressor`` and ``webrtc``: what a headset, a laptop or a call does about noise before the service hears it.

Known from practice: a suppressor helps some voices and costs others. What it did is recorded for every utterance, for
the noise and for the speech apart, so that tables can say for whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pydantic
import soxr

from asrfair.acoustics.effects.base import (
    Achieved,
    Effect,
    EffectContext,
    EffectParams,
    EffectTraits,
    Inspection,
    Samples,
)
from asrfair.acoustics.effects.parameters import Choice, Number, Text, number, one_of, text, within
from asrfair.acoustics.level import fit_length
from asrfair.acoustics.shadow import shadow, suppression
from asrfair.acoustics.suppressors import SUPPRESSORS, suppressed, version_of, webrtc_delay, webrtc_processing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEBRTC_HZ = 16_000


class _FrontEnd(Effect):
    """A black box: the speech inside the mixture is followed by the gain that the box had."""

    traits: ClassVar[EffectTraits] = EffectTraits(level="sets")

    def follow(
        self,
        speech: Samples,
        before: Samples,
        after: Samples,
        sample_rate_hz: int,
        params: Any,  # noqa: ARG002 -- what it did is in the samples
        rng: np.random.Generator,  # noqa: ARG002
        context: EffectContext,  # noqa: ARG002
    ) -> Samples | None:
        """Put the box's gain on the speech alone; see ``Effect.follow``."""
        return after if speech is before else shadow(speech, before, after, sample_rate_hz)


class SuppressorParams(EffectParams):
    """``method`` is one of the suppressors of docs/effects.md; ``limit_db`` the most that it takes from noise.

    ``warm_up_s``: as much of the clip's end is played to it first, since a device has been listening for a while.
    """

    method: Annotated[Text, one_of(*SUPPRESSORS)] = "wiener"
    limit_db: Annotated[Number, within(0, 60)] = 15.0
    warm_up_s: Annotated[Number, within(0, 10)] = 2.0


class SuppressorEffect(_FrontEnd):
    """Noise suppression."""

    params: ClassVar[type[EffectParams]] = SuppressorParams

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:  # noqa: ARG002 -- no files
        """Find the package behind every method, and its exact version.

        Raises:
            MissingExtraError: It is not installed.
        """
        assert isinstance(params, SuppressorParams)
        methods = params.method.values if isinstance(params.method, Choice) else (params.method,)
        return Inspection(files={str(method): version_of(str(method)) for method in methods})

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Suppress; see ``Effect.apply``.

        Achieved: ``speech_suppression_db`` (active level by P.56) and ``noise_suppression_db``, each taken apart by the
        suppressor's own gain.
        """
        name, limit = text(params.method), number(params.limit_db)
        result = warmed_up(
            samples,
            sample_rate_hz,
            number(params.warm_up_s),
            lambda given: suppressed(given, sample_rate_hz, name, limit),
        )
        return result, {"method": name, **_achieved(samples, result, sample_rate_hz, context)}


class WebrtcParams(EffectParams):
    """WebRTC's own chain: ``suppression`` level 0 (none), 1 (6 dB), 2 (12), 3 (18) or 4 (21); gain control or none."""

    suppression: Annotated[Number, within(0, 4)] = 2.0
    gain: pydantic.StrictBool = True
    warm_up_s: Annotated[Number, within(0, 10)] = 2.0


class WebrtcEffect(_FrontEnd):
    """High-pass, noise suppression and automatic gain control as browsers and conference programs run them."""

    params: ClassVar[type[EffectParams]] = WebrtcParams

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:  # noqa: ARG002 -- no files
        """Find the package and its exact version.

        Raises:
            MissingExtraError: It is not installed.
        """
        return Inspection(files={"webrtc": version_of("webrtc")})

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- nothing is drawn
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Run the chain; see ``Effect.apply``.

        Achieved: ``gain_db`` of the active level by P.56, and ``noise_suppression_db``, by how much more the noise fell.
        """
        level, gain = round(number(params.suppression)), bool(params.gain)

        def run(given: Samples) -> Samples:
            own = soxr.resample(given, sample_rate_hz, WEBRTC_HZ, quality="HQ")
            delay = webrtc_delay(level, gain=gain)
            made = webrtc_processing(np.concatenate([own, np.zeros(delay)]), WEBRTC_HZ, gain=gain, suppression=level)
            return np.asarray(soxr.resample(made[delay:], WEBRTC_HZ, sample_rate_hz, quality="HQ"), dtype=np.float64)

        result = warmed_up(samples, sample_rate_hz, number(params.warm_up_s), run)
        achieved = _achieved(samples, result, sample_rate_hz, context)
        lowered, noise = achieved.pop("speech_suppression_db", None), achieved.pop("noise_suppression_db", None)
        if lowered is None:
            return result, {}
        achieved = {"gain_db": -float(lowered)}
        return result, achieved if noise is None else {
            **achieved,
            "noise_suppression_db": float(noise) - float(lowered),
        }


def warmed_up(samples: Samples, sample_rate_hz: int, seconds: float, run: Callable[[Samples], Samples]) -> Samples:
    """Run a device that has heard the end of the clip before: it starts neither deaf nor at full gain.

    Args:
        samples: Shape (samples,).
        sample_rate_hz: Its rate.
        seconds: How much of its end goes first.
        run: Samples → samples without delay.
    """
    if samples.size == 0 or not np.all(np.isfinite(samples)):
        return samples.copy()  # the renderer says what is wrong with it
    scale = max(1.0, float(np.max(np.abs(samples))))
    before = samples[max(0, samples.size - round(seconds * sample_rate_hz)) :] if seconds > 0 else samples[:0]
    made = run(np.concatenate([before, samples]) / scale)
    return np.ascontiguousarray(fit_length(made[before.size :], samples.size)) * scale


def _achieved(samples: Samples, result: Samples, rate: int, context: EffectContext) -> Achieved:
    if samples is context.speech:
        return suppression(samples, samples, result, result, rate)
    if samples.size != context.speech.size:
        return {}
    return suppression(context.speech, samples, result, shadow(context.speech, samples, result, rate), rate)
