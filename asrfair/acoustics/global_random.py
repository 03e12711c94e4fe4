"""Other people's code draws from global random state: here it is seeded for one call and put back afterwards."""

from __future__ import annotations

import random
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = threading.Lock()


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed ``random`` and ``numpy.random`` inside the block and restore them after it, whatever happens.

    One block runs at a time in a process, since the state is the process's. Warnings of the code inside are silenced:
    what matters of them is checked by the caller. Where pyroomacoustics is loaded, its own generators are seeded as
    well and it is held to one thread (its state cannot be read, so it is not restored).

    Args:
        seed: 32 bits.
    """
    with _LOCK:
        ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002 -- the global state is the subject
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002 -- likewise
            rooms = sys.modules.get("pyroomacoustics")
            if rooms is not None and hasattr(rooms, "random"):
                rooms.random.seed(seed, seed)
                rooms.constants.set("num_threads", 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)  # noqa: NPY002 -- likewise
