"""``torchaudio``: the CTC pipeline bundles of torchaudio (Wav2Vec2, HuBERT, MMS …), decoded greedily.

Weights come from a safetensors file of the bundle's state dict, or from torchaudio's own download, which is then read
with torch's restricted loader (``weights_only``), that runs no code. Models that normalise over time in their first
layer (``extractor_mode = "group_norm"``) would see padding whatever lengths they are given: they get one clip at a
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from asrfair.acoustics.torchaudio_import import import_torchaudio
from asrfair.data.provenance import sha256_file
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import EngineError, InputError, MissingExtraError
from asrfair.recognise.engines import torch_device
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.recognise.engines.checkpoint import folder_bytes
from asrfair.recognise.engines.longform import WINDOW_S, cut_long, join_texts
from asrfair.recognise.engines.pipeline import Pipeline, Tensors
from asrfair.types import Clip, EngineSpec, Hypothesis

SHORTEST_S = 0.1


class TorchaudioOptions(pydantic.BaseModel):
    """Options of the ``torchaudio`` engine.

    Args:
        bundle: A name in ``torchaudio.pipelines``, such as ``WAV2VEC2_ASR_BASE_960H``.
        weights: A safetensors file with the bundle's state dict; empty lets torchaudio download its own.
        device: ``auto``, a device, or a list of devices (one process each).
        threads: Processor threads of each worker on the processor; more of them mean fewer workers.
        precision: ``auto`` (bf16 on CUDA, fp32 elsewhere), ``fp32``, ``fp16`` or ``bf16``.
        max_batch: Most clips a call; default 32 on CUDA and 1 on the processor.
        max_padded_s: Budget of a batch in seconds: its clips times its longest clip.
        window_s: Longer audio is cut (docs/engines.md says how).
        random_weights: Build the model without weights. Its text is meaningless: for benchmarks only.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    bundle: str
    weights: str | None = None
    device: str | list[str] = "auto"
    threads: int = pydantic.Field(default=1, ge=1, le=1024)
    precision: torch_device.Precision = "auto"
    max_batch: int | None = pydantic.Field(default=None, ge=1, le=4096)
    max_padded_s: float = pydantic.Field(default=480.0, gt=0)
    window_s: float = pydantic.Field(default=WINDOW_S, ge=1, le=3600)
    random_weights: bool = False


