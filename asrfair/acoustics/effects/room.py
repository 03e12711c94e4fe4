"""``room``: a simulated room with a reverberation time and a distance, by the image-source method of pyroomacoustics.

The walls' absorption is found in two steps: Sabine's formula, then a correction by the reverberation time that the
simulation measures (Sabine alone is off by up to 30 % in small, bare rooms). Responses are simulated with one thread,
since the order in which threads add up images would change the last bits, and are kept for the process's life.
"""

from __future__ import annotations

import importlib.metadata
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pydantic

from asrfair.acoustics.effects.base import (
    Achieved,
    Effect,
    EffectContext,
    EffectParams,
    EffectTraits,
    Inspection,
    Samples,
)
from asrfair.acoustics.effects.impulse_response import at_level_of, facts_of, reverberate, trim
from asrfair.acoustics.effects.parameters import Number, bounds, number, within
from asrfair.acoustics.impulse import analyse
from asrfair.acoustics.seeding import generator
from asrfair.errors import EnvironmentFailedError, InputError

if TYPE_CHECKING:
    from pathlib import Path

WALL_M = 0.3
"""Nobody, and no microphone, is nearer to a wall than this."""

MAX_ORDER = 130
"""Reflections followed; the number of image sources grows with its cube (3 million here, about a second)."""

DECAY_SHARE = 0.8
"""Images are followed until the room has decayed by this share of 60 dB: what is left lies below −48 dB."""

SPEED_OF_SOUND = 343.0
SABINE = 24 * math.log(10) / SPEED_OF_SOUND
EXTREME, MISS, INSPECTED_HZ = 4.0, 0.15, 8000
"""A room whose longest side is so many times its shortest is simulated when it is read, and warned of beyond the miss."""

STEPS_M = 0.05
STEPS_S = 0.01


class RoomParams(EffectParams):
    """A rectangular room, its reverberation time, and how far the talker is from the microphone.

    ``placements`` is how many places of talker and microphone are simulated; each utterance hears one of them. Values
    drawn from ranges are rounded (5 cm, 10 ms) so that responses can be used again.
    """

    length_m: Annotated[Number, within(1.5, 60)] = 5.0
    width_m: Annotated[Number, within(1.5, 60)] = 4.0
    height_m: Annotated[Number, within(1.8, 20)] = 2.7
    rt60_s: Annotated[Number, within(0.1, 3)] = 0.5
    distance_m: Annotated[Number, within(0.1, 50)] = 2.0
    talker_height_m: Annotated[Number, within(0.4, 15)] = 1.5
    microphone_height_m: Annotated[Number, within(0.3, 19)] = 1.0
    placements: Annotated[int, pydantic.Field(ge=1, le=64)] = 4

    @pydantic.model_validator(mode="after")
    def _fits(self) -> RoomParams:
        floor = [bounds(side)[0] - 2 * WALL_M for side in (self.length_m, self.width_m)]
        if bounds(self.distance_m)[1] > 0.9 * math.hypot(*floor):
            raise ValueError("the talker is too far away for the room: distance_m must be below 0.9 of its diagonal")
        if max(bounds(self.talker_height_m)[1], bounds(self.microphone_height_m)[1]) > bounds(self.height_m)[0] - 0.2:
            raise ValueError("talker and microphone must stay 0.2 m below the ceiling")
        low, high = ([bounds(v)[end] for v in (self.length_m, self.width_m, self.height_m)] for end in (0, 1))
        if _sabine(high, bounds(self.rt60_s)[0]) >= 0.99:
            raise ValueError("no wall absorbs so much: raise rt60_s, or make the room smaller")
        if _order(low, bounds(self.rt60_s)[1]) > MAX_ORDER:
            raise ValueError("too many reflections to simulate: lower rt60_s, or make the room larger")
        return self


