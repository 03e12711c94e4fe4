"""``echo``: a hands-free call in which somebody else talks, and the canceller that takes their voice out again.

The other end's voice (another speaker of the manifest) sounds from the loudspeaker, distorted a little, and reaches the
microphone by the desk and the room. The canceller knows what was played, follows the way from loudspeaker to microphone
by an adaptive filter, subtracts, and turns down what it thinks is left: while both talk, that is also the talker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pydantic

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.envelope import frame_size, resynthesis, spectrogram
from asrfair.acoustics.filters import convolve
from asrfair.acoustics.level import NOMINAL_LEVEL_DBFS, active_level, amplitude, decibels, mean_power
from asrfair.acoustics.sources.base import Request
from asrfair.acoustics.sources.people import Babble, BabbleParams

if TYPE_CHECKING:
    import numpy.typing as npt

    from asrfair.acoustics.speech_material import Corpus

WARM_UP_S = 2.0
"""The other end has been talking for so long before the clip begins: the filter has converged."""

DIRECT_S = 0.004
"""From loudspeaker to microphone."""

_STEP, _SMOOTHING, _EVERY = 0.6, 0.7, 2
_LEAST_LEAK = 0.02
_OVER = 4.0
"""The suppressor takes what may be left for four times as strong: echo is heard sooner than a dent in speech."""


class EchoParams(EffectParams):
    """``echo_db``: the talker's level over the echo's at the microphone, before anything is cancelled.

    ``rt60_s`` of the way from loudspeaker to microphone; ``distortion`` of the loudspeaker (0: none), which no linear
    filter can follow; ``suppression_db``: how far what is left may be turned down. ``cancel = false`` leaves the echo.
    """

    echo_db: Annotated[Number, within(-30, 60)] = 0.0
    rt60_s: Annotated[Number, within(0.02, 1.0)] = 0.15
    distortion: Annotated[Number, within(0, 1)] = 0.2
    suppression_db: Annotated[Number, within(0, 60)] = 20.0
    cancel: pydantic.StrictBool = True


@dataclass(frozen=True, kw_only=True)
class _Call:
    """What happened on one call: spectra of shape (frames, bins)."""

    out: npt.NDArray[np.complex128]
    gain: npt.NDArray[np.float64]
    left: npt.NDArray[np.complex128]
    echo: Samples
    before: int
    who: str


class EchoEffect(Effect):
    """Echo, and what a canceller makes of it."""

    params: ClassVar[type[EffectParams]] = EchoParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="sets")

    def check_corpus(self, params: Any, corpus: Corpus) -> None:
        """Refuse a manifest in which nobody else speaks.

        Raises:
            InputError: It has fewer than two speakers with audio.
        """
        Babble().check_corpus(params, corpus)

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- drawn by purpose, so that ``follow`` hears the same call
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Put the call on the line; see ``Effect.apply``.

        Achieved: ``echo_db`` over active speech before, ``erle_db`` (by how much the adaptive filter lowered the echo),
        ``residual_echo_db`` (talker over what is left), ``speech_suppression_db`` (active level by P.56), ``far_speaker``.
        """
        if samples.size == 0 or not np.all(np.isfinite(samples)):
            return samples.copy(), {}
        call = _call(samples, sample_rate_hz, params, context)
        size = call.before + samples.size
        result = resynthesis(call.out, size, sample_rate_hz)[call.before :]
        level = context.level
        achieved: Achieved = {"far_speaker": call.who}
        if level is None or level.size != samples.size:
            return result, achieved
        left = resynthesis(call.left, size, sample_rate_hz)[call.before :]
        heard = resynthesis(call.left * call.gain, size, sample_rate_hz)[call.before :]
        speech = _through(context.speech, call, sample_rate_hz)
        after = active_level(speech, sample_rate_hz)
        powers = level.power(call.echo), mean_power(call.echo), mean_power(left), level.power(heard)
        if min(powers) > 0:
            achieved["echo_db"] = level.level_dbfs - decibels(powers[0])
            achieved["erle_db"] = decibels(powers[1]) - decibels(powers[2])
            if after is not None:
                achieved["residual_echo_db"] = after.level_dbfs - decibels(powers[3])
        if after is not None:
            achieved["speech_suppression_db"] = level.level_dbfs - after.level_dbfs
        return result, achieved

    def follow(
        self,
        speech: Samples,
        before: Samples,
        after: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- drawn by purpose
        context: EffectContext,
    ) -> Samples | None:
        """Put the suppressor's gain on the speech alone; see ``Effect.follow``."""
        if before.size == 0 or not np.all(np.isfinite(before)):
            return after
        return _through(speech, _call(before, sample_rate_hz, params, context), sample_rate_hz)


def _through(speech: Samples, call: _Call, rate: int) -> Samples:
    padded = np.concatenate([np.zeros(call.before), speech])
    return resynthesis(spectrogram(padded, rate) * call.gain, padded.size, rate)[call.before :]