class Torchaudio(EngineBase):
    """Runs a bundle's acoustic model and takes the best label of each frame."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(TorchaudioOptions, spec)
        self._torch = torch_device.import_torch("gpu", "torchaudio")
        self._torchaudio = import_torchaudio("the engine 'torchaudio'")
        torch_device.prepare(self._torch, context.device, context.threads)
        self._dtype = torch_device.dtype_of(self._torch, self.options.precision, context.device)
        self._bundle = self._find_bundle()
        self._weights = "random"
        self._model = self._load().to(device=context.device, dtype=self._dtype).eval()
        self._labels = self._bundle.get_labels()
        self.padding = "none" if self._params().get("extractor_mode") == "group_norm" else "masked"
        size = 1 if self.padding == "none" else self.traits.max_batch
        self._pipeline: Pipeline[str] = Pipeline(self, self._torch, context.device, size=size)

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:
        """Return the traits: one process a device or several on the processor, batches under a padded-seconds budget."""
        options = read_options(TorchaudioOptions, spec)
        return torch_device.traits(
            options.device,
            max_batch=options.max_batch,
            max_padded_s=options.max_padded_s,
            threads=options.threads,
            weights_bytes=0 if options.weights is None else folder_bytes(context.path(options.weights)),
        )

    def _params(self) -> dict[str, Any]:
        params: dict[str, Any] = self._bundle._params  # noqa: SLF001 -- the only place where the model's shape stands
        return params

    def _find_bundle(self) -> Any:
        pipelines = self._torchaudio.pipelines
        kind = pipelines.Wav2Vec2ASRBundle
        known = [name for name in dir(pipelines) if isinstance(getattr(pipelines, name), kind)]
        if self.options.bundle not in known:
            raise InputError(
                f"torchaudio has no CTC bundle {self.options.bundle!r}", column="bundle",
                remedy=did_you_mean(self.options.bundle, known),
            )  # fmt: skip
        bundle = getattr(pipelines, self.options.bundle)
        if bundle.sample_rate != self.traits.sample_rate_hz:
            raise EngineError(
                f"the bundle wants audio at {bundle.sample_rate} Hz, not 16000 Hz", remedy="Use another one"
            )
        return bundle

    def _load(self) -> Any:
        try:
            if self.options.weights is None and not self.options.random_weights:
                self._weights = "torchaudio's own"
                return self._bundle.get_model(dl_kwargs={"weights_only": True})
            from torchaudio.pipelines._wav2vec2 import utils

            self._torch.manual_seed(self.context.seed)
            model = utils._get_model(self._bundle._model_type, self._params())  # noqa: SLF001 -- built as the bundle does
            if self.options.weights is not None:
                model.load_state_dict(self._read_weights())
            return utils._extend_model(  # noqa: SLF001 -- likewise
                model, normalize_waveform=self._bundle._normalize_waveform, apply_log_softmax=False, append_star=False  # noqa: SLF001
            )  # fmt: skip
        except (InputError, MissingExtraError):
            raise
        except Exception as error:
            raise EngineError(
                f"the bundle {self.options.bundle} cannot be loaded: {type(error).__name__}: {error}",
                remedy="Without a network, give its weights as a safetensors file",
            ) from error

    def _read_weights(self) -> Any:
        path = self.context.path(str(self.options.weights))
        if not path.is_file() or path.suffix != ".safetensors":
            raise InputError("there is no such safetensors file", column="weights", value=self.options.weights)
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise MissingExtraError(extra="gpu", package="safetensors", needed_for="a weights file") from error
        self._weights = sha256_file(Path(path))
        return load_file(path)

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Cut long clips, transcribe all pieces, join their texts."""
        pieces: list[tuple[int, Any]] = []
        for index, clip in enumerate(clips):
            shortest = round(SHORTEST_S * clip.sample_rate_hz)
            for start, end in cut_long(clip.samples, clip.sample_rate_hz, window_s=self.options.window_s):
                piece = clip.samples[start:end]
                pieces.append((index, np.pad(piece, (0, max(shortest - len(piece), 0)))))
        texts: list[list[str]] = [[] for _ in clips]
        answers = self._pipeline.run([piece for _, piece in pieces])
        for (index, _), text in zip(pieces, answers, strict=True):
            texts[index].append(text)
        joined = [join_texts(parts) for parts in texts]
        return [
            Hypothesis(utterance_id=clip.utterance_id, text=text, status="ok" if text else "empty")
            for clip, text in zip(clips, joined, strict=True)
        ]

    def prepare(self, arrays: Sequence[Any]) -> Tensors:
        """Put samples side by side, zeros after each end."""
        lengths = self._torch.tensor([len(array) for array in arrays])
        samples = self._torch.zeros(len(arrays), int(lengths.max()))
        for row, array in zip(samples, arrays, strict=True):
            row[: len(array)] = self._torch.from_numpy(np.ascontiguousarray(array, np.float32))
        return {"samples": samples, "lengths": lengths}

    def launch(self, inputs: Tensors) -> Tensors:
        """Take the best label of each frame."""
        samples = inputs["samples"].to(self._dtype)
        emissions, frames = self._model(samples, inputs["lengths"] if len(samples) > 1 else None)
        best = {"labels": emissions.argmax(-1)}
        return best if frames is None else {**best, "frames": frames}

    def read(self, outputs: Tensors, arrays: Sequence[Any]) -> list[str]:
        """Make texts of labels."""
        labels = outputs["labels"].numpy()
        counts = outputs["frames"].tolist() if "frames" in outputs else [labels.shape[1]] * len(arrays)
        return [self._text(row[:count]) for row, count in zip(labels, counts, strict=True)]

    def _text(self, labels: Any) -> str:
        """CTC's greedy path: repeats merged, blanks (label 0) dropped, ``|`` between words."""
        keep = np.concatenate(([True], labels[1:] != labels[:-1])) if len(labels) else np.zeros(0, bool)
        return "".join(self._labels[index] for index in labels[keep] if index != 0).replace("|", " ").strip()

    def statistics(self) -> dict[str, float]:
        """Return how often a batch had to be split for lack of memory, and seconds by stage."""
        return self._pipeline.statistics()

    def fingerprint(self) -> dict[str, str]:
        """Return versions, the bundle, where its weights come from, and how batches are padded."""
        return {
            "torch": self._torch.__version__,
            "torchaudio": self._torchaudio.__version__,
            "bundle": self.options.bundle,
            "weights": self._weights,
            "precision": str(self._dtype).removeprefix("torch."),
            "device": self.context.device.split(":")[0],
            "padding": self.padding,
        }

    def close(self) -> None:
        """Give the device's memory back."""
        self._pipeline.close()
        del self._model
        torch_device.release(self._torch)
