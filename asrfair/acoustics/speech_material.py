"""The rest of the manifest, as conditions need it: other people's speech for babble, the long-term spectrum."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from asrfair.acoustics.level import active_level
from asrfair.data.stored.address import as_audio
from asrfair.errors import AsrfairError, InputError
from asrfair.types import Utterance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt
    import pyarrow as pa

    from asrfair.types import Clip

SPECTRUM_UTTERANCES = 200
"""How many utterances the corpus's spectrum is measured on."""

CACHED_CLIPS = 64
"""How many clips of other speakers stay in memory: babble asks for the same ones again and again."""


def _load(utterance: Utterance, sample_rate_hz: int) -> Clip:
    from asrfair.data.audio import load_clip

    return load_clip(utterance, sample_rate_hz)


_ROWS_AT_A_TIME = 1 << 16


def _columns() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("speaker_id", pa.large_string()),
            ("utterance_id", pa.large_string()),
            ("audio", pa.large_binary()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("channel", pa.int64()),
            ("language", pa.large_string()),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class RenderContext:
    """Where the manifest's speech lies and who speaks, and how to read it. Picklable.

    Every worker gets one, so it is columns (about a hundred bytes an utterance), not objects. Make it with
    :meth:`of` from the *whole* manifest, not a shard of it: what an utterance sounds like must not depend on the shard.

    Args:
        table: Utterances with audio that are not excluded, in the order of speakers and ids; ``None`` for none.
        load: Reads one as mono at a sample rate; a module-level function.
    """

    table: pa.Table | None = None
    load: Callable[[Utterance, int], Clip] = _load

    @classmethod
    def of(cls, utterances: Iterable[Utterance], load: Callable[[Utterance, int], Clip] = _load) -> RenderContext:
        """Build a context from any iterable of utterances; the order does not matter."""
        import pyarrow as pa

        schema = _columns()
        rows = (
            (u.speaker_id, u.utterance_id, os.fsencode(u.audio), u.start_s, u.end_s, u.channel, u.language)
            for u in utterances
            if u.audio is not None and not u.exclude
        )
        parts = []
        while block := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
            columns = zip(*block, strict=True)
            arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
            parts.append(pa.Table.from_arrays(arrays, schema=schema))
        table = pa.concat_tables(parts) if parts else schema.empty_table()
        ordered = table.sort_by([("speaker_id", "ascending"), ("utterance_id", "ascending")])
        return cls(table=ordered.combine_chunks(), load=load)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spectrum:
    """Relative power density over frequency, both shape (bins,)."""

    frequencies_hz: npt.NDArray[np.float64]
    density: npt.NDArray[np.float64]

    def at(self, frequencies_hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Interpolate the density; zero below 20 Hz."""
        density: npt.NDArray[np.float64] = np.interp(frequencies_hz, self.frequencies_hz, self.density)
        return np.where(frequencies_hz >= 20, density, 0.0)


class Corpus:
    """Looks things up in a ``RenderContext``, in an order that depends on ids only."""

    def __init__(self, context: RenderContext) -> None:
        self._load = context.load
        self._table = context.table
        self._by_speaker: dict[str, range] = {}
        start = 0
        for chunk in () if self._table is None else self._table["speaker_id"].chunks:  # one, or none
            import pyarrow.compute as pc

            runs = pc.run_end_encode(chunk)
            for speaker, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                self._by_speaker[speaker] = range(start, end)
                start = end
        self._speakers = list(self._by_speaker)
        self._cached = lru_cache(maxsize=CACHED_CLIPS)(self._read)
        self._spectra: dict[int, Spectrum] = {}

    @property
    def speakers(self) -> list[str]:
        """The speakers of utterances with audio that are not excluded, sorted."""
        return self._speakers

    def others(self, speaker_id: str) -> list[str]:
        """Return all speakers but one, sorted."""
        return [s for s in self._speakers if s != speaker_id]

    def of_speaker(self, speaker_id: str) -> range:
        """Return the positions of a speaker's utterances, in the order of their ids."""
        return self._by_speaker.get(speaker_id, range(0))

    def spectrum(self, sample_rate_hz: int) -> Spectrum:
        """Return the long-term average spectrum of the corpus's active speech at a sample rate.

        At most 200 utterances are measured, taken from the speakers in turn, so that none dominates; which ones
        depends on ids only. Each utterance counts with the same weight, whatever its level and length.
        """
        if sample_rate_hz not in self._spectra:
            chosen: list[int] = []
            rounds = max((len(v) for v in self._by_speaker.values()), default=0)
            for turn in range(rounds):
                chosen += [self._by_speaker[s][turn] for s in self._speakers if turn < len(self._by_speaker[s])]
                if len(chosen) >= SPECTRUM_UTTERANCES:
                    break
            self._spectra[sample_rate_hz] = _average_spectrum(
                [self.load(position, sample_rate_hz) for position in chosen[:SPECTRUM_UTTERANCES]], sample_rate_hz
            )
        return self._spectra[sample_rate_hz]

    def load(self, position: int, sample_rate_hz: int) -> Clip | None:
        """Read the audio of an utterance, or ``None`` where it cannot be read; a few clips are kept in memory."""
        return self._cached(position, sample_rate_hz)

    def _read(self, position: int, sample_rate_hz: int) -> Clip | None:
        assert self._table is not None
        (row,) = self._table.slice(position, 1).to_pylist()
        utterance = Utterance(**{**row, "audio": as_audio(os.fsdecode(row["audio"])), "reference": ""})
        try:
            return self._load(utterance, sample_rate_hz)
        except AsrfairError:
            return None


def _average_spectrum(clips: Iterable[Clip | None], sample_rate_hz: int) -> Spectrum:
    size = 2 ** math.ceil(math.log2(sample_rate_hz * 0.032))
    total = np.zeros(size // 2 + 1)
    for clip in clips:
        level = None if clip is None else active_level(clip.samples, sample_rate_hz)
        if clip is None or level is None:
            continue
        speech = clip.samples.astype(np.float64)[level.mask]
        if speech.size < size:
            continue
        from scipy.signal import welch

        _, density = welch(speech, sample_rate_hz, nperseg=size, detrend=False)
        total += density / density.sum()
    if not total.any():
        raise InputError(
            "the long-term spectrum of the corpus cannot be measured: no utterance holds speech",
            remedy='Write spectrum = "international" in the profile',
        )
    return Spectrum(frequencies_hz=np.arange(total.size) * (sample_rate_hz / size), density=total)
