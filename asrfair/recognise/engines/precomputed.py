"""Hypotheses that somebody else made, from files: the way in for any service, with no audio and no access to it.

One file a condition. ``file`` is for ``clean``; ``files`` names the others, so that transcripts of clean recordings are
never shown as if they had been made in noise.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import pydantic

from asrfair.data.hypotheses import check_known, read_hypotheses
from asrfair.data.provenance import sha256_file
from asrfair.errors import InputError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.types import CLEAN, Clip, EngineSpec, Hypothesis, WordTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Columns: TypeAlias = dict[str, list[Any]]


class PrecomputedOptions(pydantic.BaseModel):
    """Options of the engine.

    Args:
        file: Hypotheses under the condition ``clean``.
        files: Hypotheses by the name of the condition.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    file: str | None = None
    files: dict[str, str] = {}


class Precomputed(EngineBase):
    """Looks hypotheses up. An utterance without one is ``missing``; rows for other utterances reach the ledger."""

    traits = EngineTraits(needs_audio=False, parallel="inline", max_batch=1024)
    answers_are_files = True
    """Its files are what the service answered tonight: that they differ from night to night is no change of inputs."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self._paths = _paths(spec, context)
        self._loaded: tuple[str, Columns, dict[str, int]] | None = None

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:
        """Check the options; the traits are always the same."""
        _paths(spec, context)
        return cls.traits

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Return the files' hypotheses."""
        return [self._find(clip.condition, clip.utterance_id) for clip in clips]

    def _find(self, condition: str, utterance_id: str) -> Hypothesis:
        columns, rows = self._table(condition)
        row = rows.get(utterance_id)
        if row is None:
            return Hypothesis(utterance_id=utterance_id, status="missing")
        return _hypothesis(columns, row)

    def leftovers(self, condition: str) -> Iterator[Hypothesis]:
        """Yield the rows of a file that :meth:`transcribe` never returns: repeated ids, and ids nobody knows."""
        columns, rows = self._table(condition)
        known = set() if self.context.table is None else set(self.context.table["utterance_id"].tolist())
        for row, utterance_id in enumerate(columns["utterance_id"]):
            if rows[utterance_id] != row or (self.context.table is not None and utterance_id not in known):
                yield _hypothesis(columns, row)

    def _table(self, condition: str) -> tuple[Columns, dict[str, int]]:
        """Return a condition's columns, and each id's first row in them. One table is held at a time."""
        if self._loaded is None or self._loaded[0] != condition:
            self._loaded = None
            frame = read_hypotheses(self._paths[condition], utterances=self.context.table)
            if self.context.table is not None:
                check_known(self._paths[condition], frame["utterance_id"], self.context.table["utterance_id"])
            columns = {str(name): frame[name].tolist() for name in frame.columns}
            rows: dict[str, int] = {}
            for row, utterance_id in enumerate(columns["utterance_id"]):
                rows.setdefault(utterance_id, row)
            self._loaded = (condition, columns, rows)
        return self._loaded[1], self._loaded[2]

    def fingerprint(self) -> dict[str, str]:
        """Return each file's SHA-256 by condition."""
        return {f"{condition}_sha256": sha256_file(path) for condition, path in self._paths.items()}


def _hypothesis(columns: Columns, row: int) -> Hypothesis:
    text = columns["hypothesis"][row]
    return Hypothesis(
        utterance_id=columns["utterance_id"][row],
        text=text,
        status="ok" if text.strip() else "empty",
        confidence=_number(columns["confidence"][row]),
        language=columns["language"][row] or None,
        words=_words(columns["words"][row]),
    )


def _words(text: str) -> tuple[WordTime, ...]:
    if not text:
        return ()
    found: list[dict[str, Any]] = json.loads(text)
    return tuple(
        WordTime(
            word=str(item.get("word", "")),
            start_s=_number(item.get("start_s")) or 0.0,
            end_s=_number(item.get("end_s")) or 0.0,
            confidence=_number(item.get("confidence")),
        )
        for item in found
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _paths(spec: EngineSpec, context: EngineContext) -> dict[str, Path]:
    options = read_options(PrecomputedOptions, spec)
    named = dict(options.files)
    if options.file is not None:
        if CLEAN in named:
            raise InputError(
                f"engine {spec.label!r}: `file` and `files.clean` both name hypotheses of the condition clean",
                column="file",
                remedy="Keep one of them",
            )
        named[CLEAN] = options.file
    for condition in context.conditions:
        if condition not in named:
            raise InputError(
                f"engine {spec.label!r} has no hypotheses under the condition {condition!r}",
                column="files",
                remedy=f'Name them: files = {{ "{condition}" = "FILE.csv" }}; `file` is for clean only',
            )
    for condition in named:
        if condition not in context.conditions:
            raise InputError(
                f"engine {spec.label!r} has hypotheses for a condition that the suite does not have",
                column="files",
                value=condition,
                remedy=f"The suite has: {', '.join(context.conditions)}",
            )
    found = {condition: context.path(named[condition]) for condition in context.conditions}
    for path in found.values():
        if not path.is_file():
            raise InputError(
                "the file of hypotheses does not exist",
                file=path,
                remedy="Relative paths start from the suite's folder",
            )
    return found