def _call(samples: Samples, rate: int, params: Any, context: EffectContext) -> _Call:
    before = round(WARM_UP_S * rate)
    size = before + samples.size
    request = Request(
        size=size,
        sample_rate_hz=rate,
        context=replace(context, elsewhere=lambda sound, place: sound),  # noqa: ARG005 -- the other end's own room
        facts={},
        generator=partial(context.generator, "far end"),
    )
    played, facts = Babble().make(request, BabbleParams(source="babble", talkers=1))
    drive = number(params.distortion)
    sounded = np.tanh(drive * played) / drive if drive > 0 else played
    echo = convolve(sounded, _path(rate, number(params.rt60_s), context.generator("path")))[:size]
    power = mean_power(echo[before:]) if context.level is None else context.level.power(echo[before:])
    speech_dbfs = NOMINAL_LEVEL_DBFS if context.level is None else context.level.level_dbfs
    # Where the other end pauses while this one talks, its mean level says how loud it is.
    power = max(power, 0.1 * mean_power(echo))
    echo *= amplitude(speech_dbfs - number(params.echo_db)) / np.sqrt(power) if power > 0 else 0.0
    microphone = echo.copy()
    microphone[before:] += samples
    given, reference = spectrogram(microphone, rate), spectrogram(played, rate)
    if params.cancel:
        taps = int(np.ceil((DIRECT_S + number(params.rt60_s)) * rate / (_EVERY * (frame_size(rate) // 4)))) + 2
        estimate, gain = _cancel(
            given, reference, taps, amplitude(-number(params.suppression_db)), before // (frame_size(rate) // 4)
        )
    else:
        estimate, gain = np.zeros_like(given), np.ones(given.shape)
    return _Call(
        out=(given - estimate) * gain,
        gain=gain,
        left=spectrogram(echo, rate) - estimate,
        echo=echo[before:],
        before=before,
        who=str(facts["speakers"]),
    )


def _path(rate: int, rt60_s: float, rng: np.random.Generator) -> Samples:
    """Return the way from loudspeaker to microphone: a direct sound and a tail 6 dB below that decays."""
    start = round(DIRECT_S * rate)
    time = np.arange(max(2, round(rt60_s * rate))) / rate
    tail = rng.standard_normal(time.size) * 10 ** (-3 * time / rt60_s)
    path = np.zeros(start + tail.size)
    path[start:] = tail * 0.5 / np.sqrt(np.sum(tail**2))
    path[start] += 1.0
    return path


def _cancel(
    microphone: npt.NDArray[np.complex128],
    reference: npt.NDArray[np.complex128],
    taps: int,
    least: float,
    warm: int,
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.float64]]:
    """Cancel in every band by normalised least mean squares, then suppress what may be left.

    The filter starts converged: by least squares over the warm-up. Its step shrinks while more is heard than the echo
    explains, which is double talk (Mader, Puder & Schmidt 2000, *Signal Processing* 80, 1697–1719, with the echo's
    estimate in place of the unknown system distance).

    Args:
        microphone: Shape (frames, bins).
        reference: What was played, shape (frames, bins).
        taps: Frames of the filter.
        least: The smallest gain.
        warm: Frames in which the other end talks alone.

    Returns:
        The estimated echo and the suppressor's gain, both of shape (frames, bins).
    """
    frames, bins = microphone.shape
    # Frames overlap by three quarters: taps two frames apart say nearly all that there is to say.
    earlier = np.concatenate([np.zeros((_EVERY * taps, bins), dtype=np.complex128), reference])
    past = np.stack([earlier[_EVERY * (taps - tap) :][:frames] for tap in range(taps)], axis=1)
    own = np.einsum("ftb,fsb->bts", past[:warm].conj(), past[:warm])
    load = 1e-3 * np.einsum("btt->b", own).real / taps + 1e-20
    cross = np.einsum("ftb,fb->bt", past[:warm].conj(), microphone[:warm])
    weights = np.linalg.solve(own + load[:, None, None] * np.eye(taps), cross[..., None])[..., 0].T
    estimate = np.einsum("tb,ftb->fb", weights, past)
    gain = np.ones((frames, bins))
    quiet = 1e-9 * float(np.mean(np.abs(microphone) ** 2)) + 1e-30
    energy = (np.abs(past) ** 2).sum(axis=1)
    energy += 1e-3 * energy.mean(axis=0) + 1e-20
    echo_power = (np.abs(estimate[:warm]) ** 2).mean(axis=0)
    error_power = (np.abs(microphone[:warm] - estimate[:warm]) ** 2).mean(axis=0)
    leak = np.clip(error_power / (echo_power + quiet), _LEAST_LEAK, 1.0)
    for index in range(warm, frames):
        echo = (weights * past[index]).sum(axis=0)
        error = microphone[index] - echo
        estimate[index] = echo
        echo_power = _SMOOTHING * echo_power + (1 - _SMOOTHING) * np.abs(echo) ** 2
        error_power = _SMOOTHING * error_power + (1 - _SMOOTHING) * np.abs(error) ** 2
        share = np.minimum(leak * echo_power / (error_power + quiet), 1.0)
        weights = weights + _STEP * share * past[index].conj() * (error / energy[index])
        left = _OVER * leak * echo_power
        gain[index] = np.sqrt(np.maximum(1 - left / (error_power + quiet), least**2))
    return estimate, gain
