"""The keys of a suite's transcripts: for every engine, condition and utterance, a hash over what decides the text."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from asrfair.acoustics import Condition, needs_manifest
from asrfair.data.manifest import Manifest
from asrfair.data.provenance import packages, sha256_file, usable_cores
from asrfair.data.stored.reading import StoredError, sha256_of
from asrfair.errors import EngineError
from asrfair.nightly.cache import key_of
from asrfair.recognise.engines import EngineContext, EngineTraits, create, traits_of
from asrfair.recognise.engines.table import load_class
from asrfair.recognise.journal import Journal
from asrfair.recognise.transcribe.identity import public_options
from asrfair.recognise.transcribe.plan import make_roster, plan_batches
from asrfair.types import CLEAN, EngineSpec, Utterance

_RENDERING = ("asrfair", "numpy", "scipy", "soundfile", "soxr", "audiomentations")
"""Packages whose versions may change samples."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What is needed to look a suite's transcripts up.

    Args:
        rows: (engine, condition, utterance id) → key; engines that may not be cached are absent.
        batches: (engine, condition, utterance id) → what names its batch, for engines that work in batches.
        achieved: (condition, utterance id) → key of what was measured, for suites that render audio.
        measured: The engine whose run measures; ``None`` where no audio is read.
        fingerprints: Engine label → its fingerprint once started.
        recordings: Utterance id → hash of its audio's bytes, empty where there is none.
    """

    rows: dict[tuple[str, str, str], str]
    batches: dict[tuple[str, str, str], str]
    achieved: dict[tuple[str, str], str]
    measured: str | None
    fingerprints: dict[str, dict[str, str]]
    recordings: Mapping[str, str]


def hash_recordings(manifest: Manifest, engines: Sequence[EngineSpec], context: EngineContext) -> dict[str, str]:
    """Return the SHA-256 of recordings by utterance id, empty where there is none; nothing where no engine listens."""
    if not any(traits_of(spec, context).needs_audio for spec in engines):
        return {}
    audio = {u.utterance_id: u.audio for u in manifest.utterances() if not u.exclude}
    paths = list(dict.fromkeys(path for path in audio.values() if path is not None))
    with ThreadPoolExecutor(usable_cores()) as pool:
        hashes = dict(zip(paths, pool.map(_hash, paths), strict=True))
    return {name: "" if path is None else hashes[path] for name, path in audio.items()}


def _hash(audio: Path | str) -> str:
    """Return the hash of a recording's own bytes, the same in a shard as in a file."""
    try:
        return sha256_file(audio) if isinstance(audio, Path) else sha256_of(audio)
    except (OSError, StoredError):
        return "unreadable"


