"""A run's counts as compact arrays: per utterance for who needs that, per speaker for everything else.

The statistics never need the ten million rows of a large run, only sums over each speaker's utterances. They are taken
once, while the table of scores is read block by block, over *atoms*: the utterances of one speaker that share the
values of all attributes which are grouped by. Every group and intersection is then a sum of atoms.

A frame is made of two tables, whether they lie in a run folder (:func:`load_frame`) or in memory (:func:`frame_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
from asrfair.scoring.metric import WER, Metric
from asrfair.stats.gather import Scores, ScoresFile, ScoresTable, columns_of, gather
from asrfair.stats.prompts import find_prompts
from asrfair.types import NOT_STATED, GroupSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FIXED = ("utterance_id", "speaker_id", "exclude", "duration_s", "reference")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The scores of a run, ready to be summed by group. E engines, C conditions, U utterances, A atoms.

    Attributes:
        run: The run folder it came from, ``None`` for a frame made in memory.
        metric: What :attr:`numerator` and :attr:`denominator` are of.
        engines: Labels, in the order of the suite.
        conditions: Names, in the order of the suite.
        utterances: One row an utterance that the settings let in: ``utterance_id``, ``speaker_id``, ``exclude``,
            ``duration_s`` and the attributes that were asked for, as strings (``not_stated`` where missing).
        speakers: Speaker ids, sorted.
        speaker: Index into ``speakers``, shape (U,).
        status: Index into :data:`asrfair.types.STATUSES`, shape (E, C, U); missing where there is no row at all.
        numerator: Of every utterance, shape (E, C, U); 0 unless scored.
        denominator: Of every utterance, shape (E, C, U); 0 unless scored.
        words: Reference words of every utterance, the most that any engine and condition counted, shape (U,).
        atom: The atom of an utterance, shape (U,).
        atom_speaker: The speaker of an atom, shape (A,).
        quantities: Names of what was counted, in the order of the last axis of :attr:`counts`.
        counts: Sums over the scored utterances of an atom, shape (E, C, A, len(quantities)).
        scored: Number of scored utterances of an atom, shape (E, C, A).
        excess: One row an utterance that has more insertions than reference words: (run, utterance, how many more),
            shape (K, 3); runs are numbered as in :meth:`runs`.
        prompt: The sentence of an utterance where speakers read the same ones, shape (U,); ``None`` where they do not.
        filtered_out: Utterances of the run that the ``where`` of the settings left out.
        tables: Tables of the run in memory, by the name of their file without ``.parquet``; see :meth:`table`.
    """

    run: Path | None
    metric: Metric
    engines: tuple[str, ...]
    conditions: tuple[str, ...]
    utterances: pd.DataFrame
    speakers: tuple[str, ...]
    speaker: npt.NDArray[np.int32]
    status: npt.NDArray[np.int8]
    numerator: npt.NDArray[np.integer[Any]]
    denominator: npt.NDArray[np.integer[Any]]
    words: npt.NDArray[np.int32]
    atom: npt.NDArray[np.int32]
    atom_speaker: npt.NDArray[np.int32]
    quantities: tuple[str, ...]
    counts: Ints
    scored: Ints
    excess: Ints
    prompt: npt.NDArray[np.int32] | None = None
    filtered_out: int = 0
    tables: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def speakers_known(self) -> bool:
        """Whether anybody said who speaks. If not, everything is one speaker's, and no interval can be given."""
        return self.speakers != ("",)

    @cached_property
    def atom_rows(self) -> npt.NDArray[np.int64]:
        """Row of one utterance of each atom, shape (A,): where an atom's attribute values are read."""
        rows = np.empty(len(self.atom_speaker), dtype=np.int64)
        rows[self.atom[::-1]] = np.arange(len(self.atom), dtype=np.int64)[::-1]
        return rows

    def sums(self, *names: str) -> Ints:
        """Sum of the named quantities, shape (E * C, A); runs are ordered engine first, then condition.

        A name with a minus before it is subtracted.
        """
        picked = np.zeros(self.scored.shape, dtype=np.int64)
        for name in names:
            values = self.counts[..., self.quantities.index(name.removeprefix("-"))]
            picked += -values if name.startswith("-") else values
        flat: Ints = picked.reshape(len(self.engines) * len(self.conditions), -1)
        return flat

    def runs(self) -> list[tuple[str, str]]:
        """The (engine, condition) of each row of :meth:`sums`."""
        return [(engine, condition) for engine in self.engines for condition in self.conditions]

    def has_table(self, name: str) -> bool:
        """Whether the run has this table (``utterances``, ``timings``, ``achieved`` …), in memory or as a file."""
        return name in self.tables or (self.run is not None and (self.run / f"{name}.parquet").is_file())

    def table_columns(self, name: str) -> list[str]:
        """Names of the columns of a table of the run.

        Raises:
            InputError: It is missing or damaged.
        """
        return list(self.tables[name].column_names) if name in self.tables else columns_of(self.table_path(name))

    def table(
        self, name: str, columns: Sequence[str] | None = None, *, where: pc.Expression | None = None
    ) -> pd.DataFrame:
        """Read a table of the run: all of it, or some columns of the rows that are wanted.

        Raises:
            InputError: It is missing or damaged.
        """
        names = None if columns is None else list(columns)
        if name in self.tables:
            table = self.tables[name] if where is None else self.tables[name].filter(where)
            table = table if names is None else table.select(names)
        else:
            columns_of(self.table_path(name))
            table = _whole(self.table_path(name), names, where)
        found: pd.DataFrame = table.to_pandas()
        return found

    def table_path(self, name: str) -> Path:
        """Where a table of the run lies, or would lie: for messages."""
        return (self.run or Path()) / f"{name}.parquet"


