"""Which utterances go into one batch: a pure function of the manifest and the engine's traits.

The order of the manifest's rows, the number of workers, the condition and a resume do not change it, because padding
follows the batch, and a transcript may follow padding.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asrfair.data.audio import planned_duration_s
from asrfair.data.stored.address import MEMBER_PATTERN, URL_PATTERN, is_url
from asrfair.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from asrfair.data.manifest import Manifest
    from asrfair.recognise.journal import Journal
    from asrfair.types import Utterance

PROBES = 8
"""Threads that look up lengths."""

PROBED_AT_A_TIME = 4096

SHORTEST_SHARE = 0.8
"""How short an utterance may be beside the longest of its batch, which bounds what is padding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Roster:
    """The utterances of a run: those of the manifest that are not excluded, in ascending order of their ids.

    Args:
        ids: Utterance ids, ascending (by code point, as SQLite orders them).
        rows: For each, its row in the manifest's table, shape (utterances,).
        durations_s: For each, its length in seconds, shape (utterances,); 0 where it cannot be known.
    """

    ids: Sequence[str]
    rows: npt.NDArray[np.int64]
    durations_s: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Batches over a roster: ``order[bounds[i]:bounds[i + 1]]`` are the positions of batch ``i``."""

    order: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, number: int) -> npt.NDArray[np.int64]:
        return self.order[self.bounds[number] : self.bounds[number + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[np.int64]]:
        return (self[number] for number in range(len(self)))

    def padding_efficiency(self, durations_s: npt.NDArray[np.float64]) -> float:
        """Return seconds of audio over seconds with padding (1 means that no padding is needed)."""
        lengths = durations_s[self.order]
        sizes = np.diff(self.bounds)
        if not len(sizes) or not lengths.sum():
            return 1.0
        longest = np.maximum.reduceat(lengths, self.bounds[:-1])
        return min(float(lengths.sum() / (longest * sizes).sum()), 1.0)


def plan_batches(durations_s: npt.NDArray[np.float64], *, max_batch: int, max_padded_s: float | None = None) -> Plan:
    """Sort by length, longest first, and cut into batches.

    The longest first: memory runs out at once or never, and the last batches are small, so that workers end together.
    With a budget, an utterance shorter than ``SHORTEST_SHARE`` of its batch's longest begins the next: a large corpus has
    enough of every length, and in a small one padding costs more than a smaller batch.

    Args:
        durations_s: Lengths in the order of a roster (ascending ids break ties), shape (utterances,).
        max_batch: Most utterances in a batch.
        max_padded_s: Most seconds in a batch, padding included; a longer utterance is a batch of its own.
    """
    milliseconds = np.round(durations_s * 1000).astype(np.int64)
    order = np.argsort(-milliseconds, kind="stable").astype(np.int64)
    if max_padded_s is None or max_batch == 1:
        bounds = np.append(np.arange(0, len(order), max_batch), len(order)).astype(np.int64)
        return Plan(order=order, bounds=bounds if len(order) else np.zeros(1, np.int64))
    budget = max_padded_s * 1000
    falling = -milliseconds[order]
    starts = [0]
    position = 0
    while position < len(order):
        longest = -int(falling[position])
        last = position + max(1, min(max_batch, int(budget // max(longest, 1))))
        near = int(np.searchsorted(falling[position:last], -SHORTEST_SHARE * longest, side="right"))
        position = min(position + max(1, near), len(order))
        starts.append(position)
    return Plan(order=order, bounds=np.asarray(starts, np.int64))


def make_roster(manifest: Manifest, journal: Journal, *, audio: bool) -> Roster:
    """List the utterances to transcribe with their lengths, opening files only where the manifest states none.

    Args:
        manifest: The manifest.
        journal: Remembers probed lengths.
        audio: Whether lengths matter (an engine that needs no audio is planned without).

    Raises:
        InputError: Two rows have the same utterance id.
    """
    known = journal.durations() if audio else {}
    found: list[tuple[str, int, float]] = []
    unstated: list[tuple[int, Utterance]] = []
    with ThreadPoolExecutor(PROBES) as pool:  # what takes long is a file server's answer
        for row, utterance in enumerate(manifest.utterances()):
            if utterance.exclude:
                continue
            stated = utterance.duration_s is not None or (utterance.start_s is not None and utterance.end_s is not None)
            length = planned_duration_s(utterance) if stated else known.get(utterance.utterance_id, 0.0)
            if audio and not stated and utterance.utterance_id not in known:
                unstated.append((len(found), utterance))
            found.append((utterance.utterance_id, row, length))
            if len(unstated) >= PROBED_AT_A_TIME:
                _probe(unstated, found, journal, pool)
        _probe(unstated, found, journal, pool)
    found.sort()
    for before, after in itertools.pairwise(found):
        if before[0] == after[0]:
            raise InputError(
                "two rows of the manifest have the same utterance_id",
                file=manifest.path,
                column="utterance_id",
                value=before[0],
                remedy="Run: asrfair manifest validate",
            )
    return Roster(
        ids=[item[0] for item in found],
        rows=np.array([item[1] for item in found], dtype=np.int64),
        durations_s=np.array([item[2] for item in found], dtype=np.float64),
    )


def _probe(
    unstated: list[tuple[int, Utterance]],
    found: list[tuple[str, int, float]],
    journal: Journal,
    pool: ThreadPoolExecutor,
) -> None:
    """Look up lengths that the manifest does not state, enter and remember them."""
    lengths = pool.map(planned_duration_s, [utterance for _, utterance in unstated])
    for (index, utterance), length in zip(unstated, lengths, strict=True):
        found[index] = (utterance.utterance_id, found[index][1], length)
    if unstated:
        journal.remember_durations([found[index][::2] for index, _ in unstated])
    unstated.clear()


class ShardOrder:
    """In which order batches are done where audio lies in shards or on other machines, and what is wanted soon.

    Batches of one utterance are done shard by shard, so that each is fetched once. Larger ones keep the plan's order: they
    are made by length, of utterances from everywhere. What is in a batch never follows from where its audio lies.

    Args:
        manifest: The manifest.
        roster: Its utterances.
        plan: The batches.
    """

    AHEAD = 3
    """Stores that are fetched before they are needed."""

    def __init__(self, manifest: Manifest, roster: Roster, plan: Plan) -> None:
        self.numbers = np.arange(len(plan))
        self._stores: list[str] = []
        import pyarrow as pa  # here: batches are planned without it
        import pyarrow.compute as pc

        audio = pa.array(manifest.table["audio"], pa.large_string())
        stored = pc.or_(pc.match_substring_regex(audio, MEMBER_PATTERN), pc.match_substring_regex(audio, URL_PATTERN))
        if len(plan) < len(roster.ids) or not pc.any(stored).as_py():
            return
        stores = pc.replace_substring_regex(audio, pattern=MEMBER_PATTERN, replacement=r"\1").dictionary_encode()
        names = stores.dictionary.to_pylist()
        rank = np.empty(len(names), np.int64)
        rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        of_batch = rank[np.asarray(stores.indices)[roster.rows[plan.order]]]
        self.numbers = np.argsort(of_batch, kind="stable")
        if any(is_url(name) for name in names):
            self._stores = sorted(names)
            self._of_batch = of_batch
            self._ranks = np.unique(of_batch)

    def soon(self, number: int) -> tuple[str, ...]:
        """Return the remote stores that come after a batch's."""
        if not self._stores:
            return ()
        at = int(np.searchsorted(self._ranks, self._of_batch[number], side="right"))
        found = (self._stores[rank] for rank in self._ranks[at : at + self.AHEAD].tolist())
        return tuple(store for store in found if is_url(store))


def pending(roster: Roster, done: Iterator[str]) -> npt.NDArray[np.bool_]:
    """Return which positions of the roster are not among ``done``, which ascends as the roster does."""
    open_ = np.ones(len(roster.ids), dtype=np.bool_)
    position = 0
    for utterance_id in done:
        while position < len(roster.ids) and roster.ids[position] < utterance_id:
            position += 1
        if position < len(roster.ids) and roster.ids[position] == utterance_id:
            open_[position] = False
    return open_
