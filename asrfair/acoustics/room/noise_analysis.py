"""Measures what a stretch of noise is made of: level, long-term spectrum, tones that stand still, a beat.

Everything is summed up window by window, so that hours of recording cost the memory of half a minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr
from scipy import fft
from scipy.ndimage import median_filter, uniform_filter1d

from asrfair.acoustics.room.beats import Beat, beat_of_lines, find_beats, is_line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = npt.NDArray[np.float64]

RATE_HZ = 16_000
"""Tones and beat are looked for at this rate, in the band up to 8 kHz."""

_SHORT, _LONG = 4096, 32_768
_SHORT_FRAMES = 2000
_LOWEST_TONE_HZ = 30.0
_NEIGHBOURS_HZ = 160.0
_STANDS_OUT_DB = 8.0
_ALWAYS_PERCENT = 25
_MOST_TONES = 12

_BEAT_WINDOW, _BEAT_HOP = 256, 40
_BEAT_BAND_HZ = (100.0, 6000.0)
_BEAT_RATE_HZ = RATE_HZ / _BEAT_HOP
_LONGEST_LAG_S = 8.0
_TREND_S = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Tone:
    """A line in the spectrum that is always there.

    Args:
        frequency_hz: Interpolated between the bins of a two-second window.
        level_db: Its power relative to the whole noise of its recording.
        above_db: How far it stands out of its neighbourhood in a quarter-second window.
        harmonic_of_hz: The lower tone of which it is a multiple, if any.
    """

    frequency_hz: float
    level_db: float
    above_db: float
    harmonic_of_hz: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What the usable noise is made of.

    Args:
        level_dbfs: RMS over everything used.
        quiet_dbfs: Level that nine tenths of the seconds exceed.
        loud_dbfs: Level that one tenth of the seconds exceeds.
        band_hz: Centres of third octaves, shape (bands,).
        band_dbfs: Level in each band; NaN above half the sampling rate of all recordings.
        frequency_hz: Of the fine spectrum, shape (bins,).
        spectrum_db: Fine spectrum (power in 4 Hz), dB re full scale.
        tones: Strongest first.
        beats: What comes again at a fixed interval, the clearest first.
        lag_s: Lags of the envelope's autocorrelation, shape (lags,).
        correlation: The autocorrelation at them.
        steady: Power of what is always there, as noise, in bins of 3.9 Hz up to 8 kHz, shape (2049,): estimated from
            the level that three quarters of quarter-second windows exceed.
    """

    level_dbfs: float
    quiet_dbfs: float
    loud_dbfs: float
    band_hz: Array
    band_dbfs: Array
    frequency_hz: Array
    spectrum_db: Array
    tones: tuple[Tone, ...]
    beats: tuple[Beat, ...]
    lag_s: Array
    correlation: Array
    steady: Array


class _Part:
    """What was heard of one recording: frames, a mean spectrum, products of the envelope with itself."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._short: list[npt.NDArray[np.float32]] = []
        self._frame = 0
        self.long = np.zeros(_LONG // 2 + 1)
        self.long_count = 0
        lags = round(_LONGEST_LAG_S * _BEAT_RATE_HZ)
        self._products, self._pairs = np.zeros(lags + 1), np.zeros(lags + 1)

    def hear_tones(self, narrow: Array) -> None:
        if narrow.size < _SHORT:
            return
        frames = np.lib.stride_tricks.sliding_window_view(narrow, _SHORT)[:: _SHORT // 4]
        first = -self._frame % self._every
        self._frame += len(frames)
        chosen = frames[first :: self._every]
        if len(chosen):
            power = np.abs(fft.rfft(chosen * np.hanning(_SHORT), axis=1)) ** 2
            self._short.append((10 * np.log10(power + 1e-20)).astype(np.float32))
        size = _LONG
        if narrow.size < size:
            narrow = np.pad(narrow, (0, size - narrow.size))
        taper = np.hanning(size)
        for start in range(0, narrow.size - size + 1, size // 2):
            part = narrow[start : start + size] * taper
            self.long += np.abs(fft.rfft(part)) ** 2 * 2 / (size * float((taper**2).sum()))
            self.long_count += 1

    def hear_beat(self, narrow: Array) -> None:
        if narrow.size < 2 * RATE_HZ:
            return
        frames = np.lib.stride_tricks.sliding_window_view(narrow, _BEAT_WINDOW)[::_BEAT_HOP]
        low, high = (round(edge * _BEAT_WINDOW / RATE_HZ) for edge in _BEAT_BAND_HZ)
        spectrum = fft.rfft((frames * np.hanning(_BEAT_WINDOW)).astype(np.float32), axis=1)[:, low:high]
        level = 10 * np.log10(np.abs(spectrum) ** 2 + 1e-20)
        always = np.percentile(level, 20, axis=0)
        envelope = np.clip(level - np.maximum(always, always.max() - 90), 0, 30).mean(axis=1, dtype=np.float64)
        envelope -= uniform_filter1d(envelope, round(_TREND_S * _BEAT_RATE_HZ), mode="nearest")
        size = fft.next_fast_len(2 * envelope.size, real=True)
        correlation = fft.irfft(np.abs(fft.rfft(envelope, size)) ** 2, size)
        count = min(self._products.size, envelope.size // 2)
        self._products[:count] += correlation[:count]
        self._pairs[:count] += envelope.size - np.arange(count)

    def short(self) -> list[npt.NDArray[np.float32]]:
        """Levels of quarter-second windows, dB, each of the shape (windows, 2049)."""
        return self._short

    def tones(self) -> tuple[Tone, ...]:
        if not self._short or not self.long_count:
            return ()
        always = np.percentile(np.concatenate(self._short).astype(np.float64), _ALWAYS_PERCENT, axis=0)
        return find_tones(always, self.long / self.long_count)

    def beats(self) -> tuple[tuple[Beat, ...], Array]:
        """Return the beats, and the envelope's autocorrelation, shape (lags,)."""
        heard = self._pairs > 0
        if not heard.any() or self._products[0] <= 0:
            return (), np.ones(2)
        correlation = self._products[heard] / self._pairs[heard]
        correlation /= correlation[0]
        return find_beats(correlation, _BEAT_RATE_HZ, frames=float(self._pairs[0])), correlation


