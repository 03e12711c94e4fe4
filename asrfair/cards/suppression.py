"""Which cells of a card are too small to publish, and which others must go with them.

Primary rule: a group with fewer than ``smallest`` speakers shows no number. Complementary rule: totals are published
too, so that ``all − us − scottish`` would give the third group away; further cells are hidden until

1. no sum of hidden cells that a reader can compute stands for fewer than ``smallest`` speakers, and
2. a reader who solves all the sums at once (linear programming over the hidden cells, none negative) can pin no count
   of a hidden cell down to a range narrower than one, or than a fifth of its value.

Nothing tells a cell that was too small from one that was hidden to protect it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.sparse import csr_array

from asrfair.errors import InputError
from asrfair.report.loading import RunData, section
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE, OVERALL_GROUP

Cell = tuple[str, str]
"""Attribute and group."""

TOTAL: Cell = (OVERALL_ATTRIBUTE, OVERALL_GROUP)
COUNTS = ("speakers", "utterances", "ref_words", "hits", "substitutions", "deletions", "insertions")
SUPPRESSED = "suppressed"
"""The flag of a hidden row."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """``whole`` is the sum of ``parts``."""

    whole: Cell
    parts: tuple[Cell, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The whole and its parts."""
        return (self.whole, *self.parts)


def hidden_cells(runs: Sequence[RunData], smallest: int) -> list[frozenset[Cell]]:
    """Return, for each run, the cells that its part of a card must not show.

    Runs on the same manifest are protected together: what is hidden in one is hidden in all of them, and a group that
    differs between them by fewer than ``smallest`` speakers is hidden too (its difference would be a small cell).

    Raises:
        InputError: A whole run has fewer speakers than ``smallest``, or differs by so few from another.
    """
    families: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        families.setdefault(_corpus(run, place), []).append(place)
    hidden: list[frozenset[Cell]] = [frozenset()] * len(runs)
    for places in families.values():
        forced = _differ_by_few([runs[place] for place in places], smallest)
        if TOTAL in forced:
            raise InputError(
                f"two runs on the same speakers differ by fewer than {smallest} of them, so that one card with both "
                "would tell the results of so few people",
                file=runs[places[0]].path,
                remedy="Make two cards, or choose a smaller --smallest-cell",
            )
        while True:
            found = [_hidden_in_run(runs[place], smallest, forced) for place in places]
            union = frozenset().union(*found)
            if union <= forced or len(places) == 1:
                break
            forced |= union
        for place, cells in zip(places, found, strict=True):
            hidden[place] = cells
    return hidden


def suppress(frame: pd.DataFrame, hidden: Iterable[Cell]) -> pd.DataFrame:
    """Return the table with every number and flag of the hidden cells gone; the rows and their names stay."""
    gone = set(hidden)
    where = np.array([cell in gone for cell in zip(frame["attribute"], frame["group"], strict=True)], dtype=bool)
    shown = frame.copy()
    for name in shown.columns:
        if pd.api.types.is_numeric_dtype(shown[name]):
            shown[name] = shown[name].astype(float).mask(where)
    shown["flag"] = np.where(where, SUPPRESSED, shown.get("flag", ""))
    return shown


def nested(run: RunData) -> list[Relation]:
    """Return the sums that hold because groups of one attribute happen to make up a group of another.

    A reader who knows that "Glasgow" and "Edinburgh" are all of "Scottish" can add them up, although no table says so.
    """
    rows = run.utterances()
    if rows is None:
        return []
    labels = {
        attribute: rows[names].astype(str).agg(INTERSECTION.join, axis=1)
        for attribute in run.attributes
        if set(names := attribute.split(INTERSECTION)) <= set(rows.columns)
    }
    found = []
    for coarse, wholes in labels.items():
        for fine, parts in labels.items():
            if coarse == fine:
                continue
            pairs = pd.DataFrame({"whole": wholes, "part": parts}).drop_duplicates()
            once = ~pairs["part"].duplicated(keep=False)
            for whole, mine in pairs.groupby("whole", sort=True):
                if once[mine.index].all():
                    cells = tuple((fine, str(part)) for part in sorted(mine["part"]))
                    found.append(Relation(whole=(coarse, str(whole)), parts=cells))
    return found


def relations(cells: Iterable[Cell]) -> list[Relation]:
    """Return every sum that holds between cells: groups into everybody, intersections into each of their attributes.

    An intersection whose group names cannot be split into as many parts as it has attributes has only the sum into
    everybody; :func:`hidden_cells` hides such an intersection altogether.
    """
    by_attribute: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell != TOTAL:
            by_attribute.setdefault(cell[0], []).append(cell)
    found = [Relation(whole=TOTAL, parts=tuple(parts)) for parts in by_attribute.values()]
    for fine, parts in by_attribute.items():
        for coarse, wholes in by_attribute.items():
            where = _places(fine, coarse)
            if where is None or not _splits(fine, parts):
                continue
            for whole in wholes:
                mine = tuple(
                    part
                    for part in parts
                    if INTERSECTION.join(part[1].split(INTERSECTION)[place] for place in where) == whole[1]
                )
                if mine:
                    found.append(Relation(whole=whole, parts=mine))
    return found


