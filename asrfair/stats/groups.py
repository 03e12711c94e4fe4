"""Who belongs to which group: one attribute, or an intersection of several, as sums over speakers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.stats.frame import Floats, Frame, Ints
from asrfair.types import INTERSECTION, NOT_STATED, OVERALL_ATTRIBUTE, OVERALL_GROUP


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """The groups of one attribute or intersection, and the *cells* (a speaker within a group) they consist of.

    Cells are sorted by group, then speaker. A speaker stands in several cells if the attribute varies between that
    speaker's utterances (a topic, a device, a bilingual's language). N cells, G groups, A atoms of the frame.

    Attributes:
        attribute: ``accent``, ``accent × gender`` or ``overall``.
        names: Names of the groups: sorted, those with a ``not_stated`` part last, shape (G,).
        stated: Whether every part of the group's name was stated, shape (G,).
        cell_group: Group of a cell, shape (N,), ascending.
        cell_speaker: Speaker of a cell, shape (N,).
        starts: First cell of each group, shape (G,).
        atom_cell: Cell of each atom, shape (A,).
        utterance_group: Group of each utterance, shape (U,).
    """

    attribute: str
    names: tuple[str, ...]
    stated: npt.NDArray[np.bool_]
    cell_group: npt.NDArray[np.int64]
    cell_speaker: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    atom_cell: npt.NDArray[np.int64]
    utterance_group: npt.NDArray[np.int64]

    @cached_property
    def spans(self) -> bool:
        """Whether any speaker stands in more than one group."""
        return len(np.unique(self.cell_speaker)) < len(self.cell_speaker)

    def cells(self, atom_sums: Ints) -> Ints:
        """Add atoms up to cells: (R, A) to (R, N)."""
        summed = np.zeros((atom_sums.shape[0], len(self.cell_group)), dtype=np.int64)
        for row, values in zip(summed, atom_sums, strict=True):
            np.add.at(row, self.atom_cell, values)
        return summed

    def groups(self, cell_values: Ints) -> Ints:
        """Add cells up to groups: (R, N) to (R, G)."""
        summed: Ints = np.add.reduceat(cell_values, self.starts, axis=-1)
        return summed

    def home(self, weight: Floats | Ints) -> npt.NDArray[np.int64]:
        """The one group in which a speaker is resampled: where most of the weight is, the first of equals.

        Args:
            weight: Words of each cell, shape (N,).

        Returns:
            Group of each distinct speaker of the cells, in the order of ``np.unique(cell_speaker)``.
        """
        order = np.lexsort((self.cell_group, -weight, self.cell_speaker))
        _, first = np.unique(self.cell_speaker[order], return_index=True)
        groups: npt.NDArray[np.int64] = self.cell_group[order][first]
        return groups


def make_grouping(frame: Frame, by: tuple[str, ...]) -> Grouping:
    """Group by one attribute, by an intersection, or by nothing (everybody)."""
    rows = frame.atom_rows
    if not by:
        return _grouping(frame, OVERALL_ATTRIBUTE, np.zeros(len(rows), dtype=np.int64), [(OVERALL_GROUP,)])
    code = np.zeros(len(rows), dtype=np.int64)
    parts: list[list[str]] = []
    for name in by:
        codes, values = pd.factorize(frame.utterances[name].to_numpy()[rows], sort=True)
        parts.append([str(value) for value in values])
        code = code * len(values) + codes
    found, code = np.unique(code, return_inverse=True)
    names: list[tuple[str, ...]] = []
    for number in found.tolist():
        picked: list[str] = []
        for known in reversed(parts):
            number, digit = divmod(number, len(known))  # noqa: PLW2901 -- the digits of a mixed-radix number
            picked.append(known[digit])
        names.append(tuple(reversed(picked)))
    return _grouping(frame, INTERSECTION.join(by), code, names)


def _grouping(
    frame: Frame, attribute: str, atom_group: npt.NDArray[np.int64], names: list[tuple[str, ...]]
) -> Grouping:
    order = sorted(range(len(names)), key=lambda i: (NOT_STATED in names[i], names[i]))
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    group = rank[atom_group]
    speakers = len(frame.speakers)
    keys, atom_cell = np.unique(group * speakers + frame.atom_speaker, return_inverse=True)
    cell_group, cell_speaker = np.divmod(keys, speakers)
    return Grouping(
        attribute=attribute,
        names=tuple(INTERSECTION.join(names[i]) for i in order),
        stated=np.array([NOT_STATED not in names[i] for i in order], dtype=bool),
        cell_group=cell_group,
        cell_speaker=cell_speaker,
        starts=np.searchsorted(cell_group, np.arange(len(names))),
        atom_cell=atom_cell,
        utterance_group=group[frame.atom],
    )
