"""A run's counts as compact arrays: per utterance for who needs that, per speaker for everything else.

The statistics never need the ten million rows of a large run, only sums over each speaker's utterances. They are taken
once, while the table of scores is read block by block, over *atoms*: the utterances of one speaker that share the
values of all attributes which are grouped by. Every group and intersection is then a sum of atoms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.score.score_run import COUNT_COLUMNS
from asrfair.stats.prompts import find_prompts
from asrfair.types import NOT_STATED, GroupSettings

QUANTITIES = COUNT_COLUMNS
"""Counts of an utterance, in the order of the last axis of :attr:`Frame.counts`."""

STATUSES = ("scored", "excluded", "no_reference", "error", "missing")
"""Statuses of an utterance; :attr:`Frame.status` holds the index, and ``missing`` where there is no row at all."""

SCORED = STATUSES.index("scored")
_MISSING = STATUSES.index("missing")
_BLOCK_ROWS = 1 << 18

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The scores of a run, ready to be summed by group. E engines, C conditions, U utterances, A atoms.

    Attributes:
        run: The run folder it came from.
        engines: Labels, in the order of the suite.
        conditions: Names, in the order of the suite.
        utterances: One row an utterance that the settings let in: ``utterance_id``, ``speaker_id``, ``exclude``,
            ``duration_s`` and the attributes that were asked for, as strings (``not_stated`` where missing).
        speakers: Speaker ids, sorted.
        speaker: Index into ``speakers``, shape (U,).
        status: Index into :data:`STATUSES`, shape (E, C, U).
        errors: Substitutions + deletions + insertions, shape (E, C, U); 0 unless scored.
        ref_words: Hits + substitutions + deletions, shape (E, C, U); 0 unless scored.
        atom: The atom of an utterance, shape (U,).
        atom_speaker: The speaker of an atom, shape (A,).
        counts: Sums over the scored utterances of an atom, shape (E, C, A, len(QUANTITIES)).
        scored: Number of scored utterances of an atom, shape (E, C, A).
        excess: One row an utterance that has more insertions than reference words: (run, utterance, how many more),
            shape (K, 3); runs are numbered as in :meth:`runs`.
        prompt: The sentence of an utterance where speakers read the same ones, shape (U,); ``None`` where they do not.
        filtered_out: Utterances of the run that the ``where`` of the settings left out.
    """

    run: Path
    engines: tuple[str, ...]
    conditions: tuple[str, ...]
    utterances: pd.DataFrame
    speakers: tuple[str, ...]
    speaker: npt.NDArray[np.int32]
    status: npt.NDArray[np.int8]
    errors: npt.NDArray[np.int32]
    ref_words: npt.NDArray[np.int32]
    atom: npt.NDArray[np.int32]
    atom_speaker: npt.NDArray[np.int32]
    counts: Ints
    scored: Ints
    excess: Ints
    prompt: npt.NDArray[np.int32] | None = None
    filtered_out: int = 0

    @cached_property
    def atom_rows(self) -> npt.NDArray[np.int64]:
        """Row of one utterance of each atom, shape (A,): where an atom's attribute values are read."""
        rows = np.empty(len(self.atom_speaker), dtype=np.int64)
        rows[self.atom[::-1]] = np.arange(len(self.atom), dtype=np.int64)[::-1]
        return rows

    def sums(self, *names: str) -> Ints:
        """Sum of the named quantities, shape (E * C, A); runs are ordered engine first, then condition."""
        picked = self.counts[..., [QUANTITIES.index(name) for name in names]].sum(axis=-1)
        flat: Ints = picked.reshape(len(self.engines) * len(self.conditions), -1)
        return flat

    def runs(self) -> list[tuple[str, str]]:
        """The (engine, condition) of each row of :meth:`sums`."""
        return [(engine, condition) for engine in self.engines for condition in self.conditions]