def exposed_cell(
    values: Mapping[Cell, float], known: Sequence[Relation], hidden: Sequence[Cell], safe: set[Cell]
) -> Cell | None:
    """Return a hidden cell whose value the published cells pin down too closely; ``None`` where there is none.

    Args:
        values: The true value of each cell; cells that it lacks are not judged.
        known: The sums that hold.
        hidden: The cells to solve for.
        safe: Cells that are known not to be exposed; those that are found not to be are added. A cell stays safe when
            more cells are hidden, because what was possible before still is.
    """
    for together in _connected(known, hidden):
        judged = [cell for cell in together if cell in values and cell not in safe]
        if judged:
            found = _exposed_together(values, known, together, judged, safe)
            if found is not None:
                return found
    return None


def _connected(known: Sequence[Relation], hidden: Sequence[Cell]) -> list[list[Cell]]:
    """Split the hidden cells into sets that no sum connects: each is a small problem of its own."""
    parent = {cell: cell for cell in hidden}

    def root(cell: Cell) -> Cell:
        while parent[cell] != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell

    for relation in known:
        mine = [cell for cell in relation.cells if cell in parent]
        for cell in mine[1:]:
            parent[root(cell)] = root(mine[0])
    sets: dict[Cell, list[Cell]] = {}
    for cell in hidden:
        sets.setdefault(root(cell), []).append(cell)
    return list(sets.values())


def _exposed_together(
    values: Mapping[Cell, float],
    known: Sequence[Relation],
    hidden: Sequence[Cell],
    judged: Sequence[Cell],
    safe: set[Cell],
) -> Cell | None:
    """Judge cells that sums connect.

    Each linear program asks how far one cell can go; its solution is a possible table, and so says of all other cells
    too how far they can go at least. Few programs are so left to solve.
    """
    place = {cell: number for number, cell in enumerate(hidden)}
    rows, right = [], []
    for relation in known:
        row, rest = np.zeros(len(hidden)), 0.0
        for cell, sign in ((relation.whole, -1.0), *((part, 1.0) for part in relation.parts)):
            if cell in place:
                row[place[cell]] += sign
            else:
                rest -= sign * values[cell]
        if row.any():
            rows.append(row)
            right.append(rest)
    low = np.array([values.get(cell, 0.0) for cell in hidden])
    high = low.copy()
    wide = np.array([max(1.0, 0.2 * value) - 1e-6 for value in low])
    if len(rows) == 1 and (rows[0] == 1).all():
        # One sum over all of them: each may be anything from nothing to the whole of it.
        low, high = np.full(len(hidden), 0.0 if len(hidden) > 1 else right[0]), np.full(len(hidden), right[0])
    sums = csr_array(np.array(rows)) if rows else None
    for cell in judged:
        number = place[cell]
        for sign in (1.0, -1.0):
            if high[number] - low[number] >= wide[number]:
                break
            aim = np.zeros(len(hidden))
            aim[number] = sign
            end = linprog(aim, A_eq=sums, b_eq=right or None, bounds=(0, None))
            if end.status == 0:
                low, high = np.minimum(low, end.x), np.maximum(high, end.x)
            else:
                low[number], high[number] = (0.0, high[number]) if sign > 0 else (low[number], np.inf)
        if high[number] - low[number] < wide[number]:
            return cell
        safe.add(cell)
    return None


def _hidden_in_run(run: RunData, smallest: int, forced: frozenset[Cell]) -> frozenset[Cell]:
    frame = run.disparity
    speakers = {cell: min(counts) for cell, counts in _speakers(run).items()}
    if speakers.get(TOTAL, 0.0) < smallest:
        raise InputError(
            f"the run has fewer than {smallest} speakers, so that nothing of it can be published",
            file=run.path,
            remedy="Choose a smaller --smallest-cell if the speakers agreed to that",
        )
    hidden = {cell for cell, count in speakers.items() if count < smallest}
    hidden |= {cell for cell in forced if cell in speakers}
    attributes = {cell[0] for cell in speakers}
    for attribute in attributes:
        mine = [cell for cell in speakers if cell[0] == attribute]
        if not _splits(attribute, mine):
            hidden |= set(mine)
    known = relations(speakers)
    known += [r for r in nested(run) if set(r.cells) <= set(speakers) and r not in known]
    tables = [_values(part) for _, part in frame.groupby(["engine", "condition"], sort=False)]
    safe: dict[tuple[float, ...], set[Cell]] = {}
    while True:
        _close(hidden, known, speakers, smallest)
        exposed = _exposed(hidden, known, tables, safe)
        if exposed is None or not _hide_near(exposed, hidden, known, speakers):
            return frozenset(hidden)


