"""A gain that follows a signal, falling at one pace and rising at another: automatic gain control, limiters."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]


def blocks(values: Array, block: int) -> Array:
    """Return samples in blocks, the last one filled with zeros, shape (blocks, ``block``)."""
    padded = np.zeros(-(-values.size // block) * block)
    padded[: values.size] = values
    return padded.reshape(-1, block)


def follow(wanted_db: Array, *, start_db: float, block_s: float, attack_s: float, release_s: float) -> Array:
    """Return the gain in dB at the end of every block: towards what is wanted, down by the attack, up by the release.

    Args:
        wanted_db: What each block asks for.
        start_db: The gain before the first.
        block_s: Length of a block.
        attack_s: Time constant of a fall.
        release_s: Time constant of a rise.
    """
    fall, rise = 1 - math.exp(-block_s / attack_s), 1 - math.exp(-block_s / release_s)
    gain, gains = start_db, np.empty(wanted_db.size)
    for index, goal in enumerate(wanted_db.tolist()):
        gain += (fall if goal < gain else rise) * (goal - gain)
        gains[index] = gain
    return gains


def factors(gains_db: Array, block: int, size: int) -> Array:
    """Return a factor for every sample: gains between the middles of blocks are interpolated in dB, shape (size,)."""
    curve = np.interp(np.arange(size), (np.arange(gains_db.size) + 0.5) * block, gains_db)
    found: Array = 10 ** (curve / 20)
    return found
