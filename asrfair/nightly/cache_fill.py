"""Puts what the cache holds into a run's journal before the run, and what the run made into the cache afterwards."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asrfair.acoustics import Condition
from asrfair.data.manifest import Manifest
from asrfair.errors import RunChangedError
from asrfair.nightly.cache import Cache, pack_achieved, pack_row, unpack_achieved, unpack_row
from asrfair.nightly.keys import Keys, make_keys
from asrfair.recognise.engines import EngineContext, traits_of
from asrfair.recognise.journal import Achieved, Journal, begin_anew
from asrfair.recognise.transcribe.identity import fingerprints
from asrfair.runs.suite import Suite


def prefill(
    suite: Suite,
    manifest: Manifest,
    conditions: Sequence[Condition],
    run: Path,
    cache: Cache,
    context: EngineContext,
    recordings: Mapping[str, str],
) -> tuple[Keys, dict[str, int]]:
    """Begin a run, or go on with it, and fill in what the cache has.

    Returns:
        The keys, and how many rows were there already (``resumed``) and came from the cache (``cached``).

    Raises:
        InputError: An engine or its files cannot be read, or another process is writing the run; the journal stays.
    """
    traits = {spec.label: traits_of(spec, context) for spec in suite.engines}
    wanted = fingerprints(manifest, suite.engines, traits, conditions, context, (0, 1))

    def begin() -> tuple[Keys, dict[str, int]]:
        with Journal(run) as journal:
            journal.check(wanted)
            resumed = sum(journal.counts().values())
            keys = make_keys(manifest, suite.engines, conditions, journal, context, recordings)
            for label, fingerprint in keys.fingerprints.items():
                journal.check_engine(label, fingerprint)
            cached = _fill(journal, keys, cache)
            journal.flush()
        return keys, {"resumed": resumed, "cached": cached}

    try:
        return begin()
    except RunChangedError:
        begin_anew(run)  # an engine or a rule changed while the run lay there, cut off: it cannot go on as it was
        return begin()


def _fill(journal: Journal, keys: Keys, cache: Cache) -> int:
    done: dict[tuple[str, str], set[str]] = {}
    wanted: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for (engine, condition, utterance_id), key in keys.rows.items():
        run = engine, condition
        if run not in done:
            done[run] = set(journal.done(engine, condition))
        if utterance_id not in done[run]:
            wanted[run].append((utterance_id, key))
    filled = 0
    for (engine, condition), items in wanted.items():
        held = cache.get(key for _, key in items)
        measured: dict[str, list[object]] = {}
        if engine == keys.measured:  # what is not measured must be rendered
            measured = cache.get(keys.achieved[condition, utterance_id] for utterance_id, _ in items)
            held = {key: held[key] for name, key in items if key in held and keys.achieved[condition, name] in measured}
        # of a batch that lacks one, all are transcribed again: together, as the first time
        broken = {keys.batches.get((engine, condition, name)) for name, key in items if key not in held} - {None}
        for utterance_id, key in items:
            if key not in held or keys.batches.get((engine, condition, utterance_id)) in broken:
                continue
            achieved: list[Achieved] = []
            if engine == keys.measured:
                achieved = unpack_achieved(utterance_id, measured[keys.achieved[condition, utterance_id]])
            journal.record(engine, condition, [unpack_row(utterance_id, held[key])], achieved)
            filled += 1
    return filled


def keep(run: Path, keys: Keys, cache: Cache, night: int) -> int:
    """Hold what a finished run has made or used; failures are not held. Return how many rows."""
    with Journal(run) as journal:
        count = cache.put("hypothesis", _finished(journal, keys), night)
        cache.put("achieved", _measured(journal, keys), night)
    return count


def _finished(journal: Journal, keys: Keys) -> Iterator[tuple[str, list[object]]]:
    for engine, condition in dict.fromkeys((e, c) for e, c, _ in keys.rows):
        for row in journal.results(engine, condition):
            if not row.copy and row.status in ("ok", "empty"):
                yield keys.rows[engine, condition, row.utterance_id], pack_row(row)


def _measured(journal: Journal, keys: Keys) -> Iterator[tuple[str, list[object]]]:
    for condition in dict.fromkeys(c for c, _ in keys.achieved):
        for utterance_id, items in itertools.groupby(journal.achieved(condition), key=lambda item: item.utterance_id):
            yield keys.achieved[condition, utterance_id], pack_achieved(items)
