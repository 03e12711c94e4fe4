"""``transformers``: CTC and sequence-to-sequence models of Hugging Face transformers, through its Auto classes.

Which class a checkpoint needs is read from its configuration, never from its name. How a batch is padded is tried out
when the model is loaded, and recorded in the fingerprint as ``padding``:

- ``fixed``: the feature extractor pads every clip to one window (Whisper), so a batch changes no clip's input;
- ``masked``: the model takes an attention mask, and output frames of padding are cut off before decoding;
- ``none``: the model takes no mask, so clips go through one at a time, whatever ``max_batch`` says;
- ``unmasked``: as asked for by the option, to see what it does to transcripts.

How batches overlap is told in :mod:`asrfair.recognise.engines.pipeline`; the three stages stand here.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pydantic

from asrfair.acoustics.torchaudio_import import ensure_importable
from asrfair.errors import EngineError, MissingExtraError
from asrfair.recognise.engines import torch_device
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.recognise.engines.checkpoint import find_checkpoint, folder_bytes
from asrfair.recognise.engines.longform import WINDOW_S, cut_long, join_texts
from asrfair.recognise.engines.pipeline import Pipeline, Tensors
from asrfair.recognise.engines.shapes import SHAPES, bucketed
from asrfair.recognise.engines.whisper_features import LogMel
from asrfair.types import Clip, EngineSpec, Hypothesis

SHORTEST_S = 0.1
"""Shorter clips are filled up with silence: the first layers of most models need some hundredths of a second."""

PaddingKind = Literal["fixed", "masked", "none", "unmasked"]


class TransformersOptions(pydantic.BaseModel):
    """Options of the ``transformers`` engine.

    Args:
        model: A local folder, or a hub id.
        revision: The commit of a hub id; required for one.
        device: ``auto`` (every CUDA device, else the processor), a device, or a list of devices (one process each).
        threads: Processor threads of each worker on the processor; more of them mean fewer workers.
        precision: ``auto`` (bf16 on CUDA, fp32 elsewhere), ``fp32``, ``fp16`` or ``bf16``.
        max_batch: Most clips a call; default 32 on CUDA and 1 on the processor, where batches gain nothing.
        max_padded_s: Budget of a batch in seconds: its clips times its longest clip.
        attention: transformers' ``attn_implementation``.
        buckets: Whether every batch is filled up to one of a few shapes (:mod:`asrfair.recognise.engines.shapes`).
        compile: Whether to ``torch.compile`` the model, on CUDA with graphs, and with a static cache where it generates;
            shapes are then bucketed.
        padding: ``masked`` (what the model allows, see above) or ``unmasked``.
        window_s: Longer audio is cut (docs/engines.md says how); at most a fixed-window model's window.
        generate: Keywords for ``model.generate`` of sequence-to-sequence models, such as
            ``{language = "en", task = "transcribe", num_beams = 5}``.
        confidence: Whether to compute a confidence (costs memory for sequence-to-sequence models).
        random_weights: Build the model from its configuration alone. Its text is meaningless: for benchmarks only.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    model: str
    revision: str | None = None
    device: str | list[str] = "auto"
    threads: int = pydantic.Field(default=1, ge=1, le=1024)
    precision: torch_device.Precision = "auto"
    max_batch: int | None = pydantic.Field(default=None, ge=1, le=4096)
    max_padded_s: float = pydantic.Field(default=480.0, gt=0)
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    buckets: bool = False
    compile: bool = False
    padding: Literal["masked", "unmasked"] = "masked"
    window_s: float = pydantic.Field(default=WINDOW_S, ge=1, le=3600)
    generate: dict[str, Any] = {}
    confidence: bool = False
    random_weights: bool = False


