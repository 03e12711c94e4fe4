"""Tiny Whisper-type checkpoints with random weights, for transformers and converted for CTranslate2."""

from __future__ import annotations

import json
from pathlib import Path

from asrfair.acoustics.torchaudio_import import ensure_importable

LANGUAGES = ("en", "de", "es")


def make_tiny_whisper(folder: Path) -> Path:
    """Save a Whisper of one layer with a byte vocabulary; its text is meaningless, its files are the real kind."""
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
        tokenizer_object=tokenizer, unk_token="<|endoftext|>", bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )
    start, end = ids["<|startoftranscript|>"], ids["<|endoftext|>"]
    silent = sorted(number for name, number in ids.items() if name.startswith("<|") and number != end)
    torch.manual_seed(4)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(ids), num_mel_bins=80, d_model=32, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
            decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end,
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end, max_length=24,
        is_multilingual=True, lang_to_id={f"<|{name}|>": ids[f"<|{name}|>"] for name in LANGUAGES},
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        no_timestamps_token_id=ids["<|notimestamps|>"], prev_sot_token_id=ids["<|startofprev|>"],
        alignment_heads=[[0, 0]], suppress_tokens=silent, begin_suppress_tokens=[end],
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperProcessor(feature_extractor=WhisperFeatureExtractor(), tokenizer=fast).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "whisper"
    return folder


def convert_for_ctranslate2(source: Path, target: Path) -> Path:
    """Convert a checkpoint with CTranslate2's own converter."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(str(target))
    return target
