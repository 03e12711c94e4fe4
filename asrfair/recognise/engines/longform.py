"""Long audio: cut where it is quiet, transcribe the pieces, join their texts. One rule for every engine that needs it.

The rule, so that it can be checked by hand: while more than ``window_s`` is left, look at the last ``search_s`` of the
window, and cut in the middle of its quietest ``frame_s`` (the earliest one, if several are equally quiet). The cut is a
pure function of the samples. Texts are joined with one space; nothing overlaps, so no word can be counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WINDOW_S = 30.0
SEARCH_S = 5.0
FRAME_S = 0.05


def cut_long(
    samples: npt.NDArray[np.float32],
    sample_rate_hz: int,
    *,
    window_s: float = WINDOW_S,
    search_s: float = SEARCH_S,
    frame_s: float = FRAME_S,
) -> list[tuple[int, int]]:
    """Return (start, end) sample positions of the pieces: each at most ``window_s`` long, together all of the audio.

    Args:
        samples: Mono audio, shape (n,).
        sample_rate_hz: Its rate.
        window_s: Longest piece.
        search_s: How much of a window's end is searched for a quiet place; at most half of the window is.
        frame_s: Length of a quiet place.

    Raises:
        ValueError: The window is shorter than two frames.
    """
    window = round(window_s * sample_rate_hz)
    frame = max(round(frame_s * sample_rate_hz), 1)
    search = max(min(round(search_s * sample_rate_hz), window // 2), frame)
    if window < 2 * frame:
        raise ValueError(f"a window of {window_s} s is too short to cut in")
    pieces = []
    start = 0
    while len(samples) - start > window:
        tail = samples[start + window - search : start + window].astype(np.float64)
        energy = np.concatenate(([0.0], np.cumsum(tail**2)))
        quietness = energy[frame:] - energy[:-frame]
        cut = start + window - search + int(np.argmin(quietness)) + frame // 2
        pieces.append((start, cut))
        start = cut
    pieces.append((start, len(samples)))
    return pieces


def join_texts(texts: Sequence[str]) -> str:
    """Join the texts of the pieces with one space, empty ones left out."""
    return " ".join(text.strip() for text in texts if text.strip())
