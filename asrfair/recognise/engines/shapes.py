"""A few shapes instead of many: batches filled up so that compiled code and CUDA graphs can be used again.

Samples are filled up to four lengths an octave, which adds a quarter at most; clips to a power of two, with copies of the
first, whose answers nobody reads. Masks say what is padding, as they do inside a batch anyway: whether that leaves
transcripts as they are is what ``asrfair run --invariance-check`` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STEPS_AN_OCTAVE = 4
SHAPES = 512
"""More than the shapes that can occur between a tenth of a second and a minute, with up to 4,096 clips."""


def length_bucket(samples: int) -> int:
    """Return the next of four lengths an octave: 4, 5, 6 or 7 times a power of two."""
    step = max((1 << (max(samples - 1, 1).bit_length() - 1)) // STEPS_AN_OCTAVE, 1)
    return -(-samples // step) * step


def row_bucket(rows: int, most: int) -> int:
    """Return the next power of two, but no more than the engine's largest batch."""
    return max(rows, min(1 << (rows - 1).bit_length(), most))


def bucketed(torch: Any, inputs: Mapping[str, Any], *, most: int) -> dict[str, Any]:
    """Fill up a batch's tensors: clips always, samples where the tensors are samples (and not features).

    Args:
        torch: The module.
        inputs: Tensors, clips first.
        most: Most clips in a batch.
    """
    rows = len(next(iter(inputs.values())))
    more = row_bucket(rows, most) - rows
    samples = inputs.get("input_values")
    filled = {}
    for name, value in inputs.items():
        if samples is not None and value.shape == samples.shape:
            value = torch.nn.functional.pad(value, (0, length_bucket(samples.shape[1]) - samples.shape[1]))  # noqa: PLW2901
        filled[name] = torch.cat([value, value[:1].expand(more, *value.shape[1:])]) if more else value
    return filled