class Ear:
    """Hears windows of noise one after another, then says what they have in common.

    Tones and beat are looked for in each recording by itself, so that a hum that only one of them holds is not lost;
    level and spectrum are those of all together.

    Args:
        duration_s: How much will be heard in all; frames are spread evenly over it.
    """

    def __init__(self, duration_s: float) -> None:
        self._every = max(1, math.ceil(duration_s * RATE_HZ / (_SHORT // 4) / _SHORT_FRAMES))
        self._parts: dict[int, _Part] = {}
        self._energy, self._samples = 0.0, 0.0
        self._seconds: list[float] = []
        self._bands = 1000 * 2 ** (np.arange(-15, 14) / 3)
        self._band_energy, self._band_time = np.zeros(self._bands.size), np.zeros(self._bands.size)

    def hear(self, samples: npt.NDArray[np.float32], sample_rate_hz: int, recording: int = 0) -> None:
        """Take in one window of noise without a gap, mono, shape (samples,), at any rate, of one recording."""
        wide = samples.astype(np.float64)
        power = wide**2
        self._energy += float(power.sum()) / sample_rate_hz
        self._samples += wide.size / sample_rate_hz
        whole = wide.size // sample_rate_hz
        self._seconds += power[: whole * sample_rate_hz].reshape(whole, sample_rate_hz).mean(axis=1).tolist()
        self._hear_bands(wide, sample_rate_hz)
        narrow = wide if sample_rate_hz == RATE_HZ else soxr.resample(wide, sample_rate_hz, RATE_HZ, quality="HQ")
        part = self._parts.setdefault(recording, _Part(self._every))
        part.hear_tones(narrow)
        part.hear_beat(narrow)

    def _hear_bands(self, samples: Array, sample_rate_hz: int) -> None:
        spectrum = np.abs(fft.rfft(samples)) ** 2 * 2 / samples.size
        frequencies = np.arange(spectrum.size) * (sample_rate_hz / samples.size)
        cumulative = np.concatenate([[0.0], np.cumsum(spectrum)])
        low, high = (np.searchsorted(frequencies, self._bands * 2**side) for side in (-1 / 6, 1 / 6))
        inside = self._bands * 2 ** (1 / 6) <= sample_rate_hz / 2
        seconds = samples.size / sample_rate_hz
        energy = (cumulative[high] - cumulative[low]) / sample_rate_hz
        self._band_energy += np.where(inside, energy, 0.0)
        self._band_time += np.where(inside, seconds, 0.0)

    def result(self) -> Measured:
        """Say what was heard.

        Raises:
            ValueError: Nothing was.
        """
        count = sum(part.long_count for part in self._parts.values())
        if not self._samples or not count:
            raise ValueError("nothing was heard")
        fine = np.sum([part.long for part in self._parts.values()], axis=0) / count
        heard = [part.beats() for part in self._parts.values()]
        beats, correlation = max(heard, key=lambda found: found[0][0].strength if found[0] else -1.0)
        tones = _together([part.tones() for part in self._parts.values()])
        lines = beat_of_lines([tone.frequency_hz for tone in tones])
        if lines is not None and not any(abs(b.rate_hz / lines.rate_hz - 1) < 0.01 for b in beats):
            beats = (*beats, lines)
        tones = tuple(t for t in tones if not any(_only_a_line(t, b, tones) for b in beats))
        seconds = np.array(self._seconds or [self._energy / self._samples])
        quiet, loud = np.percentile(seconds, [10, 90])
        bands = np.where(self._band_time > 0, self._band_energy / np.maximum(self._band_time, 1e-9), np.nan)
        return Measured(
            level_dbfs=_db(self._energy / self._samples),
            quiet_dbfs=_db(float(quiet)),
            loud_dbfs=_db(float(loud)),
            band_hz=self._bands,
            band_dbfs=10 * np.log10(np.maximum(bands, 1e-20)),
            frequency_hz=np.arange(fine.size, dtype=np.float64) * (RATE_HZ / _LONG),
            spectrum_db=10 * np.log10(np.maximum(uniform_filter1d(fine, 8) * 8, 1e-20)),
            tones=tones,
            beats=beats,
            lag_s=np.arange(correlation.size) / _BEAT_RATE_HZ,
            correlation=correlation,
            steady=_steady([level for part in self._parts.values() for level in part.short()]),
        )


def _steady(short: list[npt.NDArray[np.float32]]) -> Array:
    """Return the power of noise of which a quarter of the windows has the least level; zero where too little was heard.

    The power of Gaussian noise in one bin of one window is distributed exponentially: a quarter lies below 0.288 of the
    mean.
    """
    if not short:
        return np.zeros(_SHORT // 2 + 1)
    least = np.percentile(np.concatenate(short).astype(np.float64), _ALWAYS_PERCENT, axis=0)
    scale = 2 / (_SHORT * float((np.hanning(_SHORT) ** 2).sum()))
    steady: Array = 10 ** (least / 10) * scale / -math.log(1 - _ALWAYS_PERCENT / 100)
    return steady


def _together(recordings: Sequence[tuple[Tone, ...]]) -> tuple[Tone, ...]:
    """Return the tones of all recordings, the strongest first; of those within 1 % only the strongest."""
    kept: list[Tone] = []
    for tone in sorted((t for tones in recordings for t in tones), key=lambda t: -t.level_db):
        if all(abs(tone.frequency_hz / other.frequency_hz - 1) > 0.01 for other in kept):
            kept.append(tone)
    return tuple(kept[:_MOST_TONES])


def _only_a_line(tone: Tone, beat: Beat, others: Sequence[Tone]) -> bool:
    """Whether a tone is one of the lines of a fast train, beside the next one; a hum that is a multiple stands alone."""
    beside = any(abs(abs(tone.frequency_hz - other.frequency_hz) - beat.rate_hz) < 1.2 for other in others)
    return beside and is_line_of(tone.frequency_hz, beat)


def find_tones(short_db: Array, fine: Array) -> tuple[Tone, ...]:
    """Find lines that stand out of their neighbourhood most of the time.

    What three quarters of the quarter-second windows exceed is always there: the ring of a knock is not. The frequency
    then comes from two-second windows, by a parabola through the logarithms of the three highest bins.

    Args:
        short_db: Level that three quarters of the quarter-second windows exceed, dB, shape (2049,), up to 8 kHz.
        fine: Mean power spectrum of two-second windows, shape (16385,), up to 8 kHz.
    """
    coarse_hz, fine_hz = RATE_HZ / _SHORT, RATE_HZ / _LONG
    around = median_filter(short_db.astype(np.float64), round(_NEIGHBOURS_HZ / coarse_hz) | 1, mode="nearest")
    above = short_db - around
    inner = above[1:-1]
    peaks = 1 + np.flatnonzero((inner >= above[:-2]) & (inner > above[2:]) & (inner >= _STANDS_OUT_DB))
    total = float(fine.sum())
    found: list[Tone] = []
    for peak in peaks.tolist():
        frequency = peak * coarse_hz
        if frequency < _LOWEST_TONE_HZ:
            continue
        low = max(1, math.floor((frequency - 1.5 * coarse_hz) / fine_hz))
        high = min(fine.size - 2, math.ceil((frequency + 1.5 * coarse_hz) / fine_hz))
        top = low + int(np.argmax(fine[low : high + 1]))
        left, middle, right = (math.log(float(fine[top + k]) + 1e-30) for k in (-1, 0, 1))
        curve = left - 2 * middle + right
        shift = min(max(0.5 * (left - right) / curve, -0.5), 0.5) if curve < 0 else 0.0
        power = float(fine[max(0, top - 4) : top + 5].sum())
        exact = (top + shift) * fine_hz
        if found and abs(exact - found[-1].frequency_hz) < coarse_hz:
            continue
        found.append(Tone(frequency_hz=exact, level_db=_db(power / total), above_db=float(above[peak])))
    strongest = sorted(found, key=lambda tone: -tone.level_db)[:_MOST_TONES]
    return tuple(_related(tone, strongest) for tone in strongest)


def _related(tone: Tone, others: Sequence[Tone]) -> Tone:
    """Say of which lower tone this one is a multiple: the one that it fits best, within 2 % of that tone's pitch."""
    best, found = 0.02, tone.harmonic_of_hz
    for other in sorted(others, key=lambda o: o.frequency_hz):
        ratio = tone.frequency_hz / other.frequency_hz
        # The lowest that fits, unless a higher one fits clearly better.
        if 2 <= round(ratio) <= 20 and abs(ratio - round(ratio)) < best - (0.005 if found else 0.0):
            best, found = abs(ratio - round(ratio)), other.frequency_hz
    return replace(tone, harmonic_of_hz=found)


def _db(power: float) -> float:
    return 10 * math.log10(max(power, 1e-20))
