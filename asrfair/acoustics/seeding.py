"""Randomness that depends on names, never on order: a generator for every (run seed, condition, utterance, purpose)."""

from __future__ import annotations

import hashlib

import numpy as np

_KEY = b"asrfair conditions 1"


def digest(run_seed: int, *names: str) -> bytes:
    """Return 32 bytes that depend on the seed and on every name, and on nothing else.

    Every part is written with its length before it, so that ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    hasher = hashlib.blake2b(key=_KEY, digest_size=32)
    for part in (str(int(run_seed)), *names):
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.digest()


def generator(run_seed: int, condition: str, utterance_id: str, *purpose: str) -> np.random.Generator:
    """Return the random generator of one purpose of one utterance in one condition.

    The state is a keyed BLAKE2b hash of the arguments: the same whatever the order of the utterances, the worker,
    the batch or a resume, and independent between purposes.

    Args:
        run_seed: The suite's seed.
        condition: What the rendering is keyed by. The renderer passes the *profile's* name, so that two severities
            of one profile hear the same noise at different levels.
        utterance_id: The utterance.
        purpose: What the numbers are for, such as ``("noise", "offset")``.
    """
    state = digest(run_seed, condition, utterance_id, *purpose)
    return np.random.Generator(np.random.PCG64(int.from_bytes(state, "big")))
