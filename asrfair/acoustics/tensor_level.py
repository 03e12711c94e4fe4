"""Active speech level after ITU-T P.56 for a batch of tensors; the same choices, and numbers, as in ``level``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy import fft

from asrfair.acoustics.level import HANGOVER_S, MARGIN_DB, SILENCE_DBFS, TIME_CONSTANT_S

_GRID_DB = 0.1
_DEPTH_DB = 90.0
_TAIL_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLevel:
    """Levels of a batch.

    Args:
        level_dbfs: Shape (clips,), NaN where there is nothing to measure.
        mask: Which samples are active, shape (clips, samples); all of a clip without a level.
    """

    level_dbfs: Any
    mask: Any


def valid_mask(torch: Any, lengths: Any, size: int) -> Any:
    """Return which of ``size`` samples belong to each clip, shape (clips, size)."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def fftconvolve(torch: Any, samples: Any, kernels: Any) -> Any:
    """Convolve row by row, in full: shape (clips, samples + kernel − 1)."""
    size = samples.shape[-1] + kernels.shape[-1] - 1
    return torch.fft.irfft(torch.fft.rfft(samples, size) * torch.fft.rfft(kernels, size), size)


def batch_active_level(torch: Any, samples: Any, lengths: Any, sample_rate_hz: int) -> BatchLevel:
    """Measure every clip of a batch.

    Args:
        torch: The module.
        samples: Shape (clips, samples), float64, zeros after each clip's end.
        lengths: Samples of each clip, shape (clips,).
        sample_rate_hz: Sampling rate.
    """
    clips, size = samples.shape
    block = max(1, round(sample_rate_hz / 1000))
    rate = sample_rate_hz / block
    tail = math.ceil(_TAIL_S * rate)
    blocks = -(-size // block) + tail
    rectified = torch.nn.functional.pad(samples.abs(), (0, blocks * block - size))
    g = math.exp(-1 / (sample_rate_hz * TIME_CONSTANT_S))
    reach = tail * block
    steps = torch.arange(reach, dtype=samples.dtype, device=samples.device)
    # Two equal one-pole averages after another: (1 − g)² (n + 1) gⁿ.
    kernel = (1 - g) ** 2 * (steps + 1) * g**steps
    fast = fft.next_fast_len(blocks * block + reach - 1, real=True)
    kernel = torch.nn.functional.pad(kernel, (0, fast - blocks * block + 1 - reach))
    full = fftconvolve(torch, rectified, kernel.expand(clips, -1))[:, : blocks * block].clamp_min(0.0)
    envelope = full[:, block - 1 :: block]
    hang = round(HANGOVER_S * rate)
    held = torch.nn.functional.max_pool1d(torch.nn.functional.pad(envelope, (hang, 0))[:, None], hang + 1, stride=1)[
        :, 0
    ]
    own = valid_mask(torch, torch.div(lengths + block - 1, block, rounding_mode="floor") + tail, blocks)
    held = held * own
    peak = held.amax(dim=1)
    there = peak > 0
    safe = torch.where(there, peak, torch.ones_like(peak))[:, None]
    depth = 20 * torch.log10(torch.maximum(held, safe * 10 ** (-_DEPTH_DB / 20)) / safe)
    count = round(_DEPTH_DB / _GRID_DB)
    bins = torch.floor((depth + _DEPTH_DB) / _GRID_DB).long().clamp(0, count)
    histogram = torch.zeros(clips, count + 1, dtype=samples.dtype, device=samples.device)
    histogram.scatter_add_(1, bins, own.to(samples.dtype))
    active = histogram.flip(1).cumsum(1).flip(1) * block
    energy = (samples**2).sum(dim=1)
    grid = torch.arange(count + 1, dtype=samples.dtype, device=samples.device) * _GRID_DB
    thresholds = 20 * torch.log10(safe) - _DEPTH_DB + grid
    levels = 10 * torch.log10((energy[:, None] / active.clamp_min(1e-300)).clamp_min(1e-300))
    excess = levels - thresholds - MARGIN_DB
    below = excess <= 0
    first = below.int().argmax(dim=1)[:, None]
    before = (first - 1).clamp_min(0)
    rise, fall = excess.gather(1, before), excess.gather(1, first)
    share = torch.where(first > 0, rise / (rise - fall).clamp_min(1e-30), torch.zeros_like(rise))
    level = (levels.gather(1, before) + share * (levels.gather(1, first) - levels.gather(1, before)))[:, 0]
    threshold = (thresholds.gather(1, before) + share * _GRID_DB)[:, 0]
    there = there & below.any(dim=1) & (level >= SILENCE_DBFS)
    level = torch.where(there, level, torch.full_like(level, math.nan))
    # Active to the sample: the last sample above the threshold lies at most 200 ms back.
    place = torch.arange(size, device=samples.device)[None, :]
    reached = torch.where(full[:, :size] >= (10 ** (threshold / 20))[:, None], place, torch.full_like(place, -size * 2))
    since = place - torch.cummax(reached, dim=1).values
    mask = (since <= round(HANGOVER_S * sample_rate_hz)) | ~there[:, None]
    return BatchLevel(level_dbfs=level, mask=mask & valid_mask(torch, lengths, size))
