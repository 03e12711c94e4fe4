"""The worst utterances, word against word, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.errors import InputError
from asrfair.normalize import get_normalizer
from asrfair.runfile import read_run_file
from asrfair.score.align import Step, align
from asrfair.score.blocks import HYPOTHESES_FILE
from asrfair.score.references import open_parquet, read_columns, read_references
from asrfair.score.run import READINGS_FILE, SCORES_FILE


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
    if normalizer is None:
        normalizer = str(read_run_file(run).get("scoring", {}).get("normalizer", "whisper-english"))
    rules = get_normalizer(normalizer)
    picked = _pick(run, engine, condition, limit)
    if not picked:
        return []
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


def _pick(run: Path, engine: str | None, condition: str | None, limit: int) -> list[tuple[str, str, str, int, int]]:
    """Return (engine, condition, utterance, errors, reference words) of the worst rows, a row group at a time."""
    names = ("engine", "condition", "utterance_id", "status", "hits", "substitutions", "deletions", "insertions")
    best: dict[tuple[str, str], list[tuple[int, str, int]]] = {}
    with open_parquet(run / SCORES_FILE, names) as file:
        for batch in file.iter_batches(columns=list(names)):
            table = pa.Table.from_batches([batch]).filter(pc.field("status") == "scored")
            if engine is not None:
                table = table.filter(pc.field("engine") == engine)
            if condition is not None:
                table = table.filter(pc.field("condition") == condition)
            counts = np.stack([table[name].to_numpy() for name in names[4:]], axis=1).astype(np.int64)
            errors, words = counts[:, 1:].sum(axis=1), counts[:, :3].sum(axis=1)
            pairs = list(zip(table["engine"].to_pylist(), table["condition"].to_pylist(), strict=True))
            ids = table["utterance_id"].to_pylist()
            rows: dict[tuple[str, str], list[int]] = {}
            for row in np.flatnonzero(errors).tolist():
                rows.setdefault(pairs[row], []).append(row)
            for key, members in rows.items():
                kept = best.get(key, [])
                kept += [(-int(errors[row]), ids[row], int(words[row])) for row in members]
                best[key] = sorted(kept)[:limit]
    return [(*key, uid, -negative, words) for key, kept in best.items() for negative, uid, words in kept]


def _texts(run: Path, wanted: set[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    names = ("engine", "condition", "utterance_id", "status", "hypothesis")
    ids = pa.array(sorted({item[2] for item in wanted}))
    found: dict[tuple[str, str, str], str] = {}
    with open_parquet(run / HYPOTHESES_FILE, names) as file:
        for batch in file.iter_batches(columns=list(names)):
            table = pa.Table.from_batches([batch]).filter(pc.field("status") == "ok")
            table = table.filter(pc.is_in(table["utterance_id"].cast(pa.string()), value_set=ids.cast(pa.string())))
            columns = [table[name].to_pylist() for name in ("engine", "condition", "utterance_id", "hypothesis")]
            for engine, condition, utterance_id, text in zip(*columns, strict=True):
                key = (engine, condition, utterance_id)
                if key in wanted:
                    found[key] = text or ""
    return found


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
