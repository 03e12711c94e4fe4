"""``vosk``: Kaldi models through the Vosk library; offline, small, one process a core."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydantic

from asrfair.data.provenance import sha256_paths
from asrfair.errors import EngineError, InputError, MissingExtraError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.types import Clip, EngineSpec, Hypothesis, WordTime


class VoskOptions(pydantic.BaseModel):
    """Options of the ``vosk`` engine.

    Args:
        model: The folder of an unpacked Vosk model.
        word_times: Whether to keep the times and confidences of words.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    model: str
    word_times: bool = False


class Vosk(EngineBase):
    """A new recogniser for each clip, so that no state passes from one speaker to the next."""

    traits = EngineTraits(parallel="processes")

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(VoskOptions, spec)
        try:
            import vosk
        except ImportError as error:
            raise MissingExtraError(extra="vosk", package="vosk", needed_for="the engine 'vosk'") from error
        self._folder = context.path(self.options.model)
        if not self._folder.is_dir():
            raise InputError("there is no such model folder", column="model", value=self.options.model)
        vosk.SetLogLevel(-1)
        self._vosk: Any = vosk
        try:
            self._model = vosk.Model(str(self._folder))
        except Exception as error:
            raise EngineError(
                f"the model cannot be loaded: {error}", remedy="Give the folder that holds am/, conf/ and graph/"
            ) from error

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Transcribe each clip."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Hypothesis:
        recogniser = self._vosk.KaldiRecognizer(self._model, clip.sample_rate_hz)
        recogniser.SetWords(True)
        samples = np.clip(np.round(clip.samples * 32768.0), -32768, 32767).astype("<i2")
        recogniser.AcceptWaveform(samples.tobytes())
        answer = json.loads(recogniser.FinalResult())
        text = str(answer.get("text", "")).strip()
        details = answer.get("result", [])
        return Hypothesis(
            utterance_id=clip.utterance_id,
            text=text,
            status="ok" if text else "empty",
            confidence=float(np.mean([item["conf"] for item in details])) if details else None,
            words=tuple(
                WordTime(word=item["word"], start_s=item["start"], end_s=item["end"], confidence=item["conf"])
                for item in details
            )
            if self.options.word_times
            else (),
        )

    def fingerprint(self) -> dict[str, str]:
        """Return the version and a hash over the model's files."""
        import importlib.metadata

        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        return {
            "vosk": importlib.metadata.version("vosk"),
            "model": self._folder.name,
            "files_sha256": sha256_paths(files),
        }