class RoomEffect(Effect):
    """Convolution with a simulated response; length and timing hold, the tail after the clip's end is cut."""

    params: ClassVar[type[EffectParams]] = RoomParams
    traits: ClassVar[EffectTraits] = EffectTraits(level="restored", linear=True)

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:  # noqa: ARG002 -- reads no file
        """Record the simulator's version: another one may give other bytes."""
        try:
            version = importlib.metadata.version("pyroomacoustics")
        except importlib.metadata.PackageNotFoundError as error:
            raise EnvironmentFailedError(
                "simulated rooms need the Python package 'pyroomacoustics', which is not installed",
                remedy="Run: pip install pyroomacoustics",
            ) from error
        return Inspection(files={"pyroomacoustics": version}, warnings=tuple(_misses(params)))

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,  # noqa: ARG002 -- the room does not know who speaks
    ) -> tuple[Samples, Achieved]:
        """Put the talker into the room; see ``Effect.apply``."""
        response, direct, achieved = drawn_response(params, sample_rate_hz, rng)
        return reverberate(samples, response, direct), achieved

    def elsewhere(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,  # noqa: ARG002 -- the room does not know who speaks
    ) -> Samples:
        """Put somebody else into the room: half its floor's diagonal away from the microphone, level kept."""
        floor = math.hypot(
            *(_rounded(number(side), STEPS_M) - 2 * WALL_M for side in (params.length_m, params.width_m))
        )
        farther = params.model_copy(update={"distance_m": max(number(params.distance_m), 0.5 * floor)})
        response, direct, _ = drawn_response(farther, sample_rate_hz, rng)
        return at_level_of(samples, reverberate(samples, response, direct))


def drawn_response(params: Any, sample_rate_hz: int, rng: np.random.Generator) -> tuple[Samples, int, Achieved]:
    """Return the response of the room with these (drawn) parameters, its direct path's index, and what was achieved."""
    size = tuple(_rounded(number(v), STEPS_M) for v in (params.length_m, params.width_m, params.height_m))
    heights = (number(params.talker_height_m), number(params.microphone_height_m))
    distance = max(_rounded(number(params.distance_m), STEPS_M), 0.1)
    rt60 = _rounded(number(params.rt60_s), STEPS_S)
    placement = int(rng.integers(params.placements))
    response, direct, facts = _response(size, rt60, distance, heights, placement, sample_rate_hz)
    achieved: Achieved = {
        "rt60_s_asked": rt60,
        "distance_m": distance,
        "volume_m3": math.prod(size),
        "placement": float(placement),
    }
    return response, direct, achieved | dict(facts)


def _misses(params: Any) -> list[str]:
    """Warn of a room of extreme proportions whose reverberation time the simulation does not reach."""
    low = [bounds(side)[0] for side in (params.length_m, params.width_m, params.height_m)]
    high = [bounds(side)[1] for side in (params.length_m, params.width_m, params.height_m)]
    if max(high) < EXTREME * min(low):
        return []
    size = tuple(_rounded((a + b) / 2, STEPS_M) for a, b in zip(low, high, strict=True))
    rt60 = _rounded(sum(bounds(params.rt60_s)) / 2, STEPS_S)
    distance = max(_rounded(sum(bounds(params.distance_m)) / 2, STEPS_M), 0.1)
    heights = (bounds(params.talker_height_m)[0], bounds(params.microphone_height_m)[0])
    measured = dict(_response(size, rt60, distance, heights, 0, INSPECTED_HZ)[2]).get("rt60_s", math.nan)
    if abs(measured / rt60 - 1) <= MISS:
        return []
    text = (
        f"the room of {' × '.join(f'{side:g}' for side in size)} m has no single reverberation time: asked "
        f"{rt60:g} s, simulated {measured:.2f} s (its long and short sides decay at different rates)"
    )
    return [text]


def _rounded(value: float, step: float) -> float:
    return round(round(value / step) * step, 6)


def _sabine(size: list[float] | tuple[float, ...], rt60_s: float) -> float:
    """Return the absorption of the walls that gives a reverberation time, after Sabine: T = 24 ln 10 V / (c S a)."""
    length, width, height = size
    surface = 2 * (length * width + length * height + width * height)
    return SABINE * length * width * height / (surface * rt60_s)


