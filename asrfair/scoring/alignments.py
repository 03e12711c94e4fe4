"""The worst utterances, word against word, for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import dataset

from asrfair.data.runfile import RUN_FILE, read_run_file
from asrfair.data.trust import require_named
from asrfair.errors import InputError
from asrfair.scoring.align import Step, align
from asrfair.scoring.blocks import HYPOTHESES_FILE
from asrfair.scoring.normalize import get_normalizer
from asrfair.scoring.references import open_parquet, read_columns, read_references
from asrfair.scoring.score_run import READINGS_FILE, SCORES_FILE


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignedUtterance:
    """An utterance with the alignment that was counted.

    Args:
        engine: Label of the engine.
        condition: Name of the condition.
        utterance_id: Its id.
        speaker_id: Who speaks.
        errors: Substitutions, deletions and insertions.
        ref_words: Words of the reference.
        steps: (operation, reference word, hypothesis word); operations are ``hit``, ``substitution``, ``deletion``,
            ``insertion``, and the word that is not there is empty.
    """

    engine: str
    condition: str
    utterance_id: str
    speaker_id: str
    errors: int
    ref_words: int
    steps: tuple[Step, ...]


def worst_utterances(
    run: Path,
    *,
    engine: str | None = None,
    condition: str | None = None,
    limit: int = 20,
    normalizer: str | None = None,
) -> list[AlignedUtterance]:
    """Return the scored utterances with the most errors, most first, aligned word by word.

    Args:
        run: A run folder that has been scored.
        engine: Only this engine.
        condition: Only this condition.
        limit: How many, for every engine under every condition.
        normalizer: The rules that the run was scored with; by default what ``run.json`` says.

    Raises:
        InputError: The folder has not been scored, or a file is damaged.
    """
    return align_utterances(run, _pick(run, engine, condition, limit), normalizer=normalizer)


def align_utterances(
    run: Path, picked: Sequence[tuple[str, str, str, int, int]], *, normalizer: str | None = None
) -> list[AlignedUtterance]:
    """Return these utterances aligned word by word, in their order.

    Args:
        run: A run folder that has been scored.
        picked: (engine, condition, utterance, errors, reference words) of scored rows.
        normalizer: The rules that the run was scored with; by default what ``run.json`` says.

    Raises:
        InputError: A file is damaged, or the run was scored with other rules.
    """
    if not picked:
        return []
    normalizer = normalizer or _own_normalizer(run)
    rules = get_normalizer(normalizer)
    wanted = {item[2] for item in picked}
    texts = _texts(run, {item[:3] for item in picked})
    chosen = _chosen_readings(run, wanted)
    references = read_references(run, rules, only=wanted)
    index = {utterance_id: position for position, utterance_id in enumerate(references.utterance_ids)}
    found: list[AlignedUtterance] = []
    for label, name, utterance_id, errors, ref_words in picked:
        position = index[utterance_id]
        reference = chosen.get((label, name, utterance_id), references.texts[position]).split()
        steps = align(reference, rules.words(texts.get((label, name, utterance_id), "")))
        counted = sum(step[0] != "hit" for step in steps)
        if counted != errors:
            raise InputError(
                f"the run was scored with other rules than {normalizer!r}",
                file=run / SCORES_FILE,
                value=utterance_id,
                remedy="Score the run again",
            )
        found.append(
            AlignedUtterance(
                engine=label,
                condition=name,
                utterance_id=utterance_id,
                speaker_id=references.speaker_ids[position],
                errors=errors,
                ref_words=ref_words,
                steps=steps,
            )
        )
    return found


def _own_normalizer(run: Path) -> str:
    normalizer = str(read_run_file(run).get("scoring", {}).get("normalizer", "whisper-english"))
    require_named([normalizer], file=run / RUN_FILE)
    return normalizer


def _pick(run: Path, engine: str | None, condition: str | None, limit: int) -> list[tuple[str, str, str, int, int]]:
    """Return (engine, condition, utterance, errors, reference words) of the worst rows."""
    names = ("engine", "condition", "utterance_id", "status", "hits", "substitutions", "deletions", "insertions")
    wanted = pc.field("status") == "scored"
    if engine is not None:
        wanted &= pc.field("engine") == engine
    if condition is not None:
        wanted &= pc.field("condition") == condition
    best: dict[tuple[str, str], list[tuple[int, str, int]]] = {}
    for batch in _scan(run / SCORES_FILE, names, wanted):
        counts = np.stack([batch.column(name).to_numpy() for name in names[4:]], axis=1).astype(np.int64)
        errors, words = counts[:, 1:].sum(axis=1), counts[:, :3].sum(axis=1)
        engines, conditions = (batch.column(name).dictionary_encode() for name in names[:2])
        codes = engines.indices.to_numpy().astype(np.int64) * len(conditions.dictionary) + conditions.indices.to_numpy()
        for code in np.unique(codes).tolist():
            key = (
                engines.dictionary[code // len(conditions.dictionary)].as_py(),
                conditions.dictionary[code % len(conditions.dictionary)].as_py(),
            )
            rows = np.flatnonzero((codes == code) & (errors > 0))
            if len(rows) > limit:  # ties are settled by the id, so all rows as bad as the last one stay for now
                rows = rows[errors[rows] >= np.partition(errors[rows], -limit)[-limit]]
            ids = batch.column("utterance_id").take(pa.array(rows)).to_pylist()
            found = [(-int(errors[row]), uid, int(words[row])) for row, uid in zip(rows.tolist(), ids, strict=True)]
            best[key] = sorted(best.get(key, []) + found)[:limit]
    return [(*key, uid, -negative, words) for key, kept in best.items() for negative, uid, words in kept]


def _texts(run: Path, wanted: set[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """Return the recognised text of the rows that are wanted."""
    names = ("engine", "condition", "utterance_id", "hypothesis", "status")
    rows = pc.field("status") == "ok"
    for number, name in enumerate(names[:3]):
        rows &= pc.field(name).isin(sorted({item[number] for item in wanted}))
    found: dict[tuple[str, str, str], str] = {}
    for batch in _scan(run / HYPOTHESES_FILE, names, rows):
        columns = [batch.column(name).to_pylist() for name in names[:4]]
        for engine, condition, utterance_id, text in zip(*columns, strict=True):
            found[engine, condition, utterance_id] = text or ""
    return found


def _scan(path: Path, names: tuple[str, ...], rows: pc.Expression) -> Iterator[pa.RecordBatch]:
    """Yield the wanted rows of a Parquet file, without reading row groups that cannot hold any."""
    open_parquet(path, names).close()
    yield from dataset.dataset(path, format="parquet").to_batches(columns=list(names), filter=rows)


def _chosen_readings(run: Path, wanted: set[str]) -> dict[tuple[str, str, str], str]:
    path = run / READINGS_FILE
    if not path.exists():
        return {}
    names = ("engine", "condition", "utterance_id", "reference", "chosen")
    table = read_columns(path, names)
    columns = [table[name].to_pylist() for name in names]
    return {
        (engine, condition, utterance_id): reference
        for engine, condition, utterance_id, reference, chosen in zip(*columns, strict=True)
        if chosen == "true" and utterance_id in wanted
    }