def _whole(path: Path, columns: Sequence[str] | None, where: pc.Expression | None = None) -> pa.Table:
    """Read a Parquet file whose header could be read already; one that is damaged further in is named.

    Raises:
        InputError: It is.
    """
    try:
        return pq.read_table(path, columns=columns, filters=where, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"the table cannot be read: {str(error).splitlines()[0]}", file=path, remedy="Restore it, or run again"
        ) from error


def load_frame(run: Path, groups: GroupSettings, *, attributes: Iterable[str] = (), metric: Metric = WER) -> Frame:
    """Make a frame of ``utterances.parquet`` and ``scores.parquet`` of a run.

    Args:
        run: The run folder.
        groups: Which attributes are grouped by, and which utterances are let in (``where``).
        attributes: Further columns of ``utterances.parquet`` to keep in :attr:`Frame.utterances`.
        metric: What is measured.

    Raises:
        InputError: A table is missing, lacks a column, or names an utterance that is not in the manifest.
    """
    path = run / "utterances.parquet"
    known = columns_of(path)
    wanted = _wanted(known, groups, attributes, path)
    table = _whole(path, [name for name in dict.fromkeys([*_FIXED, *wanted]) if name in known])
    return _frame(table, wanted, ScoresFile(run / "scores.parquet"), groups, metric, run=run, path=path, tables={})


def frame_of(
    utterances: pd.DataFrame | pa.Table,
    scores: pd.DataFrame | pa.Table,
    groups: GroupSettings,
    *,
    attributes: Iterable[str] = (),
    metric: Metric = WER,
    run: Path | None = None,
    tables: Mapping[str, pa.Table] | None = None,
) -> Frame:
    """Make a frame of two tables in memory, with the columns of ``utterances.parquet`` and ``scores.parquet``.

    Args:
        utterances: ``utterance_id``, ``speaker_id`` and attributes; missing values count as not stated.
        scores: ``engine``, ``condition``, ``utterance_id``, ``status`` and counts; every other column is a quantity.
        groups: Which attributes are grouped by, and which utterances are let in (``where``).
        attributes: Further columns of ``utterances`` to keep.
        metric: What is measured.
        run: A run folder to which the tables belong, if any.
        tables: Further tables of the run in memory, such as ``timings``.

    Raises:
        InputError: A column is lacking, or the scores name an utterance that ``utterances`` does not have.
    """
    table = _arrow(utterances)
    wanted = _wanted(table.column_names, groups, attributes, None)
    every = {"utterances": table, **(tables or {})}
    return _frame(table, wanted, ScoresTable(_arrow(scores)), groups, metric, run=run, path=None, tables=every)


