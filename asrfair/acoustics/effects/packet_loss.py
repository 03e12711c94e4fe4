"""``packet_loss``: packets that never arrive, in bursts, after the model of Gilbert and Elliott.

Two states, good and bad, change at random from packet to packet: good → bad with probability p, bad → good with r. A
packet is lost with probability ``good_loss`` in the good state and ``bad_loss`` in the bad one. With ``π = p/(p + r)``
the share of bad packets, the loss rate is ``π bad_loss + (1 − π) good_loss`` and a bad stretch lasts 1/r packets on
average. The parameters here are the rate and that length; p and r follow.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pydantic

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, EffectParams, EffectTraits, Samples
from asrfair.acoustics.effects.parameters import Number, Text, bounds, number, one_of, text, within

HISTORY_S = 0.05
PITCH_S = (0.0025, 0.015)
HOLD_S = 0.01
FADE_S = 0.06
JOIN_S = 0.0025


class PacketLossParams(EffectParams):
    """``loss`` is the share of packets lost in the long run, ``burst_packets`` the mean length of a bad stretch.

    ``conceal`` is ``none`` (silence) or ``repeat`` (the last pitch period again, fading out within 60 ms, in the manner
    of G.711 Appendix I).
    """

    loss: Annotated[Number, within(0, 0.95)]
    burst_packets: Annotated[Number, within(1, 1000)] = 2.0
    packet_ms: Annotated[Number, within(2.5, 120)] = 20.0
    bad_loss: Annotated[Number, within(0.01, 1)] = 1.0
    good_loss: Annotated[Number, within(0, 0.95)] = 0.0
    conceal: Annotated[Text, one_of("none", "repeat")] = "repeat"

    @pydantic.model_validator(mode="after")
    def _possible(self) -> PacketLossParams:
        low, high = bounds(self.loss)
        if bounds(self.good_loss)[1] >= bounds(self.bad_loss)[0]:
            raise ValueError("good_loss must lie below bad_loss")
        if not (bounds(self.good_loss)[1] <= low and high <= bounds(self.bad_loss)[0]):
            raise ValueError("loss must lie between good_loss and bad_loss")
        good, bad = bounds(self.good_loss)[0], bounds(self.bad_loss)[0]
        share = (high - good) / (bad - good)
        if share >= 1 or share / (1 - share) > bounds(self.burst_packets)[0]:
            raise ValueError(
                "so much loss needs longer bursts: burst_packets must be at least share/(1 − share), "
                "share = (loss − good_loss)/(bad_loss − good_loss)"
            )
        return self


def lost_packets(
    count: int,
    rng: np.random.Generator,
    *,
    loss: float,
    burst_packets: float,
    bad_loss: float = 1.0,
    good_loss: float = 0.0,
) -> npt.NDArray[np.bool_]:
    """Draw which packets are lost.

    Args:
        count: Number of packets.
        rng: Where chance comes from; three numbers a packet are drawn whatever happens.
        loss: Long-run share of lost packets.
        burst_packets: Mean length of a bad stretch.
        bad_loss: Probability of loss in the bad state.
        good_loss: Probability of loss in the good state.

    Returns:
        Shape (count,): whether each packet is lost.
    """
    bad_share = (loss - good_loss) / (bad_loss - good_loss)
    recover = 1 / burst_packets
    fail = recover * bad_share / (1 - bad_share)
    start, moves, losses = rng.random(), rng.random(count), rng.random(count)
    bad = bool(start < bad_share)
    states = np.empty(count, dtype=np.bool_)
    for index, move in enumerate(moves.tolist()):
        states[index] = bad
        bad = move >= recover if bad else move < fail
    return np.asarray(losses < np.where(states, bad_loss, good_loss))


class PacketLossEffect(Effect):
    """Takes lost packets out and, if asked, conceals them. What arrives is untouched, level and place alike."""

    params: ClassVar[type[EffectParams]] = PacketLossParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="sets")

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,  # noqa: ARG002 -- nothing else is needed
    ) -> tuple[Samples, Achieved]:
        """Lose packets; see ``Effect.apply``."""
        packet = max(1, round(number(params.packet_ms) * sample_rate_hz / 1000))
        phase = int(rng.integers(packet))
        count = -(-(samples.size + phase) // packet)
        lost = lost_packets(
            count,
            rng,
            loss=number(params.loss),
            burst_packets=number(params.burst_packets),
            bad_loss=number(params.bad_loss),
            good_loss=number(params.good_loss),
        )
        result = samples.copy()
        runs = _runs(lost)
        for first, last in runs:
            start, end = max(first * packet - phase, 0), min(last * packet - phase, samples.size)
            result[start:end] = 0.0
            if text(params.conceal) == "repeat":
                _conceal(result, start, end, sample_rate_hz)
        return result, {
            "packet_loss": float(np.mean(lost)) if count else 0.0,
            "packets_lost": float(np.count_nonzero(lost)),
            "longest_burst_packets": float(max((last - first for first, last in runs), default=0)),
        }


def _runs(lost: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _conceal(samples: Samples, start: int, end: int, sample_rate_hz: int) -> None:
    """Fill ``samples[start:end]`` from what was heard before; fades over from it to what comes after."""
    history = samples[max(0, start - round(HISTORY_S * sample_rate_hz)) : start]
    low, high = (round(s * sample_rate_hz) for s in PITCH_S)
    if history.size < 2 * high or not history.any():
        return
    period = _period(history, low, high)
    join = round(JOIN_S * sample_rate_hz)
    length = end - start + join
    last = history[-period:]
    filled = np.tile(last, -(-length // period))[:length]
    time = np.arange(length) / sample_rate_hz
    filled *= np.clip(1 - (time - HOLD_S) / (FADE_S - HOLD_S), 0.0, 1.0)
    samples[start:end] = filled[: end - start]
    tail = min(join, samples.size - end)
    if tail > 0:
        ramp = (np.arange(tail) + 1) / (join + 1)
        samples[end : end + tail] = ramp * samples[end : end + tail] + (1 - ramp) * filled[end - start :][:tail]


def _period(history: Samples, low: int, high: int) -> int:
    """Return the lag, in samples, at which the end of the history looks most like what came before it."""
    size = min(2 * high, history.size - high)
    recent = history[-size:]
    best, found = -math.inf, high
    for lag in range(low, high + 1):
        earlier = history[history.size - size - lag : history.size - lag]
        energy = float(np.dot(earlier, earlier))
        score = float(np.dot(recent, earlier)) / math.sqrt(energy) if energy > 0 else -math.inf
        if score > best:
            best, found = score, lag
    return found