class Transformers(EngineBase):
    """Loads a checkpoint and transcribes batches of clips."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(TransformersOptions, spec)
        self._torch = torch_device.import_torch("transformers", "transformers")
        self._checkpoint = find_checkpoint(self.options.model, self.options.revision, context)
        torch_device.prepare(self._torch, context.device, context.threads)
        self._dtype = torch_device.dtype_of(self._torch, self.options.precision, context.device)
        self._load()
        size = 1 if self.padding == "none" else self.traits.max_batch
        self._pipeline: Pipeline[tuple[str, float | None]] = Pipeline(self, self._torch, context.device, size=size)

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:
        """Return the traits: one process a device or several on the processor, batches under a padded-seconds budget."""
        options = read_options(TransformersOptions, spec)
        return torch_device.traits(
            options.device,
            max_batch=options.max_batch,
            max_padded_s=options.max_padded_s,
            threads=options.threads,
            weights_bytes=folder_bytes(context.path(options.model), "*.safetensors"),
        )

    def _load(self) -> None:
        ensure_importable()
        try:
            from transformers import (
                AutoConfig,
                AutoModelForCTC,
                AutoModelForSpeechSeq2Seq,
                AutoProcessor,
                GenerationConfig,
            )
        except ImportError as error:
            raise MissingExtraError(
                extra="transformers", package="transformers", needed_for="the engine 'transformers'"
            ) from error
        folder = self._checkpoint.folder
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._is_ctc = type(config) in AutoModelForCTC._model_mapping  # noqa: SLF001 -- the Auto class's own table
            factory = AutoModelForCTC if self._is_ctc else AutoModelForSpeechSeq2Seq
            if self.options.random_weights:
                self._torch.manual_seed(self.context.seed)
                with self._torch.device(self.context.device):  # a billion random numbers take the processor a minute
                    model = factory.from_config(config, attn_implementation=self.options.attention).to(self._dtype)
                if not self._is_ctc and (folder / "generation_config.json").is_file():
                    model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
            else:
                model = factory.from_pretrained(
                    folder,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    attn_implementation=self.options.attention,
                    dtype=self._dtype,
                )
            self._processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:
            raise EngineError(
                f"the model {self._checkpoint.name} cannot be loaded: {type(error).__name__}: {error}",
                remedy="It must be a CTC or speech sequence-to-sequence checkpoint with its processor's files",
            ) from error
        self._model = model.to(self.context.device).eval()
        self._features = getattr(self._processor, "feature_extractor", self._processor)
        if self._is_ctc:
            tokenizer = self._processor.tokenizer
            self._blank = config.pad_token_id if config.pad_token_id is not None else tokenizer.pad_token_id
            merges = "group_tokens" in inspect.signature(tokenizer._decode).parameters  # noqa: SLF001 -- no public way
            self._decode_keywords = {"group_tokens": False} if merges else {}
        self._try_padding()
        self._generate = dict(self.options.generate)
        if self.options.compile:
            self._compile()

    def _compile(self) -> None:
        """Compile for the shapes of the buckets; on CUDA as graphs, which need tensors that stay where they are."""
        self._torch._dynamo.config.recompile_limit = SHAPES  # noqa: SLF001 -- torch's own documented setting
        keywords: dict[str, Any] = {"dynamic": False}
        if self.context.device.startswith("cuda"):
            keywords["mode"] = "reduce-overhead"
        if self._is_ctc:
            self._model.forward = self._torch.compile(self._model.forward, **keywords)
            return
        encoder = self._model.get_encoder()
        encoder.forward = self._torch.compile(encoder.forward, **keywords)
        self._generate.setdefault("cache_implementation", "static")  # then transformers compiles the decoder itself

    def _try_padding(self) -> None:
        rate_hz = int(getattr(self._features, "sampling_rate", 16_000))
        fixed_s = getattr(self._features, "chunk_length", None)
        self._window_s = min(self.options.window_s, float(fixed_s)) if fixed_s else self.options.window_s
        self._rate_hz = rate_hz
        self._log_mel = LogMel.of(self._torch, self._features, self.context.device)
        self.padding: PaddingKind = "fixed" if fixed_s else "masked"
        if not fixed_s:
            probe = self.prepare([np.zeros(rate_hz, np.float32), np.zeros(rate_hz // 2, np.float32)])
            mask = probe.get("attention_mask")
            seen = mask is not None and not bool(mask.bool().all())
            if self.options.padding == "unmasked":
                self.padding = "unmasked"
            elif not seen or (self._is_ctc and self._output_lengths is None):
                self.padding = "none"
        if rate_hz != self.traits.sample_rate_hz:
            raise EngineError(
                f"the model {self._checkpoint.name} wants audio at {rate_hz} Hz; this engine hands over 16000 Hz",
                remedy="Use a 16 kHz checkpoint",
            )

    @property
    def _output_lengths(self) -> Any:
        for name in ("_get_feat_extract_output_lengths", "_get_subsampling_output_length"):
            for owner in (self._model, getattr(self._model, self._model.base_model_prefix or "", None)):
                if owner is not None and hasattr(owner, name):
                    return getattr(owner, name)
        return None

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Cut long clips, transcribe all pieces, join their texts."""
        pieces: list[tuple[int, Any]] = []
        for index, clip in enumerate(clips):
            shortest = round(SHORTEST_S * self._rate_hz)
            for start, end in cut_long(clip.samples, clip.sample_rate_hz, window_s=self._window_s):
                piece = clip.samples[start:end]
                if len(piece) < shortest:
                    piece = np.pad(piece, (0, shortest - len(piece)))
                pieces.append((index, piece))
        texts: list[list[str]] = [[] for _ in clips]
        sureness: list[list[float]] = [[] for _ in clips]
        answers = self._pipeline.run([piece for _, piece in pieces])
        for (index, _), (text, confidence) in zip(pieces, answers, strict=True):
            texts[index].append(text)
            if confidence is not None:
                sureness[index].append(confidence)
        found = []
        for clip, parts, values in zip(clips, texts, sureness, strict=True):
            text = join_texts(parts)
            found.append(
                Hypothesis(
                    utterance_id=clip.utterance_id,
                    text=text,
                    status="ok" if text else "empty",
                    confidence=float(np.mean(values)) if values else None,
                )
            )
        return found

    def prepare(self, arrays: Sequence[Any]) -> Tensors:
        """Make the model's inputs, or for log-mel features what the device makes them from."""
        if self._log_mel is not None:
            inputs = self._log_mel.prepare(arrays)
        else:
            keywords = {} if self.padding == "fixed" else {"padding": True}
            inputs = self._features(
                list(arrays),
                sampling_rate=self._rate_hz,
                return_tensors="pt",
                return_attention_mask=True,
                **keywords,
            )
        if self.padding == "unmasked":
            inputs.pop("attention_mask", None)
        return bucketed(self._torch, inputs, most=self.traits.max_batch) if self._bucketed else inputs

    def launch(self, inputs: Tensors) -> Tensors:
        """Run the model; what is to be read stays on the device."""
        if self._log_mel is not None:
            inputs = self._log_mel.features(inputs)
        typed = {name: value.to(self._dtype) if value.is_floating_point() else value for name, value in inputs.items()}
        return self._ctc(typed) if self._is_ctc else self._seq2seq(typed)

    def read(self, outputs: Tensors, arrays: Sequence[Any]) -> list[tuple[str, float | None]]:
        """Make texts of labels, and confidences where they were asked for."""
        ids = outputs["ids"][: len(arrays)]
        if self._is_ctc:
            lengths = outputs["lengths"].tolist() if "lengths" in outputs else [ids.shape[1]] * len(ids)
            texts = [self._text(row[:length]) for row, length in zip(ids, lengths, strict=False)]
        else:
            lengths = []
            texts = self._processor.batch_decode(ids, skip_special_tokens=True)
        if "best" not in outputs:
            return [(text, None) for text in texts]
        best = outputs["best"][: len(arrays)]
        if not self._is_ctc:
            return list(zip(texts, best.tolist(), strict=True))
        return [
            (text, float(row[:n].mean()) if n else None) for text, row, n in zip(texts, best, lengths, strict=False)
        ]

    @property
    def _bucketed(self) -> bool:
        return self.options.buckets or self.options.compile

    def _ctc(self, inputs: dict[str, Any]) -> Tensors:
        logits = self._model(**inputs).logits
        outputs = {"ids": logits.argmax(-1)}
        if self.options.confidence:
            outputs["best"] = logits.float().softmax(-1).amax(-1)
        if self.padding == "masked":
            outputs["lengths"] = self._output_lengths(inputs["attention_mask"].sum(-1))
        return outputs

    def _text(self, frames: Any) -> str:
        """CTC's greedy path: repeats merged, blanks dropped.

        Not left to the tokenizer: some drop the blanks as special tokens first and then merge "feel" to "fel".
        """
        kept = self._torch.unique_consecutive(frames)
        kept = kept[kept != self._blank].tolist()
        return str(self._processor.tokenizer.decode(kept, skip_special_tokens=True, **self._decode_keywords))

    def _seq2seq(self, inputs: dict[str, Any]) -> Tensors:
        if not self.options.confidence:
            return {"ids": self._model.generate(**inputs, do_sample=False, **self._generate)}
        out = self._model.generate(
            **inputs, do_sample=False, return_dict_in_generate=True, output_scores=True, **self._generate
        )
        scores = self._model.compute_transition_scores(
            out.sequences, out.scores, beam_indices=getattr(out, "beam_indices", None), normalize_logits=True
        )
        finite = self._torch.isfinite(scores)
        total = self._torch.where(finite, scores, self._torch.zeros_like(scores)).sum(-1)
        mean = total / finite.sum(-1).clamp(min=1)
        return {"ids": out.sequences, "best": mean.exp().float()}

    def statistics(self) -> dict[str, float]:
        """Return how often a batch had to be split for lack of memory, and seconds by stage."""
        return self._pipeline.statistics()

    def fingerprint(self) -> dict[str, str]:
        """Return versions, the checkpoint's hash, precision, device type, and how batches are padded."""
        import transformers

        return {
            **self._checkpoint.fingerprint(),
            "torch": self._torch.__version__,
            "transformers": transformers.__version__,
            "precision": str(self._dtype).removeprefix("torch."),
            "device": self.context.device.split(":")[0],
            "padding": f"{self.padding}, bucketed" if self._bucketed else self.padding,
            "weights": "random" if self.options.random_weights else "loaded",
        }

    def close(self) -> None:
        """Give the device's memory back."""
        self._pipeline.close()
        del self._model, self._log_mel
        torch_device.release(self._torch)