def _arrow(table: pd.DataFrame | pa.Table) -> pa.Table:
    return pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table


def _wanted(known: Sequence[str], groups: GroupSettings, attributes: Iterable[str], path: Path | None) -> list[str]:
    """The attributes that are needed, each once, checked."""
    wanted = list(dict.fromkeys([*(name for by in groups.by for name in by), *groups.where, *attributes]))
    for name in wanted:
        if name not in known:
            raise InputError("the run has no such attribute", file=path, column=name, remedy=did_you_mean(name, known))
    return wanted


def _frame(
    table: pa.Table,
    wanted: Sequence[str],
    source: Scores,
    groups: GroupSettings,
    metric: Metric,
    *,
    run: Path | None,
    path: Path | None,
    tables: Mapping[str, pa.Table],
) -> Frame:
    metric = metric.as_errors()
    if metric.unit != "share":
        raise InputError(
            "groups are compared by a share",
            value=metric.name,
            remedy="Tabulate it beside another: --metric on the command line, metrics=… in Python",
        )
    table = table.select([name for name in dict.fromkeys([*_FIXED, *wanted]) if name in table.column_names])
    for name in wanted:
        kind = table.schema.field(name).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = pc.fill_null(table.column(name), NOT_STATED)
            table = table.set_column(table.schema.get_field_index(name), name, column)
    keep = np.ones(table.num_rows, dtype=bool)
    for name, value in groups.where.items():
        keep &= pc.equal(table.column(name), value).to_numpy().astype(bool)
    if not keep.any():
        chosen = ", ".join(f"{name}={value}" for name, value in groups.where.items())
        raise InputError("no utterance is left to analyse", file=path, value=chosen, remedy="Check --where")
    kept = np.flatnonzero(keep)
    taken = table.take(pa.array(kept))
    references = taken.column("reference") if "reference" in taken.column_names else None
    taken = taken.drop_columns(["reference"]) if references is not None and "reference" not in wanted else taken
    utterances = taken.to_pandas().reset_index(drop=True)
    new_row = np.full(len(keep), -1, dtype=np.int64)
    new_row[kept] = np.arange(len(kept))
    speaker_codes, speaker_ids = pd.factorize(utterances["speaker_id"], sort=True)
    speaker = speaker_codes.astype(np.int32)
    grouped = dict.fromkeys(name for by in groups.by for name in by)
    atom, atom_speaker = _atoms(speaker, [utterances[name] for name in grouped])
    scores = gather(source, metric, table.column("utterance_id").combine_chunks(), new_row, atom)
    return Frame(
        run=run,
        metric=metric,
        engines=scores.engines,
        conditions=scores.conditions,
        utterances=utterances,
        speakers=tuple(str(s) for s in speaker_ids),
        speaker=speaker,
        status=scores.status,
        numerator=scores.numerator,
        denominator=scores.denominator,
        words=scores.words,
        atom=atom,
        atom_speaker=atom_speaker,
        quantities=scores.quantities,
        counts=scores.counts,
        scored=scores.scored,
        excess=scores.excess,
        prompt=None if references is None else find_prompts(references, speaker, scores.words.astype(np.int64)),
        filtered_out=int(len(keep) - len(kept)),
        tables=tables,
    )


def _atoms(
    speaker: npt.NDArray[np.int32], attributes: Sequence[pd.Series]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Number the combinations of speaker and attribute values; return (atom of a row, speaker of an atom)."""
    atom = speaker.astype(np.int64)
    for column in attributes:
        codes, values = pd.factorize(column, sort=True)
        _, atom = np.unique(atom * len(values) + codes, return_inverse=True)
    _, first, atom = np.unique(atom, return_index=True, return_inverse=True)
    return atom.astype(np.int32), speaker[first]