def make_keys(
    manifest: Manifest,
    engines: Sequence[EngineSpec],
    conditions: Sequence[Condition],
    journal: Journal,
    context: EngineContext,
    recordings: Mapping[str, str],
) -> Keys:
    """Start every engine that may be cached once, and make the keys.

    Args:
        manifest: The manifest.
        engines: The suite's engines.
        conditions: The suite's conditions.
        journal: Remembers lengths that had to be looked up.
        context: What the engines are told, the seed among it.
        recordings: Utterance id → hash of its audio's bytes (:func:`hash_recordings`).

    Raises:
        EngineError: An engine cannot start.
    """
    seed = context.seed
    traits = {spec.label: traits_of(spec, context) for spec in engines}
    listens = [spec.label for spec in engines if traits[spec.label].needs_audio]
    roster = make_roster(manifest, journal, audio=bool(listens))
    utterances = list(replace(manifest, table=manifest.table.iloc[roster.rows]).utterances())
    versions = packages()
    rendering = {name: versions.get(name, "") for name in _RENDERING}
    corpus = key_of(sorted(_audio_part(u, recordings) for u in utterances)) if listens else ""
    sounds: dict[tuple[str, str], str] = {}
    for condition in conditions if listens else ():
        others = corpus if needs_manifest(condition) else ""
        for u in utterances:
            sounds[condition.name, u.utterance_id] = key_of(_sound(u, condition, seed, recordings, others), rendering)
    rows: dict[tuple[str, str, str], str] = {}
    batches: dict[tuple[str, str, str], str] = {}
    fingerprints: dict[str, dict[str, str]] = {}
    for spec in engines:
        trait = traits[spec.label]
        engine = load_class(spec.name)
        if not trait.deterministic or hasattr(engine, "leftovers"):
            continue
        knows = bool(getattr(engine, "knows_references", False))
        fingerprint = started_fingerprint(spec, context, trait)
        if fingerprint.get("version") == "":
            continue  # a program or a function of the user's, of which nobody says whether it is still the same
        fingerprints[spec.label] = fingerprint
        what = [spec.name, public_options(spec, context.base), _planned(trait), fingerprints[spec.label], rendering]
        for condition in conditions:
            own = [
                (key_of(sounds[condition.name, u.utterance_id], u.language) if trait.needs_audio else "")
                + (_text_part(u, condition, seed) if knows or not trait.needs_audio else "")
                for u in utterances
            ]
            if trait.max_batch > 1:
                for batch in plan_batches(
                    roster.durations_s, max_batch=trait.max_batch, max_padded_s=trait.max_padded_s
                ):
                    together = key_of([own[i] for i in batch.tolist()])
                    for i in batch.tolist():
                        key = spec.label, condition.name, utterances[i].utterance_id
                        rows[key], batches[key] = key_of(what, own[i], together), together
            else:
                for u, part in zip(utterances, own, strict=True):
                    rows[spec.label, condition.name, u.utterance_id] = key_of(what, part)
    return Keys(
        rows=rows,
        batches=batches,
        achieved={key: key_of("achieved", sound) for key, sound in sounds.items()},
        measured=listens[0] if listens else None,
        fingerprints=fingerprints,
        recordings=recordings,
    )


def _audio_part(u: Utterance, recordings: Mapping[str, str]) -> str:
    return key_of(recordings.get(u.utterance_id, ""), u.start_s, u.end_s, u.channel, u.speaker_id, u.utterance_id)


def _sound(u: Utterance, condition: Condition, seed: int, recordings: Mapping[str, str], corpus: str) -> list[object]:
    """What decides the samples that an engine gets."""
    cut: list[object] = [recordings.get(u.utterance_id, ""), u.start_s, u.end_s, u.channel, condition.fingerprint]
    if condition.name == CLEAN:
        return cut
    drawn: list[object] = [condition.name, seed, u.utterance_id, u.speaker_id]
    return [*cut, *drawn, corpus]


def _text_part(u: Utterance, condition: Condition, seed: int) -> str:
    """What decides the answer of an engine that needs no audio: it may know all of the utterance."""
    return key_of(
        u.utterance_id, u.speaker_id, u.reference, u.language, dict(u.attributes), condition.name,
        condition.fingerprint, seed,
    )  # fmt: skip


def _planned(trait: EngineTraits) -> list[object]:
    return [trait.sample_rate_hz, trait.needs_audio, trait.max_batch, trait.max_padded_s]


def started_fingerprint(spec: EngineSpec, context: EngineContext, trait: EngineTraits) -> dict[str, str]:
    """Start an engine once, in a process of its own unless it is cheap, and return what it says of itself.

    Raises:
        EngineError: It cannot start.
    """
    if trait.parallel == "inline":
        return _fingerprint(spec, context)
    context = replace(context, device=trait.devices[0])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_fingerprint, spec, context).result()
        except BrokenProcessPool as error:
            raise EngineError(f"the engine {spec.label!r} died while it started") from error


def _fingerprint(spec: EngineSpec, context: EngineContext) -> dict[str, str]:
    engine = create(spec, context)
    try:
        return engine.fingerprint()
    finally:
        engine.close()