def _close(hidden: set[Cell], known: Sequence[Relation], speakers: Mapping[Cell, float], smallest: int) -> None:
    """Hide until no single sum gives a hidden cell, or a sum of hidden cells of too few speakers, away."""
    changed = True
    while changed:
        changed = False
        for relation in known:
            gone = [cell for cell in relation.cells if cell in hidden]
            few = relation.whole not in hidden and sum(speakers[cell] for cell in gone) < smallest
            if gone and (len(gone) == 1 or few):
                changed |= _hide_one(relation, hidden, speakers)


def _hide_one(relation: Relation, hidden: set[Cell], speakers: Mapping[Cell, float]) -> bool:
    """Hide the part with the fewest speakers that still shows, or the whole where no part does."""
    parts = [cell for cell in relation.parts if cell not in hidden]
    chosen = min(parts, key=lambda cell: (speakers[cell], cell)) if parts else relation.whole
    if chosen in hidden or chosen == TOTAL:
        return False
    hidden.add(chosen)
    return True


def _hide_near(exposed: Cell, hidden: set[Cell], known: Sequence[Relation], speakers: Mapping[Cell, float]) -> bool:
    near = {exposed}
    while True:
        wider = near | {c for r in known if near & set(r.cells) for c in r.cells if c != TOTAL}
        choices = [cell for cell in wider if cell not in hidden]
        if choices:
            hidden.add(min(choices, key=lambda cell: (speakers[cell], cell)))
            return True
        if wider == near:
            return False
        near = wider


def _exposed(
    hidden: set[Cell],
    known: Sequence[Relation],
    tables: Sequence[Mapping[str, dict[Cell, float]]],
    safe: dict[tuple[float, ...], set[Cell]],
) -> Cell | None:
    """Return a hidden cell one of whose counts can be computed too closely; ``None`` where there is none.

    ``safe`` keeps for each count which cells need not be looked at again.
    """
    cells = sorted(hidden)
    seen: set[tuple[float, ...]] = set()
    for values in tables:
        for of_cell in values.values():
            key = tuple(of_cell.values())
            if key in seen or not cells:
                continue
            seen.add(key)
            unknown = safe.setdefault(key, set())
            if unknown >= set(cells) & of_cell.keys():
                continue
            holding = [r for r in known if _holds(r, of_cell)]
            found = exposed_cell(of_cell, holding, cells, unknown)
            if found is not None:
                return found
    return None


def _holds(relation: Relation, values: Mapping[Cell, float]) -> bool:
    """Tell whether a count adds up here: speakers do not where one speaker is in several groups."""
    return (
        all(c in values for c in relation.cells)
        and abs(values[relation.whole] - sum(values[part] for part in relation.parts)) < 0.5
    )


def _values(part: pd.DataFrame) -> dict[str, dict[Cell, float]]:
    cells = [(str(a), str(g)) for a, g in zip(part["attribute"], part["group"], strict=True)]
    counts = {name: part[name].astype(float) for name in COUNTS if name in part.columns}
    if {"substitutions", "deletions", "insertions"} <= set(counts):
        counts["errors"] = counts["substitutions"] + counts["deletions"] + counts["insertions"]
        for name in ("substitutions", "deletions", "insertions", "hits"):
            counts.pop(name, None)
    return {name: dict(zip(cells, column.tolist(), strict=True)) for name, column in counts.items()}


def _differ_by_few(runs: Sequence[RunData], smallest: int) -> frozenset[Cell]:
    counts: dict[Cell, set[float]] = {}
    for run in runs:
        for cell, numbers in _speakers(run).items():
            counts.setdefault(cell, set()).add(max(numbers))
    return frozenset(
        cell for cell, numbers in counts.items() if any(0 < abs(a - b) < smallest for a in numbers for b in numbers)
    )


def _speakers(run: RunData) -> dict[Cell, list[float]]:
    """Return each cell's numbers of speakers, one an engine and condition."""
    frame = run.disparity
    found: dict[Cell, list[float]] = {}
    for attribute, group, count in zip(frame["attribute"], frame["group"], frame["speakers"], strict=True):
        found.setdefault((str(attribute), str(group)), []).append(float(count))
    return found


def _corpus(run: RunData, place: int) -> str:
    return str(section(run.about, "manifest").get("fingerprint") or f"run {place}")


def _places(fine: str, coarse: str) -> list[int] | None:
    """Return where the names of ``coarse`` stand in the intersection ``fine``; ``None`` if it is no part of it."""
    names, wanted = fine.split(INTERSECTION), coarse.split(INTERSECTION)
    if len(wanted) >= len(names) or not set(wanted) <= set(names):
        return None
    return [names.index(name) for name in wanted]


def _splits(attribute: str, cells: Iterable[Cell]) -> bool:
    size = len(attribute.split(INTERSECTION))
    return size == 1 or all(len(cell[1].split(INTERSECTION)) == size for cell in cells)