def load_frame(run: Path, groups: GroupSettings, *, attributes: Iterable[str] = ()) -> Frame:
    """Read ``utterances.parquet`` and ``scores.parquet`` of a run.

    Args:
        run: The run folder.
        groups: Which attributes are grouped by, and which utterances are let in (``where``).
        attributes: Further columns of ``utterances.parquet`` to keep in :attr:`Frame.utterances`.

    Raises:
        InputError: A table is missing, lacks a column, or names an utterance that is not in the manifest.
    """
    grouped = list(dict.fromkeys(name for by in groups.by for name in by))
    asked = {*grouped, *groups.where, *attributes}
    table, keep = _read_utterances(run, grouped, groups.where, attributes)
    kept = np.flatnonzero(keep)
    taken = table.take(pa.array(kept))
    references = taken.column("reference") if "reference" in taken.column_names else None
    taken = taken.drop_columns(["reference"]) if references is not None and "reference" not in asked else taken
    utterances = taken.to_pandas().reset_index(drop=True)
    new_row = np.full(len(keep), -1, dtype=np.int64)
    new_row[kept] = np.arange(len(kept))
    speaker_codes, speaker_ids = pd.factorize(utterances["speaker_id"], sort=True)
    speaker = speaker_codes.astype(np.int32)
    atom, atom_speaker = _atoms(speaker, [utterances[name] for name in grouped])
    scores = _read_scores(
        run, table.column("utterance_id").combine_chunks(), new_row, len(kept), atom, len(atom_speaker)
    )
    words = scores.ref_words.reshape(-1, len(kept)).max(axis=0).astype(np.int64)
    return Frame(
        run=run,
        engines=scores.engines,
        conditions=scores.conditions,
        utterances=utterances,
        speakers=tuple(str(s) for s in speaker_ids),
        speaker=speaker,
        status=scores.status,
        errors=scores.errors,
        ref_words=scores.ref_words,
        atom=atom,
        atom_speaker=atom_speaker,
        counts=scores.counts,
        scored=scores.scored,
        excess=np.concatenate([np.zeros((0, 3), dtype=np.int64), *scores.excess]),
        prompt=None if references is None else find_prompts(references, speaker, words),
        filtered_out=int(len(keep) - len(kept)),
    )


