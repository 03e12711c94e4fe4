"""``python``: any function of yours, ``module:callable``, as an engine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from asrfair.errors import EngineError, InputError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.types import Clip, EngineSpec, Hypothesis


class PythonOptions(pydantic.BaseModel):
    """Options of the ``python`` engine.

    Args:
        callable: ``module:attribute``. Called with float32 samples of shape (n,) and the rate in Hz; returns the text,
            or a mapping with ``text`` and any of ``confidence``, ``language``. With ``max_batch`` above 1 it is called
            with a list of sample arrays and the rate, and returns a list.
        source_dir: A folder put on the import path first.
        sample_rate_hz: The rate at which audio is handed over.
        parallel: ``processes`` (a copy a worker), ``threads`` (one copy, called concurrently) or ``device`` (one copy).
        max_batch: Most clips a call.
        max_padded_s: Budget of a batch in seconds: its clips times its longest clip.
        concurrency: Calls at once, for ``threads``.
        version: Your word for what the function is now; a resumed run refuses when it has changed.
    """

    model_config = pydantic.ConfigDict(extra="forbid")
    callable: str
    source_dir: str | None = None
    sample_rate_hz: int = pydantic.Field(default=16_000, ge=1_000, le=384_000)
    parallel: Literal["processes", "threads", "device"] = "processes"
    max_batch: int = pydantic.Field(default=1, ge=1, le=4096)
    max_padded_s: float | None = pydantic.Field(default=None, gt=0)
    concurrency: int = pydantic.Field(default=4, ge=1, le=256)
    version: str = ""


class Python(EngineBase):
    """Calls a function of the user's for each clip or batch."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(PythonOptions, spec)
        self._function = self._load()

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:  # noqa: ARG003 -- same for every context
        """Return the traits that the options ask for."""
        options = read_options(PythonOptions, spec)
        return EngineTraits(
            sample_rate_hz=options.sample_rate_hz,
            parallel=options.parallel,
            max_batch=options.max_batch,
            max_padded_s=options.max_padded_s,
            concurrency=options.concurrency if options.parallel == "threads" else 1,
        )

    def _load(self) -> Any:
        module_name, colon, attribute = self.options.callable.partition(":")
        if not colon or not module_name or not attribute:
            raise InputError(
                "the option 'callable' is written module:attribute", value=self.options.callable, column="callable"
            )
        if self.options.source_dir is not None:
            folder = str(self.context.path(self.options.source_dir))
            if not Path(folder).is_dir():
                raise InputError("there is no such folder", value=folder, column="source_dir")
            if folder not in sys.path:
                sys.path.insert(0, folder)
        try:
            function = getattr(importlib.import_module(module_name), attribute)
        except Exception as error:
            raise EngineError(
                f"{self.options.callable} cannot be imported: {type(error).__name__}: {error}",
                remedy="Install its package, or name its folder in source_dir",
            ) from error
        if not callable(function):
            raise EngineError(f"{self.options.callable} is not callable")
        return function

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Return one hypothesis a clip."""
        if self.options.max_batch == 1:
            return [hypothesis_from_reply(clip, self._function(clip.samples, clip.sample_rate_hz)) for clip in clips]
        replies = list(self._function([clip.samples for clip in clips], clips[0].sample_rate_hz))
        if len(replies) != len(clips):
            raise ValueError(f"{self.options.callable} returned {len(replies)} texts for {len(clips)} clips")
        return [hypothesis_from_reply(clip, reply) for clip, reply in zip(clips, replies, strict=True)]

    def fingerprint(self) -> dict[str, str]:
        """Return the callable and the version that the user states."""
        return {"callable": self.options.callable, "version": self.options.version}


def hypothesis_from_reply(clip: Clip, reply: object) -> Hypothesis:
    """Turn what a program of the user's answered into a hypothesis; anything else is an error row."""
    if isinstance(reply, str):
        reply = {"text": reply}
    if not isinstance(reply, Mapping) or not isinstance(reply.get("text"), str):
        return Hypothesis(
            utterance_id=clip.utterance_id, status="error", error=f"expected a text, got {type(reply).__name__}"
        )
    confidence, language = reply.get("confidence"), reply.get("language")
    text = reply["text"]
    return Hypothesis(
        utterance_id=clip.utterance_id,
        text=text,
        status="ok" if text.strip() else "empty",
        confidence=float(confidence) if isinstance(confidence, int | float) else None,
        language=language if isinstance(language, str) else None,
    )
