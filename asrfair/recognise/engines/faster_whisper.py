"""``faster-whisper``: Whisper checkpoints converted for CTranslate2 (fast on processors and on GPUs).

A CTranslate2 folder holds ``model.bin``, which is a format of its own without code in it. One clip a call: padding of
other utterances never reaches the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from asrfair.acoustics.torchaudio_import import ensure_importable
from asrfair.errors import EngineError, InputError, MissingExtraError
from asrfair.recognise.engines import torch_device
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.recognise.engines.checkpoint import fetch_from_hub, files_sha256, folder_bytes, is_hub_id
from asrfair.recognise.engines.longform import join_texts
from asrfair.types import Clip, EngineSpec, Hypothesis, WordTime

PATTERNS = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")


class FasterWhisperOptions(pydantic.BaseModel):
    """Options of the ``faster-whisper`` engine.

    Args:
        model: A local folder in CTranslate2's format, or a hub id.
        revision: The commit of a hub id; required for one.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``; or a list of devices, one process each.
        threads: Processor threads of each worker on the processor; more of them mean fewer workers.
        compute_type: CTranslate2's number format, such as ``int8``, ``float16``, ``float32``.
        language, task, beam_size, initial_prompt, hotwords: Passed to the model.
        word_times: Whether to compute the times of words.
        vad: Whether to skip what Silero's voice detector takes for silence. Off: it would hide text made up on silence.
        condition_on_previous_text: Whether a window of a long recording sees the text of the window before.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    model: str
    revision: str | None = None
    device: str | list[str] = "auto"
    threads: int = pydantic.Field(default=1, ge=1, le=1024)
    compute_type: str = "default"
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    beam_size: int = pydantic.Field(default=5, ge=1, le=50)
    initial_prompt: str | None = None
    hotwords: str | None = None
    word_times: bool = False
    vad: bool = False
    condition_on_previous_text: bool = False


class FasterWhisper(EngineBase):
    """Runs a converted Whisper checkpoint."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(FasterWhisperOptions, spec)
        ensure_importable()
        try:
            import faster_whisper
        except ImportError as error:
            raise MissingExtraError(
                extra="faster-whisper", package="faster-whisper", needed_for="the engine 'faster-whisper'"
            ) from error
        self._version = faster_whisper.__version__
        self._folder = self._find()
        device, _, index = context.device.partition(":")
        try:
            self._model: Any = faster_whisper.WhisperModel(
                str(self._folder),
                device=device,
                device_index=int(index or 0),
                compute_type=self.options.compute_type,
                cpu_threads=max(context.threads, 1),
                local_files_only=True,
            )
        except Exception as error:
            raise EngineError(
                f"the model cannot be loaded: {type(error).__name__}: {error}",
                remedy="It must be a Whisper checkpoint converted with ct2-transformers-converter, with tokenizer.json",
            ) from error

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:
        """Return the traits: one process a device on CUDA, one a core on the processor; one clip a call."""
        options = read_options(FasterWhisperOptions, spec)
        # One clip a call, so there is no batch to bound.
        return torch_device.traits(
            options.device,
            max_batch=1,
            max_padded_s=None,
            threads=options.threads,
            weights_bytes=folder_bytes(context.path(options.model), "*.bin"),
        )

    def _find(self) -> Path:
        folder = self.context.path(self.options.model)
        if not folder.is_dir():
            if not is_hub_id(self.options.model):
                raise InputError("there is no such model folder", column="model", value=self.options.model)
            folder = fetch_from_hub(self.options.model, self.options.revision, PATTERNS, extra="faster-whisper")
        if not (folder / "model.bin").is_file() or not (folder / "tokenizer.json").is_file():
            raise InputError(
                "the folder lacks model.bin or tokenizer.json", file=folder, column="model",
                remedy="Convert a checkpoint: "
                "ct2-transformers-converter --model IN --output_dir OUT --copy_files tokenizer.json",
            )  # fmt: skip
        return folder

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Transcribe each clip; temperature stays 0, so that the same clip gives the same text."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Hypothesis:
        options = self.options
        segments, info = self._model.transcribe(
            clip.samples,
            language=options.language or clip.language or None,
            task=options.task,
            beam_size=options.beam_size,
            temperature=[0.0],
            initial_prompt=options.initial_prompt,
            hotwords=options.hotwords,
            word_timestamps=options.word_times,
            vad_filter=options.vad,
            condition_on_previous_text=options.condition_on_previous_text,
        )
        parts = list(segments)
        text = join_texts([part.text for part in parts])
        words = tuple(
            WordTime(word=word.word.strip(), start_s=word.start, end_s=word.end, confidence=word.probability)
            for part in parts
            for word in part.words or ()
        )
        return Hypothesis(
            utterance_id=clip.utterance_id,
            text=text,
            status="ok" if text else "empty",
            confidence=math.exp(min(sum(p.avg_logprob for p in parts) / len(parts), 0.0)) if parts else None,
            language=info.language,
            words=words,
        )

    def fingerprint(self) -> dict[str, str]:
        """Return versions and a hash over the model's files."""
        import ctranslate2

        return {
            "model": self._folder.name if not is_hub_id(self.options.model) else self.options.model,
            "revision": self.options.revision or "local",
            "files_sha256": files_sha256(self._folder),
            "faster_whisper": self._version,
            "ctranslate2": ctranslate2.__version__,
            "device": self.context.device.split(":")[0],
            "padding": "fixed",
        }

    def close(self) -> None:
        """Give the device's memory back."""
        del self._model