def _read_utterances(
    run: Path, grouped: Sequence[str], where: Any, attributes: Iterable[str]
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    path = run / "utterances.parquet"
    known = _columns(path)
    wanted = list(dict.fromkeys([*grouped, *where, *attributes]))
    for name in wanted:
        if name not in known:
            raise InputError("the run has no such attribute", file=path, column=name, remedy=did_you_mean(name, known))
    fixed = [name for name in ("utterance_id", "speaker_id", "exclude", "duration_s", "reference") if name in known]
    table = pq.read_table(path, columns=list(dict.fromkeys([*fixed, *wanted])))
    keep = np.ones(table.num_rows, dtype=bool)
    for name in wanted:
        if pa.types.is_string(table.schema.field(name).type) or pa.types.is_large_string(table.schema.field(name).type):
            column = pc.fill_null(table.column(name), NOT_STATED)
            table = table.set_column(table.schema.get_field_index(name), name, column)
    for name, value in where.items():
        keep &= pc.equal(table.column(name), value).to_numpy().astype(bool)
    if not keep.any():
        chosen = ", ".join(f"{name}={value}" for name, value in where.items())
        raise InputError("no utterance is left to analyse", file=path, value=chosen, remedy="Check --where")
    return table, keep


def _columns(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(
            "the table is missing",
            file=path,
            remedy="Is this a run folder? 'asrfair score' and 'asrfair run' write one",
        )
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"the table cannot be read: {error}", file=path, remedy="Score the run again") from error


def _atoms(
    speaker: npt.NDArray[np.int32], attributes: Sequence[pd.Series]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Number the combinations of speaker and attribute values; return (atom of a row, speaker of an atom)."""
    atom = speaker.astype(np.int64)
    for column in attributes:
        codes, values = pd.factorize(column, sort=True)
        _, atom = np.unique(atom * len(values) + codes, return_inverse=True)
    numbers, first, atom = np.unique(atom, return_index=True, return_inverse=True)
    del numbers
    return atom.astype(np.int32), speaker[first]


@dataclass(kw_only=True)
class _Scores:
    engines: tuple[str, ...]
    conditions: tuple[str, ...]
    status: npt.NDArray[np.int8]
    errors: npt.NDArray[np.int32]
    ref_words: npt.NDArray[np.int32]
    counts: Ints
    scored: Ints
    excess: list[Ints]


def _read_scores(
    run: Path, ids: pa.Array, new_row: npt.NDArray[np.int64], rows: int, atom: npt.NDArray[np.int32], atoms: int
) -> _Scores:
    path = run / "scores.parquet"
    known = _columns(path)
    for name in ("engine", "condition", "utterance_id", "status", *QUANTITIES[:4]):
        if name not in known:
            raise InputError("the table lacks a column", file=path, column=name, remedy="Score the run again")
    quantities = [name for name in QUANTITIES if name in known]
    file = pq.ParquetFile(path, read_dictionary=["engine", "condition", "status"])
    engines, conditions = _names_in_order(file)
    shape = (len(engines), len(conditions), rows)
    scores = _Scores(
        engines=engines,
        conditions=conditions,
        status=np.full(shape, _MISSING, dtype=np.int8),
        errors=np.zeros(shape, dtype=np.int32),
        ref_words=np.zeros(shape, dtype=np.int32),
        counts=np.zeros((*shape[:2], atoms, len(QUANTITIES)), dtype=np.int64),
        scored=np.zeros((*shape[:2], atoms), dtype=np.int64),
        excess=[],
    )
    seen = np.zeros(shape, dtype=bool)
    pointers = np.zeros(shape[:2], dtype=np.int64)
    columns = ["engine", "condition", "utterance_id", "status", *quantities]
    for batch in file.iter_batches(batch_size=_BLOCK_ROWS, columns=columns):
        engine = _codes(batch.column("engine"), engines)
        condition = _codes(batch.column("condition"), conditions)
        status = _codes(batch.column("status"), STATUSES)
        if (status < 0).any():
            value = batch.column("status")[int(np.flatnonzero(status < 0)[0])].as_py()
            raise InputError("an unknown status", file=path, column="status", value=value, remedy="Score the run again")
        values = [batch.column(name).to_numpy(zero_copy_only=False) for name in quantities]
        places = engine * len(conditions) + condition
        starts = np.concatenate([[0], np.flatnonzero(np.diff(places)) + 1, [len(places)]])
        for start, stop in itertools.pairwise(starts.tolist()):
            e, c = divmod(int(places[start]), len(conditions))
            block_ids = batch.column("utterance_id").slice(start, stop - start)
            where = _rows_of(block_ids, ids, int(pointers[e, c]))
            if (where < 0).any():
                value = block_ids[int(np.flatnonzero(where < 0)[0])].as_py()
                raise InputError("a score for an utterance that the run does not have", file=path, value=value)
            pointers[e, c] = where[-1] + 1
            where = new_row[where]
            inside = where >= 0
            target = where[inside]
            if seen[e, c, target].any() or len(np.unique(target)) != len(target):
                raise InputError("an utterance is scored twice", file=path, remedy="Score the run again")
            seen[e, c, target] = True
            scores.status[e, c, target] = status[start:stop][inside]
            _add(scores, e, c, target, [v[start:stop][inside] for v in values], quantities, atom)
    return scores


def _add(
    scores: _Scores,
    e: int,
    c: int,
    target: npt.NDArray[np.int64],
    values: list[npt.NDArray[Any]],
    names: list[str],
    atom: npt.NDArray[np.int32],
) -> None:
    """Add the rows of one block of one engine and condition."""
    is_scored = scores.status[e, c, target] == SCORED
    target = target[is_scored]
    values = [value[is_scored] for value in values]
    hits, substitutions, deletions, insertions = (values[names.index(name)] for name in QUANTITIES[:4])
    scores.errors[e, c, target] = substitutions + deletions + insertions
    words = hits + substitutions + deletions
    scores.ref_words[e, c, target] = words
    over = np.flatnonzero(insertions > words)
    if len(over):
        run = np.full(len(over), e * scores.scored.shape[1] + c)
        scores.excess.append(np.stack([run, target[over], (insertions - words)[over]], axis=1).astype(np.int64))
    atoms = scores.scored.shape[-1]
    cell = atom[target]
    scores.scored[e, c] += np.bincount(cell, minlength=atoms)
    for name, value in zip(names, values, strict=True):
        sums = np.bincount(cell, weights=value, minlength=atoms)
        scores.counts[e, c, :, QUANTITIES.index(name)] += np.rint(sums).astype(np.int64)


def _rows_of(block: pa.Array, ids: pa.Array, pointer: int) -> npt.NDArray[np.int64]:
    """Rows of the ids of a block. Tables are sorted alike, so the next rows are tried before a look-up."""
    guess = ids.slice(pointer, len(block))
    if len(guess) == len(block) and block.equals(guess):
        return np.arange(pointer, pointer + len(block), dtype=np.int64)
    found = pc.fill_null(pc.index_in(block, value_set=ids), -1)
    rows: npt.NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return rows


def _names_in_order(file: pq.ParquetFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Engines and conditions in the order in which they first appear, which is the order of the suite."""
    found: tuple[dict[str, None], dict[str, None]] = ({}, {})
    for batch in file.iter_batches(batch_size=_BLOCK_ROWS, columns=["engine", "condition"]):
        for names, column in zip(found, batch.columns, strict=True):
            names.update(dict.fromkeys(column.unique().to_pylist()))
    return tuple(found[0]), tuple(found[1])


def _codes(column: pa.DictionaryArray, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Index of each value in ``names``, -1 for a value that is not there."""
    position = {name: index for index, name in enumerate(names)}
    table = np.array([position.get(value, -1) for value in column.dictionary.to_pylist()], dtype=np.int64)
    codes: npt.NDArray[np.int64] = table[column.indices.to_numpy(zero_copy_only=False)]
    return codes