def _order(size: list[float] | tuple[float, ...], rt60_s: float) -> int:
    """Return the reflections needed: in time t, sound crosses a room of inscribed radius r at most c t / (2 r) times.

    The radius is that of the smallest ellipse-like cell that pyroomacoustics uses: l1 l2 / √(l1² + l2²) over pairs.
    """
    length, width, height = size
    radius = min(a * b / math.hypot(a, b) for a, b in ((length, width), (length, height), (width, height)))
    return max(3, math.ceil(SPEED_OF_SOUND * DECAY_SHARE * rt60_s / radius - 1))


@lru_cache(maxsize=128)
def _response(
    size: tuple[float, ...],
    rt60_s: float,
    distance_m: float,
    heights_m: tuple[float, float],
    placement: int,
    sample_rate_hz: int,
) -> tuple[Samples, int, tuple[tuple[str, float], ...]]:
    """Simulate one response, scaled so that its direct path has gain 1; its direct path's index; what was measured."""
    absorption = _absorption(size, rt60_s, sample_rate_hz)
    talker, microphone = _places(size, distance_m, heights_m, placement)
    response = _simulate(size, absorption, _order(size, rt60_s), talker, microphone, sample_rate_hz)
    found = analyse(response, sample_rate_hz)
    return trim(response) / abs(float(response[found.direct])), found.direct, facts_of(found.drr_db, found.rt60_s)


@lru_cache(maxsize=64)
def _absorption(size: tuple[float, ...], rt60_s: float, sample_rate_hz: int) -> float:
    """Return the absorption at which the simulated room, not the formula, has the reverberation time."""
    absorption = _sabine(size, rt60_s)
    talker = np.array([0.29, 0.37, 0.47]) * size
    microphone = np.array([0.71, 0.59, 0.53]) * size
    for _ in range(2):
        response = _simulate(size, absorption, _order(size, rt60_s), talker, microphone, sample_rate_hz)
        measured = analyse(response, sample_rate_hz).rt60_s
        if not math.isfinite(measured):
            break
        # The decay goes with the logarithm of what a wall returns (Eyring).
        absorption = 1 - math.exp(math.log1p(-absorption) * measured / rt60_s)
        absorption = min(max(absorption, 0.005), 0.995)
    return absorption


def _places(
    size: tuple[float, ...], distance_m: float, heights_m: tuple[float, float], placement: int
) -> tuple[Samples, Samples]:
    """Draw where talker and microphone are; the same for the same room, whatever the run."""
    rng = generator(0, "room", repr((size, distance_m, heights_m)), str(placement))
    talker_height, microphone_height = heights_m
    rise = talker_height - microphone_height
    rise = math.copysign(min(abs(rise), 0.7 * distance_m), rise)
    across = math.sqrt(distance_m**2 - rise**2)
    low, high = np.array([WALL_M, WALL_M]), np.array(size[:2]) - WALL_M
    for _ in range(10_000):
        microphone = rng.uniform(low, high)
        angle = rng.uniform(0, 2 * math.pi)
        talker = microphone + across * np.array([math.cos(angle), math.sin(angle)])
        if np.all(talker >= low) and np.all(talker <= high):
            return np.append(talker, microphone_height + rise), np.append(microphone, microphone_height)
    raise InputError(
        f"no place was found for a talker {distance_m:g} m from the microphone in a room of "
        f"{size[0]:g} × {size[1]:g} m",
        remedy="Lower distance_m, or make the room larger",
    )


def _simulate(
    size: tuple[float, ...], absorption: float, order: int, talker: Samples, microphone: Samples, sample_rate_hz: int
) -> Samples:
    import pyroomacoustics

    pyroomacoustics.constants.set("num_threads", 1)
    box = pyroomacoustics.ShoeBox(
        list(size), fs=sample_rate_hz, materials=pyroomacoustics.Material(absorption), max_order=order
    )
    box.add_source(talker.tolist())
    box.add_microphone(microphone.tolist())
    box.compute_rir()
    return np.asarray(box.rir[0][0], dtype=np.float64)
