"""Finds what comes again at a fixed interval in an envelope: one train of pulses, or several at once.

All work is on the autocorrelation of the envelope, so that hours of recording cost no more than minutes. Each train adds
a function of the lag that repeats with its interval. The clearest is found, folded out, and the rest is looked at again.
A train whose interval is a whole fraction of the one found (a cold head at 1.2 a second, a scanner at 18) would go with
it: it shows in the folded function as lines of its spectrum that stand out of their neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

SLOWEST_HZ, FASTEST_HZ = 0.4, 40.0
_RIPPLE_HZ = 70.0
"""Up to here intervals are looked for: what is faster than ``FASTEST_HZ`` is the ripple of a hum, and taken out."""

_LEAST_STRENGTH = 0.2
_MOST_BEATS = 4
_MOST_LOOKS = 8
_SHORTEST_S = 0.02
_STANDS_OUT = 4.0
_LEAST_LINE = 0.03
_LEAST_LATER, _LEAST_SHARE = 0.3, 0.08
_LEFT_OVER = 12
LINES_FROM_HZ = 5.0
"""Trains slower than this have no lines that stand apart in quarter-second windows."""

_LEAST_LINES = 4
_ON_LINE_HZ = 0.6
_MEETING = 0.4
_ALIKE = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """Something that comes again at a fixed interval.

    Args:
        rate_hz: How often a second.
        strength: Autocorrelation of the envelope at one interval, 0 to 1.
    """

    rate_hz: float
    strength: float


def find_beats(correlation: Array, rate_hz: float, *, frames: float) -> tuple[Beat, ...]:
    """Find every train of pulses, the clearest first.

    Args:
        correlation: Autocorrelation of the envelope, 1 at lag 0, shape (lags,).
        rate_hz: Lags a second.
        frames: How many values of the envelope it rests on.
    """
    rest = correlation.copy()
    found: list[tuple[Beat, Beat]] = []  # with the one in which it was found: itself, or a slower one
    least = max(_LEAST_SHARE, 3 / math.sqrt(max(frames / 8, 1.0)))
    for look in range(_MOST_LOOKS):
        if rest[0] <= _LEAST_SHARE:
            break
        beat = find_beat(rest / rest[0], rate_hz, frames=frames)
        if beat is None or (look and (beat.strength < _LEAST_LATER or beat.strength * rest[0] < least)):
            break
        folded, rest = _folded_out(rest, rate_hz / beat.rate_hz, rate_hz)
        trains = _trains(folded, beat)
        parent = beat if beat in trains else None
        found += [(train, parent or train) for train in trains]
    kept: list[Beat] = []
    for train, parent in found:
        others = [
            one for one, own in found if one is not parent and own is not train and one.rate_hz < 0.6 * train.rate_hz
        ]
        over = any(
            _multiple(train.rate_hz / other.rate_hz) for other in (*others, *(k for k in kept if k is not parent))
        )
        if not over and train.rate_hz <= FASTEST_HZ * (1 + _ALIKE):
            kept.append(train)
    return tuple(kept[:_MOST_BEATS])


def beat_of_lines(frequencies: Sequence[float]) -> Beat | None:
    """Find a train of pulses so fast and regular that its spectrum is lines: tones at multiples of one rate.

    Four or more neighbouring multiples are asked for, so that a hum and its harmonics (which are far apart) are none.

    Args:
        frequencies: Of the tones that were found, Hz.
    """
    tones = np.sort(np.asarray(frequencies, dtype=np.float64))
    best: Beat | None = None
    for step in np.diff(tones):
        if not LINES_FROM_HZ <= step <= FASTEST_HZ * (1 + _ALIKE):
            continue
        orders = np.round(tones / step)
        on = np.abs(tones - orders * step) < 0.1 * step
        rate = float((tones[on] @ orders[on]) / (orders[on] @ orders[on])) if on.any() else float(step)
        on = np.abs(tones - np.round(tones / rate) * rate) < _ON_LINE_HZ
        neighbours = int(np.sum(np.diff(np.round(tones[on] / rate)) == 1))
        share = float(on.mean())
        if neighbours >= _LEAST_LINES - 1 and (best is None or share > best.strength):
            best = Beat(rate_hz=rate, strength=share)
    return best


def is_line_of(frequency_hz: float, beat: Beat) -> bool:
    """Whether a tone is one of a fast train's lines."""
    if beat.rate_hz < LINES_FROM_HZ:
        return False
    return abs(frequency_hz - round(frequency_hz / beat.rate_hz) * beat.rate_hz) < _ON_LINE_HZ


def _multiple(ratio: float) -> bool:
    """Whether a rate is a whole multiple or fraction of another, or the same: what folding out has left over."""
    times = max(ratio, 1 / ratio)
    return round(times) <= _LEFT_OVER and abs(times / round(times) - 1) < (0.03 if round(times) == 1 else 0.01)


