"""Checkpoints made on the spot, with random weights or none: their text is meaningless, their files are the real kind.

Nothing is fetched: a byte vocabulary for Whisper, letters for CTC, and whatever shape is asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrfair.acoustics.torchaudio_import import ensure_importable

LANGUAGES = ("en", "de", "es")
TINY_WHISPER = {
    "num_mel_bins": 80, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
}  # fmt: skip
TINY_CTC = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "conv_dim": (32, 32),
    "conv_kernel": (400, 4), "conv_stride": (160, 2), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


def make_tiny_whisper(folder: Path) -> Path:
    """Save a Whisper of one layer with random weights."""
    return make_whisper(folder, TINY_WHISPER)


def make_tiny_ctc(folder: Path) -> Path:
    """Save a Wav2Vec2 of one layer with random weights, of the kind that takes masks."""
    return make_ctc(folder, TINY_CTC)


def make_whisper(folder: Path, shape: dict[str, Any], *, weights: bool = True) -> Path:
    """Save a Whisper of a shape with a byte vocabulary, with random weights or for an engine's ``random_weights``."""
    import torch

    ensure_importable()
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizerFast,
    )

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{name}|>" for name in LANGUAGES)]
    special += [
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    tokenizer.add_tokens([AddedToken(f"<|{n * 0.02:.2f}|>", special=False) for n in range(1501)])
    ids = tokenizer.get_vocab()
    fast = WhisperTokenizerFast(
        tokenizer_object=tokenizer,
        **dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), "<|endoftext|>"),
    )
    start, end = ids["<|startoftranscript|>"], ids["<|endoftext|>"]
    silent = sorted(number for name, number in ids.items() if name.startswith("<|") and number != end)
    config = WhisperConfig(
        **{"vocab_size": len(ids), **shape},
        decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    generation = GenerationConfig(
        decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end, max_length=24,
        is_multilingual=True, lang_to_id={f"<|{name}|>": ids[f"<|{name}|>"] for name in LANGUAGES},
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        no_timestamps_token_id=ids["<|notimestamps|>"], prev_sot_token_id=ids["<|startofprev|>"],
        alignment_heads=[[0, 0]], suppress_tokens=silent, begin_suppress_tokens=[end],
    )  # fmt: skip
    if weights:
        torch.manual_seed(4)
        model = WhisperForConditionalGeneration(config)
        model.generation_config = generation
        model.save_pretrained(folder)
    else:
        _save_without_weights(config, folder)
        generation.save_pretrained(folder)
    features = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    WhisperProcessor(feature_extractor=features, tokenizer=fast).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "whisper"
    return folder


def make_ctc(folder: Path, shape: dict[str, Any], *, weights: bool = True) -> Path:
    """Save a Wav2Vec2 with layer norm of a shape, likewise."""
    import torch

    ensure_importable()
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    folder.mkdir(parents=True, exist_ok=True)
    letters = ["<pad>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    (folder / "vocab.json").write_text(json.dumps({letter: n for n, letter in enumerate(letters)}), encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), unk_token="<unk>", pad_token="<pad>", word_delimiter_token="|", bos_token=None,
        eos_token=None,
    )  # fmt: skip
    features = Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16_000, padding_value=0.0, do_normalize=True, return_attention_mask=True
    )
    config = Wav2Vec2Config(
        **{"vocab_size": len(letters), **shape},
        pad_token_id=0, feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
    )  # fmt: skip
    if weights:
        torch.manual_seed(4)
        Wav2Vec2ForCTC(config).save_pretrained(folder)
    else:
        _save_without_weights(config, folder)
    Wav2Vec2Processor(feature_extractor=features, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def _save_without_weights(config: Any, folder: Path) -> None:
    """Save a configuration, and a safetensors file with nothing in it, which an engine asks for."""
    import torch
    from safetensors.torch import save_file

    config.save_pretrained(folder)
    save_file({"none": torch.zeros(1)}, folder / "model.safetensors")


def convert_for_ctranslate2(source: Path, target: Path) -> Path:
    """Convert a checkpoint with CTranslate2's own converter."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(str(target))
    return target
