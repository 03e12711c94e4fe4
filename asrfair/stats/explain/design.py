"""The design of a count model: one intercept a group, covariates, and the speaker as the unit of independence.

The matrix is never built. A row touches one group intercept and the covariates, and nearly every speaker touches one
group, so all sums are kept as small dense blocks a speaker: 100,000 utterances × 60 groups cost what 100,000 × 6 cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BLOCK_BYTES = 128_000_000
"""Speakers are handled in chunks whose blocks stay under this size."""


def add_up(place: Integers, values: Floats, size: int = 0) -> Floats:
    """Sum ``values`` by their place; shape (size,) or as long as the largest place needs."""
    total: Floats = np.bincount(place, weights=values, minlength=size).astype(np.float64)
    return total


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Sums of one chunk of speakers.

    Args:
        speakers: Which speakers, as a slice of 0…speakers-1.
        index: Shape (speakers, d): the parameters each speaker touches; the number of parameters marks padding.
        vector: Shape (speakers, d): Σ_j w_j x_j over the speaker's rows.
        matrix: Shape (speakers, d, d): Σ_j w_j x_j x_jᵀ.
    """

    speakers: slice
    index: Integers
    vector: Floats
    matrix: Floats


class Design:
    """Rows of counts, sorted by speaker and group.

    Args:
        errors: Shape (rows,): errors of each row.
        ref_words: Shape (rows,): reference words, all positive (their log is the offset).
        speaker: Shape (rows,): any integer code a speaker.
        group: Shape (rows,): group codes 0…groups-1, each one present.
        covariates: Shape (rows, q), or none.

    Raises:
        ValueError: Lengths differ, or a row has no reference words.
    """

    def __init__(
        self,
        *,
        errors: npt.ArrayLike,
        ref_words: npt.ArrayLike,
        speaker: npt.ArrayLike,
        group: npt.ArrayLike,
        covariates: npt.ArrayLike | None = None,
    ) -> None:
        self.errors: Floats = np.asarray(errors, dtype=np.float64)
        self.words: Floats = np.asarray(ref_words, dtype=np.float64)
        rows = len(self.errors)
        _, speakers = np.unique(np.asarray(speaker), return_inverse=True)
        groups = np.asarray(group, dtype=np.int64)
        table = np.zeros((rows, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
        if table.ndim != 2 or not len(self.words) == len(speakers) == len(groups) == len(table) == rows:
            raise ValueError("errors, ref_words, speaker, group and covariates must have one row each")
        if rows == 0 or np.any(self.words <= 0):
            raise ValueError("every row of a count model needs at least one reference word")
        order = np.lexsort((groups, speakers))
        self.errors, self.words, self.covariates = self.errors[order], self.words[order], table[order]
        self.speaker: Integers = speakers[order].astype(np.int64)
        self.group: Integers = groups[order]
        self.log_words: Floats = np.log(self.words)
        self.speakers = int(self.speaker[-1]) + 1
        self.groups = int(self.group.max()) + 1
        self.parameters = self.groups + self.covariates.shape[1]
        self._prepare()

    def _prepare(self) -> None:
        rows = len(self.errors)
        new_speaker = np.flatnonzero(np.diff(self.speaker, prepend=-1))
        self.row_starts: Integers = np.append(new_speaker, rows)
        changed = np.diff(self.speaker, prepend=-1) + np.abs(np.diff(self.group, prepend=-1)) != 0
        starts = np.flatnonzero(changed)
        self.pair_starts: Integers = np.append(starts, rows)
        self.pair_speaker: Integers = self.speaker[starts]
        self.pair_group: Integers = self.group[starts]
        first_pair = np.searchsorted(self.pair_speaker, np.arange(self.speakers + 1))
        self.speaker_pairs: Integers = first_pair
        self.pair_slot: Integers = np.arange(len(starts)) - first_pair[self.pair_speaker]
        self.slots = int(np.diff(first_pair).max())
        self.errors_by_speaker = np.add.reduceat(self.errors, new_speaker)
        q = self.covariates.shape[1]
        self._upper = np.triu_indices(q)

    def predict(self, beta: Floats) -> Floats:
        """Return the linear predictor log(words) + μ_group + Zγ of every row; shape (rows,)."""
        eta = self.log_words + beta[self.group]
        if self.covariates.shape[1]:
            eta = eta + self.covariates @ beta[self.groups :]
        return eta

    def by_speaker(self, values: Floats) -> Floats:
        """Add up a value a row to one a speaker."""
        return np.add.reduceat(values, self.row_starts[:-1])

    def total(self, weights: Floats) -> Floats:
        """Return Xᵀw; shape (parameters,)."""
        top = add_up(self.group, weights, self.groups)
        return np.concatenate([top, weights @ self.covariates])

    def blocks(self, weights: Floats) -> Iterator[Blocks]:
        """Yield the sums of all speakers, chunk by chunk, for one weight a row."""
        q = self.covariates.shape[1]
        width = self.slots + q
        step = max(1, BLOCK_BYTES // (8 * 3 * width * width))
        for first in range(0, self.speakers, step):
            last = min(first + step, self.speakers)
            yield self._block(weights, slice(first, last), q, width)

    def _block(self, weights: Floats, speakers: slice, q: int, width: int) -> Blocks:
        count = speakers.stop - speakers.start
        pairs = slice(self.speaker_pairs[speakers.start], self.speaker_pairs[speakers.stop])
        rows = slice(self.row_starts[speakers.start], self.row_starts[speakers.stop])
        offset = self.row_starts[speakers.start]
        pair_starts = self.pair_starts[pairs] - offset
        owner = self.pair_speaker[pairs] - speakers.start
        slot = self.pair_slot[pairs]
        w, z = weights[rows], self.covariates[rows]
        index = np.full((count, width), self.parameters)
        index[owner, slot] = self.pair_group[pairs]
        vector = np.zeros((count, width))
        matrix = np.zeros((count, width, width))
        pair_weight = np.add.reduceat(w, pair_starts)
        vector[owner, slot] = pair_weight
        matrix[owner, slot, slot] = pair_weight
        if q:
            here = np.arange(self.slots, width)
            index[:, here] = self.groups + np.arange(q)
            weighted = w[:, None] * z
            cross = np.add.reduceat(weighted, pair_starts, axis=0)
            matrix[owner[:, None], slot[:, None], here[None, :]] = cross
            matrix[owner[:, None], here[None, :], slot[:, None]] = cross
            starts = self.row_starts[speakers] - offset
            vector[:, here] = np.add.reduceat(weighted, starts, axis=0)
            for i, j in zip(*self._upper, strict=True):
                values = np.add.reduceat(weighted[:, i] * z[:, j], starts)
                matrix[:, self.slots + i, self.slots + j] = values
                matrix[:, self.slots + j, self.slots + i] = values
        return Blocks(speakers=speakers, index=index, vector=vector, matrix=matrix)

    def scatter_vector(self, index: Integers, values: Floats) -> Floats:
        """Add blocks of shape (speakers, d) into a vector of all parameters."""
        return add_up(index.ravel(), values.ravel(), self.parameters + 1)[: self.parameters]

    def scatter_matrix(self, index: Integers, values: Floats) -> Floats:
        """Add blocks of shape (speakers, d, d) into a matrix of all parameters."""
        size = self.parameters + 1
        flat = index[:, :, None] * size + index[:, None, :]
        total = add_up(flat.ravel(), values.ravel(), size * size)
        return total.reshape(size, size)[: self.parameters, : self.parameters]