def _folded_out(correlation: Array, interval: float, rate_hz: float) -> tuple[Array, Array]:
    """Return the mean over all multiples of an interval, one interval long, and the correlation without it.

    The first lags hold what neighbouring values of any envelope share, and are left out of the mean.
    """
    size = max(8, round(interval))
    lags = np.arange(correlation.size)
    phase = (lags / interval) % 1.0 * size
    first = np.floor(phase).astype(np.int64) % size
    share = phase - np.floor(phase)
    used = lags >= _SHORTEST_S * rate_hz
    total, weight = np.zeros(size), np.zeros(size)
    for place, part in ((first, 1 - share), ((first + 1) % size, share)):
        np.add.at(total, place[used], (part * correlation)[used])
        np.add.at(weight, place[used], part[used])
    folded = total / np.maximum(weight, 1e-9)
    folded -= folded.mean()
    rest = correlation - (folded[first] * (1 - share) + folded[(first + 1) % size] * share)
    return folded, rest


def _trains(folded: Array, beat: Beat) -> list[Beat]:
    """Return the trains in what comes again at a beat: itself, and those whose interval is a whole fraction of its own.

    The lines of such a train stand out together. Where hardly anything else is there, the beat itself is only where the
    others meet, and is none.
    """
    lines = np.abs(np.fft.rfft(folded)) / folded.size
    rest = lines.copy()
    rest[0] = 0.0
    found: list[Beat] = []
    for times in range(2, int(FASTEST_HZ / beat.rate_hz) + 1):
        own = np.arange(times, lines.size - 1, times)
        if own.size == 0 or any(times % round(other.rate_hz / beat.rate_hz) == 0 for other in found):
            continue
        near = np.maximum(lines[own - 1], lines[own + 1])
        if np.all(lines[own[:2]] > _STANDS_OUT * near[:2]) and lines[own[0]] > _LEAST_LINE * lines[1:].max():
            found.append(Beat(rate_hz=times * beat.rate_hz, strength=float(2 * lines[own].sum())))
            rest[own] = 0.0
    if found and rest.max() < _MEETING * lines[1:].max():
        return found
    return [beat, *found]


def find_beat(correlation: Array, rate_hz: float, *, frames: float) -> Beat | None:
    """Find the interval after which the envelope is like itself, and again, and again.

    Candidates are peaks of the autocorrelation; each is judged by the mean over its multiples less the mean half-way
    between them, and the shortest of those within a tenth of the best is taken. Its last multiple gives the interval
    exactly.

    Args:
        correlation: Autocorrelation of the envelope, 1 at lag 0, shape (lags,).
        rate_hz: Lags a second.
        frames: How many values of the envelope it rests on.
    """
    shortest, longest = max(2, round(rate_hz / _RIPPLE_HZ)), min(round(rate_hz / SLOWEST_HZ), correlation.size - 2)
    least = max(_LEAST_STRENGTH, 4 / math.sqrt(max(frames / 10, 1.0)))
    lags = np.arange(shortest, longest + 1)
    if lags.size == 0:
        return None
    here = correlation[lags]
    peaks = lags[(here >= correlation[lags - 1]) & (here > correlation[lags + 1]) & (here >= least)]
    intervals = [_refined(correlation, int(lag)) for lag in peaks]
    scores = [_comb(correlation, interval) for interval in intervals]
    if not scores or max(scores) <= 0:
        return None
    chosen = min(interval for interval, score in zip(intervals, scores, strict=True) if score >= 0.9 * max(scores))
    return Beat(rate_hz=rate_hz / chosen, strength=float(np.interp(chosen, np.arange(correlation.size), correlation)))


def _refined(correlation: Array, lag: int) -> float:
    """Return the interval, in lags, by following its peak from multiple to multiple."""
    interval = float(lag)
    reach = max(1, round(0.1 * lag))
    for multiple in range(1, (correlation.size - 2) // lag + 1):
        middle = round(interval * multiple)
        low, high = max(1, middle - reach), min(correlation.size - 2, middle + reach)
        if low > high:
            break
        top = low + int(np.argmax(correlation[low : high + 1]))
        if correlation[top] < 0.5 * correlation[lag]:
            break
        left, centre, right = (float(v) for v in correlation[top - 1 : top + 2])
        curve = left - 2 * centre + right
        interval = (top + (min(max(0.5 * (left - right) / curve, -0.5), 0.5) if curve < 0 else 0.0)) / multiple
    return interval


def _comb(correlation: Array, interval: float) -> float:
    """Return the mean at the first multiples of an interval less the mean half-way between them."""
    multiples = np.arange(1, int((correlation.size - 1) / interval) + 1)[:6]
    lags = np.arange(correlation.size)
    here, between = (np.interp(m * interval, lags, correlation) for m in (multiples, multiples - 0.5))
    return float(here.mean() - between.mean())
