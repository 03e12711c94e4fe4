"""``nemo``: NVIDIA NeMo's recognisers from a ``.nemo`` file.

A ``.nemo`` file is an archive with weights that Python unpickles: whoever made it can run code on your machine when
it is loaded. asrfair loads no pickled data by itself, so this engine starts only with ``accept_pickle = true``, as a
decision of yours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pydantic

from asrfair.data.provenance import sha256_file
from asrfair.errors import EngineError, InputError, MissingExtraError
from asrfair.recognise.engines import torch_device
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.recognise.engines.checkpoint import folder_bytes
from asrfair.recognise.engines.longform import WINDOW_S, cut_long, join_texts
from asrfair.types import Clip, EngineSpec, Hypothesis


class NemoOptions(pydantic.BaseModel):
    """Options of the ``nemo`` engine.

    Args:
        model: The ``.nemo`` file.
        accept_pickle: That you trust whoever made it (see above).
        device: ``auto``, a device, or a list of devices (one process each).
        threads: Processor threads of each worker on the processor; more of them mean fewer workers.
        max_batch: Most clips a call; default 32 on CUDA and 1 on the processor.
        max_padded_s: Budget of a batch in seconds: its clips times its longest clip.
        window_s: Longer audio is cut (docs/engines.md says how).
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    model: str
    accept_pickle: bool = False
    device: str | list[str] = "auto"
    threads: int = pydantic.Field(default=1, ge=1, le=1024)
    max_batch: int | None = pydantic.Field(default=None, ge=1, le=4096)
    max_padded_s: float = pydantic.Field(default=480.0, gt=0)
    window_s: float = pydantic.Field(default=WINDOW_S, ge=1, le=3600)


class Nemo(EngineBase):
    """Restores a model and calls its own ``transcribe``, which masks padding by lengths."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(NemoOptions, spec)
        self._path = context.path(self.options.model)
        if not self._path.is_file() or self._path.suffix != ".nemo":
            raise InputError("there is no such .nemo file", column="model", value=self.options.model)
        if not self.options.accept_pickle:
            raise InputError(
                "a .nemo file holds pickled weights, which can run code when they are loaded", column="accept_pickle",
                remedy="If you trust whoever made it, set accept_pickle = true",
            )  # fmt: skip
        torch = torch_device.import_torch("nemo", "nemo")
        torch_device.prepare(torch, context.device, context.threads)
        try:
            from nemo.collections.asr.models import ASRModel
        except ImportError as error:
            raise MissingExtraError(extra="nemo", package="nemo_toolkit", needed_for="the engine 'nemo'") from error
        try:
            self._model: Any = ASRModel.restore_from(str(self._path), map_location=context.device).eval()
        except Exception as error:
            raise EngineError(f"the model cannot be restored: {type(error).__name__}: {error}") from error

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:
        """Return the traits: one process a device or several on the processor, batches under a padded-seconds budget."""
        options = read_options(NemoOptions, spec)
        return torch_device.traits(
            options.device,
            max_batch=options.max_batch,
            max_padded_s=options.max_padded_s,
            threads=options.threads,
            weights_bytes=folder_bytes(context.path(options.model)),
        )

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Cut long clips, transcribe all pieces in one call, join their texts."""
        owners: list[int] = []
        pieces: list[Any] = []
        for index, clip in enumerate(clips):
            for start, end in cut_long(clip.samples, clip.sample_rate_hz, window_s=self.options.window_s):
                owners.append(index)
                pieces.append(clip.samples[start:end])
        answers = self._model.transcribe(pieces, batch_size=self.traits.max_batch, verbose=False)
        if isinstance(answers, tuple):  # transducers answer (best, all)
            answers = answers[0]
        texts: list[list[str]] = [[] for _ in clips]
        for owner, answer in zip(owners, answers, strict=True):
            texts[owner].append(answer if isinstance(answer, str) else str(answer.text))
        joined = [join_texts(parts) for parts in texts]
        return [
            Hypothesis(utterance_id=clip.utterance_id, text=text, status="ok" if text else "empty")
            for clip, text in zip(clips, joined, strict=True)
        ]

    def fingerprint(self) -> dict[str, str]:
        """Return the version and the file's hash."""
        import importlib.metadata

        return {
            "nemo": importlib.metadata.version("nemo_toolkit"),
            "model": self._path.name,
            "sha256": sha256_file(self._path),
            "device": self.context.device.split(":")[0],
        }
